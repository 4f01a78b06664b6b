"""How far what is remembered of a card reaches, and what a person is told about it: decided, not done.

Three facts decide how far: policy ``cache.mode``, which binds all cards; the policy of the card's type (``piv.cache``,
``gids.cache``); and what the card's driver says (CP_CARD_CACHE_MODE), for a type that policy leaves to it (``card``) or
does not know. The first limits the others.

======= ====================================== ==============================================
mode    CP_CARD_CACHE_MODE                     remembered
======= ====================================== ==============================================
global  1 GLOBAL_CACHE                         beyond the insertion, and saved for other processes
session 2 SESSION_ONLY                         until the card is removed, by this process
none    3 NO_CACHE                             within one job
======= ====================================== ==============================================

Source: Microsoft, "Developer Guidelines" for smart card minidrivers, "Cache Modes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from calais.cards.keeping import KEEPERS, names_in
from calais.minidriver.api import Minidriver
from calais.minidriver.memo import Basis, CachedObject, CacheMode, KeptCard

OF_PROPERTY = {1: CacheMode.GLOBAL, 2: CacheMode.SESSION, 3: CacheMode.NONE}
LIMIT, AS_CARD = "cache.mode", "card"
_CAUTION = {CacheMode.GLOBAL: 0, CacheMode.SESSION: 1, CacheMode.NONE: 2}


def decide(policy: Mapping[str, object], driver: str, told: int) -> CacheMode:
    """The mode for cards of ``driver`` (``"piv"``), which says ``told`` (CP_CARD_CACHE_MODE); unknown values are 3."""
    own = str(policy.get(f"{driver}.cache", AS_CARD))
    mode = OF_PROPERTY.get(told, CacheMode.NONE) if own == AS_CARD else CacheMode(own)
    limit = CacheMode(str(policy.get(LIMIT, CacheMode.GLOBAL)))
    return max(mode, limit, key=_CAUTION.__getitem__)


def mode_of(policy: Mapping[str, object], driver: Minidriver) -> CacheMode:
    """The mode for the card of ``driver``."""
    return decide(policy, driver.memo.driver, driver.cache_mode)


def may_be_kept(policy: Mapping[str, object], driver: str) -> bool:
    """Whether memories of cards of the driver called ``driver`` outlive an insertion."""
    keeper = KEEPERS.get(driver)
    return keeper is not None and decide(policy, driver, keeper.told) is CacheMode.GLOBAL


# --- what a person is told -------------------------------------------------------------------------------------------

_SENTENCES = {
    Basis.READ: "read from the card",
    Basis.WRITTEN: "written by this program",
    Basis.HEAD: "its first bytes and length on the card are the remembered ones",
    Basis.COUNTERS: "the card's counters have not moved",
    Basis.RESTORED: "from an earlier insertion, not proved yet",
}
_HOLDS = "; nobody else can have touched the card since"
_PROVED_ANEW = "; to be proved anew before it is used"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a remembered object is believed.

    ``what``: its name; ``size``: bytes, ``None`` = remembered to be absent; ``read``: when it came from the card, UTC,
    ``None`` = not known; ``judged_by``: the name of a ``Basis``; ``holds``: it needs no further proof now; ``hits``: how
    often it was used without being read; ``sentence``: all that in words.
    """

    what: str
    size: int | None
    read: datetime | None
    judged_by: str
    holds: bool
    hits: int
    sentence: str


def explain(item: CachedObject) -> Explanation:
    """Why ``item`` is believed."""
    read = datetime.fromtimestamp(item.read_at, UTC) if item.read_at else None
    proof = _SENTENCES[item.basis]
    if item.holds:
        proof += _HOLDS
    elif item.basis is not Basis.RESTORED:
        proof += _PROVED_ANEW
    when = f"read {read:%Y-%m-%d %H:%M:%S} UTC, " if read and item.basis is not Basis.READ else ""
    sentence = f"{when}{proof}"
    return Explanation(item.what, item.size, read, item.basis.value, item.holds, item.hits, sentence)


def explain_kept(card: KeptCard) -> list[Explanation]:
    """Why the objects that wait for ``card`` are not believed yet."""
    names = names_in(card)
    return [
        explain(
            CachedObject(
                names.get(item.name, item.name),
                None if item.content is None else item.length,
                item.read_at,
                Basis.RESTORED,
                item.hits,
            )
        )
        for item in card.objects
    ]

"""The objects of a GIDS card as they are now: read once, remembered with the counters of that moment, and used again
while the card's counters have not moved.

While nobody else can have touched the card, an object costs nothing. Otherwise SELECT, ``cardid`` and ``cardcf`` prove
everything that is remembered, in three exchanges; what a moved counter speaks of is read again.

=============================================  ==================================================================
list cold                                      5: SELECT, cardid, cardcf, master file, container map (and one more
                                               for each 256 bytes of an object, with short lengths)
again, nobody else can have touched the card   0
again, after re-insertion or foreign use       3: SELECT, cardid, cardcf
=============================================  ==================================================================

Only what everybody may read is remembered. A certificate or key that is asked for itself, and a certificate that a list
would call missing, is looked at once more, see ``confirming``; a card whose counters were caught lying is read anew in each epoch.

Source: Microsoft's smart card minidriver specification v7.07, 4.4 (caching by ``cardid`` and ``cardcf``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from calais.cards.gids import edge, freshness, keeping, keymap, masterfile, spec
from calais.cards.gids.freshness import Counters, Kept, Kind, Verdict, counters_in
from calais.cards.gids.keeping import DISTRUSTED, OBJECTS, PINS_FACT, PUBLIC_EFS
from calais.cards.gids.keymap import KeyRecord
from calais.cards.gids.masterfile import Entry, Place
from calais.cards.gids.policy import GidsPolicy
from calais.minidriver import files
from calais.minidriver.api import CardIdentity
from calais.minidriver.containers import parse_cmapfile
from calais.minidriver.memo import Basis, CardMemo, Evidence
from calais.transport.base import Transaction
from calais.win.errors import BadData
from calais.win.structs import ContainerMapRecord

APPLICATION, ENVIRONMENT = "gids.application", "gids.environment"
ADMIN_FACT, CHALLENGE, FEATURES = "gids.admin_algorithm", "gids.challenge", "gids.features"
LABEL_DIGITS = 8

T = TypeVar("T")


class CardView:
    """The card of one transaction, seen through what is remembered of it.

    Args:
        tx: the transaction.
        memo: what is remembered; updated.
        policy: whether the card may be changed.
    """

    def __init__(self, tx: Transaction, memo: CardMemo, policy: GidsPolicy) -> None:
        self.tx = tx
        self.memo = memo
        self.policy = policy

    @property
    def now(self) -> Evidence:
        """The evidence of what is seen now."""
        return Evidence.of(self.tx)

    # --- who is it ---------------------------------------------------------------------------------------------------

    def prove_card(self) -> None:
        """Make sure that the memory is this card's: SELECT and ``cardid``, unless nobody else can have touched it.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD, this is no GIDS card.
        """
        memo, now = self.memo, self.now
        if memo.identified is not None and memo.identified.holds(now) and APPLICATION in memo.facts:
            return
        application = edge.select(self.tx)
        raw = edge.get_data(self.tx, *spec.CARD_ID)
        if raw is None and not application.named:
            raise edge.not_gids()
        atr = self.tx.channel.transport.atr
        identity = identity_of(raw, atr)
        if memo.identity is None or memo.identity.card_id != identity.card_id or memo.atr != atr:
            keeping.thaw(memo, memo.become(keeping.KIND, keeping.mark(atr, raw), atr))
        elif memo.identified is None or not memo.identified.same_insertion(now):
            self._forget_facts(ADMIN_FACT, CHALLENGE)
        memo.facts[APPLICATION] = application
        memo.facts.pop(ENVIRONMENT, None)
        memo.identity, memo.identified = identity, now

    def identity(self) -> CardIdentity:
        """Who the card is."""
        self.prove_card()
        if self.memo.identity is None:
            raise BadData(detail="the card lost its identity")
        return self.memo.identity

    @property
    def application(self) -> edge.Application:
        """What the card said when it was selected."""
        self.prove_card()
        found = self.memo.facts.get(APPLICATION)
        return found if isinstance(found, edge.Application) else edge.Application(named=False)

    @property
    def read_only(self) -> bool:
        """Whether policy or the card forbids every change."""
        return not self.policy.write or self.application.read_only

    def rename_card(self, card_id: bytes) -> None:
        """Replace ``cardid`` (16 bytes); what is remembered stays, for it is the same card."""
        self.prove_card()
        edge.put_data(self.tx, *spec.CARD_ID, card_id)
        self.forget(spec.CARD_ID)
        self.memo.identity = identity_of(card_id, self.memo.atr)
        self.memo.mark = keeping.mark(self.memo.atr, card_id)

    # --- objects -----------------------------------------------------------------------------------------------------

    @property
    def objects(self) -> dict[Place, Kept]:
        """What is remembered, by place; a public key is at (7F49, key reference)."""
        found: dict[Place, Kept] = self.memo.facts.setdefault(OBJECTS, {})
        return found

    def counters(self) -> Counters | None:
        """The card's freshness counters as they are now; ``None`` = it has none."""
        self.prove_card()
        kept = self.objects.get(spec.CARD_CACHE)
        if kept is None or not kept.seen.holds(self.now):
            raw = edge.get_data(self.tx, *spec.CARD_CACHE)
            kept = self.objects[spec.CARD_CACHE] = self._kept(raw, None)
            kept.parsed = counters_in(raw)
        return kept.parsed if isinstance(kept.parsed, Counters) else None

    def object(self, place: Place, kind: Kind = Kind.FILE) -> Kept:
        """The data object at ``place``, true now; its ``content`` is ``None`` when the card has none.

        Raises:
            NotAuthenticated: it takes a PIN to read it.
            BadData: the answer does not end, or is another object.
        """
        if place[0] not in PUBLIC_EFS:
            self.prove_card()
            return Kept(edge.get_data(self.tx, *place), None, self.now)
        kept = self.remembered(place, kind)
        if kept is None:
            counters = self.counters()
            kept = self._kept(edge.get_data(self.tx, *place), counters)
            self.objects[place] = kept
        return kept

    def _kept(self, content: bytes | None, counters: Counters | None, basis: Basis = Basis.READ) -> Kept:
        """What has just gone over the line."""
        return Kept(content, counters, self.now, read_at=self.memo.clock(), basis=basis, confirmed=self.now)

    def remembered(self, place: Place, kind: Kind) -> Kept | None:
        """What is remembered of ``place``, if it is true; asks for the counters where they decide."""
        self.prove_card()
        kept = self.objects.get(place)
        verdict = freshness.judge(kept, kind, self.now, None, asked=False)
        by_counters = verdict is Verdict.ASK
        if by_counters and self.counters_decide:
            verdict = freshness.judge(kept, kind, self.now, self.counters(), asked=True)
        if verdict is not Verdict.TRUE or kept is None:
            return None
        kept.hits += 1
        kept.seen = self.now
        kept.basis = Basis.COUNTERS if by_counters else kept.basis
        return kept

    @property
    def counters_decide(self) -> bool:
        """Whether counters that have not moved prove anything on this card."""
        return self.policy.proof != "whole" and not self.memo.facts.get(DISTRUSTED)

    def distrust_counters(self) -> None:
        """The counters have been caught lying: forget all that was believed by them, and believe them no more."""
        self.objects.clear()
        self._forget_facts(PINS_FACT, FEATURES, ADMIN_FACT)
        self.memo.facts[DISTRUSTED] = True

    def _forget_facts(self, *names: str) -> None:
        for name in names:
            self.memo.facts.pop(name, None)

    def write(self, place: Place, content: bytes) -> None:
        """Replace the data object at ``place``; the counters are the caller's business."""
        if place == spec.CARD_CACHE:
            self.write_counters(content)
            return
        self.prove_card()
        self.objects.pop(place, None)
        edge.put_data(self.tx, *place, content)
        if place[0] in PUBLIC_EFS:
            self.objects[place] = self._kept(content, self._known_counters(), Basis.WRITTEN)

    def forget(self, place: Place) -> None:
        """Forget the object at ``place``."""
        self.objects.pop(place, None)

    def _known_counters(self) -> Counters | None:
        kept = self.objects.get(spec.CARD_CACHE)
        known = kept is not None and kept.seen.holds(self.now) and isinstance(kept.parsed, Counters)
        return kept.parsed if kept is not None and known else None

    # --- counters ----------------------------------------------------------------------------------------------------

    def write_counters(self, content: bytes) -> None:
        """Replace ``cardcf``; what was true before is true under the new counters, for this program moved them."""
        self.prove_card()
        before, after = self._known_counters(), counters_in(content)
        self.objects.pop(spec.CARD_CACHE, None)
        edge.put_data(self.tx, *spec.CARD_CACHE, content)
        cmap = self._cmap_place()
        for place, kept in list(self.objects.items()):
            carried = freshness.carried(kept, kind_of(place, cmap), before, after, self.now)
            if carried is None:
                del self.objects[place]
            else:
                self.objects[place] = carried
        self.objects[spec.CARD_CACHE] = kept = self._kept(content, None, Basis.WRITTEN)
        kept.parsed = after

    def move_counters(self, *, pins: bool = False, containers: bool = False, files: bool = False) -> None:
        """Tell everybody who remembers this card that something of the named kinds is about to change."""
        counters = self.counters() or Counters()
        moved = freshness.moved(counters, pins=pins, containers=containers, files=files)
        self.write_counters(moved.to_bytes())

    def _cmap_place(self) -> Place:
        kept = self.objects.get(spec.MASTER_FILE)
        try:
            entry = masterfile.find(parsed(kept, _parse_master), *CMAPFILE) if kept is not None else None
        except BadData:
            entry = None
        return entry.place if entry else spec.CONTAINER_MAP

    # --- what is in them ---------------------------------------------------------------------------------------------

    def master(self) -> tuple[Entry, ...]:
        """The records of the master file; none on a card that was never set up.

        Raises:
            BadData: it is damaged.
        """
        return parsed(self.object(spec.MASTER_FILE), _parse_master)

    def cmap_entry(self) -> Entry | None:
        """The master file's record of the container map."""
        return masterfile.find(self.master(), *CMAPFILE)

    def container_map(self) -> list[ContainerMapRecord]:
        """The records of ``mscp/cmapfile``; none without such a file.

        Raises:
            BadData: it is damaged.
        """
        entry = self.cmap_entry()
        if entry is None:
            return []
        return list(parsed(self.object(entry.place, Kind.CONTAINERS), parse_cmapfile))

    def key_map(self) -> tuple[KeyRecord, ...]:
        """The records of the key map.

        Raises:
            BadData: it is damaged.
        """
        return parsed(self.object(spec.KEY_MAP, Kind.CONTAINERS), keymap.parse)

    def public_key_template(self, kid: int) -> bytes:
        """The content of the public key template of key ``kid``; a key that is not there is asked for again.

        Raises:
            NotFound: SCARD_E_NO_KEY_CONTAINER.
        """
        place = (spec.TAG_PUBLIC_KEY, kid)
        kept = self.remembered(place, Kind.PUBLIC_KEY)
        if kept is None:
            counters = self.counters()
            self.objects.pop(place, None)
            kept = self._kept(edge.public_key(self.tx, kid), counters)
            self.objects[place] = kept
        return kept.content or b""

    def keep_public_key(self, kid: int, template: bytes) -> None:
        """Remember the public key that the card has just told."""
        self.objects[spec.TAG_PUBLIC_KEY, kid] = self._kept(template, self._known_counters())


CMAPFILE = (files.DIRECTORY_BASE_CSP, files.FILE_CONTAINER_MAP)


def _parse_master(content: bytes) -> tuple[Entry, ...]:
    return masterfile.parse(content) if content else ()


def parsed(kept: Kept, parse: Callable[[bytes], T]) -> T:
    """What ``parse`` makes of ``kept``; done once, also for an object that a lying card has in two places.

    Raises:
        BadData: as ``parse``.
    """
    if not isinstance(kept.parsed, tuple) or kept.parsed[0] is not parse:
        kept.parsed = (parse, parse(kept.content or b""))
    made: T = kept.parsed[1]
    return made


def kind_of(place: Place, cmap: Place) -> Kind:
    """What the object at ``place`` is, when the container map is at ``cmap``."""
    if place[0] == spec.TAG_PUBLIC_KEY:
        return Kind.PUBLIC_KEY
    return Kind.CONTAINERS if place in (cmap, spec.KEY_MAP) else Kind.FILE


def identity_of(card_id: bytes | None, atr: bytes) -> CardIdentity:
    """Who a card with this content of ``cardid`` is; one that was never set up is told by its ATR.

    A content of another length than 16 bytes stands for its hash.
    """
    if card_id is None or len(card_id) != spec.CARD_ID_SIZE:
        card_id = hashlib.sha256(b"GIDS" + (card_id or atr)).digest()[: spec.CARD_ID_SIZE]
    serial = card_id.hex().upper()
    return CardIdentity(card_id, serial, f"GIDS {serial[:LABEL_DIGITS]}", has_stable_names=True)

"""What a check is: a rule in one sentence, where it comes from, what it needs, and the function that tries it.

A check is a function of a ``Trial``. It returns when the rule holds, raises ``Broken`` when it does not, and
``Absent`` when the card or driver has nothing that the rule speaks of. Chapters collect checks by decoration::

    CHAPTER = Chapter("files", "The logical file system")

    @CHAPTER.check("cardid_length", "cardid has 16 bytes.", "minidriver 4.3.1")
    def _(trial: Trial) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto
from typing import TYPE_CHECKING

from calais.win.errors import BadParameter

if TYPE_CHECKING:
    from calais.apps.certify.trial import Trial

Body = Callable[["Trial"], None]


class Need(Flag):
    """What a check cannot do without.

    ``PIN``: the user's PIN. ``PUK``: what unblocks it. ``ADMIN``: the administrator's key. ``DESTRUCTIVE``: leave to
    change the card. ``TRIES``: leave to present wrong PINs, of which a right one undoes the count.
    """

    NOTHING = 0
    PIN = auto()
    PUK = auto()
    ADMIN = auto()
    DESTRUCTIVE = auto()
    TRIES = auto()


NAME_OF_NEED = {
    Need.PIN: "the PIN",
    Need.PUK: "what unblocks the PIN (PUK or administrator's key)",
    Need.ADMIN: "the administrator's key",
    Need.DESTRUCTIVE: "leave to change the card",
    Need.TRIES: "leave to present a wrong PIN",
}


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIPPED = "skipped"
    ABSENT = "not applicable"


class Broken(Exception):
    """A rule does not hold: what was expected, and what came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(expected, came)
        self.expected = expected
        self.came = came


class Absent(Exception):
    """The rule speaks of something that is not there."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule. ``name`` is stable: ``chapter.rule``; ``source`` names specification and section."""

    name: str
    chapter: str
    rule: str
    source: str
    needs: Need
    body: Body = field(repr=False)


@dataclass(slots=True)
class Chapter:
    """Checks of one subject; ``name`` begins the name of each, ``title`` is for people."""

    name: str
    title: str
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, rule: str, source: str, needs: Need = Need.NOTHING) -> Callable[[Body], Body]:
        """Register the function below as the check ``chapter.name``."""

        def register(body: Body) -> Body:
            self.checks.append(Check(f"{self.name}.{name}", self.title, rule, source, needs, body))
            return body

        return register


def chosen(checks: list[Check], only: tuple[str, ...]) -> list[Check]:
    """The checks whose name is, or begins with, one of ``only``; all without any.

    Raises:
        BadParameter: a name that fits no check.
    """
    for name in only:
        if not any(_fits(check, name) for check in checks):
            raise BadParameter(detail=f"there is no check {name!r}", next_step="See them with: calais certify --list")
    return [check for check in checks if not only or any(_fits(check, name) for name in only)]


def _fits(check: Check, name: str) -> bool:
    return check.name == name or check.name.startswith(name.rstrip(".") + ".")

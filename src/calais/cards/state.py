"""What every virtual card knows: who it is, PINs and PUKs with their counters, and what it forgets at a reset.

Records survive power loss. What a reset takes is replaced, never cleaned, so that nothing can be forgotten to be
forgotten. Source: ISO/IEC 7816-4:2020, 5.6 (retry counters in status words).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic, Protocol, TypeVar

from calais.cards.base import Memory
from calais.cards.front import Random, Records
from calais.win.errors import BadData


@dataclass(frozen=True, slots=True)
class Reference:
    """A PIN or PUK and its retry counter; record: left, maximum, value."""

    value: bytes = field(repr=False)
    left: int
    maximum: int

    def encode(self) -> bytes:
        """The record."""
        return bytes((self.left, self.maximum)) + self.value

    @classmethod
    def decode(cls, raw: bytes, name: str, sizes: range) -> Reference:
        """Parse the record called ``name``, whose value has one of ``sizes`` (bytes).

        Raises:
            BadData: of another size, or more tries left than there ever are.
        """
        if len(raw) - 2 not in sizes or raw[0] > raw[1] or raw[1] == 0:
            raise BadData(detail=f"record {name} is damaged", index=0)
        return cls(raw[2:], raw[0], raw[1])


class Profile(Protocol):
    """What a card is from the factory."""

    @property
    def extended(self) -> bool:
        """Whether the card knows extended lengths."""


@dataclass(slots=True)
class Forgotten:
    """What a reset takes; each kind of card adds its own, and makes it out of nothing but the application."""

    selected: bytes = b""


ProfileT = TypeVar("ProfileT", bound=Profile)
ForgottenT = TypeVar("ForgottenT", bound=Forgotten)
ValueT = TypeVar("ValueT")


class ParsedOnce(Generic[ValueT]):
    """Records as typed values; each is parsed when its bytes are not those that were parsed last.

    Args:
        records: where they are.
        parse: the value of a record's bytes and name.
    """

    def __init__(self, records: Records, parse: Callable[[bytes, str], ValueT]) -> None:
        self._records, self._parse = records, parse
        self._known: dict[str, tuple[bytes, ValueT]] = {}

    def get(self, name: str) -> ValueT | None:
        """The value of the record; ``None`` when there is none."""
        raw = self._records.get(name)
        if raw is None:
            return None
        known = self._known.get(name)
        if known is None or known[0] is not raw:
            known = self._known[name] = (raw, self._parse(raw, name))
        return known[1]

    def put(self, name: str, raw: bytes, value: ValueT) -> None:
        """Stage the record and remember what it says."""
        self._records.put(name, raw)
        self._known[name] = (raw, value)


class RecordState(ABC, Generic[ProfileT, ForgottenT]):
    """The card's records as typed values, its volatile state, and its source of randomness.

    ``reference_records``: names of the records of PINs and PUKs, by key reference. ``reference_sizes``: of their
    values (bytes).
    """

    reference_records: ClassVar[Mapping[int, str]]
    reference_sizes: ClassVar[range]
    profile: ProfileT

    def __init__(self, memory: Memory, random: Random, forgotten: type[ForgottenT]) -> None:
        self.random = random
        self.records = Records(memory)
        self._forgotten = forgotten
        self.volatile = forgotten()

    @abstractmethod
    def checked(self) -> ProfileT:
        """The card's profile, after a look at all records without which there is no card.

        Raises:
            BadData: the memory is damaged.
        """

    @property
    def extended(self) -> bool:
        """Whether the card knows extended lengths."""
        return self.profile.extended

    def restart(self) -> None:
        """Forget what a warm reset takes."""
        self.volatile = self._forgotten()

    def revoke(self) -> None:
        """Forget who was authenticated and what was begun; the application stays selected."""
        self.volatile = self._forgotten(selected=self.volatile.selected)

    def reload(self) -> None:
        """Read the memory again, as a card does when it is powered.

        Raises:
            BadData: the memory is damaged.
        """
        self.restart()
        self.records.reload()
        self.profile = self.checked()

    def reference(self, ref: int) -> Reference | None:
        """The PIN or PUK of key reference ``ref``."""
        name = self.reference_records[ref]
        raw = self.records.get(name)
        return None if raw is None else Reference.decode(raw, name, self.reference_sizes)

    def set_reference(self, ref: int, value: Reference) -> None:
        """Stage a PIN or PUK."""
        self.records.put(self.reference_records[ref], value.encode())

    def commit_try(self, ref: int, reference: Reference) -> None:
        """Take one try, durably, before anything is compared: power loss cannot give it back."""
        self.set_reference(ref, replace(reference, left=reference.left - 1))
        self.records.commit()

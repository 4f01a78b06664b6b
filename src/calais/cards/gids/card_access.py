"""Compact access rules of the virtual GIDS card: which condition an operation wants, and whether it holds.

A rule is an access mode byte and one security condition for each of its bits that is set, from bit 6 down to bit 0;
rules follow each other, and an operation is allowed when one of them allows it. What no rule names is denied.
Source: ISO/IEC 7816-4:2020, 9.3.3 (compact format); Microsoft's Generic Identity Device Specification v2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from calais.cards.gids import spec
from calais.win.errors import BadData

MODE_BITS = (0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """``entries``: operation (a bit of the access mode) and its condition, in the order of the encoding."""

    entries: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, raw: bytes) -> AccessRules:
        """The value of tag 8C.

        Raises:
            BadData: empty, or conditions are missing.
        """
        entries: list[tuple[int, int]] = []
        at = 0
        while at < len(raw):
            operations = [bit for bit in MODE_BITS if raw[at] & bit]
            conditions = raw[at + 1 : at + 1 + len(operations)]
            if not operations or len(conditions) < len(operations):
                raise BadData(detail="an access rule does not match its access mode byte", index=at)
            entries += zip(operations, conditions, strict=True)
            at += 1 + len(operations)
        if not entries:
            raise BadData(detail="there is no access rule", index=0)
        return cls(tuple(entries))

    def conditions(self, operation: int) -> list[int]:
        """The conditions of ``operation``, one of which must hold; none when it is denied."""
        return [condition for bit, condition in self.entries if bit == operation]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What conditions are about: who was authenticated, and over which interface the card is reached."""

    user: bool
    admin: bool
    contactless: bool

    def satisfy(self, condition: int) -> bool:
        """Whether a security condition holds."""
        if condition == spec.SC_ALWAYS:
            return True
        if condition == spec.SC_NEVER or condition & spec.SC_SECURE_MESSAGING:
            return False
        interface = condition & spec.SC_INTERFACE
        if interface and interface != (spec.SC_CONTACTLESS if self.contactless else spec.SC_CONTACT):
            return False
        named = [held for bit, held in ((spec.SC_USER, self.user), (spec.SC_ADMIN, self.admin)) if condition & bit]
        if not named:
            return not condition & spec.SC_ALL
        return all(named) if condition & spec.SC_ALL else any(named)

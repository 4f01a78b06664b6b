"""The part of the policy that says how PINs are remembered, and what a person is told when one is blocked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from calais.provider.policy import Policy

UNBLOCK = "unblock it with the PUK (calais pin unblock), or ask whoever issued the card"
UNBLOCK_NOW = "unblock it here and now: calais pin unblock (the PUK, a key, or the help desk: --phone)"


@dataclass(frozen=True, slots=True)
class PinRules:
    """How PINs are handled.

    Attributes:
        separate: each face remembers its own PINs (``pin.separate_caches``).
        session: what is remembered is a session PIN, on cards that give one.
        plain: the PIN itself may be remembered.
        unblock: what a person is told to do about a blocked PIN.
    """

    separate: bool = False
    session: bool = False
    plain: bool = True
    unblock: str = UNBLOCK

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """The rules that ``policy`` means.

        Faces that remember PINs apart do as Windows does, and remember session PINs where the card has them. With
        DisallowPlaintextPin nothing else is remembered.
        """
        return cls(
            separate=policy.pin_separate_caches,
            session=policy.pin_separate_caches or policy.disallow_plaintext_pin,
            plain=not policy.disallow_plaintext_pin,
            unblock=_unblock(policy),
        )


def _unblock(policy: Policy) -> str:
    if not policy.allow_integrated_unblock:
        return UNBLOCK
    return policy.integrated_unblock_prompt or UNBLOCK_NOW

"""What policy decides about PIV cards, by the dotted names of the policy file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, cast

from calais.win.errors import BadParameter

PREFIX = "piv."
_CHOICES: dict[str, tuple[object, ...]] = {
    "container_names": ("windows", "volatile"),
    "write": (True, False),
    "retired_keys": ("history", "all", "none"),
    "proof": ("head", "whole"),
    "container_map": ("auto", "always", "never"),
}


@dataclass(frozen=True, slots=True)
class PivPolicy:
    """The ``piv.…`` values.

    ``container_names``: ``"windows"`` = from the CHUID GUID where there is one, ``"volatile"`` = new at every
    enumeration. ``write``: whether the card may be changed through this driver. ``retired_keys``: which of the slots
    82 to 95 are looked at: those that Key History names, all, or none. ``proof``: whether an object that others may
    have changed is proved by its first 256 bytes, or read again whole. ``container_map``: whether cards have Yubico's
    container map: those that say so in their ATR, all, or none.
    """

    container_names: Literal["windows", "volatile"] = "windows"
    write: bool = True
    retired_keys: Literal["history", "all", "none"] = "history"
    proof: Literal["head", "whole"] = "head"
    container_map: Literal["auto", "always", "never"] = "auto"

    @classmethod
    def of(cls, values: Mapping[str, object] | None) -> PivPolicy:
        """The policy in ``values`` (``{"piv.container_names": "volatile"}``); names of other rooms are ignored.

        Raises:
            BadParameter: a value that is not one of the choices.
        """
        given: dict[str, object] = {}
        for item in fields(cls):
            value = (values or {}).get(PREFIX + item.name, item.default)
            if not any(value is choice or value == choice for choice in _CHOICES[item.name]):
                raise BadParameter(detail=f"policy {PREFIX}{item.name} is one of {_CHOICES[item.name]}, not {value!r}")
            given[item.name] = value
        return cls(**cast("dict[str, bool]", given))  # type: ignore[arg-type]

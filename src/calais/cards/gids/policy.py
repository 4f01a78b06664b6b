"""What policy decides about GIDS cards, by the dotted names of the policy file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calais.win.errors import BadParameter

WRITE = "gids.write"


@dataclass(frozen=True, slots=True)
class GidsPolicy:
    """The ``gids.…`` values; ``write``: whether cards may be changed through this driver."""

    write: bool = True

    @classmethod
    def of(cls, values: Mapping[str, object] | None) -> GidsPolicy:
        """The policy in ``values`` (``{"gids.write": False}``); names of other rooms are ignored.

        Raises:
            BadParameter: not true or false.
        """
        write = (values or {}).get(WRITE, True)
        if write not in (True, False):
            raise BadParameter(detail=f"policy {WRITE} is true or false, not {write!r}")
        return cls(bool(write))

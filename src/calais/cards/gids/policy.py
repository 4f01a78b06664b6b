"""What policy decides about GIDS cards, by the dotted names of the policy file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from calais.win.errors import BadParameter

WRITE, PROOF = "gids.write", "gids.proof"
_PROOFS = ("counters", "head", "whole")


@dataclass(frozen=True, slots=True)
class GidsPolicy:
    """The ``gids.…`` values.

    ``write``: whether cards may be changed through this driver. ``proof``: how an object that others may have changed
    is proved: ``"counters"`` = by those of ``cardcf``, as Windows does; ``"head"`` = likewise, and by its first 256
    bytes when the certificate or key itself is asked for; ``"whole"`` = by reading it again.
    """

    write: bool = True
    proof: Literal["counters", "head", "whole"] = "head"

    @classmethod
    def of(cls, values: Mapping[str, object] | None) -> GidsPolicy:
        """The policy in ``values`` (``{"gids.write": False}``); names of other rooms are ignored.

        Raises:
            BadParameter: not one of the choices.
        """
        write = (values or {}).get(WRITE, True)
        if write not in (True, False):
            raise BadParameter(detail=f"policy {WRITE} is true or false, not {write!r}")
        proof = (values or {}).get(PROOF, "head")
        if proof not in _PROOFS:
            raise BadParameter(detail=f"policy {PROOF} is one of {_PROOFS}, not {proof!r}")
        return cls(bool(write), cast("Literal['counters', 'head', 'whole']", proof))

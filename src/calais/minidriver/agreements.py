"""Agreed secrets, by an index of one byte, kept until they are destroyed and wiped then.

Python copies; what can be promised is that the table's own copy is overwritten.
"""

from __future__ import annotations

from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError

MAX_AGREEMENTS = 256


class Agreements:
    """The secrets of one context. The lowest free index is given out."""

    def __init__(self) -> None:
        self._secrets: dict[int, bytearray] = {}

    def __repr__(self) -> str:
        return f"<{len(self._secrets)} agreements>"

    def __len__(self) -> int:
        return len(self._secrets)

    def add(self, secret: bytes) -> int:
        """Keep ``secret`` (raw Z, big-endian); its index, 0…255.

        Raises:
            WinError: SCARD_E_NO_MEMORY, 256 are kept already.
        """
        index = next((index for index in range(MAX_AGREEMENTS) if index not in self._secrets), None)
        if index is None:
            raise WinError(
                Code.SCARD_E_NO_MEMORY, f"{MAX_AGREEMENTS} agreements are open", next_step="destroy those not needed"
            )
        self._secrets[index] = bytearray(secret)
        return index

    def get(self, index: int) -> bytes:
        """The secret at ``index``.

        Raises:
            BadParameter: there is none.
        """
        return bytes(self._at(index))

    def destroy(self, index: int) -> None:
        """Wipe the secret at ``index``.

        Raises:
            BadParameter: there is none (any more).
        """
        _wipe(self._at(index))
        del self._secrets[index]

    def clear(self) -> None:
        """Wipe all."""
        for secret in self._secrets.values():
            _wipe(secret)
        self._secrets.clear()

    def _at(self, index: int) -> bytearray:
        secret = self._secrets.get(index)
        if secret is None:
            raise BadParameter(detail=f"there is no agreement {index}")
        return secret


def _wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))

"""Secure key injection: the nine entry points of version 7, absent unless a driver offers them.

Source: Microsoft's smart card minidriver specification v7.07, 4.8 (secure key injection).
"""

from __future__ import annotations

from typing import NoReturn

from calais.win.errors import Unsupported


def absent(what: str) -> NoReturn:
    """Refuse a feature.

    Raises:
        Unsupported: always.
    """
    raise Unsupported(detail=f"this card or its driver does not offer {what}")


class KeyInjection:
    """Bodies of the key-injection entry points; every one raises ``Unsupported`` until a driver replaces it.

    A key is named by the number its maker returned; ``properties`` and ``blob_type`` are Windows' names.
    """

    def make_session_key(self, blob_type: str, algorithm: str, key: bytes) -> int:  # noqa: ARG002
        """Take a plain session key on the server's side (``MDImportSessionKey``)."""
        absent("secure key injection")

    def encrypt_for_card(self, key: int, function: str, data: bytes, flags: int = 0) -> list[bytes]:  # noqa: ARG002
        """Encrypt a request for ``process_encrypted`` (``MDEncryptData``)."""
        absent("secure key injection")

    def import_session_key(
        self,
        index: int,  # noqa: ARG002
        padding: object,  # noqa: ARG002
        blob_type: str,  # noqa: ARG002
        algorithm: str,  # noqa: ARG002
        data: bytes,  # noqa: ARG002
        flags: int = 0,  # noqa: ARG002
    ) -> int:
        """Take a session key encrypted for the key of container ``index`` (``CardImportSessionKey``)."""
        absent("secure key injection")

    def shared_key(self, data: bytes) -> tuple[bytes, int]:  # noqa: ARG002
        """Agree on a session key: bytes for the other side, and the key (``CardGetSharedKeyHandle``)."""
        absent("secure key injection")

    def algorithm_property(self, algorithm: str, name: str) -> str | bytes | int:  # noqa: ARG002
        """Default of a session-key property (``CardGetAlgorithmProperty``)."""
        absent("secure key injection")

    def key_property(self, key: int, name: str) -> str | bytes | int:  # noqa: ARG002
        """A property of a session key (``CardGetKeyProperty``)."""
        absent("secure key injection")

    def set_key_property(self, key: int, name: str, value: str | bytes) -> None:  # noqa: ARG002
        """Change a property of a session key (``CardSetKeyProperty``)."""
        absent("secure key injection")

    def destroy_key(self, key: int) -> None:  # noqa: ARG002
        """Wipe a session key (``CardDestroyKey``)."""
        absent("secure key injection")

    def process_encrypted(self, key: int, function: str, data: list[bytes], flags: int = 0) -> bytes:  # noqa: ARG002
        """Decrypt a request on the card and do it (``CardProcessEncryptedData``)."""
        absent("secure key injection")

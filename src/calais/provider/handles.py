"""Open keys, as a certificate store caches them: one class for CryptoAPI, one for CNG."""

from __future__ import annotations

from typing import ClassVar, Self

from calais.provider.container import Container, Key
from calais.win.codes import Code
from calais.win.errors import BadParameter


class OpenKey:
    """An open container.

    Args:
        container: the container.
        key_spec: AT_KEYEXCHANGE 1 or AT_SIGNATURE 2.
    """

    is_ncrypt: ClassVar[bool]
    bad_handle: ClassVar[int]

    def __init__(self, container: Container, key_spec: int) -> None:
        self._container = container
        self.key_spec = key_spec
        self.closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._container.name}{' (closed)' if self.closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def container(self) -> Container:
        """The container.

        Raises:
            BadParameter: the handle is closed.
        """
        if self.closed:
            raise BadParameter(self.bad_handle, "this handle is closed")
        return self._container

    @property
    def key(self) -> Key:
        """The private key.

        Raises:
            BadParameter: the handle is closed; and as ``Container.key``.
        """
        return self.container.key

    def close(self) -> None:
        """Release it; the card keeps its key. A second time does nothing."""
        self.closed = True


class CspContext(OpenKey):
    """HCRYPTPROV: a CryptoAPI context with a container."""

    is_ncrypt = False
    bad_handle = Code.ERROR_INVALID_PARAMETER


class KspKey(OpenKey):
    """NCRYPT_KEY_HANDLE: a key of the smart card key storage provider."""

    is_ncrypt = True
    bad_handle = Code.NTE_INVALID_HANDLE

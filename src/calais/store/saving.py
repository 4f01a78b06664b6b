"""Writing a store somewhere else. Source: CertSaveStore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from calais.store import files
from calais.store.formats import pkcs7, pkcs12, serialized
from calais.store.formats.items import Item
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import BadParameter
from calais.win.flags import (
    CERT_STORE_SAVE_AS_PKCS7,
    CERT_STORE_SAVE_AS_PKCS12,
    CERT_STORE_SAVE_AS_STORE,
    CERT_STORE_SAVE_TO_FILE,
    CERT_STORE_SAVE_TO_FILENAME_A,
    CERT_STORE_SAVE_TO_FILENAME_W,
    CERT_STORE_SAVE_TO_MEMORY,
)

Packer = Callable[[list[Item], str | None], bytes]


def save(store: Store, save_as: int, save_to: int, para: object, flags: int) -> bytes | None:
    """Everything in ``store``, certificates and CRLs, archived ones too.

    Args:
        store: what to save.
        save_as: CERT_STORE_SAVE_AS_*.
        save_to: CERT_STORE_SAVE_TO_*.
        para: the open binary file, or the path; for PKCS #12 it may be ``(that, password)``.
        flags: 0.

    Returns:
        the bytes for CERT_STORE_SAVE_TO_MEMORY, else ``None``.

    Raises:
        BadParameter: E_INVALIDARG, flags, a number or a parameter that is none.
        WinError: it cannot be written there; what ``pkcs12`` says.
    """
    pack, put = _FORMATS.get(save_as), _TARGETS.get(save_to)
    if flags or pack is None or put is None:
        raise BadParameter(Code.E_INVALIDARG, "There is no such way to save a store.")
    password = None
    if isinstance(para, tuple):
        if save_as != CERT_STORE_SAVE_AS_PKCS12 or len(para) != 2 or not isinstance(para[1], str | None):
            raise BadParameter(Code.E_INVALIDARG, "Only PKCS #12 takes a target with a password.")
        para, password = para
    return put(para, pack(store.items(), password))


def _to_file(para: object, data: bytes) -> None:
    files.write_to(para, data)


def _to_memory(_para: object, data: bytes) -> bytes:
    return data


def _to_path(para: object, data: bytes) -> None:
    files.write_path(files.path_of(para), data)


_FORMATS: Final[dict[int, Packer]] = {
    CERT_STORE_SAVE_AS_STORE: lambda items, _: serialized.pack_store(items),
    CERT_STORE_SAVE_AS_PKCS7: lambda items, _: pkcs7.build_certificates(items),
    CERT_STORE_SAVE_AS_PKCS12: pkcs12.build_certificates,
}
_TARGETS: Final[dict[int, Callable[[object, bytes], bytes | None]]] = {
    CERT_STORE_SAVE_TO_FILE: _to_file,
    CERT_STORE_SAVE_TO_MEMORY: _to_memory,
    CERT_STORE_SAVE_TO_FILENAME_A: _to_path,
    CERT_STORE_SAVE_TO_FILENAME_W: _to_path,
}

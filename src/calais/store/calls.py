"""The bodies of the faces of crypt32: parameters checked, then one call of the store.

``None`` stands for NULL, and so does 0 for a handle. A handle of another kind, or one that was released, is ERROR_INVALID_PARAMETER; NULL
where it has no meaning, and a parameter of another type, is E_INVALIDARG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from calais.store import acquire, bag
from calais.store.api import CERTIFICATE, CRL, AcquiredKey, KeyOpener
from calais.store.finding import query_for
from calais.store.formats import serialized
from calais.store.formats.items import Item, exactly
from calais.store.model import CERTIFICATES, CRLS, C, CertificateContext, Context, Element, Kind
from calais.store.stores import EMPTY, EVERY, Query, Store
from calais.win.codes import Code
from calais.win.errors import BadParameter
from calais.win.flags import (
    CERT_STORE_CERTIFICATE_CONTEXT,
    CERT_STORE_CERTIFICATE_CONTEXT_FLAG,
    CERT_STORE_CRL_CONTEXT,
    CERT_STORE_CRL_CONTEXT_FLAG,
    X509_ASN_ENCODING,
)

# --- parameters -------------------------------------------------------------------------------------------------------


def is_null(handle: object) -> bool:
    """Whether a handle is NULL, in one of the two ways in which C programs write it."""
    return handle is None or (type(handle) is int and handle == 0)


def store_of(handle: object) -> Store:
    """The open store behind a handle."""
    if is_null(handle):
        raise BadParameter(Code.E_INVALIDARG, "A store is needed.")
    if not isinstance(handle, Store) or not handle.is_open:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "This is no open store.")
    return handle


def context_of(kind: Kind[C], handle: object) -> C:
    """The context of this kind behind a handle."""
    if is_null(handle):
        raise BadParameter(Code.E_INVALIDARG, "A context is needed.")
    if not isinstance(handle, kind.context) or handle.references <= 0:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "This is no such context, or one that was released.")
    return handle


def _context(handle: object) -> CertificateContext:
    return context_of(CERTIFICATES, handle)


def element_of(handle: object) -> Element:
    """The element behind a live certificate context.

    Raises:
        BadParameter: E_INVALIDARG for ``None``; ERROR_INVALID_PARAMETER, this is none, or one that was released.
    """
    return _context(handle).element


def _encoded(kind: int, encoding: object, data: object) -> bytes:
    """The bytes of exactly one certificate or CRL."""
    if not isinstance(encoding, int) or not encoding & X509_ASN_ENCODING:
        raise BadParameter(Code.E_INVALIDARG, "Certificates and CRLs are X509_ASN_ENCODING.")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise BadParameter(Code.E_INVALIDARG, f"What is encoded is bytes, not {type(data).__name__}.")
    return exactly(kind, bytes(data))


# --- contexts ---------------------------------------------------------------------------------------------------------


def create_context(kind: Kind[C], encoding: int, data: object) -> C:
    """CertCreateCertificateContext, CertCreateCRLContext."""
    return EMPTY.alone(kind, Element(_encoded(kind.number, encoding, data), None, kind.number))


def duplicate_context(kind: Kind[C], handle: object) -> C | None:
    """CertDuplicateCertificateContext, CertDuplicateCRLContext."""
    return None if is_null(handle) else context_of(kind, handle).duplicate()


def free_context(kind: Kind[C], handle: object) -> None:
    """CertFreeCertificateContext, CertFreeCRLContext."""
    if not is_null(handle):
        context_of(kind, handle).free()


def add_context(kind: Kind[C], store: object, handle: object, disposition: int) -> C:
    """CertAddCertificateContextToStore, CertAddCRLContextToStore: a copy, with all properties but handles."""
    taker = _store_or_none(store)
    element = context_of(kind, handle).element
    return taker.put(kind, element.encoded, element.copied(), disposition)


def add_encoded(kind: Kind[C], store: object, encoding: int, data: object, disposition: int) -> C:
    """CertAddEncodedCertificateToStore, CertAddEncodedCRLToStore."""
    return _store_or_none(store).put(kind, _encoded(kind.number, encoding, data), None, disposition)


def add_link(store: object, handle: object, disposition: int) -> CertificateContext:
    """CertAddCertificateLinkToStore."""
    return _store_or_none(store).link(_context(handle).element, disposition)


def add_serialized(store: object, data: object, disposition: int, types: int) -> tuple[int, Context]:
    """CertAddSerializedElementToStore: the type of the context, CERT_STORE_*_CONTEXT, and the context."""
    taker = _store_or_none(store)
    if not isinstance(data, (bytes, bytearray, memoryview, type(None))):
        raise BadParameter(Code.E_INVALIDARG, f"A serialized element is bytes, not {type(data).__name__}.")
    item = serialized.unpack_element(bytes(data or b""))
    row = _SERIALIZED.get(item.kind)
    if row is None or not types & row[1]:
        raise BadParameter(Code.E_INVALIDARG, "This is not the type of context that was asked for.")
    number, _, add = row
    return number, add(taker, item, disposition)


def _add_certificate(store: Store, item: Item, disposition: int) -> Context:
    return store.put(CERTIFICATES, item.encoded, item.properties, disposition)


def _add_crl(store: Store, item: Item, disposition: int) -> Context:
    return store.put(CRLS, item.encoded, item.properties, disposition)


_SERIALIZED: Final = {
    CERTIFICATE: (CERT_STORE_CERTIFICATE_CONTEXT, CERT_STORE_CERTIFICATE_CONTEXT_FLAG, _add_certificate),
    CRL: (CERT_STORE_CRL_CONTEXT, CERT_STORE_CRL_CONTEXT_FLAG, _add_crl),
}


def serialize(kind: Kind[C], handle: object) -> bytes:
    """CertSerializeCertificateStoreElement, CertSerializeCRLStoreElement."""
    return serialized.pack_element(context_of(kind, handle).element.written())


def _store_or_none(handle: object) -> Store:
    """NULL is the store of certificates that are in none."""
    return EMPTY if is_null(handle) else store_of(handle)


def delete_context(kind: Kind[C], handle: object) -> None:
    """CertDeleteCertificateFromStore, CertDeleteCRLFromStore: always takes one reference."""
    context_of(kind, handle).delete()


def enumerate_contexts(kind: Kind[C], store: object, previous: object) -> C | None:
    """CertEnumCertificatesInStore, CertEnumCRLsInStore."""
    return _next(kind, store, previous, lambda: EVERY)


def find_context(
    store: object, flags: int, find_type: int, para: object, previous: object
) -> CertificateContext | None:
    """CertFindCertificateInStore."""
    return _next(CERTIFICATES, store, previous, lambda: query_for(find_type, _live(para), flags))


def _live(para: object) -> object:
    """What is looked for; a context only while it is held."""
    return _context(para) if isinstance(para, CertificateContext) else para


def _next(kind: Kind[C], store: object, previous: object, query: Callable[[], Query]) -> C | None:
    """The next match; the previous context gives one reference back whatever happens."""
    before = None if is_null(previous) else context_of(kind, previous)
    try:
        return store_of(store).step(kind, before, query())
    finally:
        if before is not None:
            before.free()


# --- properties and keys ----------------------------------------------------------------------------------------------


def get_property(handle: object, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    """CertGetCertificateContextProperty."""
    return _context(handle).get(prop_id)


def set_property(handle: object, prop_id: int, flags: int, value: object) -> None:
    """CertSetCertificateContextProperty."""
    _context(handle).set(prop_id, value, flags)


def next_property(handle: object, prop_id: int) -> int:
    """CertEnumCertificateContextProperties."""
    return bag.next_id(_context(handle).element, prop_id)


def acquire_key(handle: object, flags: int, window: int | None, keys: Callable[[], KeyOpener]) -> AcquiredKey:
    """CryptAcquireCertificatePrivateKey."""
    return acquire.acquire(_context(handle), flags, window, keys())


def find_key_prov_info(handle: object, flags: int, reserved: object, keys: Callable[[], KeyOpener]) -> None:
    """CryptFindCertificateKeyProvInfo."""
    acquire.find_link(_context(handle), flags, reserved, keys())

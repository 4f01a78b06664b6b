"""PFX files into stores and back: where their private keys go, and which of them come out again.

Source: PFXImportCertStore, PFXExportCertStoreEx (wincrypt.h); RFC 7292.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from calais.minidriver.administration import KeyOrder
from calais.provider import containeradmin
from calais.provider.caller import Caller, Face
from calais.provider.container import Container
from calais.provider.csp.acquire import Host
from calais.provider.csp.context import CspContext
from calais.provider.csp.memorykeys import MemorySlots
from calais.provider.csp.providers import BASE, ENHANCED, PERSONAL
from calais.provider.ksp import making
from calais.provider.ksp.handles import KeySettings, NCryptKey
from calais.provider.ksp.keyblobs import Parsed
from calais.provider.ksp.storage import CARD, MEMORY, Storage
from calais.provider.names import ContainerName
from calais.store import certificate
from calais.store.api import KeyHandle
from calais.store.calls import store_of
from calais.store.formats import pkcs12
from calais.store.formats.items import Item
from calais.store.formats.pkcs12 import Entry, Opened, PfxKey
from calais.store.model import CERTIFICATES, Element
from calais.store.stores import Store
from calais.win import flags
from calais.win.blobs import PrivateKey, Scheme
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported, WinError
from calais.win.flags import PropId
from calais.win.structs import CertKeyContext, CryptKeyProvInfo

CNG: Final = flags.PKCS12_PREFER_CNG_KSP | flags.PKCS12_ALWAYS_CNG_KSP
_IMPORT_FLAGS: Final = (
    flags.CRYPT_EXPORTABLE
    | flags.CRYPT_USER_PROTECTED
    | flags.CRYPT_MACHINE_KEYSET
    | flags.CRYPT_USER_KEYSET
    | flags.PKCS12_INCLUDE_EXTENDED_PROPERTIES
    | flags.PKCS12_IMPORT_SILENT
    | flags.PKCS12_ALLOW_OVERWRITE_KEY
    | flags.PKCS12_ONLY_CERTIFICATES
    | flags.PKCS12_NO_PERSIST_KEY
    | CNG
)
_EXPORT_FLAGS: Final = (
    flags.EXPORT_PRIVATE_KEYS
    | flags.REPORT_NO_PRIVATE_KEY
    | flags.REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY
    | flags.PKCS12_INCLUDE_EXTENDED_PROPERTIES
)
_EXPORTABLE: Final = flags.NCRYPT_ALLOW_EXPORT_FLAG | flags.NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG
_NOT_ASN1: Final = (Code.CRYPT_E_ASN1_EOD, Code.CRYPT_E_ASN1_CORRUPT)
System = Callable[[], Host]


# --- questions --------------------------------------------------------------------------------------------------------


def is_pfx(data: object) -> bool:
    """PFXIsPFXBlob: by its outline; nothing is opened."""
    return isinstance(data, bytes | bytearray | memoryview) and pkcs12.is_pfx(bytes(data))


def opens(data: object, password: object) -> bool:
    """PFXVerifyPassword.

    Raises:
        BadData: CRYPT_E_ASN1_LARGE, one that is made to keep its reader busy.
    """
    if not is_pfx(data):
        return False
    try:
        _opened(data, password, with_keys=False)
    except WinError as error:
        if error.code not in (Code.ERROR_INVALID_PASSWORD, Code.CRYPT_E_ASN1_BADTAG):
            raise
        return False
    return True


def _opened(data: object, password: object, *, with_keys: bool) -> Opened:
    if not isinstance(data, bytes | bytearray | memoryview) or not isinstance(password, str | None):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "a PFX is bytes, its password is text")
    try:
        return pkcs12.open_pfx(bytes(data), password, with_keys=with_keys)
    except BadData as error:
        if error.code not in _NOT_ASN1:
            raise
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, error.detail, index=error.index) from error


# --- import -----------------------------------------------------------------------------------------------------------


def import_store(data: object, password: object, given: object, system: System) -> Store:
    """PFXImportCertStore: a memory store with the certificates, linked to where their keys went.

    Args:
        data: the PFX.
        password: ``None`` or ``""`` = none, or an empty one.
        given: PKCS12_* and CRYPT_* flags.
        system: whose cards take the keys; asked for only when some do.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER.
        BadData: CRYPT_E_ASN1_BADTAG, it is no PFX; CRYPT_E_ASN1_LARGE.
        AccessDenied: NTE_PERM, policy lets no such keys onto cards.
        WinError: ERROR_INVALID_PASSWORD; NTE_NOT_SUPPORTED, a kind of key that nothing here has; what the card says.
            Nothing is left half imported.
    """
    if not isinstance(given, int) or given & ~_IMPORT_FLAGS:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, f"{given!r} are no flags for an import")
    opened = _opened(data, password, with_keys=not given & flags.PKCS12_ONLY_CERTIFICATES)
    keys = [_Incoming.of(key, opened) for key in opened.keys]
    with ExitStack() as undo:
        take = _into_memory if given & flags.PKCS12_NO_PERSIST_KEY else _onto_cards
        places = take(keys, given, system, undo)
        store = _filled(opened, places)
        undo.pop_all()
    return store


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A key that comes in; ``scheme``: what an EC key is for; ``item``: its certificate, if there is one."""

    key: PrivateKey
    provider: str
    scheme: Scheme
    public_der: bytes
    item: Item | None

    @classmethod
    def of(cls, found: PfxKey, opened: Opened) -> _Incoming:
        """The key with its certificate.

        Raises:
            Unsupported: NTE_NOT_SUPPORTED, neither RSA nor EC.
        """
        if not isinstance(found.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise Unsupported(Code.NTE_NOT_SUPPORTED, "a key in the PFX is neither RSA nor EC")
        item = next((each for each in opened.items if _key_of(each) == found.public_der), None)
        return cls(found.key, found.provider, _scheme(item), found.public_der, item)

    @property
    def is_rsa(self) -> bool:
        """Whether it is RSA."""
        return isinstance(self.key, rsa.RSAPrivateKey)

    @property
    def key_spec(self) -> int:
        """The slot it goes into: RSA keys as those for exchange."""
        return flags.AT_KEYEXCHANGE if self.is_rsa or self.scheme == "ECDH" else flags.AT_SIGNATURE


def _key_of(item: Item) -> bytes:
    return certificate.parse(item.encoded).public_key_der


def _scheme(item: Item | None) -> Scheme:
    """Keys whose certificate is for key agreement and not for signatures are ECDH keys."""
    try:
        found = x509.load_der_x509_certificate(item.encoded if item else b"").extensions
        usage = found.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return "ECDSA"
    return "ECDH" if usage.key_agreement and not usage.digital_signature else "ECDSA"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a key went: a handle for property 5, or a link for property 2."""

    handle: CertKeyContext | None = None
    link: CryptKeyProvInfo | None = None

    def tell(self, context_set: Callable[[int, object], None]) -> None:
        """Set the property that leads to the key."""
        if self.handle is not None:
            context_set(PropId.KEY_CONTEXT, self.handle)
        if self.link is not None:
            context_set(PropId.KEY_PROV_INFO, self.link)


_Places = dict[bytes, _Place]


def _filled(opened: Opened, places: _Places) -> Store:
    """A memory store; the certificate of the first key is enumerated first."""
    store = Store()
    for item in reversed(opened.items):
        context = store.put(CERTIFICATES, item.encoded, item.properties, flags.CERT_STORE_ADD_ALWAYS)
        place = places.pop(_key_of(item), None)
        if place is not None:
            place.tell(context.set)
        context.free()
    return store


def _into_memory(keys: list[_Incoming], given: int, system: System, undo: ExitStack) -> _Places:
    """PKCS12_NO_PERSIST_KEY; keys without certificate have nothing to hang on."""
    places: _Places = {}
    for each in keys:
        if each.item is not None:
            handle = _in_memory(each, given, system)
            undo.callback(handle.handle.close)  # type: ignore[attr-defined]
            places[each.public_der] = _Place(handle=handle)
    return places


def _in_memory(key: _Incoming, given: int, system: System) -> CertKeyContext:
    if isinstance(key.key, rsa.RSAPrivateKey) and not given & CNG:
        slots = MemorySlots(ENHANCED.rsa)
        slots.import_private(key.key, flags.AT_KEYEXCHANGE, given & flags.CRYPT_EXPORTABLE)
        return CertKeyContext(CspContext(ENHANCED, slots, flags=flags.CRYPT_VERIFYCONTEXT), flags.AT_KEYEXCHANGE)
    settings = KeySettings(export_policy=_EXPORTABLE if given & flags.CRYPT_EXPORTABLE else 0)
    parsed = Parsed(key.key.public_key(), key.key, key.scheme)
    # nobody asks for the system of a key in memory
    storage = Storage(MEMORY, system)  # type: ignore[arg-type]
    made = making.imported_nameless(storage, parsed, settings, finish=True)
    return CertKeyContext(made, flags.CERT_NCRYPT_KEY_SPEC)


def _onto_cards(keys: list[_Incoming], given: int, system: System, undo: ExitStack) -> _Places:
    """Each key into a new container, with its certificate beside it."""
    if not keys:
        return {}
    host = system()
    for each in keys:
        containeradmin.check_import(host.policy, each.key, each.key_spec)
    return {each.public_der: _on_card(each, given, host, undo) for each in keys}


def _on_card(key: _Incoming, given: int, host: Host, undo: ExitStack) -> _Place:
    provider = _provider_for(key, given)
    face = Face.CRYPTOAPI if provider.prov_type else Face.CNG
    caller = Caller(face, silent=bool(given & flags.PKCS12_IMPORT_SILENT))
    name = str(uuid4())
    card = host.choosing.room(ContainerName(None, name), caller)
    order = KeyOrder(key=key.key, purpose=containeradmin.purpose_of(key.key_spec))
    container = containeradmin.create_with_key(card, name, order)
    undo.callback(_delete, container)
    if key.item is not None:
        containeradmin.write_certificate(container, key.item.encoded)
    spec = key.key_spec if provider.prov_type else 0
    return _Place(link=CryptKeyProvInfo(container.name, provider.name, provider.prov_type, 0, key_spec=spec))


def _delete(container: Container) -> None:
    try:
        containeradmin.delete_container(container)
    except WinError:
        return  # the first failure is the one to tell


@dataclass(frozen=True, slots=True)
class _Named:
    """A provider as links name it; ``prov_type`` 0 = the key storage provider."""

    name: str
    prov_type: int


_KSP: Final = _Named(CARD.name, 0)
_ON_CARDS: Final = {
    row.name.casefold(): row
    for row in (_KSP, _Named(BASE.name, BASE.prov_type), _Named(PERSONAL.name, PERSONAL.prov_type))
}


def _provider_for(key: _Incoming, given: int) -> _Named:
    """The provider that the file names if it is one with cards, else Base; EC keys are CNG's."""
    if not key.is_rsa or given & flags.PKCS12_ALWAYS_CNG_KSP:
        return _KSP
    usual = _KSP if given & flags.PKCS12_PREFER_CNG_KSP else _ON_CARDS[BASE.name.casefold()]
    return _ON_CARDS.get(key.provider.casefold(), usual)


# --- export -----------------------------------------------------------------------------------------------------------


def export_store(handle: object, password: object, para: object, given: object) -> bytes:
    """PFXExportCertStoreEx: the certificates of a store, in the order they were added, and keys if they may go.

    Args:
        handle: the store.
        password: ``None`` or ``""`` = nothing protects it.
        para: ``None``.
        given: EXPORT_PRIVATE_KEYS, REPORT_NO_PRIVATE_KEY, REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY,
            PKCS12_INCLUDE_EXTENDED_PROPERTIES.

    Raises:
        BadParameter: E_INVALIDARG, ERROR_INVALID_PARAMETER.
        WinError: NTE_NO_KEY, NTE_BAD_KEY_STATE, as reported by those flags.
        BadData: CRYPT_E_ASN1_BADTAG, a certificate is too odd for this format.
    """
    store = store_of(handle)
    if not isinstance(given, int) or given & ~_EXPORT_FLAGS or para is not None or not isinstance(password, str | None):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "there is no such way to export a store")
    entries = [_entry(element, given) for element in _elements(store)]
    return pkcs12.build_pfx(entries[::-1], password)


def _elements(store: Store) -> Iterator[Element]:
    for context in store.run():
        element = context.element
        context.free()
        yield element


def _entry(element: Element, given: int) -> Entry:
    """What goes out of one certificate."""
    key = _exportable(element)
    has_key = key is not None or _has_handle(element) or element.lookup(PropId.KEY_PROV_INFO) is not None
    if not has_key and given & flags.REPORT_NO_PRIVATE_KEY:
        raise NotFound(Code.NTE_NO_KEY, "a certificate in the store has no private key")
    if has_key and key is None and given & flags.REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY:
        detail = "the private key of a certificate in the store is not one to export"
        raise WinError.of(Code.NTE_BAD_KEY_STATE, detail, next_step="keys on cards stay there; export without them")
    name = (element.lookup(PropId.FRIENDLY_NAME) or b"").decode("utf-16-le", "replace").partition("\0")[0]
    return Entry(element.encoded, name, key if given & flags.EXPORT_PRIVATE_KEYS else None)


def _has_handle(element: Element) -> bool:
    return element.slot is not None and isinstance(element.slot.handle, KeyHandle)


def _exportable(element: Element) -> PrivateKeyTypes | None:
    """The key behind the handle of a certificate, if it is in memory, may leave it, and is the certificate's."""
    slot = element.slot
    if slot is None:
        return None
    key: PrivateKeyTypes | None = None
    if isinstance(slot.handle, CspContext) and slot.handle.is_open:
        found = slot.handle.slots.get(slot.key_spec) if not slot.handle.slots.on_card else None
        key = found.private_key() if found is not None else None
    elif isinstance(slot.handle, NCryptKey) and slot.handle.is_open and slot.handle.draft is None:
        key = slot.handle.material.private_key if slot.handle.settings.export_policy & _EXPORTABLE else None
    return key if key is not None and PfxKey(key).public_der == element.outline.public_key_der else None

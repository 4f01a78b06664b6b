"""Certificates that a key signs for itself, and where that key comes from.

=========== ============== ==========================================================================
handle      link           the key
=========== ============== ==========================================================================
none        none           new, for signatures, in a new container on the first card with room
none        given          that of the link; container and key are made where they are missing
provider    none           its AT_SIGNATURE key, else its AT_KEYEXCHANGE key
provider    given          that of the link's key spec
CNG key     any            that one
=========== ============== ==========================================================================

What was made for a certificate that then cannot be signed is deleted again.

Source: CertCreateSelfSignCertificate (wincrypt.h); RFC 5280, 4.1.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime
from functools import partial
from typing import Final
from uuid import uuid4

from calais.provider import certsigning, containeradmin
from calais.provider.caller import Caller, Face
from calais.provider.certsigning import CngSigningKey, CspSigningKey, SigningKey
from calais.provider.container import Container
from calais.provider.csp.calls import contexts, keys
from calais.provider.csp.calls.contexts import Host
from calais.provider.csp.context import ADVAPI32, CspContext
from calais.provider.csp.provparams import set_pin
from calais.provider.ksp import cardkeys, making
from calais.provider.ksp.algorithms import RSA, KeyAlgorithm, algorithm_named
from calais.provider.ksp.handles import KeySettings, NCryptKey
from calais.provider.ksp.making import Wanted
from calais.provider.ksp.storage import CARD, Storage
from calais.provider.names import PREFIX, check_ksp
from calais.store import arguments, names, signatures
from calais.store.coding import structures
from calais.store.model import CertificateContext
from calais.store.stores import EMPTY
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import PropId, SignatureOid
from calais.win.flags.ncrypt import Algorithm
from calais.win.structs import CertExtension, CertInfo, CryptAlgorithmIdentifier, CryptKeyProvInfo

NO_SIGN, NO_KEY_INFO = flags.CERT_CREATE_SELFSIGN_NO_SIGN, flags.CERT_CREATE_SELFSIGN_NO_KEY_INFO
SERIAL_BYTES: Final = 16
_VERSION_3: Final = 2
_NOBODY: Final = b"\x30\x00"
_SPECS: Final = (0, flags.AT_KEYEXCHANGE, flags.AT_SIGNATURE)
_PIN_PARAMS: Final = (flags.PP_KEYEXCHANGE_PIN, flags.PP_SIGNATURE_PIN)
_MISSING: Final = Code.NTE_BAD_KEYSET
# Where one card refuses so, another may have room; of several reasons the first is told.
_NEXT_CARD: Final[tuple[int, ...]] = (Code.NTE_TOKEN_KEYSET_STORAGE_FULL, Code.SCARD_E_READ_ONLY_CARD)
_CSP_FAMILIES: Final = (signatures.RSA, signatures.BARE)
_KSP_FAMILIES: Final = (*_CSP_FAMILIES, signatures.PSS, signatures.ECDSA)
System = Callable[[], Host]


@dataclass(frozen=True, slots=True)
class Request:
    """What a certificate is to say; ``algorithm`` ``None`` = the usual one of the key."""

    name: bytes
    flags: int
    algorithm: CryptAlgorithmIdentifier | None
    start: datetime
    end: datetime
    extensions: tuple[CertExtension, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """The key, and what property 2 says of it; ``None`` = nothing."""

    key: SigningKey
    link: CryptKeyProvInfo | None


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of a call, as they came; see ``Request``."""

    name: object
    flags: int
    algorithm: object = None
    start: object = None
    end: object = None
    extensions: object = ()


def create(handle: object, link: object, wish: Wish, system: System) -> CertificateContext:
    """CertCreateSelfSignCertificate: the certificate, in no store.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER, no open handle; E_INVALIDARG.
        BadData: CRYPT_E_ASN1_*, no name.
        WinError: NTE_NO_KEY; NTE_BAD_ALGID; NTE_PROV_TYPE_NO_MATCH, NTE_KEYSET_NOT_DEF, an unknown provider;
            what the provider and the card say.
    """
    certsigning.check_handle(handle)
    request = _checked(wish)
    if not isinstance(link, CryptKeyProvInfo | None):
        raise BadParameter(Code.E_INVALIDARG, "a link is a CryptKeyProvInfo")
    with ExitStack() as undo, ExitStack() as closing:
        found = _found(handle, link, request, _Making(system, undo, closing))
        encoded = _signed(found.key, request)
        undo.pop_all()
    context = EMPTY.free_standing(encoded)
    if found.link is not None and not request.flags & NO_KEY_INFO:
        context.set(PropId.KEY_PROV_INFO, found.link)
    return context


def _checked(wish: Wish) -> Request:
    if arguments.number(wish.flags) & ~(NO_SIGN | NO_KEY_INFO):
        raise BadParameter(Code.E_INVALIDARG, "these flags are not for self-signed certificates")
    by = None if wish.algorithm is None else signatures.complete(signatures.identifier(wish.algorithm))
    begin = datetime.now(UTC) if wish.start is None else _moment(wish.start)
    over = _a_year_after(begin) if wish.end is None else _moment(wish.end)
    return Request(_name(wish.name), wish.flags, by, begin, over, _extensions(wish.extensions))


def _name(name: object) -> bytes:
    if not isinstance(name, bytes | bytearray | memoryview):
        raise BadParameter(Code.E_INVALIDARG, "a name is DER")
    encoded = bytes(name) or _NOBODY
    names.parse(encoded)
    return encoded


def _moment(given: object) -> datetime:
    """A time without zone is UTC."""
    if not isinstance(given, datetime):
        raise BadParameter(Code.E_INVALIDARG, "a time is a datetime")
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def _a_year_after(begin: datetime) -> datetime:
    try:
        return begin.replace(year=min(begin.year + 1, MAXYEAR))
    except ValueError:  # 29 February
        return begin.replace(year=begin.year + 1, day=28)


def _extensions(given: object) -> tuple[CertExtension, ...]:
    if not isinstance(given, Iterable | None):
        raise BadParameter(Code.E_INVALIDARG, "extensions are a sequence of CertExtension")
    listed = tuple(given or ())
    if not all(isinstance(each, CertExtension) for each in listed):
        raise BadParameter(Code.E_INVALIDARG, "extensions are a sequence of CertExtension")
    return listed


# --- the certificate --------------------------------------------------------------------------------------------------


def _signed(key: SigningKey, request: Request) -> bytes:
    """The certificate; without signature the key's private half is not touched."""
    info = certsigning.info_of(key.public_key())
    if request.flags & NO_SIGN:
        by = signatures.complete(CryptAlgorithmIdentifier(str(SignatureOid.PKIX_NO_SIGNATURE)))
    else:
        by = request.algorithm or signatures.default_algorithm(info, _usual_digest(key))
    part = CertInfo(
        serial=int.from_bytes(secrets.token_bytes(SERIAL_BYTES), "big") >> 1 | 1 << (8 * SERIAL_BYTES - 2),
        version=_VERSION_3,
        signature_algorithm=by,
        issuer=request.name,
        subject=request.name,
        not_before=request.start,
        not_after=request.end,
        public_key=info,
        extensions=request.extensions,
    )
    encoded = structures.encode(flags.X509_ASN_ENCODING, 2, part)
    return certsigning.signed_by(key, encoded, by)


def _usual_digest(key: SigningKey) -> str:
    """SHA-256, unless the provider has no such hash (Personal CSP)."""
    if isinstance(key, CspSigningKey):
        known = {row.alg_id for row in key.context.provider.algorithms}
        return "sha256" if flags.CALG_SHA_256 in known else "sha1"
    return "sha256"


# --- the key ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Making:
    """Where keys are looked for and made; ``undo``: what is due if it comes to nothing; ``closing``: in any case."""

    system: System
    undo: ExitStack
    closing: ExitStack

    def delete_again(self, context: CspContext) -> None:
        """Delete the container of ``context``, wherever it is by then, unless a certificate comes of it."""
        self.undo.callback(_delete_of, context)


def _delete_of(context: CspContext) -> None:
    if context.container is not None:
        _delete(context.container)


def _delete(container: Container) -> None:
    try:
        containeradmin.delete_container(container)
    except WinError:
        return  # the first failure is the one to tell


def _found(handle: object, link: CryptKeyProvInfo | None, request: Request, where: _Making) -> _Found:
    if isinstance(handle, NCryptKey):
        return _Found(CngSigningKey(handle), link if link and not link.prov_type else _link_to_key(handle))
    if isinstance(handle, CspContext):
        return _in_provider(handle, link)
    _check_algorithm(request, for_csp=link is None or bool(link.prov_type))
    if link is None:
        return _new_on_card(where)
    return _by_csp(link, where) if link.prov_type else _by_ksp(link, request, where)


def _check_algorithm(request: Request, *, for_csp: bool) -> None:
    """Raise for a signature that no key makes which would be made for it.

    Raises:
        WinError: NTE_BAD_ALGID.
    """
    if request.algorithm is None or request.flags & NO_SIGN:
        return
    family = signatures.scheme_of(request.algorithm).family
    if family not in (_CSP_FAMILIES if for_csp else _KSP_FAMILIES):
        raise WinError.of(Code.NTE_BAD_ALGID, f"{request.algorithm.oid} is no signature of such keys")


def _link_to_key(key: NCryptKey) -> CryptKeyProvInfo | None:
    """A nameless key has none."""
    if key.place is None:
        return None
    return CryptKeyProvInfo(key.place.name, str(flags.MS_SMART_CARD_KEY_STORAGE_PROVIDER), 0)


def _in_provider(context: CspContext, link: CryptKeyProvInfo | None) -> _Found:
    if link is not None and link.key_spec:
        key = CspSigningKey(context, link.key_spec)
        key.public_key()
        return _Found(key, _without_pins(link))
    with context.guard():
        present = [spec for spec in (flags.AT_SIGNATURE, flags.AT_KEYEXCHANGE) if context.slots.get(spec) is not None]
    if not present:
        raise NotFound(Code.NTE_NO_KEY, "the provider has no key", next_step="make one: CryptGenKey")
    return _Found(CspSigningKey(context, present[0]), _without_pins(link) if link else link_of(context, present[0]))


def link_of(context: CspContext, key_spec: int) -> CryptKeyProvInfo | None:
    """What a provider says of itself; keys that it has in memory while its containers are on cards have no name."""
    row = context.provider
    if row.on_cards and not context.container_name:
        return None
    return CryptKeyProvInfo(context.container_name, row.name, row.prov_type, 0, key_spec=key_spec)


def _without_pins(link: CryptKeyProvInfo) -> CryptKeyProvInfo:
    """A link that is kept holds no PIN."""
    return replace(link, params=tuple(each for each in link.params if each.param not in _PIN_PARAMS))


def _new_on_card(where: _Making) -> _Found:
    """A key in a new container, on the first card that takes it."""
    refusals: list[WinError] = []
    name = str(uuid4())
    for card in where.system().choosing.cards(None, Caller(Face.CRYPTOAPI)):
        try:
            return _new_in(f"{PREFIX}{card.reader}\\{name}", where)
        except WinError as error:
            if error.code not in _NEXT_CARD:
                raise
            refusals.append(error)
    raise min(refusals, key=lambda refusal: _NEXT_CARD.index(refusal.code))


def _new_in(name: str, where: _Making) -> _Found:
    context = _acquire(name, str(flags.MS_SCARD_PROV), flags.PROV_RSA_FULL, flags.CRYPT_NEWKEYSET, where)
    try:
        found = _with_new_key(context, flags.AT_SIGNATURE)
    except WinError:
        _delete_of(context)
        raise
    where.delete_again(context)
    return found


def _acquire(name: str, provider: str, prov_type: int, given: int, where: _Making) -> CspContext:
    context = contexts.acquire_by_type(name, provider or None, prov_type, given, where.system)
    if context is None:
        raise NotFound(_MISSING, "there is no such container")
    where.closing.callback(context.close)
    return context


def _with_new_key(context: CspContext, key_spec: int) -> _Found:
    with keys.generate(ADVAPI32, context, key_spec, context.provider.key_needs):
        return _Found(CspSigningKey(context, key_spec), link_of(context, key_spec))


# --- from a link ------------------------------------------------------------------------------------------------------


def _by_csp(link: CryptKeyProvInfo, where: _Making) -> _Found:
    """The key of a link to a CSP; container and key are made where they are missing."""
    spec = link.key_spec or flags.AT_SIGNATURE
    if spec not in _SPECS:
        raise WinError.of(Code.NTE_BAD_KEY, f"{spec} is neither AT_KEYEXCHANGE nor AT_SIGNATURE")
    given = link.flags & ~flags.CERT_SET_KEY_PROV_HANDLE_PROP_ID
    open_it = partial(_acquire, link.container_name, link.prov_name, link.prov_type)
    try:
        context = open_it(given, where)
    except NotFound as error:
        if error.code != _MISSING:
            raise
        context = open_it(given | flags.CRYPT_NEWKEYSET, where)
        where.delete_again(context)
    with context.guard():
        _give_pins(context, link)
        is_there = context.slots.get(spec) is not None
    found = _Found(CspSigningKey(context, spec), None) if is_there else _with_new_key(context, spec)
    return replace(found, link=_named(link, context.container_name, spec))


def _give_pins(context: CspContext, link: CryptKeyProvInfo) -> None:
    for param in link.params:
        if param.param not in _PIN_PARAMS:
            raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param.param} cannot be set in a link")
        set_pin(context, param.data.split(b"\0")[0])


def _named(link: CryptKeyProvInfo, name: str, key_spec: int) -> CryptKeyProvInfo:
    """The link as it was given; what it left open is filled in."""
    link = _without_pins(link)
    return replace(link, container_name=link.container_name or name, key_spec=link.key_spec or key_spec)


def _by_ksp(link: CryptKeyProvInfo, request: Request, where: _Making) -> _Found:
    """The key of a link to the key storage provider; it is made where it is missing."""
    check_ksp(link.prov_name)
    spec = link.key_spec if link.key_spec in _SPECS else 0
    settings = KeySettings(silent=bool(link.flags & flags.CRYPT_SILENT))
    storage = Storage(CARD, where.system)  # type: ignore[arg-type]
    try:
        key = cardkeys.open_key(storage, link.container_name, spec, settings)
    except NotFound as error:
        if error.code not in (_MISSING, Code.NTE_NO_KEY):
            raise
        key = _new_by_ksp(storage, link, spec, request)
        if error.code == _MISSING and key.place is not None and key.place.container is not None:
            where.undo.callback(_delete, key.place.container)
    where.closing.callback(key.close)
    name = key.place.name if key.place else ""
    return _Found(CngSigningKey(key), replace(_without_pins(link), container_name=link.container_name or name))


def _new_by_ksp(storage: Storage, link: CryptKeyProvInfo, spec: int, request: Request) -> NCryptKey:
    algorithm = _algorithm_for(request)
    settings = KeySettings(silent=bool(link.flags & flags.CRYPT_SILENT))
    slot = spec if algorithm.is_rsa and spec else flags.AT_SIGNATURE
    key = making.new_on_card(storage, Wanted(link.container_name, algorithm, slot, overwrite=False), settings)
    try:
        key.finish(silent=settings.silent)
    except WinError:
        key.close()
        raise
    return key


def _algorithm_for(request: Request) -> KeyAlgorithm:
    """The kind of a new key: as the signature wants it."""
    if request.algorithm and signatures.scheme_of(request.algorithm).family == signatures.ECDSA:
        return algorithm_named(Algorithm.ECDSA_P256)
    return RSA

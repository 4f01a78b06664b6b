"""Key blobs by their type name: what can be exported, and what an import makes of them.

Source: Microsoft, ``NCryptExportKey``, ``NCryptImportKey``; bcrypt.h (layouts, see ``calais.win.blobs``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from calais.provider.ksp import pkcs8
from calais.provider.ksp.errors import bad_parameter, in_memory, not_supported
from calais.win import blobs, flags
from calais.win.blobs import PrivateKey, PublicKey, Scheme
from calais.win.flags.ncrypt import BlobType
from calais.win.structs import BCryptBuffer

CAPI_OF_SPEC = {flags.AT_KEYEXCHANGE: flags.CALG_RSA_KEYX, flags.AT_SIGNATURE: flags.CALG_RSA_SIGN}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What came in ``pParameterList``: ``name`` of a key on a card, ``password`` and ``oid`` of its encryption."""

    name: str | None = None
    password: bytes | None = field(default=None, repr=False)
    oid: str | None = None


@dataclass(frozen=True, slots=True)
class KeyBlob:
    """A key that is to be exported; ``key_spec`` is that of its slot, AT_KEYEXCHANGE for nameless keys."""

    public: PublicKey
    private: PrivateKey | None = field(repr=False)
    scheme: Scheme
    key_spec: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A key that was in a blob; ``scheme``: what an EC key is for; ``key_spec``: of RSA, where the blob says it."""

    public: PublicKey
    private: PrivateKey | None = field(default=None, repr=False)
    scheme: Scheme = "ECDSA"
    key_spec: int = flags.AT_KEYEXCHANGE


Build = Callable[[KeyBlob, Parameters], bytes]
Parse = Callable[[bytes, Parameters], Parsed]


@dataclass(frozen=True, slots=True)
class BlobRow:
    """One type: whether private, how it is built and parsed, and which parameters it takes."""

    private: bool
    build: Build
    parse: Parse
    exports: frozenset[int] = frozenset()
    imports: frozenset[int] = frozenset()


def blob_type(name: object) -> BlobRow:
    """The row of a blob type.

    Raises:
        BadParameter: no name. Unsupported: ``NTE_NOT_SUPPORTED``, none of the table.
    """
    if not isinstance(name, str) or not name:
        raise bad_parameter("a blob type must be named")
    found = _TYPES.get(name)
    if found is None:
        raise not_supported(f"key blobs of type {name!r} are not offered")
    return found


# --- parameters ------------------------------------------------------------------------------------------------------


def parameters(given: object, allowed: frozenset[int]) -> Parameters:
    """What ``given`` says, a sequence of ``BCryptBuffer``; ``None`` is an empty one.

    Raises:
        BadParameter: something else in it, a parameter that is not ``allowed``, or one that comes twice.
    """
    found: dict[int, bytes | str] = {}
    for item in buffers(given):
        if item.type not in allowed or item.type in found:
            raise bad_parameter(f"parameter {item.type} does not go with this blob type, or comes twice")
        found[item.type] = item.value
    oid = found.get(flags.NCRYPTBUFFER_PKCS_OID, found.get(flags.NCRYPTBUFFER_PKCS_ALG_ID))
    return Parameters(
        _text(found.get(flags.NCRYPTBUFFER_PKCS_KEY_NAME)),
        _password(found.get(flags.NCRYPTBUFFER_PKCS_SECRET)),
        _text(oid),
    )


def buffers(given: object) -> list[BCryptBuffer]:
    """``given`` as a list of well-formed buffers.

    Raises:
        BadParameter: it is none.
    """
    items = [] if given is None else given
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise bad_parameter("parameters are a sequence of BCryptBuffer")
    found = list(items)
    for item in found:
        if not isinstance(item, BCryptBuffer) or not isinstance(item.value, bytes | str):
            raise bad_parameter("a parameter is a BCryptBuffer of bytes or text")
    return found


def _text(value: bytes | str | None) -> str | None:
    """Text of any width: bytes with zeros in them are UTF-16."""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-16-le" if b"\0" in value[:2] else "utf-8")
        except UnicodeDecodeError as error:
            raise bad_parameter("a parameter that is no text") from error
    return None if value is None else value.rstrip("\0")


def _password(value: bytes | str | None) -> bytes | None:
    text = _text(value)
    if text == "":
        raise bad_parameter("an empty password encrypts nothing")
    try:
        return None if text is None else text.encode()
    except UnicodeEncodeError as error:
        raise bad_parameter("the password is no text") from error


# --- building --------------------------------------------------------------------------------------------------------


def _rsa(key: KeyBlob) -> rsa.RSAPublicKey:
    if not isinstance(key.public, rsa.RSAPublicKey):
        raise not_supported("this blob type is for RSA keys")
    return key.public


def _ecc(key: KeyBlob) -> ec.EllipticCurvePublicKey:
    if not isinstance(key.public, ec.EllipticCurvePublicKey):
        raise not_supported("this blob type is for EC keys")
    return key.public


def _private_rsa(key: KeyBlob) -> rsa.RSAPrivateKey:
    if not isinstance(key.private, rsa.RSAPrivateKey):
        raise not_supported("this blob type is for RSA pairs")
    return key.private


def _private_ecc(key: KeyBlob) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key.private, ec.EllipticCurvePrivateKey):
        raise not_supported("this blob type is for EC pairs")
    return key.private


def _build_rsa_public(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_rsa_public(_rsa(key))


def _build_ecc_public(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_ecc_public(_ecc(key), key.scheme)


def _build_public(key: KeyBlob, given: Parameters) -> bytes:
    is_rsa = isinstance(key.public, rsa.RSAPublicKey)
    return _build_rsa_public(key, given) if is_rsa else _build_ecc_public(key, given)


def _build_capi_public(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_capi_public(_rsa(key), CAPI_OF_SPEC[key.key_spec])


def _build_rsa_private(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_rsa_private(_private_rsa(key))


def _build_rsa_full(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_rsa_private(_private_rsa(key), full=True)


def _build_ecc_private(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_ecc_private(_private_ecc(key), key.scheme)


def _build_private(key: KeyBlob, given: Parameters) -> bytes:
    is_rsa = isinstance(key.public, rsa.RSAPublicKey)
    return _build_rsa_private(key, given) if is_rsa else _build_ecc_private(key, given)


def _build_capi_private(key: KeyBlob, _: Parameters) -> bytes:
    return blobs.build_capi_private(_private_rsa(key), CAPI_OF_SPEC[key.key_spec])


def _build_pkcs8(key: KeyBlob, given: Parameters) -> bytes:
    if key.private is None:
        raise not_supported("this is a public key")
    if given.password is None:
        return pkcs8.build(key.private, key.scheme)
    return pkcs8.encrypt(key.private, key.scheme, given.password, given.oid)


# --- parsing ---------------------------------------------------------------------------------------------------------


def _parse_rsa_public(data: bytes, _: Parameters) -> Parsed:
    return Parsed(blobs.parse_rsa_public(data))


def _parse_ecc_public(data: bytes, _: Parameters) -> Parsed:
    key, scheme = blobs.parse_ecc_public(data)
    return Parsed(key, scheme=scheme)


def _parse_public(data: bytes, given: Parameters) -> Parsed:
    is_rsa = _magic(data) == flags.BCRYPT_RSAPUBLIC_MAGIC
    return (_parse_rsa_public if is_rsa else _parse_ecc_public)(data, given)


def _parse_capi_public(data: bytes, _: Parameters) -> Parsed:
    key, alg_id = blobs.parse_capi_public(data)
    return Parsed(key, key_spec=_spec_of(alg_id))


def _parse_rsa_private(data: bytes, _: Parameters) -> Parsed:
    return _pair(blobs.parse_rsa_private(data))


def _parse_ecc_private(data: bytes, _: Parameters) -> Parsed:
    return _pair(*blobs.parse_ecc_private(data))


def _parse_private(data: bytes, given: Parameters) -> Parsed:
    is_rsa = _magic(data) in (flags.BCRYPT_RSAPRIVATE_MAGIC, flags.BCRYPT_RSAFULLPRIVATE_MAGIC)
    return (_parse_rsa_private if is_rsa else _parse_ecc_private)(data, given)


def _parse_capi_private(data: bytes, _: Parameters) -> Parsed:
    key, alg_id = blobs.parse_capi_private(data)
    return _pair(key, key_spec=_spec_of(alg_id))


def _parse_pkcs8(data: bytes, given: Parameters) -> Parsed:
    return _pair(*pkcs8.parse(data, given.password))


def _pair(key: PrivateKey, scheme: Scheme = "ECDSA", key_spec: int = flags.AT_KEYEXCHANGE) -> Parsed:
    return Parsed(key.public_key(), key, scheme, key_spec)


def _magic(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


def _spec_of(alg_id: int) -> int:
    return flags.AT_SIGNATURE if alg_id == flags.CALG_RSA_SIGN else flags.AT_KEYEXCHANGE


def parse(row: BlobRow, data: bytes, given: Parameters) -> Parsed:
    """The key in ``data``.

    Raises:
        BadData: ``NTE_BAD_DATA``, malformed.
        WinError: as ``pkcs8.parse``.
    """
    with in_memory():
        return row.parse(data, given)


# --- the table -------------------------------------------------------------------------------------------------------

_NAME = frozenset((flags.NCRYPTBUFFER_PKCS_KEY_NAME,))
_PKCS8 = frozenset((flags.NCRYPTBUFFER_PKCS_OID, flags.NCRYPTBUFFER_PKCS_ALG_ID, flags.NCRYPTBUFFER_PKCS_SECRET))
_TYPES: Mapping[str, BlobRow] = {
    BlobType.PUBLIC_KEY: BlobRow(private=False, build=_build_public, parse=_parse_public),
    BlobType.RSAPUBLIC: BlobRow(private=False, build=_build_rsa_public, parse=_parse_rsa_public),
    BlobType.ECCPUBLIC: BlobRow(private=False, build=_build_ecc_public, parse=_parse_ecc_public),
    BlobType.LEGACY_RSAPUBLIC: BlobRow(private=False, build=_build_capi_public, parse=_parse_capi_public),
    BlobType.PRIVATE_KEY: BlobRow(private=True, build=_build_private, parse=_parse_private, imports=_NAME),
    BlobType.RSAPRIVATE: BlobRow(private=True, build=_build_rsa_private, parse=_parse_rsa_private, imports=_NAME),
    BlobType.RSAFULLPRIVATE: BlobRow(private=True, build=_build_rsa_full, parse=_parse_rsa_private, imports=_NAME),
    BlobType.ECCPRIVATE: BlobRow(private=True, build=_build_ecc_private, parse=_parse_ecc_private, imports=_NAME),
    BlobType.LEGACY_RSAPRIVATE: BlobRow(
        private=True, build=_build_capi_private, parse=_parse_capi_private, imports=_NAME
    ),
    BlobType.PKCS8_PRIVATE_KEY: BlobRow(
        private=True, build=_build_pkcs8, parse=_parse_pkcs8, exports=_PKCS8, imports=_PKCS8 | _NAME
    ),
}

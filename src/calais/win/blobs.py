"""Key blobs of CryptoAPI and CNG, to and from keys of ``cryptography``.

CryptoAPI blobs are little-endian throughout; CNG blobs have a little-endian header and big-endian numbers.
Source: wincrypt.h (PUBLICKEYSTRUC, RSAPUBKEY), bcrypt.h (BCRYPT_RSAKEY_BLOB, BCRYPT_ECCKEY_BLOB); MS-WCCE 2.2.2.9.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import lcm
from struct import Struct
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from calais.win import flags
from calais.win.errors import BadData, BadParameter, Unsupported
from calais.win.records import pack, unpack_head

# BLOBHEADER and RSAPUBKEY: type, version, reserved, ALG_ID, magic, bits, public exponent.
CAPI_RSA = Struct("<BBHI4sII")
CAPI_PUBLIC_MAGIC = b"RSA1"
CAPI_PRIVATE_MAGIC = b"RSA2"
# BCRYPT_RSAKEY_BLOB: magic, bits, lengths of exponent, modulus, prime1, prime2.
BCRYPT_RSA = Struct("<6I")
# BCRYPT_ECCKEY_BLOB: magic, length of one coordinate.
BCRYPT_ECC = Struct("<2I")

MAX_RSA_BYTES = 2048
RSA_ALGORITHMS = (flags.CALG_RSA_KEYX, flags.CALG_RSA_SIGN)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Scheme = Literal["ECDSA", "ECDH"]


class _Ecc(NamedTuple):
    curve: ec.EllipticCurve
    scheme: Scheme
    private: bool


_ECC_MAGICS = {
    flags.BCRYPT_ECDSA_PUBLIC_P256_MAGIC: _Ecc(ec.SECP256R1(), "ECDSA", private=False),
    flags.BCRYPT_ECDSA_PUBLIC_P384_MAGIC: _Ecc(ec.SECP384R1(), "ECDSA", private=False),
    flags.BCRYPT_ECDSA_PUBLIC_P521_MAGIC: _Ecc(ec.SECP521R1(), "ECDSA", private=False),
    flags.BCRYPT_ECDH_PUBLIC_P256_MAGIC: _Ecc(ec.SECP256R1(), "ECDH", private=False),
    flags.BCRYPT_ECDH_PUBLIC_P384_MAGIC: _Ecc(ec.SECP384R1(), "ECDH", private=False),
    flags.BCRYPT_ECDH_PUBLIC_P521_MAGIC: _Ecc(ec.SECP521R1(), "ECDH", private=False),
    flags.BCRYPT_ECDSA_PRIVATE_P256_MAGIC: _Ecc(ec.SECP256R1(), "ECDSA", private=True),
    flags.BCRYPT_ECDSA_PRIVATE_P384_MAGIC: _Ecc(ec.SECP384R1(), "ECDSA", private=True),
    flags.BCRYPT_ECDSA_PRIVATE_P521_MAGIC: _Ecc(ec.SECP521R1(), "ECDSA", private=True),
    flags.BCRYPT_ECDH_PRIVATE_P256_MAGIC: _Ecc(ec.SECP256R1(), "ECDH", private=True),
    flags.BCRYPT_ECDH_PRIVATE_P384_MAGIC: _Ecc(ec.SECP384R1(), "ECDH", private=True),
    flags.BCRYPT_ECDH_PRIVATE_P521_MAGIC: _Ecc(ec.SECP521R1(), "ECDH", private=True),
}
_MAGIC_OF_ECC = {(ecc.curve.name, ecc.scheme, ecc.private): magic for magic, ecc in _ECC_MAGICS.items()}


# --- CryptoAPI -------------------------------------------------------------------------------------------------------


def build_capi_public(key: rsa.RSAPublicKey, alg_id: int) -> bytes:
    """PUBLICKEYBLOB: header (20 bytes, ``"RSA1"``), modulus.

    Args:
        key: the key.
        alg_id: CALG_RSA_KEYX or CALG_RSA_SIGN.

    Raises:
        BadParameter: another ALG_ID, or a public exponent of more than 32 bits.
    """
    numbers = key.public_numbers()
    head = _capi_head(flags.PUBLICKEYBLOB, alg_id, CAPI_PUBLIC_MAGIC, key.key_size, numbers.e)
    return head + numbers.n.to_bytes(_size(key), "little")


def parse_capi_public(data: bytes) -> tuple[rsa.RSAPublicKey, int]:
    """The key in a PUBLICKEYBLOB, and its ALG_ID.

    Raises:
        BadData: not such a blob, wrong length, or no RSA key.
    """
    alg_id, bits, exponent, rest = _parse_capi_head(data, flags.PUBLICKEYBLOB, CAPI_PUBLIC_MAGIC)
    size = (bits + 7) // 8
    _expect(len(rest) == size, f"{len(rest)} bytes of modulus, {size} announced", CAPI_RSA.size)
    return _rsa_public(int.from_bytes(rest, "little"), exponent), alg_id


def build_capi_private(key: rsa.RSAPrivateKey, alg_id: int) -> bytes:
    """PRIVATEKEYBLOB: header (20 bytes, ``"RSA2"``), modulus, prime1, prime2, exponent1, exponent2, coefficient, d.

    Raises:
        BadParameter: another ALG_ID, or a key whose numbers do not fit the halves of the modulus.
    """
    private = key.private_numbers()
    public, size = private.public_numbers, _size(key)
    head = _capi_head(flags.PRIVATEKEYBLOB, alg_id, CAPI_PRIVATE_MAGIC, key.key_size, public.e)
    halves = (private.p, private.q, private.dmp1, private.dmq1, private.iqmp)
    try:
        middle = b"".join(number.to_bytes((size + 1) // 2, "little") for number in halves)
    except OverflowError as error:
        raise BadParameter(detail="the primes are not half as long as the modulus") from error
    return head + public.n.to_bytes(size, "little") + middle + private.d.to_bytes(size, "little")


def parse_capi_private(data: bytes) -> tuple[rsa.RSAPrivateKey, int]:
    """The key in a PRIVATEKEYBLOB, and its ALG_ID.

    The private exponent may be cut off or wrong, as Windows takes such blobs: it is computed from the primes.

    Raises:
        BadData: not such a blob, cut off before the private exponent, or no RSA key.
    """
    alg_id, bits, exponent, rest = _parse_capi_head(data, flags.PRIVATEKEYBLOB, CAPI_PRIVATE_MAGIC)
    size = (bits + 7) // 8
    half = (size + 1) // 2
    end = size + 5 * half
    _expect(end <= len(rest) <= end + size, f"{len(rest)} bytes of key, {end} to {end + size} expected", CAPI_RSA.size)
    primes = (int.from_bytes(rest[at : at + half], "little") for at in (size, size + half))
    return _rsa_private(int.from_bytes(rest[:size], "little"), exponent, *primes), alg_id


def _capi_head(kind: int, alg_id: int, magic: bytes, bits: int, exponent: int) -> bytes:
    if alg_id not in RSA_ALGORITHMS:
        raise BadParameter(detail=f"ALG_ID {alg_id:#x} is not one of RSA")
    return pack(CAPI_RSA, "RSAPUBKEY", kind, flags.CUR_BLOB_VERSION, 0, alg_id, magic, bits, exponent)


def _parse_capi_head(data: bytes, kind: int, magic: bytes) -> tuple[int, int, int, bytes]:
    (is_kind, version, _reserved, alg_id, is_magic, bits, exponent), rest = unpack_head(CAPI_RSA, "key blob", data)
    _expect(is_kind == kind, f"key blob of type {is_kind}", 0)
    _expect(version == flags.CUR_BLOB_VERSION, f"key blob of version {version}", 1)
    _expect(alg_id in RSA_ALGORITHMS, f"key blob of algorithm {alg_id:#x}", 4)
    _expect(is_magic == magic, f"key blob with magic {is_magic.hex()}", 8)
    return alg_id, bits, exponent, rest


# --- CNG, RSA --------------------------------------------------------------------------------------------------------


def build_rsa_public(key: rsa.RSAPublicKey) -> bytes:
    """BCRYPT_RSAPUBLIC_BLOB: header (24 bytes), public exponent, modulus."""
    return _bcrypt_rsa_head(key, flags.BCRYPT_RSAPUBLIC_MAGIC, 0, 0) + _bcrypt_rsa_public(key)


def build_rsa_private(key: rsa.RSAPrivateKey, *, full: bool = False) -> bytes:
    """BCRYPT_RSAPRIVATE_BLOB: header, public exponent, modulus, prime1, prime2.

    Args:
        key: the key.
        full: build a BCRYPT_RSAFULLPRIVATE_BLOB: then exponent1, exponent2, coefficient, private exponent.
    """
    public, private = key.public_key(), key.private_numbers()
    p_size, q_size = _bytes_of(private.p), _bytes_of(private.q)
    magic = flags.BCRYPT_RSAFULLPRIVATE_MAGIC if full else flags.BCRYPT_RSAPRIVATE_MAGIC
    numbers = [(private.p, p_size), (private.q, q_size)]
    if full:
        numbers += [(private.dmp1, p_size), (private.dmq1, q_size), (private.iqmp, p_size), (private.d, _size(key))]
    head = _bcrypt_rsa_head(public, magic, p_size, q_size)
    return head + _bcrypt_rsa_public(public) + b"".join(number.to_bytes(size, "big") for number, size in numbers)


def parse_rsa_public(data: bytes) -> rsa.RSAPublicKey:
    """The key in a BCRYPT_RSAPUBLIC_BLOB; the bit length in its header is not looked at, as in Windows.

    Raises:
        BadData: not such a blob, wrong length, or no RSA key.
    """
    (magic, _bits, *sizes), rest = unpack_head(BCRYPT_RSA, "BCRYPT_RSAKEY_BLOB", data)
    _expect(magic == flags.BCRYPT_RSAPUBLIC_MAGIC, f"magic {magic:#x} of no public RSA key", 0)
    exponent, modulus = _cut(rest, sizes[:2], BCRYPT_RSA.size)
    return _rsa_public(modulus, exponent)


def parse_rsa_private(data: bytes) -> rsa.RSAPrivateKey:
    """The key in a BCRYPT_RSAPRIVATE_BLOB or BCRYPT_RSAFULLPRIVATE_BLOB; what follows the primes is computed anew.

    Raises:
        BadData: not such a blob, wrong length, or no RSA key.
    """
    (magic, _bits, *sizes), rest = unpack_head(BCRYPT_RSA, "BCRYPT_RSAKEY_BLOB", data)
    full = magic == flags.BCRYPT_RSAFULLPRIVATE_MAGIC
    _expect(full or magic == flags.BCRYPT_RSAPRIVATE_MAGIC, f"magic {magic:#x} of no private RSA key", 0)
    _exponent_size, modulus_size, p_size, q_size = sizes
    more = [p_size, q_size, p_size, modulus_size] if full else []
    exponent, modulus, p, q, *_ = _cut(rest, sizes + more, BCRYPT_RSA.size)
    return _rsa_private(modulus, exponent, p, q)


def _bcrypt_rsa_head(key: rsa.RSAPublicKey, magic: int, p_size: int, q_size: int) -> bytes:
    exponent_size = _bytes_of(key.public_numbers().e)
    return pack(BCRYPT_RSA, "BCRYPT_RSAKEY_BLOB", magic, key.key_size, exponent_size, _size(key), p_size, q_size)


def _bcrypt_rsa_public(key: rsa.RSAPublicKey) -> bytes:
    numbers = key.public_numbers()
    return numbers.e.to_bytes(_bytes_of(numbers.e), "big") + numbers.n.to_bytes(_size(key), "big")


def _cut(data: bytes, sizes: Iterable[int], index: int) -> list[int]:
    numbers, at = [], 0
    for size in sizes:
        numbers.append(int.from_bytes(data[at : at + size], "big"))
        at += size
    _expect(at == len(data), f"{len(data)} bytes of key, {at} announced", index)
    return numbers


# --- CNG, elliptic curves --------------------------------------------------------------------------------------------


def build_ecc_public(key: ec.EllipticCurvePublicKey, scheme: Scheme) -> bytes:
    """BCRYPT_ECCPUBLIC_BLOB: magic of curve and ``scheme``, length of a coordinate, X, Y.

    Raises:
        Unsupported: the curve has no magic (only P-256, P-384 and P-521 have).
    """
    numbers, size = key.public_numbers(), _size(key)
    head = pack(BCRYPT_ECC, "BCRYPT_ECCKEY_BLOB", _ecc_magic(key.curve, scheme, private=False), size)
    return head + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


def build_ecc_private(key: ec.EllipticCurvePrivateKey, scheme: Scheme) -> bytes:
    """BCRYPT_ECCPRIVATE_BLOB: as the public one, then d.

    Raises:
        Unsupported: the curve has no magic.
    """
    size = _size(key)
    head = pack(BCRYPT_ECC, "BCRYPT_ECCKEY_BLOB", _ecc_magic(key.curve, scheme, private=True), size)
    body = build_ecc_public(key.public_key(), scheme)[BCRYPT_ECC.size :]
    return head + body + key.private_numbers().private_value.to_bytes(size, "big")


def parse_ecc_public(data: bytes) -> tuple[ec.EllipticCurvePublicKey, Scheme]:
    """The key in a BCRYPT_ECCPUBLIC_BLOB, and what it is for.

    Raises:
        BadData: not such a blob, wrong length, or a point off the curve.
    """
    ecc, (x, y) = _parse_ecc(data, private=False)
    return _ecc_public(ecc.curve, x, y), ecc.scheme


def parse_ecc_private(data: bytes) -> tuple[ec.EllipticCurvePrivateKey, Scheme]:
    """The key in a BCRYPT_ECCPRIVATE_BLOB, and what it is for.

    Raises:
        BadData: not such a blob, wrong length, or d does not belong to the point.
    """
    ecc, (x, y, d) = _parse_ecc(data, private=True)
    public = _ecc_public(ecc.curve, x, y)
    try:
        private = ec.derive_private_key(d, ecc.curve)
    except ValueError as error:
        raise BadData(detail="not a private key of the curve", index=BCRYPT_ECC.size) from error
    _expect(private.public_key() == public, "the private key does not belong to the public one", BCRYPT_ECC.size)
    return private, ecc.scheme


def _ecc_magic(curve: ec.EllipticCurve, scheme: Scheme, *, private: bool) -> int:
    try:
        return _MAGIC_OF_ECC[curve.name, scheme, private]
    except KeyError:
        raise Unsupported(detail=f"no key blob for {scheme} on {curve.name}") from None


def _parse_ecc(data: bytes, *, private: bool) -> tuple[_Ecc, list[int]]:
    (magic, size), rest = unpack_head(BCRYPT_ECC, "BCRYPT_ECCKEY_BLOB", data)
    ecc = _ECC_MAGICS.get(magic)
    if ecc is None or ecc.private is not private:
        raise BadData(detail=f"magic {magic:#x} is not that of a key blob of this kind", index=0)
    due = (ecc.curve.key_size + 7) // 8
    _expect(size == due, f"coordinates of {size} bytes on {ecc.curve.name}", 4)
    return ecc, _cut(rest, [size] * (3 if private else 2), BCRYPT_ECC.size)


def _ecc_public(curve: ec.EllipticCurve, x: int, y: int) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except ValueError as error:
        raise BadData(detail="the point is not on the curve", index=BCRYPT_ECC.size) from error


# --- any kind --------------------------------------------------------------------------------------------------------


def parse_public(data: bytes) -> PublicKey:
    """The key in a BCRYPT public blob of any kind, by its magic.

    Raises:
        BadData: none of them, or malformed.
    """
    if data[:4] == flags.BCRYPT_RSAPUBLIC_MAGIC.to_bytes(4, "little"):
        return parse_rsa_public(data)
    return parse_ecc_public(data)[0]


def parse_private(data: bytes) -> PrivateKey:
    """The key in a BCRYPT private blob of any kind, by its magic.

    Raises:
        BadData: none of them, or malformed.
    """
    rsa_magics = (flags.BCRYPT_RSAPRIVATE_MAGIC, flags.BCRYPT_RSAFULLPRIVATE_MAGIC)
    if int.from_bytes(data[:4], "little") in rsa_magics:
        return parse_rsa_private(data)
    return parse_ecc_private(data)[0]


def _rsa_public(modulus: int, exponent: int) -> rsa.RSAPublicKey:
    _expect(_bytes_of(modulus) <= MAX_RSA_BYTES, "the modulus is longer than 16384 bits", 0)
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise BadData(detail=f"not an RSA key: {error}", index=0) from error


def _rsa_private(modulus: int, exponent: int, p: int, q: int) -> rsa.RSAPrivateKey:
    _expect(_bytes_of(modulus) <= MAX_RSA_BYTES, "the modulus is longer than 16384 bits", 0)
    _expect(p * q == modulus and p > 1 and q > 1, "the primes do not make the modulus", 0)
    try:
        d = pow(exponent, -1, lcm(p - 1, q - 1))
        numbers = rsa.RSAPrivateNumbers(
            p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(exponent, modulus)
        )
        return numbers.private_key()
    except ValueError as error:
        raise BadData(detail="not an RSA key", index=0) from error


def _expect(condition: bool, detail: str, index: int) -> None:  # noqa: FBT001 - an assertion with an address
    if not condition:
        raise BadData(detail=detail, index=index)


def _bytes_of(number: int) -> int:
    return (number.bit_length() + 7) // 8


def _size(key: PublicKey | PrivateKey) -> int:
    return (key.key_size + 7) // 8

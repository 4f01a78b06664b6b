"""Keys from an agreed secret: the KDFs of BCryptDeriveKey, as pure functions.

The secret is Z, the x coordinate, big-endian, as long as the field.

Source: Microsoft, "BCryptDeriveKey" (parameters); RFC 2104 (HMAC); RFC 2246, 5 and RFC 5246, 5 (PRF);
NIST SP 800-56A revision 1, 5.8.1 (concatenation KDF).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from calais.win import flags
from calais.win.errors import BadParameter, Unsupported
from calais.win.structs import BCryptBuffer

HASHES = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}
TLS_SEED_BYTES = 64
TLS_MASTER_BYTES = 48
TLS_1_0, TLS_1_1, TLS_1_2 = 0x0301, 0x0302, 0x0303

Parameters = Mapping[int, list[bytes]]


def hash_name(algorithm: str | None) -> str:
    """The name in ``hashlib`` of a hash that CNG calls ``algorithm`` ("SHA256"), whatever the case.

    Raises:
        BadParameter: no name.
        Unsupported: not one of those known here.
    """
    if not isinstance(algorithm, str) or not algorithm:
        raise BadParameter(detail="a hash algorithm must be named")
    found = HASHES.get(algorithm.upper())
    if found is None:
        raise Unsupported(detail=f"hash {algorithm!r} is not known here")
    return found


def derive(
    kdf: str, secret: bytes, parameters: Iterable[BCryptBuffer], *, secret_is_key: bool = False, length: int = 0
) -> bytes:
    """The key that ``kdf`` makes of ``secret``.

    Args:
        kdf: "HASH", "HMAC", "TLS_PRF", "SP800_56A_CONCAT" or "TRUNCATE".
        secret: Z, big-endian.
        parameters: KDF_* and their values; pieces to prepend or append may come several times.
        secret_is_key: KDF_USE_SECRET_AS_HMAC_KEY_FLAG, for "HMAC" only.
        length: bytes that are wanted of "SP800_56A_CONCAT", which can give any number; 0 = one digest.

    Raises:
        Unsupported: another KDF, or a hash that is not known.
        BadParameter: a parameter is missing, comes twice, or is none of this KDF's.
    """
    if kdf not in _KDFS:
        raise Unsupported(detail=f"key derivation {kdf!r} is not known here")
    if secret_is_key and kdf != "HMAC":
        raise BadParameter(detail=f"the secret cannot be the HMAC key of {kdf}")
    function, allowed = _KDFS[kdf]
    given = _sorted_out(kdf, parameters, allowed)
    if secret_is_key:
        if flags.KDF_HMAC_KEY in given:
            raise BadParameter(detail="an HMAC has one key")
        given[flags.KDF_HMAC_KEY] = [secret]
    return function(secret, given, length)


def _sorted_out(kdf: str, parameters: Iterable[object], allowed: frozenset[int]) -> dict[int, list[bytes]]:
    given: dict[int, list[bytes]] = defaultdict(list)
    for parameter in parameters:
        if not isinstance(parameter, BCryptBuffer) or parameter.type not in allowed:
            raise BadParameter(detail=f"not a parameter of {kdf}")
        if parameter.type in given and parameter.type not in _REPEATABLE:
            raise BadParameter(detail=f"parameter {parameter.type} of {kdf} comes twice")
        given[parameter.type].append(_value(parameter))
    return dict(given)


def _value(parameter: BCryptBuffer) -> bytes:
    value = parameter.value
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise BadParameter(detail=f"parameter {parameter.type} is neither bytes nor text")
    wide = parameter.type == flags.KDF_HASH_ALGORITHM
    try:
        return value.encode("utf-16-le" if wide else "ascii")
    except UnicodeEncodeError as error:
        raise BadParameter(detail=f"parameter {parameter.type} is not ASCII") from error


def _hash(given: Parameters, default: str = "sha1") -> str:
    """The hash that the parameters name, by text or by UTF-16."""
    if flags.KDF_HASH_ALGORITHM not in given:
        return default
    try:
        return hash_name(given[flags.KDF_HASH_ALGORITHM][0].decode("utf-16-le").rstrip("\0"))
    except UnicodeDecodeError as error:
        raise BadParameter(detail="the name of the hash algorithm is not UTF-16") from error


def _required(given: Parameters, kind: int) -> bytes:
    if kind not in given:
        raise BadParameter(detail=f"parameter {kind} is missing")
    return given[kind][0]


def _surrounded(secret: bytes, given: Parameters) -> bytes:
    before, after = given.get(flags.KDF_SECRET_PREPEND, []), given.get(flags.KDF_SECRET_APPEND, [])
    return b"".join((*before, secret, *after))


def _by_hash(secret: bytes, given: Parameters, _length: int) -> bytes:
    return hashlib.new(_hash(given), _surrounded(secret, given)).digest()


def _by_hmac(secret: bytes, given: Parameters, _length: int) -> bytes:
    key = _required(given, flags.KDF_HMAC_KEY)
    return hmac.digest(key, _surrounded(secret, given), _hash(given))


def _by_tls(secret: bytes, given: Parameters, _length: int) -> bytes:
    label, seed = (_required(given, kind) for kind in (flags.KDF_TLS_PRF_LABEL, flags.KDF_TLS_PRF_SEED))
    if len(seed) != TLS_SEED_BYTES:
        raise BadParameter(detail=f"a TLS seed has {TLS_SEED_BYTES} bytes, not {len(seed)}")
    protocol = _protocol(given)
    if protocol == TLS_1_2:
        return _expand(_hash(given, "sha256"), secret, label + seed)
    half = (len(secret) + 1) // 2
    md5, sha1 = _expand("md5", secret[:half], label + seed), _expand("sha1", secret[-half:], label + seed)
    return bytes(one ^ other for one, other in zip(md5, sha1, strict=True))


def _protocol(given: Parameters) -> int:
    if flags.KDF_TLS_PRF_PROTOCOL not in given:
        return TLS_1_0
    value = given[flags.KDF_TLS_PRF_PROTOCOL][0]
    protocol = int.from_bytes(value, "little")
    if len(value) != 4 or protocol not in (TLS_1_0, TLS_1_1, TLS_1_2):
        raise BadParameter(detail="the TLS protocol is a DWORD of 0301, 0302 or 0303")
    return protocol


def _expand(name: str, key: bytes, seed: bytes) -> bytes:
    """P_hash (RFC 2246, 5), the length of a master secret."""
    made, block = b"", seed
    while len(made) < TLS_MASTER_BYTES:
        block = hmac.digest(key, block, name)
        made += hmac.digest(key, block + seed, name)
    return made[:TLS_MASTER_BYTES]


def _by_concatenation(secret: bytes, given: Parameters, length: int) -> bytes:
    """Hashes of a counter from 1, Z and OtherInfo, one after the other."""
    needed = (flags.KDF_ALGORITHMID, flags.KDF_PARTYUINFO, flags.KDF_PARTYVINFO)
    more = (flags.KDF_SUPPPUBINFO, flags.KDF_SUPPPRIVINFO)
    other = [_required(given, kind) for kind in needed] + [piece for kind in more for piece in given.get(kind, [])]
    name, tail = _hash(given), secret + b"".join(other)
    made = hashlib.new(name, b"\0\0\0\1" + tail).digest()
    rounds = -(-length // len(made))
    made += b"".join(hashlib.new(name, at.to_bytes(4, "big") + tail).digest() for at in range(2, rounds + 1))
    return made[:length] if length else made


def _by_truncation(secret: bytes, _: Parameters, _length: int) -> bytes:
    return secret[::-1]


_REPEATABLE = frozenset((flags.KDF_SECRET_PREPEND, flags.KDF_SECRET_APPEND))
_HASH_PARAMETERS = frozenset((flags.KDF_HASH_ALGORITHM, flags.KDF_SECRET_PREPEND, flags.KDF_SECRET_APPEND))
_TLS_PARAMETERS = frozenset(
    (flags.KDF_HASH_ALGORITHM, flags.KDF_TLS_PRF_LABEL, flags.KDF_TLS_PRF_SEED, flags.KDF_TLS_PRF_PROTOCOL)
)
_CONCATENATION_PARAMETERS = frozenset((flags.KDF_HASH_ALGORITHM, *range(8, 13)))
_KDFS: Mapping[str, tuple[Callable[[bytes, Parameters, int], bytes], frozenset[int]]] = {
    "HASH": (_by_hash, _HASH_PARAMETERS),
    "HMAC": (_by_hmac, _HASH_PARAMETERS | {flags.KDF_HMAC_KEY}),
    "TLS_PRF": (_by_tls, _TLS_PARAMETERS),
    "SP800_56A_CONCAT": (_by_concatenation, _CONCATENATION_PARAMETERS),
    "TRUNCATE": (_by_truncation, frozenset()),
}

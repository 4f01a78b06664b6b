"""Key parameters: one row for each.

Source: CryptGetKeyParam, CryptSetKeyParam (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from calais.provider.csp.context import CspKey, RsaKey
from calais.provider.csp.keyblobs import ALG_OF_SPEC
from calais.provider.csp.sessionkeys import SessionKey
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import PinInfo

PERMISSIONS = (
    flags.CRYPT_ENCRYPT
    | flags.CRYPT_DECRYPT
    | flags.CRYPT_EXPORT
    | flags.CRYPT_READ
    | flags.CRYPT_WRITE
    | flags.CRYPT_MAC
)
MODE_BITS = 8


class CardRsaKey(RsaKey, Protocol):
    """An RSA key in a container on a card: what a parameter can say about it besides."""

    @property
    def certificate(self) -> bytes:
        """Its certificate (DER).

        Raises:
            WinError: ``SCARD_E_NO_SUCH_CERTIFICATE``.
        """

    def set_certificate(self, der: bytes | None) -> None:
        """Write its certificate, or delete it.

        Raises:
            WinError: ``CRYPT_E_BAD_ENCODE``, ``NTE_BAD_PUBLIC_KEY``, ``SCARD_E_READ_ONLY_CARD``.
        """

    @property
    def pin_id(self) -> int:
        """The PIN that its use wants."""

    @property
    def pin_info(self) -> PinInfo:
        """What the card says about that PIN."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One parameter.

    Attributes:
        param: KP_*.
        kinds: of keys that have it: ``c`` RSA on a card, ``r`` RSA in memory, ``b`` block ciphers but RC2, ``2`` RC2,
            ``4`` RC4.
        read: gives its value.
        write: sets it; for the ``settable`` kinds.
        takes: Python types that ``write`` takes.
    """

    param: int
    kinds: str
    read: Callable[[CspKey], object] | None = None
    write: Callable[[CspKey, Any], None] | None = None
    takes: tuple[type, ...] = ()
    settable: str = "cr24b"


def _rsa(handle: CspKey) -> RsaKey:
    return cast("RsaKey", handle.key)


def _card(handle: CspKey) -> CardRsaKey:
    return cast("CardRsaKey", handle.key)


def _session(handle: CspKey) -> SessionKey:
    return cast("SessionKey", handle.key)


def kind_of(handle: CspKey) -> str:
    """The letter of ``KeyRow.kinds`` for a key."""
    key = handle.key
    if isinstance(key, SessionKey):
        return {"rc2": "2", "rc4": "4"}.get(key.algorithm.cipher, "b")
    return "c" if key.on_card else "r"


def alg_id(handle: CspKey) -> int:
    """ALG_ID of a key."""
    key = handle.key
    return key.algorithm.alg_id if isinstance(key, SessionKey) else ALG_OF_SPEC[key.key_spec]


def _block_bits(handle: CspKey) -> int:
    key = handle.key
    return 8 * key.algorithm.block if isinstance(key, SessionKey) else key.public_key.key_size


def _key_bits(handle: CspKey) -> int:
    key = handle.key
    return 8 * len(key.value) if isinstance(key, SessionKey) else key.public_key.key_size


def _set_permissions(handle: CspKey, value: int) -> None:
    """Whether the key may be exported stays as it was made."""
    if value & ~PERMISSIONS:
        raise WinError.of(Code.NTE_BAD_DATA, f"permissions 0x{value:X} are unknown")
    handle.permissions = value & ~flags.CRYPT_EXPORT | handle.permissions & flags.CRYPT_EXPORT


def _only(legal: int, what: str) -> Callable[[CspKey, int], None]:
    def check(handle: CspKey, value: int) -> None:  # noqa: ARG001
        if value != legal:
            raise WinError.of(Code.NTE_BAD_DATA, f"{what} {value} is not offered")

    return check


def _set_effective_bits(handle: CspKey, value: int) -> None:
    if value != _key_bits(handle):
        raise WinError.of(Code.NTE_BAD_LEN, f"an effective length of {value} bits is not offered")


def _set_label(handle: CspKey, value: bytes) -> None:
    handle.oaep_label = bytes(value)


def _setter(name: str) -> Callable[[CspKey, bytes | int], None]:
    def set_it(handle: CspKey, value: bytes | int) -> None:
        setattr(_session(handle), name, value)

    return set_it


def _getter(name: str) -> Callable[[CspKey], object]:
    return lambda handle: getattr(_session(handle), name)


BYTES = (bytes, bytearray)
ROWS = {
    row.param: row
    for row in (
        KeyRow(flags.KP_IV, "2b", _getter("iv"), _setter("iv"), BYTES),
        KeyRow(flags.KP_SALT, "24", _getter("salt"), _setter("salt"), BYTES),
        KeyRow(flags.KP_SALT_EX, "24", None, _setter("salt"), BYTES),
        KeyRow(
            flags.KP_PADDING, "2b", lambda _handle: flags.PKCS5_PADDING, _only(flags.PKCS5_PADDING, "padding"), (int,)
        ),
        KeyRow(flags.KP_MODE, "2b", _getter("mode"), _setter("mode"), (int,)),
        KeyRow(flags.KP_MODE_BITS, "2b", lambda _handle: MODE_BITS, _only(MODE_BITS, "feedback in bits"), (int,)),
        KeyRow(
            flags.KP_PERMISSIONS, "cr24b", lambda handle: handle.permissions, _set_permissions, (int,), settable="r24b"
        ),
        KeyRow(flags.KP_ALGID, "cr24b", alg_id),
        KeyRow(flags.KP_BLOCKLEN, "cr24b", _block_bits),
        KeyRow(flags.KP_KEYLEN, "cr24b", _key_bits),
        KeyRow(flags.KP_EFFECTIVE_KEYLEN, "2", _key_bits, _set_effective_bits, (int,)),
        KeyRow(flags.KP_OAEP_PARAMS, "cr", None, _set_label, BYTES),
        KeyRow(
            flags.KP_CERTIFICATE,
            "c",
            lambda handle: _card(handle).certificate,
            lambda handle, der: _card(handle).set_certificate(der),
            (*BYTES, type(None)),
        ),
        KeyRow(flags.KP_PIN_ID, "c", lambda handle: _card(handle).pin_id),
        KeyRow(flags.KP_PIN_INFO, "c", lambda handle: _card(handle).pin_info),
    )
}


def read(handle: CspKey, param: int) -> object:
    """The value of a parameter.

    Raises:
        WinError: ``NTE_BAD_TYPE``, this key has no such parameter, or it can only be set; what the card says.
    """
    row = _row(handle, param)
    if row.read is None:
        raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param} of a key can only be set")
    return row.read(handle)


def write(handle: CspKey, param: int, value: object) -> None:
    """Set a parameter.

    Raises:
        WinError: ``NTE_BAD_TYPE`` as ``read``, or it can only be read; ``ERROR_INVALID_PARAMETER``, another Python type;
            ``NTE_BAD_LEN``, ``NTE_BAD_DATA``, not a legal value; what the card says.
    """
    row = _row(handle, param)
    if row.write is None or kind_of(handle) not in row.settable:
        raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param} of this key can only be read")
    if not isinstance(value, row.takes) or isinstance(value, bool):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, f"parameter {param} is not set to {type(value).__name__}")
    row.write(handle, bytes(value) if isinstance(value, bytearray) else value)


def _row(handle: CspKey, param: int) -> KeyRow:
    row = ROWS.get(param)
    if row is None or kind_of(handle) not in row.kinds:
        raise WinError.of(Code.NTE_BAD_TYPE, f"this key has no parameter {param!r}")
    return row


def initial_permissions(key: RsaKey | SessionKey) -> int:
    """The bits of KP_PERMISSIONS of a new handle; public keys may be exported."""
    if isinstance(key, SessionKey):
        return PERMISSIONS if key.exportable else PERMISSIONS & ~flags.CRYPT_EXPORT
    if not key.can_use_private:
        return PERMISSIONS & ~(flags.CRYPT_DECRYPT | flags.CRYPT_MAC)
    return PERMISSIONS if key.exportable else PERMISSIONS & ~flags.CRYPT_EXPORT


def permit(handle: CspKey, permission: int) -> None:
    """Raise unless the key has this bit of KP_PERMISSIONS.

    Raises:
        WinError: ``NTE_PERM``.
    """
    if not handle.permissions & permission:
        raise WinError.of(Code.NTE_PERM, "the permissions of this key forbid it")

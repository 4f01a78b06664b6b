"""What each argument of the card minidriver interface must be, as a table: kind of argument, and who judges it.

A judge says yes or no; ``check`` makes the error. Nothing here touches a card. Structures with a version have a second
table: it is asked when all arguments are good.

Source: Microsoft's smart card minidriver specification v7.07 (the functions, "General Error Return Codes"); cardmod.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from calais.minidriver.pins import MAX_PINS, PIN_SET_ALL_ROLES
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError
from calais.win.structs import (
    BCryptBuffer,
    CardDeriveKeyInfo,
    CardDhAgreementInfo,
    CardRsaDecryptInfo,
    CardSigningInfo,
)

NAME_MAX = 8
MAX_DWORD = 0xFFFFFFFF
SIGNING_FLAGS = flags.CARD_PADDING_INFO_PRESENT | flags.CARD_BUFFER_SIZE_ONLY
DERIVING_FLAGS = flags.KDF_USE_SECRET_AS_HMAC_KEY_FLAG | flags.CARD_BUFFER_SIZE_ONLY | flags.CARD_RETURN_KEY_HANDLE
SESSION_FLAGS = flags.CARD_AUTHENTICATE_GENERATE_SESSION_PIN | flags.CARD_AUTHENTICATE_SESSION_PIN
CHANGE_FLAGS = flags.PIN_CHANGE_FLAG_UNBLOCK | flags.PIN_CHANGE_FLAG_CHANGEPIN
CREATE_FLAGS = (flags.CARD_CREATE_CONTAINER_KEY_GEN, flags.CARD_CREATE_CONTAINER_KEY_IMPORT)
USERS = (flags.wszCARD_USER_USER, flags.wszCARD_USER_ADMIN)
KEY_SPECS = range(flags.AT_KEYEXCHANGE, flags.AT_ECDHE_P521 + 1)
FILE_CONDITIONS = (
    flags.EveryoneReadUserWriteAc,
    flags.UserWriteExecuteAc,
    flags.EveryoneReadAdminWriteAc,
    flags.UserReadWriteAc,
    flags.AdminReadWriteAc,
)
DIRECTORY_CONDITIONS = (flags.UserCreateDeleteDirAc, flags.AdminCreateDeleteDirAc)
METHODS = (flags.CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE, flags.CARD_AUTHENTICATE_PIN_PIN)
PADDINGS = (0, flags.CARD_PADDING_NONE, flags.CARD_PADDING_PKCS1, flags.CARD_PADDING_PSS, flags.CARD_PADDING_OAEP)

Judge = Callable[[object], bool]


def is_number(value: object) -> bool:
    """A DWORD."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_DWORD


def is_text(value: object) -> bool:
    """A string."""
    return isinstance(value, str)


def is_data(value: object) -> bool:
    """Bytes, at least one."""
    return isinstance(value, bytes | bytearray) and bool(value)


def is_name(value: object) -> bool:
    """Name of a file or directory: 1 to 8 ASCII characters, no NUL, no slash of either kind."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= NAME_MAX
        and value.isascii()
        and not any(sign in value for sign in "\0\\/")
    )


def _one_of(*choices: int) -> Judge:
    return lambda value: is_number(value) and value in choices


def _within(allowed: range) -> Judge:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value in allowed


def _member(choices: tuple[str, ...]) -> Judge:
    return lambda value: isinstance(value, str) and value in choices


def _only_bits(mask: int) -> Judge:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value & mask == value


def _or_none(judge: Judge) -> Judge:
    return lambda value: value is None or judge(value)


def _is_authenticate_flags(value: object) -> bool:
    """SILENT_CONTEXT and at most one of the two session flags."""
    known = _only_bits(SESSION_FLAGS | flags.CARD_PIN_SILENT_CONTEXT)
    return known(value) and isinstance(value, int) and value & SESSION_FLAGS != SESSION_FLAGS


def _is_change_flags(value: object) -> bool:
    """SILENT_CONTEXT and exactly one of UNBLOCK and CHANGEPIN."""
    known = _only_bits(CHANGE_FLAGS | flags.CARD_PIN_SILENT_CONTEXT)
    return known(value) and isinstance(value, int) and value & CHANGE_FLAGS in (1, 2)


def _is_key_pin_id(value: object) -> bool:
    """A PIN that can protect a key: neither everyone nor the administrator."""
    return is_pin_id(value) and value != flags.ROLE_ADMIN


def _is_encrypted(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(is_data(piece) for piece in value)


is_index = _within(range(256))
is_key_spec = _within(KEY_SPECS)
is_pin_id = _within(range(1, MAX_PINS))


def _is_signing(info: object) -> bool:
    return (
        isinstance(info, CardSigningInfo)
        and is_index(info.container_index)
        and is_key_spec(info.key_spec)
        and is_data(info.data)
        and _only_bits(SIGNING_FLAGS)(info.signing_flags)
    )


def _is_decryption(info: object) -> bool:
    return (
        isinstance(info, CardRsaDecryptInfo)
        and is_index(info.container_index)
        and info.key_spec == flags.AT_KEYEXCHANGE
        and is_data(info.data)
    )


def _is_agreement(info: object) -> bool:
    return (
        isinstance(info, CardDhAgreementInfo)
        and is_index(info.container_index)
        and is_data(info.public_key)
        and info.flags == 0
    )


def _listed(value: object) -> list[object]:
    """The items of a tuple or list; anything else is one wrong item."""
    return list(value) if isinstance(value, tuple | list) else [value]


def _is_derivation(info: object) -> bool:
    return (
        isinstance(info, CardDeriveKeyInfo)
        and is_text(info.kdf)
        and bool(info.kdf)
        and is_index(info.agreement_index)
        and all(isinstance(item, BCryptBuffer) for item in _listed(info.parameters))
        and _only_bits(DERIVING_FLAGS)(info.flags)
    )


CHECKS: Mapping[str, Judge] = {
    "any": lambda _: True,
    "zero": _one_of(0),
    "version": is_number,
    "text": is_text,
    "data": is_data,
    "optional_data": _or_none(is_data),
    "size": is_number,
    "name": is_name,
    "directory": lambda value: value is None or value == "" or is_name(value),
    "file_condition": _one_of(*FILE_CONDITIONS),
    "directory_condition": _one_of(*DIRECTORY_CONDITIONS),
    "index": is_index,
    "key_spec": is_key_spec,
    "create_flags": _one_of(*CREATE_FLAGS),
    "user": _member(USERS),
    "pin_id": is_pin_id,
    "key_pin_id": _is_key_pin_id,
    "pin_set": _within(range(1, PIN_SET_ALL_ROLES + 1)),
    "method": _one_of(*METHODS),
    "authenticate_flags": _is_authenticate_flags,
    "change_flags": _is_change_flags,
    "signing": _is_signing,
    "decryption": _is_decryption,
    "agreement": _is_agreement,
    "derivation": _is_derivation,
    "blob_type": _member((flags.BCRYPT_KEY_DATA_BLOB,)),
    "algorithm": _member(tuple(flags.CardAlgorithm)),
    "secure_function": _member(tuple(flags.SecureFunction)),
    "key_property": _member(tuple(flags.CardKeyProperty)),
    "block_flags": _one_of(0, flags.CARD_BLOCK_PADDING),
    "padding": _one_of(*PADDINGS),
    "encrypted": _is_encrypted,
}


# Kind -> (version of what was given, version of the context) that go together.
VERSIONS: Mapping[str, Callable[[object, int], bool]] = {
    "version": lambda value, _: value in (0, 1),
    "signing": lambda info, _: getattr(info, "version", None) in (1, 2),
    "decryption": lambda info, context: getattr(info, "version", None) in ((2,) if context >= 7 else (1, 2)),
    "agreement": lambda info, context: getattr(info, "version", None) in ((2,) if context >= 7 else (0, 1, 2)),
    "derivation": lambda info, _: getattr(info, "version", None) in (1, 2),
}


def check(arguments: tuple[tuple[str, str], ...], values: tuple[object, ...], version: int) -> None:
    """Make sure that ``values`` are what ``arguments`` (name and kind) ask for; then their versions.

    Args:
        arguments: as in ``surface.EntryPoint``.
        values: one for each.
        version: of the context.

    Raises:
        BadParameter: the first one that is not; its value is not shown, for it may be a secret.
        WinError: ERROR_REVISION_MISMATCH.
    """
    for (name, kind), value in zip(arguments, values, strict=True):
        if not CHECKS[kind](value):
            raise BadParameter(detail=f"{name} is not what it must be")
    for (name, kind), value in zip(arguments, values, strict=True):
        judge = VERSIONS.get(kind)
        if judge is not None and not judge(value, version):
            raise revision_mismatch(name)


def revision_mismatch(what: str) -> WinError:
    """The error for a structure of a version that is not known, or does not go with the context's."""
    return WinError(Code.ERROR_REVISION_MISMATCH, f"{what}: not a version that goes with this context")

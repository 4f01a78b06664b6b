"""Properties of keys, as a table: which kinds have them, how they are read and set, and what is accepted.

A letter says where: ``k`` a key in a container of a card, ``n`` a nameless one.

Source: Microsoft, "Key Storage Property Identifiers", ``NCryptGetProperty``, ``NCryptSetProperty``; ncrypt.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calais.provider.ksp import errors, keyfacts, making
from calais.provider.ksp.handles import NCryptKey
from calais.win import flags
from calais.win.flags.ncrypt import KeyProperty
from calais.win.structs import NCryptUiPolicy

SECURITY_PARTS = 0xF  # owner 1, group 2, DACL 4, SACL 8
EXPORT_FLAGS = 0xF  # NCRYPT_ALLOW_EXPORT_FLAG … NCRYPT_ALLOW_PLAINTEXT_ARCHIVING_FLAG
UI_FLAGS = flags.NCRYPT_UI_PROTECT_KEY_FLAG | flags.NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG

Read = Callable[[NCryptKey, bool], Any]
Write = Callable[[NCryptKey, Any, bool], None]
Accepts = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One property.

    ``get`` and ``put``: letters; ``read`` gives ``None`` where there is no value; ``accepts``: values of its type;
    ``early``: on cards it is set before the key is finished, in memory too; ``parts``: the flags must name some.
    """

    get: str = ""
    put: str = ""
    read: Read | None = None
    write: Write | None = None
    accepts: Accepts | None = None
    early: bool = False
    parts: bool = False


def number(value: object) -> bool:
    """A DWORD."""
    return type(value) is int and 0 <= value <= 0xFFFFFFFF


def pointer(value: object) -> bool:
    """A window handle."""
    return type(value) is int and 0 <= value < 1 << 64


def text(value: object) -> bool:
    """A string."""
    return isinstance(value, str)


def text_or_none(value: object) -> bool:
    """A string, or ``None``."""
    return value is None or isinstance(value, str)


def _certificate(value: object) -> bool:
    return value is None or (isinstance(value, bytes) and bool(value))


def _session_pin(value: object) -> bool:
    return isinstance(value, bytes | str) and bool(value)


def _export_policy(value: object) -> bool:
    return number(value) and value in range(EXPORT_FLAGS + 1)


def _usage(value: object) -> bool:
    return number(value) and value in range(flags.NCRYPT_ALLOW_ALL_USAGES + 1)


def _ui_policy(value: object) -> bool:
    if not isinstance(value, NCryptUiPolicy) or not number(value.flags) or value.flags & ~UI_FLAGS:
        return False
    texts = (value.creation_title, value.friendly_name, value.description)
    return value.version == 1 and all(text_or_none(each) for each in texts)


# --- those that only look at or change the handle --------------------------------------------------------------------


def _length(key: NCryptKey, _: bool) -> int | None:  # noqa: FBT001 - the type of all readers
    return key.length or keyfacts.planned_length(key)


def _set_length(key: NCryptKey, bits: int, _: bool) -> None:  # noqa: FBT001
    making.check_length(key, bits)
    key.settings.length = bits


def _set_export_policy(key: NCryptKey, policy: int, _: bool) -> None:  # noqa: FBT001
    if key.place is not None and policy:
        raise errors.not_supported("a key on a card is not exported")
    key.settings.export_policy = policy


def _set_usage(key: NCryptKey, usage: int, _: bool) -> None:  # noqa: FBT001
    key.settings.usage = usage


def _set_ui_policy(key: NCryptKey, policy: NCryptUiPolicy, _: bool) -> None:  # noqa: FBT001
    key.settings.ui_policy = policy


def _window(key: NCryptKey, _: bool) -> int | None:  # noqa: FBT001
    return key.storage.window if key.settings.window is None else key.settings.window


def _set_window(key: NCryptKey, window: int, _: bool) -> None:  # noqa: FBT001
    key.settings.window = window


def _set_text(key: NCryptKey, words: str, _: bool) -> None:  # noqa: FBT001
    key.settings.text = words


def _nothing(_key: NCryptKey, _: bool) -> None:  # noqa: FBT001
    """Neither cards nor memory know it."""


_KEYS = "kn"
ROWS: Mapping[str, KeyRow] = {
    KeyProperty.NAME: KeyRow("k", read=lambda key, _: key.place.name or None if key.place else None),
    KeyProperty.UNIQUE_NAME: KeyRow("k", read=keyfacts.unique_name),
    KeyProperty.ALGORITHM: KeyRow(_KEYS, read=lambda key, _: str(key.algorithm.name)),
    KeyProperty.ALGORITHM_GROUP: KeyRow(_KEYS, read=lambda key, _: str(key.algorithm.group)),
    KeyProperty.LENGTH: KeyRow(_KEYS, _KEYS, _length, _set_length, number, early=True),
    KeyProperty.LENGTHS: KeyRow(_KEYS, read=keyfacts.lengths),
    KeyProperty.BLOCK_LENGTH: KeyRow(_KEYS, read=keyfacts.block_length),
    KeyProperty.EXPORT_POLICY: KeyRow(
        _KEYS, _KEYS, lambda key, _: key.settings.export_policy, _set_export_policy, _export_policy, early=True
    ),
    KeyProperty.KEY_USAGE: KeyRow(_KEYS, _KEYS, lambda key, _: making.usage_of(key), _set_usage, _usage, early=True),
    KeyProperty.KEY_TYPE: KeyRow(
        _KEYS, read=lambda key, _: flags.NCRYPT_MACHINE_KEY_FLAG if key.settings.machine else 0
    ),
    KeyProperty.UI_POLICY: KeyRow(
        _KEYS, _KEYS, lambda key, _: key.settings.ui_policy, _set_ui_policy, _ui_policy, early=True
    ),
    KeyProperty.LAST_MODIFIED: KeyRow(_KEYS, read=_nothing),
    KeyProperty.PROVIDER_HANDLE: KeyRow(_KEYS, read=keyfacts.provider_handle),
    KeyProperty.CERTIFICATE: KeyRow(_KEYS, _KEYS, keyfacts.certificate, keyfacts.set_certificate, _certificate),
    KeyProperty.PIN: KeyRow(put="k", write=keyfacts.set_pin, accepts=text_or_none),
    KeyProperty.SECURE_PIN: KeyRow(put="k", write=keyfacts.set_session_pin, accepts=_session_pin),
    KeyProperty.READER: KeyRow("k", read=lambda key, _: key.place.card.reader if key.place else None),
    KeyProperty.READER_ICON: KeyRow("k", read=_nothing),
    KeyProperty.SMARTCARD_GUID: KeyRow("k", read=lambda key, _: key.place.card.card_id if key.place else None),
    KeyProperty.SCARD_PIN_ID: KeyRow("k", read=lambda key, _: keyfacts.pin_id(key)),
    KeyProperty.SCARD_PIN_INFO: KeyRow("k", read=keyfacts.pin_info),
    KeyProperty.ASSOCIATED_ECDH_KEY: KeyRow("k", read=keyfacts.associated_ecdh_key),
    KeyProperty.WINDOW_HANDLE: KeyRow(_KEYS, _KEYS, _window, _set_window, pointer),
    KeyProperty.USE_CONTEXT: KeyRow(_KEYS, _KEYS, lambda key, _: key.settings.text, _set_text, text),
    KeyProperty.SECURITY_DESCR: KeyRow("n", read=_nothing, parts=True),
    KeyProperty.SIGNATURE_LENGTH: KeyRow(_KEYS, read=keyfacts.signature_length),
    KeyProperty.PUBLIC_KEY_LENGTH: KeyRow(_KEYS, read=_length),
}


# --- get and set -----------------------------------------------------------------------------------------------------


def _letter(key: NCryptKey) -> str:
    return "k" if key.place is not None else "n"


def get(key: NCryptKey, name: str, given: int) -> Any:  # noqa: ANN401 - a type per property
    """The value of a property of a key.

    Args:
        key: the key.
        name: exact.
        given: flags, checked.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, such a key has no such property.
        NotFound: ``NTE_NOT_FOUND``, it has no value.
        WinError: what the card says.
    """
    if given & flags.NCRYPT_PERSIST_ONLY_FLAG:
        value = key.settings.own.get(name)
    else:
        row = ROWS.get(name)
        if row is None or row.read is None or _letter(key) not in row.get:
            raise errors.not_supported(f"this key has no property {name!r} that can be read")
        value = row.read(key, bool(given & flags.NCRYPT_SILENT_FLAG))
    if value is None:
        raise errors.not_found(f"property {name!r} has no value here")
    return value


def put(key: NCryptKey, name: str, value: object, given: int) -> None:
    """Set a property of a key; arguments as ``get``.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, such a key has no such property, or no longer.
        BadParameter: wrong type or value.
        WinError: what the card says.
    """
    row = ROWS.get(name)
    if row is None and given & flags.NCRYPT_PERSIST_ONLY_FLAG:
        _put_own(key, name, value, given)
        return
    if row is None or row.write is None or _letter(key) not in row.put:
        raise errors.not_supported(f"this key has no property {name!r} that can be set")
    if row.accepts is not None and not row.accepts(value):
        raise errors.bad_parameter(f"not a value for property {name!r}")
    if row.early and key.draft is None:
        raise errors.not_supported(f"property {name!r} is set before the key is finished")
    row.write(key, value, bool(given & flags.NCRYPT_SILENT_FLAG))


def _put_own(key: NCryptKey, name: str, value: object, given: int) -> None:
    if key.place is not None and given & flags.NCRYPT_PERSIST_FLAG:
        raise errors.not_supported("properties of programs are not kept on cards")
    if not isinstance(value, bytes):
        raise errors.bad_parameter("properties of programs are bytes")
    key.settings.own[name] = value

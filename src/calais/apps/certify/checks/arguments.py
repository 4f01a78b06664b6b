"""Good and bad values for each kind of argument; and a check for each entry point that tries them one at a time.

The good values are harmless should a driver act on them in spite of a bad neighbour: a PIN of impossible length, a
container and a file that are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calais.apps.certify.face import Entry, Face
from calais.apps.certify.rules import Absent, Body, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.data import CardData
from calais.minidriver.surface import SURFACE, Duty, EntryPoint
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import CardDeriveKeyInfo, CardDhAgreementInfo, CardRsaDecryptInfo, CardSigningInfo

CHAPTER = Chapter("arguments", "Arguments of each entry point")
HIGH_BIT = 0x80000000
NOBODY = 255  # a container that no card has
DATA = b"1" * 300

GOOD: Mapping[str, Any] = {
    "zero": 0,
    "version": 1,
    "text": "Free Space",
    "data": DATA,
    "optional_data": DATA,
    "size": 0,
    "name": "nosuch",
    "directory": "nosuch",
    "file_condition": 1,
    "directory_condition": 1,
    "index": NOBODY,
    "key_spec": 3,
    "create_flags": 1,
    "user": "user",
    "pin_id": 1,
    "key_pin_id": 1,
    "pin_set": 0x02,
    "method": 2,
    "authenticate_flags": 0,
    "change_flags": 2,
    "signing": CardSigningInfo(NOBODY, 2, DATA[:32]),
    "decryption": CardRsaDecryptInfo(NOBODY, 1, DATA[:256]),
    "agreement": CardDhAgreementInfo(NOBODY, DATA[:72]),
    "derivation": CardDeriveKeyInfo("HASH", 200),
    "blob_type": flags.BCRYPT_KEY_DATA_BLOB,
    "algorithm": "AES",
    "secure_function": "Authenticate",
    "key_property": "IV",
    "block_flags": 0,
    "padding": 0,
    "encrypted": [DATA],
    "any": None,
}
_NOT_NUMBERS = (None, "1", -1, HIGH_BIT)
BAD: Mapping[str, tuple[Any, ...]] = {
    "zero": (1, HIGH_BIT, None),
    "text": (None, 7),
    "data": (b"", None, "text"),
    "optional_data": (b"", "text"),
    "size": (-1, None),
    "name": ("", "ninechars", "a\\b", "a/b", "a\0b", "\xe9", None),
    "directory": ("ninechars", "a\\b", "\xe9"),
    "file_condition": (0, 4, 7, None),
    "directory_condition": (0, 3, None),
    "index": (-1, 256, None),
    "key_spec": (0, 9, *_NOT_NUMBERS),
    "create_flags": (0, 3, 4, None),
    "user": ("", "nobody", "anonymous", None),
    "pin_id": (0, 8, *_NOT_NUMBERS),
    "key_pin_id": (0, 2, 8, None),
    "pin_set": (0, 0x100, None),
    "method": (0, 3, None),
    "authenticate_flags": (1, 0x30000000, HIGH_BIT, None),
    "change_flags": (0, 3, 4, HIGH_BIT, None),
    "signing": (
        None,
        CardSigningInfo(256, 2, DATA[:32]),
        CardSigningInfo(NOBODY, 0, DATA[:32]),
        CardSigningInfo(NOBODY, 9, DATA[:32]),
        CardSigningInfo(NOBODY, 2, b""),
        CardSigningInfo(NOBODY, 2, DATA[:32], signing_flags=1),
        CardSigningInfo(NOBODY, 2, DATA[:32], signing_flags=HIGH_BIT),
    ),
    "decryption": (
        None,
        CardRsaDecryptInfo(256, 1, DATA[:256]),
        CardRsaDecryptInfo(NOBODY, 2, DATA[:256]),
        CardRsaDecryptInfo(NOBODY, 0, DATA[:256]),
    ),
    "agreement": (
        None,
        CardDhAgreementInfo(256, DATA[:72]),
        CardDhAgreementInfo(NOBODY, b""),
        CardDhAgreementInfo(NOBODY, DATA[:72], flags=1),
    ),
    "derivation": (None, CardDeriveKeyInfo("", 200), CardDeriveKeyInfo("HASH", 200, flags=HIGH_BIT)),
    "blob_type": ("", "NoBlob", None),
    "algorithm": ("", "DES", None),
    "secure_function": ("", "Erase", None),
    "key_property": ("", "Colour", None),
    "block_flags": (2, HIGH_BIT),
    "padding": (3, HIGH_BIT),
    "encrypted": (None, [], [b""]),
}
# Structures of a version that does not go with the context: ERROR_REVISION_MISMATCH.
WRONG_VERSIONS: Mapping[str, tuple[Any, ...]] = {
    "version": (2, 7, 0xFFFF),
    "signing": (
        CardSigningInfo(NOBODY, 2, DATA[:32], version=0),
        CardSigningInfo(NOBODY, 2, DATA[:32], version=3),
    ),
    "decryption": (
        CardRsaDecryptInfo(NOBODY, 1, DATA[:256], version=0),
        CardRsaDecryptInfo(NOBODY, 1, DATA[:256], version=1),
        CardRsaDecryptInfo(NOBODY, 1, DATA[:256], version=3),
    ),
    "agreement": (
        CardDhAgreementInfo(NOBODY, DATA[:72], version=1),
        CardDhAgreementInfo(NOBODY, DATA[:72], version=3),
    ),
    "derivation": (CardDeriveKeyInfo("HASH", 200, version=0), CardDeriveKeyInfo("HASH", 200, version=3)),
}
# What may use up a try or change something when a driver overlooks a bad argument.
_RISKY = (Duty.NO, Duty.NO_OPTIONAL)
_ABSENT = (Code.SCARD_E_UNSUPPORTED_FEATURE,)


def _kinds(row: EntryPoint) -> list[str]:
    return [kind for _, kind in row.arguments]


def _body(row: EntryPoint) -> Body:
    def body(trial: Trial) -> None:
        with trial.context() as (call, data):
            if not _is_offered(call, data, row):
                raise Absent(f"the driver does not offer {row.name}")
            for bad, code in ((BAD, INVALID), (WRONG_VERSIONS, Code.ERROR_REVISION_MISMATCH)):
                for at, kind in enumerate(_kinds(row)):
                    for value in bad.get(kind, ()):
                        _refuses(trial, call[row.name], data, row, at, value, code)

    return body


def _is_offered(call: Face, data: CardData, row: EntryPoint) -> bool:
    if row.name not in data.entry_points:
        return False
    values = [GOOD[kind] for kind in _kinds(row)]
    at = next(at for at, kind in enumerate(_kinds(row)) if kind in BAD)
    values[at] = BAD[_kinds(row)[at]][0]
    try:
        call[row.name](data, *values)
    except WinError as error:
        return error.code not in _ABSENT
    return True


def _refuses(trial: Trial, entry: Entry, data: object, row: EntryPoint, at: int, value: object, code: int) -> None:
    values = [GOOD[kind] for kind in _kinds(row)]
    values[at] = value
    what = f"{row.name} with {row.arguments[at][0]} = {_told(value)}"
    trial.refused_unsent(what, code, entry, data, *values)


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) < 100 else f"{text[:100]}…"


for _row in SURFACE.values():
    if any(kind in BAD for kind in _kinds(_row)) and _row.name not in ("CardAcquireContext", "CardDeleteContext"):
        CHAPTER.check(
            _row.name,
            f"{_row.name} refuses bad arguments, and structures of a wrong version, before anything is sent.",
            f"minidriver 7.07, {_row.name}",
            Need.DESTRUCTIVE if _row.duty in _RISKY or "Authenticate" in _row.name else Need.NOTHING,
        )(_body(_row))

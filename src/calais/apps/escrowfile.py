"""An escrow as a file: JSON, so that it can be looked at, compared and kept where other files are.

What is in it is sealed or public: the public key, the private key under the escrow's password, and for each card id the
sealed PUK, a label and when it was stored.
"""

from __future__ import annotations

import json
import re
from typing import Any

from calais.apps.escrow import (
    KEY_SIZE,
    LOCKED_SIZE,
    SALT_SIZE,
    SCRYPT_LOG_N_MAX,
    SEALED_SIZE,
    Entry,
    Escrow,
    LockedKey,
)
from calais.minidriver.challenge import CARD_ID_SIZE
from calais.win.codes import Code
from calais.win.errors import BadData

FORMAT = "calais-escrow-1"
MAX_BYTES = 64 * 1024 * 1024
MAX_TEXT = 200
_HEX = re.compile(r"[0-9a-f]*")


def build_escrow(escrow: Escrow) -> bytes:
    """The file of ``escrow``."""
    locked = escrow.private_key
    document = {
        "format": FORMAT,
        "public_key": escrow.public_key.hex(),
        "private_key": {"salt": locked.salt.hex(), "log_n": locked.log_n, "sealed": locked.sealed.hex()},
        "cards": {
            card_id.hex(): {"label": entry.label, "stored": entry.stored, "sealed": entry.sealed.hex()}
            for card_id, entry in sorted(escrow.cards.items())
        },
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def parse_escrow(data: bytes) -> Escrow:
    """The escrow in a file.

    Raises:
        BadData: it is none, damaged, or asks for more work than an escrow of ours.
    """
    if len(data) > MAX_BYTES:
        raise _bad(f"{len(data)} bytes are too many")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON") from error
    if _member(document, "format", str) != FORMAT:
        raise _bad(f"its format is not {FORMAT}")
    cards = _member(document, "cards", dict)
    return Escrow(
        _bytes(document, "public_key", KEY_SIZE),
        _locked(_member(document, "private_key", dict)),
        {_id(name): _entry(cards[name]) for name in cards},
    )


def _bad(why: str) -> BadData:
    return BadData(Code.ERROR_INVALID_DATA, f"the file is not an escrow: {why}")


def _member(document: Any, name: str, kind: type) -> Any:  # noqa: ANN401 - whatever JSON holds
    value = document.get(name) if isinstance(document, dict) else None
    if type(value) is not kind:
        raise _bad(f"{name!r} is missing, or of the wrong kind")
    return value


def _bytes(document: Any, name: str, size: int) -> bytes:  # noqa: ANN401 - whatever JSON holds
    return _unhexed(_member(document, name, str), name, size)


def _unhexed(text: str, name: str, size: int) -> bytes:
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise _bad(f"{name!r} is not {size} bytes in hexadecimal")
    return bytes.fromhex(text)


def _id(name: str) -> bytes:
    return _unhexed(name, "card id", CARD_ID_SIZE)


def _locked(document: dict[str, Any]) -> LockedKey:
    log_n = _member(document, "log_n", int)
    if not 0 < log_n <= SCRYPT_LOG_N_MAX:
        raise _bad(f"opening it would take 2**{log_n} steps")
    return LockedKey(_bytes(document, "salt", SALT_SIZE), log_n, _bytes(document, "sealed", LOCKED_SIZE))


def _entry(document: Any) -> Entry:  # noqa: ANN401 - whatever JSON holds
    label, stored = _member(document, "label", str), _member(document, "stored", str)
    return Entry(_bytes(document, "sealed", SEALED_SIZE), label[:MAX_TEXT], stored[:MAX_TEXT])

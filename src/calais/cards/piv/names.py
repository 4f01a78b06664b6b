"""Container names and card ids of a PIV card, as Windows makes them.

A name is the CHUID GUID with its last three bytes replaced by the tag of the certificate object, taken as a Windows
GUID structure (the first three fields little-endian), in lower-case text. Example: GUID
``A258ABAA928AE04D81D800F55D072F63`` and object 5FC101 make ``aaab58a2-8a92-4de0-81d8-00f55d5fc101``.

A card without usable GUID gets new random names at every enumeration, as observed on Windows.

Source: SP 800-73-4 part 1, 3.1.2 (CHUID); names observed in the output of ``certutil -scinfo``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from uuid import UUID

from calais.cards.piv.chuid import Chuid

TAG_BYTES = 3
ID_BYTES = 16


def container_name(guid: bytes, tag: int) -> str:
    """The name of the container whose certificate is in object ``tag``, on the card with CHUID GUID ``guid`` (16 bytes)."""
    return str(UUID(bytes_le=guid[:-TAG_BYTES] + tag.to_bytes(TAG_BYTES, "big")))


def volatile_name(random: Callable[[int], bytes]) -> str:
    """A name that nobody has seen before: a random UUID (RFC 4122, version 4)."""
    return str(UUID(bytes=random(ID_BYTES), version=4))


def card_id(chuid: Chuid, atr: bytes, certificates: Callable[[], Iterable[bytes]]) -> bytes:
    """The 16 bytes of ``cardid``: the CHUID GUID; without one, a hash of the FASC-N where it names the card; else a hash
    of the ATR and the certificate objects, which ``certificates`` reads only then.
    """
    if chuid.usable_guid:
        return chuid.usable_guid
    digits = chuid.fasc_n_digits
    if digits is not None and digits.names_card:
        return _hashed(b"FASC-N", chuid.fasc_n)
    return _hashed(b"card", atr, *certificates())


def _hashed(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()[:ID_BYTES]

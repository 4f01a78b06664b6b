"""A certificate, CRL or CTL on its way between formats: bytes and properties, in no store.

Source: wincrypt.h (CERT_CERT_PROP_ID, CERT_CRL_PROP_ID, CERT_CTL_PROP_ID).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from calais.store import certificate, crl
from calais.store.api import CERTIFICATE, CRL, CTL

KINDS: Final = (CERTIFICATE, CRL, CTL)


class Item(NamedTuple):
    """One element as it is written: ``kind`` is the id of its record, ``properties`` id to stored bytes."""

    kind: int
    encoded: bytes
    properties: dict[int, bytes]


def exactly(kind: int, data: bytes) -> bytes:
    """The bytes of the one certificate or CRL at the start of ``data``; a CTL is not looked into.

    Raises:
        BadData: CRYPT_E_ASN1_*, it is none.
    """
    if kind == CTL:
        return data
    return crl.parse(data).encoded if kind == CRL else certificate.parse(data).encoded

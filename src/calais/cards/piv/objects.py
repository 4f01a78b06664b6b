"""Contents of PIV data objects on the host's side: certificate container, Discovery, Key History.

Source: SP 800-73-4 part 1, 3.3.2 (Discovery), 3.3.3 (Key History), appendix A (tables 10, 18, 19 and 20 to 39);
gzip: RFC 1952.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.win.errors import BadData

CERTIFICATE_MAX_EXPANDED = 64 * 1024  # bytes; no certificate on a card is longer, whatever a gzip stream says
CERTIFICATE_MAX_PLAIN = spec.CERTIFICATE_MAX
_GZIP_MAGIC = b"\x1f\x8b"
_DER_SEQUENCE = 0x30
_WBITS_GZIP = 16 + zlib.MAX_WBITS


def content_of(answer: bytes, tag: int) -> bytes:
    """What is inside the card's answer to GET DATA for ``tag``: the value of 53, or of the object's own tag.

    Raises:
        BadData: another tag, or malformed.
    """
    bare = tag in spec.OBJECTS and spec.OBJECTS[tag].bare
    return tlv.parse_one(answer, tag if bare else spec.TAG_DATA).value


def parse_certificate(content: bytes) -> bytes:
    """The certificate (DER) in a certificate container, expanded when it is compressed.

    What the certificate begins with decides, for cards disagree about the bits of CertInfo. Filling bytes after it
    are left out. That it is a whole DER sequence is all that is looked at here.

    Raises:
        BadData: no certificate inside, neither DER nor gzip, or a stream that is malformed or expands too far.
    """
    value = tlv.require(tlv.parse(content), spec.TAG_CERTIFICATE).value
    if value[:2] == _GZIP_MAGIC:
        value = expand(value)
    if not value or value[0] != _DER_SEQUENCE:
        raise BadData(detail=f"a certificate begins with 30, not with {value[:1].hex() or 'nothing'}", index=0)
    return value[: tlv.read(value, 0)[1]]


def expand(stream: bytes) -> bytes:
    """What the gzip ``stream`` holds, ``CERTIFICATE_MAX_EXPANDED`` bytes at most.

    Raises:
        BadData: malformed, cut off, or longer.
    """
    inflate = zlib.decompressobj(_WBITS_GZIP)
    try:
        data = inflate.decompress(stream, CERTIFICATE_MAX_EXPANDED + 1)
    except zlib.error as error:
        raise BadData(detail=f"a compressed certificate cannot be expanded: {error}", index=0) from error
    if len(data) > CERTIFICATE_MAX_EXPANDED:
        raise BadData(detail=f"a compressed certificate is longer than {CERTIFICATE_MAX_EXPANDED} bytes", index=0)
    if not inflate.eof:
        raise BadData(detail="a compressed certificate is cut off", index=len(stream))
    return data


def build_certificate(der: bytes, *, compress: bool) -> bytes:
    """The content of a certificate object: 70 certificate, 71 CertInfo, FE."""
    value = gzip.compress(der, mtime=0) if compress else der
    info = spec.CERT_INFO_GZIP if compress else spec.CERT_INFO_PLAIN
    return (
        tlv.build(spec.TAG_CERTIFICATE, value)
        + tlv.build(spec.TAG_CERT_INFO, bytes((info,)))
        + tlv.build(spec.TAG_ERROR_DETECTION)
    )


def parse_discovery(content: bytes) -> int:
    """The PIN usage policy, 16 bits (first byte high).

    Raises:
        BadData: missing, or not two bytes.
    """
    policy = tlv.require(tlv.parse(content), spec.TAG_PIN_USAGE_POLICY).value
    if len(policy) != 2:
        raise BadData(detail=f"a PIN usage policy has two bytes, this one {len(policy)}")
    return int.from_bytes(policy, "big")


def pin_reference(policy: int) -> int:
    """Key reference of the PIN that the cardholder knows: 00 when the global PIN is valid and primary, else 80."""
    is_global = policy & spec.POLICY_GLOBAL_PIN and policy & spec.POLICY_PRIMARY_GLOBAL_PIN
    return spec.REF_GLOBAL_PIN if is_global else spec.REF_PIN


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """How many retired keys there are: ``on_card`` with their certificates on the card (82 upwards), ``off_card`` with
    them elsewhere (95 downwards), at ``url``.
    """

    on_card: int = 0
    off_card: int = 0
    url: bytes = b""

    @property
    def slots(self) -> tuple[spec.Slot, ...]:
        """The retired slots that have a certificate on the card."""
        first = spec.REF_RETIRED_FIRST
        return tuple(spec.SLOT_OF_REF[first + n] for n in range(min(self.on_card, spec.RETIRED_COUNT)))

    def build(self) -> bytes:
        """The content of the object."""
        return (
            tlv.build(spec.TAG_KEY_HISTORY_ON_CARD, bytes((self.on_card,)))
            + tlv.build(spec.TAG_KEY_HISTORY_OFF_CARD, bytes((self.off_card,)))
            + (tlv.build(spec.TAG_KEY_HISTORY_URL, self.url) if self.off_card else b"")
            + tlv.build(spec.TAG_ERROR_DETECTION)
        )


def parse_key_history(content: bytes) -> KeyHistory:
    """The numbers of retired keys.

    Raises:
        BadData: malformed, or a number is missing.
    """
    items = list(tlv.parse(content))
    counts = [tlv.require(items, tag).value for tag in (spec.TAG_KEY_HISTORY_ON_CARD, spec.TAG_KEY_HISTORY_OFF_CARD)]
    url = tlv.find(items, spec.TAG_KEY_HISTORY_URL)
    if any(len(count) != 1 for count in counts):
        raise BadData(detail="a number of retired keys is one byte long")
    return KeyHistory(counts[0][0], counts[1][0], url.value if url else b"")

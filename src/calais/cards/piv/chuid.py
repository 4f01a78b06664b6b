"""The Card Holder Unique Identifier: who the card is. It is read from its first 256 bytes, which hold all but the
signature.

Source: SP 800-73-4 part 1, 3.1.2 and table 9; FASC-N: "Technical Implementation Guidance: Smart Card Enabled Physical
Access Control Systems" (TIG SCEPACS) v2.3, 2.1; GUID: RFC 4122 in network byte order.
"""

from __future__ import annotations

from dataclasses import dataclass

from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.win.errors import BadData

_GROUPS = 40  # of five bits in a FASC-N
_SEPARATOR = 0b10110
_START = 0b11010
_END = 0b11111
NON_FEDERAL_AGENCY = "9999"


@dataclass(frozen=True, slots=True)
class FascN:
    """The digits of a FASC-N that name a credential: agency (4), system (4), credential number (6)."""

    agency: str
    system: str
    credential: str

    @property
    def names_card(self) -> bool:
        """Whether the credential number is one of a federal issuer, and so unique; PIV-I and CIV cards use 9999."""
        return self.agency != NON_FEDERAL_AGENCY and bool((self.agency + self.system + self.credential).strip("0"))

    def __str__(self) -> str:
        return f"{self.agency}-{self.system}-{self.credential}"


@dataclass(frozen=True, slots=True)
class Chuid:
    """What a CHUID says; a member that is missing or cannot be what it claims is ``b""``, ``""`` or ``None``.

    ``guid``: 16 bytes; ``expires``: 8 digits YYYYMMDD; ``cardholder``: the cardholder's UUID, 16 bytes; ``damage``:
    what is wrong with it, in words.
    """

    guid: bytes = b""
    fasc_n: bytes = b""
    expires: str = ""
    cardholder: bytes = b""
    damage: tuple[str, ...] = ()

    @property
    def usable_guid(self) -> bytes:
        """The GUID, ``b""`` when it is absent, of another length or all zero."""
        return self.guid if len(self.guid) == spec.GUID_SIZE and any(self.guid) else b""

    @property
    def fasc_n_digits(self) -> FascN | None:
        """The FASC-N in digits, ``None`` when it is not well-formed."""
        return parse_fasc_n(self.fasc_n)


def parse_chuid(answer: bytes) -> Chuid:
    """The CHUID that begins with ``answer``, the card's answer to GET DATA: all of it or its first 256 bytes.

    Never raises: a card with a damaged CHUID is still a card.
    """
    content, damage = _content(answer)
    found: dict[int, bytes] = {}
    at = 0
    while at < len(content):
        try:
            item, at = tlv.read(content, at)
        except BadData as error:
            damage += _unless_cut(answer, content, at, error)
            break
        found.setdefault(item.tag, item.value)
    return _chuid(found, damage)


def _content(answer: bytes) -> tuple[bytes, tuple[str, ...]]:
    try:
        _, at = tlv.read_length(answer, 1)
    except BadData as error:
        return b"", (f"CHUID: {error.detail}",)
    if answer[0] != spec.TAG_DATA:
        return b"", (f"CHUID: tag {answer[0]:02X} where 53 is due",)
    return answer[at:], ()


def _unless_cut(answer: bytes, content: bytes, at: int, error: BadData) -> tuple[str, ...]:
    """The damage, unless this is only where the first 256 bytes of a longer CHUID end."""
    announced, start = tlv.read_length(answer, 1)
    cut = start + announced > len(answer)
    return () if cut and content[at] == spec.TAG_CHUID_SIGNATURE else (f"CHUID: {error.detail}",)


def _chuid(found: dict[int, bytes], damage: tuple[str, ...]) -> Chuid:
    sizes = {spec.TAG_CHUID_GUID: spec.GUID_SIZE, spec.TAG_CHUID_FASC_N: spec.FASC_N_SIZE, spec.TAG_CHUID_EXPIRATION: 8}
    for tag, size in sizes.items():
        if len(found.get(tag, b"")) != size:
            damage += (f"CHUID: member {tag:02X} has {len(found.get(tag, b''))} bytes, not {size}",)
            found[tag] = b""
    expires = found[spec.TAG_CHUID_EXPIRATION]
    return Chuid(
        guid=found[spec.TAG_CHUID_GUID],
        fasc_n=found[spec.TAG_CHUID_FASC_N],
        expires=expires.decode("ascii") if expires.isdigit() else "",
        cardholder=found.get(spec.TAG_CHUID_CARDHOLDER_UUID, b""),
        damage=damage,
    )


def parse_fasc_n(data: bytes) -> FascN | None:
    """The digits of a FASC-N of 25 bytes, ``None`` when separators, parity or digits are wrong.

    200 bits are 40 groups of five: four bits of a digit, lowest first, and an odd parity bit.
    """
    if len(data) != spec.FASC_N_SIZE:
        return None
    number = int.from_bytes(data, "big")
    groups = [number >> 5 * (_GROUPS - 1 - n) & 0x1F for n in range(_GROUPS)]
    if groups[0] != _START or any(groups[at] != _SEPARATOR for at in (5, 10, 17)):
        return None
    digits = [_digit(group) for group in groups]
    text = "".join("?" if digit is None else str(digit) for digit in digits)
    agency, system, credential = text[1:5], text[6:10], text[11:17]
    return None if "?" in agency + system + credential else FascN(agency, system, credential)


def _digit(group: int) -> int | None:
    value = sum(((group >> 4 - bit) & 1) << bit for bit in range(4))
    return value if group.bit_count() % 2 and value <= 9 else None

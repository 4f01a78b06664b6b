"""FASC-N, the number of a federal card: 40 digits of five bits. Source: PACS Implementation Guidance 2.3, clause 2."""

from __future__ import annotations

START = 0b11010  # SS; each group is four bits, lowest first, and an odd parity bit
FIELD = 0b10110  # FS
END = 0b11111  # ES
DIGITS = (
    ("agency", 4),
    ("system", 4),
    ("credential", 6),
    ("series", 1),
    ("issue", 1),
    ("person", 10),
    ("category", 1),
    ("organisation", 4),
    ("association", 1),
)
SEPARATED_AFTER = frozenset({"agency", "system", "credential", "series", "issue"})


def build_fasc_n(person: int, *, agency: int = 9999, system: int = 9999, credential: int = 999999) -> bytes:
    """The 25 bytes of a FASC-N; agency 9999 says that the card is not a federal one and its GUID identifies it.

    Args:
        person: person identifier, up to ten digits.
        agency: agency code, four digits.
        system: system code, four digits.
        credential: credential number, six digits.
    """
    values = {"agency": agency, "system": system, "credential": credential, "person": person}
    values |= {"series": 1, "issue": 1, "category": 1, "organisation": 9999, "association": 1}
    groups = [START]
    for name, size in DIGITS:
        groups += (_group(int(digit)) for digit in f"{values[name]:0{size}d}")
        groups += [FIELD] if name in SEPARATED_AFTER else []
    groups.append(END)
    bits = 0
    for group in (*groups, _check(groups)):
        bits = bits << 5 | group
    return bits.to_bytes(25, "big")


def _group(digit: int) -> int:
    mirrored = int(f"{digit:04b}"[::-1], 2)
    return mirrored << 1 | (mirrored.bit_count() + 1) % 2


def _check(groups: list[int]) -> int:
    total = 0
    for group in groups:
        total ^= group >> 1
    return total << 1 | (total.bit_count() + 1) % 2

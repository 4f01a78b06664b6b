"""Bytes read over the phone: digits in groups, spelled, each line with a check word; and taken down again.

A value is read in lines of 8 bytes at most. A line is 16 hexadecimal digits in groups of four, and a check word: two
words of a list of 256, which are the 16 bits of CRC-16/CCITT over what the value is (card id, challenge …), what it
belongs to, all of it up to the end of this line, and whether this is its last line. So one digit misheard, left out
or swapped with its neighbour is always noticed, a line left out or read twice, too, and so is a right answer to
another challenge; any other mistake but one in 65,536. The check word is no secret and proves nothing about who
speaks.

Digits are spelled with the words of ITU and ICAO; both spellings, any grouping and any case are taken down.

Source: ICAO Annex 10, volume II, 5.2.1.3 (spelling alphabet); ITU-T V.41 (the polynomial).
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from calais.win.errors import BadParameter

LINE_BYTES = 8
GROUP_DIGITS = 4
CRC_START = 0xFFFF
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_WORDS = (*_NUMBERS, "Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot")
_OTHER_SPELLINGS = {"tree": "3", "fower": "4", "fife": "5", "niner": "9", "alpha": "a"}
_DIGIT_OF = {word.lower(): f"{number:x}" for number, word in enumerate(DIGIT_WORDS)} | _OTHER_SPELLINGS
_SEPARATORS = re.compile(r"[\s,;:.·/|-]+")
_HEX = re.compile(r"[0-9a-f]+")
_IGNORED = frozenset(("check", "word", "and"))

# 256 words, any two of which differ in three letters or more; none is a number or made of hexadecimal digits.
WORDS = (  # noqa: SIM905 - 256 words are read more easily than 256 lines
    """
    abacus academy acorn agent album apple archer arrow atlas attic autumn avocado bakery balcony ballet
    bamboo bandage barrel bazaar beacon beaver bedroom berry bicycle biscuit blanket blossom bonfire
    boulder bridge buffalo bumper cabbage cactus canyon caravan carpet castle cellar ceramic chapel chimney
    cinema circus citizen clever clinic cobweb coffee comet compass corner cotton coyote cradle cricket
    crystal curtain cushion cyclone daisy dancer denim dentist desert diamond doctor dolphin dragon drummer
    dungeon dynamo eagle earring eclipse elbow embassy ember emerald engine equator escape evening fabric
    factory farmer flannel flower forest fossil frigate fudge galaxy garden garlic gazelle ginger giraffe
    glacier goblet gorilla granite grape guitar gymnast hamster harbor harvest hiking horizon hunter
    iceberg igloo insect island ivy jaguar jasmine jaywalk jelly jersey jewel jigsaw jungle juniper kayak
    kernel kettle kidney kingdom kitchen ladder lagoon lantern laundry lemon leopard lettuce library magnet
    mailbox mammoth mango marble medal melody mermaid meteor mirror mitten monkey morning muffin museum
    mustard napkin nectar needle nickel nugget oasis octagon octopus office olive onion opera opossum
    orange orchid organ origami ostrich otter oxygen pajamas palace panther paper parsley pasta peanut
    pebble pelican pencil penguin pharaoh piano picnic pigeon pillow pirate pocket poem polar popcorn
    prairie pulley pumpkin puppet pyramid quartz quilt rabbit raccoon radish railway rainbow raven reef
    reptile rhubarb ribbon robin rubber saddle salmon sandal satchel saturn scarf school seagull shadow
    shelter silver sketch snorkel soccer sofa spider sponge stable sunset syrup tailor teapot temple tomato
    tulip tunnel turtle tuxedo vacuum velvet violin waffle walrus window wizard wolf yacht yodel yogurt
    zebra zipper
    """
).split()
_NUMBER_OF = {word: number for number, word in enumerate(WORDS)}


class Kind(StrEnum):
    """What a value is; a value of one kind is not taken for one of another."""

    CARD = "card"
    CHALLENGE = "challenge"
    RESPONSE = "response"
    REQUEST = "request"  # a challenge for an escrowed PUK
    RELEASE = "release"  # the answer to it


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its ``digits`` in groups, its ``check`` word, and the digits ``spelled``."""

    digits: str
    check: str
    spelled: str

    def __str__(self) -> str:
        return f"{self.digits}  {self.check}"


def check_word(kind: Kind, context: bytes, value: bytes, *, last: bool) -> str:
    """The check word of a line.

    Args:
        kind: what the value is.
        context: what it belongs to (card id; card id and challenge).
        value: the value up to the end of this line.
        last: whether it ends there.
    """
    framed = b"%s\0%s%s%s" % (kind.encode(), len(context).to_bytes(2, "big"), context, b"\1" if last else b"\0")
    high, low = divmod(binascii.crc_hqx(framed + value, CRC_START), 256)
    return f"{WORDS[high]}-{WORDS[low]}"


def lines(kind: Kind, value: bytes, context: bytes = b"") -> list[Line]:
    """``value`` as it is read out; arguments as in ``check_word``."""
    made = []
    for at in range(0, len(value), LINE_BYTES):
        end = at + LINE_BYTES
        check = check_word(kind, context, value[:end], last=end >= len(value))
        made.append(Line(grouped(value[at:end]), check, spelled(value[at:end])))
    return made


def grouped(value: bytes) -> str:
    """The digits of ``value`` in groups of four, ``A892 D756``."""
    return value.hex(" ", GROUP_DIGITS // 2).upper() if len(value) % 2 == 0 else value.hex().upper()


def spelled(value: bytes) -> str:
    """The digits of ``value`` in words, groups apart."""
    groups = grouped(value).split()
    return ", ".join(" ".join(DIGIT_WORDS[int(digit, 16)] for digit in group) for group in groups)


def plain(text: str) -> bytes:
    """The bytes of digits without check words, however grouped or spelled.

    Raises:
        BadParameter: something else, or half a byte.
    """
    digits, words = _heard(text)
    if words:
        raise BadParameter(detail=f"{words[0]!r} is a check word, and none is expected")
    return _bytes_of(digits)


def _heard(text: str) -> tuple[str, list[str]]:
    """Digits and check words of a line."""
    digits, words = "", []
    for token in filter(None, _SEPARATORS.split(text.casefold())):
        if token in _NUMBER_OF:
            words.append(token)
        elif words:
            raise _unknown(token) if not _digits(token) else BadParameter(detail="digits after the check word")
        elif token not in _IGNORED:
            digits += _digits(token) or _refuse(token)
    return digits, words


def _digits(token: str) -> str:
    return token if _HEX.fullmatch(token) else _DIGIT_OF.get(token, "")


def _refuse(token: str) -> str:
    raise _unknown(token)


def _unknown(token: str) -> BadParameter:
    near = get_close_matches(token, [*WORDS, *_DIGIT_OF], 1)
    hint = f"; was it {near[0]!r}?" if near else ""
    return BadParameter(detail=f"{token[:20]!r} is neither a digit nor a check word{hint}")


def _bytes_of(digits: str) -> bytes:
    if not digits or len(digits) % 2:
        raise BadParameter(detail=f"{len(digits)} digits; one was left out, or heard twice")
    return bytes.fromhex(digits)


class Dictation:
    """A value that is taken down line by line.

    Args:
        kind: what it is.
        context: what it belongs to.
    """

    def __init__(self, kind: Kind, context: bytes = b"") -> None:
        self.kind = kind
        self.context = context
        self.value = b""
        self.done = False

    @property
    def line(self) -> int:
        """Number of the line that comes next, from 1."""
        return len(self.value) // LINE_BYTES + 1

    def take(self, text: str) -> None:
        """Take down the next line; one that does not agree with its check word is not taken, and may be read again.

        Raises:
            BadParameter: it does not agree; or no check word, another number of digits, a word that is none.
        """
        digits, words = _heard(text)
        heard = _bytes_of(digits)
        if len(words) != 2:
            raise BadParameter(detail=f"the check word is two words, not {len(words)}")
        if len(heard) > LINE_BYTES:
            raise BadParameter(detail=f"a line has {2 * LINE_BYTES} digits at most, not {len(digits)}")
        self._judge(self.value + heard, "-".join(words), whole=len(heard) == LINE_BYTES)

    def _judge(self, value: bytes, check: str, *, whole: bool) -> None:
        self.done = check == check_word(self.kind, self.context, value, last=True)
        goes_on = whole and check == check_word(self.kind, self.context, value, last=False)
        if not (self.done or goes_on):
            raise BadParameter(
                detail=f"line {self.line} does not agree with its check word: something was misheard",
                next_step="Have the line read again; if it stays so, it is about another card or challenge",
            )
        self.value = value

"""The logical files of every card: names, access conditions, contents.

``cardid`` 16 bytes; ``cardcf`` freshness counters; ``cardapps`` 8-byte directory names; ``mscp/cmapfile`` the
container map; ``mscp/kxcNN`` and ``mscp/kscNN`` certificates (NN = index, two upper-case hexadecimal digits);
``mscp/msroots`` a certificates-only PKCS#7.

Source: Microsoft's smart card minidriver specification v7.07, 4.3 (logical file system), 5.4 (compression).
"""

from __future__ import annotations

from enum import IntEnum

from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound
from calais.win.structs import CardCacheFile, compress_certificate, expand_certificate

__all__ = [
    "CARDAPPS_NAME_SIZE",
    "FileAccess",
    "build_cardapps",
    "build_cardcf",
    "certificate_file",
    "check_directory",
    "check_name",
    "compress_certificate",
    "expand_certificate",
    "index_of_certificate_file",
    "parse_cardapps",
    "parse_cardcf",
]

DIRECTORY_BASE_CSP = "mscp"
FILE_CARD_ID = "cardid"
FILE_CACHE = "cardcf"
FILE_APPLICATIONS = "cardapps"
FILE_CONTAINER_MAP = "cmapfile"
FILE_ROOTS = "msroots"
ROOT_FILES = (FILE_CARD_ID, FILE_CACHE, FILE_APPLICATIONS)
PREFIX_OF_KEY_SPEC = {AT_KEYEXCHANGE: "kxc", AT_SIGNATURE: "ksc"}

NAME_MAX = 8
CARDAPPS_NAME_SIZE = 8


class FileAccess(IntEnum):
    """CARD_FILE_ACCESS_CONDITION."""

    INVALID = 0
    EVERYONE_READ_USER_WRITE = 1
    USER_WRITE_EXECUTE = 2
    EVERYONE_READ_ADMIN_WRITE = 3
    UNKNOWN = 4
    USER_READ_WRITE = 5
    ADMIN_READ_WRITE = 6


def check_name(name: str) -> str:
    """``name`` in lower case, when it can be the name of a file or directory: 1 to 8 ASCII characters, no NUL, no slash.

    Raises:
        BadParameter: it cannot.
    """
    if not 0 < len(name) <= NAME_MAX or not name.isascii() or any(c in name for c in "\0\\/"):
        raise BadParameter(detail=f"{name[: NAME_MAX + 1]!r} cannot be the name of a card file")
    return name.lower()


def check_directory(directory: str | None) -> str:
    """The directory in lower case, ``""`` for the root; there is ``mscp`` and no other.

    Raises:
        BadParameter: not a name.
        NotFound: SCARD_E_DIR_NOT_FOUND.
    """
    if not directory:
        return ""
    if check_name(directory) != DIRECTORY_BASE_CSP:
        raise NotFound(Code.SCARD_E_DIR_NOT_FOUND, f"the card has no directory {directory!r}")
    return DIRECTORY_BASE_CSP


def certificate_file(key_spec: int, index: int) -> str:
    """Name of the file with the certificate of container ``index``: ``kxc0A``, ``ksc01``."""
    return f"{PREFIX_OF_KEY_SPEC[key_spec]}{index:02X}"


def index_of_certificate_file(name: str) -> tuple[int, int] | None:
    """Key spec and container index that ``name`` (any case) speaks of, ``None`` when it is another file."""
    for key_spec, prefix in PREFIX_OF_KEY_SPEC.items():
        digits = name[len(prefix) :]
        if name.lower().startswith(prefix) and len(digits) == 2 and set(digits.lower()) <= set("0123456789abcdef"):
            return key_spec, int(digits, 16)
    return None


def parse_cardcf(data: bytes) -> CardCacheFile:
    """The freshness counters.

    Raises:
        BadData: wrong length.
    """
    return CardCacheFile.from_bytes(data)


def build_cardcf(pins: int, containers: int, files: int) -> bytes:
    """``cardcf`` of the given counters, each cut to the width of its field (8, 16, 16 bits)."""
    return CardCacheFile(0, pins & 0xFF, containers & 0xFFFF, files & 0xFFFF).to_bytes()


def parse_cardapps(data: bytes) -> list[str]:
    """The directory names in ``cardapps``, in order.

    Raises:
        BadData: not a whole number of 8-byte names, or one is not ASCII.
    """
    if len(data) % CARDAPPS_NAME_SIZE:
        raise BadData(detail=f"cardapps of {len(data)} bytes is not made of 8-byte names", index=len(data))
    names = [data[at : at + CARDAPPS_NAME_SIZE] for at in range(0, len(data), CARDAPPS_NAME_SIZE)]
    for number, name in enumerate(names):
        if not name.isascii():
            raise BadData(detail="cardapps holds a name that is not ASCII", index=number * CARDAPPS_NAME_SIZE)
    return [name.rstrip(b"\0").decode("ascii") for name in names]


def build_cardapps(names: list[str]) -> bytes:
    """``cardapps`` of ``names``: 8 bytes each, NUL-padded.

    Raises:
        BadParameter: not a directory name.
    """
    return b"".join(check_name(name).encode("ascii").ljust(CARDAPPS_NAME_SIZE, b"\0") for name in names)

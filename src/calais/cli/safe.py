"""Text from cards and certificates, made harmless for a terminal.

A subject name may hold escape sequences that repaint the screen, or direction marks that make one name look like
another (Unicode Technical Report 36, 2.5.2). Whatever is not a plain printable character is shown by its number.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LONGEST = 2000
NAME_LONGEST = 80  # of a name in a list; X.520 has common names of 64 at most


def safe(value: object) -> str:
    """``value`` as text in which control, format and unassigned characters become their number, ``\\x1b``."""  # noqa: D301
    text = str(value)
    if text.isascii() and text.isprintable() and len(text) <= LONGEST:
        return text
    shown = "".join(_shown(character) for character in text[:LONGEST])
    return shown if len(text) <= LONGEST else shown + "…"


def short(name: str, most: int = NAME_LONGEST) -> str:
    """The beginning of ``name``, for a list."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE:
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

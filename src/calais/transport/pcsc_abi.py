"""The PC/SC library as C sees it: integer widths, structures, constants, signatures. Nothing is decided here.

``DWORD`` is 32 bits on Windows and macOS and ``unsigned long`` in pcsc-lite; the reader state is packed on macOS;
Windows has the wide-character functions.

Source: winscard.h and WinSCard.h; pcsc-lite's winscard.h and pcsclite.h; PC/SC Workgroup specification part 5.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

IS_WINDOWS = sys.platform == "win32"
IS_MACOS = sys.platform == "darwin"

DWORD: Any = ctypes.c_uint32 if IS_MACOS else ctypes.c_ulong
LONG: Any = ctypes.c_int32 if IS_MACOS else ctypes.c_long
HANDLE: Any = ctypes.c_size_t if IS_WINDOWS else LONG
TEXT: Any = ctypes.c_wchar_p if IS_WINDOWS else ctypes.c_char_p

ATR_BUFFER = 36 if IS_WINDOWS else 33
BUFFER_MAX = 4 + 3 + (1 << 16) + 3 + 2  # the largest extended APDU, as pcsc-lite counts it

SCOPE_SYSTEM = 2
SHARE_EXCLUSIVE = 1
SHARE_SHARED = 2
PROTOCOL_T0 = 1
PROTOCOL_T1 = 2
LEAVE_CARD = 0
RESET_CARD = 1
UNPOWER_CARD = 2

STATE_IGNORE = 0x0001
STATE_CHANGED = 0x0002
STATE_UNKNOWN = 0x0004
STATE_UNAVAILABLE = 0x0008
STATE_EMPTY = 0x0010
STATE_PRESENT = 0x0020
STATE_EXCLUSIVE = 0x0080
STATE_INUSE = 0x0100
STATE_MUTE = 0x0200

NAMES = {"win32": ("winscard.dll",), "darwin": ("/System/Library/Frameworks/PCSC.framework/PCSC",)}
DEFAULT_NAMES = ("libpcsclite.so.1", "libpcsclite.so")


class IoRequest(ctypes.Structure):
    """SCARD_IO_REQUEST: protocol and length of the protocol control information."""

    _fields_ = (("dwProtocol", DWORD), ("cbPciLength", DWORD))


class ReaderStateRecord(ctypes.Structure):
    """SCARD_READERSTATE."""

    if IS_MACOS:
        _pack_ = 1
    _fields_ = (
        ("szReader", TEXT),
        ("pvUserData", ctypes.c_void_p),
        ("dwCurrentState", DWORD),
        ("dwEventState", DWORD),
        ("cbAtr", DWORD),
        ("rgbAtr", ctypes.c_ubyte * ATR_BUFFER),
    )


_P = ctypes.POINTER
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "SCardEstablishContext": (DWORD, ctypes.c_void_p, ctypes.c_void_p, _P(HANDLE)),
    "SCardReleaseContext": (HANDLE,),
    "SCardIsValidContext": (HANDLE,),
    "SCardListReaders": (HANDLE, TEXT, ctypes.c_void_p, _P(DWORD)),
    "SCardGetStatusChange": (HANDLE, DWORD, _P(ReaderStateRecord), DWORD),
    "SCardCancel": (HANDLE,),
    "SCardConnect": (HANDLE, TEXT, DWORD, DWORD, _P(HANDLE), _P(DWORD)),
    "SCardReconnect": (HANDLE, DWORD, DWORD, DWORD, _P(DWORD)),
    "SCardDisconnect": (HANDLE, DWORD),
    "SCardBeginTransaction": (HANDLE,),
    "SCardEndTransaction": (HANDLE, DWORD),
    "SCardTransmit": (HANDLE, _P(IoRequest), ctypes.c_char_p, DWORD, ctypes.c_void_p, ctypes.c_void_p, _P(DWORD)),
    "SCardStatus": (HANDLE, ctypes.c_void_p, _P(DWORD), _P(DWORD), _P(DWORD), ctypes.c_void_p, _P(DWORD)),
    "SCardControl": (HANDLE, DWORD, ctypes.c_char_p, DWORD, ctypes.c_void_p, DWORD, _P(DWORD)),
    "SCardGetAttrib": (HANDLE, DWORD, ctypes.c_void_p, _P(DWORD)),
}
_WIDE = frozenset({"SCardListReaders", "SCardGetStatusChange", "SCardConnect", "SCardStatus"})


def load(path: str | None = None) -> ctypes.CDLL:
    """The loaded library: the one at ``path``, else this system's.

    Raises:
        OSError: there is none.
    """
    names = (path,) if path else NAMES.get(sys.platform, DEFAULT_NAMES)
    for name in names[:-1]:
        try:
            return _open(name)
        except OSError:
            continue
    return _open(names[-1])


def _open(name: str) -> ctypes.CDLL:
    kind: type[ctypes.CDLL] = getattr(ctypes, "WinDLL", ctypes.CDLL)
    return kind(name)


def bind(library: ctypes.CDLL, name: str) -> Any:  # noqa: ANN401 - a foreign function has no better type
    """The function ``name`` with its argument types; on Windows its wide form."""
    function = getattr(library, name + "W" if IS_WINDOWS and name in _WIDE else name)
    function.argtypes = _SIGNATURES[name]
    function.restype = LONG
    return function


def text(value: str) -> str | bytes:
    """``value`` as the library wants strings."""
    return value if IS_WINDOWS else value.encode()


def text_buffer(length: int) -> Any:  # noqa: ANN401 - an array of chars or of wide chars
    """Room for ``length`` characters."""
    return ctypes.create_unicode_buffer(length) if IS_WINDOWS else ctypes.create_string_buffer(length)


def names_in(buffer: Any, length: int) -> list[str]:  # noqa: ANN401 - see text_buffer
    """The strings of a multi-string: each ends with a zero, the list with an empty one."""
    raw: str | bytes = buffer[:length]
    joined = raw if isinstance(raw, str) else raw.decode(errors="replace")
    return [name for name in joined.split("\0") if name]

"""A card handle's connection to a real reader: PC/SC does it all, we translate.

Share modes, transactions and resets are those of the PC/SC service, so that they hold between programs, too.

Source: PC/SC Workgroup specification part 5; pcsc-lite's pcsclite.h and reader.h (its own numbers).
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

from calais.resource.connection import CardCondition, Sight
from calais.resource.real import RealPort
from calais.transport import pcsc_abi as abi
from calais.transport.pcsc import PcscContext
from calais.transport.pcsc_library import failure
from calais.win.codes import Code
from calais.win.errors import CardRemoved, Unsupported, WinError
from calais.win.flags import (
    SCARD_CTL_CODE,
    SCARD_LEAVE_CARD,
    SCARD_NEGOTIABLE,
    SCARD_PROTOCOL_RAW,
    SCARD_RESET_CARD,
    SCARD_SHARE_DIRECT,
    SCARD_SPECIFIC,
    SCARD_STATE_EMPTY,
    SCARD_STATE_EXCLUSIVE,
    SCARD_STATE_INUSE,
    SCARD_STATE_MUTE,
    SCARD_STATE_PRESENT,
    SCARD_STATE_UNPOWERED,
    SCARD_PROTOCOL_Tx,
)

LITE_PROTOCOL_RAW = 4
LITE_CONTROL = 0x42000000  # SCARD_CTL_CODE(0) of pcsc-lite
CONTROL_CODES = 0x4000
ATTRIBUTE_MAX = 264
SHOWN = (
    SCARD_STATE_EMPTY
    | SCARD_STATE_PRESENT
    | SCARD_STATE_EXCLUSIVE
    | SCARD_STATE_INUSE
    | SCARD_STATE_MUTE
    | SCARD_STATE_UNPOWERED
)
_OVER = frozenset({Code.SCARD_W_RESET_CARD, Code.SCARD_W_REMOVED_CARD, Code.SCARD_E_NO_SMARTCARD})


def sights(ports: list[RealPort]) -> dict[str, Sight]:
    """The readers as they are now, by name; those that have been unplugged are left out.

    Raises:
        ReaderUnavailable: the service is gone.
    """
    if not ports:
        return {}
    with PcscContext(ports[0].library) as context:
        states = context.states([port.name for port in ports])
    return {each.reader: Sight(each.flags & SHOWN, each.insertion, each.atr) for each in states if each.available}


class RealConnection:
    """A connection of PC/SC (see ``connection.Connection``), with a context of its own.

    Args:
        port: the reader.
        share: SCARD_SHARE_*.
        protocols: SCARD_PROTOCOL_*.

    Raises:
        CardRemoved: there is no card.
        WinError: whatever PC/SC says.
    """

    def __init__(self, port: RealPort, share: int, protocols: int) -> None:
        self.depth = 0
        self.protocol = 0
        self.atr = b""
        self.epoch = 0
        self._reader = port.name
        self._handle = 0
        self._context = PcscContext(port.library)
        self._library = self._context.library
        handle, active = abi.HANDLE(), abi.DWORD()
        try:
            self._call("Connect", self._context.handle, abi.text(port.name), share, _lite(protocols), handle, active)
        except WinError:
            self._context.close()
            raise
        self._handle = handle.value
        self._agreed = share, protocols
        self._learn(active.value, share)

    def _call(self, function: str, *arguments: object) -> None:
        out = [ctypes.byref(each) if isinstance(each, abi.DWORD | abi.HANDLE) else each for each in arguments]
        code = self._library.code(function, *out)
        if not code:
            return
        if code in _OVER:
            self.depth = 0
        if code == Code.SCARD_E_NO_SMARTCARD and function in ("Connect", "Reconnect"):
            raise CardRemoved(detail=f"there is no card in {self._reader}", next_step="insert the card")
        raise failure(code, function)

    def _learn(self, active: int, share: int) -> None:
        """Protocol and ATR after a connection was made."""
        self.epoch += 1
        if share != SCARD_SHARE_DIRECT:
            self.protocol = _windows(active)
        with suppress(WinError):
            self.atr = self.condition().atr

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """See ``Connection``."""
        active = abi.DWORD()
        wanted = _lite(protocols) if share != SCARD_SHARE_DIRECT else _lite(self.protocol)
        self._call("Reconnect", self._handle, share, wanted, initialization, active)
        self._agreed = share, protocols
        self._learn(active.value, share)

    def disconnect(self, disposition: int) -> None:
        """See ``Connection``."""
        handle, self._handle, self.depth = self._handle, 0, 0
        if handle:
            self._library.code("Disconnect", handle, disposition)
        self._context.close()

    def abort(self) -> None:
        """See ``Connection``."""
        self.disconnect(SCARD_LEAVE_CARD)

    def begin(self) -> None:
        """See ``Connection``."""
        self._call("BeginTransaction", self._handle)
        self.depth += 1
        self.epoch += self.depth == 1

    def end(self, disposition: int) -> None:
        """See ``Connection``."""
        self._call("EndTransaction", self._handle, disposition)
        self.depth = max(0, self.depth - 1)
        if disposition != SCARD_LEAVE_CARD and not self.depth:
            with suppress(WinError):  # outside Windows a handle must take note of its own reset, too
                self.reconnect(*self._agreed, SCARD_LEAVE_CARD)

    def transmit(self, command: bytes) -> bytes:
        """See ``Connection``."""
        answer, length = ctypes.create_string_buffer(abi.BUFFER_MAX), abi.DWORD(abi.BUFFER_MAX)
        request = abi.IoRequest(_lite(self.protocol), ctypes.sizeof(abi.IoRequest))
        self._call("Transmit", self._handle, request, command, len(command), None, answer, length)
        self.epoch += 1
        data = ctypes.string_at(answer, length.value)
        ctypes.memset(answer, 0, length.value)
        return data

    def reset(self) -> None:
        """See ``Connection``."""
        self.reconnect(*self._agreed, SCARD_RESET_CARD)

    def condition(self) -> CardCondition:
        """See ``Connection``."""
        name, atr = abi.text_buffer(256), ctypes.create_string_buffer(abi.ATR_BUFFER)
        sizes = abi.DWORD(256), abi.DWORD(abi.ATR_BUFFER)
        state, protocol = abi.DWORD(), abi.DWORD()
        self._call("Status", self._handle, name, sizes[0], state, protocol, atr, sizes[1])
        shown = _state(state.value)
        if self.protocol and shown == SCARD_NEGOTIABLE:  # pcsc-lite goes on to call it so once a protocol is agreed
            shown = SCARD_SPECIFIC
        return CardCondition(shown, self.protocol, atr.raw[: sizes[1].value])

    def control(self, code: int, data: bytes) -> bytes:
        """See ``Connection``."""
        answer, length = ctypes.create_string_buffer(abi.BUFFER_MAX), abi.DWORD()
        self._call("Control", self._handle, _control(code), data, len(data), answer, abi.BUFFER_MAX, length)
        return ctypes.string_at(answer, length.value)

    def attribute(self, number: int) -> bytes:
        """See ``Connection``."""
        buffer, length = ctypes.create_string_buffer(ATTRIBUTE_MAX), abi.DWORD(ATTRIBUTE_MAX)
        self._call("GetAttrib", self._handle, number, buffer, length)
        return buffer.raw[: length.value]

    def set_attribute(self, number: int, value: bytes | int | str) -> None:  # noqa: ARG002 - none of them can
        """See ``Connection``."""
        raise Unsupported(detail=f"attribute 0x{number:08X} of {self._reader} cannot be changed")


def _lite(protocols: int) -> int:
    """SCARD_PROTOCOL_* as this system's PC/SC has them."""
    raw = 0 if not protocols & SCARD_PROTOCOL_RAW else SCARD_PROTOCOL_RAW if abi.IS_WINDOWS else LITE_PROTOCOL_RAW
    return protocols & SCARD_PROTOCOL_Tx | raw


def _windows(protocol: int) -> int:
    return SCARD_PROTOCOL_RAW if protocol == LITE_PROTOCOL_RAW else protocol


def _state(value: int) -> int:
    """SCARD_ABSENT … SCARD_SPECIFIC; outside Windows each state is a bit, and the highest one counts."""
    return value if abi.IS_WINDOWS else (value & 0x7F).bit_length() - 1 if value & 0x7F else 0


def _control(code: int) -> int:
    number = (code - SCARD_CTL_CODE(0)) // 4
    ours = code == SCARD_CTL_CODE(number) and 0 <= number < CONTROL_CODES
    return LITE_CONTROL + number if ours and not abi.IS_WINDOWS else code

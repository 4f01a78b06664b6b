"""One PC/SC handle with all that PC/SC can do with it, under Windows' numbers: share modes, transactions, control.

``PcscTransport`` is what drivers use; this is for those who want the handle itself.

Source: PC/SC Workgroup specification part 5; pcsc-lite's pcsclite.h and reader.h (its own numbers).
"""

from __future__ import annotations

import ctypes

from calais.transport import pcsc_abi as abi
from calais.transport.pcsc import PcscContext
from calais.transport.pcsc_library import Library, failure
from calais.win.codes import Code
from calais.win.errors import CardRemoved, WinError
from calais.win.flags import SCARD_CTL_CODE, SCARD_PROTOCOL_RAW, SCARD_PROTOCOL_Tx

LITE_PROTOCOL_RAW = 4
LITE_CONTROL = 0x42000000  # SCARD_CTL_CODE(0) of pcsc-lite
CONTROL_CODES = 0x4000
ATTRIBUTE_MAX = 264


class PcscHandle:
    """A connection of PC/SC, in a context of its own. Every method raises ``WinError`` with what PC/SC says.

    Args:
        library: the PC/SC library; ``None`` = the system's.
        reader: name of the reader.
        share: SCARD_SHARE_*.
        protocols: SCARD_PROTOCOL_*.

    ``protocol``: the active SCARD_PROTOCOL_*.

    Raises:
        CardRemoved: there is no card.
    """

    def __init__(self, library: Library | None, reader: str, share: int, protocols: int) -> None:
        self.reader = reader
        self.protocol = 0
        self._handle = 0
        self._context = PcscContext(library)
        self._library = self._context.library
        handle, active = abi.HANDLE(), abi.DWORD()
        try:
            self._call("Connect", self._context.handle, abi.text(reader), share, _lite(protocols), handle, active)
        except WinError:
            self._context.close()
            raise
        self._handle = handle.value
        self.protocol = _windows(active.value)

    def _call(self, function: str, *arguments: object) -> None:
        out = [ctypes.byref(each) if isinstance(each, abi.DWORD | abi.HANDLE) else each for each in arguments]
        code = self._library.code(function, *out)
        if code == Code.SCARD_E_NO_SMARTCARD and function in ("Connect", "Reconnect"):
            raise CardRemoved(detail=f"there is no card in {self.reader}", next_step="insert the card")
        if code:
            raise failure(code, function)

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """SCardReconnect."""
        active = abi.DWORD()
        self._call("Reconnect", self._handle, share, _lite(protocols), initialization, active)
        self.protocol = _windows(active.value)

    def disconnect(self, disposition: int) -> None:
        """SCardDisconnect; never raises, harmless when repeated. Ends what another thread waits for."""
        handle, self._handle = self._handle, 0
        if handle:
            self._library.code("Disconnect", handle, disposition)
        self._context.close()

    def begin(self) -> None:
        """SCardBeginTransaction."""
        self._call("BeginTransaction", self._handle)

    def end(self, disposition: int) -> None:
        """SCardEndTransaction."""
        self._call("EndTransaction", self._handle, disposition)

    def transmit(self, command: bytes) -> bytes:
        """SCardTransmit, under the active protocol."""
        answer, length = ctypes.create_string_buffer(abi.BUFFER_MAX), abi.DWORD(abi.BUFFER_MAX)
        request = abi.IoRequest(_lite(self.protocol), ctypes.sizeof(abi.IoRequest))
        self._call("Transmit", self._handle, request, command, len(command), None, answer, length)
        data = ctypes.string_at(answer, length.value)
        ctypes.memset(answer, 0, length.value)
        return data

    def status(self) -> tuple[int, bytes]:
        """SCardStatus: SCARD_ABSENT … SCARD_SPECIFIC, and the ATR."""
        name, atr = abi.text_buffer(256), ctypes.create_string_buffer(abi.ATR_BUFFER)
        sizes = abi.DWORD(256), abi.DWORD(abi.ATR_BUFFER)
        state, protocol = abi.DWORD(), abi.DWORD()
        self._call("Status", self._handle, name, sizes[0], state, protocol, atr, sizes[1])
        return _state(state.value), atr.raw[: sizes[1].value]

    def control(self, code: int, data: bytes) -> bytes:
        """SCardControl."""
        answer, length = ctypes.create_string_buffer(abi.BUFFER_MAX), abi.DWORD()
        self._call("Control", self._handle, _control(code), data, len(data), answer, abi.BUFFER_MAX, length)
        return ctypes.string_at(answer, length.value)

    def attribute(self, number: int) -> bytes:
        """SCardGetAttrib."""
        buffer, length = ctypes.create_string_buffer(ATTRIBUTE_MAX), abi.DWORD(ATTRIBUTE_MAX)
        self._call("GetAttrib", self._handle, number, buffer, length)
        return buffer.raw[: length.value]


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
    """A control code in this system's numbers."""
    number = (code - SCARD_CTL_CODE(0)) // 4
    ours = code == SCARD_CTL_CODE(number) and 0 <= number < CONTROL_CODES
    return LITE_CONTROL + number if ours and not abi.IS_WINDOWS else code

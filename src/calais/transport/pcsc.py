"""Real readers: PC/SC by ctypes, on Linux (pcsc-lite), macOS and Windows.

Calls of the library that may wait for another program (connect, begin) run in a thread of their own, so that each
of ours ends within its timeout.

Source: PC/SC Workgroup specification part 5; winscard.h; pcsc-lite's pcsclite.h.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from calais.transport import pcsc_abi as abi
from calais.transport.pcsc_library import Library, bounded, failure
from calais.win.codes import Code
from calais.win.errors import (
    CardReset,
    ReaderUnavailable,
    SharingViolation,
    WinError,
)

PNP_NOTIFICATION = "\\\\?PnP?\\Notification"
DEFAULT_TIMEOUT_S = 30.0
LIST_TRIES = 5
RECONNECT_TRIES = 5
WAIT_SLICE_S = 1.0
SETTLE_S = 1.5  # pcscd looks for a card every 0.4 s

_LOST_CONTACT = frozenset(
    {
        Code.SCARD_E_NOT_TRANSACTED,
        Code.SCARD_W_UNPOWERED_CARD,
        Code.SCARD_W_UNRESPONSIVE_CARD,
        Code.SCARD_E_NO_SMARTCARD,
    }
)
_epochs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ReaderState:
    """A reader as PC/SC reports it: ``flags`` are the low 16 bits of dwEventState (SCARD_STATE_*), ``insertion`` the
    high 16 bits, which count the insertions and removals; ``atr`` is empty without a card.
    """

    reader: str
    flags: int = 0
    insertion: int = 0
    atr: bytes = b""

    @property
    def changed(self) -> bool:
        """Whether it differs from the state that was passed in."""
        return bool(self.flags & abi.STATE_CHANGED)

    @property
    def present(self) -> bool:
        """Whether there is a card."""
        return bool(self.flags & abi.STATE_PRESENT)

    @property
    def available(self) -> bool:
        """Whether the reader itself is there."""
        return not self.flags & (abi.STATE_UNKNOWN | abi.STATE_UNAVAILABLE)

    @property
    def exclusive(self) -> bool:
        """Whether one program has the card for itself alone."""
        return bool(self.flags & abi.STATE_EXCLUSIVE)

    @property
    def mute(self) -> bool:
        """Whether the card does not answer."""
        return bool(self.flags & abi.STATE_MUTE)


class PcscContext:
    """A PC/SC resource manager context. One thread at a time may use it; only ``cancel`` is for another thread.

    Raises:
        ReaderUnavailable: no service, or no library (SCARD_E_NO_SERVICE).
        NotAuthenticated: the service refuses this user (polkit).
    """

    def __init__(self, library: Library | None = None) -> None:
        self.library = library or Library()
        handle = abi.HANDLE()
        self.library.call("EstablishContext", abi.SCOPE_SYSTEM, None, None, ctypes.byref(handle))
        self.handle: int = handle.value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the context; harmless when repeated or when the service is gone."""
        if self.handle:
            self.library.code("ReleaseContext", self.handle)
            self.handle = 0

    def is_valid(self) -> bool:
        """Whether the service still knows this context."""
        return not self.library.code("IsValidContext", self.handle)

    def list_readers(self) -> list[str]:
        """Names of the readers, in the order of the service; empty when there are none.

        Raises:
            ReaderUnavailable: the service is gone.
        """
        for _ in range(LIST_TRIES):
            length = abi.DWORD(0)
            code = self.library.code("ListReaders", self.handle, None, None, ctypes.byref(length))
            if not code:
                buffer = abi.text_buffer(length.value)
                code = self.library.code("ListReaders", self.handle, None, buffer, ctypes.byref(length))
            if not code:
                return abi.names_in(buffer, length.value)
            if code == Code.SCARD_E_NO_READERS_AVAILABLE:
                return []
            # A reader was plugged between the two calls: the buffer is too short now.
            if code != Code.SCARD_E_INSUFFICIENT_BUFFER:
                break
        raise failure(code, "ListReaders")

    def states(self, readers: Iterable[str] | None = None) -> list[ReaderState]:
        """State of each of ``readers`` (all when ``None``), at once.

        Raises:
            ReaderUnavailable: the service is gone.
        """
        listed = self.list_readers()
        names = listed if readers is None else list(readers)
        return self._ask([ReaderState(name) for name in names], listed, 0.0, plug=False)

    def wait(self, known: Iterable[ReaderState], timeout_s: float, *, plug: bool = False) -> list[ReaderState]:
        """Wait until a reader differs from its state in ``known``.

        Args:
            known: states as ``states`` or ``wait`` returned them.
            timeout_s: at most so many seconds; then nothing is ``changed``.
            plug: also wait for readers plugged; a name that is new in the answer is such a reader.

        Returns:
            The new states, in the order of ``known``, then new readers. A reader that went is not ``available``.

        Raises:
            Cancelled: another thread called ``cancel``.
            ReaderUnavailable: the service is gone.
        """
        known, deadline = list(known), time.monotonic() + timeout_s
        while True:
            listed = self.list_readers()
            new = [name for name in listed if plug and name not in {state.reader for state in known}]
            left = 0.0 if new else deadline - time.monotonic()
            now = self._ask(known, listed, max(0.0, min(left, WAIT_SLICE_S)), plug=plug)
            if left <= 0 or any(state.changed for state in now):
                return now + self.states(new)

    def _ask(self, known: list[ReaderState], listed: list[str], timeout_s: float, *, plug: bool) -> list[ReaderState]:
        """Ask about the readers that are there: with a missing one in it, pcsc-lite refuses the whole question.

        The service reports a reader plugged only while we ask: hence the slices of time in ``wait``.
        """
        asked = [state if state.available else ReaderState(state.reader) for state in known if state.reader in listed]
        pnp = [ReaderState(PNP_NOTIFICATION)] if plug and not abi.IS_MACOS else []
        answers = {state.reader: state for state in self._status_change(asked + pnp, timeout_s)}
        return [answers[state.reader] if state.reader in answers else _gone(state) for state in known]

    def _status_change(self, known: list[ReaderState], timeout_s: float) -> list[ReaderState]:
        if not known:
            time.sleep(timeout_s)
            return []
        records = (abi.ReaderStateRecord * len(known))()
        for record, state in zip(records, known, strict=True):
            record.szReader = abi.text(state.reader)
            record.dwCurrentState = state.flags & ~abi.STATE_CHANGED | state.insertion << 16
        code = self.library.code("GetStatusChange", self.handle, int(timeout_s * 1000), records, len(known))
        if code == Code.SCARD_E_UNKNOWN_READER:  # unplugged since we looked
            listed = [*self.list_readers(), PNP_NOTIFICATION]
            return [_gone(state) for state in known if state.reader not in listed]
        if code == Code.SCARD_E_TIMEOUT:
            return [ReaderState(s.reader, s.flags & ~abi.STATE_CHANGED, s.insertion, s.atr) for s in known]
        if code:
            raise failure(code, "GetStatusChange")
        return [_state_of(state.reader, record) for state, record in zip(known, records, strict=True)]

    def cancel(self) -> None:
        """End a ``wait`` that runs in another thread."""
        self.library.call("Cancel", self.handle)

    def connect(self, reader: str, *, exclusive: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S) -> PcscTransport:
        """Connect to the card in ``reader``; the connection has a context of its own.

        Args:
            reader: its name.
            exclusive: nobody else may connect; then ``epoch`` stays while only we use the card.
            timeout_s: how long this and each ``begin`` may wait for another program, in seconds.

        Raises:
            NoCard: the reader is empty.
            SharingViolation: another program has the card.
            ReaderUnavailable: no such reader, or no service.
        """
        return PcscTransport(self.library, reader, exclusive=exclusive, timeout_s=timeout_s)


def _state_of(reader: str, record: abi.ReaderStateRecord) -> ReaderState:
    event = record.dwEventState
    return ReaderState(reader, event & 0xFFFF, event >> 16 & 0xFFFF, bytes(record.rgbAtr[: record.cbAtr]))


def _gone(state: ReaderState) -> ReaderState:
    flags = abi.STATE_UNKNOWN | abi.STATE_UNAVAILABLE
    return ReaderState(state.reader, flags | (abi.STATE_CHANGED if state.available else 0), state.insertion)


class PcscTransport:
    """A connection to a card in a real reader (see ``Transport``); made by ``PcscContext.connect``.

    Shared: every ``begin`` is a new ``epoch``, for nobody can tell what other programs did in between.
    Exclusive: ``epoch`` changes only when the card is reset.
    """

    def __init__(self, library: Library, reader: str, *, exclusive: bool, timeout_s: float) -> None:
        self.reader = reader
        self.timeout_s = timeout_s
        self.epoch = next(_epochs)
        self.atr = b""
        self.protocol = 1
        self._library = library
        self._share = abi.SHARE_EXCLUSIVE if exclusive else abi.SHARE_SHARED
        self._use = threading.Lock()  # PC/SC would let two threads of one handle into one transaction
        self._held = False
        self._handle = 0
        self._context: PcscContext | None = None
        self._answer = ctypes.create_string_buffer(abi.BUFFER_MAX)
        self._answer_length = abi.DWORD()
        self._request = abi.IoRequest(0, ctypes.sizeof(abi.IoRequest))
        self._open()

    def _open(self) -> None:
        """Connect, in a fresh context."""
        context = PcscContext(self._library)
        handle, protocol = abi.HANDLE(), abi.DWORD()
        arguments = (context.handle, abi.text(self.reader), self._share, abi.PROTOCOL_T0 | abi.PROTOCOL_T1)

        def connect() -> int:
            return self._library.code("Connect", *arguments, ctypes.byref(handle), ctypes.byref(protocol))

        def give_up(code: int) -> None:
            if not code:
                self._library.code("Disconnect", handle, abi.LEAVE_CARD)
            context.close()

        code = bounded(connect, self.timeout_s, give_up)
        if code is None:
            raise self._busy()
        if code:
            context.close()
            raise failure(code, "Connect")
        self._context, self._handle = context, handle.value
        self._learn(protocol.value)

    def _learn(self, protocol: int) -> None:
        """What may be another after each connection: protocol and ATR."""
        self.protocol = 0 if protocol == abi.PROTOCOL_T0 else 1
        self._request.dwProtocol = protocol
        self.atr = self._read_atr()
        self.epoch = next(_epochs)

    def _read_atr(self) -> bytes:
        name, atr = abi.text_buffer(256), ctypes.create_string_buffer(abi.ATR_BUFFER)
        name_length, state, protocol, length = abi.DWORD(256), abi.DWORD(), abi.DWORD(), abi.DWORD(abi.ATR_BUFFER)
        out = tuple(map(ctypes.byref, (name_length, state, protocol, length)))
        code = self._library.code("Status", self._handle, name, *out[:3], atr, out[3])
        return self.atr if code else atr.raw[: length.value]

    def _busy(self) -> SharingViolation:
        return SharingViolation(
            detail=f"the card in {self.reader} is in use; gave up after {self.timeout_s:.1f} s",
            next_step="wait until the other program has finished with the card, or close it",
        )

    def begin(self) -> None:
        """Take the card; reconnects silently when another program has reset it.

        Raises:
            SharingViolation: another program, or thread, kept it longer than the timeout.
            CardRemoved: the card is gone.
            ReaderUnavailable: the reader or the service is gone.
        """
        if not self._use.acquire(timeout=self.timeout_s):
            raise self._busy()
        try:
            self._take()
        except BaseException:
            self._use.release()
            raise
        self._held = True
        if self._share == abi.SHARE_SHARED:
            self.epoch = next(_epochs)

    def _take(self) -> None:
        if not self._handle:
            self._open()
        code = None
        for _ in range(RECONNECT_TRIES):
            code = self._patiently("BeginTransaction")
            if code not in (Code.SCARD_W_RESET_CARD, Code.SCARD_W_UNPOWERED_CARD):
                break
            self._reconnect(abi.LEAVE_CARD)
        if code:
            raise self._explain(code, "BeginTransaction")

    def _reconnect(self, initialization: int) -> None:
        protocol, wanted = abi.DWORD(), abi.PROTOCOL_T0 | abi.PROTOCOL_T1
        arguments = (self._share, wanted, initialization, ctypes.byref(protocol))
        if code := self._patiently("Reconnect", *arguments):
            raise self._explain(code, "Reconnect")
        self._learn(protocol.value)

    def _patiently(self, function: str, *arguments: object) -> int:
        """A call that waits for other programs; the handle is given up when that takes too long."""
        handle, context = self._handle, self._context

        def give_up(_: int) -> None:
            self._library.code("Disconnect", handle, abi.LEAVE_CARD)
            if context:
                context.close()

        code = bounded(lambda: self._library.code(function, handle, *arguments), self.timeout_s, give_up)
        if code is None:
            # The late call still waits on this handle and will dispose of it: never use it again.
            self._handle, self._context = 0, None
            raise self._busy()
        return code

    def end(self, *, reset: bool = False) -> None:
        """Give the card back, as it is or reset; nothing happens when it is not held, or gone."""
        if not self._held:
            return
        self._held = False
        try:
            self._library.code("EndTransaction", self._handle, abi.RESET_CARD if reset else abi.LEAVE_CARD)
        finally:
            self._use.release()

    def transmit(self, command: bytes) -> bytes:
        """One exchange. The command is not copied here, and the answer is wiped from the buffer.

        Raises:
            CardReset: another program reset the card since ``begin``.
            CardRemoved: the card is gone.
            ReaderUnavailable: the reader or the service is gone.
            WinError: ``SCARD_E_NOT_TRANSACTED``, outside ``begin`` and ``end``.
        """
        if not self._held:
            raise WinError.of(Code.SCARD_E_NOT_TRANSACTED, "a command outside a card transaction")
        length = self._answer_length
        length.value = abi.BUFFER_MAX
        code = self._library.code(
            "Transmit", self._handle, self._request, command, len(command), None, self._answer, length
        )
        if code:
            raise self._explain(code, "Transmit")
        answer = ctypes.string_at(self._answer, length.value)
        ctypes.memset(self._answer, 0, length.value)
        return answer

    def reset(self) -> None:
        """Reset the card, inside a transaction or outside; changes ``epoch``.

        Raises:
            CardRemoved, ReaderUnavailable, SharingViolation: as ``begin``.
        """
        if self._held:
            self._reconnect(abi.RESET_CARD)
            return
        self.begin()
        try:
            self._reconnect(abi.RESET_CARD)
        finally:
            self.end()

    def attribute(self, number: int) -> bytes:
        """Reader attribute ``number`` (SCARD_ATTR_*).

        Raises:
            WinError: the reader has no such attribute, or is gone.
        """
        buffer, length = ctypes.create_string_buffer(264), abi.DWORD(264)
        code = self._library.code("GetAttrib", self._handle, number, buffer, ctypes.byref(length))
        if code:
            raise self._explain(code, "GetAttrib")
        return buffer.raw[: length.value]

    def control(self, code: int, data: bytes) -> bytes:
        """Send ``data`` to the reader itself (SCardControl); its answer.

        Raises:
            Unsupported: the reader has no such control code. WinError: it is gone.
        """
        buffer, length = ctypes.create_string_buffer(abi.BUFFER_MAX), abi.DWORD(0)
        result = self._library.code(
            "Control", self._handle, code, data, len(data), buffer, len(buffer), ctypes.byref(length)
        )
        if result:
            raise self._explain(result, "Control")
        return buffer.raw[: length.value]

    def close(self) -> None:
        """Disconnect, leaving the card as it is; harmless when repeated or when the card is gone."""
        self.end()
        if self._handle:
            self._library.code("Disconnect", self._handle, abi.LEAVE_CARD)
        if self._context:
            self._context.close()
        self._handle, self._context = 0, None

    def _explain(self, code: int, function: str) -> WinError:
        """A card pulled in the middle of an exchange first looks like lost contact: ask the reader what happened."""
        if code == Code.SCARD_E_INVALID_HANDLE:
            return ReaderUnavailable(detail=f"the connection to {self.reader} is closed")
        if code == Code.SCARD_E_PROTO_MISMATCH and function == "Transmit":
            # pcscd resets the card of a client that died after it has given the card away: no protocol is agreed.
            return CardReset(detail=f"the card in {self.reader} was reset by the smart card service")
        if code in _LOST_CONTACT:
            return self._look(code, function)
        return failure(code, function)

    def _look(self, code: int, function: str) -> WinError:
        try:
            state = self._settled()
        except WinError as error:
            return error
        if not state.available:
            return failure(Code.SCARD_E_READER_UNAVAILABLE, function)
        if not state.present:
            return failure(Code.SCARD_W_REMOVED_CARD, function)
        return WinError.of(code, f"the card in {self.reader} did not answer")

    def _settled(self) -> ReaderState:
        """State of the reader once the service has had time to notice that the card is gone."""
        with PcscContext(self._library) as context:
            state = context.states([self.reader])[0]
            deadline = time.monotonic() + SETTLE_S
            while state.present and (left := deadline - time.monotonic()) > 0:
                state = context.wait([state], left)[0]
            return state

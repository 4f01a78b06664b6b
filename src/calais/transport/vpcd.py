"""Put a card into the virtual reader *vpcd* of a real pcscd: we are the card, pcscd's driver is the reader.

The card side connects by TCP. Each message is a length of 2 bytes (big-endian) and that many bytes. From the
reader: one byte is a control (0 power off, 1 power on, 2 reset, 4 "your ATR?"), anything longer is a command APDU.
To the reader: the ATR, and response APDUs; the first three controls have no answer.

Source: the protocol of the vsmartcard project's vpcd driver, version 3.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from enum import IntEnum

from calais.transport.loopback import LoopbackCard
from calais.win.codes import Code
from calais.win.errors import BadData, ReaderUnavailable

DEFAULT_PORT = 35963
MESSAGE_MAX = 0xFFFF
POLL_S = 0.1
RETRY_S = 0.1
CONNECT_S = 1.0
WRONG_LENGTH = b"\x67\x00"
TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Control(IntEnum):
    """The one-byte messages of the reader."""

    OFF = 0
    ON = 1
    RESET = 2
    ATR = 4


_CONTROLS = frozenset(map(int, Control))


def build_message(payload: bytes) -> bytes:
    """Length (2 bytes, big-endian) and ``payload``.

    Raises:
        BadData: more than 65,535 bytes, which this protocol cannot carry.
    """
    if len(payload) > MESSAGE_MAX:
        raise BadData(detail=f"an answer of {len(payload)} bytes does not fit the virtual reader", index=MESSAGE_MAX)
    return len(payload).to_bytes(2, "big") + payload


class Inbox:
    """Cuts a stream of bytes into messages; the pieces may come in any size."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add ``data``; the messages that are now whole."""
        self._pending += data
        while (end := self._end()) is not None:
            message = bytes(self._pending[2:end])
            # A message may be a VERIFY: overwrite before the memory is given back.
            self._pending[:end] = bytes(end)
            del self._pending[:end]
            yield message

    def _end(self) -> int | None:
        if len(self._pending) < 2:
            return None
        end = 2 + int.from_bytes(self._pending[:2], "big")
        return end if len(self._pending) >= end else None


class Insertion:
    """One stay of ``card`` in the reader: bytes from the reader in, bytes to the reader out.

    A card that goes in has no power, and has forgotten what it knew.
    """

    def __init__(self, card: LoopbackCard) -> None:
        self._card = card
        self._inbox = Inbox()
        self._powered = False
        card.power_cycle()

    def receive(self, data: bytes) -> bytes:
        """What to send back for ``data``; empty when nothing is to be said yet.

        Raises:
            BadData: the card's answer is too long for the protocol.
        """
        return b"".join(self._answer(message) for message in self._inbox.feed(data))

    def _answer(self, message: bytes) -> bytes:
        if len(message) == 1 and message[0] in _CONTROLS:
            return self._obey(Control(message[0]))
        return build_message(self._card.process(message) if message else WRONG_LENGTH)

    def _obey(self, control: Control) -> bytes:
        if control is Control.ATR:
            return build_message(self._card.atr)
        if control is Control.RESET:
            self._card.reset()
        elif self._powered:
            self._card.power_cycle()
        self._powered = control is not Control.OFF
        return b""


def serve(
    card: LoopbackCard,
    port: int = DEFAULT_PORT,
    *,
    host: str = "127.0.0.1",
    stop: threading.Event,
    patience_s: float = 10.0,
    on_inserted: Callable[[], None] = lambda: None,
    on_removed: Callable[[], None] = lambda: None,
) -> None:
    """Keep ``card`` in the virtual reader until ``stop`` is set; comes back when pcscd restarts.

    Setting ``stop`` pulls the card within 0.1 s.

    Args:
        card: the card; its ``process`` is called in this thread.
        port: TCP port of the reader's slot.
        host: where pcscd runs.
        stop: set it to pull the card.
        patience_s: how long pcscd may be away, in seconds, before we give up.
        on_inserted: called when a reader has taken the card.
        on_removed: called when the reader hung up, or ``stop`` pulled the card.

    Raises:
        ReaderUnavailable: no virtual reader answered for ``patience_s`` seconds.
        BadData: the card gave an answer too long for the protocol.
        CardRemoved: the card lost its power; it has left the reader.
    """
    while not stop.is_set():
        link = _connect(host, port, stop, patience_s)
        if link is None:
            return
        with link:
            on_inserted()
            try:
                _stay(Insertion(card), link, stop)
            finally:
                on_removed()
        # A reader that takes us and drops us at once must not make this a busy loop.
        stop.wait(RETRY_S)


def _connect(host: str, port: int, stop: threading.Event, patience_s: float) -> socket.socket | None:
    deadline = time.monotonic() + patience_s
    while not stop.is_set():
        try:
            link = socket.create_connection((host, port), timeout=CONNECT_S)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise _nobody_listens(host, port) from error
            stop.wait(RETRY_S)
        else:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.settimeout(POLL_S)
            return link
    return None


def _nobody_listens(host: str, port: int) -> ReaderUnavailable:
    return ReaderUnavailable(
        Code.SCARD_E_NO_SERVICE,
        f"no virtual reader answers at {host}, port {port}",
        next_step="install the packages pcscd and vsmartcard-vpcd, and see that pcscd is running",
    )


def _stay(insertion: Insertion, link: socket.socket, stop: threading.Event) -> None:
    """Answer the reader until it hangs up or ``stop`` is set."""
    while not stop.is_set():
        try:
            data = link.recv(MESSAGE_MAX + 2)
            if not data:
                return
            # vpcd may write a message in two pieces; without this each would wait 40 ms for the other's ACK.
            if TCP_QUICKACK is not None:
                link.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 1)
            if answer := insertion.receive(data):
                link.sendall(answer)
        except TimeoutError:
            continue
        except ConnectionError:
            return

"""Readers with a keypad: the person types the PIN there, and the reader puts it into the command. We never see it.

The reader tells which of its features has which control code; FEATURE_VERIFY_PIN_DIRECT takes a PIN_VERIFY structure
with the command that it completes, and answers with the card's status word, or with one of its own:

===== ===========================================
64 00 nobody typed a PIN in time
64 01 the person pressed Cancel
64 02 two entries of a new PIN differ
64 03 the PIN is too short or too long
6B 80 the reader does not understand the structure
===== ===========================================

Source: PC/SC Workgroup specification part 10 (v2.02.09), 2.2 (features), 2.5.2 (PIN_VERIFY), 2.6.1 (status words);
winsmcrd.h and pcsc-lite's reader.h for the number of the question.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import NoReturn, Protocol, Self, runtime_checkable

from calais.iso7816.apdu import Command, Response
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import BadData, Cancelled, Unsupported, WinError
from calais.win.flags.winscard import CM_IOCTL_GET_FEATURE_REQUEST

FEATURE_VERIFY_PIN_DIRECT = 0x06
# pcsc-lite and Apple number control codes in their own way: SCARD_CTL_CODE(3400).
GET_FEATURE_REQUEST = CM_IOCTL_GET_FEATURE_REQUEST if sys.platform == "win32" else 0x42000000 + 3400
TYPING_S = 30  # bTimerOut: how long the reader waits for a PIN
_VERIFY = struct.Struct("<BBBBBHBBHB3sL")
_ASCII_FROM_THE_LEFT = 0x82  # bmFormatString: in bytes, position 0, left-justified, ASCII
_KEY_PRESSED = 0x02  # bEntryValidationCondition: the validation key ends the entry
_ONE_MESSAGE, _ENGLISH, _FIRST_MESSAGE = 0x01, 0x0409, 0x00


@runtime_checkable
class Controllable(Protocol):
    """A connection that also carries commands for the reader itself."""

    def control(self, code: int, data: bytes) -> bytes:
        """Send ``data`` to the reader, and return its answer.

        Raises:
            WinError: the reader does not know ``code``, or is gone.
        """


@dataclass(frozen=True, slots=True)
class PinTemplate:
    """The command that a PIN goes into.

    Attributes:
        command: without the PIN; with ``width``, the data is what pads the PIN.
        shortest, longest: how many characters a PIN has.
        width: bytes of the padded PIN; 0 = it is sent as long as it is.
    """

    command: Command
    shortest: int
    longest: int
    width: int = 0


def features(answer: bytes) -> dict[int, int]:
    """The features of a reader, number to control code, from its answer to the question.

    Raises:
        BadData: not a list of tag, length 4 and code.
    """
    if len(answer) % 6 or any(size != 4 for size in answer[1::6]):
        raise BadData(detail="the reader's list of features cannot be read")
    return {tag: code for tag, _, code in struct.iter_unpack(">BBL", answer)}


def pin_verify(template: PinTemplate, seconds: int = TYPING_S) -> bytes:
    """The PIN_VERIFY structure for ``template``."""
    command = template.command
    apdu = bytes((command.cla, command.ins, command.p1, command.p2, len(command.data))) + command.data
    return (
        _VERIFY.pack(
            seconds,
            seconds,
            _ASCII_FROM_THE_LEFT,
            template.width,
            0,  # bmPINLengthFormat: the PIN's length is no part of the data
            template.shortest << 8 | template.longest,
            _KEY_PRESSED,
            _ONE_MESSAGE,
            _ENGLISH,
            _FIRST_MESSAGE,
            bytes(3),  # bTeoPrologue: only for T=1 blocks that the host would build
            len(apdu),
        )
        + apdu
    )


class Keypad:
    """The keypad of the reader of one transaction; made by ``of``."""

    def __init__(self, tx: Transaction, transport: Controllable, code: int) -> None:
        self._tx = tx
        self._transport = transport
        self._code = code

    @classmethod
    def of(cls, tx: Transaction) -> Self | None:
        """The keypad of the reader; ``None`` when it has none, or does not say."""
        transport = tx.channel.transport
        if not isinstance(transport, Controllable):
            return None
        try:
            code = features(transport.control(GET_FEATURE_REQUEST, b"")).get(FEATURE_VERIFY_PIN_DIRECT)
        except WinError:
            return None
        return None if code is None else cls(tx, transport, code)

    def verify(self, template: PinTemplate) -> Response:
        """Have a PIN typed and presented; the card's answer.

        Raises:
            Cancelled: at the keypad.
            WinError: SCARD_E_TIMEOUT, nobody typed; SCARD_E_INVALID_CHV, a PIN of an impossible length: no try is used.
            Unsupported: the reader cannot do it for this card.
            BadData: the reader's answer is no status word.
        """
        try:
            answer = self._transport.control(self._code, pin_verify(template))
        except BaseException:  # what has become of the command nobody knows
            self._tx.open = False
            self._tx.channel.forget()
            raise
        if len(answer) != 2:
            raise BadData(detail="the reader's answer is no status word")
        response = Response.decode(answer)
        if response.sw in _OF_THE_READER:
            _OF_THE_READER[response.sw]()
        return response


def _nobody_typed() -> NoReturn:
    raise WinError.of(Code.SCARD_E_TIMEOUT, "no PIN was typed at the reader in time")


def _cancelled() -> NoReturn:
    raise Cancelled(Code.SCARD_W_CANCELLED_BY_USER, "the entry of the PIN was cancelled at the reader")


def _impossible() -> NoReturn:
    raise WinError.of(Code.SCARD_E_INVALID_CHV, "the PIN typed at the reader is too short or too long; no try was used")


def _not_understood() -> NoReturn:
    raise Unsupported(detail="the keypad of this reader cannot be used with this card")


_OF_THE_READER = {0x6400: _nobody_typed, 0x6401: _cancelled, 0x6403: _impossible, 0x6B80: _not_understood}

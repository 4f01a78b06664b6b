"""The virtual PIV card: command APDU in, response APDU out, nothing else.

    bytes ── Command ── chaining ── handler ── commit ── response chaining ── bytes

One handler per instruction; it reads and stages ``CardState`` and returns the answer's data or raises ``Refusal``.
What it staged is committed once, after it, or not at all.

Selecting the PIV application again keeps the security status; selecting another application clears it; a SELECT that
finds nothing changes nothing (SP 800-73-4 part 2, 3.1.1). After a reset the issuer's security domain is selected, so
that PIV commands before SELECT find no application. A command without Le gets what fits, as PC/SC hosts often leave
Le out over T=1. Sources: SP 800-73-4 part 2; ISO/IEC 7816-4:2020, 5.3 and 5.6.
"""

from __future__ import annotations

from collections.abc import Callable

from calais.cards.base import Memory, MemoryFailure, PowerLoss
from calais.cards.piv import card_authenticate, card_objects, card_pins, spec, yubico
from calais.cards.piv.state import CardState, Chain, Random, Refusal, Volatile
from calais.iso7816 import apdu, tlv
from calais.iso7816.apdu import CLA_CHAIN, Command
from calais.iso7816.sw import SW
from calais.win.errors import BadData

Handler = Callable[[CardState, Command], bytes]

# Historical bytes: compact TLV 73 (selection by full and partial AID, data coding, chaining and lengths), 56 (name)
HISTORICAL_HEAD = bytes.fromhex("8073C021")
HISTORICAL_NAME = b"\x56Calais"
CAPABILITIES_EXTENDED = 0xC0  # command chaining, extended lengths
CAPABILITIES_SHORT = 0x80

AID_ISSUER = bytes.fromhex("A000000151000000")  # GlobalPlatform issuer security domain
ISSUER_ANSWER = tlv.build(0x6F, tlv.build(0x84, AID_ISSUER))
APPLICATIONS = (spec.AID, AID_ISSUER)
AID_MIN = 5  # a registered application provider identifier, ISO 7816-4, 12.3.2
PIV_ANSWER = tlv.build(
    spec.TAG_APPLICATION_TEMPLATE,
    tlv.build(spec.TAG_AID, spec.PIX),
    tlv.build(spec.TAG_COEXISTENT, tlv.build(spec.TAG_AID, spec.RID_NIST)),
)
P2_SELECT_WITH_ANSWER, P2_SELECT_SILENT = 0x00, 0x0C
CHAIN_MAX = 64 * 1024
OK = SW.OK.to_bytes(2, "big")

PIV_HANDLERS: dict[int, Handler] = {
    spec.INS_VERIFY: card_pins.verify,
    spec.INS_CHANGE_REFERENCE_DATA: card_pins.change_reference_data,
    spec.INS_RESET_RETRY_COUNTER: card_pins.reset_retry_counter,
    spec.INS_GENERAL_AUTHENTICATE: card_authenticate.general_authenticate,
    spec.INS_GENERATE_ASYMMETRIC: card_authenticate.generate_key_pair,
    spec.INS_GET_DATA: card_objects.get_data,
    spec.INS_PUT_DATA: card_objects.put_data,
    spec.INS_MOVE_KEY: yubico.move_key,
    spec.INS_GET_METADATA: yubico.get_metadata,
    spec.INS_GET_SERIAL: yubico.get_serial,
    spec.INS_ATTEST: yubico.attest,
    spec.INS_SET_RETRIES: yubico.set_retries,
    spec.INS_RESET: yubico.reset,
    spec.INS_GET_VERSION: yubico.get_version,
    spec.INS_IMPORT_KEY: yubico.import_key,
    spec.INS_SET_MANAGEMENT_KEY: yubico.set_management_key,
}
CHAINABLE = {
    spec.INS_PUT_DATA,
    spec.INS_GENERAL_AUTHENTICATE,
    spec.INS_GENERATE_ASYMMETRIC,
    spec.INS_IMPORT_KEY,
    spec.INS_SET_MANAGEMENT_KEY,
}


class PivApplet:
    """The card side of PIV.

    Args:
        memory: a personalised card (see ``personalise.new_card``).
        random: gives that many random bytes; challenges, blinding, EC keys and serial numbers come from it.

    Raises:
        BadData: the memory is damaged or holds no PIV card.
    """

    def __init__(self, memory: Memory, random: Random) -> None:
        self.state = CardState(memory, random)
        self._powered = True

    @property
    def atr(self) -> bytes:
        """Answer to reset: T=1, with the card's capabilities in the historical bytes."""
        return build_atr(extended=self.state.profile.extended)

    def reset(self) -> None:
        """Warm reset: nothing is selected, verified or pending."""
        self.state.volatile = Volatile()
        self.state.records.rollback()

    def power_cycle(self) -> None:
        """Cold reset: the same, and the memory is read again.

        Raises:
            BadData: the memory is damaged.
        """
        self.state.reload()
        self._powered = True

    def process(self, raw: bytes) -> bytes:
        """Answer one command APDU; whatever it is, at least two bytes come back.

        Raises:
            PowerLoss: the memory says that the power went, now or since the last power-up.
        """
        if not self._powered:
            raise PowerLoss(detail="the card has no power")
        try:
            return self._answer(raw)
        except Refusal as refusal:
            sw = refusal.sw
        except BadData:
            sw = SW.INCORRECT_DATA
        except MemoryFailure:
            # Nothing was written, so nothing may look as if it was.
            self.state.volatile = Volatile(selected=self.state.volatile.selected)
            sw = SW.MEMORY_FAILURE
        except PowerLoss:
            self._powered = False
            raise
        self.state.records.rollback()
        return sw.to_bytes(2, "big")

    def _answer(self, raw: bytes) -> bytes:
        command = self._parse(raw)
        volatile = self.state.volatile
        if command.ins == spec.INS_GET_RESPONSE:
            return self._get_response(command)
        volatile.pending = b""
        if command.cla & CLA_CHAIN:
            return self._collect(command)
        if volatile.chain is not None:
            command = self._completed(command, volatile.chain)
        return self._execute(command, wide=_is_extended(raw))

    def _parse(self, raw: bytes) -> Command:
        try:
            command = Command.decode(raw)
        except BadData as error:
            raise Refusal(SW.WRONG_LENGTH) from error
        if command.cla & ~CLA_CHAIN:
            raise Refusal(_refused_class(command.cla))
        if not self.state.profile.extended and _is_extended(raw):
            raise Refusal(SW.WRONG_LENGTH)
        return command

    def _collect(self, command: Command) -> bytes:
        """Keep a piece of a chained command."""
        volatile = self.state.volatile
        head = bytes((command.ins, command.p1, command.p2))
        if command.ins not in CHAINABLE:
            volatile.chain = None
            raise Refusal(SW.CHAINING_NOT_SUPPORTED)
        if volatile.chain is None or volatile.chain.head != head:
            volatile.chain = Chain(head, bytearray())
        if command.ins != spec.INS_GENERAL_AUTHENTICATE:
            volatile.pin_is_next = False
        if len(volatile.chain.data) + len(command.data) > CHAIN_MAX:
            volatile.chain = None
            raise Refusal(SW.NO_MEMORY)
        volatile.chain.data += command.data
        return OK

    def _completed(self, command: Command, chain: Chain) -> Command:
        """``command`` with the pieces before it; pieces of another command are dropped (ISO 7816-4, 5.3.3)."""
        self.state.volatile.chain = None
        if chain.head != bytes((command.ins, command.p1, command.p2)):
            return command
        data = bytes(chain.data) + command.data
        return Command(command.cla, command.ins, command.p1, command.p2, data, command.le)

    def _execute(self, command: Command, *, wide: bool) -> bytes:
        state = self.state
        volatile = state.volatile
        volatile.pin_is_fresh, volatile.pin_is_next = volatile.pin_is_next, False
        data = self._handler(command.ins)(state, command)
        if state.records.staged:
            state.records.commit()
        return self._first_part(data, command.le or (apdu.EXTENDED_LE_MAX if wide else apdu.SHORT_LE_MAX))

    def _handler(self, ins: int) -> Handler:
        if ins == spec.INS_SELECT:
            return select
        handler = PIV_HANDLERS.get(ins) if self.state.volatile.selected == spec.AID else None
        if handler is None:
            raise Refusal(SW.INS_NOT_SUPPORTED)
        return handler

    def _get_response(self, command: Command) -> bytes:
        volatile = self.state.volatile
        volatile.chain, volatile.pin_is_next = None, False
        if command.p1 or command.p2 or command.cla:
            raise Refusal(SW.INCORRECT_P1P2)
        if command.data or not volatile.pending:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return self._first_part(volatile.pending, command.le or apdu.SHORT_LE_MAX)

    def _first_part(self, data: bytes, le: int) -> bytes:
        """At most ``le`` bytes of ``data``; the rest waits for GET RESPONSE (ISO 7816-4, 5.3.4)."""
        if len(data) <= le:
            self.state.volatile.pending = b""
            return data + OK
        rest = self.state.volatile.pending = data[le:]
        more = len(rest) if len(rest) < apdu.SHORT_LE_MAX else 0
        return data[:le] + (SW.MORE_DATA | more).to_bytes(2, "big")


def _is_extended(raw: bytes) -> bool:
    return len(raw) > 6 and raw[4] == 0


def _refused_class(cla: int) -> int:
    """Why a class byte is refused: proprietary, secure messaging, or a logical channel (ISO 7816-4, 5.4.1)."""
    if cla & 0xE0:
        return SW.CLA_NOT_SUPPORTED
    return SW.SECURE_MESSAGING_NOT_SUPPORTED if cla & 0x0C else SW.CHANNEL_NOT_SUPPORTED


def select(state: CardState, command: Command) -> bytes:
    """SELECT by name: the whole AID or its beginning, at least the provider's five bytes."""
    if command.p1 != spec.P1_SELECT_BY_NAME or command.p2 not in (P2_SELECT_WITH_ANSWER, P2_SELECT_SILENT):
        raise Refusal(SW.INCORRECT_P1P2)
    name = command.data
    found = next((aid for aid in APPLICATIONS if len(name) >= AID_MIN and aid.startswith(name)), None)
    if found is None:
        raise Refusal(SW.NOT_FOUND)
    if found != state.volatile.selected:
        state.volatile = Volatile(selected=found)
    if command.p2 == P2_SELECT_SILENT:
        return b""
    return PIV_ANSWER if found == spec.AID else ISSUER_ANSWER


def build_atr(*, extended: bool) -> bytes:
    """The answer to reset: direct convention, T=1 only, TCK; historical bytes end with the name of the project."""
    capabilities = bytes((CAPABILITIES_EXTENDED if extended else CAPABILITIES_SHORT,))
    historical = HISTORICAL_HEAD + capabilities + HISTORICAL_NAME
    body = bytes((0x80 | len(historical), 0x01)) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes((check,))

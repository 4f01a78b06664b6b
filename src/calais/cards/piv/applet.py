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

from calais.cards.base import Memory
from calais.cards.front import AID_ISSUER, ISSUER_ANSWER, Front, Random, Refusal, application_named
from calais.cards.piv import card_authenticate, card_objects, card_pins, spec, yubico
from calais.cards.piv.state import CardState, Volatile
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

Handler = Callable[[CardState, Command], bytes]

PIV_ANSWER = tlv.build(
    spec.TAG_APPLICATION_TEMPLATE,
    tlv.build(spec.TAG_AID, spec.PIX),
    tlv.build(spec.TAG_COEXISTENT, tlv.build(spec.TAG_AID, spec.RID_NIST)),
)
P2_SELECT_WITH_ANSWER, P2_SELECT_SILENT = 0x00, 0x0C

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
CHAINABLE = frozenset(
    {
        spec.INS_PUT_DATA,
        spec.INS_GENERAL_AUTHENTICATE,
        spec.INS_GENERATE_ASYMMETRIC,
        spec.INS_IMPORT_KEY,
        spec.INS_SET_MANAGEMENT_KEY,
    }
)


class PivApplet(Front[CardState]):
    """The card side of PIV.

    Args:
        memory: a personalised card (see ``personalise.new_card``).
        random: gives that many random bytes; challenges, blinding, EC keys and serial numbers come from it.

    Raises:
        BadData: the memory is damaged or holds no PIV card.
    """

    chainable = CHAINABLE

    def __init__(self, memory: Memory, random: Random) -> None:
        super().__init__(CardState(memory, random))

    def run(self, command: Command) -> bytes:
        """Do one command."""
        volatile = self.state.volatile
        volatile.pin_is_fresh, volatile.pin_is_next = volatile.pin_is_next, False
        return self._handler(command.ins)(self.state, command)

    def interrupted(self, command: Command) -> None:
        """Only a use of a key, in one piece or more, may follow the PIN that it wants each time."""
        if command.ins != spec.INS_GENERAL_AUTHENTICATE:
            self.state.volatile.pin_is_next = False

    def _handler(self, ins: int) -> Handler:
        if ins == spec.INS_SELECT:
            return select
        handler = PIV_HANDLERS.get(ins) if self.state.volatile.selected == spec.AID else None
        if handler is None:
            raise Refusal(SW.INS_NOT_SUPPORTED)
        return handler


def select(state: CardState, command: Command) -> bytes:
    """SELECT by name: the whole AID or its beginning, at least the provider's five bytes."""
    if command.p1 != spec.P1_SELECT_BY_NAME or command.p2 not in (P2_SELECT_WITH_ANSWER, P2_SELECT_SILENT):
        raise Refusal(SW.INCORRECT_P1P2)
    found = application_named(command.data, spec.AID, AID_ISSUER)
    if found != state.volatile.selected:
        state.volatile = Volatile(selected=found)
    if command.p2 == P2_SELECT_SILENT:
        return b""
    return PIV_ANSWER if found == spec.AID else ISSUER_ANSWER

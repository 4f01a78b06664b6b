"""The virtual GIDS card: command APDU in, response APDU out, nothing else.

One handler per instruction; ``calais.cards.front`` does what is around them. Before its application is selected, and
after a reset, the card knows SELECT alone. Sources: Microsoft's Generic Identity Device Specification v2.0; Microsoft's
page "Windows inbox smart card minidriver"; ISO/IEC 7816-4, -8 and -9.
"""

from __future__ import annotations

from collections.abc import Callable

from calais.cards.base import Memory
from calais.cards.front import CLA_INTERINDUSTRY, Front, Random, Refusal
from calais.cards.gids import (
    card_authenticate,
    card_files,
    card_injection,
    card_objects,
    card_pins,
    card_security,
    spec,
)
from calais.cards.gids.state import CardState
from calais.iso7816.apdu import CLA_CHAIN, Command
from calais.iso7816.sw import SW

Handler = Callable[[CardState, Command], bytes]

HANDLERS: dict[tuple[int, int], Handler] = {
    (CLA_INTERINDUSTRY, spec.INS_SELECT): card_files.select,
    (CLA_INTERINDUSTRY, spec.INS_VERIFY): card_pins.verify,
    (CLA_INTERINDUSTRY, spec.INS_MANAGE_SECURITY_ENVIRONMENT): card_security.manage_security_environment,
    (CLA_INTERINDUSTRY, spec.INS_CHANGE_REFERENCE_DATA): card_pins.change_reference_data,
    (CLA_INTERINDUSTRY, spec.INS_PERFORM_SECURITY_OPERATION): card_security.perform_security_operation,
    (CLA_INTERINDUSTRY, spec.INS_RESET_RETRY_COUNTER): card_pins.reset_retry_counter,
    (CLA_INTERINDUSTRY, spec.INS_ACTIVATE_FILE): card_files.activate_file,
    (CLA_INTERINDUSTRY, spec.INS_GENERATE_KEY_PAIR): card_security.generate_key_pair,
    (CLA_INTERINDUSTRY, spec.INS_GENERAL_AUTHENTICATE): card_authenticate.general_authenticate,
    (CLA_INTERINDUSTRY, spec.INS_GET_DATA): card_objects.get_data,
    (CLA_INTERINDUSTRY, spec.INS_PUT_DATA): card_objects.put_data,
    (CLA_INTERINDUSTRY, spec.INS_CREATE_FILE): card_files.create_file,
    (CLA_INTERINDUSTRY, spec.INS_DELETE_FILE): card_files.delete_file,
    (CLA_INTERINDUSTRY, spec.INS_TERMINATE_DF): card_files.terminate,
    (spec.CLA_PROPRIETARY, spec.INS_GENERATE_SESSION_PIN): card_pins.generate_session_pin,
    (spec.CLA_PROPRIETARY, spec.INS_IMPORT_SESSION_KEY): card_injection.import_session_key,
    (spec.CLA_PROPRIETARY, spec.INS_AGREE_SESSION_KEY): card_injection.agree_session_key,
    (spec.CLA_PROPRIETARY, spec.INS_DESTROY_SESSION_KEY): card_injection.destroy_session_key,
    (spec.CLA_PROPRIETARY, spec.INS_PROCESS_ENCRYPTED): card_injection.process_encrypted,
}


class GidsApplet(Front[CardState]):
    """The card side of GIDS.

    Args:
        memory: a card made by ``personalise.new_gids_card``, blank or not.
        random: gives that many random bytes; challenges, session PINs, blinding and EC keys come from it.

    Raises:
        BadData: the memory is damaged or holds no GIDS card.
    """

    chainable = frozenset({
        spec.INS_PERFORM_SECURITY_OPERATION,
        spec.INS_GENERAL_AUTHENTICATE,
        spec.INS_PUT_DATA,
        spec.INS_IMPORT_SESSION_KEY,
        spec.INS_PROCESS_ENCRYPTED,
    })  # fmt: skip
    classes = frozenset({CLA_INTERINDUSTRY, spec.CLA_PROPRIETARY})

    def __init__(self, memory: Memory, random: Random) -> None:
        super().__init__(CardState(memory, random))

    def run(self, command: Command) -> bytes:
        """Do one command."""
        handler = HANDLERS.get((command.cla & ~CLA_CHAIN, command.ins))
        if handler is None or (self.state.volatile.selected != spec.AID and handler is not card_files.select):
            raise Refusal(SW.INS_NOT_SUPPORTED)
        return handler(self.state, command)

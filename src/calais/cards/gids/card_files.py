"""SELECT, CREATE FILE, ACTIVATE FILE, DELETE FILE and TERMINATE DF of the virtual GIDS card.

A file is created and then activated before it can be used; the application itself becomes operational when it is
activated, and from then on access rules count. A file's own rules need not name its activation and deletion: creating
files includes activating them, and the application's rule for deleting children holds for all that has no other.
Terminating the application wants the admin key and cannot be undone.

Source: Microsoft's Generic Identity Device Specification v2.0; ISO/IEC 7816-4:2020, 11.2.2; ISO/IEC 7816-9.
"""

from __future__ import annotations

from dataclasses import replace

from calais.cards.front import AID_ISSUER, ISSUER_ANSWER, Refusal, application_named
from calais.cards.gids import spec
from calais.cards.gids.spec import LifeCycle
from calais.cards.gids.state import APPLICATION_RULES, FILES_MAX, CardState, File, Volatile
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

FCP_MAX = 255  # bytes
SELECT_ANSWERS = (spec.P2_SELECT_FCI, spec.P2_SELECT_FCP, spec.P2_SELECT_FMD, spec.P2_SELECT_SILENT)
APPLICATION_IDS = (spec.FID_APPLICATION, spec.FID_MF)
MANAGEMENT_DATA = tlv.build(spec.TAG_FMD, tlv.build(spec.TAG_PIN_POLICY, bytes((spec.PIN_POLICY_LOCAL,))))


def select(state: CardState, command: Command) -> bytes:
    """SELECT: the application by its name, or a file by its identifier."""
    if command.p2 not in SELECT_ANSWERS:
        raise Refusal(SW.INCORRECT_P1P2)
    if command.p1 == spec.P1_SELECT_BY_NAME:
        return _select_name(state, command)
    if command.p1 != spec.P1_SELECT_BY_ID:
        raise Refusal(SW.INCORRECT_P1P2)
    if state.volatile.selected != spec.AID:
        raise Refusal(SW.NOT_FOUND)
    return _select_file(state, command)


def _select_name(state: CardState, command: Command) -> bytes:
    """Selecting an application, also this one again, ends all authentication."""
    found = application_named(command.data, spec.AID, AID_ISSUER)
    if found == spec.AID and state.life == LifeCycle.TERMINATED:
        raise Refusal(SW.TERMINATED)
    state.volatile = Volatile(selected=found)
    if found == AID_ISSUER:
        return b"" if command.p2 == spec.P2_SELECT_SILENT else ISSUER_ANSWER
    return _application_answer(state, command.p2)


def _select_file(state: CardState, command: Command) -> bytes:
    if len(command.data) not in (0, 2):
        raise Refusal(SW.INCORRECT_DATA)
    fid = int.from_bytes(command.data, "big") or spec.FID_APPLICATION
    if fid in APPLICATION_IDS:
        state.volatile.file = 0
        return _application_answer(state, command.p2)
    file = state.file(fid)
    if file is None:
        raise Refusal(SW.NOT_FOUND)
    state.volatile.file = fid
    if command.p2 == spec.P2_SELECT_FMD:
        raise Refusal(SW.INCORRECT_P1P2)
    return b"" if command.p2 == spec.P2_SELECT_SILENT else _with_life(file.fcp, file.life)


def _application_answer(state: CardState, p2: int) -> bytes:
    if p2 == spec.P2_SELECT_FCI:
        return _application_template(state)
    if p2 == spec.P2_SELECT_FCP:
        descriptor = tlv.build(spec.TAG_FILE_DESCRIPTOR, bytes((spec.DESCRIPTOR_DF,)))
        rules = tlv.build(spec.TAG_COMPACT_ACL, bytes.fromhex("033030"))
        return _with_life(tlv.build(spec.TAG_FCP, descriptor, rules), state.life)
    return MANAGEMENT_DATA if p2 == spec.P2_SELECT_FMD else b""


def _application_template(state: CardState) -> bytes:
    """61: the AID and, in 73, how the admin key is proved and whether the card is read-only."""
    protocols = tlv.build(spec.TAG_PROTOCOLS, bytes((spec.PROTOCOL_EXTERNAL | spec.PROTOCOL_MUTUAL,)))
    read_only = tlv.build(spec.TAG_READ_ONLY, bytes((spec.READ_ONLY,))) if state.profile.read_only else b""
    discretionary = tlv.build(spec.TAG_DISCRETIONARY, protocols, read_only)
    return tlv.build(spec.TAG_FCI_APPLICATION, tlv.build(spec.TAG_AID, spec.AID), discretionary)


def _with_life(fcp: bytes, life: int) -> bytes:
    return tlv.build(spec.TAG_FCP, tlv.parse_one(fcp).value, tlv.build(spec.TAG_LIFE_CYCLE, bytes((life,))))


def create_file(state: CardState, command: Command) -> bytes:
    """CREATE FILE: file control parameters 62 in; the file is selected, and waits for its activation."""
    _check_header(command)
    state.require_writable()
    state.require(APPLICATION_RULES, spec.AM_DF_CREATE_FILE)
    if len(command.data) > FCP_MAX:
        raise Refusal(SW.INCORRECT_DATA)
    file = File.decode(bytes((LifeCycle.CREATION,)) + command.data)
    if state.file(file.fid) is not None:
        raise Refusal(SW.FILE_EXISTS)
    if state.files_count >= FILES_MAX:
        raise Refusal(SW.NO_MEMORY)
    state.set_file(file)
    state.begin()
    state.volatile.file = file.fid
    return b""


def activate_file(state: CardState, command: Command) -> bytes:
    """ACTIVATE FILE: the selected file, or the application, which then needs a PIN; on what is active, nothing."""
    _check_header(command)
    file = _current(state)
    if file is None:
        return _activate_application(state)
    if file.life == LifeCycle.OPERATIONAL:
        return b""
    state.require_writable()
    state.require(APPLICATION_RULES, spec.AM_DF_CREATE_FILE)
    state.set_file(replace(file, life=LifeCycle.OPERATIONAL))
    return b""


def _activate_application(state: CardState) -> bytes:
    if state.life == LifeCycle.OPERATIONAL:
        return b""
    if state.reference(spec.REF_PIN) is None:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    state.life = LifeCycle.OPERATIONAL
    state.revoke()
    return b""


def delete_file(state: CardState, command: Command) -> bytes:
    """DELETE FILE: the selected one, or the one whose identifier is in the data, with all that is in it."""
    _check_header(command)
    if len(command.data) not in (0, 2):
        raise Refusal(SW.INCORRECT_DATA)
    fid = int.from_bytes(command.data, "big") or state.volatile.file
    if not fid or fid in APPLICATION_IDS:
        raise Refusal(SW.COMMAND_NOT_ALLOWED)
    file = state.file(fid)
    if file is None:
        raise Refusal(SW.NOT_FOUND)
    state.require_writable()
    named = bool(file.rules.conditions(spec.AM_DELETE))
    state.require(file.rules if named else APPLICATION_RULES, spec.AM_DELETE if named else spec.AM_DF_DELETE_CHILD)
    state.drop_file(file)
    state.volatile.file = 0
    return b""


def terminate(state: CardState, command: Command) -> bytes:
    """TERMINATE DF: the end of the application."""
    _check_header(command)
    if command.data:
        raise Refusal(SW.INCORRECT_DATA)
    state.require_writable()
    if not state.circumstances.admin:
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
    state.life = LifeCycle.TERMINATED
    state.session_pin = None
    state.volatile = Volatile()
    return b""


def _check_header(command: Command) -> None:
    if command.p1 or command.p2:
        raise Refusal(SW.INCORRECT_P1P2)


def _current(state: CardState) -> File | None:
    """The selected file; ``None`` when it is the application."""
    return state.file(state.volatile.file) if state.volatile.file else None

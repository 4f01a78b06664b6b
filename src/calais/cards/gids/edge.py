"""The host's side of the GIDS card edge: one verb, its APDUs, and what the status words mean.

Every function takes the open transaction first, selects the GIDS application when this transaction does not know that
it is selected, and raises ``WinError`` with the ``ApduError`` as its cause. A PIN travels to a selected GIDS
application or not at all. PIN commands are sent once.

Source: Generic Identity Device Specification v2.0; Microsoft, "Windows inbox smart card minidriver"; ISO/IEC 7816-4,
7816-8, 7816-9. Commands that are this project's own are in ``edge_ours``, those that create in ``edge_keys``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from calais.cards.gids import spec
from calais.iso7816 import apdu, tlv
from calais.iso7816.apdu import Command, Response
from calais.iso7816.sw import SW, ApduError
from calais.minidriver.pins import Pin
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    BadParameter,
    NotAuthenticated,
    NotFound,
    PinBlocked,
    Unsupported,
    WinError,
    WrongPin,
)

LE_ALL = apdu.EXTENDED_LE_MAX  # the channel cuts it to 256 where the card has short lengths only
LE_SHORT = apdu.SHORT_LE_MAX
PIECES_MAX = 512  # of an answer, of 256 bytes each
MAX_HEAD = 8  # bytes of tag and length
FILE_ID_MAX, TAG_MAX = 0xFFFF, 0xFFFFFF
# In ``Volatile.authenticated``: the PIN and the admin key, known to be; and something that may be, and must be ended.
USER, ADMIN, MAYBE = spec.REF_PIN, 0x100 | spec.KID_ADMIN, 0x200
_TRIES = 0xFFF0

# Status word -> code and what happened. What is not here is SCARD_E_UNEXPECTED.
_MEANING: dict[int, tuple[int, str]] = {
    SW.SECURITY_STATUS_NOT_SATISFIED: (Code.SCARD_W_SECURITY_VIOLATION, "the card wants a PIN or its admin key first"),
    SW.AUTHENTICATION_BLOCKED: (Code.SCARD_W_CHV_BLOCKED, "no tries are left"),
    SW.CONDITIONS_NOT_SATISFIED: (Code.SCARD_E_NO_ACCESS, "the card's conditions of use are not met"),
    SW.COMMAND_NOT_ALLOWED: (Code.SCARD_E_NO_ACCESS, "the card does not allow this now"),
    SW.INCORRECT_DATA: (Code.SCARD_E_INVALID_PARAMETER, "the card refuses the data"),
    SW.WRONG_LENGTH: (Code.SCARD_E_INVALID_PARAMETER, "the card refuses the length of the data"),
    SW.FUNCTION_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support this"),
    SW.INS_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not have this command"),
    SW.CLA_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not have this class of commands"),
    SW.INCORRECT_P1P2: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support this form of the command"),
    SW.CHAINING_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support command chaining"),
    SW.SECURE_MESSAGING_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "no secure messaging on this card"),
    SW.NOT_FOUND: (Code.SCARD_E_FILE_NOT_FOUND, "the card has no such file"),
    SW.RECORD_NOT_FOUND: (Code.SCARD_E_FILE_NOT_FOUND, "the card has no such object"),
    SW.REFERENCE_NOT_FOUND: (Code.SCARD_E_FILE_NOT_FOUND, "the card has no such object, key or PIN"),
    SW.FILE_EXISTS: (Code.ERROR_FILE_EXISTS, "the card has this file already"),
    SW.NO_MEMORY: (Code.SCARD_E_WRITE_TOO_MANY, "the card has no room for it"),
    SW.MEMORY_FAILURE: (Code.SCARD_E_COMM_DATA_LOST, "the card's memory failed"),
}
_ABSENT = frozenset((SW.NOT_FOUND, SW.RECORD_NOT_FOUND, SW.REFERENCE_NOT_FOUND))
# A key reference without key: cards answer with these, too.
NO_KEY = _ABSENT | {SW.REFERENCE_DATA_NOT_USABLE, SW.INCORRECT_DATA}
# A key that was announced and never made, because the card was pulled out in between.
NO_PUBLIC_KEY = NO_KEY | {SW.CONDITIONS_NOT_SATISFIED}
_NOT_GIDS = frozenset(
    (SW.NOT_FOUND, SW.INS_NOT_SUPPORTED, SW.CLA_NOT_SUPPORTED, SW.FUNCTION_NOT_SUPPORTED, SW.INCORRECT_P1P2)
)


def fail(response: Response, ins: int, what: str) -> NoReturn:
    """Raise the error that the status word of ``response`` stands for; ``what`` was being done."""
    code, meaning = _MEANING.get(response.sw, (Code.SCARD_E_UNEXPECTED, f"the card answers {response.sw:04X}"))
    raise WinError.of(code, f"{what}: {meaning}") from ApduError(response.sw, ins)


def fail_pin(response: Response, ins: int, what: str) -> NoReturn:
    """As ``fail``, for a command that presented a PIN, PUK or response: the tries that are left matter.

    Raises:
        WrongPin: 63Cx, with x in ``attempts_left``; 6300, which does not say.
        PinBlocked: 6983.
    """
    error = ApduError(response.sw, ins)
    if response.sw & _TRIES == SW.TRIES_LEFT:
        text = f"{what}: wrong, tries left: {error.tries_left}"
        raise WrongPin(detail=text, attempts_left=error.tries_left) from error
    if response.sw == SW.AUTHENTICATION_FAILED:
        raise WrongPin(detail=f"{what}: wrong") from error
    if response.sw == SW.AUTHENTICATION_BLOCKED:
        raise PinBlocked(detail=f"{what}: blocked", next_step="unblock it: calais pin unblock") from error
    fail(response, ins, what)


def no_key() -> NotFound:
    """The error for a container whose key is not there."""
    return NotFound(Code.SCARD_E_NO_KEY_CONTAINER, "the card has no such key")


def exchange(tx: Transaction, command: Command) -> Response:
    """Send ``command`` to the GIDS application, and return the whole answer, whatever it is.

    A card that says it has extended lengths and refuses one (6700) gets the command once more in short pieces, and
    short pieces from then on. No PIN is long enough for that.
    """
    return _send(tx, command, collect=True)


def _send(tx: Transaction, command: Command, *, collect: bool) -> Response:
    ensure_selected(tx)
    response = tx.send(command, collect=collect)
    wide = len(command.data) > apdu.SHORT_DATA_MAX or (command.le or 0) > apdu.SHORT_LE_MAX
    if response.sw == SW.WRONG_LENGTH and tx.extended and wide:
        tx.channel.extended = False
        response = tx.send(command, collect=collect)
    return response


def read(tx: Transaction, command: Command) -> Response:
    """As ``exchange``, for a command that is answered with one data object, which says itself how long it is: an answer
    that goes on after its end, or that is no data object, is given up there.

    Raises:
        BadData: the answer does not end.
    """
    response = _send(tx, command, collect=False)
    data, pieces = bytearray(response.data), 0
    while response.sw1 == SW.MORE_DATA >> 8 and (response.data or not pieces):
        if pieces > PIECES_MAX or (data and len(data) >= _whole_length(data)):
            raise BadData(detail="the card's answer goes on after the end of the object", index=len(data))
        pieces += 1
        response = tx.send(Command(0, spec.INS_GET_RESPONSE, 0, 0, le=response.sw2 or LE_SHORT), collect=False)
        data += response.data
    return Response(bytes(data), response.sw)


def _whole_length(head: bytearray) -> int:
    """Length in bytes of the data object that begins with ``head``; of ``head`` itself when it is not well-formed."""
    try:
        length, at = tlv.read_length(bytes(head[:MAX_HEAD]), 2 if head[0] & 0x1F == 0x1F else 1)
    except BadData:
        return len(head)
    return at + length


# --- selection -------------------------------------------------------------------------------------------------------

_SELECT = Command(0, spec.INS_SELECT, spec.P1_SELECT_BY_NAME, spec.P2_SELECT_FCI, spec.AID_TRUNCATED, LE_SHORT)


@dataclass(frozen=True, slots=True)
class Application:
    """What the answer to SELECT tells: whether it names GIDS, whether the card is read-only (ours), and whether the
    admin key can authenticate the card, too (``None`` = it does not say).
    """

    named: bool
    read_only: bool = False
    mutual: bool | None = None

    @classmethod
    def of(cls, answer: bytes) -> Application:
        """Read the template 61 of the answer; anything else tells nothing. Never raises."""
        try:
            template = tlv.find(list(tlv.parse(answer)), spec.TAG_FCI_APPLICATION)
            items = template.children() if template else []
            more = tlv.find(items, spec.TAG_DISCRETIONARY)
            details = {item.tag: item.value for item in (more.children() if more else [])}
        except BadData:
            return cls(named=False)
        aid = tlv.find(items, spec.TAG_AID)
        protocols = details.get(spec.TAG_PROTOCOLS)
        return cls(
            named=aid is not None and aid.value.startswith(spec.AID_TRUNCATED),
            read_only=bool(details.get(spec.TAG_READ_ONLY, b"\0")[:1].ljust(1, b"\0")[0] & spec.READ_ONLY),
            mutual=bool(protocols[0] & spec.PROTOCOL_MUTUAL) if protocols else None,
        )


def select(tx: Transaction) -> Application:
    """Select the GIDS application by its AID without the revision, as Windows does.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD, the card has no GIDS application.
    """
    tx.volatile.selected = b""
    response = tx.send(_SELECT)
    if response.sw in _NOT_GIDS:
        raise not_gids() from ApduError(response.sw, spec.INS_SELECT)
    if not response.ok:
        fail(response, spec.INS_SELECT, "selecting the GIDS application")
    tx.volatile.selected = spec.AID
    tx.volatile.authenticated.clear()
    return Application.of(response.data)


def not_gids() -> WinError:
    """The error for a card without GIDS application."""
    return WinError(
        Code.SCARD_E_UNKNOWN_CARD,
        "the card has no GIDS application",
        next_step="insert a GIDS card, or install the driver for this one (entry point group calais.minidrivers)",
    )


def ensure_selected(tx: Transaction) -> None:
    """Select, unless this transaction knows that GIDS is selected."""
    if tx.volatile.selected != spec.AID:
        select(tx)


# --- data objects ----------------------------------------------------------------------------------------------------


def get_data(tx: Transaction, ef: int, tag: int) -> bytes | None:
    """The value of data object ``tag`` of file ``ef``; ``None`` = the card has none.

    Raises:
        NotAuthenticated: it takes a PIN to read it.
        BadData: the answer does not end, or is another object.
    """
    response = read(tx, get_data_command(ef, tag))
    if response.sw in _ABSENT:
        return None
    if not response.ok:
        fail(response, spec.INS_GET_DATA, f"reading object {tag:X} of file {ef:X}")
    return tlv.parse_one(response.data, tag).value if response.data else b""


def get_data_command(ef: int, tag: int, le: int = LE_ALL) -> Command:
    """GET DATA for the data object ``tag`` of file ``ef``."""
    _check_place(ef, tag)
    name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    return Command(0, spec.INS_GET_DATA, ef >> 8, ef & 0xFF, tlv.build(spec.TAG_TAG_LIST, name), le)


def put_data(tx: Transaction, ef: int, tag: int, value: bytes) -> None:
    """Replace the value of data object ``tag`` of file ``ef``; the object is made when there is none.

    Raises:
        NotAuthenticated: without the PIN or key that the file wants.
        WinError: SCARD_E_WRITE_TOO_MANY, no room.
    """
    _check_place(ef, tag)
    response = exchange(tx, Command(0, spec.INS_PUT_DATA, ef >> 8, ef & 0xFF, tlv.build(tag, value)))
    if not response.ok:
        fail(response, spec.INS_PUT_DATA, f"writing object {tag:X} of file {ef:X}")


def _check_place(ef: int, tag: int) -> None:
    """Places come from the card's own master file, so an impossible one is the card's fault."""
    if not 0 < ef <= FILE_ID_MAX or not 0 < tag <= TAG_MAX:
        raise BadData(detail=f"the card names an impossible place: object {tag:X} of file {ef:X}")


# --- PINs ------------------------------------------------------------------------------------------------------------


def check_pin(pin: Pin) -> bytes:
    """The bytes of ``pin`` on the wire: as they are.

    Raises:
        BadParameter: it is empty.
        WinError: SCARD_E_INVALID_CHV, fewer than 4 or more than 16 bytes.
    """
    if not len(pin):
        raise BadParameter(detail="an empty PIN")
    if not spec.PIN_MIN <= len(pin) <= spec.PIN_MAX:
        raise WinError(
            Code.SCARD_E_INVALID_CHV,
            f"a PIN of this card has {spec.PIN_MIN} to {spec.PIN_MAX} characters; no try was used",
        )
    return pin.value


def verify(tx: Transaction, value: bytes, ref: int = spec.REF_PIN, what: str = "PIN") -> None:
    """Present the PIN, or what stands in its place under ``ref``, once."""
    ensure_selected(tx)
    tx.volatile.authenticated.discard(USER)
    note_verify(tx, tx.send(Command(0, spec.INS_VERIFY, 0, ref, value)), what)


def note_verify(tx: Transaction, response: Response, what: str) -> None:
    """Note what the card has answered to VERIFY; raise unless it was content."""
    if not response.ok:
        fail_pin(response, spec.INS_VERIFY, what)
    tx.volatile.authenticated.add(USER)


def verify_status(tx: Transaction) -> tuple[bool, int | None]:
    """Whether the PIN is verified, and the tries left (``None`` = the card does not say); uses up no try.

    Some cards tell the tries even when it is verified: what this transaction knows counts, too.
    """
    response = exchange(tx, Command(0, spec.INS_VERIFY, 0, spec.REF_PIN))
    if response.ok:
        tx.volatile.authenticated.add(USER)
        return True, None
    left = ApduError(response.sw, spec.INS_VERIFY).tries_left
    if left is None and response.sw not in (SW.SECURITY_STATUS_NOT_SATISFIED, SW.AUTHENTICATION_FAILED):
        fail(response, spec.INS_VERIFY, "asking for the PIN's status")
    return USER in tx.volatile.authenticated, left


def deauthenticate(tx: Transaction) -> None:
    """End every authentication: of the PIN, of the admin key, and an open challenge.

    Raises:
        Unsupported: the card cannot; it takes a reset.
    """
    response = exchange(tx, Command(0, spec.INS_VERIFY, 0, spec.REF_DEAUTHENTICATE))
    if not response.ok:
        raise Unsupported(
            detail="the card ends an authentication only by a reset", next_step="reset the card"
        ) from ApduError(response.sw, spec.INS_VERIFY)
    tx.volatile.authenticated.clear()


def tries(tx: Transaction, tag: int) -> tuple[int | None, int | None] | None:
    """Tries left and at most of the PIN (``TAG_PIN_STATUS``) or PUK (``TAG_PUK_STATUS``); ``None`` = there is none.

    Raises:
        BadData: the answer is malformed.
    """
    try:
        value = get_data(tx, spec.FID_APPLICATION, tag)
    except WinError as error:
        if isinstance(error.__cause__, ApduError):
            return None
        raise
    if not value:
        return None
    told = {item.tag: item.value for item in tlv.parse(value)}
    numbers = (told.get(spec.TAG_TRIES_LEFT), told.get(spec.TAG_TRIES_MAX))
    left, most = (number[0] if number and len(number) == 1 else None for number in numbers)
    return left, most


def change_reference(tx: Transaction, ref: int, old: bytes, new: bytes) -> None:
    """Replace PIN or PUK ``ref``."""
    what = "PUK" if ref == spec.REF_PUK else "PIN"
    _replace_pin(tx, Command(0, spec.INS_CHANGE_REFERENCE_DATA, spec.P1_CHANGE_EXCHANGE, ref, old + new), what)


def reset_by_puk(tx: Transaction, puk: bytes, new: bytes) -> None:
    """Unblock the PIN with the PUK and set it anew."""
    command = Command(0, spec.INS_RESET_RETRY_COUNTER, spec.P1_RESET_BY_PUK, spec.REF_PIN, puk + new)
    _replace_pin(tx, command, "PUK")


def reset_by_admin(tx: Transaction, new: bytes) -> None:
    """Unblock the PIN and set it anew, the admin key being authenticated; afterwards nothing is."""
    _replace_pin(tx, Command(0, spec.INS_RESET_RETRY_COUNTER, spec.P1_RESET_BY_ADMIN, spec.REF_PIN, new), "PIN")


def _replace_pin(tx: Transaction, command: Command, what: str) -> None:
    ensure_selected(tx)
    tx.volatile.authenticated.discard(USER)
    tx.volatile.authenticated.add(MAYBE)  # some cards count the new PIN as verified
    response = tx.send(command)
    if not response.ok:
        fail_pin(response, command.ins, what)


# --- admin key -------------------------------------------------------------------------------------------------------


def select_admin_key(tx: Transaction) -> None:
    """Say that the admin key is the one to authenticate with.

    Raises:
        Unsupported: the card has none.
    """
    reference = tlv.build(spec.TAG_CRT_REFERENCE, bytes((spec.KID_ADMIN,)))
    command = Command(
        0, spec.INS_MANAGE_SECURITY_ENVIRONMENT, spec.P1_MSE_SET_BOTH, spec.TAG_CRT_AUTHENTICATION, reference
    )
    response = exchange(tx, command)
    if response.sw in NO_KEY:
        raise Unsupported(detail="the card has no administrator's key") from ApduError(response.sw, command.ins)
    if not response.ok:
        fail(response, command.ins, "choosing the administrator's key")


def challenge(tx: Transaction, ours: bytes = b"") -> bytes:
    """The card's challenge; for mutual authentication ``ours`` are the host's 16 random bytes."""
    return _authenticate(tx, spec.TAG_CHALLENGE, ours, spec.TAG_CHALLENGE) or b""


def answer(tx: Transaction, response: bytes, *, mutual: bool) -> bytes:
    """Answer ``challenge``; with ``mutual`` the card's own proof is returned.

    Raises:
        WrongPin: the card does not accept the response.
    """
    tx.volatile.authenticated.discard(ADMIN)
    result = _authenticate(tx, spec.TAG_RESPONSE, response, spec.TAG_RESPONSE if mutual else None)
    tx.volatile.authenticated.add(ADMIN)
    return result or b""


def _authenticate(tx: Transaction, tag: int, value: bytes, wanted: int | None) -> bytes | None:
    data = tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, tlv.build(tag, value))
    le = None if wanted is None else LE_SHORT
    reply = exchange(tx, Command(0, spec.INS_GENERAL_AUTHENTICATE, 0, 0, data, le))
    if not reply.ok:
        _fail_admin(reply, answered=tag == spec.TAG_RESPONSE)
    if wanted is None:
        return None
    return tlv.require(tlv.parse_one(reply.data, spec.TAG_DYNAMIC_AUTHENTICATION).children(), wanted).value


def _fail_admin(reply: Response, *, answered: bool) -> NoReturn:
    what = "administrator's key"
    if answered and reply.sw in (SW.SECURITY_STATUS_NOT_SATISFIED, SW.CONDITIONS_NOT_SATISFIED, SW.INCORRECT_DATA):
        error = ApduError(reply.sw, spec.INS_GENERAL_AUTHENTICATE)
        raise WrongPin(detail=f"{what}: the card does not accept the response") from error
    fail_pin(reply, spec.INS_GENERAL_AUTHENTICATE, what)


# --- using keys ------------------------------------------------------------------------------------------------------


def public_key(tx: Transaction, kid: int) -> bytes:
    """The content of the public key template 7F49 of key ``kid``.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER, there is no such key.
        BadData: the answer is no such template.
    """
    response = read(tx, public_key_command(kid))
    if response.sw in NO_PUBLIC_KEY:
        raise no_key() from ApduError(response.sw, spec.INS_GET_DATA)
    if not response.ok:
        fail(response, spec.INS_GET_DATA, "reading a public key")
    return tlv.parse_one(response.data, spec.TAG_PUBLIC_KEY).value


def public_key_command(kid: int, le: int = LE_ALL) -> Command:
    """GET DATA for the public key of key ``kid``."""
    reference = tlv.build(spec.TAG_KEY_REFERENCE, bytes((kid,)))
    # 7F49 80: the public key, whatever its length (ISO 7816-4, extended header list)
    wanted = tlv.build(spec.TAG_KEY_VALUE_TEMPLATE, spec.TAG_PUBLIC_KEY.to_bytes(2, "big") + b"\x80")
    where = spec.FID_APPLICATION
    return Command(0, spec.INS_GET_DATA, where >> 8, where & 0xFF, tlv.build(spec.TAG_KEY, reference, wanted), le)


def set_environment(tx: Transaction, crt: int, mechanism: int, kid: int) -> None:
    """Choose key and mechanism for the next operation; ``crt`` B6 signature, B8 decipherment, A6 agreement.

    Raises:
        NotAuthenticated: the key wants the PIN first.
        NotFound: SCARD_E_NO_KEY_CONTAINER, there is no such key, or not for this.
    """
    data = tlv.build(spec.TAG_ALGORITHM, bytes((mechanism,))) + tlv.build(spec.TAG_CRT_PRIVATE_REFERENCE, bytes((kid,)))
    command = Command(0, spec.INS_MANAGE_SECURITY_ENVIRONMENT, spec.P1_MSE_SET_COMPUTE, crt, data)
    response = exchange(tx, command)
    if response.sw in NO_KEY:
        raise no_key() from ApduError(response.sw, command.ins)
    _finish_use(tx, response, command.ins)


def sign(tx: Transaction, data: bytes) -> bytes:
    """The signature of ``data`` in the environment set."""
    return _operate(tx, spec.P1P2_SIGN, data)


def decipher(tx: Transaction, cryptogram: bytes) -> bytes:
    """``cryptogram`` deciphered in the environment set; no padding indicator is sent, as Windows does not."""
    return _operate(tx, spec.P1P2_DECIPHER, cryptogram)


def _operate(tx: Transaction, p1p2: int, data: bytes) -> bytes:
    command = Command(0, spec.INS_PERFORM_SECURITY_OPERATION, p1p2 >> 8, p1p2 & 0xFF, data, LE_ALL)
    response = exchange(tx, command)
    _finish_use(tx, response, command.ins)
    return response.data


def agree(tx: Transaction, peer: bytes) -> bytes:
    """The shared secret with the point ``peer`` in the environment set."""
    template = tlv.build(spec.TAG_RESPONSE) + tlv.build(spec.TAG_PEER_POINT, peer)
    data = tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, template)
    response = exchange(tx, Command(0, spec.INS_GENERAL_AUTHENTICATE, 0, 0, data, LE_ALL))
    _finish_use(tx, response, spec.INS_GENERAL_AUTHENTICATE)
    items = tlv.parse_one(response.data, spec.TAG_DYNAMIC_AUTHENTICATION).children()
    return tlv.require(items, spec.TAG_RESPONSE).value


def _finish_use(tx: Transaction, response: Response, ins: int) -> None:
    if response.ok:
        return
    if response.sw == SW.SECURITY_STATUS_NOT_SATISFIED:
        tx.volatile.authenticated.discard(USER)
        raise NotAuthenticated(detail="the key wants the PIN first") from ApduError(response.sw, ins)
    fail(response, ins, "using the key")

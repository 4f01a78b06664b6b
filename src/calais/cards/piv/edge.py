"""The host's side of the PIV card edge: one verb, its APDUs, and what the status words mean.

Every function takes the open transaction first, selects the PIV application when this transaction does not know that
it is selected, and raises ``WinError`` with the ``ApduError`` as its cause. A PIN travels to a selected PIV
application or not at all: sent to another application it would use up a try there. PIN commands are sent once.

Source: SP 800-73-4 part 2, 3.1 to 3.3. Yubico's extensions are in ``edge_yubico``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NoReturn

from calais.cards.piv import spec
from calais.iso7816 import apdu, tlv
from calais.iso7816.apdu import Command, Response
from calais.iso7816.sw import SW, ApduError
from calais.minidriver.memo import HEAD_SIZE
from calais.minidriver.pins import Pin
from calais.transport.base import Transaction
from calais.transport.keypad import Keypad, PinTemplate
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    BadParameter,
    NotAuthenticated,
    PinBlocked,
    Unsupported,
    WinError,
    WrongPin,
)

LE_ALL = apdu.EXTENDED_LE_MAX  # the channel cuts it to 256 where the card has short lengths only
LE_SHORT = apdu.SHORT_LE_MAX
SHORT_ANSWER = 248  # bytes of a key operation's result that fit a short response with its tags
PIN_MAX = spec.PIN_SIZE
PIECES_MAX = 512  # GET RESPONSE for one object
OBJECT_MAX = 64 * 1024  # bytes; five times the largest object of SP 800-73-4
_TRIES = 0xFFF0

# Status word -> code and what happened. What is not here is SCARD_E_UNEXPECTED.
_MEANING: dict[int, tuple[int, str]] = {
    SW.SECURITY_STATUS_NOT_SATISFIED: (
        Code.SCARD_W_SECURITY_VIOLATION,
        "the card wants a PIN or the management key first",
    ),
    SW.AUTHENTICATION_BLOCKED: (Code.SCARD_W_CHV_BLOCKED, "no tries are left"),
    SW.CONDITIONS_NOT_SATISFIED: (Code.SCARD_E_NO_ACCESS, "the card's conditions of use are not met; was it touched?"),
    SW.INCORRECT_DATA: (Code.SCARD_E_INVALID_PARAMETER, "the card refuses the data"),
    SW.FUNCTION_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support this"),
    SW.INS_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not have this command"),
    SW.CLA_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not have this class of commands"),
    SW.INCORRECT_P1P2: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support this key or algorithm"),
    SW.CHAINING_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "the card does not support command chaining"),
    SW.SECURE_MESSAGING_NOT_SUPPORTED: (Code.SCARD_E_UNSUPPORTED_FEATURE, "no secure messaging on this card"),
    SW.NOT_FOUND: (Code.SCARD_E_FILE_NOT_FOUND, "the card has no such object"),
    SW.REFERENCE_NOT_FOUND: (Code.SCARD_E_NO_KEY_CONTAINER, "the card has no such key or PIN"),
    SW.NO_MEMORY: (Code.SCARD_E_WRITE_TOO_MANY, "the card has no room for it"),
    SW.MEMORY_FAILURE: (Code.SCARD_E_COMM_DATA_LOST, "the card's memory failed"),
}
_NOT_PIV = frozenset(
    (SW.NOT_FOUND, SW.INS_NOT_SUPPORTED, SW.CLA_NOT_SUPPORTED, SW.FUNCTION_NOT_SUPPORTED, SW.INCORRECT_P1P2)
)


def fail(response: Response, ins: int, what: str) -> NoReturn:
    """Raise the error that the status word of ``response`` stands for; ``what`` was being done."""
    code, meaning = _MEANING.get(response.sw, (Code.SCARD_E_UNEXPECTED, f"the card answers {response.sw:04X}"))
    raise WinError.of(code, f"{what}: {meaning}") from ApduError(response.sw, ins)


def fail_pin(response: Response, ins: int, what: str) -> NoReturn:
    """As ``fail``, for a command that presented a PIN, PUK or key: the tries that are left matter.

    Raises:
        WrongPin: 63Cx, with x in ``attempts_left``; 6300, which does not say.
        PinBlocked: 6983.
    """
    error = ApduError(response.sw, ins)
    if response.sw & _TRIES == SW.TRIES_LEFT:
        raise WrongPin(
            detail=f"{what}: wrong, tries left: {error.tries_left}", attempts_left=error.tries_left
        ) from error
    if response.sw == SW.AUTHENTICATION_FAILED:
        raise WrongPin(detail=f"{what}: wrong") from error
    if response.sw == SW.AUTHENTICATION_BLOCKED:
        raise PinBlocked(detail=f"{what}: blocked", next_step="unblock it: calais pin unblock") from error
    fail(response, ins, what)


def exchange(tx: Transaction, command: Command) -> Response:
    """Send ``command``, which holds no PIN, to the PIV application, and return the whole answer, whatever it is.

    A card that says it has extended lengths and refuses one (6700) gets the command once more in short pieces, and
    short pieces from then on.
    """
    ensure_selected(tx)
    return send_wide(tx, command)


def send_wide(tx: Transaction, command: Command, *, collect: bool = True) -> Response:
    """``exchange`` without looking at what is selected; ``collect`` as in ``Transaction.send``."""
    response = tx.send(command, collect=collect)
    if response.sw == SW.WRONG_LENGTH and tx.extended and _is_wide(command):
        tx.channel.extended = False
        response = tx.send(command, collect=collect)
    return response


def _is_wide(command: Command) -> bool:
    return len(command.data) > apdu.SHORT_DATA_MAX or (command.le or 0) > apdu.SHORT_LE_MAX


# --- selection -------------------------------------------------------------------------------------------------------

_SELECT = Command(0, spec.INS_SELECT, spec.P1_SELECT_BY_NAME, 0, spec.AID_TRUNCATED, LE_SHORT)


def select(tx: Transaction) -> None:
    """Select the PIV application (SP 800-73-4 part 2, 3.1.1), by its AID without the version, as Windows does.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD, the card has no PIV application.
    """
    tx.volatile.selected = b""
    response = tx.send(_SELECT)
    if response.sw in _NOT_PIV or (response.ok and not _speaks_piv(response.data)):
        raise not_piv() from ApduError(response.sw, spec.INS_SELECT)
    if not response.ok:
        fail(response, spec.INS_SELECT, "selecting the PIV application")
    tx.volatile.selected = spec.AID


def not_piv() -> WinError:
    """The error for a card without PIV application."""
    return WinError(
        Code.SCARD_E_UNKNOWN_CARD,
        "the card has no PIV application",
        next_step="insert a PIV card, or install the driver for this one (entry point group calais.minidrivers)",
    )


def ensure_selected(tx: Transaction) -> None:
    """Select, unless this transaction knows that PIV is selected."""
    if tx.volatile.selected != spec.AID:
        select(tx)


def _speaks_piv(template: bytes) -> bool:
    """Whether the answer to SELECT names PIV; one that names nothing may be, for some cards send nothing."""
    try:
        aid = tlv.find(tlv.parse_one(template, spec.TAG_APPLICATION_TEMPLATE).children(), spec.TAG_AID)
    except BadData:
        return True
    named = aid.value if aid else b""
    return not named or spec.PIX[:4] in (named[:4], named[5:9])


# --- objects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """How an object begins: the first bytes of the card's answer, 256 at most, and the length of the whole (bytes)."""

    data: bytes
    length: int


@cache
def _get_data(tag: int, le: int) -> Command:
    name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    p1, p2 = divmod(spec.P1P2_DATA_OBJECT, 256)
    return Command(0, spec.INS_GET_DATA, p1, p2, tlv.build(spec.TAG_TAG_LIST, name), le)


def get_data(tx: Transaction, tag: int) -> bytes | None:
    """The whole object ``tag`` as the card sends it, outer tag included; ``None`` = there is none (part 2, 3.1.2).

    Raises:
        NotAuthenticated: it takes a PIN to read it.
        BadData: the answer does not end.
    """
    ensure_selected(tx)
    response = send_wide(tx, _get_data(tag, LE_ALL), collect=False)
    data, more, pieces = bytearray(response.data), response.sw1 == SW.MORE_DATA >> 8, 0
    while more:
        # The object says how long it is, so that one which never ends, or is none, is given up at once.
        if pieces > PIECES_MAX or len(data) > OBJECT_MAX or (data and len(data) >= whole_length(data)):
            raise BadData(detail=f"object {tag:X} goes on after its end", index=len(data))
        pieces += 1
        response = tx.send(Command(0, spec.INS_GET_RESPONSE, 0, 0, le=response.sw2 or LE_SHORT), collect=False)
        data += response.data
        more = response.sw1 == SW.MORE_DATA >> 8 and bool(response.data)
    return _object(Response(bytes(data), response.sw), tag)


def get_head(tx: Transaction, tag: int) -> Head | None:
    """The first 256 bytes of object ``tag`` in one exchange (two with T=0); the rest of the answer is given up."""
    ensure_selected(tx)
    response = tx.send(_get_data(tag, LE_SHORT), collect=False)
    if not response.data and response.sw1 == SW.MORE_DATA >> 8:
        more = Command(0, spec.INS_GET_RESPONSE, 0, 0, le=response.sw2 or LE_SHORT)
        response = tx.send(more, collect=False)
    if response.sw1 == SW.MORE_DATA >> 8:
        response = Response(response.data, SW.OK)
    data = _object(response, tag)
    return None if data is None else Head(data[:HEAD_SIZE], whole_length(data))


def _object(response: Response, tag: int) -> bytes | None:
    if response.ok:
        return response.data
    if response.sw == SW.NOT_FOUND:
        return None
    fail(response, spec.INS_GET_DATA, f"reading object {tag:X}")


def whole_length(head: bytes | bytearray) -> int:
    """Length in bytes of the data object that begins with ``head``; of ``head`` itself when it is not well-formed."""
    start = 2 if head[:1] == b"\x7f" else 1
    try:
        length, at = tlv.read_length(bytes(head[:8]), start)
    except BadData:
        return len(head)
    return at + length


def put_data(tx: Transaction, tag: int, content: bytes) -> None:
    """Replace the content of object ``tag``; ``b""`` deletes it (part 2, 3.3.2). Wants the management key.

    Raises:
        NotAuthenticated: without it.
        WinError: SCARD_E_WRITE_TOO_MANY, no room.
    """
    p1, p2 = divmod(spec.P1P2_DATA_OBJECT, 256)
    if tag in spec.OBJECTS and spec.OBJECTS[tag].bare:
        data = tlv.build(tag, content)
    else:
        data = tlv.build(spec.TAG_TAG_LIST, tag.to_bytes(3, "big")) + tlv.build(spec.TAG_DATA, content)
    response = exchange(tx, Command(0, spec.INS_PUT_DATA, p1, p2, data))
    if not response.ok:
        fail(response, spec.INS_PUT_DATA, f"writing object {tag:X}")


# --- PINs ------------------------------------------------------------------------------------------------------------


def pad_pin(pin: Pin) -> bytes:
    """The eight bytes of ``pin`` on the wire (part 2, 2.4.3).

    Raises:
        BadParameter: it is empty.
        WinError: SCARD_E_INVALID_CHV, fewer than 6 or more than 8 bytes.
    """
    if not len(pin):
        raise BadParameter(detail="an empty PIN")
    if not spec.PIN_MIN <= len(pin) <= PIN_MAX:
        raise WinError(
            Code.SCARD_E_INVALID_CHV,
            f"a PIN or PUK of this card has {spec.PIN_MIN} to {PIN_MAX} characters; no try was used",
        )
    return pin.value.ljust(spec.PIN_SIZE, bytes((spec.PIN_PAD,)))


def verify(tx: Transaction, ref: int, pin: Pin) -> None:
    """Present ``pin`` for key reference ``ref``, once (part 2, 3.2.1)."""
    padded = pad_pin(pin)
    ensure_selected(tx)
    _note_verify(tx, ref, tx.send(Command(0, spec.INS_VERIFY, spec.P1_VERIFY, ref, padded)))


def verify_at_keypad(tx: Transaction, ref: int, keypad: Keypad) -> None:
    """Have the PIN for ``ref`` typed at the reader and presented, once."""
    ensure_selected(tx)
    command = Command(0, spec.INS_VERIFY, spec.P1_VERIFY, ref, bytes((spec.PIN_PAD,)) * spec.PIN_SIZE)
    _note_verify(tx, ref, keypad.verify(PinTemplate(command, spec.PIN_MIN, PIN_MAX, spec.PIN_SIZE)))


def _note_verify(tx: Transaction, ref: int, response: Response) -> None:
    if not response.ok:
        tx.volatile.authenticated.discard(ref)
        fail_pin(response, spec.INS_VERIFY, "PIN")
    tx.volatile.authenticated.add(ref)


def verify_status(tx: Transaction, ref: int) -> tuple[bool, int | None]:
    """Whether ``ref`` is verified, and the tries left (``None`` = the card does not say); uses up no try."""
    ensure_selected(tx)
    response = tx.send(Command(0, spec.INS_VERIFY, spec.P1_VERIFY, ref))
    if response.ok:
        tx.volatile.authenticated.add(ref)
        return True, None
    tx.volatile.authenticated.discard(ref)
    if response.sw in (SW.SECURITY_STATUS_NOT_SATISFIED, SW.AUTHENTICATION_FAILED):
        return False, None
    left = ApduError(response.sw, spec.INS_VERIFY).tries_left
    if left is None:
        fail(response, spec.INS_VERIFY, "asking for the PIN's status")
    return False, left


def reset_status(tx: Transaction, ref: int) -> None:
    """End the authentication of ``ref`` (part 2, 3.2.1, P1 = FF).

    Raises:
        Unsupported: older cards cannot.
    """
    ensure_selected(tx)
    response = tx.send(Command(0, spec.INS_VERIFY, spec.P1_VERIFY_RESET_STATUS, ref))
    if not response.ok:
        raise Unsupported(
            detail="the card ends the authentication of a PIN only by a reset", next_step="reset the card"
        ) from ApduError(response.sw, spec.INS_VERIFY)
    tx.volatile.authenticated.discard(ref)


def change_reference(tx: Transaction, ref: int, old: Pin, new: Pin) -> None:
    """Replace PIN or PUK ``ref`` (part 2, 3.2.2)."""
    _two_pins(
        tx, spec.INS_CHANGE_REFERENCE_DATA, ref, pad_pin(old) + pad_pin(new), "PUK" if ref == spec.REF_PUK else "PIN"
    )


def reset_retry_counter(tx: Transaction, ref: int, puk: Pin, new: Pin) -> None:
    """Unblock PIN ``ref`` with the PUK and set it anew (part 2, 3.2.3)."""
    _two_pins(tx, spec.INS_RESET_RETRY_COUNTER, ref, pad_pin(puk) + pad_pin(new), "PUK")


def _two_pins(tx: Transaction, ins: int, ref: int, data: bytes, what: str) -> None:
    ensure_selected(tx)
    if ref != spec.REF_PUK:
        # Some cards count the new PIN as verified: what may be authenticated must be ended like what is.
        tx.volatile.authenticated.add(ref)
    response = tx.send(Command(0, ins, 0, ref, data))
    if not response.ok:
        fail_pin(response, ins, what)


# --- keys ------------------------------------------------------------------------------------------------------------


def use_key(
    tx: Transaction, algorithm: int, ref: int, block: bytes, size: int, *, tag: int = spec.TAG_CHALLENGE
) -> bytes:
    """The private operation of key ``ref`` on ``block`` (part 2, 3.2.4, tables 17 and 18).

    Sent without looking whether PIV is selected: in another application it does no harm, and it saves the exchange in
    the usual case. Only when the card neither does it nor asks for the PIN is PIV selected and the command repeated.

    Args:
        tx: the transaction.
        algorithm: identifier of the key's algorithm.
        ref: key reference.
        block: RSA: as long as the modulus; ECDSA: the digest; with ``tag`` 85: the other side's public key.
        size: expected length of the result in bytes, to choose Le.
        tag: 81, or 85 for key agreement.

    Returns: RSA block, DER signature, or shared secret, as the card made it.

    Raises:
        NotAuthenticated: the key wants a PIN first.
        NotFound: SCARD_E_NO_KEY_CONTAINER, there is no such key.
        BadData: the answer is not an authentication template.
    """
    command = Command(
        0,
        spec.INS_GENERAL_AUTHENTICATE,
        algorithm,
        ref,
        authentication_template(tag, block),
        LE_SHORT if size <= SHORT_ANSWER else LE_ALL,
    )
    response = send_wide(tx, command)
    if not response.ok and response.sw != SW.SECURITY_STATUS_NOT_SATISFIED and tx.volatile.selected != spec.AID:
        select(tx)
        response = send_wide(tx, command)
    if not response.ok:
        _fail_key(tx, response)
    return template_member(response.data, spec.TAG_RESPONSE)


def _fail_key(tx: Transaction, response: Response) -> NoReturn:
    if response.sw == SW.SECURITY_STATUS_NOT_SATISFIED:
        tx.volatile.authenticated -= {spec.REF_PIN, spec.REF_GLOBAL_PIN}
        raise NotAuthenticated(detail="the key wants the PIN first") from ApduError(
            response.sw, spec.INS_GENERAL_AUTHENTICATE
        )
    fail(response, spec.INS_GENERAL_AUTHENTICATE, "using the key")


def authentication_template(tag: int, block: bytes) -> bytes:
    """7C { 82 empty = "your answer, please", ``tag`` ``block`` } (part 2, table 7)."""
    length = len(block)
    if length < 0x7C:
        return bytes((spec.TAG_DYNAMIC_AUTHENTICATION, length + 4, spec.TAG_RESPONSE, 0, tag, length)) + block
    return tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, tlv.build(spec.TAG_RESPONSE), tlv.build(tag, block))


def _template_head(tag: int, length: int, size: int) -> bytes:
    """The ``size`` bytes before a member of ``length`` bytes that is alone: 7C L tag L, or 7C 82 LL tag 82 LL."""
    outer = spec.TAG_DYNAMIC_AUTHENTICATION
    if size == 4:
        return bytes((outer, length + 2, tag, length)) if 0 <= length < 0x7E else b""
    if not 0xFF < length < 0xFFF0:
        return b""
    whole = length + 4
    return bytes((outer, 0x82, whole >> 8, whole & 0xFF, tag, 0x82, length >> 8, length & 0xFF))


def template_member(data: bytes, tag: int) -> bytes:
    """The value of ``tag`` in the dynamic authentication template ``data``.

    Raises:
        BadData: it is none, or lacks the member.
    """
    # The forms of every EC answer and of every RSA answer at once; anything else goes the strict way.
    for start in (4, 8):
        head = _template_head(tag, len(data) - start, start)
        if head and data.startswith(head):
            return data[start:]
    items = tlv.parse_one(data, spec.TAG_DYNAMIC_AUTHENTICATION).children()
    return tlv.require(items, tag).value


def generate(tx: Transaction, ref: int, algorithm: int, pin_policy: int = 0, touch_policy: int = 0) -> bytes:
    """Generate a key pair; the content of the public key template 7F49 (part 2, 3.3.1). Wants the management key."""
    data = tlv.build(spec.TAG_ALGORITHM, bytes((algorithm,))) + policies(pin_policy, touch_policy)
    command = Command(0, spec.INS_GENERATE_ASYMMETRIC, 0, ref, tlv.build(spec.TAG_ALGORITHMS, data), LE_ALL)
    response = exchange(tx, command)
    if not response.ok:
        fail(response, spec.INS_GENERATE_ASYMMETRIC, f"generating a key in {ref:02X}")
    return tlv.parse_one(response.data, spec.TAG_PUBLIC_KEY).value


def policies(pin_policy: int, touch_policy: int) -> bytes:
    """The two policy members of GENERATE and IMPORT (Yubico); 0 = the slot's own rule, and the member is left out."""
    pin = tlv.build(spec.TAG_PIN_POLICY, bytes((pin_policy,))) if pin_policy else b""
    return pin + (tlv.build(spec.TAG_TOUCH_POLICY, bytes((touch_policy,))) if touch_policy else b"")


# --- management key --------------------------------------------------------------------------------------------------


def _manage(tx: Transaction, algorithm: int, template: bytes, tag: int | None) -> bytes:
    data = tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, template)
    le = None if tag is None else LE_SHORT
    command = Command(0, spec.INS_GENERAL_AUTHENTICATE, algorithm, spec.REF_MANAGEMENT_KEY, data, le)
    response = exchange(tx, command)
    if response.ok:
        return b"" if tag is None else template_member(response.data, tag)
    fail(response, spec.INS_GENERAL_AUTHENTICATE, "authenticating with the management key")


def management_witness(tx: Transaction, algorithm: int) -> bytes:
    """Mutual authentication, first half: the card's witness, encrypted (part 2, table 8; appendix A.1)."""
    return _manage(tx, algorithm, tlv.build(spec.TAG_WITNESS), spec.TAG_WITNESS)


def management_challenge(tx: Transaction, algorithm: int) -> bytes:
    """External authentication, first half: a challenge in the clear."""
    return _manage(tx, algorithm, tlv.build(spec.TAG_CHALLENGE), spec.TAG_CHALLENGE)


def management_prove(tx: Transaction, algorithm: int, witness: bytes, challenge: bytes) -> bytes:
    """Mutual authentication, second half: the decrypted witness and our challenge; the card's answer to it.

    Raises:
        WrongPin: the card does not accept the witness.
    """
    parts = (
        tlv.build(spec.TAG_WITNESS, witness),
        tlv.build(spec.TAG_CHALLENGE, challenge),
        tlv.build(spec.TAG_RESPONSE),
    )
    return _present_key(tx, algorithm, b"".join(parts), spec.TAG_RESPONSE)


def management_answer(tx: Transaction, algorithm: int, response: bytes) -> None:
    """External authentication, second half.

    Raises:
        WrongPin: the card does not accept the response.
    """
    _present_key(tx, algorithm, tlv.build(spec.TAG_RESPONSE, response), None)


def _present_key(tx: Transaction, algorithm: int, template: bytes, tag: int | None) -> bytes:
    tx.volatile.authenticated.discard(spec.REF_MANAGEMENT_KEY)
    try:
        answer = _manage(tx, algorithm, template, tag)
    except (NotAuthenticated, BadParameter) as error:
        raise WrongPin(detail="management key: the card does not accept it") from error.__cause__
    tx.volatile.authenticated.add(spec.REF_MANAGEMENT_KEY)
    return answer

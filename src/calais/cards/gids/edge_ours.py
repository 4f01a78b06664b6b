"""The host's side of the GIDS card edge, continued: what only this project's own cards have.

Another card refuses these commands, which is no error of its own: ``card_status`` then says nothing, the others raise
``Unsupported``. Layouts: ``spec``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from calais.cards.gids import edge, spec
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command, Response
from calais.iso7816.sw import SW, ApduError
from calais.transport.base import Transaction
from calais.win.errors import BadData, NotAuthenticated, NotFound, PinBlocked, Unsupported, WinError, WrongPin

_NO_COMMAND = frozenset((
    SW.CLA_NOT_SUPPORTED, SW.INS_NOT_SUPPORTED, SW.FUNCTION_NOT_SUPPORTED, SW.SECURE_MESSAGING_NOT_SUPPORTED,
    SW.INCORRECT_P1P2,
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Status:
    """What a card tells about itself; ``None`` = it does not say. ``admin_tries``: left and at most;
    ``flags``: ``spec.CardStatus``.
    """

    bytes_free: int | None = None
    containers_free: int | None = None
    containers_max: int | None = None
    admin_tries: tuple[int, int] | None = None
    flags: int = 0
    told: bool = False

    @classmethod
    def of(cls, value: bytes) -> Status:
        """Read the card status object.

        Raises:
            BadData: malformed.
        """
        items = {item.tag: item.value for item in tlv.parse(value)}
        tries = items.get(spec.TAG_STATUS_ADMIN_TRIES, b"")
        return cls(
            bytes_free=_number(items.get(spec.TAG_STATUS_BYTES_FREE)),
            containers_free=_number(items.get(spec.TAG_STATUS_CONTAINERS_FREE)),
            containers_max=_number(items.get(spec.TAG_STATUS_CONTAINERS_MAX)),
            admin_tries=(tries[0], tries[1]) if len(tries) == 2 else None,
            flags=_number(items.get(spec.TAG_STATUS_FLAGS)) or 0,
            told=True,
        )


def _number(value: bytes | None) -> int | None:
    if value is not None and len(value) > 4:
        raise BadData(detail="the card's status holds a number of more than 4 bytes")
    return None if not value else int.from_bytes(value, "big")


def card_status(tx: Transaction) -> Status:
    """The card status object; empty for a card that has none."""
    try:
        value = edge.get_data(tx, spec.FID_APPLICATION, spec.TAG_CARD_STATUS)
        return Status() if not value else Status.of(value)
    except BadData:
        return Status()
    except WinError as error:
        if isinstance(error.__cause__, ApduError):  # refused in whatever words
            return Status()
        raise


def generate_session_pin(tx: Transaction, pin: bytes) -> bytes:
    """Trade the PIN for a session PIN; authenticates nothing.

    Raises:
        WrongPin: a try was used.
        Unsupported: the card has no session PINs.
    """
    edge.ensure_selected(tx)
    # Without Le: a command that names one is sent again when the card wants another, and a PIN is presented once.
    command = Command(spec.CLA_PROPRIETARY, spec.INS_GENERATE_SESSION_PIN, 0, spec.REF_PIN, pin)
    response = tx.send(command)
    if not response.ok:
        _refuse(response, command.ins, "session PINs")
        edge.fail_pin(response, command.ins, "PIN")
    if len(response.data) != spec.SESSION_PIN_SIZE:
        raise BadData(detail=f"the card's session PIN has {len(response.data)} bytes, not {spec.SESSION_PIN_SIZE}")
    return response.data


def verify_session_pin(tx: Transaction, session_pin: bytes) -> None:
    """Present a session PIN in the PIN's place.

    Raises:
        WrongPin: wrong, wrong too often, or there is none (any more); the PIN itself is as good as before.
        Unsupported: the card has no session PINs.
    """
    try:
        edge.verify(tx, session_pin, spec.REF_SESSION_PIN, "session PIN")
    except PinBlocked as error:
        text = "the session PIN was wrong too often; it is dead"
        raise WrongPin(detail=text, attempts_left=0) from error.__cause__
    except WinError as error:
        cause = error.__cause__
        if isinstance(cause, ApduError) and cause.sw == SW.REFERENCE_DATA_NOT_USABLE:
            raise WrongPin(detail="the card has no session PIN; it ended with the card's power") from cause
        if isinstance(cause, ApduError) and cause.sw in (SW.REFERENCE_NOT_FOUND, *_NO_COMMAND):
            raise Unsupported(detail="this card does not offer session PINs") from cause
        raise


def import_session_key(tx: Transaction, kid: int, algorithm: int, mechanism: int, cryptogram: bytes) -> int:
    """Take a session key encrypted for key ``kid``; the card's handle for it."""
    data = (
        tlv.build(spec.TAG_SESSION_ALGORITHM, bytes((algorithm,)))
        + tlv.build(spec.TAG_SESSION_MECHANISM, bytes((mechanism,)))
        + tlv.build(spec.TAG_SESSION_CRYPTOGRAM, cryptogram)
    )
    return _one_byte(_inject(tx, spec.INS_IMPORT_SESSION_KEY, 0, kid, data, 1))


def agree_session_key(tx: Transaction, algorithm: int, ours: bytes) -> tuple[int, bytes]:
    """Agree on a session key by the admin key: the card's handle, and its random bytes."""
    data = tlv.build(spec.TAG_SESSION_ALGORITHM, bytes((algorithm,))) + tlv.build(spec.TAG_SESSION_RANDOM, ours)
    answer = _inject(tx, spec.INS_AGREE_SESSION_KEY, 0, spec.KID_ADMIN, data, 1 + spec.SESSION_RANDOM_BYTES)
    if len(answer) != 1 + spec.SESSION_RANDOM_BYTES:
        raise BadData(detail="the card's half of a session key is malformed", index=len(answer))
    return answer[0], answer[1:]


def destroy_session_key(tx: Transaction, handle: int) -> None:
    """Make the card forget a session key; one that it has forgotten already is no error."""
    try:
        _inject(tx, spec.INS_DESTROY_SESSION_KEY, 0, handle, b"", None)
    except NotFound:
        return


def process_encrypted(tx: Transaction, function: int, handle: int, vector: bytes, data: bytes) -> Response:
    """Have the card decrypt a command and do it; its answer, whatever it is."""
    body = tlv.build(spec.TAG_ENCRYPTED_VECTOR, vector) + tlv.build(spec.TAG_ENCRYPTED_DATA, data)
    command = Command(spec.CLA_PROPRIETARY, spec.INS_PROCESS_ENCRYPTED, function, handle, body)  # once, so without Le
    response = edge.exchange(tx, command)
    if not response.ok:
        _refuse(response, command.ins, "secure key injection")
    return response


def _inject(tx: Transaction, ins: int, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    response = edge.exchange(tx, Command(spec.CLA_PROPRIETARY, ins, p1, p2, data, le))
    if not response.ok:
        _fail_injection(response, ins)
    return response.data


def _fail_injection(response: Response, ins: int) -> NoReturn:
    _refuse(response, ins, "secure key injection")
    if response.sw == SW.REFERENCE_NOT_FOUND:
        raise edge.no_key() from ApduError(response.sw, ins)
    if response.sw == SW.SECURITY_STATUS_NOT_SATISFIED:
        raise NotAuthenticated(detail="the key wants the PIN first") from ApduError(response.sw, ins)
    edge.fail(response, ins, "secure key injection")


def _refuse(response: Response, ins: int, what: str) -> None:
    """Raise when the card does not have the command at all."""
    if response.sw in _NO_COMMAND:
        raise Unsupported(detail=f"this card does not offer {what}") from ApduError(response.sw, ins)


def _one_byte(answer: bytes) -> int:
    if len(answer) != 1:
        raise BadData(detail=f"the card's handle of a session key has {len(answer)} bytes", index=len(answer))
    return answer[0]

"""Secure key injection on the carrier's side: session keys on the card, and requests carried to it encrypted.

Source: Microsoft's smart card minidriver specification v7.07, 4.8; the card's commands: ``spec``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from calais.cards.gids import edge, edge_ours, filesystem, operations, pins, requests, spec, writing
from calais.cards.gids.keymap import KIDS
from calais.cards.gids.sessionkeys import SessionKey, SessionKeys, algorithm_named, check_blob_type, parse_shared
from calais.cards.gids.spec import Mechanism
from calais.cards.gids.view import CardView
from calais.iso7816.apdu import Response
from calais.iso7816.sw import SW, ApduError
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.win import flags
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported, WinError
from calais.win.structs import OaepPaddingInfo

SESSION_KEYS = "gids.session_keys"
_FUNCTION_NAMES = {
    flags.SecureFunction.IMPORT_KEYPAIR: (spec.FUNCTION_IMPORT_KEY,),
    flags.SecureFunction.CHANGE_AUTHENTICATOR: (spec.FUNCTION_AUTHENTICATE, spec.FUNCTION_CHANGE_AUTHENTICATOR),
    flags.SecureFunction.AUTHENTICATE: (spec.FUNCTION_AUTHENTICATE,),
}
_HEAD = 4


def keys_of(view: CardView) -> SessionKeys:
    """The session keys of this card, remembered from one transaction to the next."""
    found = view.memo.facts.setdefault(SESSION_KEYS, SessionKeys())
    if not isinstance(found, SessionKeys):
        raise BadData(detail="the session keys of this card are not what they were")
    return found


# --- keys ------------------------------------------------------------------------------------------------------------


def import_session_key(
    view: CardView, index: int, padding: object, blob_type: str, algorithm: str, data: bytes, wrapping: int
) -> int:
    """Take a session key encrypted for the key of container ``index`` (RSA, key exchange).

    Args:
        view: the card, with the PIN presented.
        index: container.
        padding: ``OaepPaddingInfo`` with OAEP, else ``None``.
        blob_type: ``"KeyDataBlob"``; what is encrypted is such a blob, or the key alone.
        algorithm: ``"3DES"``, ``"3DES_112"`` or ``"AES"``.
        data: the cryptogram, big-endian.
        wrapping: CARD_PADDING_PKCS1 (also for 0) or CARD_PADDING_OAEP.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
        NotAuthenticated: the PIN was not presented.
        BadParameter: the card cannot decrypt it to a key of this algorithm.
        Unsupported: a padding that the card does not remove by itself.
    """
    check_blob_type(blob_type)
    kind = algorithm_named(algorithm)
    mechanism = _mechanism(padding, wrapping)
    facts = operations.facts_for_use(view, index, AT_KEYEXCHANGE)
    if not facts.is_rsa or len(data) != facts.size:
        raise BadParameter(detail="the session key is not encrypted for this container's key")
    handle = edge_ours.import_session_key(view.tx, facts.kid, kind, mechanism, data)
    return keys_of(view).add(SessionKey(kind, handle=handle))


def _mechanism(padding: object, wrapping: int) -> int:
    if wrapping in (0, flags.CARD_PADDING_PKCS1) and padding is None:
        return Mechanism.PKCS1_DECIPHER
    is_plain = isinstance(padding, OaepPaddingInfo) and not padding.label
    if wrapping == flags.CARD_PADDING_OAEP and is_plain and str(getattr(padding, "algorithm", "")).upper() == "SHA1":
        return Mechanism.OAEP
    raise Unsupported(detail="the card unwraps session keys with PKCS#1 v1.5, or OAEP with SHA-1 and no label")


def shared_key(view: CardView, data: bytes) -> tuple[bytes, int]:
    """Agree on a session key by the administrator's key: the card's random bytes for the other side, and the key."""
    algorithm, ours = parse_shared(data)
    view.prove_card()
    handle, theirs = edge_ours.agree_session_key(view.tx, algorithm, ours)
    return theirs, keys_of(view).add(SessionKey(algorithm, handle=handle))


def destroy_key(view: CardView, number: int) -> None:
    """Forget a session key, here and on the card."""
    key = keys_of(view).pop(number)
    if key.handle:
        view.prove_card()
        edge_ours.destroy_session_key(view.tx, key.handle)


# --- requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """One encrypted command: as ``sessionkeys`` lays it out."""

    function: int
    kid: int
    slot: int
    algorithm: int
    vector: bytes
    cryptogram: bytes

    @classmethod
    def of(cls, data: bytes, block: int) -> Piece:
        """Parse a piece for a cipher with blocks of ``block`` bytes.

        Raises:
            BadParameter: it is none.
        """
        body = data[_HEAD + block :]
        if not body or len(body) % block:
            raise BadParameter(detail="not a piece of encrypted data for this key")
        function, kid, slot, algorithm = data[:_HEAD]
        return cls(function, kid, slot, algorithm, data[_HEAD : _HEAD + block], body)


def process(view: CardView, number: int, function: str, data: list[bytes]) -> bytes:
    """Have the card decrypt a request and do it; the packed answer.

    Raises:
        BadParameter: no such key, the request is for another function, or the card cannot decrypt it.
        Unsupported: the card takes no encrypted requests, or the key is of this side only.
        WrongPin, PinBlocked, NotAuthenticated, WinError: as of the function that the request stands for.
    """
    key = keys_of(view).get(number)
    if not key.handle:
        raise Unsupported(detail="the card does not have this session key")
    pieces = [Piece.of(piece, key.block) for piece in data]
    allowed = _FUNCTION_NAMES.get(function)  # type: ignore[call-overload]  # any text is looked up
    if not pieces or allowed is None or any(piece.function not in allowed for piece in pieces):
        raise BadParameter(detail=f"the encrypted data is not for {function!r}")
    view.prove_card()
    answer = b""
    for piece in pieces:
        answer = (
            _import(view, key, piece) if piece.function == spec.FUNCTION_IMPORT_KEY else _authority(view, key, piece)
        )
    if function == flags.SecureFunction.CHANGE_AUTHENTICATOR:
        view.memo.pin_changes += 1
        if len(pieces) > 1:  # the administrator's act is over
            pins.sign_out(view)
    return requests.build_answer(function, answer)


def _send(view: CardView, key: SessionKey, piece: Piece) -> Response:
    function = piece.function | spec.FUNCTION_PADDED
    response = edge_ours.process_encrypted(view.tx, function, key.handle, piece.vector, piece.cryptogram)
    if response.sw == SW.REFERENCE_NOT_FOUND:
        raise BadParameter(detail="the card does not have this session key, or the key it is used on") from ApduError(
            response.sw, spec.INS_PROCESS_ENCRYPTED
        )
    return response


def _import(view: CardView, key: SessionKey, piece: Piece) -> bytes:
    filesystem.refuse_read_only(view)
    known = piece.kid in KIDS and piece.slot in (AT_KEYEXCHANGE, AT_SIGNATURE)
    if not known or piece.algorithm not in (*spec.RSA_BITS, *spec.EC_BITS):
        raise BadParameter(detail="the encrypted data is for no key that a GIDS card can have")
    index = piece.kid - spec.KID_FIRST
    writing.prepare(view, index, piece.algorithm, piece.slot)
    response = _send(view, key, piece)
    if not response.ok:
        edge.fail(response, spec.INS_PROCESS_ENCRYPTED, "importing a key")
    writing.finish(view, index, piece.algorithm, piece.slot)
    return b""


def _authority(view: CardView, key: SessionKey, piece: Piece) -> bytes:
    """A command that presents or changes a PIN or the administrator's key; a session PIN may come back."""
    operations.forget_environment(view)
    volatile = view.tx.volatile.authenticated
    volatile -= {edge.USER, edge.ADMIN}
    volatile.add(edge.MAYBE)  # what the command inside does is for the card alone to know
    response = _send(view, key, piece)
    if not response.ok:
        _fail(view, response)
    if piece.kid == spec.KID_ADMIN:
        volatile.add(edge.ADMIN)
    return response.data if len(response.data) == spec.SESSION_PIN_SIZE else b""


def _fail(view: CardView, response: Response) -> NoReturn:
    try:
        edge.fail_pin(response, spec.INS_PROCESS_ENCRYPTED, "encrypted PIN or key")
    except NotFound as error:
        raise BadParameter(detail="the card has no such PIN") from error.__cause__
    except WinError:
        if view.tx.open:
            pins.sign_out(view)
        raise

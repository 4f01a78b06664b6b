"""Requests of secure key injection, in the packed layouts of cardmod.h, and the card commands that they stand for.

=====================  ================================================================================================
function               layout (little-endian; all fields of 4 bytes except bContainerIndex: 1, then 3 of padding)
=====================  ================================================================================================
Import Key Pair        version 7, bContainerIndex, PinId, dwKeySpec, dwKeySize, cbInput; the key blob
Change Authenticator   version 7, dwFlags, authenticating PinId, its length, target PinId, its length, cRetryCount; both
Authenticate           version 7, dwFlags, PinId, cbPinData; the data
=====================  ================================================================================================

Source: cardmod.h version 7 (CARD_IMPORT_KEYPAIR, CARD_CHANGE_AUTHENTICATOR, CARD_AUTHENTICATE and their responses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct

from calais.cards.gids import adminkey, edge, edge_keys, keymap, spec
from calais.cards.gids.keys import algorithm_for, algorithm_of, import_value, slot_of
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.minidriver.containers import AT_SIGNATURE
from calais.minidriver.pins import Pin, Role
from calais.win import blobs, flags
from calais.win.errors import BadData, BadParameter, Unsupported

VERSION = 7
_IMPORT = Struct("<IB3xIIII")
_CHANGE = Struct("<7I")
_AUTHENTICATE = Struct("<4I")
_AUTHENTICATED = Struct("<III")  # version, length of the session PIN, attempts
_CHANGED = Struct("<II")  # version, attempts
ATTEMPTS_UNKNOWN = 0xFFFFFFFF
PUK = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a request: the ``function`` the card is told; the reference of the key that is imported, with its
    slot and algorithm, or that is answered for.
    """

    function: int
    command: Command = field(repr=False)
    kid: int = 0
    slot: int = 0
    algorithm: int = 0


def steps(function: str, data: bytes) -> list[Step]:
    """The commands that a request stands for.

    Args:
        function: ``"Import Key Pair"``, ``"Change Authenticator"`` or ``"Authenticate"``.
        data: the packed request.

    Raises:
        BadParameter: not such a request, or with impossible values.
        Unsupported: keys that GIDS has not.
    """
    parse = _PARSERS.get(function)
    if parse is None:
        raise BadParameter(detail=f"there is no secure function {function!r}")
    return parse(data)


def _head(layout: Struct, data: bytes) -> tuple[int, ...]:
    if len(data) < layout.size:
        raise BadParameter(detail=f"a request of {len(data)} bytes, {layout.size} at least")
    version, *rest = layout.unpack_from(data)
    if version != VERSION:
        raise BadParameter(detail=f"a request of version {version}, not {VERSION}")
    return tuple(rest)


def _tail(data: bytes, start: int, *lengths: int) -> list[bytes]:
    if len(data) != start + sum(lengths):
        raise BadParameter(detail="the lengths of the request do not add up")
    pieces = []
    for length in lengths:
        pieces.append(data[start : start + length])
        start += length
    return pieces


# --- import ----------------------------------------------------------------------------------------------------------


def _import(data: bytes) -> list[Step]:
    index, pin_id, key_spec, bits, length = _head(_IMPORT, data)
    (blob,) = _tail(data, _IMPORT.size, length)
    if pin_id != Role.USER or index >= spec.CONTAINERS_MAX:
        raise BadParameter(detail="a key goes into container 0 to 125, under the user's PIN")
    slot = slot_of(key_spec)
    key = _private_key(blob, slot)
    algorithm = algorithm_of(key)
    if key_spec > slot and algorithm_for(key_spec, 0) != algorithm:
        raise BadParameter(detail=f"the key is not of key spec {key_spec}")
    if bits not in (0, key.key_size):
        raise BadParameter(detail=f"the key has {key.key_size} bits, not {bits}")
    kid = keymap.kid_of(index)
    command = edge_keys.put_key_command(kid, *import_value(key))
    return [Step(spec.FUNCTION_IMPORT_KEY, command, kid, slot, algorithm)]


def _private_key(blob: bytes, slot: int) -> blobs.PrivateKey:
    """The key in a PRIVATEKEYBLOB, whose algorithm names the slot, or in a CNG blob."""
    try:
        if blob[:1] != bytes((flags.PRIVATEKEYBLOB,)):
            return blobs.parse_private(blob)
        key, alg_id = blobs.parse_capi_private(blob)
    except BadData as error:
        raise BadParameter(detail="not a private key blob") from error
    if alg_id != (flags.CALG_RSA_SIGN if slot == AT_SIGNATURE else flags.CALG_RSA_KEYX):
        raise BadParameter(detail="the key blob is for another key spec")
    return key


# --- change ----------------------------------------------------------------------------------------------------------


def _change(data: bytes) -> list[Step]:
    action, auth_id, auth_length, target_id, target_length, retries = _head(_CHANGE, data)
    auth, target = _tail(data, _CHANGE.size, auth_length, target_length)
    silent = flags.CARD_PIN_SILENT_CONTEXT
    if retries or action & ~silent not in (flags.PIN_CHANGE_FLAG_UNBLOCK, flags.PIN_CHANGE_FLAG_CHANGEPIN):
        raise BadParameter(detail="exactly one of unblock and change, and no new retry counter")
    if action & flags.PIN_CHANGE_FLAG_UNBLOCK:
        return _unblock_steps(auth_id, auth, target_id, target)
    if auth_id != target_id:
        raise Unsupported(detail="a PIN of a GIDS card is changed by itself")
    if target_id == Role.ADMIN:
        return [_response_step(auth), _changing(_admin_key_command(target))]
    ref = _reference(target_id)
    pins = edge.check_pin(Pin(auth)) + edge.check_pin(Pin(target))
    return [_changing(Command(0, spec.INS_CHANGE_REFERENCE_DATA, spec.P1_CHANGE_EXCHANGE, ref, pins))]


def _changing(command: Command) -> Step:
    return Step(spec.FUNCTION_CHANGE_AUTHENTICATOR, command)


def _reference(pin_id: int) -> int:
    if pin_id not in (Role.USER, PUK):
        raise BadParameter(detail=f"a GIDS card has no PIN {pin_id} that could be changed")
    return spec.REF_PUK if pin_id == PUK else spec.REF_PIN


def _unblock_steps(auth_id: int, auth: bytes, target_id: int, new: bytes) -> list[Step]:
    if target_id != Role.USER or auth_id not in (Role.ADMIN, PUK):
        raise BadParameter(detail="administrator or PUK unblock the user's PIN, and nobody else's")
    fresh = edge.check_pin(Pin(new))
    by_puk = auth_id == PUK
    p1 = spec.P1_RESET_BY_PUK if by_puk else spec.P1_RESET_BY_ADMIN
    before = edge.check_pin(Pin(auth)) if by_puk else b""
    command = Command(0, spec.INS_RESET_RETRY_COUNTER, p1, spec.REF_PIN, before + fresh)
    return ([] if by_puk else [_response_step(auth)]) + [_changing(command)]


def _admin_key_command(key: bytes) -> Command:
    """The cipher of the new key must be the present one's; 24 bytes are taken for Triple DES."""
    algorithm = spec.Algorithm.TDES if len(adminkey.check_key(key)) == 24 else spec.Algorithm.AES
    return edge_keys.admin_key_command(key, adminkey.check_value(algorithm, key))


# --- authenticate ----------------------------------------------------------------------------------------------------


def _authenticate(data: bytes) -> list[Step]:
    action, pin_id, length = _head(_AUTHENTICATE, data)
    (secret,) = _tail(data, _AUTHENTICATE.size, length)
    session = action & ~flags.CARD_PIN_SILENT_CONTEXT
    if pin_id == Role.ADMIN and not session:
        return [_response_step(secret)]
    if pin_id != Role.USER or session not in _PRESENT:
        raise BadParameter(detail=f"PIN {pin_id} cannot be presented in this way")
    return [Step(spec.FUNCTION_AUTHENTICATE, _PRESENT[session](secret))]


def _response_step(response: bytes) -> Step:
    if not response:
        raise BadParameter(detail="an empty response")
    template = tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, tlv.build(spec.TAG_RESPONSE, response))
    return Step(spec.FUNCTION_AUTHENTICATE, Command(0, spec.INS_GENERAL_AUTHENTICATE, 0, 0, template), spec.KID_ADMIN)


_PRESENT: Mapping[int, Callable[[bytes], Command]] = {
    0: lambda pin: Command(0, spec.INS_VERIFY, 0, spec.REF_PIN, edge.check_pin(Pin(pin))),
    flags.CARD_AUTHENTICATE_GENERATE_SESSION_PIN: lambda pin: Command(
        spec.CLA_PROPRIETARY, spec.INS_GENERATE_SESSION_PIN, 0, spec.REF_PIN, edge.check_pin(Pin(pin))
    ),
    flags.CARD_AUTHENTICATE_SESSION_PIN: lambda pin: Command(0, spec.INS_VERIFY, 0, spec.REF_SESSION_PIN, pin),
}
_PARSERS: Mapping[str, Callable[[bytes], list[Step]]] = {
    flags.SecureFunction.IMPORT_KEYPAIR: _import,
    flags.SecureFunction.CHANGE_AUTHENTICATOR: _change,
    flags.SecureFunction.AUTHENTICATE: _authenticate,
}


def build_answer(function: str, session_pin: bytes) -> bytes:
    """What a request that succeeded answers, packed; nothing for an imported key."""
    if function == flags.SecureFunction.AUTHENTICATE:
        return _AUTHENTICATED.pack(VERSION, len(session_pin), ATTEMPTS_UNKNOWN) + session_pin
    if function == flags.SecureFunction.CHANGE_AUTHENTICATOR:
        return _CHANGED.pack(VERSION, ATTEMPTS_UNKNOWN)
    return b""

"""MANAGE SECURITY ENVIRONMENT, PERFORM SECURITY OPERATION and GENERATE KEY PAIR of the virtual GIDS card.

The environment names a key, a use and a mechanism that the key's file declares; the right to use the key is asked for
there and again at each use. Source: Microsoft's Generic Identity Device Specification v2.0; ISO/IEC 7816-8.
"""

from __future__ import annotations

from calais.cards.front import Refusal
from calais.cards.gids import card_keys, spec
from calais.cards.gids.card_keys import CardKey
from calais.cards.gids.card_objects import key_file
from calais.cards.gids.state import CardState, Environment, File
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

SET = (spec.P1_MSE_SET_COMPUTE, spec.P1_MSE_SET_VERIFY, spec.P1_MSE_SET_BOTH)
TEMPLATES = (
    spec.TAG_CRT_AUTHENTICATION,
    spec.TAG_CRT_AGREEMENT,
    spec.TAG_CRT_SIGNATURE,
    spec.TAG_CRT_CONFIDENTIALITY,
)
NO_INDICATION = b"\0"  # padding indicator byte (ISO 7816-4, 10.4); Windows sends none


def manage_security_environment(state: CardState, command: Command) -> bytes:
    """MANAGE SECURITY ENVIRONMENT: set (41, 81, C1) the environment for template P2, or restore (F3) an empty one."""
    if command.p1 == spec.P1_MSE_RESTORE:
        state.volatile.environment = None
        return b""
    if command.p1 not in SET:
        raise Refusal(SW.FUNCTION_NOT_SUPPORTED)
    if command.p2 not in TEMPLATES:
        raise Refusal(SW.INCORRECT_P1P2)
    state.volatile.environment = None
    members = {item.tag: item.value for item in tlv.parse(command.data)}
    tag = spec.TAG_CRT_PRIVATE_REFERENCE if command.p1 == spec.P1_MSE_SET_COMPUTE else spec.TAG_CRT_REFERENCE
    file = key_file(state, members.pop(tag, b""))
    mechanism = members.pop(spec.TAG_ALGORITHM, None)
    if members:
        raise Refusal(SW.INCORRECT_DATA)
    environment = Environment(command.p2, _mechanism(file, command.p2, mechanism), file.kid)
    state.require(file.rules, spec.AM_KEY_USE)
    state.volatile.environment = environment
    return b""


def _mechanism(file: File, template: int, given: bytes | None) -> int:
    """The mechanism asked for, or the one there is; it must be declared for this use."""
    declared = [mechanism for tag, mechanism in file.mechanisms if tag == template]
    if given is None and len(declared) == 1:
        return declared[0]
    if given is None or len(given) != 1 or given[0] not in declared:
        raise Refusal(SW.INCORRECT_DATA)
    return given[0]


def key_in_use(state: CardState, template: int) -> tuple[CardKey, int]:
    """The private key of the environment, if that is for ``template``, and the mechanism to use it with."""
    environment = state.volatile.environment
    if environment is None or environment.template != template:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    file = key_file(state, bytes((environment.kid,)))
    state.require(file.rules, spec.AM_KEY_USE)
    key = state.key(environment.kid)
    if key is None or key.algorithm != environment.mechanism & spec.ALGORITHM_MASK:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return key, environment.mechanism & spec.MECHANISM_MASK


def perform_security_operation(state: CardState, command: Command) -> bytes:
    """PERFORM SECURITY OPERATION: compute a digital signature (9E 9A) or decipher (80 86)."""
    operation = command.p1 << 8 | command.p2
    try:
        if operation == spec.P1P2_SIGN:
            key, mechanism = key_in_use(state, spec.TAG_CRT_SIGNATURE)
            return key.sign(mechanism, command.data, state.random)
        if operation == spec.P1P2_DECIPHER:
            key, mechanism = key_in_use(state, spec.TAG_CRT_CONFIDENTIALITY)
            return decipher(state, key, mechanism, command.data)
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    raise Refusal(SW.INCORRECT_P1P2)


def decipher(state: CardState, key: CardKey, mechanism: int, data: bytes) -> bytes:
    """The plaintext of a cryptogram, before which a padding indicator byte may stand.

    Raises:
        ValueError: no cryptogram for this key and mechanism.
    """
    size = spec.RSA_BITS.get(key.algorithm, 0) // 8
    if len(data) == size + 1 and data.startswith(NO_INDICATION):
        data = data[1:]
    if len(data) != size:
        raise ValueError("a cryptogram of the modulus' size is due")
    return key.decipher(mechanism, data, state.random)


def generate_key_pair(state: CardState, command: Command) -> bytes:
    """GENERATE KEY PAIR: control template AC (80 algorithm, 83 key reference) in, public key 7F49 out."""
    if command.p1 or command.p2:
        raise Refusal(SW.INCORRECT_P1P2)
    members = {item.tag: item.value for item in tlv.parse(tlv.parse_one(command.data, spec.TAG_CRT_GENERATION).value)}
    file = key_file(state, members.get(spec.TAG_CRT_REFERENCE, b""))
    algorithm = members.get(spec.TAG_ALGORITHM, b"")
    if set(members) != {spec.TAG_CRT_REFERENCE, spec.TAG_ALGORITHM} or set(algorithm) != file.algorithms:
        raise Refusal(SW.INCORRECT_DATA)
    state.require_writable()
    state.require(file.rules, spec.AM_KEY_GENERATE)
    try:
        private = card_keys.generate(algorithm[0], state.random)
    except ValueError as error:
        raise Refusal(SW.FUNCTION_NOT_SUPPORTED) from error
    state.set_key(file.kid, CardKey(algorithm[0], private))
    return card_keys.build_public(private.public_key())

"""GENERAL AUTHENTICATE and GENERATE ASYMMETRIC KEY PAIR of the virtual PIV card.

Source: SP 800-73-4 part 2, 3.2.4 and 3.3.2; part 1, table 4b (security conditions for key use).
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.piv import card_keys, spec
from calais.cards.piv.card_keys import CardKey
from calais.cards.piv.spec import Algorithm, Origin, PinPolicy, TouchPolicy
from calais.cards.piv.state import CardState, ManagementKey
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

KEY_REFERENCES = frozenset(spec.SLOT_OF_REF) | {spec.REF_ATTESTATION}
Template = dict[int, bytes]


def general_authenticate(state: CardState, command: Command) -> bytes:
    """GENERAL AUTHENTICATE: algorithm in P1, key in P2, dynamic authentication template 7C in and out."""
    template = _template(command.data)
    if command.p2 == spec.REF_MANAGEMENT_KEY:
        return _manage(state, command.p1, template)
    return _use_key(state, command, template)


def _template(data: bytes) -> Template:
    items = list(tlv.parse(tlv.parse_one(data, spec.TAG_DYNAMIC_AUTHENTICATION).value))
    template = {item.tag: item.value for item in items}
    if len(template) != len(items):
        raise Refusal(SW.INCORRECT_DATA)
    return template


def _answer(tag: int, value: bytes) -> bytes:
    return tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, tlv.build(tag, value))


def _use_key(state: CardState, command: Command, template: Template) -> bytes:
    # The attestation key signs attestations alone, or they would mean nothing.
    key = state.key(command.p2) if command.p2 in spec.SLOT_OF_REF else None
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if key.algorithm != command.p1:
        raise Refusal(SW.INCORRECT_P1P2)
    if template.pop(spec.TAG_RESPONSE, None) != b"" or len(template) != 1:
        raise Refusal(SW.INCORRECT_DATA)
    _require_pin(state, key)
    ((tag, value),) = template.items()
    try:
        return _answer(spec.TAG_RESPONSE, _operate(state, key, tag, value))
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error


def _operate(state: CardState, key: CardKey, tag: int, value: bytes) -> bytes:
    if tag == spec.TAG_CHALLENGE:
        return key.sign(value, state.random)
    if tag == spec.TAG_EXPONENTIATION:
        return key.agree(value)
    raise Refusal(SW.INCORRECT_DATA)


def _require_pin(state: CardState, key: CardKey) -> None:
    if key.pin == PinPolicy.NEVER:
        return
    if key.pin == PinPolicy.ALWAYS and not state.volatile.pin_is_fresh:
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
    if not state.pin_satisfied():
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)


def _manage(state: CardState, algorithm: int, template: Template) -> bytes:
    """External authentication (81 then 82) and mutual authentication (80 then 80 and 81) with key 9B."""
    key = state.management_key()
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if (algorithm or Algorithm.TDES) != key.algorithm:
        raise Refusal(SW.INCORRECT_P1P2)
    expected, state.volatile.expected = state.volatile.expected, None  # one attempt per challenge
    if template == {spec.TAG_CHALLENGE: b""}:
        challenge = state.random(spec.BLOCK_BYTES[key.algorithm])
        state.volatile.expected = (spec.TAG_RESPONSE, _encrypt(key, challenge))
        return _answer(spec.TAG_CHALLENGE, challenge)
    if template == {spec.TAG_WITNESS: b""}:
        witness = state.random(spec.BLOCK_BYTES[key.algorithm])
        state.volatile.expected = (spec.TAG_WITNESS, witness)
        return _answer(spec.TAG_WITNESS, _encrypt(key, witness))
    return _prove(state, key, expected, template)


def _prove(state: CardState, key: ManagementKey, expected: tuple[int, bytes] | None, template: Template) -> bytes:
    mutual = spec.TAG_WITNESS in template
    challenge = template.get(spec.TAG_CHALLENGE, b"")
    if mutual and template.get(spec.TAG_RESPONSE):
        raise Refusal(SW.INCORRECT_DATA)
    if mutual and len(challenge) != spec.BLOCK_BYTES[key.algorithm]:
        raise Refusal(SW.INCORRECT_DATA)
    if not mutual and set(template) != {spec.TAG_RESPONSE}:
        raise Refusal(SW.INCORRECT_DATA)
    tag = spec.TAG_WITNESS if mutual else spec.TAG_RESPONSE
    if expected is None or expected[0] != tag:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    state.volatile.managed = same(expected[1], template[tag])
    if not state.volatile.managed:
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
    return _answer(spec.TAG_RESPONSE, _encrypt(key, challenge)) if mutual else b""


def _encrypt(key: ManagementKey, block: bytes) -> bytes:
    cipher = TripleDES(key.value) if key.algorithm == Algorithm.TDES else AES(key.value)
    # One block of fresh random: the mode that the standard names (part 2, 3.2.4; SP 800-78-4, 3.1)
    context: CipherContext = Cipher(cipher, ECB()).encryptor()  # noqa: S305
    return context.update(block) + context.finalize()


def generate_key_pair(state: CardState, command: Command) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR: control template AC (80 algorithm, 81 exponent, AA, AB policies) in, 7F49 out."""
    if command.p1 != 0 or command.p2 not in KEY_REFERENCES:
        raise Refusal(SW.INCORRECT_P1P2)
    state.require_management()
    members = {item.tag: item.value for item in tlv.parse(tlv.parse_one(command.data, spec.TAG_ALGORITHMS).value)}
    algorithm = members.pop(spec.TAG_ALGORITHM, b"")
    exponent = members.pop(spec.TAG_EXPONENT, b"")
    if len(algorithm) != 1 or int.from_bytes(exponent, "big") not in (0, card_keys.PUBLIC_EXPONENT):
        raise Refusal(SW.INCORRECT_DATA)
    pin, touch = policies(command.p2, members)
    try:
        private = card_keys.generate(algorithm[0], state.random)
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    key = CardKey(algorithm[0], pin, touch, Origin.GENERATED, private)
    state.set_key(command.p2, key)
    return tlv.build(spec.TAG_PUBLIC_KEY, card_keys.build_public(key.public()))


def policies(ref: int, members: Template) -> tuple[int, int]:
    """The PIN and touch policy in AA and AB, with a slot's own rule in place of the default; nothing else is allowed.

    Raises:
        Refusal: another member, or no such policy.
    """
    pin = _policy(members.pop(spec.TAG_PIN_POLICY, b"\0"), PinPolicy)
    touch = _policy(members.pop(spec.TAG_TOUCH_POLICY, b"\0"), TouchPolicy)
    if members:
        raise Refusal(SW.INCORRECT_DATA)
    return pin or default_pin_policy(ref), touch or TouchPolicy.NEVER


def default_pin_policy(ref: int) -> int:
    """When the key in slot ``ref`` wants the PIN if nobody said otherwise."""
    return spec.SLOT_OF_REF[ref].pin if ref in spec.SLOT_OF_REF else PinPolicy.ONCE


def _policy(value: bytes, kind: type[PinPolicy | TouchPolicy]) -> int:
    try:
        (number,) = value
        return kind(number)
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error

"""GENERAL AUTHENTICATE of the virtual GIDS card: the admin key is proved, or an EC key agrees on a secret.

External: an empty challenge (81) brings one block of the card's, and 82 with that block encrypted answers it. Mutual:
81 with sixteen bytes R1 brings R2, 82 with E(R2 R1 Z1) brings E(R1 R2 Z2); Z1 and Z2 end with 80 and fill the block.
CBC mode, initial value zero. A challenge is good for one answer; a wrong answer takes one try of the admin key's
counter, durably, before anything is compared; an answer to no challenge, or one of the wrong size, takes none.

Source: Microsoft's Generic Identity Device Specification v2.0 (with the order of R1 and R2 that hosts use);
Microsoft's smart card minidriver specification v7.07 (challenge and response); ISO/IEC 7816-4:2020, 11.5.5.
"""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.gids import spec
from calais.cards.gids.card_pins import TRIES_SHOWN_MAX
from calais.cards.gids.card_security import key_in_use
from calais.cards.gids.spec import Algorithm
from calais.cards.gids.state import AdminKey, CardState, Challenge
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

Template = dict[int, bytes]


def general_authenticate(state: CardState, command: Command) -> bytes:
    """GENERAL AUTHENTICATE with the key of the security environment: dynamic authentication template 7C in and out."""
    if command.p1 or command.p2:
        raise Refusal(SW.INCORRECT_P1P2)
    items = list(tlv.parse(tlv.parse_one(command.data, spec.TAG_DYNAMIC_AUTHENTICATION).value))
    template = {item.tag: item.value for item in items}
    if len(template) != len(items):
        raise Refusal(SW.INCORRECT_DATA)
    if spec.TAG_PEER_POINT in template:
        return _agree(state, template)
    return _manage(state, template)


def _answer(tag: int, value: bytes) -> bytes:
    return tlv.build(spec.TAG_DYNAMIC_AUTHENTICATION, tlv.build(tag, value))


def _agree(state: CardState, template: Template) -> bytes:
    """The x-coordinate shared with point 85, in 82."""
    point = template.pop(spec.TAG_PEER_POINT)
    if template not in ({}, {spec.TAG_RESPONSE: b""}):
        raise Refusal(SW.INCORRECT_DATA)
    key, _ = key_in_use(state, spec.TAG_CRT_AGREEMENT)
    try:
        return _answer(spec.TAG_RESPONSE, key.agree(point))
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error


def _manage(state: CardState, template: Template) -> bytes:
    challenge, state.volatile.challenge = state.volatile.challenge, None
    environment = state.volatile.environment
    key = state.admin_key() if environment is not None and environment.kid == spec.KID_ADMIN else None
    if key is None or state.in_setup:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    if set(template) == {spec.TAG_CHALLENGE}:
        return _challenge(state, key, template[spec.TAG_CHALLENGE])
    if set(template) != {spec.TAG_RESPONSE}:
        raise Refusal(SW.INCORRECT_DATA)
    if challenge is None:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    return prove(state, key, challenge, template[spec.TAG_RESPONSE])


def _challenge(state: CardState, key: AdminKey, host: bytes) -> bytes:
    """The card's random bytes: one block for an external, sixteen for a mutual authentication."""
    if len(host) not in (0, spec.RANDOM_BYTES):
        raise Refusal(SW.INCORRECT_DATA)
    card = state.random(spec.RANDOM_BYTES if host else spec.BLOCK_BYTES[key.algorithm])
    state.volatile.challenge = Challenge(card, host)
    return _answer(spec.TAG_CHALLENGE, card)


def prove(state: CardState, key: AdminKey, challenge: Challenge, response: bytes) -> bytes:
    """Compare ``response`` with what the key makes of ``challenge``; the answer to it, empty unless mutual."""
    block = spec.BLOCK_BYTES[key.algorithm]
    expected = challenge.card + challenge.host
    if len(response) != len(expected) + (block if challenge.host else 0):
        raise Refusal(SW.INCORRECT_DATA)
    if key.left == 0:
        raise Refusal(SW.AUTHENTICATION_BLOCKED)
    state.set_admin_key(replace(key, left=key.left - 1))
    state.records.commit()
    plain = decrypt(key, response)
    state.volatile.admin = same(plain[: len(expected)], expected) & (
        not challenge.host or plain[-1] == spec.PADDING_END
    )
    if not state.volatile.admin:
        raise Refusal(SW.TRIES_LEFT | min(key.left - 1, TRIES_SHOWN_MAX))
    state.set_admin_key(replace(key, left=key.maximum))
    if not challenge.host:
        return b""
    last = state.random(block - 1) + bytes((spec.PADDING_END,))
    return _answer(spec.TAG_RESPONSE, encrypt(key, challenge.host + challenge.card + last))


def _cipher(key: AdminKey) -> Cipher[CBC]:
    algorithm = TripleDES(key.value) if key.algorithm == Algorithm.TDES else AES(key.value)
    return Cipher(algorithm, CBC(bytes(spec.BLOCK_BYTES[key.algorithm])))


def encrypt(key: AdminKey, blocks: bytes) -> bytes:
    """``blocks`` under the admin key."""
    return _cipher(key).encryptor().update(blocks)


def decrypt(key: AdminKey, blocks: bytes) -> bytes:
    """What ``blocks`` were before ``encrypt``."""
    return _cipher(key).decryptor().update(blocks)

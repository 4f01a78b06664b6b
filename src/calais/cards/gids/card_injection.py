"""Secure key injection on the virtual GIDS card: session keys, and commands that come encrypted under them.

The commands are this project's own; ``spec`` has their table. A server that knows only a container's public key, or the
admin key, encrypts one whole command APDU; whoever carries it to the card cannot read it. The command inside is done
under the same rights as in clear. Source: Microsoft's smart card minidriver specification v7.07, 4.8.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from calais.cards.front import Refusal
from calais.cards.gids import card_authenticate, card_objects, card_pins, card_security, spec
from calais.cards.gids.spec import SessionAlgorithm
from calais.cards.gids.state import CardState, SessionKey
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

Handler = Callable[[CardState, Command], bytes]

KEY_DATA_BLOB = struct.Struct("<III")  # magic, version, length of the key
KEY_DATA_BLOB_VERSION = 1
WRAPPING = (spec.Mechanism.PKCS1_DECIPHER, spec.Mechanism.OAEP)
# What may be inside, by function: class, instruction and what does it. The handlers check P1 and P2.
FUNCTIONS: dict[int, dict[tuple[int, int], Handler]] = {
    spec.FUNCTION_IMPORT_KEY: {(0, spec.INS_PUT_DATA): lambda state, command: _put_key(state, command, admin=False)},
    spec.FUNCTION_CHANGE_AUTHENTICATOR: {
        (0, spec.INS_CHANGE_REFERENCE_DATA): card_pins.change_reference_data,
        (0, spec.INS_RESET_RETRY_COUNTER): card_pins.reset_retry_counter,
        (0, spec.INS_PUT_DATA): lambda state, command: _put_key(state, command, admin=True),
    },
    spec.FUNCTION_AUTHENTICATE: {
        (0, spec.INS_VERIFY): card_pins.verify,
        (0, spec.INS_GENERAL_AUTHENTICATE): card_authenticate.general_authenticate,
        (spec.CLA_PROPRIETARY, spec.INS_GENERATE_SESSION_PIN): card_pins.generate_session_pin,
    },
}


def import_session_key(state: CardState, command: Command) -> bytes:
    """IMPORT SESSION KEY: a session key encrypted for the key of a container; its handle comes back."""
    if command.p1:
        raise Refusal(SW.INCORRECT_P1P2)
    members = _members(
        command.data, spec.TAG_SESSION_ALGORITHM, spec.TAG_SESSION_MECHANISM, spec.TAG_SESSION_CRYPTOGRAM
    )
    algorithm, mechanism = members[spec.TAG_SESSION_ALGORITHM], members[spec.TAG_SESSION_MECHANISM]
    if len(mechanism) != 1 or mechanism[0] not in WRAPPING:
        raise Refusal(SW.INCORRECT_DATA)
    file = card_objects.key_file(state, bytes((command.p2,)))
    state.require(file.rules, spec.AM_KEY_USE)
    key = state.key(file.kid)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if (spec.TAG_CRT_CONFIDENTIALITY, mechanism[0] | key.algorithm) not in file.mechanisms:
        raise Refusal(SW.INCORRECT_DATA)
    try:
        plain = card_security.decipher(state, key, mechanism[0], members[spec.TAG_SESSION_CRYPTOGRAM])
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    return _keep(state, algorithm, _key_in(plain))


def agree_session_key(state: CardState, command: Command) -> bytes:
    """AGREE SESSION KEY: random bytes of both sides and the admin key make it; handle and the card's bytes come back."""
    if command.p1 or command.p2 != spec.KID_ADMIN:
        raise Refusal(SW.INCORRECT_P1P2)
    members = _members(command.data, spec.TAG_SESSION_ALGORITHM, spec.TAG_SESSION_RANDOM)
    algorithm, host = members[spec.TAG_SESSION_ALGORITHM], members[spec.TAG_SESSION_RANDOM]
    admin = state.admin_key()
    if admin is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if len(host) != spec.SESSION_RANDOM_BYTES or len(algorithm) != 1 or algorithm[0] not in spec.SESSION_KEY_BYTES:
        raise Refusal(SW.INCORRECT_DATA)
    card = state.random(spec.SESSION_RANDOM_BYTES)
    size = spec.SESSION_KEY_BYTES[algorithm[0]][0]
    return _keep(state, algorithm, derive(admin.value, algorithm + host + card)[:size]) + card


def derive(key: bytes, context: bytes) -> bytes:
    """64 bytes for a session key out of the admin key (in the manner of SP 800-108, counter after the label)."""
    out = b""
    for counter in (b"\1", b"\2"):
        mac = hmac.HMAC(key, hashes.SHA256())
        mac.update(spec.AGREEMENT_LABEL + context + counter)
        out += mac.finalize()
    return out


def destroy_session_key(state: CardState, command: Command) -> bytes:
    """DESTROY SESSION KEY: by handle."""
    if command.p1:
        raise Refusal(SW.INCORRECT_P1P2)
    if command.data:
        raise Refusal(SW.INCORRECT_DATA)
    if state.volatile.session_keys.pop(command.p2, None) is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return b""


def process_encrypted(state: CardState, command: Command) -> bytes:
    """PROCESS ENCRYPTED: decrypt a command APDU under a session key, and do it if the function in P1 includes it."""
    functions = FUNCTIONS.get(command.p1 & ~spec.FUNCTION_PADDED)
    if functions is None:
        raise Refusal(SW.INCORRECT_P1P2)
    key = state.volatile.session_keys.get(command.p2)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    members = _members(command.data, spec.TAG_ENCRYPTED_VECTOR, spec.TAG_ENCRYPTED_DATA)
    vector, data = members[spec.TAG_ENCRYPTED_VECTOR], members[spec.TAG_ENCRYPTED_DATA]
    try:
        plain = _decrypted(key, vector, data, padded=bool(command.p1 & spec.FUNCTION_PADDED))
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    inside = Command.decode(plain)
    handler = functions.get((inside.cla, inside.ins))
    if handler is None:
        raise Refusal(SW.COMMAND_NOT_ALLOWED)
    return handler(state, inside)


def _put_key(state: CardState, command: Command, *, admin: bool) -> bytes:
    if command.p1 << 8 | command.p2 != spec.FID_APPLICATION:
        raise Refusal(SW.INCORRECT_P1P2)
    template = tlv.parse(tlv.parse_one(command.data, spec.TAG_KEY).value)
    if (tlv.require(template, spec.TAG_KEY_REFERENCE).value == bytes((spec.KID_ADMIN,))) is not admin:
        raise Refusal(SW.COMMAND_NOT_ALLOWED)
    return card_objects.put_key(state, command.data)


def _members(data: bytes, *tags: int) -> dict[int, bytes]:
    members = {item.tag: item.value for item in tlv.parse(data)}
    if set(members) != set(tags):
        raise Refusal(SW.INCORRECT_DATA)
    return members


def _key_in(plain: bytes) -> bytes:
    """The key itself, out of a BCRYPT_KEY_DATA_BLOB if it is in one."""
    size = KEY_DATA_BLOB.size
    head = KEY_DATA_BLOB.pack(spec.KEY_DATA_BLOB_MAGIC, KEY_DATA_BLOB_VERSION, max(len(plain) - size, 0))
    return plain[size:] if plain.startswith(head) else plain


def _keep(state: CardState, algorithm: bytes, value: bytes) -> bytes:
    """Give a session key a handle; when there is no room, the host has to destroy one first."""
    if len(algorithm) != 1 or len(value) not in spec.SESSION_KEY_BYTES.get(algorithm[0], ()):
        raise Refusal(SW.INCORRECT_DATA)
    kept = state.volatile.session_keys
    handle = next((number for number in range(1, spec.SESSION_KEYS_MAX + 1) if number not in kept), None)
    if handle is None:
        raise Refusal(SW.NO_MEMORY)
    kept[handle] = SessionKey(algorithm[0], value)
    return bytes((handle,))


def _decrypted(key: SessionKey, vector: bytes, data: bytes, *, padded: bool) -> bytes:
    """The plaintext.

    Raises:
        ValueError: not whole blocks, a vector of another size, or bad padding.
    """
    cipher: TripleDES | AES
    if key.algorithm == SessionAlgorithm.AES:
        cipher = AES(key.value)
    else:
        cipher = TripleDES(key.value if len(key.value) == 24 else key.value + key.value[:8])
    context = Cipher(cipher, CBC(vector)).decryptor()
    plain = context.update(data) + context.finalize()
    if not padded:
        return plain
    unpadder = PKCS7(cipher.block_size).unpadder()
    return unpadder.update(plain) + unpadder.finalize()

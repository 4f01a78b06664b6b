"""GET DATA and PUT DATA of the virtual GIDS card: data objects of files, public keys, put key, counters.

A data object may be empty: ``DF23 00`` is one that is there. Source: Microsoft's Generic Identity Device Specification
v2.0; ISO/IEC 7816-4:2020, 11.4.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.gids import card_keys, spec
from calais.cards.gids.card_keys import CardKey
from calais.cards.gids.spec import Algorithm, CardStatus, KeyType
from calais.cards.gids.state import AdminKey, CardState, File
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

OBJECT_MAX = 32 * 1024  # bytes
WHOLE_PUBLIC_KEY = bytes.fromhex("7F4980")  # extended header list: tag, and 80 for all of it (ISO 7816-4, 8.4.8)
KEY_CHECK_SIZE = 3
# Hosts that put any admin key with the check value of the well-known one (01 to 08, three times)
KEY_CHECK_KNOWN = bytes.fromhex("B073DC")
STATUS_OF_TAG = {spec.TAG_PIN_STATUS: spec.REF_PIN, spec.TAG_PUK_STATUS: spec.REF_PUK}


def get_data(state: CardState, command: Command) -> bytes:
    """GET DATA: from the file in P1 P2 (0000 = the selected one), tag list 5C; from 3FFF also a public key, 70."""
    fid = command.p1 << 8 | command.p2
    if fid == spec.FID_APPLICATION:
        return _get_from_application(state, command.data)
    file = state.active_file(_resolved(state, fid), spec.DESCRIPTOR_DATA)
    state.require(file.rules, spec.AM_DATA_GET)
    tags = tlv.parse_one(command.data, spec.TAG_TAG_LIST).value
    state.volatile.file = file.fid
    if not tags:
        return b"".join(tlv.build(tag, state.object(file.fid, tag) or b"") for tag in state.object_tags(file.fid))
    tag = _tag(tags)
    value = state.object(file.fid, tag)
    if value is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return tlv.build(tag, value)


def put_data(state: CardState, command: Command) -> bytes:
    """PUT DATA: one data object for the file in P1 P2 (0000 = the selected one); to 3FFF a key, 70."""
    fid = command.p1 << 8 | command.p2
    if fid == spec.FID_APPLICATION:
        return put_key(state, command.data)
    file = state.active_file(_resolved(state, fid), spec.DESCRIPTOR_DATA)
    state.require_writable()
    state.require(file.rules, spec.AM_DATA_PUT)
    item = tlv.parse_one(command.data)
    if len(item.value) > OBJECT_MAX:
        raise Refusal(SW.NO_MEMORY)
    state.set_object(file.fid, item.tag, item.value)
    state.volatile.file = file.fid
    return b""


def _resolved(state: CardState, fid: int) -> int:
    return state.volatile.file if fid == spec.FID_CURRENT else fid


def _tag(raw: bytes) -> int:
    """The one tag in a tag list."""
    item, end = tlv.read(raw + b"\0", 0)
    if end != len(raw) + 1:
        raise Refusal(SW.INCORRECT_DATA)
    return item.tag


def _get_from_application(state: CardState, data: bytes) -> bytes:
    item = tlv.parse_one(data)
    if item.tag == spec.TAG_KEY:
        return _public_key(state, item.value)
    if item.tag != spec.TAG_TAG_LIST:
        raise Refusal(SW.INCORRECT_DATA)
    tag = _tag(item.value)
    if tag == spec.TAG_CARD_STATUS:
        return tlv.build(tag, _card_status(state))
    reference = state.reference(STATUS_OF_TAG[tag]) if tag in STATUS_OF_TAG else None
    if reference is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    left = tlv.build(spec.TAG_TRIES_LEFT, bytes((reference.left,)))
    return tlv.build(tag, left, tlv.build(spec.TAG_TRIES_MAX, bytes((reference.maximum,))))


def _card_status(state: CardState) -> bytes:
    profile, key = state.profile, state.admin_key()
    flags = CardStatus.KEY_INJECTION
    flags |= CardStatus.READ_ONLY if profile.read_only else CardStatus(0)
    flags |= CardStatus.SESSION_PINS if profile.session_pins else CardStatus(0)
    flags |= CardStatus.CONTACTLESS if profile.contactless else CardStatus(0)
    room = (0, 0) if profile.read_only else (max(state.bytes_free, 0), state.containers_free)
    return b"".join((
        tlv.build(spec.TAG_STATUS_BYTES_FREE, room[0].to_bytes(4, "big")),
        tlv.build(spec.TAG_STATUS_CONTAINERS_FREE, bytes((room[1],))),
        tlv.build(spec.TAG_STATUS_CONTAINERS_MAX, bytes((spec.CONTAINERS_MAX,))),
        b"" if key is None else tlv.build(spec.TAG_STATUS_ADMIN_TRIES, bytes((key.left, key.maximum))),
        tlv.build(spec.TAG_STATUS_FLAGS, bytes((flags,))),
    ))  # fmt: skip


def _public_key(state: CardState, template: bytes) -> bytes:
    """The public half of a key: 84 reference, A5 with 7F49 and length 80."""
    members = {item.tag: item.value for item in tlv.parse(template)}
    file = key_file(state, members.get(spec.TAG_KEY_REFERENCE, b""))
    if members != {spec.TAG_KEY_REFERENCE: bytes((file.kid,)), spec.TAG_KEY_VALUE_TEMPLATE: WHOLE_PUBLIC_KEY}:
        raise Refusal(SW.INCORRECT_DATA)
    state.require(file.rules, spec.AM_KEY_GET_PUBLIC)
    key = state.key(file.kid)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return card_keys.build_public(key.private.public_key())


def key_file(state: CardState, reference: bytes) -> File:
    """The active key file of a one-byte key reference."""
    if len(reference) != 1:
        raise Refusal(SW.INCORRECT_DATA)
    if state.file(spec.FID_KEY + reference[0]) is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return state.active_file(spec.FID_KEY + reference[0], spec.DESCRIPTOR_KEY)


def put_key(state: CardState, data: bytes) -> bytes:
    """Put a key into its file: 70 { 84 reference, A5 { 83 type, 84 00, 87 value, 88 check value } }."""
    template = {item.tag: item.value for item in tlv.parse(tlv.parse_one(data, spec.TAG_KEY).value)}
    if set(template) != {spec.TAG_KEY_REFERENCE, spec.TAG_KEY_VALUE_TEMPLATE}:
        raise Refusal(SW.INCORRECT_DATA)
    file = key_file(state, template[spec.TAG_KEY_REFERENCE])
    state.require_writable()
    state.require(file.rules, spec.AM_KEY_PUT)
    members = {item.tag: item.value for item in tlv.parse(template[spec.TAG_KEY_VALUE_TEMPLATE])}
    if members.pop(spec.TAG_KEY_ENCRYPTION, b"\0") != b"\0":
        raise Refusal(SW.FUNCTION_NOT_SUPPORTED)
    (algorithm,) = file.algorithms
    if file.kid == spec.KID_ADMIN:
        _put_admin_key(state, algorithm, members)
    else:
        _put_private_key(state, file.kid, algorithm, members)
    return b""


def _put_private_key(state: CardState, kid: int, algorithm: int, members: dict[int, bytes]) -> None:
    key_type = members.get(spec.TAG_KEY_TYPE, b"")
    if set(members) != {spec.TAG_KEY_TYPE, spec.TAG_KEY_VALUE} or len(key_type) != 1:
        raise Refusal(SW.INCORRECT_DATA)
    try:
        private = card_keys.key_from_import(key_type[0], algorithm, members[spec.TAG_KEY_VALUE])
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    state.set_key(kid, CardKey(algorithm, private))


def _put_admin_key(state: CardState, algorithm: int, members: dict[int, bytes]) -> None:
    value, check = members.get(spec.TAG_KEY_VALUE, b""), members.get(spec.TAG_KEY_CHECK_VALUE)
    if set(members) - {spec.TAG_KEY_TYPE, spec.TAG_KEY_VALUE, spec.TAG_KEY_CHECK_VALUE}:
        raise Refusal(SW.INCORRECT_DATA)
    if members.get(spec.TAG_KEY_TYPE, bytes((KeyType.SYMMETRIC,))) != bytes((KeyType.SYMMETRIC,)):
        raise Refusal(SW.INCORRECT_DATA)
    if len(value) not in spec.ADMIN_KEY_BYTES[algorithm]:
        raise Refusal(SW.INCORRECT_DATA)
    if check not in (None, KEY_CHECK_KNOWN) and not same(check or b"", key_check_value(algorithm, value)):
        raise Refusal(SW.INCORRECT_DATA)
    state.set_admin_key(AdminKey(algorithm, value))


def key_check_value(algorithm: int, value: bytes) -> bytes:
    """The first three bytes of a block of zeros under the key."""
    cipher = TripleDES(value) if algorithm == Algorithm.TDES else AES(value)
    encryptor = Cipher(cipher, ECB()).encryptor()  # noqa: S305 - one block, as the check value is defined
    return encryptor.update(bytes(spec.BLOCK_BYTES[algorithm]))[:KEY_CHECK_SIZE]

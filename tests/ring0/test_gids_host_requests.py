"""Requests of secure key injection: what each stands for, and session keys on the server's side."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.gids import requests, spec
from calais.cards.gids.sessionkeys import KEYS_MAX, KeyServer, build_blob
from calais.iso7816.apdu import Command
from calais.win import blobs
from calais.win.errors import BadParameter, Unsupported, WinError

IMPORT, CHANGE, AUTHENTICATE = "Import Key Pair", "Change Authenticator", "Authenticate"


def imported(key, *, index=0, pin_id=1, key_spec=3, bits=0, version=7, blob=None):
    blob = blobs.build_ecc_private(key, "ECDSA") if blob is None else blob
    return struct.pack("<IB3xIIII", version, index, pin_id, key_spec, bits, len(blob)) + blob


def change(flags, auth_id, auth, target_id, target, *, version=7, retries=0):
    head = struct.pack("<7I", version, flags, auth_id, len(auth), target_id, len(target), retries)
    return head + auth + target


def authenticate(pin_id, pin, flags=0, *, version=7):
    return struct.pack("<4I", version, flags, pin_id, len(pin)) + pin


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def test_an_import_is_one_put_key_command(key):
    (step,) = requests.steps(IMPORT, imported(key, index=3))
    assert (step.function, step.kid, step.slot, step.algorithm) == (spec.FUNCTION_IMPORT_KEY, 0x84, 2, 0x0C)
    assert (step.command.ins, step.command.p1, step.command.p2) == (spec.INS_PUT_DATA, 0x3F, 0xFF)


def test_impossible_imports_are_the_callers_fault(key):
    good = imported(key)
    bad = [
        b"", good[:-1], good + b"\0", imported(key, index=126), imported(key, pin_id=2), imported(key, key_spec=9),
        imported(key, key_spec=4), imported(key, bits=384), imported(key, version=6), imported(key, blob=b"noise"),
        imported(key, blob=blobs.build_ecc_public(key.public_key(), "ECDSA")),
    ]  # fmt: skip
    for request in bad:
        with pytest.raises(BadParameter):
            requests.steps(IMPORT, request)


def test_a_changed_pin_is_one_command():
    (step,) = requests.steps(CHANGE, change(2, 1, b"123456", 1, b"654321"))
    assert step.command == Command(0, 0x24, 0, 0x80, b"123456654321")
    (step,) = requests.steps(CHANGE, change(2, 3, b"12345678", 3, b"87654321"))
    assert step.command.p2 == 0x81


def test_an_unblock_by_puk_is_one_command_and_by_response_two():
    (step,) = requests.steps(CHANGE, change(1, 3, b"12345678", 1, b"654321"))
    assert step.command == Command(0, 0x2C, 0, 0x80, b"12345678654321")
    answer, reset = requests.steps(CHANGE, change(1, 2, bytes(8), 1, b"654321"))
    assert answer.function == spec.FUNCTION_AUTHENTICATE
    assert reset.command == Command(0, 0x2C, 2, 0x80, b"654321")


def test_a_changed_admin_key_is_a_response_and_a_put_key():
    answer, put = requests.steps(CHANGE, change(2, 2, bytes(8), 2, bytes(24)))
    assert answer.command.ins == spec.INS_GENERAL_AUTHENTICATE
    assert put.command.ins == spec.INS_PUT_DATA


@pytest.mark.parametrize(
    "request_",
    [
        change(3, 1, b"123456", 1, b"654321"), change(0, 1, b"123456", 1, b"654321"),
        change(2, 1, b"123456", 1, b"654321", version=1), change(2, 1, b"123456", 1, b"654321", retries=3),
        change(1, 1, b"123456", 1, b"654321"), change(1, 2, bytes(8), 3, b"654321"), change(1, 2, b"", 1, b"654321"),
        change(2, 4, b"123456", 4, b"654321"), change(2, 2, bytes(8), 2, bytes(23)),
        change(2, 1, b"123456", 1, b"654321")[:-1],
    ],
)  # fmt: skip
def test_impossible_changes_are_the_callers_fault(request_):
    with pytest.raises(BadParameter):
        requests.steps(CHANGE, request_)


def test_a_pin_is_changed_by_itself_alone():
    with pytest.raises(Unsupported):
        requests.steps(CHANGE, change(2, 2, bytes(8), 1, b"654321"))


def test_a_pin_of_impossible_length_is_not_even_encrypted():
    with pytest.raises(WinError, match="INVALID_CHV"):
        requests.steps(CHANGE, change(2, 1, b"123456", 1, b"1"))


@pytest.mark.parametrize(
    ("pin_id", "flags", "ins", "p2"),
    [(1, 0, 0x20, 0x80), (1, 0x20000000, 0x20, 0x83), (1, 0x10000000, 0x50, 0x80), (2, 0, 0x87, 0)],
)
def test_each_way_to_authenticate_is_one_command(pin_id, flags, ins, p2):
    (step,) = requests.steps(AUTHENTICATE, authenticate(pin_id, b"12345678", flags))
    assert (step.function, step.command.ins, step.command.p2) == (spec.FUNCTION_AUTHENTICATE, ins, p2)


@pytest.mark.parametrize(
    "request_", [authenticate(3, b"123456"), authenticate(1, b"123456", 0x30000000), authenticate(2, b"")]
)
def test_impossible_ways_are_the_callers_fault(request_):
    with pytest.raises(BadParameter):
        requests.steps(AUTHENTICATE, request_)


def test_there_are_three_functions():
    with pytest.raises(BadParameter):
        requests.steps("Format Disk", b"")


@given(st.sampled_from([IMPORT, CHANGE, AUTHENTICATE]), st.binary(max_size=100))
def test_a_request_of_noise_is_the_callers_fault(function, noise):
    with pytest.raises(WinError):
        requests.steps(function, struct.pack("<I", 7) + noise)


def test_answers_are_packed():
    assert requests.build_answer(AUTHENTICATE, b"0123") == struct.pack("<III", 7, 4, 0xFFFFFFFF) + b"0123"
    assert requests.build_answer(CHANGE, b"") == struct.pack("<II", 7, 0xFFFFFFFF)
    assert requests.build_answer(IMPORT, b"") == b""


# --- session keys ----------------------------------------------------------------------------------------------------

CIPHERS = {"AES": (algorithms.AES, 32), "3DES": (TripleDES, 24), "3DES_112": (lambda key: TripleDES(key + key[:8]), 16)}


@pytest.mark.parametrize("name", CIPHERS)
def test_a_request_is_encrypted_whole_under_the_session_key(name):
    make, size = CIPHERS[name]
    value = bytes(range(size))
    server = KeyServer(random=lambda count: b"\x77" * count)
    number = server.make_session_key("KeyDataBlob", name, build_blob(value))
    (piece,) = server.encrypt_for_card(number, AUTHENTICATE, authenticate(1, b"123456"))
    cipher = make(value)
    block = cipher.block_size // 8
    assert piece[:4] == bytes((spec.FUNCTION_AUTHENTICATE, 0, 0, 0))
    vector = piece[4 : 4 + block]
    assert vector == b"\x77" * block
    context = Cipher(cipher, modes.CBC(vector)).decryptor()
    unpadder = PKCS7(cipher.block_size).unpadder()
    plain = unpadder.update(context.update(piece[4 + block :]) + context.finalize()) + unpadder.finalize()
    assert Command.decode(plain) == Command(0, 0x20, 0, 0x80, b"123456")


def test_properties_of_a_session_key():
    server = KeyServer()
    number = server.make_session_key("KeyDataBlob", "AES", build_blob(bytes(16)))
    assert server.key_property(number, "BlockLength") == server.algorithm_property("AES", "BlockLength") == 16
    assert server.algorithm_property("3DES", "BlockLength") == 8
    assert server.key_property(number, "ChainingMode") == "ChainingModeCBC"
    server.set_key_property(number, "IV", b"\1" * 16)
    assert server.key_property(number, "IV") == b"\1" * 16
    server.set_key_property(number, "ChainingMode", "ChainingModeCBC")
    for name, value in (("IV", bytes(8)), ("BlockLength", 16), ("Colour", b"")):
        with pytest.raises(BadParameter):
            server.set_key_property(number, name, value)
    with pytest.raises(BadParameter):
        server.key_property(number, "Colour")


@pytest.mark.parametrize(
    ("blob_type", "name", "blob"),
    [
        ("OpaqueKeyBlob", "AES", build_blob(bytes(16))), ("KeyDataBlob", "RC4", build_blob(bytes(16))),
        ("KeyDataBlob", "AES", build_blob(bytes(17))), ("KeyDataBlob", "3DES", build_blob(bytes(16))),
        ("KeyDataBlob", "AES", bytes(16)), ("KeyDataBlob", "AES", build_blob(bytes(16)) + b"\0"), ("KeyDataBlob", "AES", b""),
    ],
)  # fmt: skip
def test_other_blobs_are_no_session_keys(blob_type, name, blob):
    with pytest.raises(BadParameter):
        KeyServer().make_session_key(blob_type, name, blob)


def test_a_destroyed_key_is_gone_and_numbers_are_not_used_again():
    server = KeyServer()
    first = server.make_session_key("KeyDataBlob", "AES", build_blob(bytes(16)))
    server.destroy_key(first)
    for use in (server.destroy_key, lambda key: server.key_property(key, "IV")):
        with pytest.raises(BadParameter):
            use(first)
    assert server.make_session_key("KeyDataBlob", "AES", build_blob(bytes(16))) != first


def test_there_is_an_end_to_session_keys():
    server = KeyServer()
    for _ in range(KEYS_MAX):
        server.make_session_key("KeyDataBlob", "AES", build_blob(bytes(16)))
    with pytest.raises(BadParameter):
        server.make_session_key("KeyDataBlob", "AES", build_blob(bytes(16)))


def test_session_keys_show_no_value():
    server = KeyServer()
    number = server.make_session_key("KeyDataBlob", "AES", build_blob(b"secret secret 16"))
    assert "secret" not in repr(server.keys.get(number))


def test_agreement_wants_all_its_parts():
    for data in (b"", bytes(17), b"\x03" + bytes(32), b"\x09" + bytes(32 + 24)):
        with pytest.raises(BadParameter):
            KeyServer().shared_key(data)

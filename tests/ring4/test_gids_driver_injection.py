"""Secure key injection end to end: a server that has no card, a carrier that has no key, and the virtual GIDS card."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from gidsdesk import ADMIN_KEY, PIN, PUK, certificate, new_desk, p256, rsa_key, user

from calais.cards.gids import adminkey
from calais.cards.gids.sessionkeys import KeyServer, build_blob
from calais.minidriver.padding import Raw
from calais.minidriver.pins import Pin
from calais.win import blobs
from calais.win.errors import BadParameter, NotAuthenticated, NotFound, Unsupported, WinError, WrongPin
from calais.win.structs import OaepPaddingInfo

IMPORT, CHANGE, AUTHENTICATE = "Import Key Pair", "Change Authenticator", "Authenticate"
BLOB = "KeyDataBlob"
SIZES = {"AES": 32, "3DES": 24, "3DES_112": 16}
PKCS1, OAEP = 2, 8
GENERATE, SESSION = 0x10000000, 0x20000000


@pytest.fixture
def desk():
    """A wrapping key in container 0."""
    key = rsa_key()
    return new_desk(keys=[("wrap", 1, key, certificate(key)), ("sign", 2, rsa_key(number=1), None)], puk=PUK.value)


def wrapped(value, form=PKCS1):
    hide = padding.PKCS1v15() if form == PKCS1 else padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    return rsa_key().public_key().encrypt(value, hide)


def line(driver, name="AES", form=PKCS1):
    """A session key known to a server and, wrapped, to the card: server, its number, the carrier's number."""
    server, value = KeyServer(), bytes(range(SIZES[name]))
    info = OaepPaddingInfo("SHA1") if form == OAEP else None
    number = driver.import_session_key(0, info, BLOB, name, wrapped(build_blob(value), form), form)
    return server, server.make_session_key(BLOB, name, build_blob(value)), number


def sent(line_, driver, function, request):
    server, theirs, ours = line_
    return driver.process_encrypted(ours, function, server.encrypt_for_card(theirs, function, request, 1), 1)


def import_request(key, *, index=5, key_spec=3, pin_id=1):
    blob = blobs.build_ecc_private(key, "ECDSA" if key_spec < 6 else "ECDH")
    return struct.pack("<IB3xIIII", 7, index, pin_id, key_spec, 0, len(blob)) + blob


def change_request(flags, auth_id, auth, target_id, target):
    return struct.pack("<7I", 7, flags, auth_id, len(auth), target_id, len(target), 0) + auth + target


def authenticate_request(pin_id, data, flags=0):
    return struct.pack("<4I", 7, flags, pin_id, len(data)) + data


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("form", [PKCS1, OAEP])
def test_a_key_pair_is_imported_that_the_carrier_never_sees(desk, name, form):
    key, seen = p256(), []
    with user(desk) as driver:
        way = line(driver, name, form)
        desk.channel._observers = (lambda exchange: seen.append(exchange.command),)
        assert sent(way, driver, IMPORT, import_request(key)) == b""
        assert driver.public_key(5) == key.public_key()
        digest = hashlib.sha256(b"x").digest()
        raw = driver.sign(5, 3, digest, Raw())
        signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.public_key().verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    assert not any(secret in command for command in seen)


def test_an_rsa_key_pair_too(desk):
    key = rsa_key(1024, 7)
    blob = blobs.build_capi_private(key, 0xA400)
    request = struct.pack("<IB3xIIII", 7, 6, 1, 1, 1024, len(blob)) + blob
    with user(desk) as driver:
        sent(line(driver), driver, IMPORT, request)
        assert driver.public_key(6) == key.public_key()
        assert driver.container(6).key_spec == 1


def test_a_key_that_was_there_is_replaced(desk):
    first, second = p256(), ec.generate_private_key(ec.SECP384R1())
    with user(desk) as driver:
        way = line(driver)
        sent(way, driver, IMPORT, import_request(first))
        sent(way, driver, IMPORT, import_request(second, key_spec=4))
        assert driver.public_key(5) == second.public_key()


def test_importing_wants_the_pin_as_in_clear(desk):
    with user(desk) as driver:
        way = line(driver)
        driver.deauthenticate(0xFF)
        with pytest.raises(NotAuthenticated):
            sent(way, driver, IMPORT, import_request(p256()))
        with pytest.raises(NotAuthenticated):
            line(driver)


def test_a_pin_is_presented_encrypted(desk):
    seen = []
    with user(desk) as driver:
        way = line(driver)
        driver.deauthenticate(0xFF)
        desk.channel._observers = (lambda exchange: seen.append(exchange.command),)
        answer = sent(way, driver, AUTHENTICATE, authenticate_request(1, PIN.value))
        assert struct.unpack("<III", answer) == (7, 0, 0xFFFFFFFF)
        assert driver.authenticated() & 2
    assert not any(PIN.value in command for command in seen)


def test_a_wrong_pin_presented_encrypted_uses_up_a_try(desk):
    with user(desk) as driver:
        way = line(driver)
        driver.deauthenticate(0xFF)
        with pytest.raises(WrongPin) as caught:
            sent(way, driver, AUTHENTICATE, authenticate_request(1, b"999999"))
        assert caught.value.attempts_left == 2
        assert driver.authenticated() == 0


def test_a_session_pin_comes_back_and_is_presented(desk):
    with user(desk) as driver:
        way = line(driver)
        driver.deauthenticate(0xFF)
        answer = sent(way, driver, AUTHENTICATE, authenticate_request(1, PIN.value, GENERATE))
        version, length, _ = struct.unpack("<III", answer[:12])
        assert (version, length, len(answer)) == (7, 16, 28)
        assert driver.authenticated() == 0
        sent(way, driver, AUTHENTICATE, authenticate_request(1, answer[12:], SESSION))
        assert driver.authenticated() & 2


def test_the_administrator_answers_encrypted(desk):
    with user(desk) as driver:
        way = line(driver)
        response = adminkey.response(ADMIN_KEY, driver.challenge())
        sent(way, driver, AUTHENTICATE, authenticate_request(2, response))
        assert driver.authenticated() & 4


def test_pins_are_changed_and_unblocked_encrypted(desk):
    with user(desk) as driver:
        way = line(driver)
        answer = sent(way, driver, CHANGE, change_request(2, 1, PIN.value, 1, b"654321"))
        assert struct.unpack("<II", answer) == (7, 0xFFFFFFFF)
        driver.deauthenticate(0xFF)
        driver.authenticate(1, Pin("654321"))
        sent(way, driver, CHANGE, change_request(1, 3, PUK.value, 1, b"111111"))
        driver.authenticate(1, Pin("111111"))
        response = adminkey.response(ADMIN_KEY, driver.challenge())
        sent(way, driver, CHANGE, change_request(1, 2, response, 1, b"222222"))
        assert driver.authenticated() == 0
        driver.authenticate(1, Pin("222222"))


def test_the_admin_key_is_changed_encrypted(desk):
    new = bytes(range(30, 54))
    with user(desk) as driver:
        way = line(driver)
        response = adminkey.response(ADMIN_KEY, driver.challenge())
        sent(way, driver, CHANGE, change_request(2, 2, response, 2, new))
        driver.deauthenticate(0xFF)
        driver.authenticate_admin(new)


def test_a_failed_unblock_signs_everybody_out(desk):
    with user(desk) as driver:
        way = line(driver)
        driver.challenge()
        with pytest.raises(WrongPin):
            sent(way, driver, CHANGE, change_request(1, 2, bytes(8), 1, b"222222"))
        assert driver.authenticated() == 0


@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_a_session_key_is_agreed_on_by_the_admin_key(desk, algorithm):
    ours = bytes(range(16))
    with user(desk) as driver:
        theirs, number = driver.shared_key(bytes((algorithm,)) + ours)
        server = KeyServer()
        output, key = server.shared_key(bytes((algorithm,)) + ours + theirs + ADMIN_KEY)
        assert output == b""
        pieces = server.encrypt_for_card(key, IMPORT, import_request(p256()))
        driver.process_encrypted(number, IMPORT, pieces)
        assert driver.public_key(5)
        with pytest.raises(Unsupported):
            driver.encrypt_for_card(number, IMPORT, import_request(p256()))
        for bad in (b"", b"\x03" + bytes(15), b"\x09" + bytes(16)):
            with pytest.raises(BadParameter):
                driver.shared_key(bad)


def test_pieces_for_another_function_or_key_are_refused(desk):
    with user(desk) as driver:
        server, theirs, ours = line(driver)
        pieces = server.encrypt_for_card(theirs, IMPORT, import_request(p256()))
        for function, data in (
            (AUTHENTICATE, pieces), (CHANGE, pieces), ("Format", pieces), (IMPORT, []), (IMPORT, [b""]),
            (IMPORT, [pieces[0][:-1]]), (IMPORT, [pieces[0][:20]]), (IMPORT, [b"\1\x84\2\7" + pieces[0][4:20] + bytes(16)]),
            (IMPORT, [b"\1\x20\2\x0c" + pieces[0][4:]]),
        ):  # fmt: skip
            with pytest.raises(BadParameter):
                driver.process_encrypted(ours, function, data)
        with pytest.raises(BadParameter):
            driver.process_encrypted(99, IMPORT, pieces)
        own = driver.make_session_key(BLOB, "AES", build_blob(bytes(16)))
        with pytest.raises(Unsupported):
            driver.process_encrypted(own, IMPORT, pieces)


def test_a_piece_that_was_tampered_with_imports_nothing(desk):
    with user(desk) as driver:
        server, theirs, ours = line(driver)
        (piece,) = server.encrypt_for_card(theirs, IMPORT, import_request(p256()))
        for at in (25, len(piece) // 2, len(piece) - 1):
            broken = piece[:at] + bytes((piece[at] ^ 1,)) + piece[at + 1 :]
            with pytest.raises(WinError):
                driver.process_encrypted(ours, IMPORT, [broken])
        with pytest.raises(NotFound):
            driver.public_key(5)
        driver.process_encrypted(ours, IMPORT, [piece])


def test_a_session_key_is_destroyed_here_and_on_the_card(desk):
    with user(desk) as driver:
        server, theirs, ours = line(driver)
        assert driver.key_property(ours, "BlockLength") == driver.algorithm_property("AES", "BlockLength") == 16
        driver.set_key_property(ours, "IV", bytes(16))
        pieces = server.encrypt_for_card(theirs, IMPORT, import_request(p256()))
        driver.destroy_key(ours)
        for use in (lambda: driver.destroy_key(ours), lambda: driver.process_encrypted(ours, IMPORT, pieces)):
            with pytest.raises(BadParameter):
                use()
        for _ in range(10):
            driver.destroy_key(line(driver)[2])


def test_a_session_key_does_not_survive_a_reset(desk):
    with user(desk) as driver:
        server, theirs, ours = line(driver)
    desk.reinsert()
    with user(desk) as driver:
        with pytest.raises(BadParameter):
            sent((server, theirs, ours), driver, AUTHENTICATE, authenticate_request(1, PIN.value))
        driver.destroy_key(ours)


def test_only_an_exchange_key_and_the_cards_paddings_unwrap(desk):
    cryptogram = wrapped(build_blob(bytes(16)))
    with user(desk) as driver:
        with pytest.raises(NotFound):
            driver.import_session_key(1, None, BLOB, "AES", cryptogram, PKCS1)
        with pytest.raises(NotFound):
            driver.import_session_key(9, None, BLOB, "AES", cryptogram, PKCS1)
        for info, flags in (
            (None, 4),
            (None, OAEP),
            (OaepPaddingInfo("SHA256"), OAEP),
            (OaepPaddingInfo("SHA1", b"x"), OAEP),
        ):
            with pytest.raises(Unsupported):
                driver.import_session_key(0, info, BLOB, "AES", cryptogram, flags)
        for blob, name, data in (
            ("Other", "AES", cryptogram),
            (BLOB, "DES", cryptogram),
            (BLOB, "AES", cryptogram[1:]),
        ):
            with pytest.raises(BadParameter):
                driver.import_session_key(0, None, blob, name, data, PKCS1)
        with pytest.raises(BadParameter):
            driver.import_session_key(0, None, BLOB, "3DES", cryptogram, PKCS1)


def test_a_read_only_card_takes_no_key():
    desk = new_desk(read_only=True, keys=[("wrap", 1, rsa_key(), None)])
    with user(desk) as driver:
        way = line(driver)
        with pytest.raises(Unsupported):
            sent(way, driver, IMPORT, import_request(p256()))
        sent(way, driver, AUTHENTICATE, authenticate_request(1, PIN.value))

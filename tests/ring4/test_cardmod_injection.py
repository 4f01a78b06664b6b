"""Secure key injection under Microsoft's names: a server without card, a carrier, and a card that decrypts."""

import struct

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, untouched
from certs import ec_key, make, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding

from calais.minidriver.injection import KeyInjection
from calais.minidriver.surface import SURFACE
from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win import blobs
from calais.winapi import cardmod
from calais.winapi.cardmod import (
    AT_KEYEXCHANGE,
    CARD_AES_ALGORITHM,
    CARD_PADDING_PKCS1,
    CARD_SECURE_KEY_INJECTION_NO_CARD_MODE,
    CKP_BLOCK_LENGTH,
    CKP_CHAINING_MODE,
    CKP_INITIALIZATION_VECTOR,
    CP_CARD_AUTHENTICATED_STATE,
    CSF_AUTHENTICATE,
    CSF_IMPORT_KEYPAIR,
    CardAcquireContext,
    CardAuthenticatePin,
    CardData,
    CardDeauthenticateEx,
    CardDeleteContext,
    CardDestroyKey,
    CardGetAlgorithmProperty,
    CardGetContainerInfo,
    CardGetKeyProperty,
    CardGetProperty,
    CardGetSharedKeyHandle,
    CardImportSessionKey,
    CardProcessEncryptedData,
    CardSetKeyProperty,
    MDEncryptData,
    MDImportSessionKey,
)

INVALID, UNSUPPORTED = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNSUPPORTED_FEATURE"
RSA = rsa_key(8)
KEY = bytes(range(32))
BLOB = b"KDBM" + struct.pack("<II", 1, len(KEY)) + KEY
GIDS_NAME = "Identity Device (Microsoft Generic Profile)"


@pytest.fixture
def server():
    data = CardData(card_name=GIDS_NAME)
    CardAcquireContext(data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE)
    return data


@pytest.fixture
def gids():
    certificate = x509.load_der_x509_certificate(make("injection", key=RSA))
    with local_system():
        yield acquired(virtual_gids(keys=[(None, AT_KEYEXCHANGE, RSA, certificate)], seed=1, admin_key=ADMIN_KEY))


@pytest.fixture
def keys(server, gids):
    """The same session key on the server and on the card."""
    CardAuthenticatePin(gids, "user", b"123456")
    wrapped = RSA.public_key().encrypt(KEY, padding.PKCS1v15())
    on_card = CardImportSessionKey(gids, 0, None, "KeyDataBlob", CARD_AES_ALGORITHM, wrapped, CARD_PADDING_PKCS1)
    CardDeauthenticateEx(gids, 0xFF)
    return MDImportSessionKey(server, "KeyDataBlob", CARD_AES_ALGORITHM, BLOB), on_card


def test_a_pin_is_presented_through_a_carrier_who_cannot_read_it(server, gids, keys):
    request = struct.pack("<IIII", 7, 0, 1, 6) + b"123456"
    pieces = MDEncryptData(server, keys[0], CSF_AUTHENTICATE, request)
    assert not any(b"123456" in piece for piece in pieces)
    answer = CardProcessEncryptedData(gids, keys[1], CSF_AUTHENTICATE, pieces)
    assert struct.unpack_from("<I", answer) == (7,)
    assert CardGetProperty(gids, CP_CARD_AUTHENTICATED_STATE) == 0x02


def test_a_wrong_pin_fails_as_the_function_it_stands_for(server, gids, keys):
    pieces = MDEncryptData(server, keys[0], CSF_AUTHENTICATE, struct.pack("<IIII", 7, 0, 1, 6) + b"000000")
    assert refusal(CardProcessEncryptedData, gids, keys[1], CSF_AUTHENTICATE, pieces) == "SCARD_W_WRONG_CHV"


def test_a_key_is_imported_through_a_carrier(server, gids, keys):
    blob = blobs.build_ecc_private(ec_key(9), "ECDH")
    request = struct.pack("<IB3xIIII", 7, 3, 1, 6, 256, len(blob)) + blob
    CardAuthenticatePin(gids, "user", b"123456")
    pieces = MDEncryptData(server, keys[0], CSF_IMPORT_KEYPAIR, request)
    assert CardProcessEncryptedData(gids, keys[1], CSF_IMPORT_KEYPAIR, pieces) == b""
    public = blobs.parse_ecc_public(CardGetContainerInfo(gids, 3).key_ex_public_key)
    assert public == (ec_key(9).public_key(), "ECDH")


def test_a_session_key_is_agreed_by_the_administrator_s_key(server, gids):
    ours = bytes(range(16))
    theirs, on_card = CardGetSharedKeyHandle(gids, b"\3" + ours)
    nothing, mine = CardGetSharedKeyHandle(server, b"\3" + ours + theirs + ADMIN_KEY)
    assert nothing == b""
    pieces = MDEncryptData(server, mine, CSF_AUTHENTICATE, struct.pack("<IIII", 7, 0, 1, 6) + b"123456")
    CardProcessEncryptedData(gids, on_card, CSF_AUTHENTICATE, pieces)
    assert CardGetProperty(gids, CP_CARD_AUTHENTICATED_STATE) == 0x02
    assert refusal(CardGetSharedKeyHandle, gids, b"") == INVALID


def test_key_properties(server):
    key = MDImportSessionKey(server, "KeyDataBlob", CARD_AES_ALGORITHM, BLOB)
    assert CardGetAlgorithmProperty(server, "3DES", CKP_BLOCK_LENGTH) == 8
    assert CardGetKeyProperty(server, key, CKP_BLOCK_LENGTH) == 16
    assert CardGetKeyProperty(server, key, CKP_CHAINING_MODE) == "ChainingModeCBC"
    CardSetKeyProperty(server, key, CKP_INITIALIZATION_VECTOR, bytes(range(16)))
    assert CardGetKeyProperty(server, key, CKP_INITIALIZATION_VECTOR) == bytes(range(16))
    for name, value in (
        (CKP_BLOCK_LENGTH, 16),
        ("iv", bytes(16)),
        (CKP_INITIALIZATION_VECTOR, bytes(8)),
        (CKP_CHAINING_MODE, b""),
    ):
        assert refusal(CardSetKeyProperty, server, key, name, value) == INVALID
    assert refusal(CardGetKeyProperty, server, key, CKP_BLOCK_LENGTH, 1) == INVALID
    assert refusal(CardGetKeyProperty, server, key, "Nothing") == INVALID
    assert refusal(CardGetAlgorithmProperty, server, "DES", CKP_BLOCK_LENGTH) == INVALID


@pytest.mark.parametrize(
    ("blob_type", "algorithm", "blob"),
    [("Other", "AES", BLOB), ("KeyDataBlob", "DES", BLOB), ("KeyDataBlob", "AES", b""), ("KeyDataBlob", "3DES", BLOB)],
)
def test_a_session_key_that_cannot_be_is_refused(server, blob_type, algorithm, blob):
    assert refusal(MDImportSessionKey, server, blob_type, algorithm, blob) == INVALID


def test_a_key_is_destroyed_once_and_is_no_one_else_s(server, gids, keys):
    mine, on_card = keys
    assert refusal(CardGetKeyProperty, gids, mine, CKP_BLOCK_LENGTH) == INVALID
    assert refusal(CardGetKeyProperty, gids, 1, CKP_BLOCK_LENGTH) == INVALID
    CardDestroyKey(gids, on_card)
    for call in (CardDestroyKey, lambda d, k: CardGetKeyProperty(d, k, CKP_BLOCK_LENGTH)):
        assert refusal(call, gids, on_card) == INVALID
    with mine:
        assert CardGetKeyProperty(server, mine, CKP_BLOCK_LENGTH) == 16
    assert refusal(CardDestroyKey, server, mine) == INVALID
    mine.close()
    assert "closed" in repr(mine)


def test_keys_end_with_their_context(server):
    key = MDImportSessionKey(server, "KeyDataBlob", CARD_AES_ALGORITHM, BLOB)
    CardDeleteContext(server)
    assert not key.is_open
    key.close()


@pytest.mark.parametrize("flags", [2, -1, None])
def test_requests_have_one_flag(server, flags):
    key = MDImportSessionKey(server, "KeyDataBlob", CARD_AES_ALGORITHM, BLOB)
    assert refusal(MDEncryptData, server, key, CSF_AUTHENTICATE, b"x", flags) == INVALID
    assert refusal(MDEncryptData, server, key, "authenticate", b"x") == INVALID
    assert refusal(CardProcessEncryptedData, server, key, CSF_AUTHENTICATE, [b"x"], flags) == INVALID
    assert refusal(CardProcessEncryptedData, server, key, CSF_AUTHENTICATE, b"x") == INVALID


NINE = [name for name, row in SURFACE.items() if row.body in vars(KeyInjection) and row.since == 7]


@pytest.mark.parametrize("name", NINE)
def test_piv_has_none_of_it(name):
    with local_system():
        card = virtual_piv(keys={}, seed=1)
        data = acquired(card)
        arguments = [None] * len(SURFACE[name].arguments)
        with untouched(card):
            assert refusal(getattr(cardmod, name), data, *arguments) == UNSUPPORTED
    assert len(NINE) == 9

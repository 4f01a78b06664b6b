"""Containers, signatures, decryption and agreement under Microsoft's names: byte orders, paddings, codes."""

import hashlib

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, respond, untouched
from certs import ec_key, make, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from calais.minidriver.padding import Pkcs1 as Pkcs1Block
from calais.minidriver.padding import encode_signature
from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win import blobs
from calais.winapi.cardmod import (
    AT_ECDHE_P256,
    AT_ECDSA_P256,
    AT_ECDSA_P384,
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    CALG_MD5,
    CALG_RSA_KEYX,
    CALG_RSA_SIGN,
    CALG_SHA1,
    CALG_SHA_256,
    CALG_SSL3_SHAMD5,
    CARD_BUFFER_SIZE_ONLY,
    CARD_CREATE_CONTAINER_KEY_GEN,
    CARD_CREATE_CONTAINER_KEY_IMPORT,
    CARD_PADDING_INFO_PRESENT,
    CARD_PADDING_NONE,
    CARD_PADDING_OAEP,
    CARD_PADDING_PKCS1,
    CARD_PADDING_PSS,
    CardAuthenticateChallenge,
    CardAuthenticatePin,
    CardCreateContainer,
    CardCreateContainerEx,
    CardDeleteContainer,
    CardGetChallenge,
    CardGetContainerInfo,
    CardGetContainerProperty,
    CardQueryFreeSpace,
    CardRSADecrypt,
    CardRsaDecryptInfo,
    CardSetContainerProperty,
    CardSignData,
    CardSigningInfo,
    OaepPaddingInfo,
    Pkcs1PaddingInfo,
    PssPaddingInfo,
)

INVALID, UNSUPPORTED, FORBIDDEN = (
    "SCARD_E_INVALID_PARAMETER",
    "SCARD_E_UNSUPPORTED_FEATURE",
    "SCARD_W_SECURITY_VIOLATION",
)
NO_KEY, MISMATCH = "SCARD_E_NO_KEY_CONTAINER", "ERROR_REVISION_MISMATCH"
GEN, IMPORT, PRESENT = CARD_CREATE_CONTAINER_KEY_GEN, CARD_CREATE_CONTAINER_KEY_IMPORT, CARD_PADDING_INFO_PRESENT
EC, RSA = ec_key(5), rsa_key(5)
MESSAGE = b"to be signed"
DIGEST = hashlib.sha256(MESSAGE).digest()
RSA_INDEX, EC_SIGNATURE_INDEX, EC_INDEX = 0, 1, 2  # slots 9A, 9C, 9D


def certified(key):
    return key, x509.load_der_x509_certificate(make("keys", key=key))


@pytest.fixture
def card():
    with local_system():
        yield virtual_piv(keys={0x9A: certified(RSA), 0x9C: certified(EC), 0x9D: certified(EC)}, seed=1)


@pytest.fixture
def piv(card):
    data = acquired(card)
    CardAuthenticatePin(data, "user", b"123456")
    return data


@pytest.fixture
def gids():
    with local_system():
        data = acquired(virtual_gids(keys=[(None, AT_KEYEXCHANGE, *certified(RSA))], seed=1, admin_key=ADMIN_KEY))
        CardAuthenticatePin(data, "user", b"123456")
        yield data


def as_admin(data):
    CardAuthenticateChallenge(data, respond(CardGetChallenge(data)))
    return data


def rsa_info(**options):
    return CardSigningInfo(**{"container_index": RSA_INDEX, "key_spec": AT_KEYEXCHANGE, "data": DIGEST} | options)


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["piv", "gids"])
@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ({"hash_alg": CALG_SHA_256}, padding.PKCS1v15()),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PKCS1, "padding_info": Pkcs1PaddingInfo("SHA256")}, padding.PKCS1v15()),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PSS, "padding_info": PssPaddingInfo("SHA256", 20)}, padding.PSS(padding.MGF1(hashes.SHA256()), 20)),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PSS, "padding_info": PssPaddingInfo("sha256", 0), "hash_alg": 1}, padding.PSS(padding.MGF1(hashes.SHA256()), 0)),
    ],
)  # fmt: skip
def test_an_rsa_signature_is_little_endian(data, options, scheme, request):
    signature = CardSignData(request.getfixturevalue(data), rsa_info(**options))
    assert len(signature) == 256
    RSA.public_key().verify(signature[::-1], MESSAGE, scheme, hashes.SHA256())


@pytest.mark.parametrize(
    ("options", "block"),
    [
        ({"data": DIGEST}, DIGEST),
        ({"data": bytes(36), "hash_alg": CALG_SSL3_SHAMD5}, bytes(36)),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PKCS1, "padding_info": Pkcs1PaddingInfo(None)}, DIGEST),
    ],
)  # fmt: skip
def test_without_a_hash_no_digest_info_is_added(piv, options, block):
    signature = CardSignData(piv, rsa_info(**options))
    public = RSA.public_key().public_numbers()
    opened = pow(int.from_bytes(signature, "little"), public.e, public.n).to_bytes(256, "big")
    assert opened == b"\0\1".ljust(255 - len(block), b"\xff") + b"\0" + block


def test_no_padding_signs_the_block_as_it_is(piv):
    block = b"\0" + b"7" * 255
    signature = CardSignData(piv, rsa_info(data=block, signing_flags=PRESENT, padding_type=CARD_PADDING_NONE))
    public = RSA.public_key().public_numbers()
    assert pow(int.from_bytes(signature, "little"), public.e, public.n) == int.from_bytes(block, "big")


def test_an_ec_signature_is_r_and_s_big_endian(piv):
    signature = CardSignData(piv, CardSigningInfo(EC_INDEX, AT_ECDSA_P256, DIGEST, hash_alg=0x1234))
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    assert len(signature) == 64
    EC.public_key().verify(encode_dss_signature(r, s), DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_the_size_alone_takes_no_pin_and_no_key(card):
    data = acquired(card)
    for info, size in (
        (rsa_info(signing_flags=CARD_BUFFER_SIZE_ONLY), 256),
        (CardSigningInfo(EC_SIGNATURE_INDEX, AT_ECDSA_P256, DIGEST, CARD_BUFFER_SIZE_ONLY), 64),
    ):
        assert CardSignData(data, info) == bytes(size)
        assert refusal(CardSignData, data, CardSigningInfo(info.container_index, info.key_spec, DIGEST)) == FORBIDDEN
    wrong = CardSigningInfo(RSA_INDEX, AT_SIGNATURE, DIGEST, CARD_BUFFER_SIZE_ONLY)
    assert refusal(CardSignData, data, wrong) == NO_KEY


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"data": b""}, INVALID),
        ({"data": "text"}, INVALID),
        ({"key_spec": 0}, INVALID),
        ({"key_spec": 9}, INVALID),
        ({"container_index": 256}, INVALID),
        ({"signing_flags": 1}, INVALID),
        ({"version": 0}, MISMATCH),
        ({"version": 3}, MISMATCH),
        ({"hash_alg": CALG_SHA1}, INVALID),
        ({"hash_alg": CALG_MD5}, INVALID),
        ({"hash_alg": CALG_SSL3_SHAMD5}, INVALID),
        ({"hash_alg": 0x8009}, UNSUPPORTED),
        ({"signing_flags": PRESENT, "padding_type": 0}, INVALID),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_OAEP, "padding_info": OaepPaddingInfo("SHA1")}, INVALID),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PKCS1}, INVALID),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PSS}, INVALID),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PKCS1, "padding_info": Pkcs1PaddingInfo("MD2")}, UNSUPPORTED),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PSS, "padding_info": PssPaddingInfo("MD2", 1)}, UNSUPPORTED),
    ],
)  # fmt: skip
def test_a_signature_that_cannot_be_made_is_refused_before_the_card_is_asked(piv, card, options, code):
    with untouched(card):
        assert refusal(CardSignData, piv, rsa_info(**options)) == code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"key_spec": AT_SIGNATURE}, NO_KEY),
        ({"key_spec": AT_ECDSA_P256}, NO_KEY),
        ({"container_index": 3}, NO_KEY),
        ({"container_index": 255}, NO_KEY),
        ({"container_index": EC_INDEX}, NO_KEY),
        ({"container_index": EC_INDEX, "key_spec": AT_ECDSA_P384}, NO_KEY),
        ({"container_index": EC_SIGNATURE_INDEX, "key_spec": AT_ECDHE_P256}, NO_KEY),
        ({"data": bytes(246)}, INVALID),
        ({"data": bytes(255), "signing_flags": PRESENT, "padding_type": CARD_PADDING_NONE}, INVALID),
        ({"data": bytes(257), "signing_flags": PRESENT, "padding_type": CARD_PADDING_NONE}, INVALID),
        ({"signing_flags": PRESENT, "padding_type": CARD_PADDING_PSS, "padding_info": PssPaddingInfo("SHA256", 223)}, INVALID),
    ],
)  # fmt: skip
def test_a_key_or_length_that_does_not_fit_is_refused(piv, options, code):
    assert refusal(CardSignData, piv, rsa_info(**options)) == code


def test_the_caller_s_padding_is_used(piv):
    seen = []

    def pad(info, width):
        seen.append((info, width))
        return encode_signature(Pkcs1Block("sha256"), info.data, width, bytes)

    piv.pad_data = pad
    info = rsa_info(hash_alg=CALG_SHA_256)
    signature = CardSignData(piv, info)
    assert seen == [(info, 256)]
    RSA.public_key().verify(signature[::-1], MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    piv.pad_data = lambda info, width: bytes(width - 1)
    assert refusal(CardSignData, piv, info) == INVALID


# --- decryption ------------------------------------------------------------------------------------------------------

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
SECRET = b"the secret"


def decrypt_info(cipher, **options):
    fields = {
        "container_index": RSA_INDEX,
        "key_spec": AT_KEYEXCHANGE,
        "data": cipher,
        "padding_type": CARD_PADDING_PKCS1,
    }
    return CardRsaDecryptInfo(**fields | options)


@pytest.mark.parametrize("data", ["piv", "gids"])
@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        (padding.PKCS1v15(), {"padding_type": CARD_PADDING_PKCS1}),
        (OAEP, {"padding_type": CARD_PADDING_OAEP, "padding_info": OaepPaddingInfo("SHA256", b"label")}),
    ],
)
def test_a_message_comes_back_little_endian(data, scheme, options, request):
    cipher = RSA.public_key().encrypt(SECRET, scheme)
    assert CardRSADecrypt(request.getfixturevalue(data), decrypt_info(cipher[::-1], **options)) == SECRET[::-1]


@pytest.mark.parametrize("version", [6, 7])
def test_raw_decryption_leaves_the_padding_in(card, version):
    data = acquired(card, version)
    CardAuthenticatePin(data, "user", b"123456")
    cipher = RSA.public_key().encrypt(SECRET, padding.PKCS1v15())[::-1]
    block = CardRSADecrypt(data, decrypt_info(cipher, padding_type=CARD_PADDING_NONE))
    assert block[::-1].startswith(b"\0\2")
    assert block[::-1].endswith(b"\0" + SECRET)
    if version == 6:
        assert CardRSADecrypt(data, decrypt_info(cipher, version=1)) == block
    else:
        assert refusal(CardRSADecrypt, data, decrypt_info(cipher, version=1)) == MISMATCH


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"version": 0}, MISMATCH),
        ({"version": 3}, MISMATCH),
        ({"key_spec": AT_SIGNATURE}, INVALID),
        ({"key_spec": AT_ECDHE_P256}, INVALID),
        ({"data": b""}, INVALID),
        ({"padding_type": 0}, INVALID),
        ({"padding_type": CARD_PADDING_PSS}, INVALID),
        ({"padding_type": CARD_PADDING_OAEP}, INVALID),
        ({"padding_type": CARD_PADDING_OAEP, "padding_info": OaepPaddingInfo("MD2")}, UNSUPPORTED),
    ],
)
def test_a_decryption_that_cannot_be_is_refused_before_the_card_is_asked(piv, card, options, code):
    with untouched(card):
        assert refusal(CardRSADecrypt, piv, decrypt_info(bytes(256), **options)) == code


def test_lengths_and_paddings_that_do_not_fit(piv, card):
    assert refusal(CardRSADecrypt, piv, decrypt_info(bytes(255))) == "SCARD_E_INSUFFICIENT_BUFFER"
    assert refusal(CardRSADecrypt, piv, decrypt_info(bytes(257))) == INVALID
    wrong = RSA.public_key().encrypt(SECRET, OAEP)[::-1]
    assert refusal(CardRSADecrypt, piv, decrypt_info(wrong)) == "SCARD_F_INTERNAL_ERROR"
    assert refusal(CardRSADecrypt, piv, decrypt_info(bytes(256), container_index=EC_INDEX)) == NO_KEY
    assert refusal(CardRSADecrypt, piv, decrypt_info(bytes(256), container_index=9)) == NO_KEY
    assert refusal(CardRSADecrypt, acquired(card), decrypt_info(wrong)) in ("", "SCARD_F_INTERNAL_ERROR")


def test_decryption_takes_the_pin(card):
    assert refusal(CardRSADecrypt, acquired(card), decrypt_info(bytes(255) + b"\0")) == FORBIDDEN


def test_the_caller_s_unpadding_is_used_in_version_7_alone(card):
    cipher = RSA.public_key().encrypt(SECRET, padding.PKCS1v15())[::-1]
    for version, expected in ((7, b"unpadded"), (6, SECRET[::-1])):
        data = acquired(card, version)
        CardAuthenticatePin(data, "user", b"123456")
        data.unpad_data = lambda info: b"unpadded" if info.data[::-1].startswith(b"\0\2") else b""
        assert CardRSADecrypt(data, decrypt_info(cipher)) == expected


# --- containers ------------------------------------------------------------------------------------------------------


def test_public_keys_come_as_blobs_of_their_slot(piv):
    info = CardGetContainerInfo(piv, RSA_INDEX)
    assert info.sig_public_key == b""
    assert blobs.parse_capi_public(info.key_ex_public_key) == (RSA.public_key(), CALG_RSA_KEYX)
    info = CardGetContainerInfo(piv, EC_SIGNATURE_INDEX)
    assert blobs.parse_ecc_public(info.sig_public_key) == (EC.public_key(), "ECDSA")
    assert blobs.parse_ecc_public(CardGetContainerInfo(piv, EC_INDEX).key_ex_public_key) == (EC.public_key(), "ECDH")
    assert CardGetContainerProperty(piv, EC_INDEX, "Container Info") == CardGetContainerInfo(piv, EC_INDEX)
    assert CardGetContainerProperty(piv, 0, "Associated ECDH Key") == EC_INDEX
    for call in (CardGetContainerInfo, lambda d, i: CardGetContainerProperty(d, i, "PIN Identifier")):
        assert [refusal(call, piv, index) for index in (3, 255, 256, -1)] == [NO_KEY, NO_KEY, INVALID, INVALID]


def test_the_pin_of_a_piv_container_can_be_set_to_what_it_is(piv, card):
    CardSetContainerProperty(piv, EC_SIGNATURE_INDEX, "PIN Identifier", 4)
    assert refusal(CardSetContainerProperty, piv, EC_SIGNATURE_INDEX, "PIN Identifier", 1) == UNSUPPORTED
    with untouched(card):
        assert refusal(CardSetContainerProperty, piv, 0, "PIN Identifier", 8) == INVALID
        assert refusal(CardSetContainerProperty, piv, 0, "PIN Identifier", b"\1") == INVALID
        assert refusal(CardSetContainerProperty, piv, 0, "PIN Identifier", 1, 1) == INVALID
        assert refusal(CardSetContainerProperty, piv, 0, "Container Info", b"") == UNSUPPORTED
        assert refusal(CardSetContainerProperty, piv, 0, "Nothing", b"") == UNSUPPORTED


@pytest.mark.parametrize(
    ("index", "key_spec", "size"), [(0, AT_KEYEXCHANGE, 1024), (1, AT_ECDSA_P384, 0), (2, AT_ECDHE_P256, 0), (7, 6, 0)]
)
def test_a_key_is_generated_and_deleted(index, key_spec, size):
    with local_system():
        data = as_admin(acquired(virtual_piv(keys={}, seed=1)))
        free = CardQueryFreeSpace(data).key_containers_available
        CardCreateContainerEx(data, index, GEN, key_spec, size, None, 1)
        assert refusal(CardGetContainerInfo, data, index) == ""
        assert CardQueryFreeSpace(data).key_containers_available == free - 1
        CardDeleteContainer(data, index)
        assert CardQueryFreeSpace(data).key_containers_available == free
        assert refusal(CardGetContainerInfo, data, index) == NO_KEY
        assert refusal(CardDeleteContainer, data, index) == NO_KEY


def blob_for(key_spec):
    if key_spec in (AT_KEYEXCHANGE, AT_SIGNATURE):
        return blobs.build_capi_private(RSA, CALG_RSA_KEYX if key_spec == AT_KEYEXCHANGE else CALG_RSA_SIGN)
    return blobs.build_ecc_private(EC, "ECDSA" if key_spec == AT_ECDSA_P256 else "ECDH")


@pytest.mark.parametrize(
    ("index", "key_spec", "size"),
    [(0, AT_KEYEXCHANGE, 2048), (1, AT_SIGNATURE, 2048), (0, AT_ECDSA_P256, 256), (2, AT_ECDHE_P256, 0)],
)
def test_a_key_is_imported_from_its_blob(index, key_spec, size):
    with local_system():
        data = as_admin(acquired(virtual_piv(keys={}, seed=1)))
        CardCreateContainer(data, index, IMPORT, key_spec, size, blob_for(key_spec))
        info = CardGetContainerInfo(data, index)
        expected = RSA if key_spec <= AT_SIGNATURE else EC
        blob = info.sig_public_key or info.key_ex_public_key
        parsed = blobs.parse_capi_public(blob)[0] if key_spec <= AT_SIGNATURE else blobs.parse_ecc_public(blob)[0]
        assert parsed == expected.public_key()


@pytest.mark.parametrize(
    ("index", "flags", "key_spec", "size", "blob", "pin_id", "code"),
    [
        (0, GEN | IMPORT, 3, 0, None, 1, INVALID),
        (0, 0, 3, 0, None, 1, INVALID),
        (0, GEN, 0, 0, None, 1, INVALID),
        (0, GEN, 9, 0, None, 1, INVALID),
        (256, GEN, 3, 0, None, 1, INVALID),
        (0, GEN, 3, 256, None, 1, INVALID),
        (0, GEN, 3, 0, b"blob", 1, INVALID),
        (0, GEN, 1, 1000, None, 1, INVALID),
        (0, GEN, 1, 8192, None, 1, INVALID),
        (0, GEN, 1, 0, None, 1, INVALID),
        (0, GEN, 5, 0, None, 1, UNSUPPORTED),
        (0, IMPORT, 3, 256, None, 1, INVALID),
        (0, IMPORT, 3, 256, b"blob", 1, INVALID),
        (0, IMPORT, 3, 384, blob_for(AT_ECDSA_P256), 1, INVALID),
        (0, IMPORT, 3, 256, blob_for(AT_ECDHE_P256), 1, INVALID),
        (0, IMPORT, 4, 384, blob_for(AT_ECDSA_P256), 1, INVALID),
        (0, IMPORT, 1, 1024, blob_for(AT_KEYEXCHANGE), 1, INVALID),
        (0, IMPORT, 1, 2048, blob_for(AT_SIGNATURE), 1, INVALID),
        (0, IMPORT, 3, 256, blob_for(AT_KEYEXCHANGE), 1, INVALID),
        (0, IMPORT, 1, 2048, blobs.build_capi_public(RSA.public_key(), CALG_RSA_KEYX), 1, INVALID),
        (0, GEN, 3, 0, None, 0, INVALID),
        (0, GEN, 3, 0, None, 2, INVALID),
        (0, GEN, 3, 0, None, 3, INVALID),
        (0, GEN, 3, 0, None, 5, INVALID),
        (0, GEN, 3, 0, None, 8, INVALID),
        (24, GEN, 3, 0, None, 1, "SCARD_E_WRITE_TOO_MANY"),
        (0, GEN, 2, 2048, None, 1, INVALID),
        (1, GEN, 6, 0, None, 1, INVALID),
    ],
)
def test_a_container_that_cannot_be_made_is_refused_before_the_card_is_asked(  # noqa: PLR0917
    piv, card, index, flags, key_spec, size, blob, pin_id, code
):
    with untouched(card):
        assert refusal(CardCreateContainerEx, piv, index, flags, key_spec, size, blob, pin_id) == code
        if pin_id == 1:
            assert refusal(CardCreateContainer, piv, index, flags, key_spec, size, blob) == code


def test_changing_keys_takes_the_management_key(piv):
    assert refusal(CardCreateContainer, piv, 0, GEN, 3, 0) == FORBIDDEN
    assert refusal(CardCreateContainer, piv, 0, IMPORT, 3, 256, blob_for(3)) == FORBIDDEN
    assert refusal(CardDeleteContainer, piv, 0) == FORBIDDEN
    assert refusal(CardDeleteContainer, piv, 0, 1) == INVALID
    assert refusal(CardDeleteContainer, piv, 9) == NO_KEY
    assert refusal(CardDeleteContainer, piv, 200) == NO_KEY

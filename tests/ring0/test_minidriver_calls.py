"""What minidriver calls decide without a card: arguments, versions, paddings, key blobs, key derivation, agreements."""

import csv
import hashlib
import hmac
import inspect
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from hypothesis import given
from hypothesis import strategies as st

from calais.minidriver import properties
from calais.minidriver.agreements import MAX_AGREEMENTS, Agreements
from calais.minidriver.api import Minidriver
from calais.minidriver.calls import signing
from calais.minidriver.calls.context import agreed_version
from calais.minidriver.checks import CHECKS, VERSIONS, check
from calais.minidriver.derivation import derive
from calais.minidriver.padding import Oaep, Pkcs1, Pss, Raw
from calais.minidriver.surface import ENTRY_POINTS, SURFACE, WITHOUT_CARD, Duty
from calais.win import blobs
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError
from calais.winapi import cardmod
from calais.winapi.cardmod import *  # noqa: F403
from calais.winapi.cardmod import BCryptBuffer, CardRsaDecryptInfo, CardSigningInfo, OaepPaddingInfo

DIGEST = bytes(range(32))


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_has_the_45_faces_with_their_arguments():
    assert len(SURFACE) == 45
    for name, row in SURFACE.items():
        arguments = list(inspect.signature(getattr(cardmod, name)).parameters)
        assert arguments == ["pCardData", *(argument for argument, _ in row.arguments)], name


def test_every_kind_of_argument_has_a_judge_and_every_body_is_a_method():
    kinds = {kind for row in SURFACE.values() for _, kind in row.arguments}
    assert kinds <= set(CHECKS)
    assert set(VERSIONS) <= kinds
    assert all(callable(getattr(Minidriver, body)) for body in ENTRY_POINTS.values())


def test_the_page_of_the_surface_says_the_same_versions_and_duties():
    path = Path(cardmod.__file__).with_name("surface.csv")
    rows = [row for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()) if row["module"] == "cardmod"]
    written = {row["function"]: (row["since"], row["read-only duty"]) for row in rows}
    assert written == {name: (f"version {row.since}", row.duty) for name, row in SURFACE.items()}


def test_versions_add_functions_as_the_header_does():
    since = [row.since for row in SURFACE.values()]
    assert {version: since.count(version) for version in (4, 5, 6, 7)} == {4: 25, 5: 2, 6: 8, 7: 10}


def test_read_only_duties_are_those_of_the_specification():
    duties = [row.duty for row in SURFACE.values()]
    counts = {duty: duties.count(duty) for duty in Duty}
    assert counts == {Duty.YES: 16, Duty.NO: 8, Duty.NO_OPTIONAL: 16, Duty.YES_OPTIONAL: 5}


def test_what_works_without_a_card_is_named_in_the_table():
    assert set(SURFACE) > WITHOUT_CARD
    assert len(WITHOUT_CARD) == 10


@pytest.mark.parametrize(("wanted", "agreed"), [(4, 4), (5, 5), (6, 6), (7, 7), (8, 7), (99, 7)])
def test_a_version_is_lowered_and_never_raised(wanted, agreed):
    assert agreed_version(wanted) == agreed


@pytest.mark.parametrize("wanted", [3, 0, -1])
def test_a_version_before_4_is_a_mismatch(wanted):
    with pytest.raises(WinError) as error:
        agreed_version(wanted)
    assert error.value.code == Code.ERROR_REVISION_MISMATCH


@pytest.mark.parametrize("wanted", [None, "7", True])
def test_a_version_is_a_number(wanted):
    with pytest.raises(BadParameter):
        agreed_version(wanted)


# --- arguments -------------------------------------------------------------------------------------------------------

GOOD_AND_BAD = {
    "zero": ([0], [1, -1, None, False, "0"]),
    "text": (["x", ""], [None, b"x", 1]),
    "data": ([b"x", bytearray(b"x")], [b"", "123456", None, 5]),
    "optional_data": ([None, b"x"], [b"", "x"]),
    "size": ([0, 0xFFFFFFFF], [-1, 1 << 32, None, True]),
    "name": (["a", "CardId", "12345678"], ["", None, "123456789", "a\\b", "a/b", "a\0", "é", b"a"]),
    "directory": ([None, "", "mscp"], ["a/b", "123456789", b"mscp", 0]),
    "file_condition": ([1, 2, 3, 5, 6], [0, 4, 7, -1, None]),
    "directory_condition": ([1, 2], [0, 3, None]),
    "index": ([0, 255], [-1, 256, None, "0", True]),
    "key_spec": ([1, 8], [0, 9, -1, None]),
    "create_flags": ([1, 2], [0, 3, 4, None]),
    "user": (["user", "admin"], ["anonymous", "User", "", None, b"user"]),
    "pin_id": ([1, 7], [0, 8, -1, None, "1"]),
    "key_pin_id": ([1, 3, 7], [0, 2, 8]),
    "pin_set": ([1, 6, 0xFF], [0, 0x100, -1, None]),
    "method": ([1, 2], [0, 3, None]),
    "authenticate_flags": ([0, 0x40, 0x10000000, 0x20000040], [1, 0x30000000, -1, None, True]),
    "change_flags": ([1, 2, 0x41, 0x42], [0, 3, 0x40, 0x43, 4, None]),
    "blob_type": (["KeyDataBlob"], ["keydatablob", "", None]),
    "algorithm": (["3DES", "3DES_112", "AES"], ["DES", "", None]),
    "secure_function": (["Import Key Pair", "Change Authenticator", "Authenticate"], ["authenticate", None]),
    "key_property": (["ChainingMode", "IV", "BlockLength"], ["iv", None]),
    "block_flags": ([0, 1], [2, None]),
    "padding": ([0, 1, 2, 4, 8], [3, 16, None]),
    "encrypted": ([[b"x"], (b"x", b"y")], [[], b"x", [b""], ["x"], None]),
    "version": ([0, 1, 2], [-1, None, "1"]),
    "signing": (
        [CardSigningInfo(0, 1, b"x"), CardSigningInfo(255, 8, b"x", 0x60000000)],
        [
            None,
            CardSigningInfo(256, 1, b"x"),
            CardSigningInfo(0, 0, b"x"),
            CardSigningInfo(0, 9, b"x"),
            CardSigningInfo(0, 1, b""),
            CardSigningInfo(0, 1, "x"),
            CardSigningInfo(0, 1, b"x", 1),
            CardSigningInfo(0, 1, b"x", cardmod.CARD_RETURN_KEY_HANDLE),
            CardRsaDecryptInfo(0, 1, b"x"),
        ],
    ),
    "decryption": (
        [CardRsaDecryptInfo(0, 1, b"x")],
        [CardRsaDecryptInfo(0, 2, b"x"), CardRsaDecryptInfo(0, 1, b""), CardRsaDecryptInfo(-1, 1, b"x"), None],
    ),
    "agreement": (
        [cardmod.CardDhAgreementInfo(0, b"x")],
        [cardmod.CardDhAgreementInfo(0, b""), cardmod.CardDhAgreementInfo(0, b"x", 1), None],
    ),
    "derivation": (
        [cardmod.CardDeriveKeyInfo("HASH", 0), cardmod.CardDeriveKeyInfo("HASH", 0, (BCryptBuffer(0, "SHA1"),), 1)],
        [
            cardmod.CardDeriveKeyInfo("", 0),
            cardmod.CardDeriveKeyInfo("HASH", 256),
            cardmod.CardDeriveKeyInfo("HASH", 0, (), 2),
            cardmod.CardDeriveKeyInfo("HASH", 0, (7,)),
            cardmod.CardDeriveKeyInfo("HASH", 0, None),
            None,
        ],
    ),
}


def test_every_kind_is_tried():
    assert set(GOOD_AND_BAD) == set(CHECKS) - {"any"}


@pytest.mark.parametrize("kind", GOOD_AND_BAD)
def test_good_arguments_pass_and_bad_ones_do_not(kind):
    good, bad = GOOD_AND_BAD[kind]
    assert [value for value in good if not CHECKS[kind](value)] == []
    assert [value for value in bad if CHECKS[kind](value)] == []


def test_arguments_come_before_versions_and_a_refused_value_is_not_shown():
    arguments = (("dwVersion", "version"), ("pbPin", "data"))
    with pytest.raises(BadParameter) as error:
        check(arguments, (9, "geheim"), 7)
    assert "pbPin" in str(error.value)
    assert "geheim" not in str(error.value)
    with pytest.raises(WinError) as error:
        check(arguments, (9, b"1"), 7)
    assert error.value.code == Code.ERROR_REVISION_MISMATCH
    check(arguments, (0, b"1"), 7)


@pytest.mark.parametrize(
    ("kind", "record", "good", "context"),
    [
        ("signing", lambda v: CardSigningInfo(0, 1, b"x", version=v), {1, 2}, 7),
        ("decryption", lambda v: CardRsaDecryptInfo(0, 1, b"x", version=v), {2}, 7),
        ("decryption", lambda v: CardRsaDecryptInfo(0, 1, b"x", version=v), {1, 2}, 6),
        ("agreement", lambda v: cardmod.CardDhAgreementInfo(0, b"x", version=v), {2}, 7),
        ("agreement", lambda v: cardmod.CardDhAgreementInfo(0, b"x", version=v), {0, 1, 2}, 6),
        ("derivation", lambda v: cardmod.CardDeriveKeyInfo("HASH", 0, version=v), {1, 2}, 7),
        ("version", lambda v: v, {0, 1}, 7),
    ],
)
def test_each_record_has_its_versions(kind, record, good, context):
    assert {version for version in range(4) if VERSIONS[kind](record(version), context)} == good


# --- properties ------------------------------------------------------------------------------------------------------


def test_every_property_has_its_constant():
    tables = (properties.PROPERTIES, properties.CONTAINER_PROPERTIES, properties.KEY_PROPERTIES)
    for table in tables:
        assert {name: getattr(cardmod, row.constant) for name, row in table.items()} == {name: name for name in table}


def test_properties_of_version_7_do_not_exist_in_version_6():
    young = {name for name, row in properties.PROPERTIES.items() if row.since == 7}
    assert young == {"Key Import Support", "Algorithms", "Padding Schemes", "Chaining Modes"}
    for name in young:
        with pytest.raises(BadParameter):
            properties.check_read(name, 1, None, 6)


@pytest.mark.parametrize(("name", "flags", "good"), [("PIN Information", 1, {6}), ("Free Space", 0, {0, 1})])
def test_a_property_that_is_a_structure_has_versions(name, flags, good):
    for version in range(8):
        if version in good:
            properties.check_read(name, flags, version)
        else:
            with pytest.raises(WinError) as error:
                properties.check_read(name, flags, version)
            assert error.value.code == Code.ERROR_REVISION_MISMATCH
    properties.check_read(name, flags, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("BlockLength", 8), ("iv", bytes(8)), ("IV", bytes(7)), ("IV", "x"), ("ChainingMode", "ChainingModeECB")],
)
def test_a_wrong_key_property_is_refused(name, value):
    with pytest.raises(BadParameter):
        properties.check_write_of_key(name, value)


# --- paddings --------------------------------------------------------------------------------------------------------

PRESENT = cardmod.CARD_PADDING_INFO_PRESENT


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Pkcs1()),
        ({"hash_alg": cardmod.CALG_SHA_256}, Pkcs1("sha256")),
        ({"hash_alg": cardmod.CALG_SSL3_SHAMD5, "data": bytes(36)}, Pkcs1()),
        ({"hash_alg": cardmod.CALG_MD5, "data": bytes(16)}, Pkcs1("md5")),
        ({"hash_alg": cardmod.CALG_SHA1, "data": bytes(20)}, Pkcs1("sha1")),
        ({"hash_alg": cardmod.CALG_SHA_384, "data": bytes(48)}, Pkcs1("sha384")),
        ({"hash_alg": cardmod.CALG_SHA_512, "data": bytes(64)}, Pkcs1("sha512")),
        ({"signing_flags": PRESENT, "padding_type": 1}, Raw()),
        ({"signing_flags": PRESENT, "padding_type": 2, "padding_info": cardmod.Pkcs1PaddingInfo(None)}, Pkcs1()),
        ({"signing_flags": PRESENT, "padding_type": 2, "padding_info": cardmod.Pkcs1PaddingInfo("SHA256")}, Pkcs1("sha256")),
        ({"signing_flags": PRESENT, "padding_type": 4, "padding_info": cardmod.PssPaddingInfo("SHA256", 20)}, Pss("sha256", 20)),
        ({"signing_flags": PRESENT, "padding_type": 1, "hash_alg": 0x1234}, Raw()),
        ({"key_spec": 3, "hash_alg": 0x1234}, Raw()),
    ],
)  # fmt: skip
def test_a_signature_is_padded_as_its_record_says(options, expected):
    info = CardSigningInfo(**{"container_index": 0, "key_spec": 1, "data": DIGEST} | options)
    assert signing.signing_padding(info) == expected


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hash_alg": 0x1234}, Unsupported),
        ({"hash_alg": cardmod.CALG_SHA1}, BadParameter),
        ({"hash_alg": cardmod.CALG_SSL3_SHAMD5}, BadParameter),
        ({"signing_flags": PRESENT}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 8, "padding_info": OaepPaddingInfo("SHA1")}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 2}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 2, "padding_info": cardmod.PssPaddingInfo("SHA256", 1)}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 2, "padding_info": cardmod.Pkcs1PaddingInfo("SHA1")}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 2, "padding_info": cardmod.Pkcs1PaddingInfo("MD4")}, Unsupported),
        ({"signing_flags": PRESENT, "padding_type": 4}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 4, "padding_info": cardmod.PssPaddingInfo(None, 1)}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 4, "padding_info": cardmod.PssPaddingInfo("SHA256", -1)}, BadParameter),
        ({"signing_flags": PRESENT, "padding_type": 1, "version": 1}, BadParameter),
    ],
)  # fmt: skip
def test_a_padding_that_cannot_be_is_refused(options, error):
    info = CardSigningInfo(**{"container_index": 0, "key_spec": 1, "data": DIGEST} | options)
    with pytest.raises(error):
        signing.signing_padding(info)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"version": 1}, Raw()),
        ({"padding_type": 1}, Raw()),
        ({"padding_type": 2}, Pkcs1()),
        ({"padding_type": 8, "padding_info": OaepPaddingInfo("SHA256", b"l")}, Oaep("sha256", "sha256", b"l")),
    ],
)
def test_a_message_is_unpadded_as_its_record_says(options, expected):
    assert signing.decryption_padding(CardRsaDecryptInfo(0, 1, b"x", **options)) == expected


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, BadParameter),
        ({"padding_type": 4}, BadParameter),
        ({"padding_type": 8}, BadParameter),
        ({"padding_type": 8, "padding_info": OaepPaddingInfo("MD4")}, Unsupported),
        ({"padding_type": 8, "padding_info": OaepPaddingInfo(None)}, BadParameter),
    ],
)
def test_an_unpadding_that_cannot_be_is_refused(options, error):
    with pytest.raises(error):
        signing.decryption_padding(CardRsaDecryptInfo(0, 1, b"x", **options))


# --- key blobs -------------------------------------------------------------------------------------------------------

P256 = ec.derive_private_key(7, ec.SECP256R1())


@pytest.mark.parametrize(("key_spec", "scheme"), [(3, "ECDSA"), (6, "ECDH")])
def test_an_ec_blob_is_imported_for_its_key_spec_alone(key_spec, scheme):
    blob = blobs.build_ecc_private(P256, scheme)
    assert signing.imported_key(key_spec, blob).public_key() == P256.public_key()
    for other in {1, 2, 3, 4, 5, 6, 7, 8} - {key_spec}:
        with pytest.raises(BadParameter):
            signing.imported_key(other, blob)


def test_a_peer_must_be_an_ecdh_key_on_its_curve():
    blob = blobs.build_ecc_public(P256.public_key(), "ECDH")
    assert signing.peer_point(blob) == P256.public_key()
    for wrong in (blob[:-1], blob + b"\0", blobs.build_ecc_public(P256.public_key(), "ECDSA"), blob[:-1] + b"\0", b""):
        with pytest.raises(BadParameter):
            signing.peer_point(wrong)


def test_a_key_for_signatures_is_none_for_agreement():
    key = P256.public_key()
    assert [spec for spec in range(1, 9) if signing.is_of_spec(key, 1, spec)] == [3, 6]
    assert [spec for spec in range(1, 9) if signing.is_of_spec(key, 2, spec)] == [3]


def test_a_key_that_windows_does_not_know_is_of_no_key_spec():
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    assert not any(signing.is_of_spec(key, kind, spec) for kind in (1, 2) for spec in range(1, 9))
    with pytest.raises(Unsupported):
        signing.signature_size(key)


# --- key derivation --------------------------------------------------------------------------------------------------

Z = bytes(range(1, 33))


def text(kind, value):
    return BCryptBuffer(kind, value)


def test_hash_surrounds_the_secret():
    parameters = [text(0, "SHA256"), text(1, b"a"), text(2, b"z"), text(1, b"b")]
    assert derive("HASH", Z, parameters) == hashlib.sha256(b"ab" + Z + b"z").digest()
    assert derive("HASH", Z, []) == hashlib.sha1(Z).digest()
    wide = BCryptBuffer(0, "SHA384".encode("utf-16-le") + b"\0\0")
    assert derive("HASH", Z, [wide]) == hashlib.sha384(Z).digest()


def test_hmac_takes_a_key_or_the_secret():
    assert derive("HMAC", Z, [text(3, b"key"), text(1, b"a")]) == hmac.digest(b"key", b"a" + Z, "sha1")
    assert derive("HMAC", Z, [text(0, "SHA512")], secret_is_key=True) == hmac.digest(Z, Z, "sha512")


def test_tls_prf_of_version_1_0_is_the_published_one():
    # RFC 2246, 5, by its published test vector: secret 48 × ab, label "PRF Testvector", seed 64 × cd, first 48 bytes
    parameters = [text(4, "PRF Testvector"), text(5, b"\xcd" * 64)]
    expected = "d3d4d1e349b5d515044666d51de32bab258cb521b6b053463e354832fd976754443bcf9a296519bc289abcbc1187e4eb"
    assert derive("TLS_PRF", b"\xab" * 48, parameters).hex() == expected
    assert derive("TLS_PRF", b"\xab" * 48, [*parameters, text(7, (0x0302).to_bytes(4, "little"))]).hex() == expected


def test_tls_prf_of_version_1_2_uses_one_hash():
    parameters = [text(4, b"label"), text(5, bytes(64)), text(7, (0x0303).to_bytes(4, "little"))]
    first = hmac.digest(Z, b"label" + bytes(64), "sha256")
    assert derive("TLS_PRF", Z, parameters)[:32] == hmac.digest(Z, first + b"label" + bytes(64), "sha256")
    assert len(derive("TLS_PRF", Z, [*parameters, text(0, "SHA384")])) == 48


@given(algorithm=st.binary(max_size=20), u=st.binary(max_size=20), v=st.binary(max_size=20), more=st.binary(max_size=9))
def test_concatenation_is_that_of_sp800_56a(algorithm, u, v, more):
    parameters = [text(0, "SHA256"), text(8, algorithm), text(9, u), text(10, v), text(11, more)]
    other = ConcatKDFHash(hashes.SHA256(), 32, algorithm + u + v + more)
    assert derive("SP800_56A_CONCAT", Z, parameters) == other.derive(Z)


def test_truncate_gives_the_secret_little_endian():
    assert derive("TRUNCATE", Z, []) == Z[::-1]


@pytest.mark.parametrize(
    ("kdf", "parameters", "error"),
    [
        ("hash", [], Unsupported),
        ("HASH", [text(0, "MD4")], Unsupported),
        ("HASH", [text(0, "")], BadParameter),
        ("HASH", [text(0, b"x")], BadParameter),
        ("HASH", [text(0, "SHA1"), text(0, "SHA1")], BadParameter),
        ("HASH", [text(3, b"key")], BadParameter),
        ("HASH", [text(1, 5)], BadParameter),
        ("HASH", [text(1, "é")], BadParameter),
        ("HASH", [7], BadParameter),
        ("HMAC", [], BadParameter),
        ("TLS_PRF", [text(4, b"l")], BadParameter),
        ("TLS_PRF", [text(5, bytes(64))], BadParameter),
        ("TLS_PRF", [text(4, b"l"), text(5, bytes(63))], BadParameter),
        ("TLS_PRF", [text(4, b"l"), text(5, bytes(64)), text(7, bytes(4))], BadParameter),
        ("TLS_PRF", [text(4, b"l"), text(5, bytes(64)), text(7, b"\x03\x03")], BadParameter),
        ("SP800_56A_CONCAT", [text(8, b"a"), text(9, b"u")], BadParameter),
        ("TRUNCATE", [text(0, "SHA1")], BadParameter),
    ],
)
def test_a_parameter_that_is_missing_or_wrong_is_refused(kdf, parameters, error):
    with pytest.raises(error):
        derive(kdf, Z, parameters)


def test_the_secret_is_the_key_of_an_hmac_alone():
    with pytest.raises(BadParameter):
        derive("HASH", Z, [], secret_is_key=True)
    with pytest.raises(BadParameter):
        derive("HMAC", Z, [text(3, b"key")], secret_is_key=True)


# --- agreements ------------------------------------------------------------------------------------------------------


def test_agreements_have_256_places_and_the_lowest_free_one_is_given_out():
    table = Agreements()
    assert [table.add(bytes([n])) for n in range(MAX_AGREEMENTS)] == list(range(256))
    with pytest.raises(WinError) as error:
        table.add(b"x")
    assert error.value.code == Code.SCARD_E_NO_MEMORY
    table.destroy(17)
    assert table.add(b"again") == 17
    assert table.get(17) == b"again"


def test_a_destroyed_secret_is_wiped_and_gone():
    table = Agreements()
    index = table.add(b"secret")
    kept = table._secrets[index]
    table.destroy(index)
    assert kept == bytes(6)
    for use in (table.get, table.destroy):
        with pytest.raises(BadParameter):
            use(index)
    second = table._secrets[table.add(b"secret")]
    table.clear()
    assert second == bytes(6)
    assert len(table) == 0
    assert "secret" not in repr(table)


# --- sets ------------------------------------------------------------------------------------------------------------


def test_a_pin_set_is_one_bit_for_each_id():
    # The specification's example, role 3 = 0000 0100, is wrong: that is ROLE_ADMIN.
    assert cardmod.create_pin_set(3) == 0b0000_1000
    assert cardmod.set_pin(0b10, 3) == 0b1010
    assert cardmod.clear_pin(0b1010, 1) == 0b1000
    assert cardmod.is_pin_set(0b1010, 1)
    assert not cardmod.is_pin_set(0b1010, 2)
    with pytest.raises(BadParameter):
        cardmod.create_pin_set(8)

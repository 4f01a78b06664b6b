"""Signing, decrypting, agreeing, and changing keys and certificates through the driver."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from pivdesk import INDEX, PIN, Script, admin, certificate, der, new_desk, p256, rsa_key

from calais.cards.piv import edge, objects, spec
from calais.cards.piv.driver import PivMinidriver
from calais.iso7816 import tlv
from calais.minidriver.files import compress_certificate
from calais.minidriver.memo import CardMemo
from calais.minidriver.padding import Oaep, Pkcs1, Pss, Raw
from calais.transport.base import Channel
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated, NotFound, Unsupported, WinError

DIGEST = hashlib.sha256(b"message").digest()
SHA256 = Prehashed(hashes.SHA256())


@pytest.fixture(scope="module")
def keys():
    made = {0x9A: rsa_key(), 0x9C: p256(), 0x9D: rsa_key(2048, 1), 0x9E: ec.generate_private_key(ec.SECP384R1())}
    return {ref: (key, certificate(key)) for ref, key in made.items()}


@pytest.fixture(params=[True, False], ids=["short", "extended"])
def desk(keys, request):
    return new_desk(keys=keys, short=request.param)


@pytest.fixture
def verified(desk):
    with desk.driver() as driver:
        driver.authenticate(1, PIN)
        yield driver


def der_signature(raw):
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


# --- signing ---------------------------------------------------------------------------------------------------------


def test_an_rsa_signature_is_accepted_by_others(verified, keys):
    public = keys[0x9A][0].public_key()
    public.verify(verified.sign(0, 1, DIGEST, Pkcs1("sha256")), DIGEST, padding.PKCS1v15(), SHA256)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    public.verify(verified.sign(0, 1, DIGEST, Pss("sha256", 32)), DIGEST, pss, SHA256)
    block = b"\0\1" + b"\xff" * 202 + b"\0" + bytes.fromhex("3031300d060960864801650304020105000420") + DIGEST
    public.verify(verified.sign(0, 1, block, Raw()), DIGEST, padding.PKCS1v15(), SHA256)


def test_an_ecdsa_signature_is_accepted_by_others(desk, keys):
    with desk.driver() as driver:
        driver.authenticate(4, PIN)
        raw = driver.sign(1, 2, DIGEST, Raw())
        assert len(raw) == 64
        keys[0x9C][0].public_key().verify(der_signature(raw), DIGEST, ec.ECDSA(SHA256))


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_a_digest_of_any_length_is_cut_or_filled_for_the_curve(desk, keys, name):
    digest = hashlib.new(name, b"message").digest()
    with desk.driver() as driver:
        raw = driver.sign(3, 2, digest, Raw())
    assert len(raw) == 96
    algorithm = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}[name]()
    keys[0x9E][0].public_key().verify(der_signature(raw), digest, ec.ECDSA(Prehashed(algorithm)))


def test_without_the_pin_nothing_is_signed(desk):
    with desk.driver() as driver:
        driver.containers()
        for index, key_spec in ((0, 1), (1, 2)):
            with pytest.raises(NotAuthenticated) as failure:
                driver.sign(index, key_spec, DIGEST, Pkcs1("sha256"))
            assert failure.value.code == Code.SCARD_W_SECURITY_VIOLATION


def test_a_key_that_wants_the_pin_always_signs_once_for_each_pin(desk):
    with desk.driver() as driver:
        driver.authenticate(4, PIN)
        driver.sign(1, 3, DIGEST, Raw())
        with pytest.raises(NotAuthenticated):
            driver.sign(1, 3, DIGEST, Raw())
        driver.authenticate(4, PIN)
        driver.sign(1, 3, DIGEST, Raw())


def test_the_first_signature_with_an_always_key_works_on_a_card_never_read(desk):
    with desk.driver() as driver:
        driver.authenticate(4, PIN)
        assert driver.sign(1, 2, DIGEST, Raw())


@pytest.mark.parametrize(("index", "key_spec"), [(0, 0), (0, 9), (-1, 1), (256, 1)])
def test_impossible_arguments_are_refused_without_an_exchange(verified, desk, index, key_spec):
    desk.channel.counter.clear()
    with pytest.raises(BadParameter):
        verified.sign(index, key_spec, DIGEST, Raw())
    assert desk.exchanges == 0


@pytest.mark.parametrize(("index", "key_spec"), [(0, 2), (0, 3), (1, 1), (1, 6), (3, 3), (4, 1), (24, 1)])
def test_a_key_of_another_kind_is_not_found(verified, index, key_spec):
    with pytest.raises(NotFound) as failure:
        verified.sign(index, key_spec, DIGEST, Pkcs1("sha256"))
    assert failure.value.code == Code.SCARD_E_NO_KEY_CONTAINER


def test_data_that_does_not_go_with_the_key_is_refused(verified):
    for data, how in ((b"short", Pkcs1("sha256")), (b"", Raw()), (bytes(300), Pkcs1(None))):
        with pytest.raises(BadParameter):
            verified.sign(0, 1, data, how)
    with pytest.raises(BadParameter):
        verified.sign(3, 2, b"", Raw())


def test_a_key_that_was_deleted_elsewhere_is_not_found(desk):
    with desk.driver() as driver:
        driver.containers()
    with admin(desk.elsewhere()) as driver:
        driver.delete_container(3)
    with desk.driver() as driver, pytest.raises(WinError):
        driver.sign(3, 2, DIGEST, Raw())


def test_a_key_that_another_program_replaced_is_learnt_anew_after_one_refusal(desk):
    with desk.driver() as driver:
        driver.containers()
    with admin(desk.elsewhere()) as driver:
        public = driver.create_container(3, 3)
        driver.delete_certificate(3)
    with desk.driver() as driver:
        with pytest.raises(WinError):
            driver.sign(3, 2, DIGEST, Raw())
        public.verify(der_signature(driver.sign(3, 2, DIGEST, Raw())), DIGEST, ec.ECDSA(SHA256))


# --- decrypting and agreeing -----------------------------------------------------------------------------------------


def test_what_others_encrypted_is_decrypted(verified, keys):
    public = keys[0x9D][0].public_key()
    assert verified.decrypt(2, 1, public.encrypt(b"secret", padding.PKCS1v15()), Pkcs1()) == b"secret"
    for hashed in (hashes.SHA1(), hashes.SHA256()):
        oaep = padding.OAEP(padding.MGF1(hashed), hashed, None)
        assert verified.decrypt(2, 1, public.encrypt(b"secret", oaep), Oaep(hashed.name, hashed.name)) == b"secret"
    raw = verified.decrypt(2, 1, public.encrypt(b"secret", padding.PKCS1v15()), Raw())
    assert len(raw) == 256
    assert raw.endswith(b"\0secret")


def test_bad_padding_has_one_code_and_one_text(verified):
    failures = set()
    for data in (bytes(255) + b"\x01", bytes(255) + b"\x02"):
        for how in (Pkcs1(), Oaep("sha1", "sha1")):
            with pytest.raises(WinError) as failure:
                verified.decrypt(2, 1, data, how)
            failures.add((failure.value.code, failure.value.detail))
    assert failures == {(Code.SCARD_F_INTERNAL_ERROR, "the decrypted block is not padded as it should be")}


@pytest.mark.parametrize(
    ("size", "code"), [(255, Code.SCARD_E_INSUFFICIENT_BUFFER), (257, Code.SCARD_E_INVALID_PARAMETER)]
)
def test_ciphertext_of_another_length_is_refused(verified, size, code):
    with pytest.raises(WinError) as failure:
        verified.decrypt(2, 1, bytes(size), Raw())
    assert failure.value.code == code


def test_an_ec_key_does_not_decrypt_and_an_rsa_key_does_not_agree(verified):
    with pytest.raises(Unsupported):
        verified.decrypt(3, 2, bytes(96), Raw())
    with pytest.raises(Unsupported):
        verified.agree(2, bytes(65))


def point(key):
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_both_sides_agree_on_a_secret(curve):
    ours, theirs = ec.generate_private_key(curve), ec.generate_private_key(curve)
    desk = new_desk(keys={0x9D: (ours, certificate(ours))})
    with desk.driver() as driver:
        with pytest.raises(NotAuthenticated):
            driver.agree(2, point(theirs.public_key()))
        driver.authenticate(1, PIN)
        assert driver.agree(2, point(theirs.public_key())) == theirs.exchange(ec.ECDH(), ours.public_key())
        off_curve = bytearray(point(theirs.public_key()))
        off_curve[-1] ^= 1
        desk.channel.counter.clear()
        other = ec.generate_private_key(ec.SECP521R1()).public_key()
        for bad in (b"", bytes(off_curve), point(theirs.public_key())[1:], point(other), b"\x04" + bytes(64)):
            with pytest.raises(BadParameter):
                driver.agree(2, bad)
        assert desk.exchanges == 0
        assert driver.get_container_property(2, "Associated ECDH Key") == 2


# --- changing the card -----------------------------------------------------------------------------------------------


def test_generated_keys_sign(desk):
    with admin(desk) as driver:
        public = driver.create_container(INDEX[0x9E], 3)
        raw = driver.sign(INDEX[0x9E], 3, DIGEST, Raw())
        public.verify(der_signature(raw), DIGEST, ec.ECDSA(SHA256))
        assert driver.public_key(INDEX[0x9E]) == public


@pytest.mark.parametrize(
    ("index", "key_spec", "bits", "size"), [(0, 1, 1024, 1024), (1, 2, 384, 384), (2, 6, 0, 256), (0, 4, 0, 384)]
)
def test_key_spec_and_size_say_what_is_generated(index, key_spec, bits, size):
    with admin(new_desk()) as driver:
        assert driver.create_container(index, key_spec, bits).key_size == size
        (entry,) = driver.containers()
        assert (entry.index, entry.size_bits, entry.has_certificate) == (index, size, False)


def test_keys_that_windows_has_no_name_for_are_generated_and_used():
    with admin(new_desk()) as driver:
        signer = driver.generate_key(INDEX[0x9E], "ed25519")
        assert isinstance(signer, ed25519.Ed25519PublicKey)
        signer.verify(driver.sign(INDEX[0x9E], 2, b"message", Raw()), b"message")
        agreement = driver.generate_key(INDEX[0x9D], "X25519", pin_policy=spec.PinPolicy.NEVER)
        theirs = x25519.X25519PrivateKey.generate()
        assert driver.agree(INDEX[0x9D], theirs.public_key().public_bytes_raw()) == theirs.exchange(agreement)
        with pytest.raises(BadParameter):
            driver.agree(INDEX[0x9D], bytes(31))
        with pytest.raises(Unsupported):
            driver.sign(INDEX[0x9D], 1, b"message", Raw())
        with pytest.raises(Unsupported):
            driver.container_info(INDEX[0x9E])
        with pytest.raises(BadParameter):
            driver.generate_key(0, "P521")


@pytest.mark.parametrize(
    ("index", "key_spec", "bits", "pin_id"),
    [(0, 2, 2048, 1), (1, 1, 2048, 1), (1, 6, 0, 1), (0, 1, 512, 1), (0, 1, 2048, 0), (0, 1, 2048, 2), (0, 1, 2048, 7)],
)
def test_an_impossible_container_is_refused_without_an_exchange(index, key_spec, bits, pin_id):
    desk = new_desk()
    with admin(desk) as driver:
        desk.channel.counter.clear()
        with pytest.raises(BadParameter):
            driver.create_container(index, key_spec, bits, pin_id=pin_id)
    assert desk.exchanges == 0


def test_there_is_no_slot_for_a_high_index():
    with admin(new_desk()) as driver, pytest.raises(WinError) as failure:
        driver.create_container(24, 1, 2048)
    assert failure.value.code == Code.SCARD_E_WRITE_TOO_MANY


@pytest.mark.parametrize("make", [p256, lambda: ec.generate_private_key(ec.SECP384R1()), rsa_key])
def test_imported_keys_are_used(make):
    key = make()
    desk = new_desk()
    with admin(desk) as driver:
        assert driver.create_container(INDEX[0x9E], 2, key=key) == key.public_key()
        result = driver.sign(INDEX[0x9E], 2, DIGEST, Pkcs1("sha256"))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        key.public_key().verify(der_signature(result), DIGEST, ec.ECDSA(SHA256))
    else:
        key.public_key().verify(result, DIGEST, padding.PKCS1v15(), SHA256)


def test_an_imported_key_must_be_of_the_key_spec():
    with admin(new_desk()) as driver:
        with pytest.raises(BadParameter):
            driver.create_container(0, 4, key=p256())
        with pytest.raises(Unsupported):
            driver.create_container(0, 1, key=ec.generate_private_key(ec.SECP521R1()))


def test_without_the_management_key_nothing_changes(desk, keys):
    with desk.driver() as driver:
        for change in (
            lambda: driver.create_container(0, 3),
            lambda: driver.create_container(0, 3, key=p256()),
            lambda: driver.delete_container(0),
            lambda: driver.write_certificate(0, der(keys[0x9C][1])),
            lambda: driver.delete_certificate(0),
        ):
            with pytest.raises(NotAuthenticated):
                change()
        assert driver.certificate(0) == der(keys[0x9A][1])


def test_a_deleted_key_leaves_its_certificate(desk):
    with admin(desk) as driver:
        driver.delete_container(3)
        assert driver.certificate(3)
        assert driver.containers()[3].index == 3


def test_a_card_that_cannot_delete_keys_says_what_helps():
    with Channel(Script(lambda apdu: b"\x90\0" if apdu[1] == 0xA4 else b"\x6d\0")).begin() as tx:
        with pytest.raises(Unsupported) as failure:
            PivMinidriver(tx, CardMemo()).delete_container(0)
        assert failure.value.next_step


@pytest.mark.parametrize("size", [600, 1500, 3000])
@pytest.mark.parametrize("compress", [True, False, None])
def test_a_certificate_is_read_as_it_was_written(desk, size, compress):
    cert = der(certificate(p256(), size=size))
    with admin(desk) as driver:
        driver.write_certificate(2, cert, compress=compress)
        assert driver.certificate(2) == cert
    with desk.elsewhere().driver() as driver:
        assert driver.certificate(2) == driver.read_file("mscp", "kxc02") == cert


def stored(desk, tag):
    with desk.elsewhere().driver() as driver:
        content = objects.content_of(edge.get_data(driver.tx, tag), tag)
        return {item.tag: item.value for item in tlv.parse(content)}


def long_certificate():
    """Longer than a slot is sure to take, and easily compressed."""
    return der(certificate(p256(), name="x" * 60, size=3400))


def test_a_certificate_that_is_too_long_is_compressed(desk):
    cert = long_certificate()
    assert len(cert) > objects.CERTIFICATE_MAX_PLAIN
    with admin(desk) as driver:
        driver.write_certificate(0, cert)
        driver.write_certificate(1, cert, compress=False)
        driver.write_certificate(2, der(certificate(p256())), compress=True)
        assert driver.certificate(0) == driver.certificate(1) == cert
    assert stored(desk, spec.TAG_PIV_AUTH_CERT)[0x71] == b"\x01"
    assert stored(desk, spec.TAG_PIV_AUTH_CERT)[0x70][:2] == b"\x1f\x8b"
    assert stored(desk, spec.TAG_SIGNATURE_CERT)[0x71] == b"\x00"
    assert stored(desk, spec.TAG_KEY_MANAGEMENT_CERT)[0x71] == b"\x01"


def test_a_card_without_room_for_the_plain_certificate_gets_the_compressed_one():
    card = new_desk().card
    written = []

    def narrow(apdu):
        if apdu[1] == 0xDB and apdu[-1:] and b"\x71\x01\x00" in apdu:
            return b"\x6a\x84"
        if apdu[1] == 0xDB:
            written.append(apdu)
            return b"\x90\0"
        return card.process(apdu)

    cert = der(certificate(p256()))
    with Channel(Script(narrow, atr=card.atr)).begin() as tx:
        driver = PivMinidriver(tx, CardMemo())
        driver.write_certificate(0, cert)
        assert driver.certificate(0) == cert
        assert len(written) == 1
        with pytest.raises(WinError) as failure:
            driver.write_certificate(0, cert, compress=False)
        assert failure.value.code == Code.SCARD_E_WRITE_TOO_MANY


@pytest.mark.parametrize("data", [b"", b"no certificate", b"\x30\x03abc"])
def test_only_certificates_are_written(desk, data):
    with admin(desk) as driver:
        desk.channel.counter.clear()
        with pytest.raises(BadParameter):
            driver.write_certificate(0, data)
    assert desk.exchanges == 0


def test_a_certificate_in_a_retired_slot_is_named_in_the_key_history(desk):
    cert = der(certificate(p256()))
    with admin(desk) as driver:
        driver.write_certificate(INDEX[0x83], cert)
        driver.write_certificate(INDEX[0x82], cert)
    with desk.elsewhere().driver() as driver:
        assert driver.view.key_history() == objects.KeyHistory(2)
        assert [entry.reference for entry in driver.containers()][-2:] == ["82", "83"]


def test_certificate_files_are_written_and_deleted(desk):
    cert = der(certificate(p256()))
    with admin(desk) as driver:
        driver.write_file("mscp", "kxc00", compress_certificate(cert))
        assert driver.certificate(0) == cert
        driver.write_file("MSCP", "KSC01", cert)
        assert driver.certificate(1) == cert
        driver.delete_file("mscp", "kxc00")
        assert driver.certificate(0) is None
        with pytest.raises(NotFound):
            driver.delete_file("mscp", "kxc00")


@pytest.mark.parametrize(
    ("directory", "name", "data", "error"),
    [
        ("mscp", "kxc00", b"", BadParameter),
        ("mscp", "kxc00", b"no certificate", BadParameter),
        ("mscp", "ksc00", b"0", NotFound),
        ("mscp", "cmapfile", b"0", Unsupported),
        (None, "cardcf", b"0", Unsupported),
        (None, "kxc00", b"0", NotFound),
        ("other", "kxc00", b"0", NotFound),
    ],
)
def test_other_files_are_not_written(desk, directory, name, data, error):
    with admin(desk) as driver, pytest.raises(error):
        driver.write_file(directory, name, data)


# --- answers that are wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [b"", bytes(255), bytes(257)])
def test_an_rsa_result_of_another_length_is_bad_data(keys, result):
    card = new_desk(keys=keys, short=False).card

    def wrong(apdu):
        return tlv.build(0x7C, tlv.build(0x82, result)) + b"\x90\0" if apdu[1] == 0x87 else card.process(apdu)

    with Channel(Script(wrong, atr=card.atr)).begin() as tx:
        driver = PivMinidriver(tx, CardMemo())
        with pytest.raises(BadData):
            driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        with pytest.raises(BadData):
            driver.decrypt(2, 1, bytes(256), Raw())


def test_a_refused_extended_length_is_repeated_in_short_pieces(keys):
    """A card whose ATR promises more than it keeps."""
    card = new_desk(keys=keys, short=True).card
    with Channel(Script(card.process), extended=True).begin() as tx:
        driver = PivMinidriver(tx, CardMemo())
        driver.authenticate(1, PIN)
        assert driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        assert tx.extended is False

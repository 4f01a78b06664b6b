"""From a certificate to its issuer: who it is, in which order, and what was checked."""

# ruff: noqa: F403, F405

import datetime as dt

import certs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from storefaces import code_of, memory

from calais.winapi.crypt32 import *

CA_KEY, OTHER_KEY, LEAF_KEY = (certs.ec_key(number) for number in (1, 2, 3))
CA = certs.make("CA", key=CA_KEY)
RENEWED = certs.make("CA", key=CA_KEY, serial=77)
IMPOSTOR = certs.make("CA", key=OTHER_KEY, serial=78)
LEAF = certs.make("Leaf", issuer="CA", key=LEAF_KEY, signer=CA_KEY)
OVER = certs.make("Leaf", issuer="CA", key=LEAF_KEY, signer=CA_KEY, days=1)
SIGNATURE, VALIDITY, REVOCATION = 1, 2, 4
NO_CRL, NO_ISSUER = 0x10000, 0x20000


def create(der):
    return CertCreateCertificateContext(1, der)


def issuers(store, subject, flags=0):
    found = []
    context, left = CertGetIssuerCertificateFromStore(store, subject, None, flags)
    while context is not None:
        found.append((context.encoded, left))
        context, left = CertGetIssuerCertificateFromStore(store, subject, context, flags)
    assert left == flags
    return found


def test_a_certificate_is_found_by_issuer_and_serial_number():
    store = memory(CA, LEAF)
    info = create(LEAF).info
    assert (
        CertGetSubjectCertificateFromStore(store, 1, CertInfo(serial=info.serial, issuer=info.issuer)).encoded == LEAF
    )
    assert CertGetSubjectCertificateFromStore(store, 1, CertInfo(serial=5, issuer=info.issuer)) is None
    for wrong in (None, b"", 5):
        assert code_of(CertGetSubjectCertificateFromStore, store, 1, wrong) == E_INVALIDARG


def test_issuers_come_newest_first_with_the_checks_that_did_not_pass():
    store, subject = memory(CA, IMPOSTOR, RENEWED, LEAF), create(LEAF)
    assert [der for der, _ in issuers(store, subject)] == [RENEWED, IMPOSTOR, CA]
    assert issuers(store, subject, SIGNATURE) == [(RENEWED, 0), (IMPOSTOR, SIGNATURE), (CA, 0)]


def test_a_self_signed_one_has_no_issuer_and_an_unknown_one_is_none():
    assert code_of(CertGetIssuerCertificateFromStore, memory(CA), create(CA)) == CRYPT_E_SELF_SIGNED
    assert CertGetIssuerCertificateFromStore(memory(LEAF), create(LEAF), None, 3) == (None, 3)


def test_the_previous_one_gives_a_reference_back():
    store, subject = memory(CA, RENEWED), create(LEAF)
    context, _ = CertGetIssuerCertificateFromStore(store, subject)
    CertGetIssuerCertificateFromStore(store, subject, context)
    assert code_of(CertFreeCertificateContext, context) == ERROR_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("subject", "issuer", "flags", "left"),
    [
        (LEAF, CA, 0, 0),
        (LEAF, CA, SIGNATURE | VALIDITY, 0),
        (LEAF, IMPOSTOR, SIGNATURE | VALIDITY, SIGNATURE),
        (OVER, CA, SIGNATURE | VALIDITY, VALIDITY),
        (LEAF, CA, REVOCATION, REVOCATION | NO_CRL),
        (LEAF, None, VALIDITY, 0),
        (LEAF, None, SIGNATURE, SIGNATURE | NO_ISSUER),
        (LEAF, None, REVOCATION, REVOCATION | NO_ISSUER),
        (CA, CA, SIGNATURE, 0),
    ],
    ids=["none", "fine", "impostor", "over", "revocation", "alone", "no-issuer", "no-issuer-crl", "own"],
)
def test_what_passed_is_cleared(subject, issuer, flags, left):
    assert CertVerifySubjectCertificateContext(create(subject), issuer and create(issuer), flags) == left


@pytest.mark.parametrize("flags", [8, NO_CRL, NO_ISSUER, SIGNATURE | NO_CRL, 0x80000000])
def test_a_flag_that_is_no_check_is_refused(flags):
    assert code_of(CertVerifySubjectCertificateContext, create(LEAF), create(CA), flags) == E_INVALIDARG
    assert code_of(CertGetIssuerCertificateFromStore, memory(CA), create(LEAF), None, flags) == E_INVALIDARG


def test_rsa_signatures_are_checked_and_changed_ones_do_not_pass():
    key = certs.rsa_key()
    root, leaf = certs.make("CA", key=key), certs.make("Leaf", issuer="CA", key=LEAF_KEY, signer=key)
    assert CertVerifySubjectCertificateContext(create(leaf), create(root), SIGNATURE) == 0
    changed = leaf[:-1] + bytes((leaf[-1] ^ 1,))
    assert CertVerifySubjectCertificateContext(create(changed), create(root), SIGNATURE) == SIGNATURE


def test_pss_and_edwards_signatures_are_checked():
    rsa, edwards = certs.rsa_key(), ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    for key, digest, how in ((rsa, hashes.SHA256(), {"rsa_padding": pss}), (edwards, None, {})):
        builder = (
            x509.CertificateBuilder(certs.name("CA"), certs.name("CA"), key.public_key(), 7)
            .not_valid_before(certs.BEGIN)
            .not_valid_after(certs.BEGIN + dt.timedelta(days=9))
        )
        root = create(builder.sign(key, digest, **how).public_bytes(Encoding.DER))
        assert CertVerifySubjectCertificateContext(root, root, SIGNATURE) == 0
        assert CertVerifySubjectCertificateContext(root, create(CA), SIGNATURE) == SIGNATURE


def test_what_nobody_can_check_did_not_pass():
    odd = certs.raw_certificate(certs.raw_tbs())
    for subject in (
        odd,
        certs.raw_tbs(),
        certs.make("Future", issuer="CA", begin=dt.datetime(2099, 1, 1, tzinfo=dt.UTC)),
    ):
        both = SIGNATURE | VALIDITY
        assert CertVerifySubjectCertificateContext(create(subject), create(odd), both) == both

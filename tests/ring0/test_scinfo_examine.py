from __future__ import annotations

import contextlib
import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import core
from asn1crypto.algos import DigestAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from calais.apps.cms import parse_signed, verify
from calais.apps.scinfo.examine import (
    CardFacts,
    Chain,
    Check,
    ContainerFacts,
    KeyTrial,
    Severity,
    chain_of,
    examine,
    examine_objects,
)
from calais.apps.scinfo.objects import OID_FASC_N, _DataGroupHash, _LdsSecurityObject
from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.win.codes import Code
from calais.win.errors import BadData, WinError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CARD_UUID = uuid.UUID("4f12712f-8916-4792-a797-5e1b30ef671d")
FASC_N = bytes.fromhex("D13810D828AB6C10C339E5A1685A08C92ADE0A6184E739C3E7")
SIGNER_KEY = ec.generate_private_key(ec.SECP256R1())
CARD_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(subject="Signer", key=SIGNER_KEY, issuer=None, issuer_key=SIGNER_KEY, names=(), days=(-10, 365)):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


SIGNER = certificate()


def cms(content, *, options=(pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary)):
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(SIGNER, SIGNER_KEY, hashes.SHA256())
    return builder.sign(Encoding.DER, list(options))


def chuid(*, guid=CARD_UUID.bytes, expires=b"20321202", signature=None):
    fields = [tlv.build(0x30, FASC_N), tlv.build(0x34, guid), tlv.build(0x35, expires)]
    end = tlv.build(0xFE)
    signed = b"".join(fields) + end
    return b"".join(fields) + tlv.build(0x3E, cms(signed) if signature is None else signature) + end


DISCOVERY = tlv.build(0x4F, spec.AID) + tlv.build(0x5F2F, b"\x40\x00")
PRINTED = tlv.build(0x01, b"Name")


def security_object(objects):
    rows = [(number, spec.OBJECTS[tag].container, content) for number, (tag, content) in enumerate(objects.items(), 1)]
    listed = _LdsSecurityObject(
        {
            "version": 0,
            "algorithm": DigestAlgorithm({"algorithm": "sha256"}),
            "hashes": [
                _DataGroupHash({"number": n, "hash": core.OctetString(hashlib.sha256(content).digest())})
                for n, _, content in rows
            ],
        }
    ).dump()
    containers = b"".join(bytes((n,)) + container.to_bytes(2, "big") for n, container, _ in rows)
    return tlv.build(0xBA, containers) + tlv.build(0xBB, cms(listed, options=(pkcs7.PKCS7Options.Binary,))) + b"\xfe\0"


def golden():
    objects = {spec.TAG_CHUID: chuid(), spec.TAG_DISCOVERY: DISCOVERY, spec.TAG_PRINTED_INFORMATION: PRINTED}
    return objects | {spec.TAG_SECURITY_OBJECT: security_object(objects)}


def names_of(objects):
    return {finding.name for finding in examine_objects(objects, NOW)}


def test_nothing_is_wrong_with_a_golden_card():
    assert names_of(golden()) == set()


def test_what_was_not_read_is_not_judged():
    assert names_of({}) == set()


@pytest.mark.parametrize(
    ("tag", "content", "name"),
    [
        (spec.TAG_CHUID, None, "chuid_missing"),
        (spec.TAG_CHUID, b"\x30\x50", "chuid_unreadable"),
        (spec.TAG_CHUID, chuid(expires=b"20xx0101"), "chuid_unreadable"),
        (spec.TAG_CHUID, chuid(expires=b"20260531"), "chuid_expired"),
        (spec.TAG_CHUID, chuid(guid=bytes(16)), "guid_missing"),
        (spec.TAG_CHUID, chuid(signature=b""), "chuid_unsigned"),
        (spec.TAG_CHUID, chuid(signature=b"\x30\x00"), "chuid_unchecked"),
        (spec.TAG_CHUID, chuid(signature=cms(b"other")), "chuid_tampered"),
        (spec.TAG_DISCOVERY, None, "discovery_missing"),
        (spec.TAG_DISCOVERY, b"", "discovery_missing"),
        (spec.TAG_DISCOVERY, b"\x4f", "discovery_unreadable"),
        (spec.TAG_DISCOVERY, DISCOVERY[:13], "discovery_unreadable"),
        (spec.TAG_SECURITY_OBJECT, None, "security_object_missing"),
        (spec.TAG_SECURITY_OBJECT, b"\xba\x00", "security_object_unreadable"),
        (spec.TAG_SECURITY_OBJECT, tlv.build(0xBA) + tlv.build(0xBB, cms(b"x")), "security_object_unreadable"),
        (spec.TAG_PRINTED_INFORMATION, PRINTED + b"\xfe\0", "object_tampered"),
    ],
)
def test_one_thing_wrong_with_an_object_is_named(tag, content, name):
    assert name in names_of(golden() | {tag: content})


def test_the_day_of_expiry_still_counts():
    assert "chuid_expired" not in names_of(golden() | {spec.TAG_CHUID: chuid(expires=b"20260601")})


def test_a_changed_signature_of_the_security_object_is_named():
    objects = golden()
    items = list(tlv.parse(objects[spec.TAG_SECURITY_OBJECT]))
    spoilt = bytearray(items[1].value)
    spoilt[-1] ^= 1
    objects[spec.TAG_SECURITY_OBJECT] = items[0].encode() + tlv.build(0xBB, bytes(spoilt)) + b"\xfe\0"
    assert names_of(objects) == {"security_object_tampered"}


def test_a_signature_without_signed_attributes_is_checked_too():
    plain = cms(b"data", options=(pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.NoAttributes))
    verify(parse_signed(plain), b"data", SIGNER.public_bytes(Encoding.DER))
    with pytest.raises(WinError) as caught:
        verify(parse_signed(plain), b"date", SIGNER.public_bytes(Encoding.DER))
    assert caught.value.code == Code.NTE_BAD_SIGNATURE


@given(st.binary(max_size=200))
def test_any_bytes_as_objects_give_findings_and_never_a_crash(junk):
    for tag in (spec.TAG_CHUID, spec.TAG_DISCOVERY, spec.TAG_SECURITY_OBJECT):
        names_of(golden() | {tag: junk})


MESSAGE = cms(b"data")


@given(st.integers(0, len(MESSAGE) - 20), st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_a_signature_is_survived(at, bit):
    message = bytearray(MESSAGE)
    message[at] ^= 1 << bit
    with contextlib.suppress(WinError):
        verify(parse_signed(bytes(message)), b"data", SIGNER.public_bytes(Encoding.DER))


def test_what_is_no_signature_is_bad_data():
    with pytest.raises(BadData):
        parse_signed(b"\x30\x80")


UNTRIED = KeyTrial()


def container(certificate_, trial=UNTRIED, *, binds=False):
    der = certificate_ if isinstance(certificate_, bytes | None) else certificate_.public_bytes(Encoding.DER)
    return ContainerFacts("9A", der, trial, binds_card=binds)


def findings_of(facts, issuers=()):
    return {finding.name for finding in examine(CardFacts([facts], golden(), issuers), NOW)}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (container(None), "certificate_missing"),
        (container(b"\x30\x03\x02\x01\x01"), "certificate_unreadable"),
        (container(certificate(days=(-20, -10))), "certificate_expired"),
        (container(certificate(days=(10, 20))), "certificate_not_yet_valid"),
        (container(SIGNER, KeyTrial(sign=Check.OK, match=Check.WRONG)), "key_mismatch"),
        (container(SIGNER, KeyTrial(sign=Check.FAILED, reason="6A80")), "key_unusable"),
        (container(SIGNER, KeyTrial(decrypt=Check.FAILED)), "key_unusable"),
    ],
)
def test_one_thing_wrong_with_a_container_is_named(facts, name):
    assert findings_of(facts) == {name}


def test_a_good_container_has_no_findings():
    assert findings_of(container(SIGNER, KeyTrial(Check.OK, Check.OK, Check.OK))) == set()


def test_a_certificate_of_another_card_is_named():
    other = x509.UniformResourceIdentifier(f"urn:uuid:{uuid.uuid4()}")
    assert findings_of(container(certificate(names=[other]), binds=True)) == {"uuid_mismatch"}
    assert findings_of(container(certificate(names=[other]), binds=False)) == set()
    number = x509.OtherName(OID_FASC_N, tlv.build(0x04, bytes(25)))
    assert findings_of(container(certificate(names=[number]), binds=True)) == {"fasc_n_mismatch"}


def test_a_certificate_of_this_card_is_accepted():
    mine = [
        x509.UniformResourceIdentifier(f"urn:uuid:{CARD_UUID}"),
        x509.OtherName(OID_FASC_N, tlv.build(0x04, FASC_N)),
    ]
    assert findings_of(container(certificate(names=mine), binds=True)) == set()


def test_the_worst_is_said_first():
    facts = CardFacts([container(None), container(certificate(days=(-20, -10)))], {spec.TAG_DISCOVERY: None})
    assert [finding.severity for finding in examine(facts, NOW)] == [Severity.FAULT, Severity.WARNING, Severity.NOTE]


def test_a_certificate_is_checked_with_its_issuers():
    leaf = certificate("Leaf", CARD_KEY, SIGNER)
    forged = certificate("Leaf", CARD_KEY, SIGNER, CARD_KEY)
    issuers = [b"junk", SIGNER.public_bytes(Encoding.DER)]
    assert chain_of(leaf, issuers) is Chain.VERIFIED
    assert chain_of(leaf, []) is Chain.UNKNOWN
    assert chain_of(SIGNER, []) is Chain.SELF_SIGNED
    assert chain_of(forged, issuers) is Chain.TAMPERED
    assert findings_of(container(forged), issuers) == {"certificate_tampered"}

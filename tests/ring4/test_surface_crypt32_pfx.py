"""Certificates and keys that come and go as PFX: what a caller of crypt32 meets."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.winapi import crypt32

pytestmark = pytest.mark.ring4

DER = serialization.Encoding.DER
BADTAG = 0x8009310B
CARD_KSP = "Microsoft Smart Card Key Storage Provider"


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def certificate(key: Any = None) -> x509.Certificate:
    key = key or ec_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holder")])
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(300).not_valid_before(start).not_valid_after(start + dt.timedelta(days=9000))
    return builder.sign(key, hashes.SHA256())


@contextmanager
def fails(*codes: int) -> Iterator[Any]:
    with pytest.raises(WinError) as caught:
        yield caught
    assert hex(caught.value.code) in [hex(code) for code in codes]


def pfx_of(key: Any, password: bytes = b"pw") -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"n", key, certificate(key), None, serialization.BestAvailableEncryption(password)
    )


def brought(flags: int, key: Any, password: str = "pw") -> Any:
    store = crypt32.PFXImportCertStore(pPFX=pfx_of(key), szPassword=password, dwFlags=flags)
    return next(iter(store)), store


def listed_properties(made: Any) -> set[int]:
    found, last = set(), 0
    while last := crypt32.CertEnumCertificateContextProperties(made, last):
        found.add(last)
    return found


def test_a_pfx_gives_certificates_and_keys_in_memory() -> None:
    with local_system():
        plain, _ = brought(0x400, rsa_key())
        assert not {2, 5, 78} & listed_properties(plain)
        csp, held = brought(0x8000, rsa_key())
        slot = crypt32.CertGetCertificateContextProperty(csp, 5)
        assert (slot.key_spec, 2 in listed_properties(csp)) == (1, False)
        for flags, key in ((0x8100, rsa_key()), (0x8200, rsa_key()), (0x8000, ec_key())):
            cng, kept = brought(flags, key)
            assert crypt32.CertGetCertificateContextProperty(cng, 78) is not None
            assert list(kept)
        got = crypt32.CryptAcquireCertificatePrivateKey(csp, 1)
        assert (got.handle, got.caller_free) == (slot.handle, False)
        assert list(held)


def test_a_pfx_is_known_and_its_password_tried() -> None:
    blob = pfx_of(ec_key())
    assert crypt32.PFXIsPFXBlob(pPFX=blob) is True
    assert crypt32.PFXIsPFXBlob(certificate().public_bytes(DER)) is False
    assert crypt32.PFXVerifyPassword(pPFX=blob, szPassword="pw", dwFlags=0) is True
    assert crypt32.PFXVerifyPassword(blob, "other") is False
    for value, password, code in ((None, "pw", 0x57), (blob, "other", 86), (blob[1:], "pw", BADTAG)):
        with fails(code):
            crypt32.PFXImportCertStore(value, password, 0x8000)


def test_a_pfx_goes_out_with_and_without_keys() -> None:
    with local_system():
        _, store = brought(0x8001, ec_key())
        whole = crypt32.PFXExportCertStoreEx(hStore=store, szPassword="new", pvPara=None, dwFlags=4)
        key, made, _ = pkcs12.load_key_and_certificates(whole, b"new")
        assert key is not None
        assert made == certificate(ec_key())
        alone = crypt32.PFXExportCertStoreEx(store, "new")
        assert pkcs12.load_key_and_certificates(alone, b"new")[0] is None
        empty = crypt32.CertOpenStore("Memory")
        assert crypt32.PFXIsPFXBlob(crypt32.PFXExportCertStoreEx(empty, "x"))
        crypt32.CertAddEncodedCertificateToStore(empty, 1, certificate().public_bytes(DER), 1)
        with fails(0x8009000D):
            crypt32.PFXExportCertStoreEx(empty, "x", None, 4 | 1)
        crypt32.PFXExportCertStoreEx(empty, "x", None, 4)


def test_a_card_key_does_not_go_out_and_comes_in_only_by_policy() -> None:
    for policy, code in (({}, 0x80090010), ({"AllowPrivateExchangeKeyImport": 1}, 0)):
        with local_system(policy=policy, prompt=FixedPrompt("123456")) as system:
            system.insert(virtual_gids(keys=[]))
            if code:
                with fails(code):
                    brought(0x40, rsa_key())
                continue
            made, store = brought(0, rsa_key())
            assert crypt32.CertGetCertificateContextProperty(made, 2).key_spec == 1
            with fails(0x8009000B):
                crypt32.PFXExportCertStoreEx(store, "x", None, 4 | 2)
            assert crypt32.PFXExportCertStoreEx(store, "x", None, 4)


EVERY_IMPORT = {"AllowPrivateExchangeKeyImport": 1, "AllowPrivateECDSAKeyImport": 1}


@pytest.mark.parametrize(("key", "flags", "kind"), [(rsa_key(), 0, 1), (rsa_key(), 0x200, 0), (ec_key(), 0, 0)])
def test_a_key_goes_onto_the_card_and_can_be_used(key: Any, flags: int, kind: int) -> None:
    with local_system(policy=EVERY_IMPORT, prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_gids(keys=[]))
        made, store = brought(flags, key)
        info = crypt32.CertGetCertificateContextProperty(made, 2)
        assert (info.prov_type, info.prov_name == CARD_KSP) == (kind, kind == 0)
        got = crypt32.CryptAcquireCertificatePrivateKey(made, 0x10000 | 4)
        assert (got.key_spec == 0xFFFFFFFF) is (kind == 0)
        with got.handle:
            assert got.caller_free
        assert len(list(store)) == 1


def test_a_silent_import_asks_nobody() -> None:
    prompt = FixedPrompt("123456")
    with local_system(policy=EVERY_IMPORT, prompt=prompt) as system:
        system.insert(virtual_gids(keys=[]))
        with fails(0x80090022):
            brought(0x40, rsa_key())
        assert prompt.count == 0


def test_a_key_that_is_refused_leaves_no_container_behind() -> None:
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_gids(keys=[]))
        with fails(0x80090010):
            brought(0, rsa_key())
        context = crypt32.CertCreateCertificateContext(1, certificate(rsa_key()).public_bytes(DER))
        with fails(0x8009000D):
            crypt32.CryptFindCertificateKeyProvInfo(context, 0x20000)


def test_a_key_in_memory_that_may_not_go_out_stays() -> None:
    with local_system():
        for flags, code in ((0x8001, 0), (0x8000, 0x8009000B)):
            _, store = brought(flags, rsa_key())
            if code:
                with fails(code):
                    crypt32.PFXExportCertStoreEx(store, "x", None, 4 | 2)
            else:
                blob = crypt32.PFXExportCertStoreEx(store, "x", None, 4 | 2 | 1)
                assert pkcs12.load_key_and_certificates(blob, b"x")[0] is not None

"""Keys, blobs and signatures exchanged with programs for Windows, in both directions."""

from __future__ import annotations

import hashlib

import pytest
from foreign import PIN
from wine import WINE, windows  # noqa: F401 - a fixture

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.errors import WinError
from calais.win.structs import Pkcs1PaddingInfo, PssPaddingInfo
from calais.winapi.advapi32 import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    CALG_3DES,
    CALG_3DES_112,
    CALG_AES_128,
    CALG_AES_256,
    CALG_DES,
    CALG_RC2,
    CALG_RC4,
    CALG_SHA1,
    CALG_SHA_256,
    CRYPT_EXPORTABLE,
    CRYPT_VERIFYCONTEXT,
    NTE_BAD_SIGNATURE,
    PLAINTEXTKEYBLOB,
    PP_KEYEXCHANGE_PIN,
    PRIVATEKEYBLOB,
    PROV_RSA_AES,
    PUBLICKEYBLOB,
    SIMPLEBLOB,
    CryptAcquireContext,
    CryptCreateHash,
    CryptDecrypt,
    CryptDeriveKey,
    CryptEncrypt,
    CryptExportKey,
    CryptGenKey,
    CryptGetUserKey,
    CryptHashData,
    CryptImportKey,
    CryptSetProvParam,
    CryptSignHash,
    CryptVerifySignature,
)
from calais.winapi.ncrypt import (
    BCRYPT_ECCPRIVATE_BLOB,
    BCRYPT_ECCPUBLIC_BLOB,
    BCRYPT_RSAFULLPRIVATE_BLOB,
    BCRYPT_RSAPUBLIC_BLOB,
    MS_KEY_STORAGE_PROVIDER,
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCRYPT_PAD_PKCS1_FLAG,
    NCRYPT_PAD_PSS_FLAG,
    NCRYPT_PIN_PROPERTY,
    NCryptEnumKeys,
    NCryptExportKey,
    NCryptImportKey,
    NCryptOpenKey,
    NCryptOpenStorageProvider,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptVerifySignature,
)

pytestmark = [*WINE]
DATA = b"what both sides sign"
PLAIN = b"a message of more than one block, and not a whole number of them"
SESSION = [CALG_AES_128, CALG_AES_256, CALG_3DES, CALG_3DES_112, CALG_DES, CALG_RC2, CALG_RC4]


@pytest.fixture
def desk(tmp_path):
    """The directory through which both sides talk."""
    (tmp_path / "data.bin").write_bytes(DATA)
    (tmp_path / "plain.bin").write_bytes(PLAIN)
    (tmp_path / "digest.bin").write_bytes(hashlib.sha256(DATA).digest())
    return tmp_path


@pytest.fixture
def memory():
    with local_system() as system, CryptAcquireContext(None, None, PROV_RSA_AES, CRYPT_VERIFYCONTEXT) as context:
        assert system is not None
        yield context


@pytest.fixture
def software():
    with local_system(), NCryptOpenStorageProvider(MS_KEY_STORAGE_PROVIDER) as provider:
        yield provider


def hash_of(context, algorithm, data=DATA):
    made = CryptCreateHash(context, algorithm)
    CryptHashData(made, data)
    return made


def test_a_signature_and_a_public_key_of_windows_verify_here(windows, desk, memory):  # noqa: F811
    windows.run("capi", "make", desk)
    key = CryptImportKey(memory, (desk / "pub.blob").read_bytes())
    CryptVerifySignature(hash_of(memory, CALG_SHA_256), (desk / "sig.bin").read_bytes(), key)
    with pytest.raises(WinError) as caught:
        CryptVerifySignature(hash_of(memory, CALG_SHA_256, b"other"), (desk / "sig.bin").read_bytes(), key)
    assert caught.value.code == NTE_BAD_SIGNATURE


def test_a_private_key_of_windows_signs_here_and_windows_verifies(windows, desk, memory):  # noqa: F811
    windows.run("capi", "make", desk)
    CryptImportKey(memory, (desk / "priv.blob").read_bytes(), None, CRYPT_EXPORTABLE)
    signature = CryptSignHash(hash_of(memory, CALG_SHA_256), AT_KEYEXCHANGE)
    assert signature == (desk / "sig.bin").read_bytes()
    (desk / "sig.bin").write_bytes(signature)
    windows.run("capi", "verify", desk)


def test_blobs_of_windows_come_out_of_us_byte_for_byte(windows, desk, memory):  # noqa: F811
    windows.run("capi", "make", desk)
    private, public = (desk / "priv.blob").read_bytes(), (desk / "pub.blob").read_bytes()
    key = CryptImportKey(memory, private, None, CRYPT_EXPORTABLE)
    assert CryptExportKey(key, None, PUBLICKEYBLOB) == public
    assert CryptExportKey(key, None, PRIVATEKEYBLOB)[: len(private)] == private


def test_windows_refuses_our_signature_over_other_data(windows, desk, memory):  # noqa: F811
    key = CryptGenKey(memory, AT_SIGNATURE, 2048 << 16)
    (desk / "pub.blob").write_bytes(CryptExportKey(key, None, PUBLICKEYBLOB))
    (desk / "sig.bin").write_bytes(CryptSignHash(hash_of(memory, CALG_SHA_256), AT_SIGNATURE))
    windows.run("capi", "verify", desk)
    (desk / "data.bin").write_bytes(DATA + b"!")
    assert "0x80090006" in windows.fails("capi", "verify", desk)


def test_a_session_key_wrapped_by_windows_opens_here(windows, desk, memory):  # noqa: F811
    key = CryptGenKey(memory, AT_KEYEXCHANGE, 2048 << 16)
    (desk / "pub.blob").write_bytes(CryptExportKey(key, None, PUBLICKEYBLOB))
    windows.run("capi", "wrap", desk)
    session = CryptImportKey(memory, (desk / "simple.blob").read_bytes(), key)
    assert CryptDecrypt(session, pbData=(desk / "cipher.bin").read_bytes()) == PLAIN


def test_a_session_key_wrapped_here_opens_in_windows(windows, desk, memory):  # noqa: F811
    windows.run("capi", "make", desk)
    theirs = CryptImportKey(memory, (desk / "pub.blob").read_bytes())
    session = CryptGenKey(memory, CALG_AES_128, CRYPT_EXPORTABLE)
    (desk / "simple.blob").write_bytes(CryptExportKey(session, theirs, SIMPLEBLOB))
    (desk / "cipher.bin").write_bytes(CryptEncrypt(session, pbData=PLAIN))
    (desk / "plain.bin").unlink()
    windows.run("capi", "unwrap", desk)
    assert (desk / "plain.bin").read_bytes() == PLAIN


@pytest.mark.parametrize("algorithm", SESSION, ids=hex)
def test_both_derive_the_same_session_key_and_encrypt_alike(windows, desk, memory, algorithm):  # noqa: F811
    windows.run("capi", "derive", desk, f"{algorithm:x}")
    key = CryptDeriveKey(memory, algorithm, hash_of(memory, CALG_SHA1), CRYPT_EXPORTABLE)
    assert CryptExportKey(key, None, PLAINTEXTKEYBLOB) == (desk / "key.blob").read_bytes()
    assert CryptEncrypt(key, pbData=PLAIN) == (desk / "cipher.bin").read_bytes()


@pytest.mark.parametrize("algorithm", SESSION, ids=hex)
def test_windows_encrypts_with_a_key_of_ours_as_we_do(windows, desk, memory, algorithm):  # noqa: F811
    key = CryptGenKey(memory, algorithm, CRYPT_EXPORTABLE)
    (desk / "key.blob").write_bytes(CryptExportKey(key, None, PLAINTEXTKEYBLOB))
    windows.run("capi", "encrypt", desk)
    assert CryptEncrypt(key, pbData=PLAIN) == (desk / "cipher.bin").read_bytes()


@pytest.mark.parametrize(
    ("algorithm", "public", "private"),
    [
        ("ECDSA_P256", BCRYPT_ECCPUBLIC_BLOB, BCRYPT_ECCPRIVATE_BLOB),
        ("ECDSA_P384", BCRYPT_ECCPUBLIC_BLOB, BCRYPT_ECCPRIVATE_BLOB),
        ("RSA", BCRYPT_RSAPUBLIC_BLOB, BCRYPT_RSAFULLPRIVATE_BLOB),
    ],
)
def test_cng_keys_and_signatures_of_windows_are_good_here(windows, desk, software, algorithm, public, private):  # noqa: F811
    windows.run("cng", "make", desk, algorithm)
    digest, signature = (desk / "digest.bin").read_bytes(), (desk / "sig.bin").read_bytes()
    key = NCryptImportKey(software, None, public, (), (desk / "pub.blob").read_bytes())
    how, flags = (Pkcs1PaddingInfo("SHA256"), NCRYPT_PAD_PKCS1_FLAG) if algorithm == "RSA" else (None, 0)
    NCryptVerifySignature(key, how, digest, signature, flags)
    assert NCryptExportKey(key, None, public) == (desk / "pub.blob").read_bytes()
    whole = NCryptImportKey(software, None, private, (), (desk / "priv.blob").read_bytes())
    (desk / "sig.bin").write_bytes(NCryptSignHash(whole, how, digest, flags))
    windows.run("cng", "verify", desk, algorithm)


def test_a_key_on_a_piv_card_signs_for_windows_through_cryptoapi(windows, desk):  # noqa: F811
    with local_system() as system:
        system.insert(virtual_piv())
        with CryptAcquireContext() as context:
            CryptSetProvParam(context, PP_KEYEXCHANGE_PIN, PIN)
            public = CryptExportKey(CryptGetUserKey(context, AT_KEYEXCHANGE), None, PUBLICKEYBLOB)
            signature = CryptSignHash(hash_of(context, CALG_SHA_256), AT_KEYEXCHANGE)
    (desk / "pub.blob").write_bytes(public)
    (desk / "sig.bin").write_bytes(signature)
    windows.run("capi", "verify", desk)


def test_windows_wraps_a_session_key_for_the_key_on_a_gids_card(windows, desk):  # noqa: F811
    with local_system() as system:
        system.insert(virtual_gids())
        with CryptAcquireContext() as context:
            CryptSetProvParam(context, PP_KEYEXCHANGE_PIN, PIN)
            key = CryptGetUserKey(context, AT_KEYEXCHANGE)
            (desk / "pub.blob").write_bytes(CryptExportKey(key, None, PUBLICKEYBLOB))
            windows.run("capi", "wrap", desk)
            session = CryptImportKey(context, (desk / "simple.blob").read_bytes(), key)
            assert CryptDecrypt(session, pbData=(desk / "cipher.bin").read_bytes()) == PLAIN


def test_keys_on_a_piv_card_sign_for_windows_through_cng(windows, desk):  # noqa: F811
    digest = (desk / "digest.bin").read_bytes()
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_piv())
        with NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER) as provider:
            for name in _names(provider):
                _sign_for_windows(windows, desk, provider, name, digest)


def _sign_for_windows(windows, desk, provider, name, digest):  # noqa: F811
    with NCryptOpenKey(provider, name.name, name.legacy_key_spec) as key:
        NCryptSetProperty(key, NCRYPT_PIN_PROPERTY, PIN)
        is_rsa = name.algid == "RSA"
        (desk / "pub.blob").write_bytes(
            NCryptExportKey(key, None, BCRYPT_RSAPUBLIC_BLOB if is_rsa else BCRYPT_ECCPUBLIC_BLOB)
        )
        how, flags = (Pkcs1PaddingInfo("SHA256"), NCRYPT_PAD_PKCS1_FLAG) if is_rsa else (None, 0)
        (desk / "sig.bin").write_bytes(NCryptSignHash(key, how, digest, flags))
        windows.run("cng", "verify", desk, name.algid)
        if is_rsa:
            salted = NCryptSignHash(key, PssPaddingInfo("SHA256", 32), digest, NCRYPT_PAD_PSS_FLAG)
            (desk / "sig.bin").write_bytes(salted)
            windows.run("cng", "pss", desk, name.algid)


def _names(provider):
    names, state = [], None
    while True:
        try:
            name, state = NCryptEnumKeys(provider, None, state)
        except WinError:
            return names
        names.append(name)

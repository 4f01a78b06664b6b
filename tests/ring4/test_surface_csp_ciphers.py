"""CryptoAPI session keys, black box: modes, salts, lengths, MACs and blobs of every cipher."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB8
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from surfacedesk import hash_of, plain_blob, private_blob, refused, rsa_key

from calais import WinError
from calais.testing import local_system
from calais.winapi import advapi32 as adv
from calais.winapi import cspdk

VERIFY = adv.CRYPT_VERIFYCONTEXT
SESSION = [0x6602, 0x6801, 0x6601, 0x6609, 0x6603, 0x660E, 0x660F, 0x6610]


@pytest.fixture
def h():
    with local_system():
        yield adv.CryptAcquireContext(None, adv.MS_ENH_RSA_AES_PROV, 24, VERIFY)


def supported(h, algid):
    try:
        return adv.CryptGenKey(h, algid, adv.CRYPT_EXPORTABLE)
    except WinError as error:
        if (algid, error.name) != (0x6602, "NTE_BAD_LEN"):
            raise
        return None


@pytest.mark.parametrize("algid", SESSION, ids=hex)
def test_a_session_key_goes_round_by_every_way(h, algid):
    key = supported(h, algid)
    if key is None:
        return
    sealed = adv.CryptEncrypt(key, pbData=b"some text of more than a block")
    assert adv.CryptGetKeyParam(key, adv.KP_ALGID) == algid
    plain = adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)
    assert plain[:2] == b"\x08\x02"
    assert int.from_bytes(plain[4:8], "little") == algid
    again = adv.CryptImportKey(h, plain)
    assert adv.CryptDecrypt(again, pbData=sealed) == b"some text of more than a block"
    adv.CryptImportKey(h, private_blob(rsa_key()))
    exchange = adv.CryptGetUserKey(h, adv.AT_KEYEXCHANGE)
    simple = adv.CryptExportKey(key, exchange, adv.SIMPLEBLOB)
    assert simple[:2] == b"\x01\x02"
    assert int.from_bytes(simple[8:12], "little") == adv.CALG_RSA_KEYX
    for other in (None, exchange):
        again = cspdk.CPImportKey(h, simple, other)
        assert adv.CryptDecrypt(again, pbData=sealed) == b"some text of more than a block"
    refused("NTE_BAD_TYPE", adv.CryptExportKey, key, exchange, adv.PUBLICKEYBLOB + 0x40)


@pytest.mark.parametrize("algid", [0x660E, 0x6610, 0x6603, 0x6601], ids=hex)
def test_cfb_is_of_8_bits(h, algid):
    key = adv.CryptGenKey(h, algid, adv.CRYPT_EXPORTABLE)
    adv.CryptSetKeyParam(key, adv.KP_MODE, adv.CRYPT_MODE_CFB)
    assert adv.CryptGetKeyParam(key, adv.KP_MODE) == adv.CRYPT_MODE_CFB
    assert adv.CryptGetKeyParam(key, adv.KP_MODE_BITS) == 8
    sealed = adv.CryptEncrypt(key, pbData=b"any text")
    assert adv.CryptDecrypt(key, pbData=sealed) == b"any text"
    if algid in (0x660E, 0x6610):
        raw = adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)[12:]
        stream = Cipher(algorithms.AES(raw), CFB8(bytes(16))).encryptor()
        assert sealed[:8] == stream.update(b"any text")


def test_a_mac_is_the_last_block(h):
    key = adv.CryptGenKey(h, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    raw = adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)[12:]
    mac = adv.CryptCreateHash(h, adv.CALG_MAC, key)
    adv.CryptHashData(mac, bytes(range(32)))
    found = adv.CryptGetHashParam(mac, adv.HP_HASHVAL)
    chain = Cipher(algorithms.AES(raw), modes.CBC(bytes(16))).encryptor()
    whole = chain.update(bytes(range(32)) + b"\x10" * 16)
    assert found in (whole[16:32], whole[32:])
    assert adv.CryptGetHashParam(mac, adv.HP_HASHSIZE) == 16


@pytest.mark.parametrize("algid", SESSION, ids=hex)
@pytest.mark.parametrize("param", ["KP_SALT", "KP_SALT_EX", "KP_EFFECTIVE_KEYLEN"])
def test_salts_and_effective_lengths_are_of_rc2_and_rc4(h, algid, param):
    key = supported(h, algid)
    number = getattr(adv, param)
    if key is None:
        return
    if algid not in (0x6602, 0x6801):
        for call in ((adv.CryptGetKeyParam, key, number), (adv.CryptSetKeyParam, key, number, b"s")):
            with pytest.raises(WinError) as caught:
                call[0](*call[1:])
            assert caught.value.name.startswith("NTE_") or caught.value.name == "ERROR_INVALID_PARAMETER"
    elif param == "KP_SALT_EX":
        refused("NTE_BAD_TYPE", adv.CryptGetKeyParam, key, number)


def test_rc4_is_a_stream(h):
    key = adv.CryptImportKey(h, plain_blob(adv.CALG_RC4, bytes(range(16))))
    other = adv.CryptImportKey(h, plain_blob(adv.CALG_RC4, bytes(range(16))))
    parts = adv.CryptEncrypt(key, None, False, 0, b"abc") + adv.CryptEncrypt(key, None, True, 0, b"def")
    assert parts == adv.CryptEncrypt(other, pbData=b"abcdef")
    assert adv.CryptEncrypt(key, pbData=b"abcdef") == parts


@pytest.mark.parametrize("bits", [40, 56, 128])
def test_rc4_takes_its_lengths(h, bits):
    assert adv.CryptGetKeyParam(adv.CryptGenKey(h, adv.CALG_RC4, bits << 16), adv.KP_KEYLEN) == bits


@pytest.mark.parametrize(("algid", "bits"), [(0x6801, 32), (0x6801, 136), (0x6801, 41), (0x660E, 256), (0x6603, 64)])
def test_lengths_that_a_cipher_lacks(h, algid, bits):
    refused("NTE_BAD_LEN", adv.CryptGenKey, h, algid, bits << 16)


@pytest.mark.parametrize("flags", [0x8, 0x20, 0x40, 0x100, 0x2000], ids=hex)
def test_making_takes_no_other_flags(h, flags):
    refused("NTE_BAD_FLAGS", adv.CryptGenKey, h, adv.CALG_AES_128, flags)
    refused("NTE_BAD_FLAGS", adv.CryptDeriveKey, h, adv.CALG_AES_128, hash_of(h, adv.CALG_SHA1), flags)


def test_sealed_keys_that_do_not_open(h):
    adv.CryptImportKey(h, private_blob(rsa_key()))
    key = adv.CryptGenKey(h, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    simple = adv.CryptExportKey(key, adv.CryptGetUserKey(h, adv.AT_KEYEXCHANGE), adv.SIMPLEBLOB)
    refused("NTE_BAD_DATA", adv.CryptImportKey, h, simple[:-1])
    refused("NTE_BAD_DATA", adv.CryptImportKey, h, simple[:12] + bytes(256))
    refused("NTE_BAD_VER", adv.CryptImportKey, h, simple[:1] + b"\x01" + simple[2:])
    with local_system():
        empty = adv.CryptAcquireContext(None, adv.MS_ENH_RSA_AES_PROV, 24, VERIFY)
        with pytest.raises(WinError) as caught:
            adv.CryptImportKey(empty, simple)
        assert caught.value.name in ("NTE_NO_KEY", "NTE_BAD_KEY")

"""The rows of providers and algorithms say what the documentation's tables say."""

import pytest

from calais.provider.csp.algorithms import HashAlgorithm, SessionAlgorithm
from calais.provider.csp.providers import BASE, ENHANCED, PERSONAL, PROVIDERS
from calais.win import flags
from calais.win.structs import ProvEnumAlgs, ProvEnumAlgsEx

RSA = {flags.CALG_RSA_KEYX, flags.CALG_RSA_SIGN}
OLD_HASHES = {flags.CALG_MD5, flags.CALG_SHA1, flags.CALG_SSL3_SHAMD5}
NEW_HASHES = {flags.CALG_SHA_256, flags.CALG_SHA_384, flags.CALG_SHA_512, flags.CALG_HMAC, flags.CALG_MAC}
OLD_CIPHERS = {flags.CALG_RC2, flags.CALG_RC4, flags.CALG_DES, flags.CALG_3DES_112, flags.CALG_3DES}
NEW_CIPHERS = {flags.CALG_AES_128, flags.CALG_AES_192, flags.CALG_AES_256}
ALL = RSA | OLD_HASHES | NEW_HASHES | OLD_CIPHERS | NEW_CIPHERS
OFFERED = {BASE: ALL, ENHANCED: ALL, PERSONAL: RSA | OLD_HASHES | OLD_CIPHERS}
BITS = {
    flags.CALG_MD5: (128, 128, 128),
    flags.CALG_SHA1: (160, 160, 160),
    flags.CALG_SSL3_SHAMD5: (288, 288, 288),
    flags.CALG_RC2: (128, 40, 128),
    flags.CALG_RC4: (128, 40, 128),
    flags.CALG_DES: (56, 56, 56),
    flags.CALG_3DES_112: (112, 112, 112),
    flags.CALG_3DES: (168, 168, 168),
}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda row: row.letter)
def test_each_provider_has_its_algorithms(provider):
    rows = {row.alg_id: row for row in provider.algorithms}
    assert set(rows) == OFFERED[provider]
    assert len(rows) == len(provider.algorithms)
    assert {each: (rows[each].default, rows[each].least, rows[each].most) for each in BITS} == BITS


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda row: row.letter)
def test_every_row_fits_windows_records(provider):
    for row in provider.algorithms:
        short = ProvEnumAlgs(row.alg_id, row.default, row.name)
        long = ProvEnumAlgsEx(row.alg_id, row.default, row.least, row.most, 0, row.name, row.long_name)
        assert ProvEnumAlgs.from_bytes(short.to_bytes()) == short
        assert ProvEnumAlgsEx.from_bytes(long.to_bytes()) == long


def test_lengths_of_session_keys_count_parity_as_it_is_asked():
    sizes = {row.alg_id: sorted(row.lengths) for row in ENHANCED.algorithms if isinstance(row, SessionAlgorithm)}
    assert sizes[flags.CALG_3DES] == [(168, 24), (192, 24)]
    assert sizes[flags.CALG_RC4] == [(bits, bits // 8) for bits in range(40, 129, 8)]
    assert all(row.size for row in ENHANCED.algorithms if isinstance(row, HashAlgorithm) and not row.keyed)

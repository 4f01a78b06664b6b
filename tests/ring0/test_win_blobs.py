from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.win import blobs, flags
from calais.win.errors import BadData, BadParameter, Unsupported

P = 0xE26EC03A7205BCC96E01B8460387826B4CAFB86FBC625E2B1A7F20303DE1C787464AC7340C7E1E518D467298DFC116B23A784B5C8E916E039251927D927E4179
Q = 0xC32EBA654BE974055C5BCCAC3365B0F9BD21E6B27A86DAA63B83C239F909A95AF20FDDE4596E38E5DBAA248C413A42281F32B725BC3DCE0B33C4C1DDF324D025
N, E, D = P * Q, 65537, pow(65537, -1, (P - 1) * (Q - 1) // 4)  # 4 = gcd(P - 1, Q - 1)
RSA = rsa.RSAPrivateNumbers(P, Q, D, D % (P - 1), D % (Q - 1), pow(Q, -1, P), rsa.RSAPublicNumbers(E, N)).private_key()
CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
EC = ec.derive_private_key(7, ec.SECP256R1())
KEYX, SIGN = flags.CALG_RSA_KEYX, flags.CALG_RSA_SIGN


def little(number, size):
    return number.to_bytes(size, "little")


def big(*numbers, size=64):
    return b"".join(number.to_bytes(size, "big") for number in numbers)


PUBLIC = bytes.fromhex("06020000 00a40000 52534131 00040000 01000100") + little(N, 128)
PRIVATE = b"".join(
    (
        bytes.fromhex("07020000 00240000 52534132 00040000 01000100"),
        little(N, 128),
        *(little(number, 64) for number in (P, Q, D % (P - 1), D % (Q - 1), pow(Q, -1, P))),
        little(D, 128),
    )
)
CNG_PUBLIC = bytes.fromhex("52534131 00040000 03000000 80000000 00000000 00000000 010001") + big(N, size=128)
CNG_PRIVATE = (
    bytes.fromhex("52534132 00040000 03000000 80000000 40000000 40000000 010001") + big(N, size=128) + big(P, Q)
)
CNG_FULL = b"RSA3" + CNG_PRIVATE[4:] + big(D % (P - 1), D % (Q - 1), pow(Q, -1, P)) + big(D, size=128)
POINT = EC.public_key().public_numbers()
ECC_PUBLIC = b"ECS1" + little(32, 4) + big(POINT.x, POINT.y, size=32)
ECC_PRIVATE = b"ECK2" + little(32, 4) + big(POINT.x, POINT.y, 7, size=32)

BUILT = {
    "PUBLICKEYBLOB": (lambda: blobs.build_capi_public(RSA.public_key(), KEYX), PUBLIC),
    "PRIVATEKEYBLOB": (lambda: blobs.build_capi_private(RSA, SIGN), PRIVATE),
    "RSAPUBLICBLOB": (lambda: blobs.build_rsa_public(RSA.public_key()), CNG_PUBLIC),
    "RSAPRIVATEBLOB": (lambda: blobs.build_rsa_private(RSA), CNG_PRIVATE),
    "RSAFULLPRIVATEBLOB": (lambda: blobs.build_rsa_private(RSA, full=True), CNG_FULL),
    "ECCPUBLICBLOB": (lambda: blobs.build_ecc_public(EC.public_key(), "ECDSA"), ECC_PUBLIC),
    "ECCPRIVATEBLOB": (lambda: blobs.build_ecc_private(EC, "ECDH"), ECC_PRIVATE),
}
PARSERS = {
    blobs.parse_capi_public: PUBLIC,
    blobs.parse_capi_private: PRIVATE,
    blobs.parse_rsa_public: CNG_PUBLIC,
    blobs.parse_rsa_private: CNG_FULL,
    blobs.parse_ecc_public: ECC_PUBLIC,
    blobs.parse_ecc_private: ECC_PRIVATE,
    blobs.parse_public: CNG_PUBLIC,
    blobs.parse_private: ECC_PRIVATE,
}


def patched(data, offset, text):
    new = bytes.fromhex(text)
    return data[:offset] + new + data[offset + len(new) :]


@pytest.mark.parametrize(("build", "data"), BUILT.values(), ids=BUILT)
def test_a_blob_has_the_bytes_of_windows(build, data):
    assert build() == data


def test_rsa_keys_come_back():
    assert blobs.parse_capi_public(PUBLIC) == (RSA.public_key(), KEYX)
    assert blobs.parse_rsa_public(CNG_PUBLIC) == blobs.parse_public(CNG_PUBLIC) == RSA.public_key()
    key, alg_id = blobs.parse_capi_private(PRIVATE)
    assert (key.private_numbers(), alg_id) == (RSA.private_numbers(), SIGN)
    for data in (CNG_PRIVATE, CNG_FULL):
        assert blobs.parse_rsa_private(data).private_numbers() == RSA.private_numbers()
        assert blobs.parse_private(data).private_numbers() == RSA.private_numbers()


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("scheme", ["ECDSA", "ECDH"])
@settings(max_examples=5)
@given(d=st.integers(1, 1 << 250))
def test_elliptic_keys_come_back(curve, scheme, d):
    key = ec.derive_private_key(d, curve)
    public, private = blobs.build_ecc_public(key.public_key(), scheme), blobs.build_ecc_private(key, scheme)
    assert blobs.parse_ecc_public(public) == (key.public_key(), scheme)
    parsed, parsed_scheme = blobs.parse_ecc_private(private)
    assert (parsed.private_numbers(), parsed_scheme) == (key.private_numbers(), scheme)
    assert blobs.parse_public(public) == key.public_key()
    assert blobs.parse_private(private).private_numbers() == key.private_numbers()


@pytest.mark.parametrize(("parse", "data"), PARSERS.items())
@settings(max_examples=50)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=40))
def test_noise_is_a_key_or_bad_data(parse, data, cut, noise):
    try:
        parse(data[:cut] + noise + data[cut + len(noise) :])
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize(("parse", "data"), PARSERS.items())
@given(size=st.integers(0, 19))
def test_a_blob_without_its_whole_head_is_bad_data(parse, data, size):
    with pytest.raises(BadData):
        parse(data[:size])


@pytest.mark.parametrize(
    ("parse", "data", "why"),
    [
        (blobs.parse_capi_public, PRIVATE, "type 7"),
        (blobs.parse_capi_public, patched(PUBLIC, 1, "03"), "version 3"),
        (blobs.parse_capi_public, patched(PUBLIC, 4, "00220000"), "0x2200"),
        (blobs.parse_capi_public, patched(PUBLIC, 8, "52534132"), "magic"),
        (blobs.parse_capi_public, PUBLIC + b"\0", "129 bytes"),
        (blobs.parse_capi_public, patched(PUBLIC, 16, "00000000"), "not an RSA key"),
        (blobs.parse_capi_private, PRIVATE + b"\0", "expected"),
        (blobs.parse_capi_private, PRIVATE[: 20 + 128 + 5 * 64 - 1], "expected"),
        (blobs.parse_capi_private, patched(PRIVATE, 148, "ff"), "primes"),
        (blobs.parse_capi_private, patched(PRIVATE, 16, "02000000"), "not an RSA key"),
        (blobs.parse_capi_private, patched(PRIVATE, 12, "ffffffff"), "expected"),
        (blobs.parse_rsa_public, CNG_PRIVATE, "magic"),
        (blobs.parse_rsa_public, CNG_PUBLIC[:-1], "announced"),
        (blobs.parse_rsa_private, CNG_PUBLIC, "magic"),
        (blobs.parse_rsa_private, CNG_FULL[:-1], "announced"),
        (blobs.parse_rsa_private, CNG_PRIVATE + b"\0", "announced"),
        (blobs.parse_ecc_public, ECC_PRIVATE, "magic"),
        (blobs.parse_ecc_public, patched(ECC_PUBLIC, 4, "30"), "48 bytes"),
        (blobs.parse_ecc_public, ECC_PUBLIC[:-1], "announced"),
        (blobs.parse_ecc_public, patched(ECC_PUBLIC, 20, "ff"), "not on the curve"),
        (blobs.parse_ecc_private, ECC_PUBLIC, "magic"),
        (blobs.parse_ecc_private, patched(ECC_PRIVATE, 100, "00000008"), "does not belong"),
        (blobs.parse_ecc_private, patched(ECC_PRIVATE, 72, "00" * 32), "not a private key"),
        (blobs.parse_public, b"none", "at least"),
        (blobs.parse_public, b"RSA9" + bytes(40), "magic"),
    ],
)
def test_a_malformed_blob_is_bad_data(parse, data, why):
    with pytest.raises(BadData, match=why):
        parse(data)


def test_a_modulus_beyond_what_windows_has_is_bad_data():
    head = bytes.fromhex("52534131 00000000 03000000 01080000 00000000 00000000 010001")
    with pytest.raises(BadData, match="16384"):
        blobs.parse_rsa_public(head + b"\xff" * 2049)


def test_a_private_blob_may_be_cut_inside_the_private_exponent():
    for end in (len(PRIVATE) - 1, len(PRIVATE) - 128):
        assert blobs.parse_capi_private(PRIVATE[:end])[0].private_numbers() == RSA.private_numbers()


def test_a_wrong_bit_length_in_a_cng_blob_does_not_matter():
    assert blobs.parse_rsa_public(patched(CNG_PUBLIC, 4, "08000000")) == RSA.public_key()


def test_small_public_keys_are_read():
    data = bytes.fromhex("06020000 00240000 52534131 00020000 03000000") + little(P, 64)
    assert blobs.parse_capi_public(data)[0].key_size == 512


def test_an_alg_id_that_is_not_of_rsa_is_the_callers_fault():
    with pytest.raises(BadParameter, match="0x8004"):
        blobs.build_capi_public(RSA.public_key(), flags.CALG_SHA1)


def test_an_exponent_of_more_than_32_bits_fits_only_a_cng_blob():
    key = rsa.RSAPublicNumbers((1 << 32) + 1, N).public_key()
    with pytest.raises(BadParameter, match="RSAPUBKEY"):
        blobs.build_capi_public(key, KEYX)
    assert blobs.parse_rsa_public(blobs.build_rsa_public(key)) == key


def test_primes_of_unequal_length_do_not_fit_a_private_key_blob():
    p, q = (1 << 521) - 1, (1 << 607) - 1  # Mersenne primes
    d = pow(E, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(E, p * q)
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()
    with pytest.raises(BadParameter, match="half as long"):
        blobs.build_capi_private(key, KEYX)
    assert blobs.parse_rsa_private(blobs.build_rsa_private(key)).private_numbers().p == p


def test_other_curves_have_no_blob():
    key = ec.derive_private_key(7, ec.SECP256K1())
    for build in (
        lambda: blobs.build_ecc_public(key.public_key(), "ECDSA"),
        lambda: blobs.build_ecc_private(key, "ECDH"),
    ):
        with pytest.raises(Unsupported, match="secp256k1"):
            build()

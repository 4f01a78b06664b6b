"""RSA keys in memory: made, imported, exported, used; both faces, all providers."""

import pytest
from cryptoapi import BASE, ENHANCED, FACES, PERSONAL, TYPES, hashed, pair_flags, refused
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from calais.testing import local_system
from calais.win import blobs
from calais.win import flags as f

KEYX, SIGN = f.AT_KEYEXCHANGE, f.AT_SIGNATURE
ALG = {KEYX: f.CALG_RSA_KEYX, SIGN: f.CALG_RSA_SIGN}


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


@pytest.fixture(params=TYPES, ids=["B", "P", "E"])
def provider(request):
    return request.param


@pytest.fixture
def context(face, provider):
    with local_system(), face.acquire(provider) as made:
        yield made


@pytest.fixture
def enhanced(face):
    with face.acquire(ENHANCED) as made:
        yield made


def put(face, context, key, spec=KEYX, flags=0):
    return face.ImportKey(context, blobs.build_capi_private(key, ALG[spec]), None, flags)


def public(face, context, key, spec=KEYX):
    return face.ImportKey(context, blobs.build_capi_public(key.public_key(), ALG[spec]))


# --- slots ---


@pytest.mark.parametrize("spec", [KEYX, SIGN])
def test_the_slots_are_empty_at_first(face, context, spec):
    with refused("NTE_NO_KEY"):
        face.GetUserKey(context, spec)
    with refused("NTE_NO_KEY"):
        face.SignHash(context, hashed(face, context, f.CALG_SHA1, b""), spec)


@pytest.mark.parametrize("spec", [0, 3, 0xA400, -1, "1"])
def test_there_are_two_slots(face, context, spec):
    with refused("NTE_BAD_KEY"):
        face.GetUserKey(context, spec)


@pytest.mark.parametrize(
    ("algorithm", "spec"),
    [(KEYX, KEYX), (SIGN, SIGN), (f.CALG_RSA_KEYX, KEYX), (f.CALG_RSA_SIGN, SIGN)],
    ids=["AT_KEYEXCHANGE", "AT_SIGNATURE", "CALG_RSA_KEYX", "CALG_RSA_SIGN"],
)
def test_a_generated_key_is_in_its_slot(face, context, provider, algorithm, spec):
    key = face.GenKey(context, algorithm, 1024 << 16 | pair_flags(provider))
    again = face.GetUserKey(context, spec)
    assert face.GetKeyParam(context, key, f.KP_ALGID) == face.GetKeyParam(context, again, f.KP_ALGID) == ALG[spec]
    assert face.ExportKey(context, key, None, f.PUBLICKEYBLOB) == face.ExportKey(context, again, None, f.PUBLICKEYBLOB)
    with refused("NTE_NO_KEY"):
        face.GetUserKey(context, KEYX + SIGN - spec)


def test_a_new_key_replaces_the_one_in_the_slot(face, enhanced):
    one, other = (face.GenKey(enhanced, KEYX) for _ in range(2))
    blob = face.ExportKey(enhanced, other, None, f.PUBLICKEYBLOB)
    assert face.ExportKey(enhanced, face.GetUserKey(enhanced, KEYX), None, f.PUBLICKEYBLOB) == blob
    assert face.ExportKey(enhanced, one, None, f.PUBLICKEYBLOB) != blob


def test_keys_in_memory_are_gone_with_their_context(face, provider):
    with local_system():
        with face.acquire(provider) as first:
            face.GenKey(first, KEYX, 1024 << 16 | pair_flags(provider))
        with face.acquire(provider) as second, refused("NTE_NO_KEY"):
            face.GetUserKey(second, KEYX)


@pytest.mark.parametrize(("name", "bits"), [(BASE, 1024), (ENHANCED, 1024), (PERSONAL, 2048)], ids=["B", "E", "P"])
def test_without_a_length_the_default_is_made(face, name, bits):
    with local_system(), face.acquire(name) as context:
        key = face.GenKey(context, KEYX, pair_flags(name))
        assert face.GetKeyParam(context, key, f.KP_KEYLEN) == bits


def test_the_default_length_of_base_is_the_policy_s(face):
    with local_system(policy={"DefaultPrivateKeyLenBits": 2048}), face.acquire(BASE) as context:
        assert face.GetKeyParam(context, face.GenKey(context, KEYX), f.KP_KEYLEN) == 2048


@pytest.mark.parametrize(
    ("name", "bits"),
    [(ENHANCED, 1032), (BASE, 1088), (PERSONAL, 1024), (PERSONAL, 2048)],
    ids=["E-1032", "B-1088", "P-1024", "P-2048"],
)
def test_lengths_that_are_offered_are_made(face, name, bits):
    with local_system(), face.acquire(name) as context:
        key = face.GenKey(context, SIGN, bits << 16 | pair_flags(name))
        assert face.GetKeyParam(context, key, f.KP_KEYLEN) == face.GetKeyParam(context, key, f.KP_BLOCKLEN) == bits


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        *((ENHANCED, bits) for bits in (8, 376, 512, 768, 1020, 1025, 16392)),
        *((BASE, bits) for bits in (8, 512, 768, 1032, 16448)),
        *((PERSONAL, bits) for bits in (512, 768, 1088, 1536, 3072, 4096)),
    ],
)
def test_lengths_that_nobody_can_make_are_refused(face, name, bits):
    with local_system(), face.acquire(name) as context, refused("NTE_BAD_LEN"):
        face.GenKey(context, KEYX, bits << 16 | pair_flags(name))


@pytest.mark.parametrize("flags", [0x8, 0x20, 0x40, 0x80, 0x100, 0x2000])
@pytest.mark.parametrize("algorithm", [KEYX, f.CALG_RC4])
def test_unknown_flags_are_refused_when_a_key_is_made(face, context, provider, algorithm, flags):
    with refused("NTE_BAD_FLAGS"):
        face.GenKey(context, algorithm, flags | pair_flags(provider))


@pytest.mark.parametrize("algorithm", [0, 3, f.CALG_SHA1, f.CALG_DSS_SIGN, f.CALG_RC5, f.CALG_DESX, f.CALG_AES])
def test_unknown_algorithms_are_refused_when_a_key_is_made(face, context, algorithm):
    with refused("NTE_BAD_ALGID"):
        face.GenKey(context, algorithm)


@pytest.mark.parametrize("flags", [0, 1, 2, 4, 0x10, 0x4000, 0x4017])
def test_keys_in_memory_take_every_flag(face, enhanced, flags):
    assert face.GetKeyParam(enhanced, face.GenKey(enhanced, KEYX, flags), f.KP_KEYLEN) == 1024


@pytest.mark.parametrize("name", [BASE, ENHANCED], ids=["B", "E"])
@pytest.mark.parametrize("algorithm", [KEYX, f.CALG_RC4])
def test_protection_by_a_user_cannot_be_asked_for_in_silence(face, name, algorithm):
    silent = f.CRYPT_VERIFYCONTEXT | f.CRYPT_SILENT
    with local_system(), face.acquire(name, silent) as context, refused("NTE_SILENT_CONTEXT"):
        face.GenKey(context, algorithm, f.CRYPT_USER_PROTECTED)


# --- blobs ---


@pytest.mark.parametrize("spec", [KEYX, SIGN])
def test_a_public_key_goes_out_and_comes_back(face, context, private_key, spec):
    blob = blobs.build_capi_public(private_key.public_key(), ALG[spec])
    key = face.ImportKey(context, blob)
    assert face.ExportKey(context, key, None, f.PUBLICKEYBLOB) == blob
    assert face.GetKeyParam(context, key, f.KP_ALGID) == ALG[spec]


def test_small_public_keys_can_be_imported(face, context):
    numbers = rsa.RSAPublicNumbers(65537, (1 << 511) | 1)
    key = face.ImportKey(context, blobs.build_capi_public(numbers.public_key(), f.CALG_RSA_KEYX))
    assert face.GetKeyParam(context, key, f.KP_KEYLEN) == 512


@pytest.mark.parametrize("spec", [KEYX, SIGN])
def test_a_private_key_goes_into_the_slot_of_its_algorithm(face, enhanced, private_key, spec):
    key = put(face, enhanced, private_key, spec, f.CRYPT_EXPORTABLE)
    blob = blobs.build_capi_private(private_key, ALG[spec])
    assert face.ExportKey(enhanced, key, None, f.PRIVATEKEYBLOB) == blob
    assert face.ExportKey(enhanced, face.GetUserKey(enhanced, spec), None, f.PRIVATEKEYBLOB) == blob


def test_an_imported_private_key_signs_and_decrypts(face, context, private_key):
    put(face, context, private_key)
    key = face.GetUserKey(context, KEYX)
    cipher = private_key.public_key().encrypt(b"message", padding.PKCS1v15())[::-1]
    assert face.Decrypt(context, key, None, True, 0, cipher) == b"message"
    signature = face.SignHash(context, hashed(face, context, f.CALG_SHA1, b"data"), KEYX)
    private_key.public_key().verify(signature[::-1], b"data", padding.PKCS1v15(), SHA1())


def test_what_was_made_to_be_exported_is(face, enhanced):
    key = face.GenKey(enhanced, KEYX, f.CRYPT_EXPORTABLE)
    assert face.ExportKey(enhanced, key, None, f.PRIVATEKEYBLOB)[0] == f.PRIVATEKEYBLOB


def test_what_was_not_made_to_be_exported_is_not(face, enhanced, private_key):
    for key in (
        face.GenKey(enhanced, KEYX, f.CRYPT_ARCHIVABLE),
        put(face, enhanced, private_key),
        public(face, enhanced, private_key),
    ):
        with refused("NTE_BAD_KEY_STATE"):
            face.ExportKey(enhanced, key, None, f.PRIVATEKEYBLOB)


def test_a_private_key_can_travel_encrypted_by_a_session_key(face, enhanced, private_key):
    session = face.DeriveKey(enhanced, f.CALG_AES_256, hashed(face, enhanced, f.CALG_SHA_256, b"password"))
    key = put(face, enhanced, private_key, KEYX, f.CRYPT_EXPORTABLE)
    blob = face.ExportKey(enhanced, key, session, f.PRIVATEKEYBLOB)
    assert blob[:8] == blobs.build_capi_private(private_key, f.CALG_RSA_KEYX)[:8]
    with face.acquire(ENHANCED) as other:
        again = face.DeriveKey(other, f.CALG_AES_256, hashed(face, other, f.CALG_SHA_256, b"password"))
        there = face.ImportKey(other, blob, again, f.CRYPT_EXPORTABLE)
        plain = face.ExportKey(other, there, None, f.PRIVATEKEYBLOB)
        assert plain == blobs.build_capi_private(private_key, f.CALG_RSA_KEYX)


@pytest.mark.parametrize("kind", [0, 2, f.OPAQUEKEYBLOB, f.PUBLICKEYBLOBEX, f.SYMMETRICWRAPKEYBLOB, 0xC])
def test_other_kinds_of_blobs_are_not_made(face, context, private_key, kind):
    with refused("NTE_BAD_TYPE"):
        face.ExportKey(context, public(face, context, private_key), None, kind)


def test_a_blob_without_a_kind_is_no_type(face, context, private_key):
    with refused("NTE_BAD_TYPE"):
        face.ExportKey(context, public(face, context, private_key))


@pytest.mark.parametrize("kind", [f.PUBLICKEYBLOB, f.PRIVATEKEYBLOB, f.PLAINTEXTKEYBLOB])
def test_oaep_is_for_session_keys_only(face, enhanced, kind):
    key = face.GenKey(enhanced, f.CALG_RC4 if kind == f.PLAINTEXTKEYBLOB else KEYX, f.CRYPT_EXPORTABLE)
    with refused("NTE_BAD_FLAGS"):
        face.ExportKey(enhanced, key, None, kind, f.CRYPT_OAEP)
    blob = face.ExportKey(enhanced, key, None, kind)
    with refused("NTE_BAD_FLAGS"):
        face.ImportKey(enhanced, blob, None, f.CRYPT_OAEP)


@pytest.mark.parametrize("flags", [4, 8, 0x20, 0x80, 0x200, 0x4000, 0x10000])
def test_unknown_flags_are_refused_at_the_door(face, context, private_key, flags):
    key = public(face, context, private_key)
    blob = face.ExportKey(context, key, None, f.PUBLICKEYBLOB)
    with refused("NTE_BAD_FLAGS"):
        face.ImportKey(context, blob, None, flags)
    with refused("NTE_BAD_FLAGS"):
        face.ExportKey(context, key, None, f.PUBLICKEYBLOB, flags)


def test_the_wrong_kind_of_key_makes_no_blob(face, enhanced):
    pair, session = face.GenKey(enhanced, KEYX, 1), face.GenKey(enhanced, f.CALG_RC4, 1)
    cases = [
        (pair, None, f.SIMPLEBLOB),
        (pair, pair, f.SIMPLEBLOB),
        (pair, None, f.PLAINTEXTKEYBLOB),
        (pair, session, f.PUBLICKEYBLOB),
        (pair, pair, f.PRIVATEKEYBLOB),
        (session, None, f.PUBLICKEYBLOB),
        (session, None, f.PRIVATEKEYBLOB),
        (session, None, f.SIMPLEBLOB),
        (session, session, f.SIMPLEBLOB),
        (session, pair, f.PLAINTEXTKEYBLOB),
        (session, face.GenKey(enhanced, SIGN), f.SIMPLEBLOB),
    ]
    for key, by, kind in cases:
        with refused("NTE_BAD_KEY"):
            face.ExportKey(enhanced, key, by, kind)


# --- encrypting ---


@pytest.mark.parametrize("data", [b"", b"x", b"\0\0zeros\0", b"m" * 117], ids=["empty", "one", "zeros", "full"])
@pytest.mark.parametrize("final", [True, False])
def test_pkcs1_goes_there_and_back(face, enhanced, data, final):
    key = face.GenKey(enhanced, KEYX)
    cipher = face.Encrypt(enhanced, key, None, final, 0, data)
    assert len(cipher) == 128
    assert face.Decrypt(enhanced, key, None, final, 0, cipher) == data


@pytest.mark.parametrize("label", [None, b"", b"a label"])
def test_oaep_goes_there_and_back(face, context, private_key, label):
    pair = put(face, context, private_key)
    other = public(face, context, private_key)
    for key in (pair, other) if label is not None else ():
        face.SetKeyParam(context, key, f.KP_OAEP_PARAMS, label)
    cipher = face.Encrypt(context, other, None, True, f.CRYPT_OAEP, b"message")
    how = padding.OAEP(padding.MGF1(SHA1()), SHA1(), label or None)
    assert private_key.decrypt(cipher[::-1], how) == b"message"
    assert face.Decrypt(context, pair, None, True, f.CRYPT_OAEP, cipher) == b"message"


def test_another_label_is_bad_data(face, context, private_key):
    pair = put(face, context, private_key)
    cipher = face.Encrypt(context, pair, None, True, f.CRYPT_OAEP, b"message")
    face.SetKeyParam(context, pair, f.KP_OAEP_PARAMS, b"a label")
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, pair, None, True, f.CRYPT_OAEP, cipher)
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, pair, None, True, 0, cipher)


@pytest.mark.parametrize(("flags", "room"), [(0, 245), (f.CRYPT_OAEP, 214)], ids=["pkcs1", "oaep"])
def test_what_does_not_fit_the_modulus_is_a_bad_length(face, context, private_key, flags, room):
    key = public(face, context, private_key)
    assert len(face.Encrypt(context, key, None, True, flags, bytes(room))) == 256
    with refused("NTE_BAD_LEN"):
        face.Encrypt(context, key, None, True, flags, bytes(room + 1))


def test_the_bare_block_is_given_without_a_check(face, context, private_key):
    pair = put(face, context, private_key)
    cipher = face.Encrypt(context, pair, None, True, 0, b"message")
    block = face.Decrypt(context, pair, None, True, f.CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, cipher)
    assert len(block) == 256
    assert block.startswith(b"\0\2")
    assert block.endswith(b"\0message")


@pytest.mark.parametrize("length", [0, 1, 255, 257, 512])
@pytest.mark.parametrize("flags", [0, f.CRYPT_OAEP, f.CRYPT_DECRYPT_RSA_NO_PADDING_CHECK])
def test_a_block_of_another_length_is_bad_data(face, context, private_key, flags, length):
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, put(face, context, private_key), None, True, flags, bytes(length))


@pytest.mark.parametrize("block", [bytes(255) + b"\1", b"\xff" * 256], ids=["no padding", "above the modulus"])
def test_a_block_without_padding_is_bad_data(face, context, private_key, block):
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, put(face, context, private_key), None, True, 0, block)


def test_signature_keys_neither_encrypt_nor_decrypt(face, context, private_key):
    for key in (put(face, context, private_key, SIGN), public(face, context, private_key, SIGN)):
        with refused("NTE_BAD_KEY"):
            face.Encrypt(context, key, None, True, 0, b"message")
        with refused("NTE_BAD_KEY"):
            face.Decrypt(context, key, None, True, 0, bytes(256))


def test_public_keys_do_not_decrypt(face, context, private_key):
    with refused("NTE_BAD_KEY"):
        face.Decrypt(context, public(face, context, private_key), None, True, 0, bytes(256))


@pytest.mark.parametrize("flags", [1, 2, 0x80, 0x60])
def test_unknown_flags_are_refused_when_decrypting(face, context, private_key, flags):
    pair = put(face, context, private_key)
    with refused("NTE_BAD_FLAGS"):
        face.Decrypt(context, pair, None, True, flags, bytes(256))
    with refused("NTE_BAD_FLAGS"):
        face.Encrypt(context, pair, None, True, flags | 0x20, b"")


def test_a_hash_takes_the_plaintext_in_on_the_way(face, enhanced):
    key = face.GenKey(enhanced, KEYX)
    one, other = (face.CreateHash(enhanced, f.CALG_SHA1) for _ in range(2))
    cipher = face.Encrypt(enhanced, key, one, True, 0, b"message")
    face.Decrypt(enhanced, key, other, True, 0, cipher)
    plain = hashed(face, enhanced, f.CALG_SHA1, b"message")
    values = {face.GetHashParam(enhanced, each, f.HP_HASHVAL) for each in (one, other, plain)}
    assert len(values) == 1
    with refused("NTE_BAD_HASH_STATE"):
        face.Encrypt(enhanced, key, one, True, 0, b"message")


def test_bytes_are_bytes(face, enhanced):
    key = face.GenKey(enhanced, KEYX)
    with refused("ERROR_INVALID_PARAMETER"):
        face.Encrypt(enhanced, key, None, True, 0, "text")
    with refused("ERROR_INVALID_PARAMETER"):
        face.ImportKey(enhanced, "text")
    assert face.Encrypt(enhanced, key, None, True, 0, bytearray(b"message"))


def test_no_handle_shows_its_key(face, enhanced, private_key):
    secret = str(private_key.private_numbers().d)[:12]
    assert secret not in repr(put(face, enhanced, private_key)) + repr(enhanced.slots) + repr(enhanced)

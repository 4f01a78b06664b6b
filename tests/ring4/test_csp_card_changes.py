"""Changing containers on cards through CryptoAPI: keys made and loaded, certificates, the books, changes cut off."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cspdesk import (
    CARDS,
    DATA,
    NAME,
    acquire,
    certificate_of,
    check_signature,
    containers,
    fails,
    gids,
    give_pin,
    in_reader,
    piv,
    public_key_of,
    set_certificate,
    sign,
)
from people import PIN

from calais.cards.base import PowerLoss
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.blobs import build_capi_private
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_SILENT
from calais.win.structs import CardCacheFile
from calais.winapi import advapi32 as api

NEW = api.CRYPT_NEWKEYSET
SHORT = 1024 << 16  # bits of keys that a test makes
IMPORT = {"AllowPrivateExchangeKeyImport": 1, "AllowPrivateSignatureKeyImport": 1}
RSA_1024 = rsa.generate_private_key(65537, 1024)


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture(params=list(CARDS))
def inserted(request, system):
    made = CARDS[request.param]()
    system.insert(made)
    return made


# --- CryptGenKey ---


@pytest.mark.parametrize("algorithm", [1, api.CALG_RSA_KEYX])
def test_a_key_is_made_on_the_card(system, inserted, algorithm):
    with acquire("fresh", NEW) as handle:
        key = api.CryptGenKey(handle, algorithm, SHORT)
        assert api.CryptGetKeyParam(key, api.KP_KEYLEN) == 1024
        check_signature(public_key_of(handle), sign(handle))
        assert containers(handle)[-1] == "fresh"
    with acquire("fresh") as handle:
        check_signature(public_key_of(handle), sign(handle))
    assert system.card().run(lambda driver: driver.orphans()) == [] or "PIV" in system.card().name


@pytest.mark.parametrize("algorithm", [2, api.CALG_RSA_SIGN])
@pytest.mark.parametrize("kind", list(CARDS))
def test_a_signature_key_is_made_on_the_card(system, kind, algorithm):
    system.insert(CARDS[kind]())
    with acquire("fresh", NEW) as handle:
        api.CryptGenKey(handle, algorithm, SHORT)
        check_signature(public_key_of(handle, 2), sign(handle, 2))
    with acquire("fresh") as handle:
        check_signature(public_key_of(handle, 2), sign(handle, 2))
        with fails(Code.NTE_NO_KEY):
            sign(handle, 1)


def test_the_length_is_the_policys_unless_given(system, inserted):
    with acquire("fresh", NEW) as handle:
        assert api.CryptGetKeyParam(api.CryptGenKey(handle, 1), api.KP_KEYLEN) == 1024
    with local_system(prompt=FixedPrompt(PIN), policy={"DefaultPrivateKeyLenBits": 2048}) as other:
        other.insert(virtual_gids(keys=[]))
        with acquire("fresh", NEW) as handle:
            assert api.CryptGetKeyParam(api.CryptGenKey(handle, 1), api.KP_KEYLEN) == 2048


@pytest.mark.parametrize("bits", [512, 768, 1536, 8192, 65535])
def test_a_length_that_the_card_lacks(system, inserted, bits):
    with acquire(None) as handle:
        before = public_key_of(handle)
        with fails(Code.NTE_BAD_LEN):
            api.CryptGenKey(handle, 1, bits << 16)
        assert public_key_of(handle) == before
    assert system.broker.prompt.count == 0


@pytest.mark.parametrize("flags", [api.CRYPT_EXPORTABLE, api.CRYPT_ARCHIVABLE])
def test_keys_on_cards_are_never_exportable(system, inserted, flags):
    with acquire(None) as handle:
        with fails(Code.NTE_BAD_FLAGS):
            api.CryptGenKey(handle, 1, SHORT | flags)
        with fails(Code.NTE_BAD_FLAGS):
            api.CryptImportKey(handle, build_capi_private(RSA_1024, api.CALG_RSA_KEYX), None, api.CRYPT_EXPORTABLE)


def test_a_key_protected_by_its_user_means_asking(system, inserted):
    with acquire(None, CRYPT_SILENT) as handle:
        give_pin(handle)
        with fails(Code.NTE_SILENT_CONTEXT):
            api.CryptGenKey(handle, 1, SHORT | api.CRYPT_USER_PROTECTED)
    with acquire(None) as handle:
        api.CryptGenKey(handle, 1, SHORT | api.CRYPT_USER_PROTECTED)


def test_a_new_key_replaces_the_old_one(system, inserted):
    with acquire(None) as handle, acquire(None) as other:
        old = public_key_of(handle)
        sign(other)
        api.CryptGenKey(handle, 1, SHORT)
        new = public_key_of(handle)
        assert new != old
        check_signature(new, sign(handle))
        assert public_key_of(other) == new
        check_signature(new, sign(other))
        with fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
            api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE)


def test_a_container_has_one_key(system, inserted):
    with acquire(None) as handle:
        with fails(Code.SCARD_E_UNSUPPORTED_FEATURE):
            api.CryptGenKey(handle, 2, SHORT)
        sign(handle)


@pytest.mark.parametrize("kind", list(CARDS))
def test_a_read_only_card_makes_no_keys(system, kind):
    system.insert(CARDS[kind](read_only=True))
    with acquire(None) as handle:
        for change in (lambda: api.CryptGenKey(handle, 1, SHORT), lambda: set_certificate(handle, None)):
            with fails(Code.SCARD_E_READ_ONLY_CARD):
                change()


def test_no_container_is_left_when_the_pin_is_wrong():
    with local_system(prompt=FixedPrompt("999999")) as system:
        system.insert(gids())
        with fails(Code.SCARD_W_WRONG_CHV):
            acquire("fresh", NEW)
        assert [container.name for container in system.card().containers] == [NAME]


# --- import ---


@pytest.mark.parametrize(
    ("spec", "alg", "name"),
    [(1, api.CALG_RSA_KEYX, "AllowPrivateExchangeKeyImport"), (2, api.CALG_RSA_SIGN, "AllowPrivateSignatureKeyImport")],
)
@pytest.mark.parametrize("kind", list(CARDS))
def test_private_keys_are_loaded_as_policy_says(kind, spec, alg, name):
    blob = build_capi_private(RSA_1024, alg)
    for policy in ({}, {name: 0}, {other: 1 for other in IMPORT if other != name}):
        with local_system(prompt=FixedPrompt(PIN), policy=policy) as system:
            system.insert(CARDS[kind]())
            with acquire("fresh", NEW) as handle, fails(Code.NTE_PERM):
                api.CryptImportKey(handle, blob)
    with local_system(prompt=FixedPrompt(PIN), policy={name: 1}) as system:
        system.insert(CARDS[kind]())
        with acquire("fresh", NEW) as handle:
            key = api.CryptImportKey(handle, blob)
            assert api.CryptGetKeyParam(key, api.KP_ALGID) == alg
            assert public_key_of(handle, spec) == RSA_1024.public_key()
            check_signature(RSA_1024.public_key(), sign(handle, spec))
            with fails(Code.NTE_BAD_KEY_STATE):
                api.CryptExportKey(key, None, api.PRIVATEKEYBLOB)


def test_public_keys_are_imported_anywhere(system, inserted):
    with acquire(None) as handle:
        blob = api.CryptExportKey(api.CryptGetUserKey(handle, 1), None, api.PUBLICKEYBLOB)
        key = api.CryptImportKey(handle, blob)
        hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
        api.CryptHashData(hash_, DATA)
        api.CryptVerifySignature(hash_, sign(handle)[::-1], key)
        with fails(Code.NTE_BAD_TYPE):
            api.CryptGetKeyParam(key, 9999)


# --- the books of a GIDS card ---


def books(system):
    content = system.card().run(lambda driver: driver.read_file(None, "cardcf"))
    found = CardCacheFile.from_bytes(content)
    return found.pins_freshness, found.containers_freshness, found.files_freshness


def moved(before, after):
    return tuple(old != new for old, new in zip(before, after, strict=True))


def test_changes_move_the_counters_that_they_concern(system):
    system.insert(gids())
    steps = []

    def step(change):
        before = books(system)
        change()
        steps.append(moved(before, books(system)))

    handle = None

    def create():
        nonlocal handle
        handle = acquire("fresh", NEW)

    step(create)
    step(lambda: api.CryptGenKey(handle, 1, SHORT))
    step(lambda: set_certificate(handle, certificate_of(public_key_of(handle))))
    step(lambda: set_certificate(handle, None))
    step(lambda: sign(handle))
    step(lambda: acquire("fresh", api.CRYPT_DELETEKEYSET))
    assert steps == [
        (False, True, False),
        (False, True, True),
        (False, False, True),
        (False, False, True),
        (False, False, False),
        (False, True, True),
    ]


def test_the_container_map_is_what_windows_expects(system):
    from calais.win.structs import ContainerMapRecord

    system.insert(virtual_gids(keys=[]))

    def records():
        content = system.card().run(lambda driver: driver.read_file("mscp", "cmapfile"))
        return ContainerMapRecord.parse_file(content)

    with acquire("fresh", NEW) as handle:
        assert records() == [ContainerMapRecord("fresh", 3, 0, 0)]
        api.CryptGenKey(handle, 2, SHORT)
        assert records() == [ContainerMapRecord("fresh", 3, 1024, 0)]
    acquire("fresh", api.CRYPT_DELETEKEYSET)
    assert not any(record.is_valid for record in records())


# --- a card pulled in the middle ---


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("change", ["create", "generate", "certificate", "delete"])
@pytest.mark.parametrize("heard", [False, True], ids=["before", "after"])
def test_a_change_that_is_cut_off_is_done_or_not_done(kind, change, heard):
    """The power fails before, or just after, each command; what was there before is there afterwards."""
    for instant in range(1, 60):
        if survives(kind, change, instant, heard=heard):
            return
    raise AssertionError("the change never came to its end")


def survives(kind, change, instant, *, heard):
    """Cut the power at one command, and look at what is left; whether the change came to its end before that."""
    made = CARDS[kind]()
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(made)
        handle = acquire(None)
        name = system.card().containers.default.name
        give_pin(handle)
        mend = cut_power(made, instant, heard=heard)
        try:
            CHANGES[change](handle, name)
            done = True
        except WinError:
            done = False
        mend()
        system.remove()
        made.power_cycle()
        system.insert(made)
        look(system, change, name, done=done)
        return done


def cut_power(made, instant, *, heard):
    """Take the power at a command that comes; what puts it right again."""
    whole, left = made.applet.process, [instant]

    def process(apdu):
        left[0] -= 1
        if left[0] > 0:
            return whole(apdu)
        if left[0] == 0 and heard:
            whole(apdu)
        raise PowerLoss

    made.applet.process = process
    return lambda: setattr(made.applet, "process", whole)


def look(system, change, name, *, done):
    """Whatever is named is whole."""
    found = {container.name: container for container in system.card().refresh()}
    if change != "delete":
        with acquire(name) as handle:
            if change != "generate" or done:
                check_signature(public_key_of(handle), sign(handle))
    elif done:
        assert name not in found
    for container in found.values():
        if container.certificate is not None and container.entry.algorithm:
            assert x509.load_der_x509_certificate(container.certificate).public_key() == container.public_key
    system.card().holder("mend").run(lambda driver: (driver.admit_user(), driver.repair()))


CHANGES = {
    "create": lambda handle, name: acquire("fresh", NEW),
    "generate": lambda handle, name: api.CryptGenKey(handle, 1, SHORT),
    "certificate": lambda handle, name: set_certificate(handle, None),
    "delete": lambda handle, name: acquire(name, api.CRYPT_DELETEKEYSET),
}


# --- containers of PIV cards ---


def test_the_names_of_a_piv_cards_free_slots_are_there_to_be_taken(system):
    from uuid import UUID

    system.insert(piv())
    guid = system.card().card_id
    for tag, reference in ((0x5FC10A, "9C"), (0x5FC101, "9E"), (0x5FC10D, "82")):
        name = str(UUID(bytes_le=guid[:-3] + tag.to_bytes(3, "big")))
        spec = 1 if reference == "82" else 2
        with acquire(name, NEW) as handle:
            api.CryptGenKey(handle, spec, SHORT)
            assert system.card().containers.by_name(name).entry.reference == reference
            check_signature(public_key_of(handle, spec), sign(handle, spec))


def test_a_new_container_of_a_piv_card_takes_the_first_free_slot(system):
    system.insert(piv(0x9A))
    places = []
    for number in range(3):
        with acquire(f"number {number}", NEW) as handle:
            api.CryptGenKey(handle, 1, SHORT)
            places.append(system.card().containers.by_name(f"number {number}").entry.reference)
    assert places == ["9D", "82", "83"]


def test_a_piv_card_that_keeps_no_map_gives_its_own_names(system):
    from calais.cards.piv import spec

    made = piv(0x9A)
    system.insert(made)
    refuse_object(made, spec.TAG_YUBICO_MSCMAP)
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire("mine", NEW)
    with acquire(None, NEW) as handle:
        name = api.CryptGetProvParam(handle, api.PP_CONTAINER)
        with fails(Code.NTE_NO_KEY):
            sign(handle)
        api.CryptGenKey(handle, 1, SHORT)
        check_signature(public_key_of(handle), sign(handle))
        set_certificate(handle, certificate_of(public_key_of(handle)))
    with acquire(name) as handle:
        check_signature(public_key_of(handle), sign(handle))
    with acquire(name.replace("5fc10b", "5fc10a"), NEW) as handle:
        api.CryptGenKey(handle, 2, SHORT)


def refuse_object(made, tag):
    """Have a card refuse PUT DATA of one object."""
    whole = made.applet.process

    def process(apdu):
        if apdu[1:2] == b"\xdb" and tag.to_bytes(3, "big") in apdu[:16]:
            return bytes.fromhex("6A80")
        return whole(apdu)

    made.applet.process = process


@pytest.mark.parametrize("key", [bytes(range(24)), bytes(range(32))], ids=["3DES", "AES"])
def test_a_piv_card_with_a_management_key_of_its_own_is_the_issuers(system, key):
    system.insert(piv(0x9A, management_key=key))
    for change in (lambda: acquire("x", NEW), lambda: acquire(None, api.CRYPT_DELETEKEYSET)):
        with fails(Code.SCARD_E_READ_ONLY_CARD):
            change()
    with acquire(None) as handle:
        with fails(Code.SCARD_E_READ_ONLY_CARD):
            api.CryptGenKey(handle, 1, SHORT)
        sign(handle)


def test_a_piv_card_may_keep_the_management_key_for_its_user(system):
    key = bytes(range(1, 25))
    system.insert(piv(0x9A, management_key=key))

    def protect(driver):
        driver.view.write(0x5FFF00, bytes.fromhex("8003 810102"))
        driver.view.write(0x5FC109, b"\x88\x1a\x89\x18" + key)

    system.card().admin(key).run(protect)
    system.card().release()
    with acquire("mine", NEW) as handle:
        api.CryptGenKey(handle, 1, SHORT)
        check_signature(public_key_of(handle), sign(handle))
    assert system.broker.prompt.count == 1


def test_the_default_card_of_each_kind_signs(system):
    for made, reader in ((virtual_piv(), "A"), (virtual_gids(), "B")):
        system.insert(made, reader)
        with acquire(in_reader(reader=reader)) as handle:
            check_signature(public_key_of(handle), sign(handle))

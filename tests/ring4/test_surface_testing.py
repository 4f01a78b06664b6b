"""The helpers for anyone's tests: systems of their own, virtual cards with every option, prompts, and outcomes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from certs import make
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from scarddesk import (
    READER,
    SECOND,
    SELECT_GIDS,
    SELECT_PIV,
    VERIFIED_PIV,
    VERIFY_PIV,
    raises,
    response_to,
    small_gids,
    small_piv,
)

from calais import System, WinError
from calais.testing import FixedPrompt, card_data, local_system, virtual_gids, virtual_piv
from calais.win.blobs import build_capi_private
from calais.win.structs import expand_certificate
from calais.winapi import advapi32 as a
from calais.winapi import cardmod as m
from calais.winapi import crypt32 as c
from calais.winapi import winscard as w

IMAGES = Path(__file__).parents[3] / "shared" / "data" / "icam-cards"
SMART_LOGON = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.2")


@cache
def p256(number=0):
    del number
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa2048():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def system():
    with local_system() as made:
        yield made


# --- local_system ----------------------------------------------------------------------------------------------------


def test_a_local_system_is_a_system_and_current_inside_with():
    system = local_system()
    assert isinstance(system, System)
    with system as entered:
        assert entered is system
        system.plug("Mine")
        assert w.SCardListReaders() == ["Mine"]
        with local_system() as inner:
            inner.plug("Inner")
            assert w.SCardListReaders() == ["Inner"]
        assert w.SCardListReaders() == ["Mine"]


def test_a_path_keeps_the_stores(tmp_path):
    certificate = make("Kept")
    for path in (tmp_path / "one", str(tmp_path / "one")):
        with local_system(path), c.CertOpenSystemStore(None, "MY") as store:
            if not list(store):
                c.CertAddEncodedCertificateToStore(store, 1, certificate, c.CERT_STORE_ADD_NEW)
    with local_system(tmp_path / "one"), c.CertOpenSystemStore(None, "MY") as store:
        assert c.CertEnumCertificatesInStore(store) is not None
    with local_system(tmp_path / "two"), c.CertOpenSystemStore(None, "MY") as store:
        assert c.CertEnumCertificatesInStore(store) is None


@pytest.mark.parametrize("location", ["CURRENT_USER", "LOCAL_MACHINE", "LOCAL_MACHINE_ENTERPRISE"])
@pytest.mark.usefixtures("system")
def test_every_store_location_is_writable(location):
    flags = getattr(c, f"CERT_SYSTEM_STORE_{location}")
    certificate = make("Written")
    with c.CertOpenStore(c.CERT_STORE_PROV_SYSTEM, 0, None, flags, "CA") as store:
        c.CertAddEncodedCertificateToStore(store, 1, certificate, c.CERT_STORE_ADD_NEW)
        assert c.CertEnumCertificatesInStore(store) is not None


@pytest.mark.parametrize("name", ["AllowPrivateExchangeKeyImport", "AllocPrivateECDHEKeyImport", "piv.write"])
def test_policy_takes_group_policy_names_and_dotted_ones(name):
    with local_system(policy={name: 1}) as system:
        assert system.readers() == []


@pytest.mark.parametrize(
    ("policy", "code"), [({}, 0x80090010), ({"AllowPrivateExchangeKeyImport": 1}, None)], ids=["default", "allowed"]
)
def test_a_policy_value_binds_and_imports_are_forbidden_by_default(policy, code):
    blob = build_capi_private(rsa2048(), a.CALG_RSA_KEYX)
    with local_system(policy=policy, prompt=FixedPrompt("123456")) as system:
        system.insert(small_gids())
        provider = a.CryptAcquireContext("box", None, 1, a.CRYPT_NEWKEYSET)
        if code:
            with raises(code):
                a.CryptImportKey(provider, blob)
        else:
            assert a.CryptImportKey(provider, blob)
        a.CryptReleaseContext(provider)


# --- readers ---------------------------------------------------------------------------------------------------------


def test_cards_go_in_and_out_and_readers_come_and_go(system):
    assert not system.readers()
    system.plug(READER)
    assert len(system.readers()) == 1
    card = small_piv()
    system.insert(card)
    system.insert(small_gids(), SECOND)
    assert len(system.readers()) == 2
    assert w.SCardListReaders() == [READER, SECOND]
    system.remove(READER)
    assert w.SCardListReaders() == [READER, SECOND]
    with w.SCardEstablishContext(0) as context:
        assert w.SCardLocateCards(context, [], [w.ReaderState(READER)])[0].event_state & w.SCARD_STATE_EMPTY
    system.insert(card, reader=READER)
    system.unplug(READER)
    assert w.SCardListReaders() == [SECOND]


def test_two_cards_do_not_fit_into_one_reader(system):
    system.insert(small_piv())
    with raises(w.SCARD_E_SHARING_VIOLATION):
        system.insert(small_piv())


@pytest.mark.parametrize("call", ["remove", "unplug"])
def test_a_reader_that_is_not_there_is_unknown(system, call):
    with raises(w.SCARD_E_UNKNOWN_READER):
        getattr(system, call)("Nowhere")


# --- cards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "select"), [(small_piv, SELECT_PIV), (small_gids, SELECT_GIDS)], ids=["piv", "gids"])
def test_a_card_answers_counts_and_forgets(make, select):
    card = make()
    assert card.process(select)[-2:] == b"\x90\x00"
    card.counter.clear()
    assert (card.counter.exchanges, card.counter.bytes_in, card.counter.bytes_out) == (0, 0, 0)
    answer = card.process(select)
    assert card.counter.exchanges == 1
    assert {card.counter.bytes_in, card.counter.bytes_out} == {len(select), len(answer)}
    assert 2 <= len(card.atr) <= 33
    assert card.atr[0] == 0x3B


@pytest.mark.parametrize("how", ["reset", "power_cycle"])
def test_a_reset_forgets_the_pin(how):
    card = small_piv()
    card.process(SELECT_PIV)
    assert card.process(VERIFY_PIV) == b"\x90\x00"
    assert card.process(VERIFIED_PIV) == b"\x90\x00"
    getattr(card, how)()
    card.process(SELECT_PIV)
    assert card.process(VERIFIED_PIV)[:1] == b"\x63"


@pytest.mark.parametrize("make", [small_piv, small_gids], ids=["piv", "gids"])
def test_the_same_seed_is_the_same_card(make):
    def challenge(seed):
        card = make(seed=seed)
        with local_system() as system:
            system.insert(card)
            with card_data(card) as data:
                return m.CardGetChallenge(data), m.CardGetProperty(data, m.CP_CARD_GUID)

    assert challenge(7) == challenge(7)
    assert challenge(7) != challenge(8)
    assert challenge("text")[0] != challenge(None)[0]


# --- virtual_piv -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("system")
def test_a_default_piv_card_has_three_keys_with_certificates_of_one_authority():
    with card_data(virtual_piv()) as data:
        infos = [m.CardGetContainerInfo(data, index) for index in range(3)]
        assert [bool(each.key_ex_public_key) for each in infos] == [True, False, True]
        assert [bool(each.sig_public_key) for each in infos] == [False, True, False]
        assert int.from_bytes(infos[0].key_ex_public_key[12:16], "little") == 2048
        assert infos[1].sig_public_key[4:8] == (32).to_bytes(4, "little")
        files = m.CardEnumFiles(data, "mscp")
        assert {"kxc00", "ksc01", "kxc02"} <= set(files)
        read = [m.CardReadFile(data, "mscp", name) for name in ("kxc00", "ksc01", "kxc02")]
        issuers = {x509.load_der_x509_certificate(expand_certificate(each)).issuer for each in read}
        assert len(issuers) == 1
        with raises(m.SCARD_E_NO_KEY_CONTAINER):
            m.CardGetContainerInfo(data, 3)
        m.CardAuthenticatePin(data, "user", b"123456")


@pytest.mark.usefixtures("system")
def test_keys_of_a_piv_card_are_the_given_ones_in_slot_order():
    certificate = x509.load_der_x509_certificate(make("Mine", key=p256()))
    card = virtual_piv(keys={0x9D: (p256(1), None), 0x9A: (p256(), certificate), 0x82: (p256(2), None)})
    with card_data(card) as data:
        numbers = p256().public_key().public_numbers()
        point = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        assert m.CardGetContainerInfo(data, 0).key_ex_public_key.endswith(point)
        assert "kxc00" in m.CardEnumFiles(data, "mscp")


@pytest.mark.usefixtures("system")
def test_a_piv_card_without_keys_has_no_containers():
    with card_data(virtual_piv(keys={})) as data:
        with raises(m.SCARD_E_NO_KEY_CONTAINER):
            m.CardGetContainerInfo(data, 0)
        m.CardAuthenticatePin(data, "user", b"123456")


@pytest.mark.usefixtures("system")
def test_pin_and_puk_are_the_given_ones():
    with card_data(small_piv(pin="654321", puk="87654321")) as data:
        with raises(m.SCARD_W_WRONG_CHV) as caught:
            m.CardAuthenticatePin(data, "user", b"123456")
        assert caught.value.attempts_left == 2
        m.CardAuthenticatePin(data, "user", b"654321")
        m.CardUnblockPin(data, "user", b"87654321", b"111111", 0, m.CARD_AUTHENTICATE_PIN_PIN)
        m.CardAuthenticatePin(data, "user", b"111111")


@pytest.mark.parametrize(
    ("options", "block"),
    [
        ({}, 8),
        ({"management_key": bytes(range(24))}, 8),
        ({"management_key": bytes(24), "management_key_algorithm": "3DES"}, 8),
        ({"management_key": bytes(16), "management_key_algorithm": "AES128"}, 16),
        ({"management_key": bytes(24), "management_key_algorithm": "AES192"}, 16),
        ({"management_key": bytes(32), "management_key_algorithm": "AES256"}, 16),
    ],
    ids=["default", "own", "3des", "aes128", "aes192", "aes256"],
)
@pytest.mark.usefixtures("system")
def test_the_management_key_authenticates_with_its_algorithm(options, block):
    with card_data(small_piv(**options)) as data:
        challenge = m.CardGetChallenge(data)
        assert len(challenge) % block == 0
        key = options.get("management_key", bytes.fromhex("010203040506070801020304050607080102030405060708"))
        m.CardAuthenticateChallenge(data, response_to(challenge, key, block))
        assert m.CardGetProperty(data, m.CP_CARD_AUTHENTICATED_STATE) & 4
        m.CardGetChallenge(data)
        with raises(m.SCARD_W_WRONG_CHV):
            m.CardAuthenticateChallenge(data, bytes(block))


@pytest.mark.usefixtures("system")
def test_a_read_only_card_says_so_and_is():
    for card in (small_piv(read_only=True), small_gids(read_only=True)):
        with card_data(card) as data:
            assert m.CardGetProperty(data, m.CP_CARD_READ_ONLY) is True
            assert m.CardQueryFreeSpace(data).key_containers_available == 0
            with raises(m.SCARD_E_UNSUPPORTED_FEATURE):
                m.CardCreateFile(data, "mscp", "x", 1, 1)
            with raises(m.SCARD_E_UNSUPPORTED_FEATURE):
                m.CardDeleteContainer(data, 0)


@pytest.mark.usefixtures("system")
def test_cards_are_writable_by_default():
    for card in (small_piv(), small_gids()):
        with card_data(card) as data:
            assert m.CardGetProperty(data, m.CP_CARD_READ_ONLY) is False


CHUID_TAG = bytes.fromhex("00CB3FFF055C035FC10200")


def chuid_of(card):
    card.process(SELECT_PIV)
    answer = card.process(CHUID_TAG)
    while answer[-2] == 0x61:
        answer = answer[:-2] + card.process(bytes.fromhex("00C00000") + answer[-1:])
    return answer


def test_the_chuid_has_the_given_guid_a_random_one_or_is_missing():
    guid = bytes(range(16))
    assert b"\x34\x10" + guid in chuid_of(small_piv(chuid_guid=guid))
    assert chuid_of(small_piv(chuid_guid=b""))[-2:] == b"\x6a\x82"
    one, two = chuid_of(small_piv()), chuid_of(small_piv())
    assert one[-2:] == two[-2:] == b"\x90\x00"
    where = one.index(b"\x34\x10")
    assert one[where : where + 18] != two[where : where + 18]
    assert b"\x3e" in one  # the signature


@pytest.mark.parametrize("tag", ["5C035FC107", "5C017E"], ids=["ccc", "discovery"])
def test_a_default_card_has_ccc_and_discovery(tag):
    card = small_piv()
    card.process(SELECT_PIV)
    data = bytes.fromhex(tag)
    assert card.process(bytes.fromhex("00CB3FFF") + bytes([len(data)]) + data + b"\x00")[-2:] == b"\x90\x00"


def test_a_default_card_has_the_yubico_commands():
    card = virtual_piv(keys={0x9A: (p256(), None)})
    card.process(SELECT_PIV)
    assert card.process(bytes.fromhex("00F7009A00"))[-2:] == b"\x90\x00"
    assert card.process(bytes.fromhex("00FD000000"))[-2:] == b"\x90\x00"
    assert card.process(bytes.fromhex("00F8000000"))[-2:] == b"\x90\x00"


def container_names():
    names = []
    with (
        a.CryptAcquireContext(f"\\\\.\\{READER}\\", None, 1, a.CRYPT_DEFAULT_CONTAINER_OPTIONAL) as provider,
        raises(259),
    ):
        while True:
            names.append(a.CryptGetProvParam(provider, a.PP_ENUMCONTAINERS, a.CRYPT_NEXT if names else a.CRYPT_FIRST))
    return names


def test_container_names_are_stable_or_volatile(system):
    keys = {0x9A: (rsa2048(), None)}
    system.insert(virtual_piv(keys=keys))
    assert container_names() == container_names()
    assert len(container_names()) == 1
    system.remove(READER)
    system.insert(virtual_piv(keys=keys, container_names="volatile"))
    assert container_names() != container_names()


@pytest.mark.parametrize(
    "name", [each.name for each in sorted(IMAGES.glob("*")) if each.is_dir()] if IMAGES.is_dir() else []
)
@pytest.mark.usefixtures("system")
def test_an_image_is_a_card(name):
    card = virtual_piv(image=IMAGES / name)
    assert w.SCardListCards(None, card.atr) == []
    with card_data(card) as data:
        assert m.CardGetContainerInfo(data, 0).key_ex_public_key
        certificate = x509.load_der_x509_certificate(expand_certificate(m.CardReadFile(data, "mscp", "kxc00")))
        assert certificate.subject


# --- card_data -------------------------------------------------------------------------------------------------------


def test_card_data_inserts_the_card_if_it_is_not(system):
    card = small_piv()
    with card_data(card) as data:
        assert m.CardQueryCapabilities(data)
        assert data.acquired
        assert data.version == 7
        assert data.atr == card.atr
        assert len(system.readers()) == 1
        with card_data(card) as again:
            assert m.CardQueryCapabilities(again)
            assert len(system.readers()) == 1
    assert not data.acquired
    with raises(m.SCARD_E_INVALID_PARAMETER):
        m.CardQueryCapabilities(data)


@pytest.mark.parametrize("version", [4, 5, 6, 7])
@pytest.mark.usefixtures("system")
def test_card_data_takes_a_version(version):
    with card_data(small_gids(), version=version) as data:
        assert data.version == version
        assert ("CardDeriveKey" in data.entry_points) is (version >= 5)
        assert ("CardAuthenticateEx" in data.entry_points) is (version >= 6)
        assert ("MDImportSessionKey" in data.entry_points) is (version >= 7)


@pytest.mark.usefixtures("system")
def test_calls_leave_the_card_authenticated_until_deauthentication():
    with card_data(small_piv()) as data:
        m.CardAuthenticatePin(data, "user", b"123456")
        assert m.CardGetProperty(data, m.CP_CARD_AUTHENTICATED_STATE) & 2
        m.CardDeauthenticateEx(data, 0xFF)
        assert not m.CardGetProperty(data, m.CP_CARD_AUTHENTICATED_STATE) & 2


# --- prompts ---------------------------------------------------------------------------------------------------------


def sign_once():
    provider = a.CryptAcquireContext(None, None, 1, 0)
    try:
        digest = a.CryptCreateHash(provider, a.CALG_SHA_256)
        a.CryptHashData(digest, b"text")
        return a.CryptSignHash(digest, a.AT_KEYEXCHANGE)
    finally:
        a.CryptReleaseContext(provider)


def test_a_fixed_prompt_answers_and_counts():
    prompt = FixedPrompt("123456")
    assert prompt.count == 0
    with local_system(prompt=prompt) as system:
        system.insert(virtual_gids(keys=[("a", 1, rsa2048(), None)]))
        signature = sign_once()
    rsa2048().public_key().verify(signature[::-1], b"text", padding.PKCS1v15(), hashes.SHA256())
    assert prompt.count == 1
    assert "123456" not in repr(prompt)


def test_nobody_to_ask_is_as_silent(system):
    system.insert(virtual_gids(keys=[("a", 1, rsa2048(), None)]))
    with raises(0x80090022):
        sign_once()


def test_a_wrong_answer_does_not_spend_all_tries():
    prompt = FixedPrompt("000000")
    with local_system(prompt=prompt) as system:
        card = small_piv(keys={0x9A: (rsa2048(), None)})
        system.insert(card)
        with pytest.raises(WinError):
            sign_once()
        card.process(SELECT_PIV)
        assert card.process(VERIFIED_PIV)[:1] == b"\x63"


# --- propagation -----------------------------------------------------------------------------------------------------


def test_propagation_tells_an_outcome_for_each_certificate(system):
    certificate = make("Propagated", key=rsa2048())
    loaded = x509.load_der_x509_certificate(certificate)
    card = virtual_piv(keys={0x9A: (rsa2048(), loaded)})
    system.insert(card)
    [outcome] = system.propagate()
    assert outcome.action == "added"
    assert isinstance(outcome.reason, str)
    assert outcome.certificate is not None
    [outcome] = system.propagate(READER)
    assert outcome.action in {"unchanged", "refreshed"}
    with c.CertOpenSystemStore(None, "MY") as store:
        context = c.CertEnumCertificatesInStore(store)
        info = c.CertGetCertificateContextProperty(context, c.CERT_KEY_PROV_INFO_PROP_ID)
        assert isinstance(info, c.CryptKeyProvInfo)
        assert info.container_name


def test_propagation_of_nothing_is_empty(system):
    assert system.propagate() == []
    system.plug(READER)
    assert system.propagate() == []
    system.insert(small_piv())
    assert system.propagate(reader=READER) == []


def test_propagation_of_an_unknown_reader_is_said(system):
    with raises(w.SCARD_E_UNKNOWN_READER):
        system.propagate("Nowhere")


def test_a_reader_is_emptied_and_unplugged_by_its_name_or_by_what_readers_tells():
    with local_system() as system:
        system.insert(virtual_piv(keys={}))
        [status] = system.readers()
        system.remove(status)
        assert not system.readers()[0].present
        system.unplug(status)
        assert system.readers() == []

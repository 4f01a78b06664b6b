"""The virtual GIDS card of the test helpers, with every option."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from scarddesk import (
    SELECT_GIDS,
    raises,
    response_to,
    small_gids,
)

from calais.testing import card_data, local_system, virtual_gids
from calais.winapi import cardmod as m

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


@pytest.mark.usefixtures("system")
def test_a_default_gids_card_has_one_exchange_key_with_a_certificate():
    with card_data(virtual_gids()) as data:
        info = m.CardGetContainerInfo(data, 0)
        assert int.from_bytes(info.key_ex_public_key[12:16], "little") == 2048
        assert info.sig_public_key == b""
        assert "kxc00" in m.CardEnumFiles(data, "mscp")
        with raises(m.SCARD_E_NO_KEY_CONTAINER):
            m.CardGetContainerInfo(data, 1)


@pytest.mark.usefixtures("system")
def test_keys_of_a_gids_card_are_the_given_ones_and_the_first_is_the_default():
    keys = [("One", m.AT_SIGNATURE, rsa2048(), None), (None, m.AT_KEYEXCHANGE, p256(), None)]
    with card_data(virtual_gids(keys=keys)) as data:
        assert m.CardGetContainerInfo(data, 0).sig_public_key
        assert m.CardGetContainerInfo(data, 1).key_ex_public_key
        records = m.ContainerMapRecord.parse_file(m.CardReadFile(data, "mscp", "cmapfile"))
        assert records[0].guid == "One"
        assert records[0].flags == 3
        assert records[1].flags == 1
        assert records[1].guid
        assert records[1].key_exchange_key_size_bits == 256


@pytest.mark.usefixtures("system")
def test_card_id_pin_and_admin_key_are_the_given_ones():
    card = small_gids(card_id=bytes(range(16)), pin="abcdef", admin_key=bytes(range(24)))
    with card_data(card) as data:
        assert m.CardReadFile(data, None, "cardid") == bytes(range(16))
        m.CardAuthenticatePin(data, "user", b"abcdef")
        challenge = m.CardGetChallenge(data)
        m.CardAuthenticateChallenge(data, response_to(challenge, bytes(range(24)), 8))


@pytest.mark.usefixtures("system")
def test_a_gids_card_without_admin_key_lists_the_user_only():
    with card_data(small_gids(admin_key=None)) as data:
        assert m.CardGetProperty(data, m.CP_CARD_LIST_PINS) == 0x02
        with raises(m.SCARD_E_INVALID_PARAMETER):
            m.CardGetChallengeEx(data, m.ROLE_ADMIN)


@pytest.mark.parametrize("offered", [True, False], ids=["offered", "not-offered"])
@pytest.mark.usefixtures("system")
def test_session_pins_are_an_option(offered):
    with card_data(small_gids(session_pins=offered)) as data:
        strength = m.CardGetProperty(data, m.CP_CARD_PIN_STRENGTH_VERIFY, m.ROLE_USER)
        assert bool(strength & m.CARD_PIN_STRENGTH_SESSION_PIN) is offered
        flags = m.CARD_AUTHENTICATE_GENERATE_SESSION_PIN
        if offered:
            session = m.CardAuthenticateEx(data, m.ROLE_USER, flags, b"123456")
            m.CardAuthenticateEx(data, m.ROLE_USER, m.CARD_AUTHENTICATE_SESSION_PIN, session)
        else:
            with raises(m.SCARD_E_UNSUPPORTED_FEATURE):
                m.CardAuthenticateEx(data, m.ROLE_USER, flags, b"123456")


def test_a_blank_card_is_selectable_and_not_yet_initialised():
    card = virtual_gids(blank=True)
    assert card.process(SELECT_GIDS)[-2:] == b"\x90\x00"


@pytest.mark.usefixtures("system")
def test_a_contactless_card_works():
    with card_data(virtual_gids(contactless=True, keys=[])) as data:
        assert m.CardReadFile(data, None, "cardid")

"""docs/writing-a-driver.md: the driver it shows works, from the card to the Windows names."""

import re

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from tincard import PAGE, TRIES, example, tin_card

from calais.cards import registry
from calais.testing import card_data, local_system
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi.cardmod import CardAcquireContext, CardAuthenticatePin, CardData


@pytest.fixture
def tin(monkeypatch):
    """A Tin in a reader, its driver installed."""
    monkeypatch.setattr(registry, "installed", lambda: {"tin": example().tin})
    card = tin_card()
    with local_system() as system:
        system.insert(card)
        yield card


def test_the_test_of_the_page_passes(tin):
    space = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[-1], space)
    signature = space["try_it"](tin)
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    key = tin.applet.key.public_key()
    key.verify(encode_dss_signature(r, s), bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))


def test_its_certificate_reaches_the_store(tin):
    with local_system() as system:
        system.insert(tin, "Other Reader")
        assert [outcome.action for outcome in system.propagate()] == ["added"]
        assert system.card().containers[0].certificate == tin.applet.certificate


def test_the_driver_is_known_by_the_name_of_its_entry_point(tin):
    data = card_data(tin)
    assert data.card_name == "tin"
    CardAcquireContext(data)
    assert type(data.driver).__name__ == "Tin"


def test_a_card_name_that_no_driver_has_is_unknown(tin):
    data = card_data(tin)
    data.card_name = "tinned"
    with pytest.raises(WinError) as error:
        CardAcquireContext(data)
    assert error.value.code == Code.SCARD_E_UNKNOWN_CARD


def test_tries_run_out_as_the_contract_says(tin):
    data = card_data(tin)
    CardAcquireContext(data)
    for left in reversed(range(TRIES)):
        with pytest.raises(WinError) as error:
            CardAuthenticatePin(data, "user", b"0000")
        assert (error.value.code, error.value.attempts_left) == (Code.SCARD_W_WRONG_CHV, left)
    with pytest.raises(WinError) as error:
        CardAuthenticatePin(data, "user", b"1234")
    assert (error.value.code, error.value.attempts_left) == (Code.SCARD_W_CHV_BLOCKED, 0)


def test_without_a_card_it_offers_nothing(tin):
    with pytest.raises(WinError) as error:
        CardAcquireContext(CardData(card_name="tin"), 1)
    assert error.value.code == Code.SCARD_E_UNSUPPORTED_FEATURE

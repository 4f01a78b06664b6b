"""The certification kit through a real pcscd: the same cards are as green as in process."""

from __future__ import annotations

import pytest

from calais.apps.certify.book import all_checks
from calais.apps.certify.rules import Verdict
from calais.apps.certify.run import run
from calais.apps.certify.subjects import driving, scratch_piv
from calais.apps.certify.trial import Secrets, Subject
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.piv.driver import PivMinidriver
from calais.cards.piv.spec import DEFAULT_MANAGEMENT_KEY
from calais.minidriver.pins import Pin
from calais.testing import PrivatePcscd, virtual_gids

pytestmark = [
    pytest.mark.requires("pcscd", package="pcscd"),
    pytest.mark.requires("/usr/lib*/pcsc/drivers/serial/libifdvpcd.so", package="vsmartcard-vpcd"),
]

CARDS = {
    "PIV": (scratch_piv, PivMinidriver, DEFAULT_MANAGEMENT_KEY),
    "GIDS": (virtual_gids, GidsMinidriver, bytes(24)),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_behind_pcscd_is_green(name):
    make, kind, key = CARDS[name]
    with PrivatePcscd() as private:
        private.insert(make())
        secrets = Secrets(Pin("123456"), Pin("12345678"), key)
        subject = Subject(name, private.connect, driving(kind, {}), secrets, destructive=True)
        found = run(subject, all_checks())
    failed = [(each.check.name, each.expected, each.came) for each in found.results if each.verdict is Verdict.FAIL]
    assert failed == []
    assert found.passed

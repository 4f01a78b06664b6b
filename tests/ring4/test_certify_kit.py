"""The certification kit is green on our cards, tells no secret, changes nothing unasked, and reports in three forms."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree as ET

import broken_drivers
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pivdesk import certificate

from calais.apps.certify import report as reports
from calais.apps.certify.book import CHAPTERS, all_checks
from calais.apps.certify.page import page
from calais.apps.certify.rules import Need, Verdict, chosen
from calais.apps.certify.run import run
from calais.apps.certify.subjects import on_card, scratch_piv
from calais.apps.certify.trial import Secrets
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.piv.driver import PivMinidriver
from calais.cards.piv.spec import DEFAULT_MANAGEMENT_KEY
from calais.minidriver.pins import Pin
from calais.testing import virtual_gids, virtual_piv
from calais.testing.cards import test_rsa_key
from calais.win.errors import BadParameter

PIN, PUK = Pin("123456"), Pin("12345678")
GIDS_KEY = bytes(24)


def piv(policy=None, **options):
    card = virtual_piv(**options) if options else scratch_piv(test_rsa_key("certify"))
    key = None if options.get("read_only") else DEFAULT_MANAGEMENT_KEY
    return on_card(PivMinidriver, card, "virtual PIV", policy=policy, secrets=Secrets(PIN, PUK, key))


def gids(**options):
    rsa_key, p256, p384 = (
        test_rsa_key("GIDS"),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
    )
    keys = [
        (None, 1, rsa_key, certificate(rsa_key)),
        (None, 2, p256, None),
        (None, 1, p384, certificate(p384)),
        ("a signature", 2, rsa_key, None),
    ]
    card = virtual_gids(keys=keys, **options)
    return on_card(GidsMinidriver, card, "virtual GIDS", secrets=Secrets(PIN, PUK, options.get("admin_key", GIDS_KEY)))


SUBJECTS = {
    "PIV read-write": piv,
    "PIV read-only by policy": lambda: piv({"piv.write": False}),
    "PIV read-only by its maker": lambda: piv(read_only=True),
    "PIV with short lengths": lambda: piv(extended=False),
    "GIDS read-write": gids,
    "GIDS read-only": lambda: gids(read_only=True),
    "GIDS without administrator": lambda: gids(admin_key=None),
    "GIDS without session PINs": lambda: gids(session_pins=False),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_our_drivers_are_green(name):
    found = run(SUBJECTS[name](), all_checks())
    failed = [(r.check.name, r.expected, r.came) for r in found.results if r.verdict is Verdict.FAIL]
    assert failed == []
    assert found.passed
    print(name, dict(Counter(str(result.verdict) for result in found.results)))


def test_each_check_passes_on_some_card():
    passed = set()
    for make in (piv, gids, SUBJECTS["PIV read-only by policy"]):
        passed |= {result.check.name for result in run(make(), all_checks()).results if result.verdict is Verdict.PASS}
    missing = {check.name for check in all_checks()} - passed
    assert missing <= {"piv.key_history", "piv.security_object", "contexts.processes"}


def test_names_are_unique_and_rules_are_sentences_with_a_source():
    checks = all_checks()
    assert len({check.name for check in checks}) == len(checks) > 200
    for check in checks:
        assert check.rule.endswith("."), check.name
        assert check.source, check.name
    assert len({chapter.name for chapter in CHAPTERS}) == len(CHAPTERS)


def test_a_chapter_or_a_check_can_be_chosen():
    checks = all_checks()
    assert {check.name.split(".")[0] for check in chosen(checks, ("sign", "use."))} == {"sign", "use"}
    assert [check.name for check in chosen(checks, ("files.cardid_length",))] == ["files.cardid_length"]
    with pytest.raises(BadParameter):
        chosen(checks, ("sig",))


def test_without_leave_and_secrets_nothing_that_wants_them_is_tried():
    card = scratch_piv(test_rsa_key("certify"))
    before = card.applet.memory.read() if hasattr(card.applet, "memory") else None
    subject = replace(piv(), connect=on_card(PivMinidriver, card, "x").connect, secrets=Secrets(), destructive=False)
    found = run(subject, all_checks())
    for result in found.results:
        assert (result.verdict is Verdict.SKIPPED) == bool(result.check.needs), result.check.name
    assert not found.count(Verdict.FAIL)
    if before is not None:
        assert card.applet.memory.read() == before


def test_what_changes_a_card_needs_leave():
    for check in all_checks():
        if check.name.startswith(("write.", "write_files.", "pin_change.")):
            assert Need.DESTRUCTIVE in check.needs, check.name


def test_the_card_is_as_before_after_everything_was_tried():
    card = scratch_piv(test_rsa_key("certify"))
    with_driver = on_card(PivMinidriver, card, "x")

    def look():
        from calais.apps.certify.observation import observe
        from calais.apps.certify.trial import Trial

        with Trial(with_driver) as trial, trial.driver() as driver:
            seen = observe(driver)
            return {key: value for key, value in seen.items() if key != "cardcf"}, driver.pin_status(1).attempts_left

    before = look()
    run(with_driver, all_checks())
    assert look() == before


def test_a_wrong_pin_is_presented_once():
    secrets = Secrets(Pin("654321"), None, None)
    found = run(replace(piv(), secrets=secrets), chosen(all_checks(), ("pins", "sign", "use")))
    assert secrets.refused
    refused = [result for result in found.results if "SCARD_W_WRONG_CHV" in result.came]
    assert len(refused) == 1
    later = [r for r in found.results if Need.PIN in r.check.needs][1:]
    assert all(result.verdict is Verdict.SKIPPED for result in later)


def test_a_driver_that_burns_tries_by_asking_is_stopped():
    subject = on_card(broken_drivers.StatusBurnsATry, scratch_piv(test_rsa_key("certify")), "burns")
    found = run(subject, chosen(all_checks(), ("pins", "pin_change")))
    after = [r for r in found.results if "stopped" in r.reason]
    assert len(after) == len(found.results) - 1 - [r.check.name for r in found.results].index("pins.status_is_free")


# --- reports ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failed_run():
    subject = on_card(broken_drivers.WrongPadding, scratch_piv(test_rsa_key("certify")), "<b>title</b>\x1b[31m\x00")
    return run(subject, chosen(all_checks(), ("sign", "pins", "admin", "pin_change", "write.import")))


def forms(found):
    document = reports.document(found)
    return json.dumps(document), reports.junit(found).decode(), page(document)


def test_no_secret_is_in_any_report(failed_run):
    key = DEFAULT_MANAGEMENT_KEY.hex()
    for text in forms(failed_run):
        for secret in ("123456", "12345678", b"123456".hex(), key):
            assert secret not in text.replace(" ", "").lower().replace("0123456789abcdef", "")


def test_evidence_shows_the_exchanges_with_pins_left_out(failed_run):
    (check,) = [c for c in reports.document(failed_run)["checks"] if c["name"] == "sign.rsa_pkcs1_padding"]
    assert any(line.startswith("00 20 00 80 [") and line.endswith("9000") for line in check["trace"])
    assert check["expected"]
    assert check["came"]


def test_the_document_says_everything(failed_run):
    found = reports.document(failed_run)
    assert found["certify"] == 1
    assert not found["passed"]
    assert sum(found["summary"].values()) == len(found["checks"])
    assert found["driver"] == "broken_drivers.WrongPadding"
    assert {row["operation"] for row in found["figures"]} >= {"identity", "list, first time", "present the PIN"}


def test_junit_counts_and_escapes(failed_run):
    root = ET.fromstring(reports.junit(failed_run))
    suites = root.findall("testsuite")
    assert sum(int(suite.get("failures")) for suite in suites) == failed_run.count(Verdict.FAIL) > 0
    assert sum(len(suite.findall("testcase")) for suite in suites) == len(failed_run.results)
    assert all(case.find("failure").text for case in root.iter("testcase") if case.find("failure") is not None)


def test_control_characters_and_markup_stay_text(failed_run):
    hostile = replace(failed_run, driver="</script><img src=x>\x00\ufffe\ud800", card={"label": "<svg onload=1>\x1b"})
    ET.fromstring(reports.junit(hostile))
    text = page(reports.document(hostile))
    assert "<img" not in text
    assert "<svg" not in text


def test_the_page_needs_nothing_else(failed_run):
    text = page(reports.document(failed_run))
    assert text.startswith("<!doctype html>")
    for outside in ("http://", "https://", "<script", "src=", "@import", "url("):
        assert outside not in text
    assert text.count("<details") == text.count("</details>") > len(failed_run.results)

"""Which certificates a logon offers, by policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from calais.apps.logon import ANY_PURPOSE, CLIENT, LOGON, Candidate, offers
from calais.provider.policy import Policy

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MAIL = "1.3.6.1.5.5.7.3.4"
GOOD = Candidate(
    reader="Reader",
    container="one",
    reference="9A",
    thumbprint="00",
    subject=("DC=com", "DC=example", "CN=Ada"),
    name="Ada",
    upn="ada@example.com",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    key_spec=1,
    usages=frozenset({LOGON, CLIENT}),
    template=("1.2.3", 100),
)


def refusals(one, **values):
    return list(offers([one], Policy.from_values(values), NOW)[0].refusals)


def test_a_certificate_for_logon_is_offered_by_user_name():
    (offer,) = offers([GOOD], Policy(), NOW)
    assert offer.offered
    assert offer.label == "Ada (ada@example.com)"


LIMITED = {
    "AllowTimeInvalidCertificates": [
        replace(GOOD, not_after=datetime(2026, 5, 1, tzinfo=UTC)),
        replace(GOOD, not_before=datetime(2026, 7, 1, tzinfo=UTC)),
    ],
    "AllowSignatureOnlyKeys": [replace(GOOD, key_spec=2)],
    "X509HintsNeeded": [replace(GOOD, upn="")],
    "AllowCertificatesWithNoEKU": [
        replace(GOOD, usages=None),
        replace(GOOD, usages=frozenset({CLIENT})),
        replace(GOOD, usages=frozenset({ANY_PURPOSE, MAIL})),
    ],
    "EnumerateECCCerts": [replace(GOOD, is_ec=True)],
}


@pytest.mark.parametrize(
    ("name", "one"), [(name, one) for name, ones in LIMITED.items() for one in ones], ids=lambda each: str(each)[:30]
)
def test_each_limit_is_named_and_lifted_by_its_policy_and_no_other(name, one):
    (said,) = refusals(one)
    assert said.endswith(f"{name} is off")
    assert refusals(one, **{name: 1}) == []
    others = {other: 1 for other in LIMITED if other != name}
    assert refusals(one, **others) == [said]


@pytest.mark.parametrize(
    "one", [replace(GOOD, signs=False), replace(GOOD, usages=frozenset({MAIL}))], ids=["no", "mail"]
)
def test_what_is_for_other_things_is_never_offered(one):
    everything = dict.fromkeys(LIMITED, 1)
    assert len(refusals(one, **everything)) == 1


def test_every_reason_is_told():
    bad = replace(GOOD, key_spec=2, upn="", is_ec=True, usages=None, signs=False, not_after=GOOD.not_before)
    assert len(refusals(bad)) == 5
    assert len(refusals(replace(bad, is_ec=False))) == 5


@pytest.mark.parametrize(("reverse", "label"), [(0, "DC=com, DC=example, CN=Ada"), (1, "CN=Ada, DC=example, DC=com")])
def test_a_subject_is_shown_in_its_order_or_back_to_front(reverse, label):
    policy = Policy.from_values({"X509HintsNeeded": 1, "ReverseSubject": reverse})
    assert offers([replace(GOOD, upn="")], policy, NOW)[0].label == label


OLDER = replace(GOOD, reference="82", container="old", not_after=datetime(2026, 9, 1, tzinfo=UTC))


def shown(candidates, **values):
    return [offer.candidate.reference for offer in offers(candidates, Policy.from_values(values), NOW) if offer.offered]


def test_without_the_filter_all_are_offered():
    assert shown([OLDER, GOOD]) == ["82", "9A"]


def test_the_filter_keeps_the_last_to_expire_and_says_so():
    assert shown([OLDER, GOOD], FilterDuplicateCerts=1) == ["9A"]
    (first, _) = offers([OLDER, GOOD], Policy.from_values({"FilterDuplicateCerts": 1}), NOW)
    assert first.refusals == ("9A has a better one; FilterDuplicateCerts is on",)


def test_the_filter_keeps_the_default_certificate():
    assert shown([replace(OLDER, is_default=True), GOOD], FilterDuplicateCerts=1) == ["82"]


@pytest.mark.parametrize(
    "change",
    [{"template": ("1.2.3", 101)}, {"template": None}, {"upn": "eve@example.com"}, {"reader": "Other"}],
    ids=["version", "no template", "user", "card"],
)
def test_the_filter_leaves_what_is_not_the_same(change):
    assert shown([replace(OLDER, **change), GOOD], FilterDuplicateCerts=1) == ["82", "9A"]


def test_the_filter_comes_after_the_time():
    over = replace(GOOD, not_after=datetime(2026, 5, 1, tzinfo=UTC), is_default=True)
    assert shown([OLDER, over], FilterDuplicateCerts=1) == ["82"]

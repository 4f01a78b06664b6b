"""What ``explain`` says of a link is what CryptAcquireCertificatePrivateKey does with it, and what it advises helps."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

from dataclasses import replace

import pytest
from cspdesk import gids, piv
from linkdesk import *
from people import card, key_of, rsa_of
from pivdesk import certificate, der

from calais.apps import linkrepair
from calais.apps.explain import follow
from calais.apps.linkfacts import PROVIDERS, gather, look_thoroughly
from calais.testing import local_system, virtual_gids
from calais.win.errors import WinError
from calais.winapi.crypt32 import *

CARDS = {
    "GIDS": lambda: gids(names=("one", "two")),
    "PIV": piv,
    "GIDS EC": lambda: virtual_gids(keys=[("ec", 2, key_of("agrees"), certificate(key_of("agrees")))], seed=1),
    "PIV EC": lambda: card(0x9A),
    "PIV volatile": lambda: piv(container_names="volatile"),
}
CHANGES = {
    "whole": {},
    "no link": None,
    "container gone": {"container_name": "gone"},
    "no name": {"container_name": "no\\name"},
    "by reader": {"container_name": "\\\\.\\Virtual Reader 0\\"},
    "reader gone": {"container_name": "\\\\.\\Gone\\one"},
    "slot": {"key_spec": 2},
    "unknown provider": {"prov_name": "Unheard Of"},
    "other technology": {"prov_name": KSP},
    "other type": {"prov_type": 24},
    "software": {"prov_name": MS_ENH_RSA_AES_PROV, "prov_type": 24},
    "CSP link": {"prov_name": MS_SCARD_PROV, "prov_type": 1, "key_spec": 0},
    "KSP link": {"prov_name": KSP, "prov_type": 0, "key_spec": 0},
}


@pytest.fixture
def system():
    with local_system(prompt=Prompt()) as system:
        yield system


def propagated(system):
    """The certificate of the default container, in the store."""
    system.propagate()
    wanted = system.card().containers.default.certificate
    store = system.store()
    return next(each for each in store if each.der == wanted)


def told(system, certificate):
    return follow(gather(system, certificate, "My"), system.clock.now())


def code_of(certificate):
    """What a program gets that asks for the kind of key that the link is of, and nothing is mended for it."""
    link = certificate.key_prov_info
    way = ALLOW if link is not None and link.prov_type == 0 else 0
    try:
        acquire(certificate.context, way | NO_HEALING | COMPARE | SILENT).handle.close()
    except WinError as error:
        return error.code
    return 0


def repair(system, certificate):
    link = certificate.key_prov_info
    plan = linkrepair.plan(certificate.der, link, look_thoroughly(system, [link]), PROVIDERS)
    return linkrepair.apply(certificate, plan)


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("change", list(CHANGES))
def test_explain_gives_the_code_that_a_program_gets_and_a_repair_mends_it(system, kind, change):
    insert(CARDS[kind]())
    found = propagated(system)
    changes = CHANGES[change]
    found.key_prov_info = None if changes is None else replace(found.key_prov_info, **changes)
    explanation, code = told(system, found), code_of(found)
    assert [each.code for each in explanation.breaks] == ([code] if code else [])
    done = repair(system, found)
    assert done.writes == bool(code)
    assert code_of(found) == 0
    assert told(system, found).works
    if code:
        assert explanation.breaks[0].mend.endswith("calais cert repair")


@pytest.mark.parametrize("kind", ["GIDS", "PIV"])
def test_a_link_to_another_key_is_told_and_mended(system, kind):
    insert(CARDS[kind]())
    found = propagated(system)
    other = next(each for each in system.card().containers if not each.is_default)
    found.key_prov_info = replace(found.key_prov_info, container_name=other.name, key_spec=0)
    assert [each.code for each in told(system, found).breaks] == [code_of(found)] == [NTE_BAD_PUBLIC_KEY]
    assert repair(system, found).writes
    assert code_of(found) == 0


@pytest.mark.parametrize("change", ["whole", "no link", "container gone", "KSP link"])
def test_without_card_or_reader_the_codes_agree_and_nothing_is_written(system, change):
    insert(CARDS["GIDS"]())
    found, changes = propagated(system), CHANGES[change]
    found.key_prov_info = None if changes is None else replace(found.key_prov_info, **changes)
    for away in (system.remove, system.unplug):
        away(READER)
        assert [each.code for each in told(system, found).breaks] == [code_of(found)]
        before = found.key_prov_info
        assert not repair(system, found).writes
        assert found.key_prov_info == before


def test_a_certificate_that_is_newer_on_the_card_is_told_and_propagation_brings_it(system):
    insert(CARDS["GIDS"]())
    found = propagated(system)
    newer = der(certificate(rsa_of("gids 0"), "renewed", serial=99))
    system.card().holder("write").run(lambda driver: driver.write_certificate(0, newer))
    (broken,) = told(system, found).breaks
    assert (broken.name, broken.mend.split(": ")[1]) == ("certificate_replaced", "calais propagate")
    assert "added" in [str(outcome.action) for outcome in system.propagate()]

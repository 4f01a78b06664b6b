from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from calais.apps.policies import survey
from calais.provider.policy import Policy, read
from calais.provider.settings import ALIASES, SETTINGS, setting_of
from calais.resource.places import Places
from calais.win.errors import BadParameter


def test_every_value_has_a_name_and_its_default_is_legal():
    assert {setting.field for setting in SETTINGS} == {field.name for field in fields(Policy)}
    for setting in SETTINGS:
        value = getattr(Policy(), setting.field)
        assert setting.checked(value, "test") == value
        assert setting.meaning
        assert setting.choices


def test_names_of_group_policy_and_dotted_names_are_taken():
    policy = Policy.from_values({"TransactionTimeoutMilliseconds": 10, "piv.write": False, "CertPropEnabled": 0})
    assert (policy.transaction_timeout_ms, policy.piv_write, policy.propagation_enabled) == (10, False, False)


def test_the_guidelines_own_spelling_is_taken():
    assert Policy.from_values({"AllocPrivateECDHEKeyImport": 1}).allow_ecdhe_key_import


def test_import_of_keys_is_forbidden_by_default():
    assert [value for name, value in Policy().values().items() if name.startswith("AllowPrivate")] == [False] * 4


def test_values_come_back_by_their_public_names():
    assert Policy().values()["TransactionTimeoutMilliseconds"] == 1500
    assert Policy.from_values(Policy().values()) == Policy()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"TransactionTimeoutMiliseconds": 1}, "did you mean TransactionTimeoutMilliseconds"),
        ({"nonsense": 1}, "no policy named 'nonsense'"),
        ({"piv.write": 2}, "allowed: 0 or 1"),
        ({"piv.write": "yes"}, "allowed: 0 or 1"),
        ({"TransactionTimeoutMilliseconds": -1}, "allowed: 0 … 4294967295"),
        ({"TransactionTimeoutMilliseconds": True}, "allowed: 0 … 4294967295"),
        ({"piv.container_names": "funny"}, 'allowed: "windows", "volatile"'),
        ({"piv.container_names": ["windows"]}, 'allowed: "windows", "volatile"'),
    ],
)
def test_unknown_names_and_values_are_refused_and_the_legal_ones_named(values, said):
    with pytest.raises(BadParameter) as caught:
        Policy.from_values(values, "here")
    assert said in caught.value.detail
    assert caught.value.detail.startswith("here: ")


def test_the_second_file_wins_and_a_missing_one_is_no_error(tmp_path):
    (tmp_path / "one.toml").write_text('TransactionTimeoutMilliseconds = 1\n[piv]\nwrite = false\nproof = "whole"\n')
    (tmp_path / "two.toml").write_text("piv.write = true\n")
    policy = Policy.from_files(tmp_path / "one.toml", tmp_path / "two.toml", tmp_path / "three.toml")
    assert (policy.transaction_timeout_ms, policy.piv_write, policy.piv_proof) == (1, True, "whole")


@pytest.mark.parametrize("text", ["piv.write = ", "\xff", "piv = 1"])
def test_a_file_that_is_wrong_is_named(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadParameter, match=r"policy\.toml"):
        Policy.from_files(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "policy.toml").mkdir()
    with pytest.raises(BadParameter, match=r"policy\.toml"):
        Policy.from_files(tmp_path / "policy.toml")


# --- names, lines, layers ---


@pytest.mark.parametrize(
    "name",
    ["ALLOWPRIVATEECDHEKEYIMPORT", "allocprivateecdhekeyimport", "AllocPrivateECDHEKeyImport"],
)
def test_names_are_taken_in_any_case_as_in_the_registry(name):
    assert Policy.from_values({name: 1}).allow_ecdhe_key_import


@pytest.mark.parametrize(("other", "name"), ALIASES.items())
def test_other_spellings_are_taken(other, name):
    assert Policy.from_values({other: 0}) == Policy.from_values({name: 0})


def test_every_value_of_microsofts_tables_is_known():
    tables = """
        DefaultPrivateKeyLenBits RequireOnCardPrivateKeyGen TransactionTimeoutMilliseconds
        AllowPrivateSignatureKeyImport AllowPrivateExchangeKeyImport AllocPrivateECDHEKeyImport AllowPrivateECDSAKeyImport
        CertPropEnabled EnableRootCertificatePropagation RootCertificateCleanupOption
        AllowCertificatesWithNoEKU EnumerateECCCerts AllowIntegratedUnblock IntegratedUnblockPromptString
        AllowSignatureOnlyKeys AllowTimeInvalidCertificates X509HintsNeeded FilterDuplicateCerts
        ForceReadingAllCertificates ReverseSubject DisallowPlaintextPin EnableScPnP ScPnPNotification
        scforceoption scremoveoption CRLTimeoutPeriod UseCachedCRLOnlyAndIgnoreRevocationUnknownErrors
    """
    for name in tables.split():
        assert setting_of(name, "test").name


TEXT = """\
# a policy
TransactionTimeoutMilliseconds = 5   # five

[piv]
write = true
"container_names" = 'volatile'
[ keys ]
verify_signatures = "always"
[gids]
write = 0
"""


def test_the_line_of_every_value_is_known(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    assert {name: given.origin for name, given in read(path).items()} == {
        "TransactionTimeoutMilliseconds": f"{path}:2",
        "piv.write": f"{path}:5",
        "piv.container_names": f"{path}:6",
        "keys.verify_signatures": f"{path}:8",
        "gids.write": f"{path}:10",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nTransactionTimeoutMilliseconds = -1\n", ":3: TransactionTimeoutMilliseconds = -1 is not possible"),
        ("[piv]\n\nproof = 'half'", ':3: piv.proof = \'half\' is not possible; allowed: "head", "whole"'),
        ("[piv]\nwrites = 1", ":2: there is no policy named 'piv.writes'; did you mean piv.write?"),
        ("piv = { writes = 1 }", ":1: there is no policy named 'piv.writes'"),
        ("'piv'.writes = 1", ":1: there is no policy named 'piv.writes'"),
        ('x = """\n= 1"""', ":1: there is no policy named 'x'"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_what_is_allowed(tmp_path, text, said):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(BadParameter) as caught:
        Policy.from_files(path)
    assert f"{path}{said}" in caught.value.detail


def test_the_stronger_file_wins_and_the_weaker_ones_are_named(tmp_path):
    user, machine = tmp_path / "user.toml", tmp_path / "machine.toml"
    user.write_text("piv.write = true\ngids.write = false\n")
    machine.write_text("piv.write = false\n")
    rows = {row.setting.name: row for row in survey([user, machine])}
    assert (rows["piv.write"].value, rows["piv.write"].origin) == (False, f"{machine}:1")
    assert rows["piv.write"].overruled == (f"{user}:1",)
    assert (rows["gids.write"].value, rows["gids.write"].origin, rows["gids.write"].overruled) == (
        False,
        f"{user}:2",
        (),
    )
    assert (rows["piv.proof"].value, rows["piv.proof"].effective, rows["piv.proof"].origin) == (None, "head", "")


def test_the_machines_file_is_the_stronger_one(monkeypatch, tmp_path):
    monkeypatch.delenv("CALAIS_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Places.of().policies == (Path("/etc/calais/policy.toml"), tmp_path / "calais" / "policy.toml")


def test_a_value_that_needs_another_is_off_without_it():
    policy = Policy.from_values({"CertPropEnabled": 0})
    assert not policy.effective(setting_of("EnableRootCertificatePropagation", "test"))
    assert Policy().effective(setting_of("EnableRootCertificatePropagation", "test"))

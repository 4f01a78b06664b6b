from __future__ import annotations

from dataclasses import fields

import pytest

from calais.provider.policy import SETTINGS, Policy
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

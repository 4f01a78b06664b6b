"""The table of algorithms says the same of a key whichever way it is looked up."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from calais.provider.ksp.algorithms import ALGORITHMS, RSA, algorithm_named, algorithm_of
from calais.win.codes import Code
from calais.win.errors import Unsupported


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: str(row.name))
def test_a_row_is_found_by_its_name(row):
    assert algorithm_named(str(row.name)) is row
    assert row.signs or row.agrees


@pytest.mark.parametrize("row", [row for row in ALGORITHMS if row.curve], ids=lambda row: str(row.name))
def test_a_row_is_found_by_a_key_on_its_curve(row):
    public = ec.generate_private_key(row.curve).public_key()
    assert algorithm_of(public, row.scheme) is row
    assert row.signs != row.agrees


def test_rsa_signs_and_encrypts_and_agrees_on_nothing():
    assert (RSA.is_rsa, RSA.signs, RSA.agrees, RSA.operations) == (True, True, False, 0x14)


@pytest.mark.parametrize("name", ["", "rsa", "ECDSA", "ECDSA_P224", "AES", "RSA_SIGN"])
def test_other_names_are_not_supported(name):
    with pytest.raises(Unsupported) as caught:
        algorithm_named(name)
    assert caught.value.code == Code.NTE_NOT_SUPPORTED


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.BrainpoolP256R1()], ids=lambda curve: curve.name)
def test_other_curves_are_not_supported(curve):
    with pytest.raises(Unsupported):
        algorithm_of(ec.generate_private_key(curve).public_key())


def test_other_kinds_of_keys_are_not_supported():
    with pytest.raises(Unsupported):
        algorithm_of(ed25519.Ed25519PrivateKey.generate().public_key())

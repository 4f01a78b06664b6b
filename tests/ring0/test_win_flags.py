from __future__ import annotations

import enum
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from calais.win import flags
from calais.win.flags import cardmod, certenroll, crypt32, ncrypt, oids, wincrypt, winscard
from calais.win.flags.base import OpenEnum

MODULES = (cardmod, certenroll, crypt32, ncrypt, oids, wincrypt, winscard)
TABLE = dict(
    line.split("\t") for line in Path(__file__).with_name("win_constants.tsv").read_text(encoding="utf-8").splitlines()
)


def is_constant(value):
    return isinstance(value, int | str | tuple) and not isinstance(value, type)


def constants_of(module):
    return {name: value for name, value in vars(module).items() if name[0] != "_" and is_constant(value)}


def families():
    return [
        family
        for module in MODULES
        for family in vars(module).values()
        if isinstance(family, enum.EnumMeta) and family.__module__ == module.__name__
    ]


def shown(value):
    if isinstance(value, str):
        return f'"{value}"'
    return f"{int(value):#x}" if isinstance(value, int) else repr(value)


def test_every_constant_of_the_checked_in_table_is_exported_with_its_value():
    assert {name: shown(getattr(flags, name, None)) for name in TABLE} == TABLE


def test_every_constant_of_a_module_is_in_the_checked_in_table():
    assert {name for module in MODULES for name in constants_of(module)} == set(TABLE)


def test_no_name_means_two_things():
    names = Counter(name for module in MODULES for name in constants_of(module))
    assert {name for name, count in names.items() if count > 1} == {"AT_KEYEXCHANGE", "AT_SIGNATURE"}
    kinds = [family.__name__ for family in families()]
    assert len(kinds) == len(set(kinds))


def test_every_number_of_a_family_is_a_constant():
    values = {value for module in MODULES for value in constants_of(module).values()}
    assert not [member for family in families() for member in family.__members__.values() if member.value not in values]


def test_closed_sets_refuse_unknown_numbers():
    with pytest.raises(ValueError, match="9"):
        flags.AddDisposition(9)


def test_open_sets_keep_unknown_numbers():
    user = flags.PropId(0x9001)
    assert (user, user.name, user.value, int(user)) == (0x9001, "0x9001", 0x9001, 0x9001)
    assert flags.PropId(2) is flags.PropId.KEY_PROV_INFO


@pytest.mark.parametrize("value", [-1, 1 << 32, "2", None])
def test_open_sets_refuse_what_is_no_unsigned_32_bit_number(value):
    with pytest.raises(ValueError, match="is not a valid"):
        flags.ProvParam(value)


def test_masks_keep_unknown_bits():
    mask = flags.StoreOpenFlag(0x8000 | 0x7)
    assert mask & flags.StoreOpenFlag.READONLY
    assert int(mask) == 0x8007


def test_the_complement_of_a_constant_keeps_bits_that_no_family_knows():
    assert 0x8000_0041 & ~flags.CRYPT_SILENT == 0x8000_0001


def test_names_are_members_equal_to_the_exact_string():
    assert flags.NCRYPT_ROOT_CERTSTORE_PROPERTY == "SmartcardRootCertStore"
    assert flags.NCRYPT_ROOT_CERTSTORE_PROPERTY is flags.KeyProperty.ROOT_CERTSTORE
    assert f"{flags.CP_CARD_GUID}" == "Card Identifier"


def test_enrolment_constants_are_members_of_their_enumeration():
    assert flags.XCN_CRYPT_STRING_HEXRAW is flags.EncodingType.XCN_CRYPT_STRING_HEXRAW
    assert flags.XCN_CRYPT_STRING_HEXRAW == flags.CRYPT_STRING_HEXRAW


def test_a_find_type_is_its_compare_and_its_member():
    assert flags.CERT_FIND_ISSUER_STR_W == flags.CERT_COMPARE_NAME_STR_W << 16 | flags.CERT_INFO_ISSUER_FLAG


def test_a_control_code_is_four_times_the_function():
    assert flags.SCARD_CTL_CODE(3400) == flags.CM_IOCTL_GET_FEATURE_REQUEST
    assert flags.SCARD_CTL_CODE(2) == flags.IOCTL_SMARTCARD_GET_ATTRIBUTE


def test_open_families_are_numbers():
    assert issubclass(OpenEnum, int)


def test_numbers_need_no_cryptography():
    code = (
        "import sys, calais.win.flags, calais.win.structs, calais.win.errors; sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

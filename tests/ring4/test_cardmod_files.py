"""Capacity, directories and files under Microsoft's names."""

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, respond, untouched
from certs import ec_key, make
from cryptography import x509

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.winapi.cardmod import (
    CARD_DATA_VALUE_UNKNOWN,
    CardAuthenticateChallenge,
    CardAuthenticatePin,
    CardCapabilities,
    CardCreateDirectory,
    CardCreateFile,
    CardDeleteDirectory,
    CardDeleteFile,
    CardEnumFiles,
    CardFileInfo,
    CardGetChallenge,
    CardGetFileInfo,
    CardKeySizes,
    CardQueryCapabilities,
    CardQueryFreeSpace,
    CardQueryKeySizes,
    CardReadFile,
    CardWriteFile,
    compress_certificate,
    expand_certificate,
)

INVALID, UNSUPPORTED, FORBIDDEN = (
    "SCARD_E_INVALID_PARAMETER",
    "SCARD_E_UNSUPPORTED_FEATURE",
    "SCARD_W_SECURITY_VIOLATION",
)
NO_FILE, NO_DIRECTORY = "SCARD_E_FILE_NOT_FOUND", "SCARD_E_DIR_NOT_FOUND"
EXISTS, NOT_EMPTY = "ERROR_FILE_EXISTS", "ERROR_DIR_NOT_EMPTY"
KEY = ec_key(4)
DER = make("files", key=KEY)
CERTIFICATE = x509.load_der_x509_certificate(DER)
OTHER = make("other", key=KEY)


@pytest.fixture
def card():
    with local_system():
        yield virtual_piv(keys={0x9A: (KEY, CERTIFICATE)}, seed=1)


@pytest.fixture
def piv(card):
    return acquired(card)


@pytest.fixture
def gids():
    with local_system():
        yield acquired(virtual_gids(keys=[(None, 1, KEY, CERTIFICATE)], seed=1, admin_key=ADMIN_KEY))


def as_admin(data):
    CardAuthenticateChallenge(data, respond(CardGetChallenge(data)))
    return data


def as_user(data):
    CardAuthenticatePin(data, "user", b"123456")
    return data


# --- capacity --------------------------------------------------------------------------------------------------------


def test_capacity_of_a_piv_card(piv):
    assert CardQueryCapabilities(piv) == CardCapabilities(certificate_compression=True, key_gen=True)
    space = CardQueryFreeSpace(piv)
    assert (space.bytes_available, space.key_containers_available, space.max_key_containers) == (
        CARD_DATA_VALUE_UNKNOWN,
        23,
        24,
    )


def test_key_sizes(piv, gids, card):
    with untouched(card):
        assert CardQueryKeySizes(piv, 1) == CardQueryKeySizes(piv, 2) == CardKeySizes(1024, 2048, 4096, 1024)
        for key_spec, bits in {3: 256, 4: 384, 6: 256, 7: 384}.items():
            assert CardQueryKeySizes(piv, key_spec) == CardKeySizes(bits, bits, bits, 1)
        for key_spec in (5, 8):
            assert refusal(CardQueryKeySizes, piv, key_spec) == UNSUPPORTED
            assert CardQueryKeySizes(gids, key_spec) == CardKeySizes(521, 521, 521, 1)
        for key_spec in (0, 9, -1, None):
            assert refusal(CardQueryKeySizes, piv, key_spec) == INVALID
        assert refusal(CardQueryKeySizes, piv, 1, 1) == INVALID
        assert refusal(CardQueryKeySizes, piv, 1, 0, dwVersion=2) == "ERROR_REVISION_MISMATCH"
        assert refusal(CardQueryFreeSpace, piv, 1) == INVALID
        assert refusal(CardQueryCapabilities, piv, dwVersion=2) == "ERROR_REVISION_MISMATCH"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_files_of_a_piv_card(piv):
    assert CardEnumFiles(piv, None) == CardEnumFiles(piv, "") == ["cardid", "cardcf", "cardapps"]
    assert CardEnumFiles(piv, "mscp") == CardEnumFiles(piv, "MSCP") == ["cmapfile", "kxc00"]
    assert CardReadFile(piv, None, "CARDAPPS") == b"mscp\0\0\0\0"
    assert expand_certificate(CardReadFile(piv, "mscp", "KXC00")) == DER
    assert CardGetFileInfo(piv, None, "cardid") == CardFileInfo(16, 3)
    assert CardGetFileInfo(piv, "mscp", "cmapfile") == CardFileInfo(86, 1)


@pytest.mark.parametrize(
    ("directory", "name", "code"),
    [
        ("mscp", "kxc01", NO_FILE),
        ("mscp", "ksc00", NO_FILE),
        ("mscp", "cardid", NO_FILE),
        ("mscp", "msroots", NO_FILE),
        (None, "cmapfile", NO_FILE),
        (None, "mscp", NO_FILE),
        ("other", "cmapfile", NO_DIRECTORY),
        ("mscp", "", INVALID),
        ("mscp", None, INVALID),
        ("mscp", b"cmapfile", INVALID),
        ("mscp", "ninechars", INVALID),
        ("mscp", "a/b", INVALID),
        ("mscp/x", "cmapfile", INVALID),
        ("ninechars", "cmapfile", INVALID),
        (0, "cmapfile", INVALID),
    ],
)
def test_what_is_not_there_is_told_from_what_cannot_be(piv, card, directory, name, code):
    CardEnumFiles(piv, "mscp")
    CardReadFile(piv, "mscp", "cmapfile")
    assert refusal(CardReadFile, piv, directory, name) == code
    assert refusal(CardGetFileInfo, piv, directory, name) == code
    if code == INVALID:
        with untouched(card):
            assert refusal(CardReadFile, piv, directory, name) == code


def test_flags_are_for_nothing(piv, card):
    with untouched(card):
        assert refusal(CardReadFile, piv, "mscp", "cmapfile", 1) == INVALID
        assert refusal(CardWriteFile, piv, "mscp", "kxc00", 1, DER) == INVALID
        assert refusal(CardDeleteFile, piv, "mscp", "kxc00", 1) == INVALID
        assert refusal(CardEnumFiles, piv, "mscp", 1) == INVALID
    assert refusal(CardEnumFiles, piv, "other") == NO_DIRECTORY


def test_a_certificate_that_cannot_be_read_is_lost_data():
    with local_system():
        card = virtual_piv(keys={0x9A: (KEY, CERTIFICATE)}, seed=1)
        data = as_admin(acquired(card))
        with data.handle.begin() as tx:
            from calais.cards.piv.edge import put_data

            put_data(tx, 0x5FC105, b"\x70\x02\x01\x02\x71\x01\x00\xfe\x00")
        assert "kxc00" in CardEnumFiles(data, "mscp")
        assert refusal(CardReadFile, data, "mscp", "kxc00") == "SCARD_E_COMM_DATA_LOST"


# --- writing a PIV card ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [bytes, compress_certificate])
def test_a_certificate_file_is_created_written_and_deleted(piv, card, form):
    as_admin(piv)
    CardCreateFile(piv, "mscp", "KXC0a", 7, 1)
    assert "kxc0A" in CardEnumFiles(piv, "mscp")
    assert CardReadFile(piv, "mscp", "kxc0a") == bytes(7)
    assert CardGetFileInfo(piv, "mscp", "kxc0A") == CardFileInfo(7, 1)
    CardWriteFile(piv, "mscp", "kxc0A", 0, form(OTHER))
    assert expand_certificate(CardReadFile(acquired(card), "mscp", "kxc0A")) == OTHER
    assert refusal(CardCreateFile, piv, "mscp", "kxc0A", 7, 1) == EXISTS
    CardDeleteFile(piv, "mscp", "kxc0A")
    assert refusal(CardReadFile, piv, "mscp", "kxc0A") == NO_FILE
    assert refusal(CardDeleteFile, piv, "mscp", "kxc0A") == NO_FILE


def test_a_created_file_can_be_deleted_unwritten(piv):
    as_admin(piv)
    CardCreateFile(piv, "mscp", "kxc02", 0, 1)
    assert CardReadFile(piv, "mscp", "kxc02") == b""
    CardDeleteFile(piv, "mscp", "kxc02")
    assert refusal(CardReadFile, piv, "mscp", "kxc02") == NO_FILE


@pytest.mark.parametrize("size", [10, 5000, 12000])
def test_msroots_is_kept_in_pieces(piv, card, size):
    as_admin(piv)
    CardCreateFile(piv, "mscp", "msroots", 0, 1)
    content = bytes(number % 251 for number in range(size))
    CardWriteFile(piv, "mscp", "msroots", 0, content)
    other = acquired(card)
    assert CardReadFile(other, "mscp", "msroots") == content
    CardWriteFile(piv, "mscp", "msroots", 0, b"short")
    assert CardReadFile(other, "mscp", "msroots") == b"short"
    CardDeleteFile(piv, "mscp", "msroots")
    assert refusal(CardReadFile, other, "mscp", "msroots") == NO_FILE


def test_what_does_not_fit_is_too_much(piv):
    as_admin(piv)
    CardCreateFile(piv, "mscp", "msroots", 0, 1)
    assert refusal(CardWriteFile, piv, "mscp", "msroots", 0, bytes(20000)) == "SCARD_E_WRITE_TOO_MANY"


def test_writing_a_piv_card_takes_the_management_key(piv):
    as_user(piv)
    assert refusal(CardCreateFile, piv, "mscp", "kxc02", 0, 1) == FORBIDDEN
    assert refusal(CardWriteFile, piv, "mscp", "kxc00", 0, OTHER) == FORBIDDEN
    assert refusal(CardDeleteFile, piv, "mscp", "kxc00") == FORBIDDEN
    assert expand_certificate(CardReadFile(piv, "mscp", "kxc00")) == DER


@pytest.mark.parametrize(
    ("directory", "name", "content", "code"),
    [
        ("mscp", "kxc02", OTHER, NO_FILE),
        ("mscp", "msroots", OTHER, NO_FILE),
        ("mscp", "nothing", OTHER, NO_FILE),
        (None, "nothing", OTHER, NO_FILE),
        ("other", "kxc00", OTHER, NO_DIRECTORY),
        ("mscp", "cmapfile", OTHER, UNSUPPORTED),
        (None, "cardid", OTHER, UNSUPPORTED),
        ("mscp", "kxc00", b"", INVALID),
        ("mscp", "kxc00", "text", INVALID),
        ("mscp", "kxc00", None, INVALID),
        ("mscp", "kxc00", b"no certificate", INVALID),
        ("mscp", "", OTHER, INVALID),
    ],
)
def test_what_cannot_be_written_is_refused(piv, directory, name, content, code):
    as_admin(piv)
    assert refusal(CardWriteFile, piv, directory, name, 0, content) == code


@pytest.mark.parametrize(
    ("directory", "name", "size", "condition", "code"),
    [
        ("mscp", "kxc00", 0, 1, EXISTS),
        ("mscp", "cmapfile", 0, 1, EXISTS),
        (None, "CARDID", 0, 3, EXISTS),
        ("other", "kxc02", 0, 1, NO_DIRECTORY),
        ("mscp", "kxc02", 0, 0, INVALID),
        ("mscp", "kxc02", 0, 4, INVALID),
        ("mscp", "kxc02", 0, 7, INVALID),
        ("mscp", "kxc02", -1, 1, INVALID),
        ("mscp", "kxc02", None, 1, INVALID),
        ("mscp", "kxc02", 0, 6, UNSUPPORTED),
        ("mscp", "vendor", 0, 1, UNSUPPORTED),
        (None, "vendor", 0, 1, UNSUPPORTED),
    ],
)
def test_what_cannot_be_created_is_refused(piv, directory, name, size, condition, code):
    as_admin(piv)
    assert refusal(CardCreateFile, piv, directory, name, size, condition) == code


def test_a_piv_card_has_one_directory(piv, card):
    with untouched(card):
        assert refusal(CardCreateDirectory, piv, "MSCP", 1) == EXISTS
        assert refusal(CardCreateDirectory, piv, "vendor", 1) == UNSUPPORTED
        assert refusal(CardDeleteDirectory, piv, "mscp") == NOT_EMPTY
        assert refusal(CardDeleteDirectory, piv, "vendor") == NO_DIRECTORY


# --- writing a GIDS card ---------------------------------------------------------------------------------------------


def test_directories_and_files_of_a_gids_card(gids):
    as_user(gids)
    CardCreateDirectory(gids, "Vendor", 1)
    assert refusal(CardCreateDirectory, gids, "vendor", 1) == EXISTS
    assert CardEnumFiles(gids, "VENDOR") == []
    for name in ("Zeta", "alpha"):
        CardCreateFile(gids, "vendor", name, 0, 1)
    assert CardEnumFiles(gids, "vendor") == ["zeta", "alpha"]
    assert CardReadFile(gids, "vendor", "zeta") == b""
    for content in (b"x" * 700, b"short", b"y" * 300):
        CardWriteFile(gids, "vendor", "ZETA", 0, content)
        assert CardReadFile(gids, "vendor", "zeta") == content
        assert CardGetFileInfo(gids, "vendor", "zeta") == CardFileInfo(len(content), 1)
    assert refusal(CardDeleteDirectory, gids, "vendor") == NOT_EMPTY
    for name in ("zeta", "alpha"):
        CardDeleteFile(gids, "vendor", name)
    CardDeleteDirectory(gids, "vendor")
    assert refusal(CardEnumFiles, gids, "vendor") == NO_DIRECTORY
    assert refusal(CardDeleteDirectory, gids, "vendor") == NO_DIRECTORY


def test_writing_a_gids_card_takes_the_pin(gids):
    assert refusal(CardCreateDirectory, gids, "vendor", 1) == FORBIDDEN
    assert refusal(CardCreateFile, gids, "mscp", "vendor", 0, 1) == FORBIDDEN
    assert refusal(CardWriteFile, gids, "mscp", "cmapfile", 0, bytes(86)) == FORBIDDEN
    assert refusal(CardDeleteFile, gids, "mscp", "kxc00") == FORBIDDEN


def test_a_file_larger_than_what_is_free_is_not_made(gids):
    as_user(gids)
    free = CardQueryFreeSpace(gids).bytes_available
    assert refusal(CardCreateFile, gids, "mscp", "vendor", free + 1, 1) == INVALID
    assert refusal(CardWriteFile, gids, "mscp", "vendor", 0, b"x") == NO_FILE


@pytest.mark.parametrize("name", [None, "", "ninechars", "a/b", b"vendor"])
def test_a_directory_needs_a_name_and_the_root_is_none(gids, name):
    assert refusal(CardCreateDirectory, gids, name, 1) == INVALID
    assert refusal(CardDeleteDirectory, gids, name) == INVALID


@pytest.mark.parametrize("condition", [0, 3, -1, None])
def test_a_directory_has_one_of_two_conditions(gids, condition):
    assert refusal(CardCreateDirectory, gids, "vendor", condition) == INVALID

"""The logical file system: the files that every card has, names, listing, reading."""

from __future__ import annotations

from calais.apps.certify.rules import Absent, Chapter
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver import files
from calais.minidriver.containers import parse_cmapfile
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import ContainerMapRecord, expand_certificate

CHAPTER = Chapter("files", "The logical file system")
MSCP = files.DIRECTORY_BASE_CSP
ROOT = {"cardid": 3, "cardcf": 1, "cardapps": 1}
CARD_ID_SIZE = 16
CARDCF_SIZE = 6
RECORD_SIZE = 86
BAD_NAMES = ("", "ninechars", "a\0b", "a\\b", "a/b", "é")


@CHAPTER.check("cardid_length", "The file cardid has 16 bytes.", "minidriver 7.07, logical file system")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(None, "cardid")
    trial.holds(len(content) == CARD_ID_SIZE, "cardid of 16 bytes", content)
    trial.holds(any(content), "a cardid that is not empty", content)


@CHAPTER.check(
    "cardid_is_identity",
    "cardid, the property Card Identifier and the driver's identity are the same 16 bytes.",
    "minidriver 7.07, CP_CARD_GUID",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(None, "cardid")
        trial.equal("Card Identifier", driver.get_property("Card Identifier"), content)
        trial.equal("identity", driver.identity().card_id, content)


@CHAPTER.check(
    "cardid_stable", "cardid is the same on every connection and after every reset.", "minidriver 7.07, cardid"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        first = driver.read_file(None, "cardid")
    with trial.driver() as driver:
        trial.equal("cardid", driver.read_file(None, "cardid"), first)


@CHAPTER.check(
    "cardcf_form",
    "cardcf has 6 bytes and 4 more for each further application; its version is 0 or 1.",
    "minidriver 7.07, CARD_CACHE_FILE_FORMAT",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(None, "cardcf")
        apps = len(driver.read_file(None, "cardapps")) // files.CARDAPPS_NAME_SIZE
    trial.holds(content[:1] in (b"\0", b"\1"), "version 0 or 1", content)
    trial.equal("length of cardcf", len(content), CARDCF_SIZE + 4 * max(0, apps - 1))


@CHAPTER.check("cardcf_steady", "While nothing changes, no counter in cardcf changes.", "minidriver 7.07, data caching")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        first = driver.read_file(None, "cardcf")
        driver.containers()
        trial.equal("cardcf, once more", driver.read_file(None, "cardcf"), first)
    with trial.driver() as driver:
        trial.equal("cardcf after a reset", driver.read_file(None, "cardcf"), first)


@CHAPTER.check(
    "cardapps", "cardapps is made of 8-byte names and holds mscp.", "minidriver 7.07, application directory file"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(None, "cardapps")
    trial.holds(content[:8] == b"mscp\0\0\0\0" or MSCP in _names(content), "mscp, NUL-padded to 8 bytes", content)


def _names(content: bytes) -> list[str]:
    try:
        return files.parse_cardapps(content)
    except BadData:
        return []


@CHAPTER.check("root_listed", "The root lists cardid, cardcf and cardapps.", "minidriver 7.07, CardEnumFiles")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        listed = driver.enum_files(None)
    trial.holds(set(ROOT) <= set(listed), f"{', '.join(ROOT)} among the files of the root", listed)


@CHAPTER.check(
    "directories_not_listed", "An enumeration lists files only, never a directory.", "minidriver 7.07, CardEnumFiles"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        listed = driver.enum_files(None)
        directories = _names(driver.read_file(None, "cardapps"))
    trial.holds(not {name.lower() for name in listed} & set(directories), "no directory among the files", listed)


@CHAPTER.check(
    "names_in_lower_case",
    "File names are listed in lower case, the index of a certificate file in upper-case hexadecimal; each once.",
    "minidriver 7.07, logical file system",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        listed = driver.enum_files(None) + driver.enum_files(MSCP)
    for name in listed:
        found = files.index_of_certificate_file(name)
        due = files.certificate_file(*found) if found and name[-2:].isalnum() else name.lower()
        trial.equal("name in the listing", name, due)
    trial.equal("names listed", len({name.lower() for name in listed}), len(listed))


@CHAPTER.check(
    "listed_files_exist",
    "Every listed file can be read and described, and its size is that of its content.",
    "minidriver 7.07, CardGetFileInfo",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for directory in (None, MSCP):
            for name in driver.enum_files(directory):
                size = len(driver.read_file(directory, name))
                trial.equal(f"size of {name}", driver.file_info(directory, name).file_size, size)


@CHAPTER.check(
    "access_conditions",
    "cardid is written by the administrator alone, all other files of the root by the user.",
    "minidriver 7.07, logical file system",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name, condition in ROOT.items():
            trial.equal(f"condition of {name}", driver.file_info(None, name).access_condition, condition)
        trial.equal("condition of cmapfile", driver.file_info(MSCP, "cmapfile").access_condition, 1)


@CHAPTER.check(
    "case_ignored", "Names of files and directories are compared without regard to case.", "minidriver 7.07, 4.3"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in ROOT:
            trial.equal(name.upper(), driver.read_file(None, name.upper()), driver.read_file(None, name))
        content = driver.read_file(MSCP, "cmapfile")
        if driver.identity().has_stable_names:
            trial.equal("MSCP\\CMapFile", driver.read_file("MSCP", "CMapFile"), content)


@CHAPTER.check(
    "root_by_empty_name", "No directory and the empty name both mean the root.", "minidriver 7.07, CardReadFile"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.equal('cardid in ""', driver.read_file("", "cardid"), driver.read_file(None, "cardid"))
        trial.equal('files in ""', driver.enum_files(""), driver.enum_files(None))


@CHAPTER.check("unknown_file", "A file that is not there: SCARD_E_FILE_NOT_FOUND.", "minidriver 7.07, CardReadFile")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for directory in (None, MSCP):
            trial.refused("reading", Code.SCARD_E_FILE_NOT_FOUND, driver.read_file, directory, "nosuch")
            trial.refused("describing", Code.SCARD_E_FILE_NOT_FOUND, driver.file_info, directory, "nosuch")


@CHAPTER.check(
    "unknown_directory", "A directory that is not there: SCARD_E_DIR_NOT_FOUND.", "minidriver 7.07, CardEnumFiles"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.refused("reading", Code.SCARD_E_DIR_NOT_FOUND, driver.read_file, "nosuch", "cardid")
        trial.refused("listing", Code.SCARD_E_DIR_NOT_FOUND, driver.enum_files, "nosuch")


@CHAPTER.check(
    "bad_names",
    "A name that is empty, longer than 8 characters, not ASCII, or has NUL, / or \\ in it: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, logical file system",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in BAD_NAMES:
            trial.refused_unsent(f"file {name!r}", INVALID, driver.read_file, MSCP, name)
            if name:
                trial.refused_unsent(f"directory {name!r}", INVALID, driver.enum_files, name)


@CHAPTER.check(
    "cmapfile_records",
    "The container map is made of records of 86 bytes.",
    "minidriver 7.07, CONTAINER_MAP_RECORD",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(MSCP, "cmapfile")
    trial.equal("bytes left after the last whole record", len(content) % RECORD_SIZE, 0)
    for at in range(0, len(content), RECORD_SIZE):
        trial.equal(f"reserved byte of record {at // RECORD_SIZE}", content[at + 81], 0)


def _records(trial: Trial) -> list[ContainerMapRecord]:
    with trial.driver() as driver:
        content = driver.read_file(MSCP, "cmapfile")
    if len(content) % RECORD_SIZE:
        raise Absent("the container map is not made of whole records")
    return parse_cmapfile(content)


@CHAPTER.check(
    "cmapfile_default",
    "At most one container is the default, and only a valid one.",
    "minidriver 7.07, CONTAINER_MAP_RECORD",
)
def _(trial: Trial) -> None:
    records = _records(trial)
    trial.holds(sum(record.is_default for record in records) <= 1, "one default container at most", records)
    for number, record in enumerate(records):
        trial.holds(record.flags in (0, 1, 3), f"flags 0, 1 or 3 in record {number}", record.flags)


@CHAPTER.check(
    "cmapfile_names",
    "Container names have 1 to 39 characters, no backslash, and each is there once.",
    "minidriver 7.07, CONTAINER_MAP_RECORD",
)
def _(trial: Trial) -> None:
    names = [record.guid for record in _records(trial) if record.is_valid]
    for name in names:
        trial.holds(0 < len(name) <= 39 and "\\" not in name, "a name of 1 to 39 characters without \\", name)
    trial.equal("different names", len({name.lower() for name in names}), len(names))


@CHAPTER.check(
    "cmapfile_is_containers",
    "The container map says what the driver says: index, name, default and key size of each container.",
    "minidriver 7.07, container map file",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        content = driver.read_file(MSCP, "cmapfile")
        entries = {entry.index: entry for entry in driver.containers()}
        stable = driver.identity().has_stable_names
    if len(content) % RECORD_SIZE:
        raise Absent("the container map is not made of whole records")
    records = {at: record for at, record in enumerate(parse_cmapfile(content)) if record.is_valid}
    trial.equal("indices of valid records", sorted(records), sorted(entries))
    for at, record in records.items():
        entry = entries[at]
        if stable:
            trial.equal(f"name of container {at}", record.guid, entry.name)
        trial.equal(f"default of container {at}", record.is_default, entry.is_default)
        sizes = (record.sig_key_size_bits, record.key_exchange_key_size_bits)
        trial.holds(entry.size_bits in sizes, f"key size {entry.size_bits} in record {at}", sizes)


@CHAPTER.check(
    "certificate_files",
    "kxcNN or kscNN holds the certificate of container NN, plain or compressed as the capabilities say.",
    "minidriver 7.07, certificate files",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        listed = set(driver.enum_files(MSCP))
        for entry in driver.containers():
            if not entry.has_certificate:
                continue
            name = files.certificate_file(entry.key_spec, entry.index)
            trial.holds(name in listed, f"{name} among the files of mscp", sorted(listed))
            content = expand_certificate(driver.read_file(MSCP, name))
            trial.equal(f"certificate in {name}", content, driver.certificate(entry.index))


@CHAPTER.check("fresh_reading", "What is read twice in one transaction is the same.", "minidriver 7.07, CardReadFile")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in driver.enum_files(MSCP):
            if name == "cmapfile" and not driver.identity().has_stable_names:
                continue
            trial.equal(name, driver.read_file(MSCP, name), driver.read_file(MSCP, name))

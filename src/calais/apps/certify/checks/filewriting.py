"""Files and directories made, written and deleted. Many cards have no room for files of other people's; then this is
not applicable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from calais.apps.certify.checks.writing import opened
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import Trial
from calais.minidriver.api import Minidriver
from calais.win.codes import Code
from calais.win.errors import Unsupported, WinError

CHAPTER = Chapter("write_files", "Files and directories written")
CHANGING = Need.DESTRUCTIVE | Need.ADMIN | Need.PIN
FILE, DIRECTORY = "certify", "calaisdr"
USER_WRITES = 1  # EveryoneReadUserWriteAc, UserCreateDeleteDirAc
CONTENT = bytes(range(200))


@contextmanager
def _with_file(trial: Trial) -> Iterator[Minidriver]:
    """A driver with all rights, and an empty file of ours in mscp, which is deleted again."""
    with opened(trial, trial.seat()) as driver:
        trial.allowed("creating files", driver.create_file, "mscp", FILE, 0, USER_WRITES)
        try:
            yield driver
        finally:
            with suppress(WinError):
                driver.delete_file("mscp", FILE)


@CHAPTER.check(
    "write_read",
    "A file reads as it was written last, in each length, and its size follows.",
    "minidriver 7.07, CardWriteFile",
    CHANGING,
)
def _(trial: Trial) -> None:
    with _with_file(trial) as driver:
        for content in (b"x", CONTENT, CONTENT[:10], CONTENT * 5, b"y"):
            driver.write_file("mscp", FILE, content)
            trial.equal("content", driver.read_file("mscp", FILE), content)
            trial.equal("size", driver.file_info("mscp", FILE).file_size, len(content))
        trial.equal("condition", driver.file_info("mscp", FILE).access_condition, USER_WRITES)


@CHAPTER.check(
    "write_seen_by_others",
    "What was written is read by another context.",
    "minidriver 7.07, data caching",
    CHANGING,
)
def _(trial: Trial) -> None:
    other, ours = trial.seat(), trial.seat()
    with other.driver() as driver:
        driver.enum_files("mscp")
    try:
        with opened(trial, ours) as driver:
            _move_files_counter(driver)
            trial.allowed("creating files", driver.create_file, "mscp", FILE, 0, USER_WRITES)
            driver.write_file("mscp", FILE, CONTENT)
        with other.driver() as driver:
            trial.equal("content seen by the other context", driver.read_file("mscp", FILE), CONTENT)
            trial.holds(FILE in driver.enum_files("mscp"), f"{FILE} in the listing", driver.enum_files("mscp"))
    finally:
        with suppress(WinError, Absent), opened(trial, ours) as driver:
            _move_files_counter(driver)
            driver.delete_file("mscp", FILE)


def _move_files_counter(driver: Minidriver) -> None:
    """What the Base CSP does before it changes a file; nothing where the driver makes cardcf itself."""
    old = driver.read_file(None, "cardcf")
    files = (int.from_bytes(old[4:6], "little") + 1) & 0xFFFF
    with suppress(Unsupported):
        driver.write_file(None, "cardcf", old[:4] + files.to_bytes(2, "little") + old[6:])


@CHAPTER.check(
    "create_listed",
    "A new file is listed, exists once, and can be deleted; then it is gone.",
    "minidriver 7.07, CardCreateFile, CardDeleteFile",
    CHANGING,
)
def _(trial: Trial) -> None:
    with _with_file(trial) as driver:
        trial.holds(FILE in driver.enum_files("mscp"), f"{FILE} in the listing", driver.enum_files("mscp"))
        for name in (FILE, FILE.upper()):
            trial.refused(
                f"creating {name} again", Code.ERROR_FILE_EXISTS, driver.create_file, "mscp", name, 0, USER_WRITES
            )
        driver.delete_file("mscp", FILE)
        trial.refused("reading", Code.SCARD_E_FILE_NOT_FOUND, driver.read_file, "mscp", FILE)
        trial.refused("deleting again", Code.SCARD_E_FILE_NOT_FOUND, driver.delete_file, "mscp", FILE)
        trial.holds(FILE not in driver.enum_files("mscp"), f"no {FILE} in the listing", driver.enum_files("mscp"))


@CHAPTER.check(
    "write_refused",
    "Writing to a file or directory that is not there: SCARD_E_FILE_NOT_FOUND, SCARD_E_DIR_NOT_FOUND.",
    "minidriver 7.07, CardWriteFile",
    CHANGING,
)
def _(trial: Trial) -> None:
    with opened(trial, trial.seat()) as driver:
        trial.refused("writing", Code.SCARD_E_FILE_NOT_FOUND, driver.write_file, "mscp", "nosuch", b"x")
        trial.refused("writing", Code.SCARD_E_DIR_NOT_FOUND, driver.write_file, "nosuch", "cardid", b"x")
        trial.refused("deleting", Code.SCARD_E_FILE_NOT_FOUND, driver.delete_file, "mscp", "nosuch")


@CHAPTER.check(
    "conditions_refused",
    "Conditions 0, 4 and above 6 are none for a file: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CARD_FILE_ACCESS_CONDITION",
    CHANGING,
)
def _(trial: Trial) -> None:
    with _with_file(trial) as driver:
        for condition in (0, 4, 7):
            trial.refused(
                f"condition {condition}",
                Code.SCARD_E_INVALID_PARAMETER,
                driver.create_file,
                "mscp",
                "other",
                0,
                condition,
            )


@CHAPTER.check(
    "directories",
    "A directory is made, holds files, is deleted only when empty, and exists once.",
    "minidriver 7.07, CardCreateDirectory, CardDeleteDirectory",
    CHANGING,
)
def _(trial: Trial) -> None:
    with opened(trial, trial.seat()) as driver:
        trial.allowed("creating directories", driver.create_directory, DIRECTORY, USER_WRITES)
        try:
            trial.refused("creating it again", Code.ERROR_FILE_EXISTS, driver.create_directory, DIRECTORY, USER_WRITES)
            trial.equal("files in the new directory", driver.enum_files(DIRECTORY), [])
            driver.create_file(DIRECTORY, FILE, 0, USER_WRITES)
            trial.refused("deleting it", Code.ERROR_DIR_NOT_EMPTY, driver.delete_directory, DIRECTORY)
            driver.delete_file(DIRECTORY, FILE)
        finally:
            with suppress(WinError):
                driver.delete_file(DIRECTORY, FILE)
            driver.delete_directory(DIRECTORY)
        trial.refused("listing it", Code.SCARD_E_DIR_NOT_FOUND, driver.enum_files, DIRECTORY)
        trial.refused("deleting it", Code.SCARD_E_DIR_NOT_FOUND, driver.delete_directory, DIRECTORY)


@CHAPTER.check(
    "cardcf_written",
    "The Base CSP writes cardcf, and reads what it wrote; a card that makes cardcf itself says it cannot.",
    "minidriver 7.07, data caching",
    CHANGING,
)
def _(trial: Trial) -> None:
    with opened(trial, trial.seat()) as driver:
        old = driver.read_file(None, "cardcf")
        new = old[:1] + bytes((old[1] + 1 & 0xFF,)) + old[2:]
        try:
            driver.write_file(None, "cardcf", new)
        except Unsupported as error:
            raise Absent("the driver makes cardcf itself") from error
        trial.equal("cardcf", driver.read_file(None, "cardcf"), new)

"""Read-only cards: what they must be able to do all the same, and what they must refuse."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import Trial
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import Role
from calais.minidriver.surface import SURFACE, Duty
from calais.win.codes import Code
from calais.win.errors import Unsupported

CHAPTER = Chapter("read_only", "Read-only cards")
SOME_DER = bytes.fromhex("3000")


def _read_only(driver: Minidriver) -> None:
    if not driver.read_only:
        raise Absent("the card is not read-only")


@CHAPTER.check("property", "Read Only Mode says what the driver does.", "minidriver 7.07, CP_CARD_READ_ONLY")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.equal("Read Only Mode", driver.get_property("Read Only Mode"), driver.read_only)


@CHAPTER.check(
    "no_space", "A read-only card has no free bytes and no free containers.", "minidriver 7.07, read-only cards"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _read_only(driver)
        space = driver.free_space()
        trial.equal("free bytes and containers", (space.bytes_available, space.key_containers_available), (0, 0))


@CHAPTER.check(
    "no_enrollment",
    "A read-only card does not support enrolment, generates no keys and imports none.",
    "minidriver 7.07, read-only cards",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _read_only(driver)
        trial.holds(not driver.get_property("Supports Windows x.509 Enrollment"), "enrolment: no", "yes")
        trial.holds(not driver.capabilities().key_gen, "key generation: no", "yes")
        trial.equal("Key Import Support", driver.get_property("Key Import Support"), 0)


@CHAPTER.check("user_key", "One key at least is behind ROLE_USER.", "minidriver 7.07, read-only cards")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _read_only(driver)
        entries = driver.containers()
        found = [entry.index for entry in entries if entry.pin_id == Role.USER]
        trial.holds(found, "a container whose PIN is ROLE_USER", [entry.pin_id for entry in entries])


def _changes(driver: Minidriver) -> dict[str, Callable[[], object]]:
    key = ec.generate_private_key(ec.SECP256R1())
    return {
        "CardCreateDirectory": lambda: driver.create_directory("new", 1),
        "CardDeleteDirectory": lambda: driver.delete_directory("mscp"),
        "CardCreateFile": lambda: driver.create_file("mscp", "new", 1, 1),
        "CardWriteFile": lambda: driver.write_file("mscp", "cmapfile", b"\0"),
        "CardDeleteFile": lambda: driver.delete_file("mscp", "cmapfile"),
        "CardCreateContainer": lambda: driver.create_container(0, 3),
        "CardCreateContainerEx": lambda: driver.create_container(0, 3, key=key),
        "CardDeleteContainer": lambda: driver.delete_container(0),
        "writing a certificate": lambda: driver.write_certificate(0, SOME_DER),
        "deleting a certificate": lambda: driver.delete_certificate(0),
    }


@CHAPTER.check(
    "refuses_changes",
    "Every function that changes files or containers: SCARD_E_UNSUPPORTED_FEATURE, nothing is sent.",
    "minidriver 7.07, read-only cards (table of functions)",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _read_only(driver)
        for name, call in _changes(driver).items():
            trial.refused_unsent(name, Unsupported.default_code, call)


@CHAPTER.check(
    "rights_first",
    "Without authentication nothing is changed: SCARD_W_SECURITY_VIOLATION, or SCARD_E_UNSUPPORTED_FEATURE.",
    "minidriver 7.07, access conditions",
    Need.DESTRUCTIVE,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.writable(driver)
        before = driver.read_file("mscp", "cmapfile"), driver.enum_files("mscp")
        for name, call in _changes(driver).items():
            trial.refused(
                name,
                (
                    Code.SCARD_W_SECURITY_VIOLATION,
                    Code.SCARD_E_UNSUPPORTED_FEATURE,
                    Code.SCARD_E_INVALID_PARAMETER,
                    Code.SCARD_E_DIR_NOT_FOUND,
                    Code.SCARD_E_NO_KEY_CONTAINER,
                    Code.ERROR_DIR_NOT_EMPTY,
                ),
                call,
            )
    with trial.driver() as driver:
        if driver.identity().has_stable_names:
            trial.equal(
                "container map and files", (driver.read_file("mscp", "cmapfile"), driver.enum_files("mscp")), before
            )


@CHAPTER.check(
    "files_there",
    "cardid, cardcf, cardapps and mscp\\cmapfile exist, really or made up.",
    "minidriver 7.07, read-only cards",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for directory, name in ((None, "cardid"), (None, "cardcf"), (None, "cardapps"), ("mscp", "cmapfile")):
            trial.holds(driver.read_file(directory, name) is not None, name, None)


@CHAPTER.check(
    "duties",
    "On a read-only card each function that the table calls No answers SCARD_E_UNSUPPORTED_FEATURE, whatever the"
    " arguments; each that it calls Yes exists.",
    "minidriver 7.07, read-only cards (table of functions)",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        _read_only(driver)
        for name, row in SURFACE.items():
            if row.duty is Duty.NO:
                for value in (None, -1):
                    arguments = [value] * len(row.arguments)
                    trial.refused_unsent(name, Unsupported.default_code, call[name], data, *arguments)
            elif row.duty is Duty.YES and name != "CardAcquireContext":
                trial.holds(name in data.entry_points, f"{name} among the entry points", sorted(data.entry_points))

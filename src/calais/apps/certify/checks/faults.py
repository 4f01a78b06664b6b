"""What goes wrong on the way: resets, removals, nonsense, slow cards. A driver fails with the right code, and recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calais.apps.certify.checks.pins import DIGEST, user_key
from calais.apps.certify.observation import observe
from calais.apps.certify.rules import Chapter, Need
from calais.apps.certify.trial import Seat, Trial, fail
from calais.minidriver.api import Minidriver
from calais.minidriver.padding import Pkcs1
from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, WinError

CHAPTER = Chapter("faults", "Resets, removals, nonsense and slow cards")
EXCHANGES_MAX = 60  # points at which a long operation is disturbed
ANSWERS_MAX = 3000
SLOW_S = 0.01
NONSENSE = (
    b"",
    b"\x90",
    b"\x90\x00",
    b"\x6f\x00",
    b"\x61\x00",
    b"\x53\xff\x90\x00",
    b"\x53\x84\xff\xff\xff\xff\x90\x00",
    b"\xff" * 258,
    b"\x00" * 254 + b"\x90\x00",
)


class _Endless(Exception):
    """The driver does not stop asking."""


def _read(driver: Minidriver) -> None:
    observe(driver)


def _points(trial: Trial, use: Callable[[Minidriver], object]) -> range:
    """The numbers of the exchanges that ``use`` takes."""
    seat = trial.seat()
    seat.tap.reset()
    with seat.driver() as driver:
        use(driver)
    return range(1, min(seat.tap.count, EXCHANGES_MAX) + 1)


def _cut(seat: Seat, point: int, error: WinError, *, answered: bool) -> None:
    def strike(number: int, _: bytes) -> None:
        if number >= point:
            raise error

    if answered:
        seat.tap.after = strike
    else:
        seat.tap.before = strike


def _disturbed(trial: Trial, use: Callable[[Minidriver], object], error: WinError) -> Iterator[tuple[int, Exception]]:
    """Disturb ``use`` at each exchange, before and after it; what it raised each time."""
    for point in _points(trial, use):
        for answered in (False, True):
            seat = trial.seat()
            _cut(seat, point, error, answered=answered)
            try:
                with seat.driver() as driver:
                    use(driver)
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is the evidence
                yield point, failure
            else:
                yield point, AssertionError("no failure")


def _all_are(trial: Trial, use: Callable[[Minidriver], object], error: WinError) -> None:
    for point, failure in _disturbed(trial, use, error):
        if not isinstance(failure, WinError) or failure.code != error.code:
            fail(f"{error.name} at exchange {point}", failure if isinstance(failure, WinError) else repr(failure))


@CHAPTER.check(
    "removal", "A card that goes at any exchange: SCARD_W_REMOVED_CARD.", "minidriver 7.07, general error codes"
)
def _(trial: Trial) -> None:
    _all_are(trial, _read, CardRemoved())


@CHAPTER.check(
    "reset", "A card that is reset at any exchange: SCARD_W_RESET_CARD.", "minidriver 7.07, general error codes"
)
def _(trial: Trial) -> None:
    _all_are(trial, _read, CardReset())


@CHAPTER.check(
    "reset_while_signing",
    "A reset while the PIN is presented or a signature made: SCARD_W_RESET_CARD, and no PIN is presented twice.",
    "minidriver 7.07, CardSignData",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = user_key(trial, driver)
        before = trial.tries(driver)

    def use(driver: Minidriver) -> None:
        trial.present(driver)
        driver.sign(entry.index, entry.key_spec, DIGEST, Pkcs1("sha256"))

    _all_are(trial, use, CardReset())
    with trial.driver() as driver:
        trial.equal("tries left", driver.pin_status(1).attempts_left, before)


@CHAPTER.check(
    "works_again",
    "After a reset or a removal at any exchange the next transaction of the same context sees the card as it is.",
    "minidriver 7.07, data caching",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        due = observe(driver)
    for point in _points(trial, _read):
        seat = trial.seat()
        _cut(seat, point, CardReset(), answered=True)
        try:
            with seat.driver() as driver:
                observe(driver)
        except CardReset:
            seat.tap.after = None
        with seat.driver() as driver:
            trial.equal(f"the card after a reset at exchange {point}", observe(driver), due)


@CHAPTER.check("real_reset", "A card that was reset between two transactions is selected anew.", "ISO/IEC 7816-4, 7.1")
def _(trial: Trial) -> None:
    seat = trial.seat()
    with seat.driver() as driver:
        due = observe(driver)
    seat.tap.reset()
    with seat.driver() as driver:
        trial.equal("the card after a reset", observe(driver), due)


@CHAPTER.check(
    "nonsense",
    "A card that answers nonsense at any exchange: an error of the specification, and an end.",
    "minidriver 7.07, SCARD_E_COMM_DATA_LOST",
)
def _(trial: Trial) -> None:
    for point in _points(trial, _read):
        for answer in NONSENSE:
            _survives(trial, point, answer, forever=False)
    for answer in NONSENSE:
        _survives(trial, 1, answer, forever=True)


def _survives(trial: Trial, point: int, answer: bytes, *, forever: bool) -> None:
    seat = trial.seat()

    def twist(number: int, real: bytes) -> bytes:
        if number > ANSWERS_MAX:
            raise _Endless
        return answer if number == point or (forever and number >= point) else real

    seat.tap.twist = twist
    try:
        with seat.driver() as driver:
            observe(driver)
    except WinError:
        return
    except _Endless:
        fail("an end of asking", f"{ANSWERS_MAX} exchanges after the answer {answer[:8].hex()} at exchange {point}")
    except Exception as error:  # noqa: BLE001 - that it is not a WinError is the finding
        fail(f"a WinError after the answer {answer[:8].hex()} at exchange {point}", type(error).__name__)


@CHAPTER.check("slow", "A slow card says the same as a fast one.", "ISO/IEC 7816-3, waiting times")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        due = observe(driver)
    seat = trial.seat()
    seat.tap.delay_s = SLOW_S
    with seat.driver() as driver:
        trial.equal("a slow card", observe(driver), due)


@CHAPTER.check(
    "only_win_errors",
    "Whatever is asked of it, a driver raises no other exception than WinError.",
    "minidriver 7.07, general error codes",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for what, call in _odd_calls(driver).items():
            try:
                call()
            except WinError as error:
                trial.holds(error.code != Code.SCARD_S_SUCCESS, f"{what}: a code of failure", error)
            except Exception as error:  # noqa: BLE001 - that it is not a WinError is the finding
                fail(f"{what}: a WinError", type(error).__name__)


def _odd_calls(driver: Minidriver) -> dict[str, Callable[[], object]]:
    return {
        "container 255": lambda: driver.container(255),
        "public key 255": lambda: driver.public_key(255),
        "container info 255": lambda: driver.container_info(255),
        "certificate 255": lambda: driver.certificate(255),
        "file nosuch": lambda: driver.read_file(None, "nosuch"),
        "file kxcFF": lambda: driver.read_file("mscp", "kxcFF"),
        "file kxcZZ": lambda: driver.read_file("mscp", "kxcZZ"),
        "info of kscFF": lambda: driver.file_info("mscp", "kscFF"),
        "directory nosuch": lambda: driver.enum_files("nosuch"),
        "PIN 7": lambda: driver.pin_info(7),
        "property nosuch": lambda: driver.get_property("nosuch"),
        "signing with 255": lambda: driver.sign(255, 1, DIGEST, Pkcs1("sha256")),
        "decrypting with 255": lambda: driver.decrypt(255, 1, bytes(256), Pkcs1()),
        "agreeing with 255": lambda: driver.agree(255, b"\4" + bytes(64)),
        "index of nothing": lambda: driver.index_of(""),
    }

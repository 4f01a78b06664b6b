"""One check against one card: connections, the driver on them, secrets, and the words for what was expected.

Every check begins with a card that has just been reset, and with drivers that remember nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn, ParamSpec, Self, TypeVar

from calais.apps.certify.face import Face
from calais.apps.certify.rules import Absent, Broken, Need
from calais.apps.certify.tap import Log, Tap
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.data import CardData, Find
from calais.minidriver.memo import CardMemo
from calais.minidriver.pins import Pin, Role
from calais.minidriver.surface import NEWEST
from calais.transport.base import Channel, Transaction, Transport
from calais.win.codes import Code, name_of
from calais.win.errors import NotAuthenticated, NotFound, Unsupported, WinError, WrongPin

P = ParamSpec("P")
T = TypeVar("T")
VALUE_SHOWN = 120
INVALID = Code.SCARD_E_INVALID_PARAMETER
TRIES_WANTED = 3  # no wrong PIN is presented when fewer are left


@dataclass(eq=False)
class Secrets:
    """What opens the card; each may be missing. ``refused`` is set when the card did not accept the PIN."""

    pin: Pin | None = field(default=None, repr=False)
    puk: Pin | None = field(default=None, repr=False)
    admin_key: bytes | None = field(default=None, repr=False)
    refused: bool = False

    @property
    def gives(self) -> Need:
        """What is there."""
        found = Need.NOTHING
        if self.pin is not None and not self.refused:
            found |= Need.PIN | Need.TRIES
        if self.puk is not None or self.admin_key is not None:
            found |= Need.PUK
        return found | Need.ADMIN if self.admin_key is not None else found


@dataclass(frozen=True, eq=False)
class Subject:
    """What is certified.

    Args:
        title: reader or driver class, for people.
        connect: a new connection to the card.
        drive: the driver for a transaction, from what is remembered of the card.
        secrets: what opens the card.
        destructive: whether the card may be changed.
        other_process: the arguments that make a Python interpreter look at the same card and print what it sees;
            ``None`` = no other process can reach it.
        face: the entry points under Microsoft's names.
        keeps_power: whether the card stays powered while connections take turns at it; a virtual card in a file does
            not.
    """

    title: str
    connect: Callable[[], Transport] = field(repr=False)
    drive: Find = field(repr=False)
    secrets: Secrets = field(default_factory=Secrets)
    destructive: bool = False
    other_process: Sequence[str] | None = None
    face: type[Face] = Face
    keeps_power: bool = True

    @property
    def gives(self) -> Need:
        """What checks may need of it."""
        return self.secrets.gives | (Need.DESTRUCTIVE if self.destructive else Need.NOTHING)


class Seat:
    """One user of the card: a connection and what is remembered over it."""

    def __init__(self, subject: Subject, log: Log) -> None:
        self._drive = subject.drive
        self.memo = CardMemo()
        self.tap = Tap(subject.connect(), log)
        self.channel = Channel(self.tap)

    @contextmanager
    def driver(self) -> Iterator[Minidriver]:
        """The driver, in a transaction."""
        with self.channel.begin() as tx:
            driver = self._drive(tx, self.memo)
            try:
                yield driver
            finally:
                driver.close()


class Trial:
    """What a check gets.

    Args:
        subject: what is certified.

    ``log``: all exchanges of the trial.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.secrets = subject.secrets
        self.log = Log()
        self._seats: list[Seat] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for seat in self._seats:
            seat.tap.before = seat.tap.after = seat.tap.twist = None
            seat.tap.delay_s = 0.0
        for number, seat in enumerate(self._seats):
            if number == 0:
                with suppress(WinError):
                    seat.tap.reset()
            seat.channel.close()

    # --- connections -------------------------------------------------------------------------------------------------

    def seat(self) -> Seat:
        """A new user of the card, who remembers nothing."""
        made = Seat(self.subject, self.log)
        self._seats.append(made)
        return made

    @contextmanager
    def driver(self, *opened_by: Need) -> Iterator[Minidriver]:
        """A driver that remembers nothing, in a transaction, after a reset; with the PIN, or the administrator's key,
        presented where ``opened_by`` says so.
        """
        seat = self.seat()
        seat.tap.reset()
        with ExitStack() as stack:
            driver = stack.enter_context(seat.driver())
            if Need.ADMIN in opened_by:
                self.open_admin(driver)
            if Need.PIN in opened_by:
                self.present(driver)
            yield driver

    @contextmanager
    def unbound(self, version: int = NEWEST) -> Iterator[tuple[Face, CardData]]:
        """The entry points, and a record that waits for ``CardAcquireContext``, in a transaction after a reset."""
        seat = self.seat()
        seat.tap.reset()
        with seat.channel.begin() as tx, self._data(tx, seat, version) as data:
            yield self.subject.face(self.subject.drive), data

    def _data(self, tx: Transaction, seat: Seat, version: int) -> CardData:
        name = self.subject.drive(tx, CardMemo()).card_name
        return CardData(version=version, atr=seat.tap.atr, card_name=name, transaction=tx)

    @contextmanager
    def context(self, version: int = NEWEST) -> Iterator[tuple[Face, CardData]]:
        """The entry points, and an acquired context."""
        with self.unbound(version) as (call, data):
            call["CardAcquireContext"](data, 0)
            yield call, data

    @contextmanager
    def inside(self, data: CardData) -> Iterator[Minidriver]:
        """Another driver of the same transaction, to compare with."""
        if data.transaction is None:
            raise Absent("the context has no transaction of ours")
        yield self.subject.drive(data.transaction, CardMemo())

    def present(self, driver: Minidriver, pin_id: int = Role.USER) -> None:
        """Present the user's PIN; when it is refused, it is never presented again."""
        if self.secrets.pin is None or self.secrets.refused:
            raise Absent("the PIN was refused before")
        try:
            driver.authenticate(pin_id, self.secrets.pin)
        except WrongPin:
            self.secrets.refused = True
            raise

    def open_admin(self, driver: Minidriver) -> None:
        """Present the administrator's key."""
        if self.secrets.admin_key is None:
            raise Absent("no administrator's key was given")
        driver.authenticate_admin(self.secrets.admin_key)

    def open_for(self, driver: Minidriver, entry: ContainerEntry) -> None:
        """Present the PIN that the key of a container wants."""
        if entry.pin_id != Role.EVERYONE:
            self.present(driver, entry.pin_id)

    # --- what is on the card -----------------------------------------------------------------------------------------

    def a_container(
        self, driver: Minidriver, what: str, fits: Callable[[ContainerEntry], bool] = lambda _: True
    ) -> ContainerEntry:
        """The first container that fits.

        Raises:
            Absent: there is none.
        """
        for entry in driver.containers():
            if fits(entry):
                return entry
        raise Absent(f"the card has no {what}")

    def free_index(self, driver: Minidriver) -> int:
        """The lowest container index that has no key.

        Raises:
            Absent: there is none.
        """
        space = driver.free_space()
        for index in range(min(space.max_key_containers, 256)):
            try:
                driver.container(index)
            except NotFound:
                return index
        raise Absent("the card has no free container")

    def writable(self, driver: Minidriver) -> None:
        """Make sure that something can be changed through this driver.

        Raises:
            Absent: the card is read-only.
        """
        if driver.read_only:
            raise Absent("the card is read-only")

    def tries(self, driver: Minidriver, pin_id: int = Role.USER) -> int:
        """The tries that are left, when they suffice to spend one.

        Raises:
            Absent: the card does not say, or there are too few.
        """
        left = driver.pin_status(pin_id).attempts_left
        if left is None or left < TRIES_WANTED:
            raise Absent(f"a wrong PIN is presented only when {TRIES_WANTED} tries are known to be left")
        return left

    def wrong_pin(self) -> Pin:
        """A PIN as long as the right one, and different in its last character."""
        assert self.secrets.pin is not None  # noqa: S101 - checks that call this need the PIN
        value = self.secrets.pin.value
        return Pin(value[:-1] + (b"8" if value[-1:] == b"7" else b"7"))

    # --- expectations ------------------------------------------------------------------------------------------------

    def equal(self, what: str, came: object, expected: object) -> None:
        """``came`` is what was expected."""
        if came != expected:
            raise Broken(f"{what}: {shown(expected)}", shown(came))

    def holds(self, condition: object, expected: str, came: object) -> None:
        """``condition`` is true; else ``expected`` says in words what was due."""
        if not condition:
            raise Broken(expected, shown(came))

    def refused(
        self, what: str, codes: int | tuple[int, ...], call: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> WinError:
        """``call`` with these arguments fails with one of ``codes``; returns the error."""
        allowed = codes if isinstance(codes, tuple) else (codes,)
        wanted = f"{what}: {' or '.join(name_of(code) for code in allowed)}"
        try:
            result = call(*args, **kwargs)
        except WinError as error:
            if error.code not in allowed:
                raise Broken(wanted, str(error)) from error
            return error
        raise Broken(wanted, f"success, {shown(result)}")

    def refused_unsent(
        self, what: str, codes: int | tuple[int, ...], call: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """``call`` fails with one of ``codes`` before anything is sent to the card."""
        before = self.log.exchanges
        self.refused(what, codes, call, *args, **kwargs)
        sent = self.log.exchanges - before
        self.holds(not sent, f"{what}: refused before anything is sent to the card", f"{sent} exchanges")

    def allowed(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``call``, which may be a thing that the card or driver does not offer.

        Raises:
            Absent: SCARD_E_UNSUPPORTED_FEATURE, or rights that nobody gave us.
            WinError: any other failure.
        """
        try:
            return call(*args, **kwargs)
        except Unsupported as error:
            raise Absent(f"{what}: {error.detail or 'not supported'}") from error
        except NotAuthenticated as error:
            raise Absent(f"{what}: the card wants other rights than were given ({error.detail})") from error


def fail(expected: str, came: object) -> NoReturn:
    """The rule does not hold."""
    raise Broken(expected, shown(came))


def shown(value: object) -> str:
    """A value as evidence: bytes in hexadecimal, long ones cut."""
    if isinstance(value, WinError):
        return str(value)
    text = f"{value.hex().upper() or 'nothing'} ({len(value)} bytes)" if isinstance(value, bytes) else str(value)
    if isinstance(value, bytes) and len(value) * 2 > VALUE_SHOWN:
        text = f"{value[: VALUE_SHOWN // 2].hex().upper()}… ({len(value)} bytes)"
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 4 * VALUE_SHOWN else text[: 4 * VALUE_SHOWN] + "…"

"""``PrivatePcscd``: a real pcscd of one's own, with virtual readers, for tests and experiments; needs no root.

It listens on a socket in a private directory, and sees neither the machine's readers nor its pcscd. Clients reach it
through the environment variable ``PCSCLITE_CSOCK_NAME``. Several may run at once.

Source: pcscd(8), reader.conf(5), sd_listen_fds(3), unshare(1).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from calais.transport import vpcd
from calais.transport.loopback import LoopbackCard
from calais.transport.pcsc import PcscContext, PcscTransport, ReaderState
from calais.transport.pcsc_library import Library
from calais.win.codes import Code
from calais.win.errors import BadParameter, CardRemoved, ReaderUnavailable, SharingViolation, WinError

SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
READERS_MAX = 16  # PCSCLITE_MAX_READERS_CONTEXTS
SLOTS = 2  # of one vpcd library
PORTS = range(20_000, 32_000, SLOTS)  # below Linux's ephemeral ports
START_TRIES = 5
STOP_S = 5.0
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
DRIVERS = "/usr/lib/pcsc/drivers"
VPCD_PATHS = tuple(
    Path(prefix, "pcsc/drivers/serial/libifdvpcd.so") for prefix in ("/usr/lib", "/usr/lib64", "/usr/local/lib")
)

# The listening socket comes as standard input and becomes file descriptor 3, as sd_listen_fds(3) wants it.
_START = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 </dev/null'
# In a mount namespace: a /run of its own, and no drivers, so that the machine's readers stay out of it.
_HIDE = f"mount -t tmpfs tmpfs /run && {{ [ ! -d {DRIVERS} ] || mount -t tmpfs tmpfs {DRIVERS}; }}"

# pcsc-lite reads the variable once per loaded library, at the first connection.
_environment_mutex = threading.Lock()


class PrivatePcscd:
    """A private pcscd, from ``with`` to the end of its block.

    Args:
        cards: cards that are inserted at the start, one per reader.
        readers: how many readers are wanted, 1…16 (they come in pairs: an odd number gives one more).
        names: a name for each pair of readers; pcscd adds " 00 00" and " 00 01". Some programs want to see
            "Yubico YubiKey" in it.
        timeout_s: how long the start, and each insertion, may take, in seconds.

    Raises:
        ReaderUnavailable: on entry, when pcscd is not installed or does not start.
        BadParameter: too many readers or cards, or an impossible name.
    """

    def __init__(
        self,
        cards: Sequence[LoopbackCard] = (),
        *,
        readers: int = 1,
        names: Sequence[str] = (),
        timeout_s: float = 60.0,
    ) -> None:
        pairs = -(-max(readers, len(cards), SLOTS * len(names)) // SLOTS)
        self._names = [*names, *(f"Calais Virtual Reader {n + 1}" for n in range(len(names), pairs))]
        _check_names(self._names)
        self._cards = tuple(cards)
        self._timeout_s = timeout_s
        self._stack = ExitStack()
        self._served: dict[int, _Served] = {}
        self._readers: list[str] = []
        self._ports: list[int] = []
        self._context: PcscContext | None = None

    @staticmethod
    def missing() -> tuple[str, ...]:
        """Debian packages that would have to be installed first; empty when all is there."""
        wanted = {"pcscd": _program("pcscd"), "vsmartcard-vpcd": _vpcd_path(), "libpcsclite1": _library_there()}
        return tuple(package for package, found in wanted.items() if not found)

    def __enter__(self) -> Self:
        if packages := self.missing():
            raise ReaderUnavailable(
                Code.SCARD_E_NO_SERVICE,
                f"a private pcscd needs {' and '.join(packages)}",
                next_step=f"apt install {' '.join(packages)}",
            )
        try:
            self._start()
            for slot, card in enumerate(self._cards):
                self.insert(card, slot)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    # --- what one does with it

    @property
    def environ(self) -> Mapping[str, str]:
        """What to add to the environment of a client program."""
        return {SOCKET_VARIABLE: str(self._socket)}

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of all readers, as clients see them."""
        return tuple(self._readers)

    def reader(self, slot: int = 0) -> str:
        """Name of reader number ``slot``."""
        return self._readers[self._checked(slot)]

    def port(self, slot: int = 0) -> int:
        """TCP port where reader number ``slot`` waits for a card (see ``calais.transport.vpcd``)."""
        return self._ports[self._checked(slot)]

    @property
    def pid(self) -> int:
        """Process id of pcscd."""
        return self._child.pid

    @property
    def log(self) -> str:
        """What pcscd has printed so far."""
        return self._log.read_text(errors="replace")

    def context(self) -> PcscContext:
        """A new PC/SC context at this pcscd, in this process; the caller closes it."""
        return PcscContext(self._library)

    def connect(self, slot: int = 0, *, exclusive: bool = False, timeout_s: float = 30.0) -> PcscTransport:
        """Connect to the card in reader number ``slot``; the caller closes the transport."""
        return PcscTransport(self._library, self.reader(slot), exclusive=exclusive, timeout_s=timeout_s)

    def insert(self, card: LoopbackCard, slot: int = 0) -> None:
        """Insert ``card`` and wait until pcscd has powered it (it looks every 0.4 s).

        Raises:
            SharingViolation: there is a card already.
            WinError: pcscd did not take the card in time.
        """
        if self._checked(slot) in self._served:
            raise SharingViolation(detail=f"there is a card in {self.reader(slot)} already")
        self._served[slot] = _Served(card, self.port(slot))
        try:
            self._await(slot, lambda state: state.present and state.atr == card.atr, "take the card")
        except WinError:
            self._served.pop(slot).stop()
            raise

    def remove(self, slot: int = 0) -> None:
        """Pull the card and wait until pcscd has noticed.

        Raises:
            CardRemoved: there is none.
            WinError: pcscd did not notice in time; or what the card itself raised while it was in.
        """
        served = self._served.pop(self._checked(slot), None)
        if served is None:
            raise CardRemoved(detail=f"there is no card in {self.reader(slot)}")
        served.stop()
        self._await(slot, lambda state: not state.present, "notice that the card is gone")
        served.check()

    def kill(self) -> None:
        """Kill pcscd, as a crash would."""
        self._child.kill()
        self._child.wait()

    def restart(self) -> None:
        """End pcscd and start it again, with the same readers; inserted cards come back as soon as it looks.

        Raises:
            ReaderUnavailable: it does not start.
        """
        self._stop()
        if not self._launch():
            raise self._failed()

    # --- how it starts and ends

    def _start(self) -> None:
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="calais-")))
        self._socket = self._directory / "pcscd.comm"
        self._log = self._directory / "pcscd.log"
        self._library = Library(str(shutil.copy(_library_path(), self._directory / "pcsc.so")))
        for _ in range(START_TRIES):
            first_ports = [_free_ports() for _ in self._names]
            self._ports = [port + slot for port in first_ports for slot in range(SLOTS)]
            self._write_configuration(first_ports)
            if self._launch():
                break
        else:
            raise self._failed()
        self._stack.callback(self._stop)
        self._stack.callback(self._stop_cards)

    def _launch(self) -> bool:
        self._child = self._spawn()
        if self._is_ready():
            return True
        self._stop()
        return False

    def _failed(self) -> ReaderUnavailable:
        return ReaderUnavailable(
            Code.SCARD_E_NO_SERVICE,
            f"pcscd does not start; it says {self.log[-500:]!r}",
            next_step="allow user namespaces (unshare -rm), or make a directory /run/pcscd",
        )

    def _write_configuration(self, ports: list[int]) -> None:
        """One entry per pair of readers. Two entries with one library would share their slots: copy it for each."""
        directory = self._directory / "reader.conf.d"
        directory.mkdir(exist_ok=True)
        lines = []
        for index, (name, port) in enumerate(zip(self._names, ports, strict=True)):
            library = shutil.copy(str(_vpcd_path()), self._directory / f"vpcd{index}.so")
            device = f"/dev/null:0x{port:X}"
            lines.append(f'FRIENDLYNAME "{name}"\nDEVICENAME {device}\nLIBPATH {library}\nCHANNELID 0x{port:X}\n')
        (directory / "readers").write_text("\n".join(lines))

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._socket.unlink(missing_ok=True)
        command = [_program("pcscd"), "--foreground", "--auto-exit", "--config", str(self._directory / "reader.conf.d")]
        if _knows("--disable-polkit"):
            command.append("--disable-polkit")
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("wb") as log:
            listener.bind(str(self._socket))
            listener.listen(64)
            return subprocess.Popen(
                [*_namespace(), *command], stdin=listener.fileno(), stdout=log, stderr=subprocess.STDOUT, cwd="/"
            )

    def _is_ready(self) -> bool:
        """Whether pcscd answers and has all our readers. Connecting waits until pcscd accepts, so nothing is polled."""
        watchdog = threading.Timer(self._timeout_s, self._child.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            # Held open until the end: --auto-exit ends a pcscd without clients, so none outlives its tests for long.
            self._context = self._first_context()
            there = self._context.list_readers()
        except WinError:  # it ended while we were knocking
            return False
        finally:
            watchdog.cancel()
        self._readers = [f"{name} 00 {slot:02X}" for name in self._names for slot in range(SLOTS)]
        return set(self._readers) <= set(there)

    def _first_context(self) -> PcscContext:
        with _environment_mutex:
            before = os.environ.get(SOCKET_VARIABLE)
            os.environ[SOCKET_VARIABLE] = str(self._socket)
            try:
                return PcscContext(self._library)
            finally:
                del os.environ[SOCKET_VARIABLE]
                if before is not None:
                    os.environ[SOCKET_VARIABLE] = before

    def _stop_cards(self) -> None:
        for served in self._served.values():
            served.stop()
        self._served.clear()

    def _stop(self) -> None:
        """End our own child, and only it."""
        if self._context:
            self._context.close()
            self._context = None
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _checked(self, slot: int) -> int:
        if not 0 <= slot < len(self._readers):
            raise BadParameter(detail=f"there are {len(self._readers)} readers, not number {slot}")
        return slot

    def _await(self, slot: int, wanted: Callable[[ReaderState], bool], what: str) -> None:
        with self.context() as context:
            state = context.states([self.reader(slot)])[0]
            if not wanted(state):
                state = _watch(context, state, wanted, self._timeout_s)
        if not wanted(state):
            if slot in self._served:
                self._served[slot].check()
            raise WinError(Code.SCARD_E_TIMEOUT, f"pcscd did not {what} within {self._timeout_s:.0f} s")


def _watch(
    context: PcscContext, state: ReaderState, wanted: Callable[[ReaderState], bool], timeout_s: float
) -> ReaderState:
    """Follow the changes of a reader until ``wanted``, or the time is over."""
    over = threading.Event()
    timer = threading.Timer(timeout_s, over.set)
    timer.daemon = True
    timer.start()
    while not wanted(state) and not over.is_set():
        state = context.wait([state], min(1.0, timeout_s))[0]
    timer.cancel()
    return state


class _Served:
    """A card being served to a slot, in a thread."""

    def __init__(self, card: LoopbackCard, port: int) -> None:
        self._stop = threading.Event()
        self._error: WinError | None = None
        self._thread = threading.Thread(target=self._run, args=(card, port), name=f"card-{port}", daemon=True)
        self._thread.start()

    def _run(self, card: LoopbackCard, port: int) -> None:
        try:
            vpcd.serve(card, port, stop=self._stop)
        except WinError as error:
            self._error = error

    def stop(self) -> None:
        """Pull the card."""
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the service before its time, if anything did."""
        if self._error:
            raise self._error


def _check_names(names: list[str]) -> None:
    if len(names) * SLOTS > READERS_MAX:
        raise BadParameter(detail=f"pcscd has room for {READERS_MAX} readers")
    if len(set(names)) < len(names):
        raise BadParameter(detail="two pairs of readers have the same name")
    for name in names:
        if not re.fullmatch(r'[^"\n\0]{1,100}', name):
            raise BadParameter(detail=f"{name!r} cannot be the name of a reader")


def _program(name: str) -> str:
    """Its path, or "". Daemons are often not on the path of an ordinary user."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}") or ""


def _vpcd_path() -> Path | None:
    return next((path for path in VPCD_PATHS if path.exists()), None)


def _library_there() -> bool:
    try:
        return bool(_library_path())
    except ReaderUnavailable:
        return False


def _library_path() -> str:
    """File of the PC/SC library. A copy of it has a socket name of its own, so one process can use several pcscd."""
    Library()
    maps = Path("/proc/self/maps").read_text(errors="replace")
    found: set[str] = set(re.findall(r"/\S*/libpcsclite(?:_real)?\.so\S*", maps))
    # Newer versions have a thin library, and a real one that holds the name.
    for path in sorted(found, key=lambda path: "_real" not in path):
        return path
    raise ReaderUnavailable(Code.SCARD_E_NO_SERVICE, "the PC/SC library cannot be found on this system")


def _free_ports() -> int:
    """The first of two neighbouring TCP ports that are free now; whoever loses a race for them tries again."""
    for port in random.SystemRandom().sample(PORTS, 200):
        if all(_is_free(port + slot) for slot in range(SLOTS)):
            return port
    raise ReaderUnavailable(Code.SCARD_E_NO_SERVICE, "no free TCP ports for the virtual readers")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _namespace() -> list[str]:
    """What to put before the command of pcscd: a mount namespace where we may have one.

    Without one, pcscd needs a directory /run/pcscd; its pid file there is of no consequence.
    """
    for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
        if _succeeds([*unshare, "sh", "-c", _HIDE]):
            return [*unshare, "sh", "-c", f"{_HIDE} && {_START}", "sh"]
    return ["sh", "-c", _START, "sh"]


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=STOP_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _knows(option: str) -> bool:
    run = subprocess.run([_program("pcscd"), "--help"], capture_output=True, check=False, text=True, timeout=STOP_S)
    return option in run.stdout

"""Programs for Windows, built by mingw-w64 and run by Wine: the nearest thing to Windows that every machine can have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).with_name("windows")
COMPILER = "x86_64-w64-mingw32-gcc"
WINE_PATTERN = "/usr/lib/wine/wine64"
WINE = (
    pytest.mark.requires(WINE_PATTERN, package="wine64"),
    pytest.mark.requires(COMPILER, package="gcc-mingw-w64-x86-64-win32"),
)
LIBRARIES = ("-lcrypt32", "-ladvapi32", "-lbcrypt")
SECONDS_AT_MOST = 240


class Windows:
    """A Windows of this test run's own.

    Args:
        home: an empty directory for it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._environment = {
            **os.environ,
            "WINEPREFIX": str(home / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",  # asks for no download
            "DISPLAY": "",
        }
        self._wine("wineboot", "-i")

    def build(self, name: str) -> Path:
        """The program ``name``, built from its source unless that is done."""
        program = self._home / f"{name}.exe"
        if not program.exists():
            source = SOURCES / f"{name}.c"
            subprocess.run(
                [COMPILER, "-Wall", "-Werror", "-O1", "-o", program, source, *LIBRARIES], check=True, cwd=SOURCES
            )
        return program

    def run(self, name: str, *words: str | Path) -> str:
        """What the program prints; fails the test with that if it does not end well."""
        done = self._wine(str(self.build(name)), *map(str, words))
        assert done.returncode == 0, done.stdout
        return done.stdout

    def fails(self, name: str, *words: str | Path) -> str:
        """What the program prints when it stops at a Windows error."""
        done = self._wine(str(self.build(name)), *map(str, words))
        assert done.returncode == 3, (done.returncode, done.stdout)
        return done.stdout

    def close(self) -> None:
        """End it."""
        server = str(Path(WINE_PATTERN).with_name("wineserver64"))
        subprocess.run([server, "-k", "-w"], env=self._environment, check=False, timeout=SECONDS_AT_MOST)

    def _wine(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [WINE_PATTERN, *words],
            env=self._environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=SECONDS_AT_MOST,
        )


@pytest.fixture(scope="session")
def windows(tmp_path_factory):
    """A Windows for the whole run; the programs and it talk through files."""
    made = Windows(tmp_path_factory.mktemp("windows"))
    yield made
    made.close()

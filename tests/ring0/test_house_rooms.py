"""The contracts between the rooms hold, and each of them refuses an import that it should refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WRONG_DOORS = {
    "a room imports only from rooms below it": ("apps/__init__.py", "import calais.cli"),
    "the store knows no cards": ("store/__init__.py", "import calais.transport.base"),
    "iso7816 takes only errors and codes from win": ("iso7816/sw.py", "import calais.win.flags"),
    "numbers need only the standard library": ("win/errors.py", "import cryptography"),
    "pure rooms have no door to the world": ("iso7816/tlv.py", "import os.path"),
    "the card shares only numbers with the host": ("cards/piv/applet.py", "import calais.cards.piv.edge"),
    "the host shares only numbers with the card": ("cards/piv/driver.py", "import calais.cards.piv.applet"),
    "SQL lives in store.sql": ("provider/__init__.py", "import sqlalchemy"),
    "foreign functions live in transport": ("resource/__init__.py", "import ctypes"),
    "only the command line draws and parses arguments": ("testing/__init__.py", "import rich"),
}


def lint(root: Path) -> str:
    program = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [program, "--no-logo", "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def verdicts(project, tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("rooms")
    shutil.copytree(project / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(project / "pyproject.toml", root)
    for path, line in WRONG_DOORS.values():
        with (root / "src" / "calais" / path).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")
    return lint(root)


@pytest.mark.parametrize("contract", WRONG_DOORS)
def test_a_wrong_door_breaks_the_contract(verdicts, contract):
    lines = [line for line in verdicts.splitlines() if line.startswith(contract)]
    assert any("BROKEN" in line for line in lines), verdicts


def test_this_project_keeps_its_rooms(project):
    report = lint(project)
    assert f"{len(WRONG_DOORS)} kept, 0 broken" in report, report

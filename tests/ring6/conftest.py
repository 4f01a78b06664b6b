"""A virtual PIV card behind a private pcscd, and foreign programs that are pointed at it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from calais.testing import PrivatePcscd, virtual_piv

# A reader of this name is what Yubico's programs look for.
READER = "Yubico YubiKey CCID"


@dataclass
class Stage:
    """One card behind one pcscd; ``run`` starts a foreign program there."""

    card: object
    pcscd: PrivatePcscd
    folder: Path

    def run(self, *command, **options):
        """What the program wrote to its standard output."""
        return self.done(*command, **options).stdout

    def text(self, *command, **options):
        """All that the program said, on both outputs."""
        done = self.done(*command, **options)
        return (done.stdout + done.stderr).decode(errors="replace")

    def done(self, *command, status=0, **environment):
        """The finished program; fails with all that it printed unless it ends with ``status`` (``None`` = any)."""
        done = subprocess.run(
            [str(word) for word in command],
            env=os.environ | dict(self.pcscd.environ) | {"HOME": str(self.folder)} | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        said = f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr).decode(errors='replace')}"
        assert status is None or done.returncode == status, f"ended with {done.returncode}: {said}"
        return done

    def file(self, name, content=b""):
        """A file in the program's working directory."""
        path = self.folder / name
        path.write_bytes(content)
        return path


@pytest.fixture
def stage_with(tmp_path):
    """Put a card behind a pcscd of its own: ``stage_with(card) -> Stage``."""
    running = []

    def start(card):
        pcscd = PrivatePcscd([card], names=[READER])
        running.append(pcscd)
        return Stage(card, pcscd.__enter__(), tmp_path)

    yield start
    for pcscd in running:
        pcscd.__exit__(None, None, None)


@pytest.fixture
def stage(stage_with):
    """The default virtual PIV card: RSA-2048 in 9A and 9D, P-256 in 9C."""
    return stage_with(virtual_piv())

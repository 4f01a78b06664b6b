"""The command line against a real pcscd: one process serves a virtual card, others use it as any card in a reader."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from commandline import CommandLine
from foreign import PRIVATE_PCSCD

from calais.testing import PrivatePcscd

pytestmark = [*PRIVATE_PCSCD]


@pytest.fixture
def served(capfdbinary, tmp_path, monkeypatch):
    """A command line whose card is behind pcscd; the virtual reader is in another home."""
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada", reader=None)
    with PrivatePcscd() as service:
        words = [sys.executable, "-m", "calais", "virtual", "serve", "ada", "--port", str(service.port())]
        server = subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = [server.stderr.readline(), server.stderr.readline()]
        assert "is in the reader" in lines[1], lines
        with service.context() as context:
            states = context.states()
            while not any(state.present for state in states):
                states = context.wait(states, 30.0)
        yield Elsewhere({**os.environ, **service.environ, "CALAIS_HOME": str(tmp_path / "other home")}, calais)
        server.terminate()
        out, _ = server.communicate(timeout=60)
        assert server.returncode == 0
        assert '"insertions": 1' in out


class Elsewhere:
    """``calais`` in processes of its own, in another home."""

    def __init__(self, environment, calais):
        self._environment = environment
        self.files = calais

    def run(self, *words):
        command = [sys.executable, "-m", "calais", *map(str, words)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_a_served_card_is_read_propagated_and_signs_as_a_real_one(served):
    document = served.files.file("doc", "text")
    pin = served.files.pin
    assert "PIV " in served.ok("readers")
    assert "3 added" in served.ok("propagate")
    assert "match ok" in served.ok("scinfo", "--pin-file", pin)
    served.ok("sign", document, "--cert", "ada 9C", "--pin-file", pin)
    served.ok("verify", document, f"{document}.sig", "--cert", "ada 9C")
    assert served.run("pin", "verify", "--pin-file", served.files.wrong_pin).returncode == 4
    assert "2" in served.ok("pin", "status")

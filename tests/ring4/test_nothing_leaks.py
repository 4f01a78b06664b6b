"""PINs, PUK and management key reach no output, trace, database or process list, whatever a person does with them.

The card's own memory holds them, as a card must: ``NAME.card`` is the card.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PIN, NEW_PIN, WRONG_PIN = "73190284", "60241739", "18273645"
PUK = "95173604"
MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"
SECRETS = (PIN, NEW_PIN, WRONG_PIN, PUK)


class Watch:
    """Reads command lines and environments of the processes that live in ``home``, again and again, while it is on."""

    def __init__(self, home):
        self.seen = bytearray()
        self._mark = f"CALAIS_HOME={home}".encode()
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._off.set()
        self._thread.join()

    def _look(self):
        known = set()
        while not self._off.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                said = self._said(process)
                if said not in known:
                    known.add(said)
                    self.seen += said

    def _said(self, process):
        try:
            environment = (process / "environ").read_bytes()
            return (process / "cmdline").read_bytes() + environment if self._mark in environment else b""
        except OSError:
            return b""


@pytest.fixture
def calais(tmp_path):
    """Run the command line in a process of its own, tracing and talking as much as it can; gather what it says."""
    home = tmp_path / "home"
    environment = os.environ | {"CALAIS_HOME": str(home), "CALAIS_DEBUG": "1", "CALAIS_TRACE": str(tmp_path / "trace")}
    said = bytearray()

    def run(*words, lines=(), codes=(0,)):
        done = subprocess.run(
            [sys.executable, "-m", "calais", *words],
            input="".join(f"{line}\n" for line in lines).encode(),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
        )
        assert done.returncode in codes, (words, done)
        said.extend(done.stdout + done.stderr)

    run.said, run.home, run.trace = said, home, tmp_path / "trace"
    return run


def everything(calais):
    """All that was said, traced and stored, but for the memory of the card itself."""
    files = [path for path in calais.home.rglob("*") if path.is_file() and path.suffix != ".card"]
    assert any(path.suffix in (".db", ".sqlite", ".sqlite3") for path in files), files
    return {"output": bytes(calais.said), "trace": calais.trace.read_bytes()} | {
        str(path): path.read_bytes() for path in files
    }


def forms(secret: str) -> list[bytes]:
    """A secret as text, as a padded PIN, in hexadecimal, and in UTF-16."""
    raw = secret.encode()
    texts = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    return [*texts, raw.ljust(8, b"\xff"), secret.encode("utf-16-le")]


def live(calais, tmp_path):
    """A card's whole life, wrong PINs and faults included."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "text").write_bytes(b"text")
    calais("virtual", "new", "card", "--insert", "--pin-stdin", "--puk-stdin", lines=(PIN, PUK))
    calais("propagate")
    calais("pin", "verify", "--pin-stdin", lines=(PIN,))
    calais("pin", "verify", "--pin-stdin", lines=(WRONG_PIN,), codes=(4,))
    calais("sign", "text", "--container", "9A", "-o", "signature", "--pin-stdin", lines=(PIN,))
    calais("sign", "text", "--container", "9C", "-o", "signature2", "--pin-stdin", "--json", lines=(PIN,))
    calais("scinfo", "--pin-stdin", lines=(PIN,), codes=(0, 1))
    calais("pin", "change", "--pin-stdin", "--new-pin-stdin", lines=(PIN, NEW_PIN))
    calais("pin", "unblock", "--puk-stdin", "--new-pin-stdin", lines=(PUK, PIN))
    calais("card", "generate", "9E", "--self-signed", "--subject", "Ada", "--management-key-stdin", "--pin-stdin", "-o", "made.pem",
           lines=(MANAGEMENT_KEY, PIN))  # fmt: skip
    calais("card", "import", "82", "key.pem", "--management-key-stdin", lines=(MANAGEMENT_KEY,))
    for _ in range(3):
        calais("pin", "verify", "--pin-stdin", lines=(WRONG_PIN,), codes=(4,))
    calais("pin", "verify", "--pin-stdin", "--json", lines=(PIN,), codes=(4,))


def test_secrets_appear_nowhere_but_on_the_card(calais, tmp_path):
    with Watch(calais.home) as processes:
        live(calais, tmp_path)
    places = everything(calais) | {"process list": bytes(processes.seen)}
    assert b"-mcalais" in processes.seen.replace(b"\0", b""), "the watch sees our processes"
    found = [
        (secret, place)
        for secret in SECRETS
        for place, content in places.items()
        if any(form in content for form in forms(secret))
    ]
    found += [("management key", place) for place, content in places.items() if MANAGEMENT_KEY.encode() in content]
    assert not found

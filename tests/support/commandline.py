"""A home with virtual cards in it, and the command line run in this process."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from calais.cards.piv.personalise import new_card
from calais.cli import main
from calais.resource.virtual import DEFAULT_READER, VirtualReaders

PIN, PUK = "123456", "12345678"
MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"


@cache
def keys() -> dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]:
    """Keys for all tests; RSA ones are made once."""
    return {
        "9A": rsa.generate_private_key(65537, 2048),
        "9C": ec.generate_private_key(ec.SECP256R1()),
        "9D": rsa.generate_private_key(65537, 2048),
        "authority": ec.generate_private_key(ec.SECP256R1()),
        "other": ec.generate_private_key(ec.SECP256R1()),
    }


def issue(key, common_name="Ada Lovelace", *, until=2040, serial=None) -> x509.Certificate:
    """A certificate of the tests' authority."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tests' Authority")])
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(until, 1, 1, tzinfo=UTC)
    number = serial or x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, name, key.public_key(), number, begin, end)
    return builder.sign(keys()["authority"], hashes.SHA256())


def authority() -> x509.Certificate:
    """The authority's own certificate."""
    key = keys()["authority"]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tests' Authority")])
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def pem(certificate: x509.Certificate) -> bytes:
    """PEM."""
    return certificate.public_bytes(Encoding.PEM)


@dataclass
class Result:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The document on the standard output."""
        return json.loads(self.out)

    @property
    def error(self):
        """The failure on the error stream."""
        return json.loads(self.err)["error"]


class CommandLine:
    """``calais`` in a home of its own; ``run("pin", "status")``."""

    def __init__(self, capfdbinary, tmp_path: Path, monkeypatch) -> None:
        self._streams = capfdbinary
        self._monkeypatch = monkeypatch
        self.folder = tmp_path
        self.virtual = VirtualReaders(Path(os.environ["CALAIS_HOME"]) / "virtual")
        self.pin = self.file("pin", PIN + "\n")
        self.wrong_pin = self.file("wrong", "999999\n")
        self.puk = self.file("puk", PUK + "\n")
        monkeypatch.chdir(tmp_path)

    def run(self, *words: str | Path, stdin: bytes = b"") -> Result:
        """One command line."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._streams.readouterr()
        code = main([str(word) for word in words])
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = self._streams.readouterr()
        return Result(code, out.decode(errors="backslashreplace"), err.decode())

    def ok(self, *words: str | Path, stdin: bytes = b"") -> Result:
        """One that must succeed."""
        result = self.run(*words, stdin=stdin)
        assert result.code == 0, result.err or result.out
        return result

    def json(self, *words: str | Path, stdin: bytes = b""):
        """The document of one that must succeed."""
        return self.ok(*words, "--json", stdin=stdin).json

    def file(self, name: str, content: str | bytes) -> Path:
        """A file in the test's folder."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def card(self, name="ada", reader: str | None = DEFAULT_READER, **options) -> None:
        """A virtual card with keys in 9A (RSA), 9C (EC) and 9D (RSA), inserted."""
        made = keys()
        options.setdefault(
            "keys",
            {
                0x9A: (made["9A"], issue(made["9A"], f"{name} 9A", serial=0x9A)),
                0x9C: (made["9C"], issue(made["9C"], f"{name} 9C", serial=0x9C)),
                0x9D: (made["9D"], issue(made["9D"], f"{name} 9D", serial=0x9D)),
            },
        )
        self.virtual.new(name, lambda memory: new_card(memory, os.urandom, **options))
        if reader is not None:
            self.virtual.insert(name, reader)

"""Eight processes that sign at once, through mixed faces, with one card behind one pcscd."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import signer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from foreign import PIN, PRIVATE_PCSCD

from calais.testing import PrivatePcscd, virtual_gids, virtual_piv

pytestmark = [*PRIVATE_PCSCD]
ROUNDS = 12
SECONDS_AT_MOST = 300


def start(home, face, pcscd):
    words = [sys.executable, signer.__file__, str(home), face, str(ROUNDS)]
    environment = {**os.environ, **pcscd.environ}
    return subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    said, complaints = process.communicate(f"{PIN}\n", timeout=SECONDS_AT_MOST)
    assert process.returncode == 0, complaints
    return json.loads(said)


def check(public_key, face, signatures):
    """Each round's signature is of that round's digest."""
    how = hashes.SHA1() if face == "personal" else hashes.SHA256()
    for number, signature in enumerate(signatures):
        public_key.verify(bytes.fromhex(signature), signer.digest_of(face, number), PKCS1v15(), Prehashed(how))


@pytest.mark.parametrize("make", [virtual_piv, virtual_gids], ids=["PIV", "GIDS"])
def test_eight_processes_sign_at_once_and_each_asks_once_at_most(tmp_path, make, card_key):
    with PrivatePcscd([make()]) as pcscd:
        public_key = card_key(pcscd)
        faces = [face for face in signer.FACES for _ in range(2)]
        running = [start(tmp_path / f"{number}", face, pcscd) for number, face in enumerate(faces)]
        answers = [finish(process) for process in running]
    for face, answer in zip(faces, answers, strict=True):
        assert len(answer["signatures"]) == ROUNDS
        check(public_key, face, answer["signatures"])
        assert answer["prompts"] <= 1


@pytest.fixture
def card_key(tmp_path):
    """The public key of the default container, as a process of its own finds it."""

    def found(pcscd):
        script = (
            "import sys; from calais.system import System; from cryptography.hazmat.primitives.serialization import"
            " Encoding, PublicFormat\n"
            f"with System.local({str(tmp_path / 'look')!r}) as s: sys.stdout.buffer.write("
            "s.card().containers.default.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **pcscd.environ}, check=True, capture_output=True
        )
        return load_der_public_key(done.stdout)

    return found

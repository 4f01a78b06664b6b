"""What tests of the resource manager's functions have in common: raised codes, a bounded other thread, cards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from calais import WinError
from calais.testing import virtual_gids, virtual_piv

READER = "Virtual Reader 0"
SECOND = "Virtual Reader 1"
PNP = "\\\\?PnP?\\Notification"
SELECT_PIV = bytes.fromhex("00A404000BA000000308000010000100")
SELECT_GIDS = bytes.fromhex("00A404000BA00000039742544659020100")
VERIFY_PIV = bytes.fromhex("0020008008") + b"123456\xff\xff"
VERIFIED_PIV = bytes.fromhex("00200080")
PIV_NAME = "Identity Device (NIST SP 800-73 [PIV])"
GIDS_NAME = "Identity Device (Microsoft Generic Profile)"
LIMIT = 20  # seconds any wait may take before the test has failed


@contextmanager
def raises(code):
    """The block raises ``WinError`` with this code; yields the exception info."""
    with pytest.raises(WinError) as caught:
        yield caught
    assert caught.value.code == code, f"{caught.value.code:#x}, not {code:#x}: {caught.value}"


@contextmanager
def aside():
    """An executor for one other thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def small_piv(**options):
    """A PIV card that is quickly made."""
    return virtual_piv(**{"keys": {}, **options})


def small_gids(**options):
    """A GIDS card that is quickly made."""
    return virtual_gids(**{"keys": [], **options})


def response_to(challenge, key, block):
    """The answer to a challenge of the management or admin key."""
    algorithm = TripleDES(key) if block == 8 else algorithms.AES(key)
    encryptor = Cipher(algorithm, modes.CBC(bytes(block))).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()

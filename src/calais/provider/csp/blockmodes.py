"""Block ciphers in the three modes of CryptoAPI; the chaining value goes in and comes out.

Source: SP 800-38A, 6.1 (ECB), 6.2 (CBC), 6.3 (CFB with s = 8); CRYPT_MODE_* (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB8
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from calais.win.flags import CRYPT_MODE_CBC, CRYPT_MODE_CFB, CRYPT_MODE_ECB


class Result(NamedTuple):
    """What came out, and the chaining value for what follows."""

    data: bytes
    chain: bytes


class Job(NamedTuple):
    """A key, its direction, and the chaining value so far."""

    algorithm: BlockCipherAlgorithm
    chain: bytes
    encrypting: bool

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return self.algorithm.block_size // 8


def _des(key: bytes) -> BlockCipherAlgorithm:
    """DES with one, two or three keys as the triple of three keys."""
    return TripleDES((key * 3)[:24])


CIPHERS: dict[str, Callable[[bytes], BlockCipherAlgorithm]] = {"des": _des, "aes": AES, "rc2": RC2}


def run(cipher: str, key: bytes, mode: int, job_chain: bytes, data: bytes, *, encrypting: bool) -> Result:
    """Encrypt or decrypt whole blocks.

    Args:
        cipher: ``"des"``, ``"aes"`` or ``"rc2"``.
        key: of a length that the cipher has.
        mode: CRYPT_MODE_CBC, …_ECB or …_CFB.
        job_chain: the chaining value, one block; not used by ECB.
        data: whole blocks.
        encrypting: else decrypt.
    """
    return MODES[mode](Job(CIPHERS[cipher](key), job_chain, encrypting), data)


def _apply(job: Job, mode: CBC | CFB8 | ECB, data: bytes) -> bytes:
    cipher = Cipher(job.algorithm, mode)
    return (cipher.encryptor() if job.encrypting else cipher.decryptor()).update(data)


def _last(job: Job, given: bytes, made: bytes) -> bytes:
    """The last block of ciphertext, with the chaining value before it."""
    return (job.chain + (made if job.encrypting else given))[-job.block :]


def _cbc(job: Job, data: bytes) -> Result:
    made = _apply(job, CBC(job.chain), data)
    return Result(made, _last(job, data, made))


def _ecb(job: Job, data: bytes) -> Result:
    if not isinstance(job.algorithm, RC2):
        return Result(_apply(job, ECB(), data), job.chain)  # noqa: S305 - the caller asks for it
    zeros = bytes(job.block)
    return Result(b"".join(_apply(job, CBC(zeros), block) for block in _blocks(data, job.block)), job.chain)


def _cfb(job: Job, data: bytes) -> Result:
    made = _rc2_cfb(job, data) if isinstance(job.algorithm, RC2) else _apply(job, CFB8(job.chain), data)
    return Result(made, _last(job, data, made))


def _rc2_cfb(job: Job, data: bytes) -> bytes:
    """The library has RC2 in CBC only, which is one block of ECB when the chaining value is zero."""
    register, made, single = job.chain, bytearray(), job._replace(encrypting=True)
    for byte in data:
        made.append(byte ^ _apply(single, CBC(bytes(job.block)), register)[0])
        register = register[1:] + bytes((made[-1] if job.encrypting else byte,))
    return bytes(made)


def _blocks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


MODES: dict[int, Callable[[Job, bytes], Result]] = {CRYPT_MODE_CBC: _cbc, CRYPT_MODE_ECB: _ecb, CRYPT_MODE_CFB: _cfb}

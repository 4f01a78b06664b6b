"""A process of its own that signs with the card in a PC/SC reader through one face.

    python signer.py HOME FACE ROUNDS    prints JSON: the signatures (hexadecimal, big-endian) and how often a PIN was asked

The PIN comes on standard input, and the prompt that gives it counts.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import ExitStack

FACES = ("base", "personal", "cng", "python")


def main(home: str, face: str, rounds: str) -> None:
    from calais.system import System
    from calais.testing import FixedPrompt

    prompt = FixedPrompt(sys.stdin.readline().strip())
    with System.local(home, prompt=prompt) as system, ExitStack() as stack:
        sign = {"python": python, "cng": cng}.get(face, cryptoapi)(stack, system, face)
        signatures = [sign(digest_of(face, number)).hex() for number in range(int(rounds))]
    print(json.dumps({"signatures": signatures, "prompts": prompt.count}))


def digest_of(face: str, number: int) -> bytes:
    """What the face signs in its round ``number``; the Personal CSP knows no SHA-256."""
    data = f"{face} {number}".encode()
    return hashlib.sha1(data).digest() if face == "personal" else hashlib.sha256(data).digest()


def cryptoapi(stack, system, face):
    from calais.winapi.advapi32 import (
        AT_KEYEXCHANGE,
        CALG_SHA1,
        CALG_SHA_256,
        HP_HASHVAL,
        MS_SCARD_PROV,
        PERSONAL_CSP,
        CryptAcquireContext,
        CryptCreateHash,
        CryptSetHashParam,
        CryptSignHash,
    )

    provider, algorithm = (PERSONAL_CSP, CALG_SHA1) if face == "personal" else (MS_SCARD_PROV, CALG_SHA_256)
    context = stack.enter_context(CryptAcquireContext(None, provider, system=system))

    def sign(digest):
        hashed = CryptCreateHash(context, algorithm)
        CryptSetHashParam(hashed, HP_HASHVAL, digest)
        return CryptSignHash(hashed, AT_KEYEXCHANGE)[::-1]

    return sign


def cng(stack, system, _face):
    from calais.win.structs import Pkcs1PaddingInfo
    from calais.winapi.ncrypt import (
        MS_SMART_CARD_KEY_STORAGE_PROVIDER,
        NCRYPT_PAD_PKCS1_FLAG,
        NCryptOpenKey,
        NCryptOpenStorageProvider,
        NCryptSignHash,
    )

    provider = stack.enter_context(NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER, system=system))
    key = stack.enter_context(NCryptOpenKey(provider, ""))
    return lambda digest: NCryptSignHash(key, Pkcs1PaddingInfo("SHA256"), digest, NCRYPT_PAD_PKCS1_FLAG)


def python(_stack, system, _face):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    key = system.card().containers.default.key
    return lambda digest: key.sign(digest, PKCS1v15(), Prehashed(hashes.SHA256()))


if __name__ == "__main__":
    main(*sys.argv[1:])

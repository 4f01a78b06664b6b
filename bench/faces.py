"""Signatures per second through each face, in process, as a ratio to the bare ``cryptography`` call.

Every face signs with the same key on the same card with the PIN verified; the faces and the bare key take turns, round
by round, in one run; the median of the rounds' ratios is what counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from rich.console import Console
from rich.table import Table

from bench.speed import DIGEST, PREHASHED, certificate_of, rate
from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.win.structs import Pkcs1PaddingInfo
from calais.winapi.advapi32 import (
    AT_KEYEXCHANGE,
    CALG_SHA1,
    CALG_SHA_256,
    HP_HASHVAL,
    PERSONAL_CSP,
    PROV_RSA_FULL,
    CryptAcquireContext,
    CryptCreateHash,
    CryptDestroyHash,
    CryptSetHashParam,
    CryptSignHash,
)
from calais.winapi.ncrypt import (
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCRYPT_PAD_PKCS1_FLAG,
    NCryptOpenKey,
    NCryptOpenStorageProvider,
    NCryptSignHash,
)

ROUNDS = 15
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Sign = Callable[[], object]
KEYS: dict[str, tuple[Callable[[], PrivateKey], tuple[object, ...]]] = {
    "RSA-2048": (lambda: rsa.generate_private_key(65537, 2048), (padding.PKCS1v15(), PREHASHED)),
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), (ec.ECDSA(PREHASHED),)),
}


def main() -> None:
    """Measure and print."""
    table = Table(title="signatures per second through each face, slot 9A, PIN verified", title_justify="left")
    for heading in ("key", "face", "per second", "ratio: min", "median", "max"):
        table.add_column(heading, justify="left" if heading == "face" else "right")
    for kind, (make, how) in KEYS.items():
        for face, rates, bare in measured(make(), how):
            ratios = sorted(mine / theirs for mine, theirs in zip(rates, bare, strict=True))
            middle = f"[bold]{statistics.median(ratios):.2f}[/]"
            table.add_row(
                kind, face, f"{statistics.median(rates):,.0f}", f"{ratios[0]:.2f}", middle, f"{ratios[-1]:.2f}"
            )
    Console().print(table)


def measured(bare_key: PrivateKey, how: tuple[object, ...]) -> list[tuple[str, list[float], list[float]]]:
    """Name of the face, its signatures per second of each round, and the bare key's."""
    with faces(bare_key, how) as signers:
        for sign in signers.values():
            sign()
        rounds = [{name: rate(sign) for name, sign in signers.items()} for _ in range(ROUNDS)]
    bare = [each["bare"] for each in rounds]
    return [(name, [each[name] for each in rounds], bare) for name in signers]


@contextmanager
def faces(bare_key: PrivateKey, how: tuple[object, ...]) -> Iterator[dict[str, Sign]]:
    """One signature by each face."""
    with ExitStack() as stack:
        system = stack.enter_context(local_system(prompt=FixedPrompt("123456")))
        system.insert(virtual_piv(keys={0x9A: (bare_key, certificate_of(bare_key))}))
        card_key = system.card().containers.find("9A").key
        signers: dict[str, Sign] = {
            "bare": lambda: bare_key.sign(DIGEST, *how),
            "Python": lambda: card_key.sign(DIGEST, *how),
            "CNG": cng(stack, rsa_key=isinstance(bare_key, rsa.RSAPrivateKey)),
        }
        if isinstance(bare_key, rsa.RSAPrivateKey):
            signers["CryptoAPI, Base"] = cryptoapi(stack, None, CALG_SHA_256, DIGEST)
            signers["CryptoAPI, Personal"] = cryptoapi(stack, PERSONAL_CSP, CALG_SHA1, DIGEST[:20])
        yield signers


def cng(stack: ExitStack, *, rsa_key: bool) -> Sign:
    """NCryptSignHash."""
    provider = stack.enter_context(NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER))
    key = stack.enter_context(NCryptOpenKey(provider, ""))
    info = Pkcs1PaddingInfo("SHA256") if rsa_key else None
    return lambda: NCryptSignHash(key, info, DIGEST, NCRYPT_PAD_PKCS1_FLAG if rsa_key else 0)


def cryptoapi(stack: ExitStack, provider: str | None, algorithm: int, digest: bytes) -> Sign:
    """CryptSignHash, with the hash object that it needs."""
    context = stack.enter_context(CryptAcquireContext(None, provider, PROV_RSA_FULL))

    def sign() -> bytes:
        hashed = CryptCreateHash(context, algorithm)
        CryptSetHashParam(hashed, HP_HASHVAL, digest)
        signature: bytes = CryptSignHash(hashed, AT_KEYEXCHANGE)
        CryptDestroyHash(hashed)
        return signature

    return sign


if __name__ == "__main__":
    main()

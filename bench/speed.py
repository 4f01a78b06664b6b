"""Signatures per second through the whole stack, in process, as a ratio to the bare ``cryptography`` call.

Both are measured in turn, round by round, in one run; the median of the rounds' ratios is what counts.
Goals: 0.9 for RSA-2048, 0.3 for P-256.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from rich.console import Console
from rich.table import Table

from calais.testing import FixedPrompt, local_system, virtual_piv

ROUNDS = 15
ROUND_S = 0.15
DIGEST = bytes(range(32))
PREHASHED = utils.Prehashed(hashes.SHA256())

KINDS: dict[str, tuple[Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey], tuple[object, ...], float]] = {
    "RSA-2048": (lambda: rsa.generate_private_key(65537, 2048), (padding.PKCS1v15(), PREHASHED), 0.9),
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), (ec.ECDSA(PREHASHED),), 0.3),
}


def main() -> None:
    """Measure and print."""
    table = Table(title="signatures per second, slot 9A, PIN verified", title_justify="left")
    for heading in ("key", "bare", "Calais", "ratio: min", "median", "max", "goal"):
        table.add_column(heading, justify="right")
    for kind, (make, how, goal) in KINDS.items():
        bare, ours = rates(make(), how)
        ratios = sorted(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
        middle = statistics.median(ratios)
        table.add_row(
            kind,
            f"{statistics.median(bare):,.0f}",
            f"{statistics.median(ours):,.0f}",
            f"{ratios[0]:.2f}",
            f"[bold]{middle:.2f}[/]",
            f"{ratios[-1]:.2f}",
            f"{goal}",
        )
    Console().print(table)


def rates(bare_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, how: tuple[object, ...]) -> tuple[list[float], ...]:
    """Signatures per second of each round: the bare key's, and the same key's on a card."""
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_piv(keys={0x9A: (bare_key, certificate_of(bare_key))}))
        card_key = system.card().containers.find("9A").key
        card_key.sign(DIGEST, *how)
        rounds = [
            (rate(lambda: bare_key.sign(DIGEST, *how)), rate(lambda: card_key.sign(DIGEST, *how)))
            for _ in range(ROUNDS)
        ]
    return [bare for bare, _ in rounds], [ours for _, ours in rounds]


def rate(sign: Callable[[], object]) -> float:
    """Signatures per second in one round."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < ROUND_S:
        sign()
        done += 1
    return done / spent


def certificate_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> object:
    """A self-signed certificate."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Benchmark")])
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )


if __name__ == "__main__":
    main()

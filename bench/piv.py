"""PIV: exchanges and bytes of Calais, OpenSC and ykcs11 on the same card behind the same pcscd, in one run.

Counted at the card. Cold: the card was power-cycled before, and no cache of an earlier process was there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from calais.testing import PrivatePcscd, virtual_piv

READER = "Yubico YubiKey CCID"
MODULES = {"OpenSC": "usr/lib/*/opensc-pkcs11.so", "ykcs11": "usr/lib/*/libykcs11.so*"}
OPERATIONS = {
    "list certificates": ("list",),
    "login + sign RSA-2048 (9A)": ("sign", "9A", "1"),
    "login + sign P-256 (9C)": ("sign", "9C", "1"),
    "50 signatures RSA-2048 (9A)": ("sign", "9A", "50"),
    "50 signatures P-256 (9C)": ("sign", "9C", "50"),
}


def main() -> None:
    """Measure and print."""
    table = Table(title="exchanges / bytes to the card / bytes from it", title_justify="left")
    table.add_column("operation")
    clients = dict(programs())
    for name in clients:
        table.add_column(name, justify="right")
    card = virtual_piv()
    with PrivatePcscd([card], names=[READER]) as pcscd, Console(stderr=True).status("measuring") as status:
        for operation, words in OPERATIONS.items():
            status.update(f"measuring: {operation}")
            table.add_row(operation, *(cost(pcscd, card, program, words) for program in clients.values()))
    Console().print(table)


def programs() -> Iterator[tuple[str, str]]:
    """Name and program of each client that is here."""
    yield "Calais", "calais"
    for name, pattern in MODULES.items():
        found = next(Path("/").glob(pattern), None)
        if found:
            yield name, str(found)


def cost(pcscd: PrivatePcscd, card: object, program: str, words: tuple[str, ...]) -> str:
    """What one run of a client process costs at the card."""
    with tempfile.TemporaryDirectory() as home:
        pcscd.remove()
        pcscd.insert(card)
        card.counter.clear()
        environment = os.environ | dict(pcscd.environ) | {"HOME": home, "CALAIS_HOME": home, "XDG_CACHE_HOME": home}
        done = subprocess.run(
            [sys.executable, "-m", "bench.client", program, *words], env=environment, capture_output=True, check=False
        )
    if done.returncode:
        return f"failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}"
    return f"{card.counter.exchanges} / {card.counter.bytes_in} / {card.counter.bytes_out}"


if __name__ == "__main__":
    main()

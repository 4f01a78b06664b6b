"""GIDS: exchanges and bytes of Calais and OpenSC on the same card behind the same pcscd, in one run.

Counted at the card. Cold: the card was power-cycled before, and no cache of an earlier process was there. Warm: the
program has listed the card before, and the card was taken out and put back in between; the program runs on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from bench.piv import programs
from calais.testing import PrivatePcscd, virtual_gids

OPERATIONS = {
    "list certificates, cold": ("list",),
    "list certificates, warm": ("list", "again"),
    "login + sign RSA-2048": ("sign", "81", "1"),
    "50 signatures RSA-2048": ("sign", "81", "50"),
}
KEPT_OUT = ("ykcs11",)  # knows PIV alone


def main() -> None:
    """Measure and print."""
    table = Table(title="exchanges / bytes to the card / bytes from it", title_justify="left")
    table.add_column("operation")
    clients = {name: program for name, program in programs() if name not in KEPT_OUT}
    for name in clients:
        table.add_column(name, justify="right")
    card = virtual_gids()
    with PrivatePcscd([card]) as pcscd, Console(stderr=True).status("measuring") as status:
        for operation, words in OPERATIONS.items():
            status.update(f"measuring: {operation}")
            table.add_row(operation, *(cost(pcscd, card, program, words) for program in clients.values()))
    Console().print(table)


def cost(pcscd: PrivatePcscd, card: object, program: str, words: tuple[str, ...]) -> str:
    """What one run of a client process costs at the card; with "again", its second listing alone."""
    with started(pcscd, program, words) as process:
        pcscd.remove()
        pcscd.insert(card)
        card.counter.clear()
        for _ in range(words.count("again")):
            go_on(process)
            pcscd.remove()
            pcscd.insert(card)
            card.counter.clear()
        said, complaint = process.communicate("\n")
    if process.returncode:
        return f"failed: {complaint.strip().splitlines()[-1:]}"
    if not said.strip().endswith("1"):
        return f"failed: said {said!r}"
    return f"{card.counter.exchanges} / {card.counter.bytes_in} / {card.counter.bytes_out}"


def go_on(process: subprocess.Popen[str]) -> None:
    """Let the client list the card, and wait until it has."""
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


@contextmanager
def started(pcscd: PrivatePcscd, program: str, words: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """A client process that waits for a line on its standard input before each thing it does."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | dict(pcscd.environ) | {"HOME": home, "CALAIS_HOME": home, "XDG_CACHE_HOME": home}
        command = [sys.executable, "-m", "bench.client", "--wait", program, *words]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
            yield process


if __name__ == "__main__":
    main()

"""The file of an escrow: read, and changed by one program at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calais.cli.files import write_whole
from calais.cli.secrets import Source
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.apps.escrow import Escrow

WAIT_S = 10.0


def load_escrow(path: Path) -> Escrow:
    """The escrow in ``path``.

    Raises:
        BadData: there is none in it; the file is named.
    """
    from calais.apps.escrowfile import MAX_BYTES, parse_escrow

    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        return parse_escrow(data)
    except WinError as error:
        raise WinError.of(error.code, f"{path}: {error.detail}") from error


def changed_escrow(path: Path, change: Callable[[Escrow], Escrow]) -> Escrow:
    """The escrow in ``path`` after ``change``, written whole or not at all.

    Raises:
        BadData: as ``load_escrow``. SharingViolation: another program changes it all the time.
    """
    from calais.apps.escrowfile import build_escrow
    from calais.resource.locks import FileLock

    with FileLock(path.with_name(f"{path.name}.lock"), f"the escrow {path}").held(WAIT_S):
        changed = change(load_escrow(path))
        write_whole(path, build_escrow(changed), private=True)
        return changed


def password_of(options: dict[str, Any]) -> Source:
    """Where the password of an escrow comes from."""
    return Source("the escrow's password", options["password_file"], options["password_stdin"], "password")

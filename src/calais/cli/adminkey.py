"""The management key of a card: where it comes from, and the card that it opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from calais.cli.secrets import Source, secret_options
from calais.win.codes import Code
from calais.win.errors import SilentContext, WinError

F = TypeVar("F", bound=Callable[..., Any])


def admin_options(body: F) -> F:
    """The options that give the management key."""
    given = secret_options("management-key", "the management key (hexadecimal)")
    default = click.option(
        "--default-management-key", is_flag=True, help="Use the well-known key that new cards are delivered with."
    )
    return given(default(body))


def management_key(management_key_file: Path | None, management_key_stdin: bool, default_management_key: bool) -> bytes:
    """The management key, 16, 24 or 32 bytes.

    Raises:
        UsageError: not hexadecimal, or another length.
        SilentContext: none was given and there is nobody to ask.
    """
    if default_management_key:
        from calais.cards.piv.spec import DEFAULT_MANAGEMENT_KEY

        return DEFAULT_MANAGEMENT_KEY
    source = Source("the management key", management_key_file, management_key_stdin, "management-key")
    try:
        key = bytes.fromhex(source.take())
    except ValueError:
        raise click.UsageError("the management key is not hexadecimal") from None
    except SilentContext as error:
        remedy = f"{error.next_step}; a new card takes --default-management-key"
        raise WinError.of(Code.NTE_SILENT_CONTEXT, error.detail, next_step=remedy) from None
    if len(key) not in (16, 24, 32):
        raise click.UsageError(f"a management key has 16, 24 or 32 bytes, this one {len(key)}")
    return key

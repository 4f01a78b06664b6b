"""Arguments and options that name a slot and the rules of its key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
SLOTS = ("9A", "9C", "9D", "9E", *(f"{reference:02X}" for reference in range(0x82, 0x96)))


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(slot) for slot in SLOTS if slot.startswith(incomplete.upper())]


def slot_argument(body: F) -> F:
    """The argument SLOT."""
    return click.argument("slot", shell_complete=_complete)(body)


def policy_options(body: F) -> F:
    """``--pin-policy`` and ``--touch-policy``."""
    pin = click.Choice(["default", "never", "once", "always"])
    touch = click.Choice(["default", "never", "always", "cached"])
    when_pin = click.option(
        "--pin-policy", type=pin, default="default", show_default=True, help="When it wants the PIN."
    )
    when_touch = click.option("--touch-policy", type=touch, default="default", show_default=True, help="And a touch.")
    return when_pin(when_touch(body))

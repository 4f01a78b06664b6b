"""Arguments and options that name a place for a key, and the rules of the key; and who may change the card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from calais.cli.adminkey import management_key
from calais.cli.asking import CommandPrompt
from calais.cli.secrets import Source

if TYPE_CHECKING:
    from calais.minidriver.administration import KeyOrder
    from calais.provider.card import Card, Right

F = TypeVar("F", bound=Callable[..., Any])
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
SLOTS = ("9A", "9C", "9D", "9E", *(f"{reference:02X}" for reference in range(0x82, 0x96)), "new")
KEY_OPTIONS = ("management_key_file", "management_key_stdin", "default_management_key")


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(slot) for slot in SLOTS if slot.casefold().startswith(incomplete.casefold())]


def slot_argument(body: F) -> F:
    """The argument SLOT."""
    return click.argument("slot", shell_complete=_complete)(body)


def policy_options(body: F) -> F:
    """What a new key is for, what it is called, and when it wants PIN and touch."""
    options = (
        click.option(
            "--purpose",
            type=click.Choice(["default", "exchange", "signature"]),
            default="default",
            show_default=True,
            help="What the key is for, where that is free (GIDS); exchange keys sign as well.",
        ),
        click.option("--name", metavar="NAME", help="Name of the container, where that is free (GIDS)."),
        click.option(
            "--pin-policy",
            type=click.Choice(["default", "never", "once", "always"]),
            default="default",
            show_default=True,
            help="When it wants the PIN (PIV).",
        ),
        click.option(
            "--touch-policy",
            type=click.Choice(["default", "never", "always", "cached"]),
            default="default",
            show_default=True,
            help="And a touch (PIV).",
        ),
    )
    for option in reversed(options):
        body = option(body)
    return body


def order_of(options: dict[str, Any], **what: Any) -> KeyOrder:  # noqa: ANN401 - click's values
    """The key that ``policy_options`` and ``what`` (``algorithm`` or ``key``) describe."""
    from calais.apps import cardadmin
    from calais.minidriver.administration import KeyOrder, KeyPurpose

    return KeyOrder(
        purpose=KeyPurpose(options["purpose"]),
        name=options["name"],
        pin_policy=cardadmin.PIN_POLICIES[options["pin_policy"]],
        touch_policy=cardadmin.TOUCH_POLICIES[options["touch_policy"]],
        **what,
    )


def right_of(card: Card, prompt: CommandPrompt, purpose: str, options: dict[str, Any]) -> Right:
    """The right to change the card, as the card wants it: by the management key, or by the PIN.

    A secret on the standard input is read at once, so that it comes before all others there.

    Raises:
        UsageError: a management key was given to a card that the PIN changes.
        SilentContext: the management key is wanted and there is nobody to ask.
    """
    from calais.apps import cardadmin

    cardadmin.refuse_by_policy(card)
    given = [options[name] for name in KEY_OPTIONS]
    if cardadmin.wants_admin_key(card):
        card.release()
        return card.admin(management_key(*given))
    if any(given):
        detail = f"{card.label} is changed with the PIN, and not with a management key"
        raise click.UsageError(detail, click.get_current_context())
    if prompt.source.is_given:
        prompt.given = prompt.source.pin()
    return card.holder(purpose)


def prompt_for_change(options: dict[str, Any]) -> CommandPrompt:
    """The prompt of a command with ``pin_options``."""
    return CommandPrompt(Source("the PIN", options["pin_file"], options["pin_stdin"]))


def shown(slot: str) -> str:
    """SLOT as it is written back: PIV's names in capitals, names of containers as they were given."""
    return slot.upper() if slot.upper() in SLOTS else slot

"""``calais certify``: the certification kit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.adminkey import admin_options, management_key
from calais.cli.certifyview import STDOUT, progress, save, write
from calais.cli.command import CONTEXT
from calais.cli.meanings import DONE, NOT_SO
from calais.cli.screen import Screen
from calais.cli.secrets import Source, can_ask, pin_options, secret_options
from calais.cli.session import choose_reader, complete_readers, opened

if TYPE_CHECKING:
    from calais.apps.certify.rules import Check
    from calais.apps.certify.trial import Secrets, Subject
    from calais.system import System

OUTPUT = click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path)


@click.command(context_settings=CONTEXT)
@click.argument("reader", required=False, shell_complete=complete_readers)
@click.option("--driver", metavar="CLASS", help="A driver, package.module:Class, on a virtual card made for it.")
@click.option(
    "--destructive",
    metavar="CARD",
    help="Also try what changes the card; CARD is its serial number or label, as proof that you mean this one.",
)
@click.option("--only", metavar="NAME", multiple=True, help="This check, or the checks of this chapter, only.")
@click.option("--list", "list_them", is_flag=True, help="Show the checks and try nothing.")
@click.option("--html", type=OUTPUT, metavar="FILE", help="Write one page that can be sent to a vendor.")
@click.option("--junit", type=OUTPUT, metavar="FILE", help="Write JUnit XML.")
@click.option(
    "--json",
    "as_json",
    type=OUTPUT,
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE]",
    help="Write JSON to FILE, or print it; the keys are in docs/commands.md.",
)
@pin_options
@secret_options("puk", "the PUK")
@admin_options
def certify(reader: str | None, *, driver: str | None, only: tuple[str, ...], list_them: bool, **options: Any) -> int:  # noqa: ANN401
    """Try every rule of the minidriver specification on the card in READER, or on a driver class.

    Without secrets only what needs none is tried; with the PIN also keys. What changes a card is tried when the card is
    named with --destructive, and never otherwise. Wrong PINs are presented only while three tries are left, and undone.
    On the standard input the PIN comes first, then the PUK, then the management key. Exit code 1 when a check failed.
    """
    from calais.apps.certify.book import all_checks
    from calais.apps.certify.rules import chosen
    from calais.apps.certify.run import run

    checks = chosen(all_checks(), only)
    if list_them:
        _list(checks, options["as_json"])
        return DONE
    with _subject(reader, driver, options) as subject, progress(len(checks), options["as_json"]) as tell:
        report = run(subject, checks, tell)
    write(report, options)
    return DONE if report.passed else NOT_SO


def _list(checks: list[Check], as_json: Path | None) -> None:
    import json

    if as_json is not None:
        rows = [{"name": check.name, "rule": check.rule, "source": check.source} for check in checks]
        save(as_json, json.dumps({"checks": rows}, indent=2).encode() + b"\n")
        return
    Screen().table(("Check", "Rule"), ((check.name, check.rule) for check in checks), keep=("Check",))


# --- what is tried ---------------------------------------------------------------------------------------------------


@contextmanager
def _subject(reader: str | None, driver: str | None, options: dict[str, Any]) -> Iterator[Subject]:
    from calais.apps.certify.subjects import of_class, of_reader

    if driver is not None and reader is None:
        if options["destructive"]:
            raise click.UsageError("a driver class is tried on a virtual card of its own: there is no card to name")
        yield of_class(driver)
        return
    with opened() as system:
        name = choose_reader(system, reader)
        _confirm(system, name, options["destructive"])
        found = system.reader(name)
        found.release()
        policy = system.policy.values()
        drive = _drive_of(driver, policy)
        yield of_reader(
            found, _secrets(options), policy=policy, destructive=options["destructive"] is not None, drive=drive
        )


def _drive_of(driver: str | None, policy: Any) -> Any:  # noqa: ANN401
    from calais.apps.certify.subjects import driving, load

    return None if driver is None else driving(load(driver), policy)


def _confirm(system: System, reader: str, named: str | None) -> None:
    """Make sure that whoever allows changes means the card in ``reader``.

    Raises:
        UsageError: it is another card's name.
    """
    if named is None:
        return
    card = system.card(reader)
    names = (card.identity.serial, card.label, card.card_id.hex(), card.card_id.hex().upper())
    if named not in names:
        error = click.UsageError(f"--destructive {named!r} is not the card in {reader}; nothing was tried")
        error.next_step = f"Name it by its serial number: --destructive {card.identity.serial!r}"  # type: ignore[attr-defined]
        raise error


def _secrets(options: dict[str, Any]) -> Secrets:
    from calais.apps.certify.trial import Secrets

    pin = Source("the PIN", options["pin_file"], options["pin_stdin"])
    puk = Source("the PUK", options["puk_file"], options["puk_stdin"], "puk")
    keys = ("management_key_file", "management_key_stdin", "default_management_key")
    return Secrets(
        pin.pin() if pin.is_given or can_ask() else None,
        puk.pin() if puk.is_given else None,
        management_key(*(options[name] for name in keys)) if any(options[name] for name in keys) else None,
    )

"""``calais carddb``: the card database, and how a card gets its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from calais.cli.command import Answer, Document, command
from calais.cli.screen import Cell, Screen, mark
from calais.cli.session import choose_reader, complete_added_cards, complete_readers, opened
from calais.win.errors import BadData, BadParameter, WinError

if TYPE_CHECKING:
    from calais.resource.carddb import CardEntry
    from calais.resource.discovery import Asked
    from calais.system import System


def _describe(entry: CardEntry) -> dict[str, Any]:
    from calais.win.flags import SCARD_PROVIDER_CSP, SCARD_PROVIDER_KSP, SCARD_PROVIDER_PRIMARY

    return {
        "name": entry.name,
        "built_in": entry.built_in,
        "atr": entry.atr.hex() or None,
        "mask": entry.mask.hex() or None,
        "module": entry.module,
        "csp": entry.providers.get(SCARD_PROVIDER_CSP),
        "ksp": entry.providers.get(SCARD_PROVIDER_KSP),
        "primary_provider": entry.providers.get(SCARD_PROVIDER_PRIMARY),
        "interfaces": [each.hex() for each in entry.interfaces],
    }


# --- list, add, forget -----------------------------------------------------------------------------------------------


def _list_view(screen: Screen, document: Document) -> None:
    rows: list[tuple[Cell, ...]] = [
        (row["name"], row["module"] or "", row["atr"] or ("found by its application" if row["built_in"] else "", "dim"))
        for row in document["cards"]
    ]
    screen.table(("Card", "Module", "ATR"), rows, keep=("Module",))


@command(_list_view)
def list_() -> Document:
    """List the cards of the database: those of the built-in driver, then as they were added."""
    with opened() as system:
        return {"cards": [_describe(entry) for entry in system.card_service.database.entries()]}


def _add_view(screen: Screen, document: Document) -> None:
    screen.line(("Added ", "green"), document["name"])
    if document["atr"] is None:
        screen.line(("It has no ATR, so it is found by name only.", "dim"))


def _hexadecimal(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError as error:
        raise BadParameter(detail=f"{what} is not hexadecimal: {text!r}") from error


@command(_add_view)
@click.argument("name")
@click.option("--atr", default="", metavar="HEX", help="The card's answer to reset.")
@click.option("--mask", metavar="HEX", help="Bits of the ATR that count; all, when it is left out.")
@click.option("--module", metavar="NAME", help="The driver: msclmd.dll is the built-in one, else an installed driver.")
@click.option("--csp", metavar="NAME", help="The provider for CryptoAPI.")
@click.option("--ksp", metavar="NAME", help="The provider for CNG.")
def add(name: str, atr: str, mask: str | None, module: str | None, csp: str | None, ksp: str | None) -> Document:
    """Add the card NAME: cards with this ATR are driven by this module.

    It counts from the next insertion on.
    """
    from calais.resource.carddb import BASE_CSP, CARD_KSP, CardEntry
    from calais.win.flags import SCARD_PROVIDER_CARD_MODULE, SCARD_PROVIDER_CSP, SCARD_PROVIDER_KSP

    if not name.strip():
        raise BadParameter(detail="a card needs a name")
    raw = _hexadecimal(atr, "the ATR")
    bits = b"\xff" * len(raw) if mask is None else _hexadecimal(mask, "the mask")
    providers = {SCARD_PROVIDER_CSP: csp or BASE_CSP, SCARD_PROVIDER_KSP: ksp or CARD_KSP}
    if module:
        providers[SCARD_PROVIDER_CARD_MODULE] = module
    with opened() as system:
        database = system.card_service.database
        database.introduce(CardEntry(name, raw, bits, providers=providers))
        return _describe(database.entry(name))


def _forget_view(screen: Screen, document: Document) -> None:
    screen.line(("Forgot ", "green"), document["name"])


@command(_forget_view)
@click.argument("name", shell_complete=complete_added_cards)
def forget(name: str) -> Document:
    """Remove the card NAME from the database; those of the built-in driver stay."""
    with opened() as system:
        database = system.card_service.database
        entry = database.entry(name)
        database.forget(name)
        return {"name": entry.name}


# --- explain ---------------------------------------------------------------------------------------------------------


def _explain_view(screen: Screen, document: Document) -> None:
    atr = document["atr"]
    screen.facts([("Reader", document["reader"]), ("ATR", atr["bytes"]), ("Means", _meaning(atr))])
    screen.title("Steps")
    rows: list[tuple[Cell, ...]] = [
        (mark(row["matches"], "matches", "other"), f"entry {row['name']}", f"{row['atr']} under {row['mask']}")
        for row in document["entries"]
    ]
    if document["atr_cache"]:
        rows.append((mark(True, "known"), "ATR cache", f"was a {document['atr_cache'].upper()} card before"))
    rows += [
        (mark(row["found"], "found", "no"), f"SELECT {row['kind'].upper()}", f"{row['aid']}: {row['status']}")
        for row in document["asked"]
    ]
    screen.table(("", "Step", "What came"), rows, keep=("", "Step"))
    screen.title(document["card"] or "No card of the database")
    screen.facts((name, document[key] or "") for name, key in _RESULT)
    if document["problem"]:
        screen.line((document["problem"], "red"))


_RESULT = (("Module", "module"), ("Driver", "driver"), ("CSP", "csp"), ("KSP", "ksp"))


def _meaning(atr: Document) -> str:
    if atr["problem"]:
        return f"no ATR: {atr['problem']}"
    lengths = "extended lengths" if atr["extended_length"] else "short lengths"
    protocols = " and ".join(f"T={number}" for number in atr["protocols"])
    return f"{protocols}; {lengths}; historical bytes {atr['historical'] or 'none'}"


@command(_explain_view)
@click.argument("reader", required=False, shell_complete=complete_readers)
def explain(reader: str | None) -> Answer:
    """Say how the card in READER gets its driver and its providers, step by step.

    Exit code 1 when nothing knows it.
    """
    with opened() as system:
        name = choose_reader(system, reader)
        steps = system.card_service.discovery.explain(system.reader(name).port)
        driver, problem = _driver(system, name)
    entry = _describe(steps.entry) if steps.entry else {}
    document = {
        "reader": name,
        "atr": _atr(steps.atr),
        "entries": [{**_describe(each), "matches": matches} for each, matches in steps.tried],
        "atr_cache": steps.cached or None,
        "asked": [_question(each) for each in steps.asked],
        "card": entry.get("name"),
        "module": entry.get("module"),
        "driver": driver,
        "csp": entry.get("csp"),
        "ksp": entry.get("ksp"),
        "problem": steps.problem or problem,
    }
    return Answer(document, holds=driver is not None)


def _driver(system: System, reader: str) -> tuple[str | None, str | None]:
    """The driver that takes the card, or why none does."""
    try:
        return system.card(reader).name, None
    except WinError as error:
        return None, str(error)


def _question(asked: Asked) -> dict[str, Any]:
    status = None if asked.sw is None else f"{asked.sw:04X}"
    return {"kind": asked.kind, "aid": asked.aid.hex(), "status": status, "found": asked.is_there}


def _atr(raw: bytes) -> dict[str, Any]:
    from calais.iso7816.atr import Atr

    keys = ("historical", "extended_length", "problem")
    facts: dict[str, Any] = {"bytes": raw.hex(), "protocols": [], **dict.fromkeys(keys)}
    try:
        found = Atr.decode(raw)
    except BadData as error:
        return facts | {"problem": error.detail}
    return facts | {
        "protocols": sorted(found.protocols),
        "historical": found.historical.hex(),
        "extended_length": found.extended_length,
    }

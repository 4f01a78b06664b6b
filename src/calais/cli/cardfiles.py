"""``calais card files``."""

from __future__ import annotations

from pathlib import Path

import click

from calais.cli.command import Document, command
from calais.cli.files import write_whole
from calais.cli.screen import Cell, Screen
from calais.cli.session import choose_card, opened, reader_option

OUTPUT = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
ROW = 16  # bytes a line of a dump


def _view(screen: Screen, document: Document) -> None:
    if document["file"] is not None:
        _view_one(screen, document)
        return
    screen.title(f"{document['card']} in {document['reader']}")
    screen.table(("File", "Bytes", "Access", "Says"), [_row(found) for found in document["files"]], keep=("File",))
    screen.line(("One of them: calais card files FILE", "dim"))


def _row(found: Document) -> tuple[Cell, ...]:
    says = (found["problem"], "red") if found["problem"] else found["meaning"]
    return found["path"], "" if found["size"] is None else str(found["size"]), found["access"], says


def _view_one(screen: Screen, document: Document) -> None:
    if document["output"] is not None:
        screen.line(("Wrote ", "green"), f"{document['size']} bytes into {document['output']}")
        return
    for line in dump(bytes.fromhex(document["content"])):
        screen.line(line)


def dump(content: bytes) -> list[str]:
    """Offset, hexadecimal and ASCII, sixteen bytes a line."""
    lines = []
    for at in range(0, len(content), ROW):
        piece = content[at : at + ROW]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        lines.append(f"{at:04x}  {piece.hex(' '):<{3 * ROW}} {text}")
    return lines


@command(_view)
@click.argument("file", required=False)
@click.option("-o", "--output", type=OUTPUT, metavar="FILE", help="Write the content there, as it is on the card.")
@reader_option
def files(file: str | None, output: Path | None, reader: str | None) -> Document:
    """List the logical files of a card (cardid, cardcf, cardapps, mscp/...), or show one: "mscp/kxc00"."""
    from calais.apps import cardfiles

    if output is not None and file is None:
        raise click.UsageError("say which file is to be written", click.get_current_context())
    with opened() as system:
        card = choose_card(system, reader)
        document = {"reader": card.reader, "card": card.label, "file": file, "files": None}
        document |= {"size": None, "content": None, "output": None}
        if file is None:
            return document | {"files": [_fields(found) for found in cardfiles.survey(card)]}
        content = cardfiles.read(card, file)
    if output is not None:
        write_whole(output, content)
    written = None if output is None else str(output)
    return document | {"size": len(content), "content": content.hex(), "output": written}


def _fields(found: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(found)  # type: ignore[call-overload, no-any-return]

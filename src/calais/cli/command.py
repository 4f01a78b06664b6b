"""The shape of every command: a body that returns a document, and a view that draws this document.

The view gets nothing but the document, so ``--json`` can never know less than the screen.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from calais.cli import meanings
from calais.cli.screen import Screen

Document = Mapping[str, Any]
View = Callable[[Screen, Document], None]
CONTEXT = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Answer:
    """A document, and whether the thing asked about is so; when not, the exit code is 1 unless ``exit_code`` says."""

    document: Document
    holds: bool = True
    exit_code: int | None = None

    @property
    def code(self) -> int:
        """The exit code."""
        if self.exit_code is not None:
            return self.exit_code
        return meanings.DONE if self.holds else meanings.NOT_SO


Body = Callable[..., Document | Answer]


def command(view: View) -> Callable[[Body], click.Command]:
    """Make a click command of a body: ``--json`` prints its document, else ``view`` draws it."""

    def make(body: Body) -> click.Command:
        @functools.wraps(body)
        def run(as_json: bool, **options: object) -> int:
            answer = body(**options)
            if not isinstance(answer, Answer):
                answer = Answer(answer)
            if as_json:
                click.echo(json.dumps(answer.document, indent=2))
            else:
                view(Screen(), answer.document)
            return answer.code

        option = click.option("--json", "as_json", is_flag=True, help="Print JSON; the keys are in docs/commands.md.")
        return click.command(context_settings=CONTEXT)(option(run))

    return make

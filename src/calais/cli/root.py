"""The top of the process: builds the lazy command tree, runs one command line, turns every failure into words."""

from __future__ import annotations

import os
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper

import click
from click.shell_completion import CompletionItem

from calais.cli import failure, meanings
from calais.cli.tree import TREE, Entry, Group

CONTEXT = {"help_option_names": ["-h", "--help"]}


class LazyGroup(click.Group):
    """A group whose commands are loaded when they run; its help and completion come from the table."""

    def __init__(self, name: str, entries: dict[str, Entry], help_text: str) -> None:
        super().__init__(name, help=help_text, context_settings=CONTEXT, no_args_is_help=True)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the table's order."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded now."""
        del ctx
        entry = self.entries.get(cmd_name)
        if isinstance(entry, Group):
            return LazyGroup(cmd_name, dict(entry.verbs), entry.help)
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        loaded: click.Command = getattr(import_module(f"calais.cli.{module}"), attribute)
        loaded.name = cmd_name
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command list of a help page, without loading a command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin with ``incomplete``, then the options."""
        names = [CompletionItem(name, help=e.help) for name, e in self.entries.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a guess when the name is mistyped."""
        if args and args[0] not in self.entries and not args[0].startswith("-"):
            guess = get_close_matches(args[0], self.entries, n=1)
            hint = f" Did you mean {guess[0]!r}?" if guess else ""
            raise click.UsageError(f"there is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from calais import __version__

        click.echo(f"calais {__version__}")
        ctx.exit()


def build() -> LazyGroup:
    """The root command."""
    root = LazyGroup(
        "calais", TREE, "Smart cards as Windows knows them: certificates in a store, linked to keys on cards."
    )
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version.",
    )
    root.params.append(version)
    root.epilog = "Every command has --help and --json. First time here? Try: calais demo"
    return root


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            if not os.environ.get("CALAIS_DEBUG"):
                warnings.simplefilter("ignore")  # of libraries, about what stands in other people's certificates
            outcome = build().main(words, prog_name="calais", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return meanings.DONE
    except Exception as error:  # noqa: BLE001 - the process's top: a person never sees a traceback unasked
        return failure.report(error, as_json="--json" in words)
    return outcome if isinstance(outcome, int) else meanings.DONE

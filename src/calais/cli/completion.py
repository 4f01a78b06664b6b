"""``calais completion``: the script that teaches a shell to complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from calais.cli.command import Document, command
from calais.cli.screen import Screen

_WHERE = {
    "bash": "echo 'eval \"$(calais completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(calais completion zsh)\"' >> ~/.zshrc",
    "fish": "calais completion fish > ~/.config/fish/completions/calais.fish",
}


def _view(screen: Screen, document: Document) -> None:
    del screen
    click.echo(document["script"])


@command(_view)
@click.argument("shell", metavar="SHELL", type=click.Choice(sorted(_WHERE)))
def completion(shell: str) -> Document:  # \b tells click to keep the lines
    """Print the completion script of SHELL.

    \b
    bash:  echo 'eval "$(calais completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(calais completion zsh)"' >> ~/.zshrc
    fish:  calais completion fish > ~/.config/fish/completions/calais.fish
    """  # noqa: D301
    from calais.cli.root import build

    kind = get_completion_class(shell)
    if kind is None:  # click knows the three shells that the argument admits
        raise click.UsageError(f"click cannot complete in {shell}")
    return {
        "shell": shell,
        "install": _WHERE[shell],
        "script": kind(build(), {}, "calais", "_CALAIS_COMPLETE").source(),
    }

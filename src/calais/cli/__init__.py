"""The command ``calais``: one table of commands, one file per group, everything heavy imported on use."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: words after ``calais``; ``None`` takes the process's own.

    Returns:
        The exit code, as docs/commands.md lists them.
    """
    from calais.cli.root import run

    return run(arguments)

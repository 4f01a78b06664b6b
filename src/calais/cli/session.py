"""One system per command line, and the choice of a card when there are several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from calais.win.codes import Code
from calais.win.errors import BadParameter, NoCard, ReaderUnavailable, WinError

if TYPE_CHECKING:
    from calais.provider.card import Card
    from calais.provider.prompt import Prompt
    from calais.resource.slots import ReaderStatus
    from calais.resource.virtual import VirtualReaders
    from calais.system import System
    from calais.transport.base import Watcher

TRACE_VARIABLE = "CALAIS_TRACE"
F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def opened(prompt: Prompt | None = None) -> Iterator[System]:
    """This user's system; cards are given back and the store is closed at the end."""
    from calais.system import System

    with ExitStack() as stack:
        yield stack.enter_context(System.local(prompt=prompt, watchers=_watchers(stack)))


def _watchers(stack: ExitStack) -> tuple[Watcher, ...]:
    """What writes the trace that ``CALAIS_TRACE`` asks for: every exchange, added to that file, without its secrets."""
    name = os.environ.get(TRACE_VARIABLE)
    if not name:
        return ()
    from calais.transport.trace import Recorder

    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        detail = f"the trace {name!r} ({TRACE_VARIABLE}) cannot be written: {error.strerror}"
        raise BadParameter(detail=detail) from error
    stream = stack.enter_context(os.fdopen(descriptor, "a", encoding="utf-8"))
    return (lambda transport: Recorder(stream, transport),)


def virtual_readers() -> VirtualReaders:
    """This user's virtual cards and readers; needs no store and no card."""
    from calais.resource.places import Places
    from calais.resource.virtual import VirtualReaders

    return VirtualReaders(Places.of().virtual)


def complete_readers(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of readers, for the shell."""
    try:
        with opened() as system:
            return [CompletionItem(found.name) for found in system.readers() if found.name.startswith(incomplete)]
    except WinError:
        return []


def complete_added_cards(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the cards that were added to the card database, for the shell."""
    try:
        with opened() as system:
            added = [entry.name for entry in system.card_service.database.entries() if not entry.built_in]
    except WinError:
        return []
    return [CompletionItem(name) for name in added if name.casefold().startswith(incomplete.casefold())]


def reader_option(body: F) -> F:
    """The option ``--reader``."""
    text = "The reader, or a part of its name; needed when there are several cards."
    return click.option("--reader", metavar="NAME", shell_complete=complete_readers, help=text)(body)


def choose_reader(system: System, wanted: str | None) -> str:
    """The reader whose card is meant.

    Args:
        system: the system.
        wanted: a name or a part of one, which several have only if more than one of them holds a card; ``None`` = the
            only reader with a card in it.

    Raises:
        UsageError: several would do.
        ReaderUnavailable: there is no such reader, or none at all.
        NoCard: there is no card.
    """
    if wanted is not None:
        return _named(wanted, system.readers())
    with_card = require_card(system)
    if len(with_card) > 1:
        raise _several("there are several cards", with_card)
    return with_card[0]


def require_card(system: System) -> list[str]:
    """The readers with a card in them.

    Raises:
        ReaderUnavailable: there is no reader at all.
        NoCard: none has a card.
    """
    known = system.readers()
    with_card = [status.name for status in known if status.present]
    if not known:
        raise no_readers(system)
    if not with_card:
        raise NoCard(detail=f"there is no card in {' or '.join(status.name for status in known)}")
    return with_card


def no_readers(system: System) -> ReaderUnavailable:
    """There is no reader at all; when the PC/SC service is the reason, it is named."""
    if any(Code.SCARD_E_NO_SERVICE.name in note for note in system.notes):
        detail = (
            "there is no virtual reader, and real ones cannot be seen: the smart card service (pcscd) does not answer"
        )
        return ReaderUnavailable(Code.SCARD_E_NO_SERVICE, detail)
    return ReaderUnavailable(Code.SCARD_E_NO_READERS_AVAILABLE)


def _named(wanted: str, known: list[ReaderStatus]) -> str:
    names = [status.name for status in known]
    if wanted in names:
        return wanted
    near = [status for status in known if wanted.casefold() in status.name.casefold()]
    likely = [status for status in near if status.present] or near
    if len(likely) == 1:
        return likely[0].name
    if near:
        raise _several(f"several readers are called {wanted!r}", [status.name for status in likely])
    listed = "; ".join(names) or "none"
    raise ReaderUnavailable(
        Code.SCARD_E_UNKNOWN_READER, f"there is no reader {wanted!r}", next_step=f"There are: {listed}"
    )


def _several(what: str, names: list[str]) -> click.UsageError:
    context = click.get_current_context(silent=True)
    error = click.UsageError(f"{what}: {'; '.join(names)}", context)
    is_argument = context and any(
        one.name == "reader" and isinstance(one, click.Argument) for one in context.command.params
    )
    before = context.command_path if context and is_argument else "--reader"
    error.next_step = f"Choose one: {before} {names[0]!r}"  # type: ignore[attr-defined]
    return error


def choose_card(system: System, wanted: str | None) -> Card:
    """The card in the reader that ``choose_reader`` finds; errors as there, and what the card does."""
    return system.card(choose_reader(system, wanted))

"""The one thing that the openers take from their surroundings: the current system, where none is named."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from calais.store.api import KeyOpener, StoreProvider, System


def system_of(system: System | None) -> System:
    """``system``, else the one of the innermost ``with system:``, else this machine's."""
    if system is not None:
        return system
    from calais.system import current  # noqa: PLC0415 - memory stores need no system, and its imports cost

    return current()


def stores_of(system: System | None) -> Callable[[], StoreProvider]:
    """Where its stores are opened; the system is looked for when that is asked."""
    return partial(_stores_of, system)


def keys_of(system: System | None) -> Callable[[], KeyOpener]:
    """Where its keys are opened; the system is looked for when that is asked."""
    return partial(_keys_of, system)


def _stores_of(system: System | None) -> StoreProvider:
    return system_of(system).stores


def _keys_of(system: System | None) -> KeyOpener:
    return system_of(system).keys

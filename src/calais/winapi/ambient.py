"""The one thing that the openers take from their surroundings: the current system, where none is named."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from calais.minidriver.calls.context import Modules
    from calais.provider.csp.calls.contexts import Host as ProviderHost
    from calais.provider.ksp.storage import KspSystem
    from calais.resource.manager.contexts import CardService, CardSystem
    from calais.store.api import KeyOpener, StoreProvider, System


def system_of(system: System | None) -> System:
    """``system``, else the one of the innermost ``with system:``, else this machine's."""
    if system is not None:
        return system
    from calais.system import current  # noqa: PLC0415 - memory stores need no system, and its imports cost

    return current()


def card_modules(context: object) -> Modules:
    """The card modules that ``context`` knows; without one, those of the system of the innermost ``with system:``."""
    own: Modules | None = getattr(context, "card_modules", None)
    if own is not None:
        return own
    from calais.cards.modules import CardModules  # noqa: PLC0415 - certificates need no cards
    from calais.system import innermost  # noqa: PLC0415

    system = innermost()
    return system.card_service.card_modules if system else CardModules()


def card_service_of(system: CardSystem | None = None) -> Callable[[], CardService]:
    """Its resource manager; the system is looked for when that is asked."""
    return partial(_card_service_of, system)


def stores_of(system: System | None) -> Callable[[], StoreProvider]:
    """Where its stores are opened; the system is looked for when that is asked."""
    return partial(_stores_of, system)


def keys_of(system: System | None) -> Callable[[], KeyOpener]:
    """Where its keys are opened; the system is looked for when that is asked."""
    return partial(_keys_of, system)


def providers_of(system: ProviderHost | None = None) -> Callable[[], ProviderHost]:
    """The system whose readers and settings its providers use; it is looked for when that is asked."""
    return partial(_host_of, system)


def _host_of(system: ProviderHost | None) -> ProviderHost:
    if system is not None:
        return system
    from calais.system import current  # noqa: PLC0415

    return current()


def _card_service_of(system: CardSystem | None) -> CardService:
    if system is not None:
        return system.card_service
    from calais.system import current  # noqa: PLC0415

    return current().card_service


def _stores_of(system: System | None) -> StoreProvider:
    return system_of(system).stores


def _keys_of(system: System | None) -> KeyOpener:
    return system_of(system).keys


def cards_of(system: KspSystem | None) -> Callable[[], KspSystem]:
    """Where its cards are looked for; the system is looked for when that is asked."""
    return partial(_cards_of, system)


def _cards_of(system: KspSystem | None) -> KspSystem:
    if system is not None:
        return system
    from calais.system import current  # noqa: PLC0415 - keys in memory need no system

    return current()

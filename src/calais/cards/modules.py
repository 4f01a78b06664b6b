"""Card modules: which drivers stand behind the name of a card, as the card database knows it.

``msclmd.dll`` is the class driver that is built in; every other module text is the name of an installed driver (entry
point group ``calais.minidrivers``), which is also a card name of its own.

Source: Microsoft, "Smart card discovery process"; the value 80000001 (SCARD_PROVIDER_CARD_MODULE) of a card's entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from calais.cards import registry
from calais.cards.registry import Driver, Policy
from calais.minidriver.data import Find
from calais.minidriver.injection import KeyInjection
from calais.win.codes import Code
from calais.win.errors import Unsupported, WinError

CLASS_MODULE = "msclmd.dll"
# The cards that are always in the database, and the part of the class driver that is meant for each.
CLASS_CARDS: Mapping[str, str] = {
    "Identity Device (NIST SP 800-73 [PIV])": "piv",
    "Identity Device (Microsoft Generic Profile)": "gids",
}


def no_entries(card_name: str) -> str | None:  # noqa: ARG001 - a database
    """The card database that holds nothing."""
    return None


class CardModules:
    """The drivers by card name.

    Args:
        policy: the dotted policy values.
        module_of: the card database: module text of a card, ``None`` = no such card. The names of ``CLASS_CARDS`` and
            of installed drivers need no entry.
        installed: the third-party drivers by name; by default those that are installed.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        module_of: Callable[[str], str | None] = no_entries,
        installed: Mapping[str, Driver] | None = None,
    ) -> None:
        self._policy = policy or {}
        self._module_of = module_of
        self._installed = installed

    def driver(self, card_name: str) -> Find:
        """What finds the driver for a card of this name: the class driver looks for PIV first, then for the others.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD, there is no such name.
        """
        return partial(registry.identify, policy=self._policy, drivers=self._behind(card_name))

    def without_card(self, card_name: str) -> KeyInjection:
        """What that driver can do without a card.

        Raises:
            Unsupported: nothing.
            WinError: SCARD_E_UNKNOWN_CARD.
        """
        drivers = self._behind(card_name)
        known = _among(CLASS_CARDS, card_name)
        name = CLASS_CARDS[known] if known else next(iter(drivers))
        make = registry.WITHOUT_CARD.get(name) or getattr(drivers[name], "without_card", None)
        if make is None:
            raise Unsupported(detail=f"the driver for {card_name!r} does nothing without a card")
        injection: KeyInjection = make()
        return injection

    def _behind(self, card_name: str) -> Mapping[str, Driver]:
        if (self._module(card_name) or "").casefold() == CLASS_MODULE:
            return registry.BUILT_IN
        return driver_named(self._module(card_name) or card_name, self._installed)

    def _module(self, card_name: str) -> str | None:
        return CLASS_MODULE if _among(CLASS_CARDS, card_name) else self._module_of(card_name)


def driver_named(module: str, installed: Mapping[str, Driver] | None = None) -> Mapping[str, Driver]:
    """The installed driver that a module text names, under its own name.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD, there is none.
    """
    drivers = registry.installed() if installed is None else installed
    name = _among(drivers, module)
    if name is None:
        raise WinError(
            Code.SCARD_E_UNKNOWN_CARD,
            f"there is no card or driver named {module!r}",
            next_step=f"install its driver (entry point group {registry.GROUP})",
        )
    return {name: drivers[name]}


def _among(names: Mapping[str, object], wanted: str) -> str | None:
    """The one of ``names`` that is ``wanted``, whatever the case."""
    return next((name for name in names if name.casefold() == wanted.casefold()), None)

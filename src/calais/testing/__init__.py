"""What tests need, anybody's: isolated systems, virtual cards, fakes, a private PC/SC service.

The names of the public test helpers are importable from here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calais.testing.cards import virtual_gids as virtual_gids
    from calais.testing.cards import virtual_piv as virtual_piv
    from calais.testing.fakes import FakeClock as FakeClock
    from calais.testing.fakes import FaultyTransport as FaultyTransport
    from calais.testing.fakes import FixedPrompt as FixedPrompt
    from calais.testing.minidriver import card_data as card_data
    from calais.testing.pcscd import PrivatePcscd as PrivatePcscd
    from calais.testing.systems import local_system as local_system

_HOMES = {
    "FakeClock": "fakes",
    "FaultyTransport": "fakes",
    "FixedPrompt": "fakes",
    "PrivatePcscd": "pcscd",
    "card_data": "minidriver",
    "local_system": "systems",
    "virtual_gids": "cards",
    "virtual_piv": "cards",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - all strings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)

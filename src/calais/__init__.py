"""Calais: the Windows smart-card system, in Python, for any machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calais.provider.card import Card as Card
    from calais.provider.container import Container as Container
    from calais.provider.container import Key as Key
    from calais.store.objects import CertificateStore as CertificateStore
    from calais.system import System as System
    from calais.system import current as current
    from calais.system import open_card as open_card
    from calais.win.errors import AccessDenied as AccessDenied
    from calais.win.errors import BadData as BadData
    from calais.win.errors import BadParameter as BadParameter
    from calais.win.errors import Cancelled as Cancelled
    from calais.win.errors import CardRemoved as CardRemoved
    from calais.win.errors import CardReset as CardReset
    from calais.win.errors import NoCard as NoCard
    from calais.win.errors import NotAuthenticated as NotAuthenticated
    from calais.win.errors import NotFound as NotFound
    from calais.win.errors import PinBlocked as PinBlocked
    from calais.win.errors import SilentContext as SilentContext
    from calais.win.errors import Unsupported as Unsupported
    from calais.win.errors import WinError as WinError
    from calais.win.errors import WrongPin as WrongPin

__version__ = "0.1.0"

_ERRORS = (
    "AccessDenied",
    "BadData",
    "BadParameter",
    "Cancelled",
    "CardRemoved",
    "CardReset",
    "NoCard",
    "NotAuthenticated",
    "NotFound",
    "PinBlocked",
    "SilentContext",
    "Unsupported",
    "WinError",
    "WrongPin",
)
_HOMES = {
    "Card": "calais.provider.card",
    "CertificateStore": "calais.store.objects",
    "Container": "calais.provider.container",
    "Key": "calais.provider.container",
    "System": "calais.system",
    "current": "calais.system",
    "open_card": "calais.system",
} | dict.fromkeys(_ERRORS, "calais.win.errors")
__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604 - all strings


def __getattr__(name: str) -> object:
    """A public name; what it needs is imported at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)

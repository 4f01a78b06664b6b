"""Calais: the Windows smart-card system, in Python, for any machine.

The public names come when they are first used; ``__init__.pyi`` says what they are.
"""

from __future__ import annotations

from importlib import import_module

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

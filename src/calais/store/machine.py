"""The stores of a machine, for somebody who may not change them.

Source: "System Store Locations" in Microsoft's documentation: others than administrators only read them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NoReturn

from calais.store.api import Backing, Database, Reading, Settings
from calais.win.codes import Code
from calais.win.errors import AccessDenied


def _refuse() -> NoReturn:
    raise AccessDenied(
        Code.E_ACCESSDENIED,
        "The stores of this machine can only be read by this user.",
        next_step="Ask an administrator of this machine, or use the store of the current user.",
    )


class ReadOnlyBacking:
    """The place of one store that nobody changes here."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def reading(self) -> AbstractContextManager[Reading]:
        """See ``api.Backing``."""
        return self._backing.reading()

    def writing(self) -> NoReturn:
        """Refused.

        Raises:
            AccessDenied: E_ACCESSDENIED.
        """
        _refuse()


class ReadOnlyDatabase:
    """A database whose changes are refused.

    Args:
        database: what is read; closed by ``close``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def backing(self, location: int, name: str) -> ReadOnlyBacking:
        """See ``api.Database``."""
        return ReadOnlyBacking(self._database.backing(location, name))

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        return self._database.names(location)

    def create(self, location: int, name: str) -> bool:  # noqa: ARG002
        """Refused.

        Raises:
            AccessDenied: E_ACCESSDENIED.
        """
        _refuse()

    def drop(self, location: int, name: str) -> bool:  # noqa: ARG002
        """Refused.

        Raises:
            AccessDenied: E_ACCESSDENIED.
        """
        _refuse()

    def settings(self, location: int = 1) -> Settings:
        """See ``api.Database``."""
        return self._database.settings(location)

    def close(self) -> None:
        """See ``api.Database``."""
        self._database.close()

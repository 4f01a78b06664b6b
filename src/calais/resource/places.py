"""Where things are kept: XDG directories, or all under one home.

``CALAIS_HOME`` moves all of it. A home that a program names itself goes before that, and before ``CALAIS_STORE``.
``CALAIS_MACHINE`` moves the stores of the machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "calais"
POLICY = "policy.toml"


@dataclass(frozen=True, slots=True)
class Places:
    """Directories and files of one user.

    Attributes:
        data: the directory of everything.
        store: the file of the certificate stores, when a program has named the home; else ``None``.
        policies: the policy files, strongest first: the machine's wins over the user's (docs/adr/0015).
        machine: the folder of the machine's stores; ``None`` where a home was named: there all is the user's.
    """

    data: Path
    store: Path | None
    policies: tuple[Path, ...]
    machine: Path | None = None

    @classmethod
    def of(cls, home: Path | str | None = None) -> Places:
        """The places under ``home``; without it, under ``CALAIS_HOME``; else the platform's own."""
        named = home or os.environ.get("CALAIS_HOME")
        if named:
            data = Path(named)
            return cls(data, data / "store.db" if home else None, (data / POLICY,), _named_machine())
        config = platformdirs.user_config_path(APP, appauthor=False)
        system = platformdirs.site_config_path(APP, appauthor=False) if os.name == "nt" else Path("/etc/calais")
        data = platformdirs.user_data_path(APP, appauthor=False)
        return cls(data, None, (system / POLICY, config / POLICY), _named_machine() or _machine())

    @property
    def virtual(self) -> Path:
        """The directory of the virtual cards and readers."""
        return self.data / "virtual"

    @property
    def cache(self) -> Path:
        """The directory of what is remembered of cards."""
        return self.data / "cache"


def _named_machine() -> Path | None:
    """Where the environment has the stores of the machine."""
    named = os.environ.get("CALAIS_MACHINE")
    return Path(named) if named else None


def _machine() -> Path:
    """Where the platform has them."""
    if os.name == "nt":
        return platformdirs.site_data_path(APP, appauthor=False) / "stores"
    return Path("/var/lib/calais/stores")

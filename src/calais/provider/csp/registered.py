"""Which providers there are, which one a name and a type mean, and which is the default of a type.

The defaults that somebody has chosen are kept with the system's settings: kind ``"csp"``, name ``"user 1"`` or
``"machine 1"`` with the type, value the provider's name (UTF-8).

Source: CryptAcquireContext, CryptGetDefaultProvider, CryptSetProviderEx (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from calais.provider.csp.providers import BASE, DEFAULTS, ENHANCED, OLD_NAMES, PROVIDERS, TYPE_NAMES, Provider
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_MACHINE_DEFAULT, CRYPT_USER_DEFAULT

KIND = "csp"
MOST_TYPE = 999
SCOPES = {CRYPT_USER_DEFAULT: ("user", "machine"), CRYPT_MACHINE_DEFAULT: ("machine",)}


class Settings(Protocol):
    """Where the defaults are kept (see ``store.api.Settings``)."""

    def get(self, kind: str, name: str) -> bytes | None:
        """The value, or ``None``."""

    def put(self, kind: str, name: str, value: bytes) -> None:
        """Set it."""

    def delete(self, kind: str, name: str) -> bool:
        """Forget it."""


class Registered(NamedTuple):
    """A provider under one of its names."""

    name: str
    prov_type: int
    provider: Provider


ALL = (
    *(Registered(row.name, row.prov_type, row) for row in PROVIDERS),
    *(Registered(str(name), prov_type, ENHANCED) for name, prov_type in OLD_NAMES.items()),
)
_BY_NAME = {each.name.casefold(): each for each in ALL}


def check_type(prov_type: object) -> int:
    """``prov_type``, once it is sure that it can be one.

    Raises:
        WinError: ``NTE_BAD_PROV_TYPE``, outside 1 to 999.
    """
    if isinstance(prov_type, int) and 1 <= prov_type <= MOST_TYPE:
        return int(prov_type)
    raise WinError.of(Code.NTE_BAD_PROV_TYPE, f"{prov_type!r} is no provider type: they are 1 to {MOST_TYPE}")


def by_name(name: object) -> Registered:
    """The provider called ``name``, whatever the case.

    Raises:
        WinError: ``NTE_KEYSET_NOT_DEF`` there is none; ``ERROR_INVALID_PARAMETER`` no text.
    """
    if not isinstance(name, str):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, "the name of a provider is a text")
    found = _BY_NAME.get(name.casefold())
    if found is None:
        known = ", ".join(row.name for row in PROVIDERS)
        raise WinError.of(Code.NTE_KEYSET_NOT_DEF, f"there is no provider {name!r}", next_step=f"there are: {known}")
    return found


def for_cards(name: str) -> str:
    """``name`` as its provider spells it, if that has containers on cards; else that of the Base CSP."""
    found = _BY_NAME.get(name.casefold())
    return found.name if found is not None and found.provider.on_cards else BASE.name


def by_name_and_type(name: object, prov_type: int) -> Registered:
    """The provider called ``name``, of this type.

    Raises:
        WinError: as ``by_name``; ``NTE_PROV_TYPE_NO_MATCH``, it is of another type.
    """
    found = by_name(name)
    if found.prov_type != prov_type:
        raise WinError.of(Code.NTE_PROV_TYPE_NO_MATCH, f"{found.name} is of type {found.prov_type}, not {prov_type}")
    return found


def choose(name: object, prov_type: object, settings: Callable[[], Settings]) -> Provider:
    """The provider that CryptAcquireContext means; without a name, the default of the type.

    Raises:
        WinError: ``NTE_BAD_PROV_TYPE``, ``NTE_PROV_TYPE_NOT_DEF``; as ``by_name_and_type``.
    """
    kind = check_type(prov_type)
    if name is None or name == "":
        return default(kind, CRYPT_USER_DEFAULT, settings).provider
    return by_name_and_type(name, kind).provider


def default(prov_type: int, scope: int, settings: Callable[[], Settings]) -> Registered:
    """The default of a type: that of the user, of the machine, or ours.

    Args:
        prov_type: 1 to 999.
        scope: CRYPT_USER_DEFAULT, or CRYPT_MACHINE_DEFAULT to leave the user's out.
        settings: where the chosen ones are kept; asked for only when the type has a provider.

    Raises:
        WinError: ``NTE_PROV_TYPE_NOT_DEF``, no provider is of this type.
    """
    if all(each.prov_type != prov_type for each in ALL):
        raise WinError.of(Code.NTE_PROV_TYPE_NOT_DEF, f"no provider is of type {prov_type}")
    for owner in SCOPES[scope]:
        kept = settings().get(KIND, _key(owner, prov_type)) or b""
        found = _BY_NAME.get(kept.decode("utf-8", "replace").casefold())
        if found is not None and found.prov_type == prov_type:
            return found
    return _BY_NAME[DEFAULTS[prov_type].name.casefold()]


def set_default(name: object, prov_type: int, scope: int, settings: Settings) -> None:
    """Make a provider the default of its type. Errors as ``by_name_and_type``."""
    found = by_name_and_type(name, prov_type)
    settings.put(KIND, _key(SCOPES[scope][0], prov_type), found.name.encode())


def forget_default(prov_type: int, scope: int, settings: Settings) -> None:
    """Forget which provider was the default; harmless when none was."""
    settings.delete(KIND, _key(SCOPES[scope][0], prov_type))


def _key(owner: str, prov_type: int) -> str:
    return f"{owner} {prov_type}"


TYPES = tuple(TYPE_NAMES.items())

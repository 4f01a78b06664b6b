"""The table of providers, and their defaults.

Source: CryptEnumProviders, CryptEnumProviderTypes, CryptGetDefaultProvider, CryptSetProviderEx (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from calais.provider.csp import registered
from calais.provider.csp.arguments import check_flags, check_reserved, number
from calais.provider.csp.calls.contexts import System
from calais.provider.csp.providers import PROVIDERS
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_DELETE_DEFAULT, CRYPT_MACHINE_DEFAULT, CRYPT_USER_DEFAULT

SCOPE_FLAGS = (CRYPT_MACHINE_DEFAULT, CRYPT_USER_DEFAULT)
T = TypeVar("T")


def enum_providers(index: object, reserved: object, flags: object) -> tuple[int, str]:
    """CryptEnumProviders: type and name.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``; ``ERROR_NO_MORE_ITEMS``.
    """
    return _item([(row.prov_type, row.name) for row in PROVIDERS], index, reserved, flags)


def enum_types(index: object, reserved: object, flags: object) -> tuple[int, str]:
    """CryptEnumProviderTypes: type and its name. Errors as ``enum_providers``."""
    return _item(registered.TYPES, index, reserved, flags)


def _item(items: Sequence[T], index: object, reserved: object, flags: object) -> T:
    check_flags(flags)
    check_reserved(reserved)
    at = number(index)
    if at >= len(items):
        raise WinError.of(Code.ERROR_NO_MORE_ITEMS, f"there are {len(items)}")
    return items[at]


def get_default(prov_type: object, reserved: object, flags: object, system: System) -> str:
    """CryptGetDefaultProvider: the name.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``; ``NTE_BAD_PROV_TYPE``; ``NTE_PROV_TYPE_NOT_DEF``.
    """
    scope = _scope(flags)
    check_reserved(reserved)
    return registered.default(registered.check_type(prov_type), scope, lambda: system().settings).name


def set_default(name: object, prov_type: object, reserved: object, flags: object, system: System) -> None:
    """CryptSetProviderEx; with CRYPT_DELETE_DEFAULT the default is forgotten.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``; ``NTE_BAD_PROV_TYPE``; ``NTE_KEYSET_NOT_DEF``;
            ``NTE_PROV_TYPE_NO_MATCH``.
    """
    given = number(flags)
    scope = _scope(given & ~CRYPT_DELETE_DEFAULT)
    check_reserved(reserved)
    kind = registered.check_type(prov_type)
    if not given & CRYPT_DELETE_DEFAULT:
        registered.set_default(name, kind, scope, system().settings)
        return
    if name:
        registered.by_name_and_type(name, kind)
    registered.forget_default(kind, scope, system().settings)


def _scope(flags: object) -> int:
    scope = number(flags)
    if scope not in SCOPE_FLAGS:
        raise WinError.of(Code.NTE_BAD_FLAGS, "either CRYPT_MACHINE_DEFAULT or CRYPT_USER_DEFAULT")
    return scope

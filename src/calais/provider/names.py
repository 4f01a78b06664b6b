r"""Names of providers and containers. Pure.

A container is named in four ways: ``\\.\<reader>\<container>``, ``\\.\<reader>\`` (the default container of that
card), ``<container>`` (on any card), and the empty name (the default container of any card).

Source: Microsoft's smart card minidriver specification v7.07, "Container specification levels".
"""

from __future__ import annotations

from typing import NamedTuple

from calais.win.codes import Code
from calais.win.errors import NotFound, WinError
from calais.win.flags.ncrypt import MS_KEY_STORAGE_PROVIDER, MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import MS_SCARD_PROV, PERSONAL_CSP

PREFIX = "\\\\.\\"
NAME_MAX = 39
_KSPS = {name.casefold() for name in (MS_SCARD_PROV, PERSONAL_CSP, MS_SMART_CARD_KEY_STORAGE_PROVIDER)}


class ContainerName(NamedTuple):
    """``reader`` ``None`` = any; ``container`` ``""`` = the default one."""

    reader: str | None
    container: str


def parse_container(text: str) -> ContainerName:
    """Take a container name apart.

    Raises:
        WinError: ``NTE_BAD_KEYSET_PARAM``, too long, or a backslash outside the two reader forms.
    """
    reader: str | None = None
    container = text
    if text.startswith(PREFIX):
        reader, backslash, container = text[len(PREFIX) :].partition("\\")
        if not backslash or not reader:
            raise WinError.of(Code.NTE_BAD_KEYSET_PARAM, f"{text!r} names a reader without its final backslash")
    if "\\" in container or len(container) > NAME_MAX:
        raise WinError.of(Code.NTE_BAD_KEYSET_PARAM, f"{container!r} is no container name")
    return ContainerName(reader, container)


def check_ksp(name: str) -> None:
    """Raise unless ``name`` is the smart card key storage provider, or a provider that it pairs with.

    Raises:
        NotFound: ``NTE_KEYSET_NOT_DEF``, no such provider; ``NTE_BAD_KEYSET``, the one that stores no keys.
    """
    folded = name.casefold()
    if folded == MS_KEY_STORAGE_PROVIDER.casefold():
        raise NotFound(Code.NTE_BAD_KEYSET, f"{name} stores no keys here")
    if folded not in _KSPS:
        step = f"the one for cards is {MS_SMART_CARD_KEY_STORAGE_PROVIDER}"
        raise NotFound(Code.NTE_KEYSET_NOT_DEF, f"{name!r} is, or pairs with, no key storage provider", next_step=step)

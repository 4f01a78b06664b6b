"""The providers whose containers are on cards, and how each of them opens contexts."""

from __future__ import annotations

from calais.provider.csp import acquire, personal, provparams
from calais.provider.csp.acquire import BASE_HABITS, Habits, Host
from calais.provider.csp.context import CspContext
from calais.provider.csp.providers import Letter, Provider

HABITS: dict[Letter, Habits] = {"B": BASE_HABITS, "P": personal.HABITS}
GET = (*provparams.GET, *personal.GET)
SET = provparams.SET


def open_context(
    host: Host, provider: Provider, text: str | None, flags: int, window: int | None = None
) -> CspContext | None:
    """A context of ``provider``, which has its containers on cards; arguments and errors as ``acquire.acquire``."""
    return acquire.acquire(host, provider, HABITS[provider.letter], text, flags, window)

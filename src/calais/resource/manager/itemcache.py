"""The item cache of the resource manager: what card programs keep about a card, each with a freshness counter.

In memory, shared by all contexts of one system.

Source: Microsoft, SCardReadCache and SCardWriteCache.
"""

from __future__ import annotations

import threading

from calais.win.codes import Code
from calais.win.errors import WinError

ITEM_BYTES_MAX = 1 << 20


class ItemCache:
    """Items by card identifier and name.

    Args:
        limit: the longest item, in bytes.
    """

    def __init__(self, limit: int = ITEM_BYTES_MAX) -> None:
        self.limit = limit
        self._mutex = threading.Lock()
        self._items: dict[tuple[bytes, str], tuple[int, bytes]] = {}

    def read(self, card: bytes, freshness: int, name: str) -> bytes:
        """The item.

        Raises:
            WinError: SCARD_W_CACHE_ITEM_NOT_FOUND; SCARD_W_CACHE_ITEM_STALE, it was written under another counter,
                and is deleted.
        """
        with self._mutex:
            found = self._items.get((card, name))
            if found is None:
                raise WinError.of(Code.SCARD_W_CACHE_ITEM_NOT_FOUND, f"nothing is kept as {name!r}")
            if found[0] != freshness:
                del self._items[card, name]
                raise WinError.of(Code.SCARD_W_CACHE_ITEM_STALE, f"{name!r} is of another state of the card")
            return found[1]

    def write(self, card: bytes, freshness: int, name: str, data: bytes) -> None:
        """Keep an item, instead of the one that was there.

        Raises:
            WinError: SCARD_W_CACHE_ITEM_TOO_BIG.
        """
        if len(data) > self.limit:
            raise WinError.of(Code.SCARD_W_CACHE_ITEM_TOO_BIG, f"{len(data)} bytes; {self.limit} is the limit")
        with self._mutex:
            self._items[card, name] = freshness, data

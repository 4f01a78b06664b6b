"""How long a handle lives: as long as somebody holds a reference to it, whichever threads they are in."""

from __future__ import annotations

import threading


class Lifetime:
    """References to one handle, counted under a lock; one at birth. What is over stays over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._references = 1

    def __repr__(self) -> str:
        return f"<Lifetime of {self._references} references>"

    @property
    def is_over(self) -> bool:
        """Whether no reference is left."""
        return not self._references

    def join(self) -> bool:
        """One reference more; ``False`` when it is over."""
        with self._lock:
            if self._references:
                self._references += 1
            return bool(self._references)

    def leave(self) -> int | None:
        """Give a reference back: how many are left, or ``None``, there was none to give.

        Of all that call it, exactly one gets 0.
        """
        with self._lock:
            if not self._references:
                return None
            self._references -= 1
            return self._references

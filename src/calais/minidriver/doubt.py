"""What a driver can do about doubts in what is remembered: look at the thing itself, give it up, and say what it knows."""

from __future__ import annotations

from calais.minidriver.memo import CachedObject, CardMemo


class Doubt:
    """Part of ``Minidriver``: for a driver that judges what it remembers by something else than the thing itself."""

    memo: CardMemo

    def confirm_certificate(self, index: int) -> None:
        """Make sure of the certificate of container ``index`` by a look at it, where less than that would do otherwise.

        What turns out to be wrong is forgotten with everything that was judged in the same way.
        """

    def confirm_key(self, index: int) -> None:
        """The same for the public key of container ``index``."""

    def confirm_list(self) -> None:
        """The same for which containers and certificates there are at all."""

    def doubt(self, index: int) -> None:
        """What is remembered of container ``index`` has been proved wrong: forget it, and what was judged like it."""

    def forget_data(self) -> None:
        """Believe nothing that was read from the card; names that its containers were given stay."""
        self.memo.forget_data()

    def cached(self) -> list[CachedObject]:
        """What is remembered of the card now, without an exchange."""
        return []

    @property
    def counters_trusted(self) -> bool:
        """Whether the card's freshness counters were never caught lying; no exchange."""
        return True

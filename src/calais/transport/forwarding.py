"""A connection that hands everything on to another; what wraps one says only what it does otherwise."""

from __future__ import annotations

from calais.transport.base import Transport


class ForwardingTransport:
    """The transport ``inner``, unchanged (see ``Transport``).

    Args:
        inner: the connection.
    """

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    @property
    def reader(self) -> str:
        """Name of the reader."""
        return self.inner.reader

    @property
    def atr(self) -> bytes:
        """Answer to reset."""
        return self.inner.atr

    @property
    def protocol(self) -> int:
        """0 for T=0, 1 for T=1."""
        return self.inner.protocol

    @property
    def epoch(self) -> int:
        """See ``Transport.epoch``."""
        return self.inner.epoch

    def begin(self) -> None:
        """Take the card."""
        self.inner.begin()

    def end(self, *, reset: bool = False) -> None:
        """Give the card back."""
        self.inner.end(reset=reset)

    def transmit(self, command: bytes) -> bytes:
        """One exchange."""
        return self.inner.transmit(command)

    def reset(self) -> None:
        """Reset the card."""
        self.inner.reset()

    def close(self) -> None:
        """Disconnect."""
        self.inner.close()

"""Real readers, by PC/SC, as the rooms above see them."""

from __future__ import annotations

from calais.resource.slots import ReaderStatus
from calais.transport.pcsc import PcscContext, PcscTransport, ReaderState
from calais.transport.pcsc_library import Library
from calais.win.errors import ReaderUnavailable

# Others may use the card between any two transactions, so each begins with looking whether it is what it was.
LINGER_S = 0.1


class RealReaders:
    """The readers of the PC/SC service; it need not run. Each look has a context of its own, so any thread may.

    Args:
        library: the PC/SC library; ``None`` = the system's.
    """

    def __init__(self, library: Library | None = None) -> None:
        self.library = library

    def ports(self) -> list[RealPort]:
        """The readers that are there now.

        Raises:
            ReaderUnavailable: there is no service, or no library.
            NotAuthenticated: the service refuses this user.
        """
        with PcscContext(self.library) as context:
            return [RealPort(name, self.library) for name in context.list_readers()]


class RealPort:
    """One real reader (see ``slots.Port``).

    Args:
        name: as the service calls it.
        library: as of ``RealReaders``.
    """

    linger_s = LINGER_S

    def __init__(self, name: str, library: Library | None = None) -> None:
        self.name = name
        self.library = library

    def status(self) -> ReaderStatus:
        """The state of the reader now (see ``Port``)."""
        with PcscContext(self.library) as context:
            return status_of(context.states([self.name])[0])

    def connect(self) -> PcscTransport:
        """A connection to the card (see ``Port``)."""
        with PcscContext(self.library) as context:
            return context.connect(self.name)


def status_of(state: ReaderState) -> ReaderStatus:
    """What PC/SC reports, in our words.

    Raises:
        ReaderUnavailable: the reader has been unplugged.
    """
    if not state.available:
        raise ReaderUnavailable(detail=f"the reader {state.reader} has been unplugged")
    return ReaderStatus(state.reader, state.present, state.atr, state.insertion)

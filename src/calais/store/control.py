"""What a program may ask of the thing behind an open store. Source: CertControlStore."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from calais.store.sources import Source
from calais.store.stores import Store
from calais.store.watch import Watch
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError
from calais.win.flags import (
    CERT_STORE_CTRL_AUTO_RESYNC,
    CERT_STORE_CTRL_CANCEL_NOTIFY,
    CERT_STORE_CTRL_COMMIT,
    CERT_STORE_CTRL_NOTIFY_CHANGE,
    CERT_STORE_CTRL_RESYNC,
)

Event = threading.Event
Control = Callable[[Store, Source, Watch, int, Event | None], None]


def control(store: Store, flags: int, number: int, para: object) -> None:
    """Do CERT_STORE_CTRL_* ``number``; in a collection to every member.

    Raises:
        Unsupported: ERROR_NOT_SUPPORTED, no such number.
        BadParameter: E_INVALIDARG, the event is missing or is none.
        WinError: ERROR_CALL_NOT_IMPLEMENTED, nothing is behind the store; what that says. Of several members every
            one is asked, and the first error raised.
    """
    row = _CONTROLS.get(number)
    if row is None:
        raise Unsupported(Code.ERROR_NOT_SUPPORTED, f"A store has no control {number}.")
    needs_event, act = row
    if para is None and needs_event:
        raise BadParameter(Code.E_INVALIDARG, "The event is missing.")
    if para is not None and not isinstance(para, Event):
        raise BadParameter(Code.E_INVALIDARG, f"An event is a threading.Event, not {type(para).__name__}.")
    errors = [error for part in store.parts() if (error := _try(act, part, flags, para)) is not None]
    if errors:
        raise errors[0]


def _try(act: Control, part: Store, flags: int, event: Event | None) -> WinError | None:
    if part.source is None or part.watch is None:
        return WinError.of(Code.ERROR_CALL_NOT_IMPLEMENTED, "Nothing is behind this store.")
    try:
        act(part, part.source, part.watch, flags, event)
    except WinError as error:
        return error
    return None


def _resync(_store: Store, source: Source, watch: Watch, _flags: int, event: Event | None) -> None:
    watch.renew(event)
    source.resync()


def _notify(_store: Store, _source: Source, watch: Watch, _flags: int, event: Event | None) -> None:
    if event is not None:
        watch.add(event)


def _commit(_store: Store, source: Source, _watch: Watch, flags: int, _event: Event | None) -> None:
    source.commit(flags)


def _resync_from_now_on(store: Store, _source: Source, _watch: Watch, _flags: int, _event: Event | None) -> None:
    store.resyncs_itself = True


def _cancel(_store: Store, _source: Source, watch: Watch, _flags: int, event: Event | None) -> None:
    if event is not None:
        watch.cancel(event)


_CONTROLS: Final[dict[int, tuple[bool, Control]]] = {
    CERT_STORE_CTRL_RESYNC: (False, _resync),
    CERT_STORE_CTRL_NOTIFY_CHANGE: (True, _notify),
    CERT_STORE_CTRL_COMMIT: (False, _commit),
    CERT_STORE_CTRL_AUTO_RESYNC: (False, _resync_from_now_on),
    CERT_STORE_CTRL_CANCEL_NOTIFY: (True, _cancel),
}

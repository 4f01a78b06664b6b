"""Properties of providers, as a table.

Source: Microsoft, "Key Storage Property Identifiers", "Smart Card Key Storage Provider Properties".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calais.minidriver.pins import Pin, Role
from calais.provider import cardstores
from calais.provider.ksp import errors
from calais.provider.ksp.properties import Accepts, pointer, text, text_or_none
from calais.provider.ksp.storage import Storage
from calais.store.stores import Store
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.flags.ncrypt import KeyProperty

VERSION = 1 << 16  # 1.0


@dataclass(frozen=True, slots=True)
class ProviderProperty:
    """One property: ``read`` and ``write`` as far as it has them; ``cards``: only the smart card provider has it."""

    read: Callable[[Storage, bool], Any] | None = None
    write: Callable[[Storage, Any, bool], None] | None = None
    accepts: Accepts | None = None
    cards: bool = False


def _set_pin(storage: Storage, value: str | None, silent: bool) -> None:  # noqa: FBT001 - the type of all writers
    card = storage.card(silent=silent)
    card.broker.give(card, Role.USER, Pin(value) if value else None)


def _set_reader(storage: Storage, name: str, _: bool) -> None:  # noqa: FBT001
    if not name:
        raise errors.bad_parameter("a reader has a name")
    storage.system.reader(name)
    storage.reader = name


def _guid(storage: Storage, silent: bool) -> bytes | None:  # noqa: FBT001
    return storage.card(silent=silent).card_id if storage.reader is not None else None


def _set_roots(storage: Storage, store: object, silent: bool) -> None:  # noqa: FBT001
    if not isinstance(store, Store) or not store.is_open:
        raise errors.bad_parameter("root certificates come in an open store")
    cardstores.set_root_store(storage.card(silent=silent), store)


def _users(storage: Storage, silent: bool) -> Store:  # noqa: FBT001
    return cardstores.user_store(cardstores.certificates(storage.card(silent=silent)), ncrypt=True)


def _roots(storage: Storage, silent: bool) -> Store:  # noqa: FBT001
    try:
        return cardstores.root_store(storage.card(silent=silent))
    except BadData as error:
        raise BadData(Code.NTE_BAD_DATA, "the root certificates on the card cannot be read") from error


def _set_window(storage: Storage, window: int, _: bool) -> None:  # noqa: FBT001
    storage.window = window


def _set_text(storage: Storage, words: str, _: bool) -> None:  # noqa: FBT001
    storage.text = words


ROWS: Mapping[str, ProviderProperty] = {
    KeyProperty.NAME: ProviderProperty(lambda storage, _: str(storage.row.name)),
    KeyProperty.IMPL_TYPE: ProviderProperty(lambda storage, _: storage.row.impl_type),
    KeyProperty.VERSION: ProviderProperty(lambda _storage, _: VERSION),
    KeyProperty.MAX_NAME_LENGTH: ProviderProperty(lambda storage, _: storage.row.name_max),
    KeyProperty.PIN: ProviderProperty(write=_set_pin, accepts=text_or_none, cards=True),
    KeyProperty.READER: ProviderProperty(lambda storage, _: storage.reader, _set_reader, text, cards=True),
    KeyProperty.SMARTCARD_GUID: ProviderProperty(_guid, cards=True),
    KeyProperty.USER_CERTSTORE: ProviderProperty(_users, cards=True),
    KeyProperty.ROOT_CERTSTORE: ProviderProperty(_roots, _set_roots, cards=True),
    KeyProperty.WINDOW_HANDLE: ProviderProperty(lambda storage, _: storage.window, _set_window, pointer),
    KeyProperty.USE_CONTEXT: ProviderProperty(lambda storage, _: storage.text, _set_text, text),
    KeyProperty.SECURITY_DESCR_SUPPORT: ProviderProperty(lambda _storage, _: 0),
    KeyProperty.USE_COUNT_ENABLED: ProviderProperty(lambda _storage, _: 0),
    KeyProperty.USE_COUNT: ProviderProperty(lambda _storage, _: 0),
}


def get(storage: Storage, name: str, given: int) -> Any:  # noqa: ANN401 - a type per property
    """The value of a property of a provider; errors as ``properties.get``."""
    row = ROWS.get(name)
    if row is None or row.read is None or (row.cards and not storage.row.stores):
        raise errors.not_supported(f"this provider has no property {name!r} that can be read")
    value = row.read(storage, bool(given & flags.NCRYPT_SILENT_FLAG))
    if value is None:
        raise errors.not_found(f"property {name!r} has no value here")
    return value


def put(storage: Storage, name: str, value: object, given: int) -> None:
    """Set a property of a provider; errors as ``properties.put``."""
    row = ROWS.get(name)
    if row is None or row.write is None or (row.cards and not storage.row.stores):
        raise errors.not_supported(f"this provider has no property {name!r} that can be set")
    if row.accepts is not None and not row.accepts(value):
        raise errors.bad_parameter(f"not a value for property {name!r}")
    row.write(storage, value, bool(given & flags.NCRYPT_SILENT_FLAG))

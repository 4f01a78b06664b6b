"""Reading and setting the properties of an element, by the rules of their kinds.

Source: CertGetCertificateContextProperty, CertSetCertificateContextProperty,
CertEnumCertificateContextProperties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calais.store import properties
from calais.store.api import KeyHandle
from calais.store.properties import Kind
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, WinError
from calais.win.flags import (
    CERT_NCRYPT_KEY_SPEC,
    CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG,
    CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG,
    CERT_STORE_NO_CRYPT_RELEASE_FLAG,
    PropId,
)
from calais.win.structs import CertKeyContext, CryptKeyProvInfo

if TYPE_CHECKING:
    from calais.store.model import Element


def get(element: Element, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    """The value of a property; a computed one is kept from then on, a transferred handle is gone.

    Raises:
        NotFound: CRYPT_E_NOT_FOUND.
        BadData: it cannot be computed, or a foreign program stored something else.
    """
    prop_id = int(prop_id)
    if prop_id in (PropId.NCRYPT_KEY_HANDLE_TRANSFER, PropId.HCRYPTPROV_TRANSFER):
        if not has(element, prop_id):
            raise _absent(prop_id)
        return element.take_handle()
    value = _peek(element, prop_id)
    rule = properties.rule(prop_id)
    if rule.kind is Kind.COMPUTED and element.lookup(prop_id) is None:
        layer = element.volatile if prop_id in element.volatile else element.computed
        layer[prop_id] = rule.pack(value)
    return value


def has(element: Element, prop_id: int) -> bool:
    """Whether ``get`` would give a value; nothing is kept and no handle moves."""
    slot = element.slot
    if prop_id in (PropId.NCRYPT_KEY_HANDLE_TRANSFER, PropId.HCRYPTPROV_TRANSFER):
        wants_ncrypt = prop_id == PropId.NCRYPT_KEY_HANDLE_TRANSFER
        return slot is not None and slot.handle is not None and is_ncrypt(slot) == wants_ncrypt
    try:
        _peek(element, prop_id)
    except (NotFound, BadData):
        return False
    return True


def peek(element: Element, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    """The value of a property, or ``None`` where ``get`` would raise; nothing is kept."""
    return _peek(element, prop_id) if has(element, prop_id) else None


def next_id(element: Element, prop_id: int) -> int:
    """The next listed id after ``prop_id`` in rising order; 0 at the end."""
    return min((each for each in element.listed() if each > prop_id), default=0)


def key_prov_info(element: Element) -> CryptKeyProvInfo | None:
    """Property 2, or ``None``; a foreign value that cannot be read counts as none."""
    value = peek(element, PropId.KEY_PROV_INFO)
    return value if isinstance(value, CryptKeyProvInfo) else None


def has_private_key(element: Element) -> bool:
    """Whether the certificate is linked to a key: property 2 is stored, or the slot has a handle."""
    return element.lookup(PropId.KEY_PROV_INFO) is not None or (
        element.slot is not None and element.slot.handle is not None
    )


def is_ncrypt(context: CertKeyContext) -> bool:
    """Whether the slot is that of a CNG key."""
    if isinstance(context.handle, KeyHandle):
        return context.handle.is_ncrypt
    return context.key_spec == CERT_NCRYPT_KEY_SPEC


def _absent(prop_id: int) -> NotFound:
    return NotFound(Code.CRYPT_E_NOT_FOUND, f"The certificate has no property {prop_id}.")


def _peek(element: Element, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    rule = properties.rule(prop_id)
    if rule.kind is Kind.HANDLE:
        return _handle(element, prop_id)
    if rule.kind is Kind.VIEW:
        return _view(element, prop_id)
    data = element.lookup(prop_id)
    if data is not None:
        return rule.unpack(data)
    if rule.compute is None:
        raise _absent(prop_id)
    return rule.compute(element.outline)


def _view(element: Element, prop_id: int) -> int:
    if prop_id == PropId.ACCESS_STATE:
        return element.home.access_state if element.home is not None else 0
    if element.slot is not None:
        return element.slot.key_spec
    info = key_prov_info(element)
    if info is None:
        raise _absent(prop_id)
    return info.key_spec


def _handle(element: Element, prop_id: int) -> object:
    """What the slot is under the name of ``prop_id``."""
    slot = element.slot
    if slot is None or not _shows(slot, prop_id):
        raise _absent(prop_id)
    return slot if prop_id == PropId.KEY_CONTEXT else slot.handle


def _shows(slot: CertKeyContext, prop_id: int) -> bool:
    """Whether this id sees a slot of this kind: 1 CryptoAPI handles, 78 CNG keys, 5 and 79 both."""
    if prop_id == PropId.KEY_PROV_HANDLE:
        return not is_ncrypt(slot)
    return prop_id != PropId.NCRYPT_KEY_HANDLE or is_ncrypt(slot)


# --- setting ----------------------------------------------------------------------------------------------------------


def set_value(element: Element, prop_id: int, value: object, flags: int = 0) -> None:
    """Set a property, or delete it (``None``), absent or not.

    Args:
        element: whose.
        prop_id: which.
        value: of the property's type.
        flags: CERT_STORE_NO_CRYPT_RELEASE_FLAG, CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG.

    Raises:
        BadParameter: E_INVALIDARG, the property cannot be set, or not to this.
        AccessDenied: the store is open for reading only.
        WinError: the database refused; nothing changed.
    """
    prop_id = int(prop_id)
    rule = properties.settable_rule(prop_id)
    if rule.kind is Kind.HANDLE:
        _set_handle(element, prop_id, value, owned=not flags & CERT_STORE_NO_CRYPT_RELEASE_FLAG)
    elif rule.kind is Kind.VIEW:
        _set_key_spec(element, value)
    else:
        _set_stored(element, prop_id, None if value is None else rule.pack(value), flags)


def _set_stored(element: Element, prop_id: int, data: bytes | None, flags: int) -> None:
    if flags & CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG:
        element.write_volatile(prop_id, data)
        return
    try:
        element.write({prop_id: data})
    except WinError:
        if not flags & CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG:
            raise
        element.write_volatile(prop_id, data)


def _set_key_spec(element: Element, value: object) -> None:
    """Into the slot; deleting it leaves the slot as it is."""
    if value is None:
        return
    number = properties.rule(PropId.KEY_SPEC)
    handle = element.slot.handle if element.slot is not None else None
    element.put_handle(CertKeyContext(handle, number.unpack(number.pack(value))), owned=element.slot_owned)


def _set_handle(element: Element, prop_id: int, value: object, *, owned: bool) -> None:
    if prop_id == PropId.KEY_CONTEXT:
        element.put_handle(_checked_context(value), owned=owned)
    elif value is None:
        if element.slot is not None and _shows(element.slot, prop_id):
            element.put_handle(CertKeyContext(None, element.slot.key_spec))
    else:
        handle = _checked_handle(value, prop_id)
        element.put_handle(CertKeyContext(handle, _spec_for(element, handle)), owned=owned)


def _checked_context(value: object) -> CertKeyContext | None:
    """Property 5: a CertKeyContext around a handle or nothing."""
    if value is None:
        return None
    if not isinstance(value, CertKeyContext) or not isinstance(value.handle, KeyHandle | None):
        raise BadParameter(Code.E_INVALIDARG, "A key context is a CertKeyContext around a key handle or None.")
    properties.rule(PropId.KEY_SPEC).pack(value.key_spec)
    return value


def _checked_handle(value: object, prop_id: int) -> KeyHandle:
    """A handle of the kind that ``prop_id`` takes."""
    kinds: dict[int, bool] = {PropId.KEY_PROV_HANDLE: False, PropId.NCRYPT_KEY_HANDLE: True}
    wanted = kinds.get(prop_id)
    if not isinstance(value, KeyHandle) or (wanted is not None and value.is_ncrypt != wanted):
        raise BadParameter(Code.E_INVALIDARG, f"Property {prop_id} does not take {type(value).__name__}.")
    return value


def _spec_for(element: Element, handle: KeyHandle) -> int:
    """The key spec beside a new handle: that of the slot, else of property 2, else 0."""
    if handle.is_ncrypt:
        return CERT_NCRYPT_KEY_SPEC
    if element.slot is not None and not is_ncrypt(element.slot):
        return element.slot.key_spec
    info = key_prov_info(element)
    return info.key_spec if info is not None else 0

"""The host's side of Yubico's extensions to the PIV card edge; the same conventions as ``edge``.

Source: Yubico, "PIV commands" and "PIV: APDU reference".
"""

from __future__ import annotations

from calais.cards.piv import spec
from calais.cards.piv.edge import LE_ALL, LE_SHORT, exchange, fail, policies
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW, ApduError
from calais.transport.base import Transaction
from calais.win.errors import BadData, Unsupported


def _extension(tx: Transaction, command: Command, what: str) -> bytes:
    response = exchange(tx, command)
    if not response.ok:
        fail(response, command.ins, what)
    return response.data


def metadata(tx: Transaction, ref: int) -> dict[int, bytes]:
    """What the card tells about key, PIN or PUK ``ref``: value by tag.

    Raises:
        Unsupported: it does not tell.
        NotFound: there is no key.
    """
    response = exchange(tx, Command(0, spec.INS_GET_METADATA, 0, ref, le=LE_ALL))
    if response.ok:
        return {item.tag: item.value for item in tlv.parse(response.data)}
    if response.sw in (SW.NOT_FOUND, SW.REFERENCE_NOT_FOUND):
        fail(response, spec.INS_GET_METADATA, f"asking about {ref:02X}")
    raise Unsupported(detail="the card does not tell about its keys") from ApduError(response.sw, spec.INS_GET_METADATA)


def version(tx: Transaction) -> tuple[int, int, int]:
    """Version of the card's application."""
    data = _extension(tx, Command(0, spec.INS_GET_VERSION, 0, 0, le=LE_SHORT), "asking for the version")
    if len(data) != 3:
        raise BadData(detail=f"a version has three bytes, this one {len(data)}", index=min(len(data), 3))
    return data[0], data[1], data[2]


def serial(tx: Transaction) -> int:
    """Serial number of the card."""
    data = _extension(tx, Command(0, spec.INS_GET_SERIAL, 0, 0, le=LE_SHORT), "asking for the serial number")
    if len(data) != 4:
        raise BadData(detail=f"a serial number has four bytes, this one {len(data)}", index=min(len(data), 4))
    return int.from_bytes(data, "big")


def import_key(
    tx: Transaction,
    algorithm: int,
    ref: int,
    parts: list[tuple[int, bytes]],
    pin_policy: int = 0,
    touch_policy: int = 0,
) -> None:
    """Write a private key, ``parts`` by import tag. Wants the management key."""
    data = b"".join(tlv.build(tag, value) for tag, value in parts) + policies(pin_policy, touch_policy)
    _extension(tx, Command(0, spec.INS_IMPORT_KEY, algorithm, ref, data), f"importing a key into {ref:02X}")


def move_key(tx: Transaction, source: int, target: int) -> None:
    """Move a key to another slot. Wants the management key."""
    _extension(tx, Command(0, spec.INS_MOVE_KEY, target, source), f"moving the key of {source:02X}")


def delete_key(tx: Transaction, ref: int) -> None:
    """Delete a key. Wants the management key."""
    _extension(tx, Command(0, spec.INS_MOVE_KEY, spec.P1_MOVE_KEY_DELETE, ref), f"deleting the key of {ref:02X}")


def attest(tx: Transaction, ref: int) -> bytes:
    """The card's certificate (DER) that it generated the key of ``ref`` itself."""
    return _extension(tx, Command(0, spec.INS_ATTEST, ref, 0, le=LE_ALL), f"attesting the key of {ref:02X}")


def set_management_key(tx: Transaction, algorithm: int, key: bytes, *, touch: bool = False) -> None:
    """Replace the management key. Wants the present one."""
    data = bytes((algorithm, spec.REF_MANAGEMENT_KEY, len(key))) + key
    p2 = spec.P2_SET_MANAGEMENT_KEY_TOUCH if touch else spec.P2_SET_MANAGEMENT_KEY
    command = Command(0, spec.INS_SET_MANAGEMENT_KEY, spec.P1_SET_MANAGEMENT_KEY, p2, data)
    _extension(tx, command, "changing the management key")


def set_retries(tx: Transaction, pin_tries: int, puk_tries: int) -> None:
    """Set the number of tries; PIN and PUK get their factory values. Wants management key and PIN."""
    _extension(tx, Command(0, spec.INS_SET_RETRIES, pin_tries, puk_tries), "setting the number of tries")


def reset_application(tx: Transaction) -> None:
    """Erase keys, certificates and PINs; the card does it only when PIN and PUK are blocked."""
    _extension(tx, Command(0, spec.INS_RESET, 0, 0), "resetting the PIV application")
    tx.volatile.authenticated.clear()

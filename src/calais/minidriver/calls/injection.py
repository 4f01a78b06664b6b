"""Secure key injection: session keys, and requests that travel encrypted.

A session key is a ``CardKey`` of the context that made it. In a context without card there is no transaction, and the
driver's part that needs none answers.

Source: Microsoft's smart card minidriver specification v7.07, 4.8 (secure key injection).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from calais.minidriver import properties
from calais.minidriver.calls.context import Call, enter
from calais.minidriver.data import CardKey
from calais.minidriver.injection import KeyInjection
from calais.win.errors import BadParameter, WinError


@contextmanager
def _injector(call: Call) -> Iterator[KeyInjection]:
    """The driver, in a transaction; or what stands for it where there is no card."""
    if call.binding.find is None:
        yield call.binding.card
        return
    with call.card() as card:
        yield card


def _new_key(call: Call, number: int) -> CardKey:
    def destroy(key: CardKey) -> None:
        with suppress(WinError):
            _destroy(call, key)

    key = CardKey(number, destroy)
    call.binding.keys.append(key)
    return key


def _destroy(call: Call, key: CardKey) -> None:
    """The key is gone, whatever the card says."""
    key.is_open = False
    if key in call.binding.keys:
        call.binding.keys.remove(key)
        with _injector(call) as card:
            card.destroy_key(key.number)


def _key(call: Call, key: object) -> CardKey:
    """``key``, when it can be used here.

    Raises:
        BadParameter: not a key of this context, or destroyed.
    """
    if not isinstance(key, CardKey) or not key.is_open or key not in call.binding.keys:
        raise BadParameter(detail="not a session key of this context, or destroyed already")
    return key


def import_plain_key(data: object, blob_type: str, algorithm: str, key: bytes) -> CardKey:
    """``MDImportSessionKey``."""
    call = enter(data, "MDImportSessionKey", blob_type, algorithm, key)
    with _injector(call) as card:
        return _new_key(call, card.make_session_key(blob_type, algorithm, bytes(key)))


def encrypt_data(data: object, key: object, function: str, content: bytes, flags: int) -> list[bytes]:
    """``MDEncryptData``."""
    call = enter(data, "MDEncryptData", key, function, content, flags)
    number = _key(call, key).number
    with _injector(call) as card:
        return card.encrypt_for_card(number, function, bytes(content), flags)


def import_session_key(
    data: object, index: int, padding: object, blob_type: str, algorithm: str, content: bytes, flags: int
) -> CardKey:
    """``CardImportSessionKey``."""
    call = enter(data, "CardImportSessionKey", index, padding, blob_type, algorithm, content, flags)
    with call.card() as card:
        number = card.import_session_key(index, padding, blob_type, algorithm, bytes(content), flags)
        return _new_key(call, number)


def shared_key(data: object, content: bytes) -> tuple[bytes, CardKey]:
    """``CardGetSharedKeyHandle``: what the other side is to be told, and the key."""
    call = enter(data, "CardGetSharedKeyHandle", content)
    with _injector(call) as card:
        output, number = card.shared_key(bytes(content))
        return output, _new_key(call, number)


def algorithm_property(data: object, algorithm: str, name: str, flags: int) -> str | bytes | int:
    """``CardGetAlgorithmProperty``."""
    with _injector(enter(data, "CardGetAlgorithmProperty", algorithm, name, flags)) as card:
        return card.algorithm_property(algorithm, name)


def key_property(data: object, key: object, name: str, flags: int) -> str | bytes | int:
    """``CardGetKeyProperty``."""
    call = enter(data, "CardGetKeyProperty", key, name, flags)
    number = _key(call, key).number
    with _injector(call) as card:
        return card.key_property(number, name)


def set_key_property(data: object, key: object, name: str, value: str | bytes, flags: int) -> None:
    """``CardSetKeyProperty``."""
    call = enter(data, "CardSetKeyProperty", key, name, value, flags)
    number = _key(call, key).number
    properties.check_write_of_key(name, value)
    with _injector(call) as card:
        card.set_key_property(number, name, value)


def destroy_key(data: object, key: object) -> None:
    """``CardDestroyKey``."""
    call = enter(data, "CardDestroyKey", key)
    _destroy(call, _key(call, key))


def process_encrypted_data(data: object, key: object, function: str, pieces: list[bytes], flags: int) -> bytes:
    """``CardProcessEncryptedData``: decrypt on the card, and do it."""
    call = enter(data, "CardProcessEncryptedData", key, function, pieces, flags)
    number = _key(call, key).number
    with _injector(call) as card:
        return card.process_encrypted(number, function, [bytes(piece) for piece in pieces], flags)

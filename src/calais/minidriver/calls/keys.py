"""Containers and the use of their keys. RSA numbers are little-endian here, as everywhere in CryptoAPI.

Source: Microsoft's smart card minidriver specification v7.07, 4.4, 4.5 (``CardSignData``, ``CardRSADecrypt``,
``CardConstructDHAgreement``, ``CardDeriveKey``).
"""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.minidriver.api import Minidriver
from calais.minidriver.calls import signing
from calais.minidriver.calls.context import Call, enter
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.minidriver.data import CardKey
from calais.minidriver.derivation import derive
from calais.minidriver.padding import Raw, SigningPadding
from calais.minidriver.pins import Role, is_in_pin_set
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, Unsupported
from calais.win.structs import (
    CardDeriveKeyInfo,
    CardDhAgreementInfo,
    CardKeySizes,
    CardRsaDecryptInfo,
    CardSigningInfo,
    ContainerInfo,
)

_EC_BITS = {3: 256, 4: 384, 5: 521, 6: 256, 7: 384, 8: 521}  # by key spec

# --- containers ------------------------------------------------------------------------------------------------------


def create_container(data: object, index: int, create: int, key_spec: int, size_bits: int, blob: bytes | None) -> None:
    """``CardCreateContainer``: for ROLE_USER."""
    call = enter(data, "CardCreateContainer", index, create, key_spec, size_bits, blob)
    _create(call, index, create, key_spec, size_bits, blob, Role.USER)


def create_container_ex(
    data: object, index: int, create: int, key_spec: int, size_bits: int, blob: bytes | None, pin_id: int
) -> None:
    """``CardCreateContainerEx``."""
    call = enter(data, "CardCreateContainerEx", index, create, key_spec, size_bits, blob, pin_id)
    _create(call, index, create, key_spec, size_bits, blob, pin_id)


def _create(
    call: Call, index: int, create: int, key_spec: int, size_bits: int, blob: bytes | None, pin_id: int
) -> None:
    imports = create == flags.CARD_CREATE_CONTAINER_KEY_IMPORT
    if imports != (blob is not None):
        raise BadParameter(detail="a key blob belongs to an import, and to nothing else")
    key = signing.imported_key(key_spec, blob) if blob is not None else None
    bits = _bits(key_spec, size_bits, None if key is None else key.public_key())
    with call.card() as card:
        _check_size(card.key_sizes(key_spec), bits)
        _check_pin(card, pin_id)
        card.create_container(index, key_spec, bits, key=key, pin_id=pin_id)


def _bits(key_spec: int, size_bits: int, imported: PublicKeyTypes | None) -> int:
    """The size of the new key: the caller's for an RSA key to be made, the blob's, or what the key spec says.

    Raises:
        BadParameter: the caller says another size; the size of an EC key to be made is written as 0.
    """
    if isinstance(imported, rsa.RSAPublicKey):
        expected = imported.key_size
        allowed: tuple[int, ...] = (expected,)
    elif key_spec <= AT_SIGNATURE:
        return size_bits
    else:
        expected = _EC_BITS[key_spec]
        allowed = (0,) if imported is None else (0, expected)
    if size_bits not in allowed:
        raise BadParameter(detail=f"the key has {expected} bits, not {size_bits}")
    return expected


def _check_size(sizes: CardKeySizes, bits: int) -> None:
    step = max(sizes.incremental_bit_len, 1)
    inside = sizes.minimum_bit_len <= bits <= sizes.maximum_bit_len
    if not inside or (bits - sizes.minimum_bit_len) % step:
        raise BadParameter(detail=f"the card has no such keys of {bits} bits")


def _check_pin(card: Minidriver, pin_id: int) -> None:
    if not is_in_pin_set(card.pin_list(), pin_id) or card.pin_info(pin_id).pin_purpose == flags.UnblockOnlyPin:
        raise BadParameter(detail=f"PIN {pin_id} cannot protect a key")


def delete_container(data: object, index: int, reserved: int) -> None:
    """``CardDeleteContainer``."""
    with enter(data, "CardDeleteContainer", index, reserved).card() as card:
        card.container(index)
        card.delete_container(index)


def container_info(data: object, index: int, zero: int, version: int) -> ContainerInfo:
    """``CardGetContainerInfo``."""
    with enter(data, "CardGetContainerInfo", index, zero, version).card() as card:
        return card.container_info(index)


# --- sign and decrypt ------------------------------------------------------------------------------------------------


def sign(data: object, info: CardSigningInfo) -> bytes:
    """``CardSignData``."""
    call = enter(data, "CardSignData", info)
    padding = signing.signing_padding(info)
    with call.card() as card:
        if info.signing_flags & flags.CARD_BUFFER_SIZE_ONLY:
            return bytes(signing.signature_size(_key_of_spec(card, info.container_index, info.key_spec)))
        if info.key_spec > AT_SIGNATURE:
            return card.sign(info.container_index, info.key_spec, info.data, padding)
        size = _modulus_bytes(card, info.container_index)
        block, padding = _padded(call, info, padding, size)
        return card.sign(info.container_index, info.key_spec, block, padding)[::-1]


def _padded(call: Call, info: CardSigningInfo, padding: SigningPadding, size: int) -> tuple[bytes, SigningPadding]:
    """What the driver is to sign, padded by the caller's function if there is one."""
    if call.data.pad_data is None or isinstance(padding, Raw):
        return info.data, padding
    return call.data.pad_data(info, size), Raw()


def _key_of_spec(card: Minidriver, index: int, key_spec: int) -> PublicKeyTypes:
    """The public key of container ``index``, when it is one of ``key_spec``.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    key = card.public_key(index)
    if not signing.is_of_spec(key, card.container(index).key_spec, key_spec):
        raise _no_key(index)
    return key


def _modulus_bytes(card: Minidriver, index: int) -> int:
    key = card.public_key(index)
    if not isinstance(key, rsa.RSAPublicKey):
        raise _no_key(index)
    return signing.signature_size(key)


def _no_key(index: int) -> NotFound:
    return NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"container {index} has no key of this key spec")


def decrypt(data: object, info: CardRsaDecryptInfo) -> bytes:
    """``CardRSADecrypt``."""
    call = enter(data, "CardRSADecrypt", info)
    padding = signing.decryption_padding(info)
    unpad = call.data.unpad_data if call.binding.version >= flags.CARD_DATA_VERSION_SEVEN else None
    with call.card() as card:
        _modulus_bytes(card, info.container_index)
        if unpad is None or isinstance(padding, Raw):
            return card.decrypt(info.container_index, info.key_spec, info.data[::-1], padding)[::-1]
        block = card.decrypt(info.container_index, info.key_spec, info.data[::-1], Raw())
        return unpad(replace(info, data=block[::-1]))


# --- agree and derive ------------------------------------------------------------------------------------------------


def construct_dh_agreement(data: object, info: CardDhAgreementInfo) -> int:
    """``CardConstructDHAgreement``: the index of the agreed secret."""
    call = enter(data, "CardConstructDHAgreement", info)
    peer = signing.peer_point(info.public_key)
    with call.card() as card:
        if not any(name.startswith("ECDH") for name in card.asymmetric_algorithms):
            raise Unsupported(detail="the card has no keys for agreement")
        _check_curve(card, info.container_index, peer)
        point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return call.binding.agreements.add(card.agree(info.container_index, point))


def _check_curve(card: Minidriver, index: int, peer: ec.EllipticCurvePublicKey) -> None:
    key = card.public_key(index)
    if not isinstance(key, ec.EllipticCurvePublicKey) or card.container(index).key_spec != AT_KEYEXCHANGE:
        raise _no_key(index)
    if key.curve.name != peer.curve.name:
        raise BadParameter(detail="the other side's key is on another curve")


def derive_key(data: object, info: CardDeriveKeyInfo) -> bytes | CardKey:
    """``CardDeriveKey``; needs no card."""
    call = enter(data, "CardDeriveKey", info)
    if info.flags & flags.CARD_RETURN_KEY_HANDLE:
        raise Unsupported(detail="derived keys are given as bytes")
    handles = [item for item in info.parameters if item.type == flags.KDF_SECRET_HANDLE]
    secret = call.binding.agreements.get(_agreement(call, info, [item.value for item in handles]))
    others = [item for item in info.parameters if item.type != flags.KDF_SECRET_HANDLE]
    by_secret = bool(info.flags & flags.KDF_USE_SECRET_AS_HMAC_KEY_FLAG)
    key = derive(info.kdf, secret, others, secret_is_key=by_secret)
    return bytes(len(key)) if info.flags & flags.CARD_BUFFER_SIZE_ONLY else key


def _agreement(call: Call, info: CardDeriveKeyInfo, handles: list[object]) -> int:
    """The agreement that is meant: the caller's function knows it where a handle is given."""
    if not handles:
        return info.agreement_index
    if call.data.get_dh_agreement is None or len(handles) > 1:
        raise BadParameter(detail="a secret's handle that nobody can turn into an agreement")
    return call.data.get_dh_agreement(handles[0])


def destroy_dh_agreement(data: object, index: int, zero: int) -> None:
    """``CardDestroyDHAgreement``; needs no card."""
    enter(data, "CardDestroyDHAgreement", index, zero).binding.agreements.destroy(index)

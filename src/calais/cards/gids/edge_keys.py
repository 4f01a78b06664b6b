"""The host's side of the GIDS card edge, continued: key files made and deleted, keys generated and imported.

Source: Generic Identity Device Specification v2.0 (key files, control reference templates); ISO/IEC 7816-9 (files).
"""

from __future__ import annotations

from calais.cards.gids import spec
from calais.cards.gids.edge import LE_ALL, NO_KEY, exchange, fail
from calais.cards.gids.spec import KeyType
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW, ApduError
from calais.minidriver.containers import AT_KEYEXCHANGE
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import NotFound

# Use, generate and import: the user's PIN; the public key: everybody. Delete, terminate, activate: never asked for.
_KEY_RULES = bytes((
    spec.AM_PROPRIETARY | spec.AM_KEY_GENERATE | spec.AM_KEY_USE | spec.AM_KEY_PUT | spec.AM_KEY_GET_PUBLIC,
    spec.SC_USER, spec.SC_USER, spec.SC_USER, spec.SC_ALWAYS,
))  # fmt: skip


def _mechanisms(algorithm: int, key_spec: int) -> tuple[tuple[int, int], ...]:
    rsa = algorithm in spec.RSA_BITS
    if key_spec == AT_KEYEXCHANGE:
        return spec.MECHANISMS_RSA_EXCHANGE if rsa else spec.MECHANISMS_EC_EXCHANGE
    return spec.MECHANISMS_RSA_SIGNATURE if rsa else spec.MECHANISMS_EC_SIGNATURE


def build_key_file(kid: int, algorithm: int, key_spec: int) -> bytes:
    """The file control parameters (template 62) of a key file, as Windows makes it.

    Args:
        kid: key reference.
        algorithm: of the key.
        key_spec: AT_KEYEXCHANGE 1 (decipherment or agreement, and signatures) or AT_SIGNATURE 2.
    """
    reference, usage = tlv.build(spec.TAG_CRT_REFERENCE, bytes((kid,))), bytes((spec.USAGE_COMPUTE,))
    templates = (
        tlv.build(
            crt,
            tlv.build(spec.TAG_ALGORITHM, bytes((mechanism | algorithm,))),
            reference,
            tlv.build(spec.TAG_CRT_USAGE, usage),
        )
        for crt, mechanism in _mechanisms(algorithm, key_spec)
    )
    return tlv.build(
        spec.TAG_FCP,
        tlv.build(spec.TAG_FILE_DESCRIPTOR, bytes((spec.DESCRIPTOR_KEY,))),
        tlv.build(spec.TAG_FILE_ID, (spec.FID_KEY | kid).to_bytes(2, "big")),
        tlv.build(spec.TAG_COMPACT_ACL, _KEY_RULES),
        tlv.build(spec.TAG_FILE_TEMPLATES, *templates),
    )


def create_key_file(tx: Transaction, kid: int, algorithm: int, key_spec: int) -> None:
    """Make the key file of ``kid`` and activate it.

    Raises:
        WinError: ERROR_FILE_EXISTS; SCARD_E_WRITE_TOO_MANY, no room.
    """
    _do(tx, Command(0, spec.INS_CREATE_FILE, 0, 0, build_key_file(kid, algorithm, key_spec)), "making a key file")
    _do(tx, Command(0, spec.INS_ACTIVATE_FILE, 0, 0), "activating a key file")


def delete_key_file(tx: Transaction, kid: int) -> None:
    """Delete the key file of ``kid`` and the key in it.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER, there is none.
    """
    fid = (spec.FID_KEY | kid).to_bytes(2, "big")
    select = Command(0, spec.INS_SELECT, spec.P1_SELECT_BY_ID, spec.P2_SELECT_SILENT, fid)
    response = exchange(tx, select)
    if response.sw in NO_KEY:
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, "the card has no such key") from ApduError(
            response.sw, spec.INS_SELECT
        )
    if not response.ok:
        fail(response, spec.INS_SELECT, "selecting a key file")
    _do(tx, Command(0, spec.INS_DELETE_FILE, 0, 0), "deleting a key")


def generate(tx: Transaction, kid: int, algorithm: int) -> bytes:
    """Generate a key pair in the key file of ``kid``; the content of the public key template, ``b""`` = not told."""
    algorithm_id = tlv.build(spec.TAG_ALGORITHM, bytes((algorithm,)))
    reference = tlv.build(spec.TAG_CRT_REFERENCE, bytes((kid,)))
    template = tlv.build(spec.TAG_CRT_GENERATION, algorithm_id, reference)
    answer = _do(tx, Command(0, spec.INS_GENERATE_KEY_PAIR, 0, 0, template, LE_ALL), "generating a key")
    return tlv.parse_one(answer, spec.TAG_PUBLIC_KEY).value if answer else b""


def put_key(tx: Transaction, kid: int, key_type: KeyType, value: bytes) -> None:
    """Write a private key (DER) into the key file of ``kid``."""
    _do(tx, put_key_command(kid, key_type, value), "importing a key")


def put_key_command(kid: int, key_type: KeyType, value: bytes) -> Command:
    """The command that ``put_key`` sends."""
    template = tlv.build(
        spec.TAG_KEY_VALUE_TEMPLATE,
        tlv.build(spec.TAG_KEY_TYPE, bytes((key_type,))),
        tlv.build(spec.TAG_KEY_ENCRYPTION, b"\0"),
        tlv.build(spec.TAG_KEY_VALUE, value),
    )
    return _put(tlv.build(spec.TAG_KEY_REFERENCE, bytes((kid,))) + template)


def put_admin_key(tx: Transaction, key: bytes, check_value: bytes) -> None:
    """Replace the admin key.

    Raises:
        NotAuthenticated: the present one was not presented.
        BadParameter: the card refuses a key of this length.
    """
    _do(tx, admin_key_command(key, check_value), "changing the administrator's key")


def admin_key_command(key: bytes, check_value: bytes) -> Command:
    """The command that ``put_admin_key`` sends."""
    template = tlv.build(
        spec.TAG_KEY_VALUE_TEMPLATE,
        tlv.build(spec.TAG_KEY_VALUE, key),
        tlv.build(spec.TAG_KEY_CHECK_VALUE, check_value),
    )
    return _put(tlv.build(spec.TAG_KEY_REFERENCE, bytes((spec.KID_ADMIN,))) + template)


def _put(content: bytes) -> Command:
    where = spec.FID_APPLICATION
    return Command(0, spec.INS_PUT_DATA, where >> 8, where & 0xFF, tlv.build(spec.TAG_KEY, content))


def _do(tx: Transaction, command: Command, what: str) -> bytes:
    response = exchange(tx, command)
    if response.sw == SW.REFERENCE_NOT_FOUND:
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"{what}: the card has no such key") from ApduError(
            response.sw, command.ins
        )
    if not response.ok:
        fail(response, command.ins, what)
    return response.data

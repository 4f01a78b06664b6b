"""A blank GIDS card is made ready for use: PIN, files with their access rules, administrator's key, file system.

All of it is written while the card is being set up, when nobody need be authenticated; activating the application is
the last step. So a set-up that was cut off can always be done again: what it left over is replaced.

Source: Microsoft, "Windows inbox smart card minidriver" (files, access rules, contents of a new card); Generic Identity
Device Specification v2.0 (set-up, activation); ISO/IEC 7816-9 (CREATE, ACTIVATE and DELETE FILE).
"""

from __future__ import annotations

from calais.cards.gids import adminkey, edge, edge_keys, masterfile, spec
from calais.cards.gids.masterfile import Entry
from calais.cards.gids.spec import Algorithm, LifeCycle
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.minidriver import files
from calais.minidriver.pins import Pin
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError

# EF, who may write, who may read; both: one of those named
_EITHER = spec.SC_USER | spec.SC_ADMIN
_RULES = (
    (spec.FID_USER_CREATE_DELETE_DIR, _EITHER, spec.SC_ALWAYS),
    (spec.FID_EVERYONE_READ_USER_WRITE, _EITHER, spec.SC_ALWAYS),
    (spec.FID_USER_WRITE_EXECUTE, _EITHER, spec.SC_NEVER),
    (spec.FID_EVERYONE_READ_ADMIN_WRITE, spec.SC_ADMIN, spec.SC_ALWAYS),
    (spec.FID_USER_READ_WRITE, _EITHER, _EITHER),
    (spec.FID_ADMIN_READ_WRITE, spec.SC_ADMIN, spec.SC_ADMIN),
)
# Use: everybody, it is how to authenticate; replace: the administrator; read: nobody
_ADMIN_KEY_RULES = bytes((
    spec.AM_PROPRIETARY | spec.AM_KEY_USE | spec.AM_KEY_PUT | spec.AM_KEY_GET_PUBLIC,
    spec.SC_ALWAYS, spec.SC_ADMIN, spec.SC_NEVER,
))  # fmt: skip
_FID_ADMIN_KEY = spec.FID_KEY | spec.KID_ADMIN
_ENTRIES = tuple(
    Entry(directory, name, tag, ef)
    for directory, name, (ef, tag) in (
        (files.DIRECTORY_BASE_CSP, "", (spec.FID_USER_CREATE_DELETE_DIR, 0)),
        ("", "cardid", spec.CARD_ID),
        ("", "cardapps", spec.CARD_APPLICATIONS),
        ("", "cardcf", spec.CARD_CACHE),
        (files.DIRECTORY_BASE_CSP, files.FILE_CONTAINER_MAP, spec.CONTAINER_MAP),
    )
)


def initialise(tx: Transaction, *, pin: Pin, admin_key: bytes | None, card_id: bytes) -> None:
    """Make a blank card, or one whose set-up was cut off, ready for use.

    Args:
        tx: the open transaction.
        pin: the user's PIN, 4 to 16 bytes.
        admin_key: 24 bytes of Triple DES, or 16 or 32 of AES; ``None`` = none, and nobody can unblock the PIN.
        card_id: 16 bytes, another one for each card.

    Raises:
        BadParameter: a value of the wrong length; the card was not asked.
        WinError: ERROR_FILE_EXISTS, the card is initialised; nothing was changed. Otherwise what the card refuses.
    """
    _check(pin, admin_key, card_id)
    _require_setup(tx)
    _do(
        tx,
        Command(0, spec.INS_CHANGE_REFERENCE_DATA, spec.P1_CHANGE_SET, spec.REF_PIN, pin.value),
        "setting the first PIN",
    )
    for fid, write, read in _RULES:
        rules = bytes((spec.AM_DATA_PUT | spec.AM_DATA_GET, write, read))
        _make_file(tx, fid, _build_file(spec.DESCRIPTOR_DATA, fid, rules))
    _set_admin_key(tx, admin_key)
    _write_files(tx, card_id)
    _select_file(tx, spec.FID_APPLICATION)
    _do(tx, Command(0, spec.INS_ACTIVATE_FILE, 0, 0), "activating the card")


def _check(pin: Pin, admin_key: bytes | None, card_id: bytes) -> None:
    if not spec.PIN_MIN <= len(pin) <= spec.PIN_MAX:
        raise BadParameter(detail=f"a PIN of this card has {spec.PIN_MIN} to {spec.PIN_MAX} characters")
    if admin_key is not None:
        adminkey.check_key(admin_key)
    if len(card_id) != spec.CARD_ID_SIZE:
        raise BadParameter(detail=f"a card id has {spec.CARD_ID_SIZE} bytes, not {len(card_id)}")


def _require_setup(tx: Transaction) -> None:
    """Refuse a card that is in use; one that does not tell its life cycle is when it has a master file."""
    edge.select(tx)
    life = _life_cycle(tx)
    used = life >= LifeCycle.OPERATIONAL if life else edge.get_data(tx, *spec.MASTER_FILE) is not None
    if used:
        raise WinError(
            Code.ERROR_FILE_EXISTS,
            "the card is initialised already; nothing was changed",
            next_step="use it as it is: calais pin status, calais card files",
        )


def _life_cycle(tx: Transaction) -> int:
    """Of the application; 0 = the card does not say."""
    where = spec.FID_APPLICATION.to_bytes(2, "big")
    command = Command(0, spec.INS_SELECT, spec.P1_SELECT_BY_ID, spec.P2_SELECT_FCP, where, edge.LE_SHORT)
    response = edge.exchange(tx, command)
    if not response.ok or not response.data:
        return 0
    told = tlv.find(tlv.parse_one(response.data, spec.TAG_FCP).children(), spec.TAG_LIFE_CYCLE)
    return int.from_bytes(told.value, "big") if told else 0


def _set_admin_key(tx: Transaction, key: bytes | None) -> None:
    if key is None:
        _drop_file(tx, _FID_ADMIN_KEY)
        return
    algorithm = Algorithm.TDES if len(key) in spec.ADMIN_KEY_BYTES[Algorithm.TDES] else Algorithm.AES
    members = (
        (spec.TAG_ALGORITHM, algorithm),
        (spec.TAG_CRT_REFERENCE, spec.KID_ADMIN),
        (spec.TAG_CRT_USAGE, spec.USAGE_AUTHENTICATE),
    )
    use = tlv.build(spec.TAG_CRT_AUTHENTICATION, *(tlv.build(tag, bytes((value,))) for tag, value in members))
    _make_file(tx, _FID_ADMIN_KEY, _build_file(spec.DESCRIPTOR_KEY, _FID_ADMIN_KEY, _ADMIN_KEY_RULES, use))
    edge_keys.put_admin_key(tx, key, adminkey.check_value(algorithm, key))


def _write_files(tx: Transaction, card_id: bytes) -> None:
    """The logical files of a card without keys; the key map comes with the first key."""
    contents = (
        (spec.MASTER_FILE, masterfile.build(_ENTRIES)),
        (spec.CARD_ID, card_id),
        (spec.CARD_CACHE, bytes(6)),
        (spec.CARD_APPLICATIONS, files.DIRECTORY_BASE_CSP.encode("ascii").ljust(8, b"\0")),
        (spec.CONTAINER_MAP, b""),
    )
    for (ef, tag), content in contents:
        edge.put_data(tx, ef, tag, content)


def _build_file(descriptor: int, fid: int, rules: bytes, use: bytes = b"") -> bytes:
    """File control parameters (template 62)."""
    members = (
        tlv.build(spec.TAG_FILE_DESCRIPTOR, bytes((descriptor,))),
        tlv.build(spec.TAG_FILE_ID, fid.to_bytes(2, "big")),
        tlv.build(spec.TAG_COMPACT_ACL, rules),
        tlv.build(spec.TAG_FILE_TEMPLATES, use) if use else b"",
    )
    return tlv.build(spec.TAG_FCP, *members)


def _make_file(tx: Transaction, fid: int, parameters: bytes) -> None:
    """Create and activate a file; what is there from a set-up that was cut off goes, with all that is in it."""
    command = Command(0, spec.INS_CREATE_FILE, 0, 0, parameters)
    response = edge.exchange(tx, command)
    if response.sw == SW.FILE_EXISTS:
        _drop_file(tx, fid)
        response = edge.exchange(tx, command)
    if not response.ok:
        edge.fail(response, spec.INS_CREATE_FILE, f"making file {fid:04X}")
    _do(tx, Command(0, spec.INS_ACTIVATE_FILE, 0, 0), f"activating file {fid:04X}")


def _drop_file(tx: Transaction, fid: int) -> None:
    """Delete a file, if there is one."""
    if _select_file(tx, fid, may_be_absent=True):
        _do(tx, Command(0, spec.INS_DELETE_FILE, 0, 0), f"deleting file {fid:04X}")


def _select_file(tx: Transaction, fid: int, *, may_be_absent: bool = False) -> bool:
    where = fid.to_bytes(2, "big")
    command = Command(0, spec.INS_SELECT, spec.P1_SELECT_BY_ID, spec.P2_SELECT_SILENT, where)
    response = edge.exchange(tx, command)
    if may_be_absent and response.sw == SW.NOT_FOUND:
        return False
    if not response.ok:
        edge.fail(response, spec.INS_SELECT, f"selecting file {fid:04X}")
    return True


def _do(tx: Transaction, command: Command, what: str) -> None:
    response = edge.exchange(tx, command)
    if not response.ok:
        edge.fail(response, command.ins, what)

"""Make a new virtual GIDS card: blank, or with file system, admin key, PIN and keys.

Source: Microsoft's page "Windows inbox smart card minidriver" (files, access rules, admin key file); Microsoft's smart
card minidriver specification v7.07, 4.3 and 5.4 (logical files, compressed certificates).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from calais.cards.authority import Authority, key_usage
from calais.cards.base import Memory, VirtualCard
from calais.cards.front import Random
from calais.cards.gids import card_keys, spec
from calais.cards.gids.applet import GidsApplet
from calais.cards.gids.card_keys import CardKey, PrivateKey
from calais.cards.gids.spec import Algorithm, LifeCycle, Usage
from calais.cards.gids.state import (
    RECORD_ADMIN,
    RECORD_CARD,
    RECORD_LIFE,
    RECORD_OF_REFERENCE,
    AdminKey,
    File,
    Profile,
    file_record,
    key_record,
    object_record,
)
from calais.cards.state import Reference
from calais.iso7816 import tlv
from calais.win.errors import BadParameter

KeySpec = int
Keys = Sequence[tuple[str | None, KeySpec, PrivateKey, x509.Certificate | None]]

MADE = datetime(2025, 1, 1, tzinfo=UTC)
# Key specs of the minidriver: exchange 1, signature 2; ECDSA 3 to 5, ECDH 6 to 8
EXCHANGE_SPECS, SIGNATURE_SPECS = frozenset((1, 6, 7, 8)), frozenset((2, 3, 4, 5))
NAME_MAX = 39  # characters of a container's name
MAP_VALID, MAP_DEFAULT = 1, 2
DIRECTORY = b"mscp"
COMPRESSED_HEAD = b"\x01\x00"
DER_MAX = 0xFFFF

# The six files whose access rules stand for those of the minidriver's files: write, read
ACCESS_RULES = {
    spec.FID_USER_CREATE_DELETE_DIR: "033000",
    spec.FID_EVERYONE_READ_USER_WRITE: "033000",
    spec.FID_USER_WRITE_EXECUTE: "0330FF",
    spec.FID_EVERYONE_READ_ADMIN_WRITE: "032000",
    spec.FID_USER_READ_WRITE: "033030",
    spec.FID_ADMIN_READ_WRITE: "032020",
}
ADMIN_KEY_RULES = "870020FF"  # use: always; put: admin; read: never
PRIVATE_KEY_RULES = "8F10101000"  # generate, use, put: user; read the public key: always
FIRST_FILES = (
    (DIRECTORY, b"", (spec.FID_USER_CREATE_DELETE_DIR, 0)),
    (b"", b"cardid", spec.CARD_ID),
    (b"", b"cardapps", spec.CARD_APPLICATIONS),
    (b"", b"cardcf", spec.CARD_CACHE),
    (DIRECTORY, b"cmapfile", spec.CONTAINER_MAP),
)


def new_gids_card(  # noqa: PLR0913 - each is an independent property of a card
    memory: Memory,
    random: Random,
    *,
    pin: bytes | str = "123456",
    puk: bytes | str | None = None,
    admin_key: bytes | None = bytes(24),
    admin_key_algorithm: str | None = None,
    keys: Keys | None = None,
    card_id: bytes | None = None,
    read_only: bool = False,
    session_pins: bool = True,
    blank: bool = False,
    contactless: bool = False,
    extended: bool = True,
    tries: tuple[int, int] = (spec.PIN_TRIES, spec.ADMIN_TRIES),
    now: datetime = MADE,
) -> None:
    """Write a GIDS card into an empty memory, in one commit.

    Args:
        memory: an empty one; ``GidsApplet(memory, random)`` is then the card.
        random: gives that many random bytes.
        pin: 4 to 16 bytes.
        puk: 4 to 16 bytes; by default there is none, and the admin key unblocks.
        admin_key: 24 bytes of 3DES, or 16, 24 or 32 of AES; ``None`` = a card without one.
        admin_key_algorithm: "3DES" or "AES"; by default told by the length, 24 = 3DES.
        keys: name (``None`` = random), key spec, private key, certificate or ``None``, for each container from index 0;
            the first is the default one. ``None`` = what ``default_keys`` makes.
        card_id: 16 bytes; ``None`` = random.
        read_only: nothing but the PIN can be changed.
        session_pins: whether the card makes session PINs.
        blank: not initialised: no PIN, no key, no file; all of the above but ``session_pins`` is left out.
        contactless: the card is reached over its contactless interface.
        extended: whether the card knows extended lengths, and says so in its ATR.
        tries: of PIN (and PUK) and of the admin key, 1 to 255.
        now: from when the default certificate is valid.

    Raises:
        BadParameter: a value of the wrong form, or the memory is not empty.
    """
    if memory.read():
        raise BadParameter(detail="there is a card in this memory already", next_step="choose another name")
    profile = Profile(extended, read_only and not blank, session_pins, contactless)
    records = {RECORD_CARD: profile.encode(), RECORD_LIFE: bytes((LifeCycle.CREATION,))}
    if not blank:
        records[RECORD_LIFE] = bytes((LifeCycle.OPERATIONAL,))
        records |= _references(pin, puk, tries) | _admin_records(admin_key, admin_key_algorithm, tries[1])
        records |= _rule_files()
        records |= _contents(default_keys(random, now) if keys is None else keys, _card_id(card_id, random), random)
    memory.commit(records)


def virtual_card(memory: Memory, random: Random) -> VirtualCard:
    """The card in ``memory``, counted and ready for a reader.

    Raises:
        BadData: the memory is damaged or holds no GIDS card.
    """
    return VirtualCard(GidsApplet(memory, random))


def default_keys(
    random: Random, now: datetime, authority: Authority | None = None, *, known: PrivateKey | None = None
) -> Keys:
    """One RSA-2048 exchange container with a certificate from ``authority`` (by default a new test authority).

    ``known`` is a key to take instead of making one.
    """
    authority = authority or Authority.create("Calais Test CA", random, now)
    key = known or card_keys.generate(Algorithm.RSA_2048, random)
    extensions: tuple[x509.ExtensionType, ...] = (
        key_usage("digital_signature", "key_encipherment"),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SMARTCARD_LOGON]),
    )
    certificate = authority.issue("Virtual Cardholder GIDS", key.public_key(), random, now, *extensions)
    return [(None, 1, key, certificate)]


def _references(pin: bytes | str, puk: bytes | str | None, tries: tuple[int, int]) -> dict[str, bytes]:
    if not all(0 < count <= 0xFF for count in tries):
        raise BadParameter(detail=f"PIN and admin key have 1 to 255 tries, not {tries}")
    values = {spec.REF_PIN: pin} | ({} if puk is None else {spec.REF_PUK: puk})
    records = {}
    for ref, value in values.items():
        raw = value.encode() if isinstance(value, str) else bytes(value)
        if not spec.PIN_MIN <= len(raw) <= spec.PIN_MAX:
            raise BadParameter(detail=f"a GIDS PIN or PUK has {spec.PIN_MIN} to {spec.PIN_MAX} bytes")
        records[RECORD_OF_REFERENCE[ref]] = Reference(raw, tries[0], tries[0]).encode()
    return records


def _admin_records(key: bytes | None, name: str | None, tries: int) -> dict[str, bytes]:
    if key is None:
        return {}
    algorithm = {"3DES": Algorithm.TDES, "AES": Algorithm.AES}.get(name or ("3DES" if len(key) == 24 else "AES"))
    if algorithm is None or len(key) not in spec.ADMIN_KEY_BYTES[algorithm]:
        raise BadParameter(detail=f"an admin key of {len(key)} bytes does not suit {name or 'any algorithm'}")
    fid = spec.FID_KEY + spec.KID_ADMIN
    use = build_mechanism(spec.TAG_CRT_AUTHENTICATION, algorithm, spec.KID_ADMIN, spec.USAGE_AUTHENTICATE)
    return {
        RECORD_ADMIN: AdminKey(algorithm, bytes(key), tries, tries).encode(),
        file_record(fid): _file(spec.DESCRIPTOR_KEY, fid, ADMIN_KEY_RULES, use),
    }


def _rule_files() -> dict[str, bytes]:
    return {file_record(fid): _file(spec.DESCRIPTOR_DATA, fid, rules) for fid, rules in ACCESS_RULES.items()}


def _file(descriptor: int, fid: int, rules: str, templates: bytes = b"") -> bytes:
    """The record of a file that is active."""
    members = (
        tlv.build(spec.TAG_FILE_DESCRIPTOR, bytes((descriptor,))),
        tlv.build(spec.TAG_FILE_ID, fid.to_bytes(2, "big")),
        tlv.build(spec.TAG_COMPACT_ACL, bytes.fromhex(rules)),
        tlv.build(spec.TAG_FILE_TEMPLATES, templates) if templates else b"",
    )
    return File.decode(bytes((LifeCycle.OPERATIONAL,)) + tlv.build(spec.TAG_FCP, *members)).encode()


def build_mechanism(template: int, mechanism: int, kid: int, usage: int = spec.USAGE_COMPUTE) -> bytes:
    """A control reference template of a key file: 80 mechanism, 83 key reference, 95 usage."""
    values = ((spec.TAG_ALGORITHM, mechanism), (spec.TAG_CRT_REFERENCE, kid), (spec.TAG_CRT_USAGE, usage))
    return tlv.build(template, *(tlv.build(tag, bytes((value,))) for tag, value in values))


def _card_id(card_id: bytes | None, random: Random) -> bytes:
    value = random(spec.CARD_ID_SIZE) if card_id is None else bytes(card_id)
    if len(value) != spec.CARD_ID_SIZE:
        raise BadParameter(detail=f"a card id has {spec.CARD_ID_SIZE} bytes, not {len(value)}")
    return value


def _contents(keys: Keys, card_id: bytes, random: Random) -> dict[str, bytes]:
    """Records of the keys and of the minidriver's files."""
    if len(keys) > spec.CONTAINERS_MAX:
        raise BadParameter(detail=f"a GIDS card has at most {spec.CONTAINERS_MAX} containers, not {len(keys)}")
    records: dict[str, bytes] = {}
    files = list(FIRST_FILES)
    key_map, container_map = bytes((spec.KEY_MAP_VERSION,)), b""
    for index, (name, key_spec, private, certificate) in enumerate(keys):
        algorithm, exchange = _kind(key_spec, private)
        records |= _key_records(spec.KID_FIRST + index, algorithm, private, exchange=exchange)
        key_map += _key_map_record(spec.KID_FIRST + index, algorithm, exchange=exchange)
        container_map += _container_record(
            name or random_name(random), private.key_size, exchange=exchange, default=index == 0
        )
        if certificate is not None:
            where = (spec.FID_EVERYONE_READ_USER_WRITE, spec.CONTAINER_MAP[1] + 1 + len(files) - len(FIRST_FILES))
            files.append((DIRECTORY, f"{'kxc' if exchange else 'ksc'}{index:02X}".encode(), where))
            records[object_record(*where)] = compressed(certificate.public_bytes(serialization.Encoding.DER))
    objects = {
        spec.MASTER_FILE: build_master_file(files),
        spec.CARD_ID: card_id,
        spec.CARD_APPLICATIONS: DIRECTORY.ljust(8, b"\0"),
        spec.CARD_CACHE: bytes(6),
        spec.CONTAINER_MAP: container_map,
    }
    if keys:
        objects[spec.KEY_MAP] = key_map
    return records | _object_records(objects)


def _object_records(objects: Mapping[tuple[int, int], bytes]) -> dict[str, bytes]:
    return {object_record(*where): value for where, value in objects.items()}


def _kind(key_spec: int, private: PrivateKey) -> tuple[Algorithm, bool]:
    """Algorithm of a key, and whether it is for key exchange."""
    algorithm = card_keys.algorithm_of(private)
    if algorithm is None or key_spec not in EXCHANGE_SPECS | SIGNATURE_SPECS:
        raise BadParameter(detail=f"key spec {key_spec} or the kind of its key is none of GIDS'")
    return algorithm, key_spec in EXCHANGE_SPECS


def _key_records(kid: int, algorithm: Algorithm, private: PrivateKey, *, exchange: bool) -> dict[str, bytes]:
    fid = spec.FID_KEY + kid
    file = _file(spec.DESCRIPTOR_KEY, fid, PRIVATE_KEY_RULES, build_mechanisms(kid, algorithm, exchange=exchange))
    return {file_record(fid): file, key_record(kid): CardKey(algorithm, private).encode()}


def build_mechanisms(kid: int, algorithm: int, *, exchange: bool) -> bytes:
    """What the file of a key declares, in the order that Windows has for RSA."""
    uses: tuple[tuple[int, int], ...]
    if algorithm in spec.RSA_BITS:
        uses = spec.MECHANISMS_RSA_EXCHANGE if exchange else spec.MECHANISMS_RSA_SIGNATURE
    else:
        uses = spec.MECHANISMS_EC_EXCHANGE if exchange else spec.MECHANISMS_EC_SIGNATURE
    return b"".join(build_mechanism(template, mechanism | algorithm, kid) for template, mechanism in uses)


def build_master_file(files: Sequence[tuple[bytes, bytes, tuple[int, int]]]) -> bytes:
    """The master file: for each directory or file, its two names and where it is (EF, data object)."""
    record = struct.Struct("<9s9s2xII")
    records = (record.pack(directory, name, tag, fid) for directory, name, (fid, tag) in files)
    return bytes((spec.MASTER_VERSION,)) + b"".join(records)


def _key_map_record(kid: int, algorithm: int, *, exchange: bool) -> bytes:
    usage = Usage.KEY_EXCHANGE if exchange else Usage.SIGNATURE
    return struct.pack("<IBBHH2x", spec.KEY_MAP_USED, algorithm, usage, spec.FID_KEY + kid, spec.KEY_MAP_NOTHING)


def _container_record(name: str, bits: int, *, exchange: bool, default: bool) -> bytes:
    """A record of the container map: name in UTF-16, flags, bits of the signature key and of the exchange key."""
    raw = name.encode("utf-16-le")
    if not 0 < len(raw) <= 2 * NAME_MAX or "\0" in name or "\\" in name:
        raise BadParameter(detail=f"{name[: NAME_MAX + 1]!r} cannot be the name of a container")
    flags = MAP_VALID | MAP_DEFAULT * default
    return struct.pack("<80sBxHH", raw, flags, 0 if exchange else bits, bits if exchange else 0)


def random_name(random: Random) -> str:
    """A random UUID as Windows writes names of containers (RFC 4122, 4.4)."""
    raw = bytearray(random(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def compressed(der: bytes) -> bytes:
    """A certificate as the minidriver stores it: 01 00, length in two bytes, little-endian, zlib stream."""
    if len(der) > DER_MAX:
        raise BadParameter(detail=f"a certificate of {len(der)} bytes does not fit a card file")
    return COMPRESSED_HEAD + len(der).to_bytes(2, "little") + zlib.compress(der, 9)

"""What the virtual GIDS card knows: records that survive power loss, and what it forgets at a reset.

``CardState`` reads the records as typed values. ``Volatile`` is replaced, never cleaned, so that nothing can be
forgotten to be forgotten. The session PIN alone lives longer: until power is lost.

Source: Microsoft's Generic Identity Device Specification v2.0; ISO/IEC 7816-4:2020, 7.4 (files, life cycle).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calais.cards.base import Memory
from calais.cards.front import Random, Refusal
from calais.cards.gids import spec
from calais.cards.gids.card_access import AccessRules, Circumstances
from calais.cards.gids.card_keys import CardKey
from calais.cards.gids.spec import LifeCycle
from calais.cards.state import Forgotten, ParsedOnce, RecordState
from calais.iso7816 import tlv
from calais.iso7816.sw import SW
from calais.win.errors import BadData

LAYOUT = 1
RECORD_CARD, RECORD_LIFE, RECORD_ADMIN = "gids", "life", "admin"
RECORD_OF_REFERENCE = {spec.REF_PIN: "pin", spec.REF_PUK: "puk"}
CARD_SIZE = 2
FLAG_EXTENDED, FLAG_READ_ONLY, FLAG_SESSION_PINS, FLAG_CONTACTLESS = 1, 2, 4, 8
FLAGS_ALL = 15
CAPACITY = 256 * 1024  # bytes, for data objects
OBJECT_COST = 8  # bytes that each object takes besides its value
FILES_MAX = spec.CONTAINERS_MAX + 34
APPLICATION_RULES = AccessRules.parse(bytes.fromhex("033030"))  # create and delete files: user or admin


@dataclass(frozen=True, slots=True)
class Profile:
    """What a card is from the factory; record ``gids``: layout byte, flags byte."""

    extended: bool = True
    read_only: bool = False
    session_pins: bool = True
    contactless: bool = False

    def encode(self) -> bytes:
        """The record of two bytes."""
        flags = FLAG_EXTENDED * self.extended | FLAG_READ_ONLY * self.read_only
        return bytes((LAYOUT, flags | FLAG_SESSION_PINS * self.session_pins | FLAG_CONTACTLESS * self.contactless))

    @classmethod
    def decode(cls, raw: bytes | None) -> Profile:
        """Parse the record.

        Raises:
            BadData: absent, of another layout or size.
        """
        if raw is None:
            raise BadData(detail="there is no GIDS card in this memory", index=0)
        if len(raw) != CARD_SIZE or raw[0] != LAYOUT or raw[1] > FLAGS_ALL:
            raise BadData(detail="record gids is not of a layout this version knows", index=0)
        return cls(
            *(bool(raw[1] & bit) for bit in (FLAG_EXTENDED, FLAG_READ_ONLY, FLAG_SESSION_PINS, FLAG_CONTACTLESS))
        )


@dataclass(frozen=True, slots=True)
class AdminKey:
    """The admin key and its retry counter; record: algorithm, left, maximum, key."""

    algorithm: int
    value: bytes = field(repr=False)
    left: int = spec.ADMIN_TRIES
    maximum: int = spec.ADMIN_TRIES

    def encode(self) -> bytes:
        """The record."""
        return bytes((self.algorithm, self.left, self.maximum)) + self.value

    @classmethod
    def decode(cls, raw: bytes) -> AdminKey:
        """Parse the record.

        Raises:
            BadData: unknown algorithm, a key of the wrong size for it, or an impossible counter.
        """
        if len(raw) < 3 or len(raw) - 3 not in spec.ADMIN_KEY_BYTES.get(raw[0], ()) or raw[1] > raw[2] or not raw[2]:
            raise BadData(detail="record admin is damaged", index=0)
        return cls(raw[0], raw[3:], raw[1], raw[2])


@dataclass(frozen=True, slots=True)
class File:
    """An elementary file; record: life cycle byte, file control parameters (template 62).

    ``mechanisms``: control reference template tag and mechanism identifier, for each use of a key file.
    """

    fid: int
    descriptor: int
    life: int
    fcp: bytes
    rules: AccessRules
    mechanisms: tuple[tuple[int, int], ...] = ()

    @property
    def kid(self) -> int:
        """The key reference of a key file."""
        return self.fid & 0xFF

    @property
    def algorithms(self) -> set[int]:
        """Algorithms of the key that the file may hold."""
        return {mechanism & spec.ALGORITHM_MASK for _, mechanism in self.mechanisms}

    def encode(self) -> bytes:
        """The record."""
        return bytes((self.life,)) + self.fcp

    @classmethod
    def decode(cls, raw: bytes) -> File:
        """Parse the record, or a life cycle byte before what CREATE FILE brings.

        Raises:
            BadData: members are missing, unknown or of the wrong form.
        """
        items = list(tlv.parse(tlv.parse_one(raw[1:], spec.TAG_FCP).value))
        descriptor = _number(tlv.require(items, spec.TAG_FILE_DESCRIPTOR), 1)
        fid = _number(tlv.require(items, spec.TAG_FILE_ID), 2)
        rules = AccessRules.parse(tlv.require(items, spec.TAG_COMPACT_ACL).value)
        templates = tlv.find(items, spec.TAG_FILE_TEMPLATES)
        mechanisms = () if templates is None else tuple(_mechanism(item) for item in templates.children())
        file = cls(fid, descriptor, raw[0], raw[1:], rules, mechanisms)
        if not file.is_possible():
            raise BadData(detail=f"there can be no file {fid:04X} of type {descriptor:02X}", index=0)
        return file

    def is_possible(self) -> bool:
        """Whether type, identifier and mechanisms go together: A0xx for data, B080 to B0FE for keys."""
        if self.descriptor == spec.DESCRIPTOR_DATA:
            return self.fid & 0xFF00 == spec.FID_USER_CREATE_DELETE_DIR and not self.mechanisms
        if self.descriptor != spec.DESCRIPTOR_KEY or self.fid & 0xFF00 != spec.FID_KEY or len(self.algorithms) != 1:
            return False
        symmetric = bool(self.algorithms & spec.ADMIN_KEY_BYTES.keys())
        if symmetric or self.kid == spec.KID_ADMIN:
            return symmetric and self.kid == spec.KID_ADMIN
        return spec.KID_FIRST <= self.kid <= spec.KID_LAST


def _number(item: tlv.Tlv, size: int) -> int:
    if len(item.value) != size:
        raise BadData(detail=f"tag {item.tag:X} has {len(item.value)} bytes, not {size}", index=item.offset)
    return int.from_bytes(item.value, "big")


def _mechanism(template: tlv.Tlv) -> tuple[int, int]:
    return template.tag, _number(tlv.require(template.children(), spec.TAG_ALGORITHM), 1)


@dataclass(frozen=True, slots=True)
class Environment:
    """The security environment: what the key is for (template tag), which mechanism, which key."""

    template: int
    mechanism: int
    kid: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the admin key must answer: the card's random bytes, and the host's when it is to be mutual."""

    card: bytes
    host: bytes = b""


@dataclass(slots=True)
class SessionPin:
    """A session PIN and how many wrong ones may still be presented."""

    value: bytes = field(repr=False)
    left: int = spec.SESSION_PIN_TRIES


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A key for encrypted commands."""

    algorithm: int
    value: bytes = field(repr=False)


@dataclass(slots=True)
class Volatile(Forgotten):
    """What a reset takes: selected application and file, security status, environment, half-finished protocols."""

    file: int = 0
    user: bool = False
    admin: bool = False
    environment: Environment | None = None
    challenge: Challenge | None = None
    session_keys: dict[int, SessionKey] = field(default_factory=dict)


class CardState(RecordState[Profile, Volatile]):
    """The card's records as typed values, its volatile state, and its source of randomness."""

    reference_records = RECORD_OF_REFERENCE
    reference_sizes = range(spec.PIN_MIN, spec.PIN_MAX + 1)

    def __init__(self, memory: Memory, random: Random) -> None:
        super().__init__(memory, random, Volatile)
        self._keys = ParsedOnce(self.records, CardKey.decode)
        self._files = ParsedOnce(self.records, lambda raw, _name: File.decode(raw))
        self.session_pin: SessionPin | None = None
        self.profile = self.checked()

    def reload(self) -> None:
        """Read the memory again, as a card does when it is powered; without power the session PIN went too.

        Raises:
            BadData: the memory is damaged.
        """
        self.session_pin = None
        super().reload()

    def checked(self) -> Profile:
        """The profile; life cycle, PINs, admin key and files are looked at."""
        profile = Profile.decode(self.records.get(RECORD_CARD))
        if self.records.get(RECORD_LIFE) not in [bytes((life,)) for life in LifeCycle]:
            raise BadData(detail="record life is damaged", index=0)
        for ref in RECORD_OF_REFERENCE:
            self.reference(ref)
        self.admin_key()
        for name in self.records.names("file/"):
            if self.file(int(name[5:], 16)) is None:
                raise BadData(detail=f"record {name} is of another file", index=0)
        return profile

    @property
    def life(self) -> int:
        """Life cycle of the application."""
        (life,) = self.records.get(RECORD_LIFE) or b"\0"
        return life

    @life.setter
    def life(self, value: LifeCycle) -> None:
        self.records.put(RECORD_LIFE, bytes((value,)))

    def begin(self) -> None:
        """A blank card got its first content."""
        if self.life == LifeCycle.CREATION:
            self.life = LifeCycle.INITIALISATION

    @property
    def in_setup(self) -> bool:
        """Whether nobody needs to be authenticated, because the application is not operational yet."""
        return self.life < LifeCycle.OPERATIONAL

    @property
    def circumstances(self) -> Circumstances:
        """Who counts as authenticated."""
        setup = self.in_setup
        return Circumstances(setup or self.volatile.user, setup or self.volatile.admin, self.profile.contactless)

    def require(self, rules: AccessRules, operation: int) -> None:
        """Refuse unless one of the conditions of ``operation`` holds."""
        if not any(map(self.circumstances.satisfy, rules.conditions(operation))):
            raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)

    def require_writable(self) -> None:
        """Refuse on a read-only card."""
        if self.profile.read_only:
            raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)

    def admin_key(self) -> AdminKey | None:
        """The admin key; ``None`` before one is put, and on a card without one."""
        raw = self.records.get(RECORD_ADMIN)
        return None if raw is None else AdminKey.decode(raw)

    def set_admin_key(self, key: AdminKey | None) -> None:
        """Stage the admin key (``None`` deletes)."""
        self.records.put(RECORD_ADMIN, None if key is None else key.encode())

    def file(self, fid: int) -> File | None:
        """The elementary file ``fid``, parsed once."""
        file = self._files.get(file_record(fid))
        return file if file is not None and file.fid == fid else None

    def active_file(self, fid: int, descriptor: int) -> File:
        """The file ``fid`` of a type, when it can be used; refuses otherwise."""
        file = self.file(fid)
        if file is None:
            raise Refusal(SW.NOT_FOUND)
        if file.descriptor != descriptor:
            raise Refusal(SW.INCOMPATIBLE_FILE)
        if file.life != LifeCycle.OPERATIONAL:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return file

    def set_file(self, file: File) -> None:
        """Stage a file."""
        self.records.put(file_record(file.fid), file.encode())

    def drop_file(self, file: File) -> None:
        """Stage the end of a file and of all that is in it."""
        self.records.put(file_record(file.fid), None)
        for name in self.records.names(f"object/{file.fid:04X}"):
            self.records.put(name, None)
        if file.fid == spec.FID_KEY + spec.KID_ADMIN:
            self.set_admin_key(None)
        elif file.descriptor == spec.DESCRIPTOR_KEY:
            self.records.put(key_record(file.kid), None)

    def key(self, kid: int) -> CardKey | None:
        """The private key of reference ``kid``, parsed once."""
        return self._keys.get(key_record(kid))

    def set_key(self, kid: int, key: CardKey) -> None:
        """Stage a private key, parsed already."""
        self._keys.put(key_record(kid), key.encode(), key)

    def object(self, fid: int, tag: int) -> bytes | None:
        """The value of a data object; ``b""`` is one that is there and empty."""
        return self.records.get(object_record(fid, tag))

    def set_object(self, fid: int, tag: int, value: bytes) -> None:
        """Stage a data object; refuses when there is no room."""
        old = self.object(fid, tag)
        freed = 0 if old is None else len(old) + OBJECT_COST
        if len(value) + OBJECT_COST > self.bytes_free + freed:
            raise Refusal(SW.NO_MEMORY)
        self.records.put(object_record(fid, tag), value)

    def object_tags(self, fid: int) -> list[int]:
        """Tags of the data objects in a file, in order."""
        prefix = f"object/{fid:04X}"
        return sorted(int(name[len(prefix) :], 16) for name in self.records.names(prefix))

    @property
    def bytes_free(self) -> int:
        """Room for data objects."""
        used = sum(len(self.records.get(name) or b"") + OBJECT_COST for name in self.records.names("object/"))
        return CAPACITY - used

    @property
    def files_count(self) -> int:
        """How many elementary files there are."""
        return len(self.records.names("file/"))

    @property
    def containers_free(self) -> int:
        """How many keys there is room for."""
        first, last = (file_record(spec.FID_KEY + kid) for kid in (spec.KID_FIRST, spec.KID_LAST))
        used = sum(first <= name <= last for name in self.records.names("file/"))
        return min(spec.CONTAINERS_MAX - used, FILES_MAX - self.files_count)


def file_record(fid: int) -> str:
    """Name of the record of file ``fid``."""
    return f"file/{fid:04X}"


def key_record(kid: int) -> str:
    """Name of the record of the key of reference ``kid``."""
    return f"key/{kid:02X}"


def object_record(fid: int, tag: int) -> str:
    """Name of the record of the data object with ``tag`` in file ``fid``."""
    return f"object/{fid:04X}{tag:0{_digits(tag)}X}"


def _digits(tag: int) -> int:
    return 2 * ((max(tag.bit_length(), 1) + 7) // 8)

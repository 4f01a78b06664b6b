"""What the virtual PIV card knows: records that survive power loss, and what it forgets at a reset.

``CardState`` reads the records as typed values. ``Volatile`` is replaced, never cleaned, so that nothing can be forgotten to be forgotten.

Source: SP 800-73-4 part 1, 2.4 (security status), part 2, 3.2 (retry counters).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calais.cards.base import Memory
from calais.cards.front import Random, Refusal
from calais.cards.piv import spec
from calais.cards.piv.card_keys import CardKey
from calais.cards.state import Forgotten, ParsedOnce, RecordState, Reference
from calais.iso7816 import tlv
from calais.iso7816.sw import SW
from calais.win.errors import BadData

LAYOUT = 1
RECORD_CARD = "card"
RECORD_MANAGEMENT = "management"
RECORD_OF_REFERENCE = {spec.REF_PIN: "pin", spec.REF_PUK: "puk", spec.REF_GLOBAL_PIN: "global-pin"}
CARD_SIZE = 9
FLAG_EXTENDED, FLAG_READ_ONLY = 1, 2


@dataclass(frozen=True, slots=True)
class Profile:
    """What is the card's own: record ``card``, layout byte, serial (4, big-endian), firmware (3), flags (1)."""

    serial: int
    firmware: bytes = bytes((5, 7, 4))
    extended: bool = True
    read_only: bool = False

    def encode(self) -> bytes:
        """The record of nine bytes."""
        flags = FLAG_EXTENDED * self.extended | FLAG_READ_ONLY * self.read_only
        return bytes((LAYOUT,)) + self.serial.to_bytes(4, "big") + self.firmware + bytes((flags,))

    @classmethod
    def decode(cls, raw: bytes | None) -> Profile:
        """Parse the record.

        Raises:
            BadData: absent, of another layout or size.
        """
        if raw is None:
            raise BadData(detail="there is no PIV card in this memory", index=0)
        if len(raw) != CARD_SIZE or raw[0] != LAYOUT or raw[8] > FLAG_EXTENDED | FLAG_READ_ONLY:
            raise BadData(detail="record card is not of a layout this version knows", index=0)
        flags = raw[8]
        serial = int.from_bytes(raw[1:5], "big")
        return cls(serial, raw[5:8], bool(flags & FLAG_EXTENDED), bool(flags & FLAG_READ_ONLY))


@dataclass(frozen=True, slots=True)
class ManagementKey:
    """Key 9B; record: algorithm, touch policy, key."""

    algorithm: int
    value: bytes = field(repr=False)
    touch: int = spec.TouchPolicy.NEVER

    def encode(self) -> bytes:
        """The record."""
        return bytes((self.algorithm, self.touch)) + self.value

    @classmethod
    def decode(cls, raw: bytes) -> ManagementKey:
        """Parse the record.

        Raises:
            BadData: unknown algorithm, or a key of the wrong size for it.
        """
        if len(raw) < 2 or spec.MANAGEMENT_KEY_BYTES.get(raw[0]) != len(raw) - 2:
            raise BadData(detail="record management is damaged", index=0)
        return cls(raw[0], raw[2:], raw[1])


@dataclass(slots=True)
class Volatile(Forgotten):
    """What a reset takes: selected application, security status, half-finished protocols.

    ``verified``: references 80 and 00 whose PIN was presented. ``pin_is_next``: the command just done verified a
    PIN; ``pin_is_fresh``: so did the one just before the present command, as "PIN always" wants it.
    ``expected``: what the management key challenge must be answered with, and whether that is a witness.
    """

    verified: set[int] = field(default_factory=set)
    pin_is_next: bool = False
    pin_is_fresh: bool = False
    managed: bool = False
    expected: tuple[int, bytes] | None = field(default=None, repr=False)


class CardState(RecordState[Profile, Volatile]):
    """The card's records as typed values, its volatile state, and its source of randomness."""

    reference_records = RECORD_OF_REFERENCE
    reference_sizes = range(spec.PIN_SIZE, spec.PIN_SIZE + 1)

    def __init__(self, memory: Memory, random: Random) -> None:
        super().__init__(memory, random, Volatile)
        self._keys = ParsedOnce(self.records, CardKey.decode)
        self._policy: tuple[bytes | None, int] = (None, 0)
        self.profile = self.checked()

    def checked(self) -> Profile:
        """The profile; PINs, PUK and management key are looked at."""
        profile = Profile.decode(self.records.get(RECORD_CARD))
        for ref in (spec.REF_PIN, spec.REF_PUK):
            if self.reference(ref) is None:
                raise BadData(detail=f"record {RECORD_OF_REFERENCE[ref]} is missing", index=0)
        self.reference(spec.REF_GLOBAL_PIN)
        self.management_key()
        return profile

    def require_reference(self, ref: int) -> Reference:
        """The PIN or PUK of key reference ``ref``, or a refusal where the card has none."""
        reference = self.reference(ref)
        if reference is None:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        return reference

    def management_key(self) -> ManagementKey | None:
        """Key 9B; ``None`` on a read-only card."""
        raw = self.records.get(RECORD_MANAGEMENT)
        return None if raw is None else ManagementKey.decode(raw)

    def set_management_key(self, key: ManagementKey) -> None:
        """Stage key 9B."""
        self.records.put(RECORD_MANAGEMENT, key.encode())

    def key(self, ref: int) -> CardKey | None:
        """The private key in slot ``ref``, parsed once."""
        return self._keys.get(key_record(ref))

    def set_key(self, ref: int, key: CardKey | None) -> None:
        """Stage a private key (``None`` deletes), parsed already."""
        if key is None:
            self.records.put(key_record(ref), None)
        else:
            self._keys.put(key_record(ref), key.encode(), key)

    def object(self, tag: int) -> bytes | None:
        """The value of a data object, without tag and length."""
        return self.records.get(object_record(tag))

    def set_object(self, tag: int, value: bytes | None) -> None:
        """Stage a data object (``None`` deletes)."""
        self.records.put(object_record(tag), value)

    @property
    def pin_usage_policy(self) -> int:
        """The two bytes 5F2F of the Discovery object; without one, the application PIN alone (part 1, 3.3.2)."""
        raw = self.object(spec.TAG_DISCOVERY)
        if raw is None:
            return spec.POLICY_APPLICATION_PIN
        if self._policy[0] is not raw:
            self._policy = (raw, _usage_policy(raw))
        return self._policy[1]

    def satisfies(self, ref: int) -> bool:
        """Whether the PIN of ``ref`` opens what wants the PIN."""
        if ref == spec.REF_PIN:
            return True
        return ref == spec.REF_GLOBAL_PIN and bool(self.pin_usage_policy & spec.POLICY_GLOBAL_PIN)

    def pin_satisfied(self) -> bool:
        """Whether a PIN that opens things was presented since the last reset."""
        verified = self.volatile.verified
        return bool(verified) and any(map(self.satisfies, verified))

    def require_management(self) -> None:
        """Refuse unless the management key was proved (and the card can be written at all)."""
        if not self.volatile.managed:
            raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)


def _usage_policy(discovery: bytes) -> int:
    try:
        policy = tlv.find(tlv.parse(discovery), spec.TAG_PIN_USAGE_POLICY)
    except BadData:
        policy = None
    if policy is None or len(policy.value) != 2:
        return spec.POLICY_APPLICATION_PIN
    return int.from_bytes(policy.value, "big")


def key_record(ref: int) -> str:
    """Name of the record of the key in slot ``ref``."""
    return f"key/{ref:02X}"


def object_record(tag: int) -> str:
    """Name of the record of the object with ``tag``."""
    return f"object/{tag:X}"

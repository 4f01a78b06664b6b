"""Make a new virtual PIV card: objects, keys, PINs, and an attestation authority of its own.

Source: SP 800-73-4 part 1, appendix A (objects); FIPS 201-3, 4.2 (CHUID); PACS 2.3 (FASC-N).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from calais.cards.authority import VALID_DAYS, Authority
from calais.cards.base import Memory, VirtualCard
from calais.cards.front import Random
from calais.cards.piv import card_keys, spec
from calais.cards.piv.applet import PivApplet
from calais.cards.piv.card_authority import default_keys
from calais.cards.piv.card_chuid import build_chuid
from calais.cards.piv.card_keys import CardKey, PrivateKey
from calais.cards.piv.card_pins import is_well_formed, pad
from calais.cards.piv.image import CardImage
from calais.cards.piv.spec import Algorithm, Origin, PinPolicy, TouchPolicy
from calais.cards.piv.state import (
    RECORD_CARD,
    RECORD_MANAGEMENT,
    RECORD_OF_REFERENCE,
    ManagementKey,
    Profile,
    key_record,
    object_record,
)
from calais.cards.state import Reference
from calais.iso7816 import tlv
from calais.win.errors import BadParameter

Keys = Mapping[int, tuple[PrivateKey, x509.Certificate | None]]

MADE = datetime(2025, 1, 1, tzinfo=UTC)
GSC_RID = bytes.fromhex("A000000116")
CARD_URL_MANUFACTURER = 0xFF  # GSC-IS 2.1: "other"
CARD_TYPE = 0x02  # GSC-IS 2.1: Java-like card
DATA_MODEL_PIV = 0x10
CARD_ID_SIZE = 14
VERSION_2_1 = 0x21


def new_card(  # noqa: PLR0913 - each is an independent property of a card
    memory: Memory,
    random: Random,
    *,
    pin: bytes | str = spec.DEFAULT_PIN,
    puk: bytes | str = spec.DEFAULT_PUK,
    global_pin: bytes | str | None = None,
    management_key: bytes = spec.DEFAULT_MANAGEMENT_KEY,
    management_key_algorithm: str | None = None,
    keys: Keys | None = None,
    chuid_guid: bytes | None = None,
    read_only: bool = False,
    retries: tuple[int, int] = (spec.DEFAULT_RETRIES, spec.DEFAULT_RETRIES),
    extended: bool = True,
    discovery: bool = True,
    image: CardImage | None = None,
    now: datetime = MADE,
) -> None:
    """Write a personalised PIV card into an empty memory, in one commit.

    Args:
        memory: an empty one; ``PivApplet(memory, random)`` is then the card.
        random: gives that many random bytes.
        pin: 6 to 8 digits.
        puk: 6 to 8 bytes.
        global_pin: 6 to 8 digits; with one, the Discovery object says 6010: either PIN opens the card.
        management_key: 16, 24 or 32 bytes, as its algorithm wants.
        management_key_algorithm: "3DES", "AES128", "AES192" or "AES256"; by default told by the length, 24 = 3DES.
        keys: slot → private key and certificate (or ``None``); ``None`` = what ``default_keys`` makes.
        chuid_guid: 16 bytes as in tag 34; ``b""`` = no CHUID at all; ``None`` = random.
        read_only: the card has no management key, so nothing but its PINs can be changed.
        retries: tries of PIN and PUK, 1 to 255.
        extended: whether the card knows extended lengths, and says so in its ATR.
        discovery: whether there is a Discovery object.
        image: contents of a real card; they replace the objects and keys made here.
        now: when the card is made; CHUID and certificates are valid ten years from then.

    Raises:
        BadParameter: a value of the wrong form, or the memory is not empty.
    """
    if memory.read():
        raise BadParameter(detail="there is a card in this memory already", next_step="choose another name")
    records = _references(pin, puk, global_pin, retries, image)
    serial = int.from_bytes(random(4), "big") >> 4  # 28 bits: positive wherever it is shown
    records[RECORD_CARD] = Profile(serial, extended=extended, read_only=read_only).encode()
    if not read_only:
        records[RECORD_MANAGEMENT] = _management_key(management_key, management_key_algorithm).encode()
    records |= _attestation_records(random, now)
    if image is not None:
        records |= _image_records(image)
    else:
        records |= _object_records(random, chuid_guid, now, discovery=discovery, global_pin=global_pin is not None)
        records |= _key_records(default_keys(random, now) if keys is None else keys)
    memory.commit(records)


def virtual_card(memory: Memory, random: Random) -> VirtualCard:
    """The card in ``memory``, counted and ready for a reader.

    Raises:
        BadData: the memory is damaged or holds no PIV card.
    """
    return VirtualCard(PivApplet(memory, random))


def _references(
    pin: bytes | str,
    puk: bytes | str,
    global_pin: bytes | str | None,
    retries: tuple[int, int],
    image: CardImage | None,
) -> dict[str, bytes]:
    if not all(0 < tries <= 0xFF for tries in retries):
        raise BadParameter(detail=f"PIN and PUK have 1 to 255 tries, not {retries}")
    if global_pin is None and image is not None and image.wants_global_pin:
        global_pin = pin
    records = {
        RECORD_OF_REFERENCE[spec.REF_PIN]: _reference(spec.REF_PIN, pin, retries[0]),
        RECORD_OF_REFERENCE[spec.REF_PUK]: _reference(spec.REF_PUK, puk, retries[1]),
    }
    if global_pin is not None:
        records[RECORD_OF_REFERENCE[spec.REF_GLOBAL_PIN]] = _reference(spec.REF_GLOBAL_PIN, global_pin, retries[0])
    return records


def _reference(ref: int, value: bytes | str, tries: int) -> bytes:
    raw = value.encode() if isinstance(value, str) else bytes(value)
    if not is_well_formed(ref, pad(raw)):
        wanted = "a PUK has 6 to 8 bytes" if ref == spec.REF_PUK else "a PIV PIN has 6 to 8 digits"
        raise BadParameter(detail=wanted)
    return Reference(pad(raw), tries, tries).encode()


def _management_key(value: bytes, name: str | None) -> ManagementKey:
    by_length = {16: "AES128", 24: "3DES", 32: "AES256"}
    algorithm = spec.MANAGEMENT_ALGORITHM_OF_NAME.get(name or by_length.get(len(value), ""))
    if algorithm is None or spec.MANAGEMENT_KEY_BYTES[algorithm] != len(value):
        raise BadParameter(detail=f"a management key of {len(value)} bytes does not suit {name or 'any algorithm'}")
    return ManagementKey(algorithm, bytes(value))


def _key_records(keys: Keys) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    for ref, (private, certificate) in keys.items():
        slot, algorithm = spec.SLOT_OF_REF.get(ref), card_keys.algorithm_of(private)
        if slot is None or algorithm is None:
            raise BadParameter(detail=f"slot {ref:02X} or the kind of its key is none of PIV's")
        key = CardKey(algorithm, slot.pin, TouchPolicy.NEVER, Origin.IMPORTED, private)
        records[key_record(ref)] = key.encode()
        if certificate is not None:
            der = certificate.public_bytes(serialization.Encoding.DER)
            records[object_record(slot.certificate)] = build_certificate_object(der)
    return records


def _image_records(image: CardImage) -> dict[str, bytes]:
    objects = {object_record(tag): value for tag, value in image.objects.items()}
    return _key_records({ref: (key, None) for ref, key in image.keys.items()}) | objects


def build_certificate_object(der: bytes) -> bytes:
    """The content of a certificate object: 70 certificate, 71 not compressed, FE (part 1, appendix A)."""
    info = bytes((spec.CERT_INFO_PLAIN,))
    return (
        tlv.build(spec.TAG_CERTIFICATE, der)
        + tlv.build(spec.TAG_CERT_INFO, info)
        + tlv.build(spec.TAG_ERROR_DETECTION, b"")
    )


def _object_records(
    random: Random, guid: bytes | None, now: datetime, *, discovery: bool, global_pin: bool
) -> dict[str, bytes]:
    records = {object_record(spec.TAG_CCC): build_ccc(random(CARD_ID_SIZE))}
    guid = random_uuid(random) if guid is None else bytes(guid)
    if len(guid) not in (0, spec.GUID_SIZE):
        raise BadParameter(detail=f"a card GUID has 16 bytes, not {len(guid)}")
    if guid:
        records[object_record(spec.TAG_CHUID)] = build_chuid(guid, random, now, now + timedelta(days=VALID_DAYS))
    if discovery or global_pin:
        records[object_record(spec.TAG_DISCOVERY)] = build_discovery(global_pin=global_pin)
    return records


def random_uuid(random: Random) -> bytes:
    """A random UUID in network byte order (RFC 4122, 4.4)."""
    raw = bytearray(random(spec.GUID_SIZE))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def build_ccc(card_id: bytes) -> bytes:
    """A Card Capability Container with ``card_id`` of 14 bytes (part 1, appendix A, table 8; GSC-IS 2.1)."""
    members = (
        (spec.TAG_CCC_IDENTIFIER, GSC_RID + bytes((CARD_URL_MANUFACTURER, CARD_TYPE)) + card_id),
        (spec.TAG_CCC_VERSION, bytes((VERSION_2_1,))),
        (spec.TAG_CCC_GRAMMAR, bytes((VERSION_2_1,))),
        (spec.TAG_CCC_CARD_URL, b""),
        (spec.TAG_CCC_PKCS15, b"\0"),
        (spec.TAG_CCC_DATA_MODEL, bytes((DATA_MODEL_PIV,))),
        (spec.TAG_CCC_ACR_TABLE, b""),
        (spec.TAG_CCC_APDUS, b""),
        (spec.TAG_CCC_REDIRECTION, b""),
        (spec.TAG_CCC_CAPABILITIES, b""),
        (spec.TAG_CCC_STATUS, b""),
        (spec.TAG_CCC_NEXT, b""),
        (spec.TAG_ERROR_DETECTION, b""),
    )
    return b"".join(tlv.build(tag, value) for tag, value in members)


def build_discovery(*, global_pin: bool = False) -> bytes:
    """A Discovery object, without its tag 7E: AID, and policy 4000, or 6010 with a global PIN (part 1, 3.3.2)."""
    policy = spec.POLICY_APPLICATION_PIN
    if global_pin:
        policy |= spec.POLICY_GLOBAL_PIN | spec.POLICY_PRIMARY_APPLICATION_PIN
    return tlv.build(spec.TAG_AID, spec.AID) + tlv.build(spec.TAG_PIN_USAGE_POLICY, policy.to_bytes(2, "big"))


def _attestation_records(random: Random, now: datetime) -> dict[str, bytes]:
    authority = Authority.create("Calais PIV Attestation", random, now)
    key = CardKey(Algorithm.P256, PinPolicy.ONCE, TouchPolicy.NEVER, Origin.GENERATED, authority.key)
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    return {
        key_record(spec.REF_ATTESTATION): key.encode(),
        object_record(spec.TAG_YUBICO_ATTESTATION_CERT): build_certificate_object(der),
    }

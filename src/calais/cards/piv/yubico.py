"""The administration commands that Yubico added to PIV and that tools expect. Source: Yubico, "PIV commands"."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.piv import card_keys, spec
from calais.cards.piv.card_authenticate import KEY_REFERENCES, policies
from calais.cards.piv.card_keys import CardKey
from calais.cards.piv.card_pins import pad
from calais.cards.piv.spec import Origin, TouchPolicy
from calais.cards.piv.state import CardState, ManagementKey, object_record
from calais.cards.state import Reference
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.win.errors import BadData

ALGORITHM_PIN = 0xFF  # in the metadata of PIN and PUK
OID_FIRMWARE = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.3")
OID_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.7")
OID_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.8")
ATTESTATION_SERIAL_BYTES = 16
DEFAULT_PUK_AND_PIN = {spec.REF_PIN: pad(spec.DEFAULT_PIN), spec.REF_PUK: pad(spec.DEFAULT_PUK)}


def _expect(command: Command, *, data: bool = False, p1: bool = False, p2: bool = False) -> None:
    """Refuse parameters or data where the command has none."""
    if (command.p1 and not p1) or (command.p2 and not p2):
        raise Refusal(SW.INCORRECT_P1P2)
    if bool(command.data) != data:
        raise Refusal(SW.WRONG_LENGTH)


def get_version(state: CardState, command: Command) -> bytes:
    """Firmware version, three bytes."""
    _expect(command)
    return state.profile.firmware


def get_serial(state: CardState, command: Command) -> bytes:
    """Serial number, four bytes, big-endian."""
    _expect(command)
    return state.profile.serial.to_bytes(4, "big")


def get_metadata(state: CardState, command: Command) -> bytes:
    """What the card knows of the key, PIN, PUK or management key in P2, as TLVs 01 to 06."""
    _expect(command, p2=True)
    if command.p2 in DEFAULT_PUK_AND_PIN:
        return _pin_metadata(state, command.p2)
    if command.p2 == spec.REF_MANAGEMENT_KEY:
        return _management_metadata(state)
    key = _key(state, command.p2)
    return b"".join(
        (
            tlv.build(spec.TAG_METADATA_ALGORITHM, bytes((key.algorithm,))),
            tlv.build(spec.TAG_METADATA_POLICY, bytes((key.pin, key.touch))),
            tlv.build(spec.TAG_METADATA_ORIGIN, bytes((key.origin,))),
            tlv.build(spec.TAG_METADATA_PUBLIC_KEY, card_keys.build_public(key.public())),
        )
    )


def _key(state: CardState, ref: int) -> CardKey:
    key = state.key(ref) if ref in KEY_REFERENCES else None
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return key


def _pin_metadata(state: CardState, ref: int) -> bytes:
    reference = state.require_reference(ref)
    default = same(reference.value, DEFAULT_PUK_AND_PIN[ref])
    return b"".join(
        (
            tlv.build(spec.TAG_METADATA_ALGORITHM, bytes((ALGORITHM_PIN,))),
            tlv.build(spec.TAG_METADATA_IS_DEFAULT, bytes((default,))),
            tlv.build(spec.TAG_METADATA_RETRIES, bytes((reference.maximum, reference.left))),
        )
    )


def _management_metadata(state: CardState) -> bytes:
    key = state.management_key()
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    default = same(key.value, spec.DEFAULT_MANAGEMENT_KEY)
    return b"".join(
        (
            tlv.build(spec.TAG_METADATA_ALGORITHM, bytes((key.algorithm,))),
            tlv.build(spec.TAG_METADATA_POLICY, bytes((0, key.touch))),
            tlv.build(spec.TAG_METADATA_IS_DEFAULT, bytes((default,))),
        )
    )


def import_key(state: CardState, command: Command) -> bytes:
    """Import a private key: algorithm in P1, slot in P2."""
    if command.p1 not in spec.RSA_BITS | spec.EC_FIELD_BYTES or command.p2 not in KEY_REFERENCES:
        raise Refusal(SW.INCORRECT_P1P2)
    state.require_management()
    members = {item.tag: item.value for item in tlv.parse(command.data)}
    options = {tag: members.pop(tag) for tag in (spec.TAG_PIN_POLICY, spec.TAG_TOUCH_POLICY) if tag in members}
    pin, touch = policies(command.p2, options)
    try:
        private = card_keys.key_from_import(command.p1, members)
    except ValueError as error:
        raise Refusal(SW.INCORRECT_DATA) from error
    state.set_key(command.p2, CardKey(command.p1, pin, touch, Origin.IMPORTED, private))
    return b""


def move_key(state: CardState, command: Command) -> bytes:
    """Move the key in slot P2 to the empty slot P1, or delete it (P1 = FF); the attestation key is only deleted."""
    _expect(command, p1=True, p2=True)
    state.require_management()
    target, source = command.p1, command.p2
    key = _key(state, source)
    if target != spec.P1_MOVE_KEY_DELETE:
        if target not in spec.SLOT_OF_REF or source == spec.REF_ATTESTATION:
            raise Refusal(SW.INCORRECT_P1P2)
        if state.key(target) is not None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        state.set_key(target, key)
    state.set_key(source, None)
    return b""


def set_management_key(state: CardState, command: Command) -> bytes:
    """Replace key 9B: algorithm, 9B, length and key in the data; P2 = FE asks for touch."""
    touch_of_p2 = {
        spec.P2_SET_MANAGEMENT_KEY: TouchPolicy.NEVER,
        spec.P2_SET_MANAGEMENT_KEY_TOUCH: TouchPolicy.ALWAYS,
    }
    if command.p1 != spec.P1_SET_MANAGEMENT_KEY or command.p2 not in touch_of_p2:
        raise Refusal(SW.INCORRECT_P1P2)
    state.require_management()
    item = tlv.parse_one(command.data[1:], spec.REF_MANAGEMENT_KEY)
    algorithm = command.data[0]
    if spec.MANAGEMENT_KEY_BYTES.get(algorithm) != len(item.value):
        raise Refusal(SW.INCORRECT_DATA)
    state.set_management_key(ManagementKey(algorithm, item.value, touch_of_p2[command.p2]))
    return b""


def set_retries(state: CardState, command: Command) -> bytes:
    """Set the tries of PIN (P1) and PUK (P2); wants management key and PIN, and restores both to their defaults."""
    _expect(command, p1=True, p2=True)
    state.require_management()
    if spec.REF_PIN not in state.volatile.verified:
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
    if 0 in (command.p1, command.p2):
        raise Refusal(SW.INCORRECT_P1P2)
    _restore_pins(state, command.p1, command.p2)
    return b""


def _restore_pins(state: CardState, pin_tries: int, puk_tries: int) -> None:
    for ref, tries in ((spec.REF_PIN, pin_tries), (spec.REF_PUK, puk_tries)):
        state.set_reference(ref, Reference(DEFAULT_PUK_AND_PIN[ref], tries, tries))
    state.volatile.verified.clear()


def reset(state: CardState, command: Command) -> bytes:
    """Make the application as new, once PIN and PUK are both blocked; only serial and attestation stay."""
    _expect(command)
    tries = (state.require_reference(ref).left for ref in DEFAULT_PUK_AND_PIN)
    if state.profile.read_only or any(tries):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    kept = {f"key/{spec.REF_ATTESTATION:02X}", object_record(spec.TAG_YUBICO_ATTESTATION_CERT)}
    for name in state.records.names("key/") + state.records.names("object/"):
        if name not in kept:
            state.records.put(name, None)
    _restore_pins(state, spec.DEFAULT_RETRIES, spec.DEFAULT_RETRIES)
    state.set_management_key(ManagementKey(spec.Algorithm.TDES, spec.DEFAULT_MANAGEMENT_KEY))
    state.volatile.managed = False
    return b""


def attest(state: CardState, command: Command) -> bytes:
    """A certificate for the key generated in slot P1, signed by the attestation key."""
    _expect(command, p1=True)
    key = _key(state, command.p1)
    if key.origin != Origin.GENERATED:
        raise Refusal(SW.INCORRECT_DATA)
    authority = _key(state, spec.REF_ATTESTATION).private
    if isinstance(authority, x25519.X25519PrivateKey):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    digest = None if isinstance(authority, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = _attestation(state, command.p1, key, _attestation_authority(state)).sign(authority, digest)
    return certificate.public_bytes(serialization.Encoding.DER)


def _attestation_authority(state: CardState) -> x509.Certificate:
    try:
        members = tlv.parse(state.object(spec.TAG_YUBICO_ATTESTATION_CERT) or b"")
        return x509.load_der_x509_certificate(tlv.require(members, spec.TAG_CERTIFICATE).value)
    except (BadData, ValueError) as error:
        raise Refusal(SW.REFERENCE_NOT_FOUND) from error


def _attestation(state: CardState, ref: int, key: CardKey, authority: x509.Certificate) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"PIV Attestation {ref:02x}")])
    serial = state.profile.serial
    extensions = {
        OID_FIRMWARE: state.profile.firmware,
        OID_SERIAL: tlv.build(0x02, serial.to_bytes(serial.bit_length() // 8 + 1, "big")),
        OID_POLICY: bytes((key.pin, key.touch)),
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject)
        .public_key(key.public())
        .serial_number(int.from_bytes(state.random(ATTESTATION_SERIAL_BYTES), "big") >> 1 | 1)
        # The card has no clock: an attestation is as old as its authority.
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
    )
    for oid, value in extensions.items():
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder

"""The contents of a real PIV card, read from a folder of one file per object.

File names begin with a number: ``1`` Discovery (with its tag 7E), ``2`` Security Object, ``3`` to ``6`` certificate
(``.crt``, PEM) and key (``.p12``, PKCS #12, empty password) of 9A, 9C, 9D and 9E, ``7`` CCC, ``8`` CHUID,
``9`` fingerprints, ``10`` facial image, ``11`` printed information. Each but the certificates and keys is what stands
inside the object's tag 53. This is the layout of the card builder of the United States' ICAM test cards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from calais.cards.piv import card_keys, spec
from calais.cards.piv.card_keys import PrivateKey
from calais.iso7816 import tlv
from calais.win.errors import BadData, NotFound

OBJECT_OF_NUMBER = {
    2: spec.TAG_SECURITY_OBJECT,
    7: spec.TAG_CCC,
    8: spec.TAG_CHUID,
    9: spec.TAG_FINGERPRINTS,
    10: spec.TAG_FACIAL_IMAGE,
    11: spec.TAG_PRINTED_INFORMATION,
}
SLOT_OF_NUMBER = {3: spec.REF_PIV_AUTH, 4: spec.REF_SIGNATURE, 5: spec.REF_KEY_MANAGEMENT, 6: spec.REF_CARD_AUTH}
NUMBER_DISCOVERY = 1
FILE_MAX = 64 * 1024  # bytes; more than any object of a card


@dataclass(frozen=True, slots=True)
class CardImage:
    """``objects``: tag → content; ``keys``: slot → private key, which need not belong to the slot's certificate."""

    objects: dict[int, bytes]
    keys: dict[int, PrivateKey] = field(repr=False)

    @property
    def wants_global_pin(self) -> bool:
        """Whether the Discovery object says that a global PIN opens the card (part 1, 3.3.2)."""
        raw = self.objects.get(spec.TAG_DISCOVERY, b"")
        policy = tlv.find(tlv.parse(raw), spec.TAG_PIN_USAGE_POLICY)
        return policy is not None and bool(int.from_bytes(policy.value, "big") & spec.POLICY_GLOBAL_PIN)


def load_image(directory: Path | str) -> CardImage:
    """Read a folder; files that are not there are objects that the card does not have.

    Raises:
        NotFound: no such folder, or nothing of a card in it.
        BadData: a file is not what its name says; the detail names it.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise NotFound(detail=f"there is no folder {folder}", next_step="name a folder with the contents of a card")
    objects: dict[int, bytes] = {}
    keys: dict[int, PrivateKey] = {}
    for path in sorted(folder.iterdir()):
        number = path.name.split(" - ")[0]
        if number.isdecimal() and path.is_file():
            _load(path, int(number), objects, keys)
    if not objects:
        raise NotFound(detail=f"folder {folder.name} holds no card contents")
    return CardImage(objects, keys)


def _load(path: Path, number: int, objects: dict[int, bytes], keys: dict[int, PrivateKey]) -> None:
    raw = _read(path)
    if number == NUMBER_DISCOVERY:
        objects[spec.TAG_DISCOVERY] = _parse(path, raw, spec.TAG_DISCOVERY)
    elif number in OBJECT_OF_NUMBER:
        objects[OBJECT_OF_NUMBER[number]] = raw
    elif number in SLOT_OF_NUMBER and path.suffix == ".crt":
        slot = spec.SLOT_OF_REF[SLOT_OF_NUMBER[number]]
        objects[slot.certificate] = _certificate(path, raw)
    elif number in SLOT_OF_NUMBER and path.suffix == ".p12":
        keys[SLOT_OF_NUMBER[number]] = _private_key(path, raw)
    for empty in [tag for tag, value in objects.items() if not value]:
        del objects[empty]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(FILE_MAX + 1)
    if len(raw) > FILE_MAX:
        raise BadData(detail=f"{path.name} is too large for a card", index=FILE_MAX)
    return raw


def _parse(path: Path, raw: bytes, tag: int) -> bytes:
    try:
        return tlv.parse_one(raw, tag).value
    except BadData as error:
        raise BadData(detail=f"{path.name}: {error.detail}", index=error.index) from error


def _certificate(path: Path, raw: bytes) -> bytes:
    try:
        der = x509.load_pem_x509_certificate(raw).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise BadData(detail=f"{path.name} is not a PEM certificate", index=0) from error
    return b"".join(
        (
            tlv.build(spec.TAG_CERTIFICATE, der),
            tlv.build(spec.TAG_CERT_INFO, bytes((spec.CERT_INFO_PLAIN,))),
            tlv.build(spec.TAG_ERROR_DETECTION, b""),
        )
    )


def _private_key(path: Path, raw: bytes) -> PrivateKey:
    try:
        key = pkcs12.load_key_and_certificates(raw, b"")[0]
    except ValueError as error:
        raise BadData(detail=f"{path.name} is not a PKCS #12 file with an empty password", index=0) from error
    if card_keys.algorithm_of(key) is None:
        raise BadData(detail=f"{path.name} holds no key that PIV knows", index=0)
    return key  # type: ignore[return-value]  # algorithm_of has told

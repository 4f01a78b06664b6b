"""``PivMinidriver``: a PIV card as a minidriver.

What it costs is counted in exchanges, in ``view`` for reading and in ``operations`` for keys; a budget for each
operation is held by tests.

Names: the container map of a Yubico card goes first, see ``keptmap``. Else an enumeration is a call of ``containers()`` (or a reading of ``mscp/cmapfile``). On a card with a usable CHUID
GUID it finds the names that Windows computes. On another card, or when policy ``piv.container_names`` is
``"volatile"``, each enumeration makes new names; all names made so far stay valid for ``index_of`` until the card is
taken out.

Card id: the CHUID GUID; without one a hash of the FASC-N, where that names the card; else a hash of the ATR and the
certificate objects.

Source: SP 800-73-4; Microsoft's smart card minidriver specification v7.07.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.piv import filesystem, keeping, leftovers, listing, management, operations, spec, writing
from calais.cards.piv import pins as piv_pins
from calais.cards.piv.administration import PivAdministration
from calais.cards.piv.policy import PivPolicy
from calais.cards.piv.view import CardView
from calais.minidriver.api import CardIdentity, ContainerEntry, Minidriver
from calais.minidriver.memo import CachedObject, CardMemo
from calais.minidriver.orphans import Orphan
from calais.minidriver.padding import DecryptionPadding, SigningPadding
from calais.minidriver.pins import Pin, PinStatus, Role
from calais.transport.base import Transaction
from calais.transport.keypad import Keypad
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported
from calais.win.structs import CardCapabilities, CardFileInfo, CardFreeSpaceInfo, CardKeySizes, PinInfo

UNKNOWN = 0xFFFFFFFF  # CARD_DATA_VALUE_UNKNOWN
RSA_SIZES = CardKeySizes(1024, 2048, 4096, 1024)
P256_SIZES = CardKeySizes(256, 256, 256, 1)
P384_SIZES = CardKeySizes(384, 384, 384, 1)
KEY_SIZES = {1: RSA_SIZES, 2: RSA_SIZES, 3: P256_SIZES, 4: P384_SIZES, 6: P256_SIZES, 7: P384_SIZES}


class PivMinidriver(PivAdministration, Minidriver):
    """One PIV card, driven inside one transaction.

    Args:
        tx: the open transaction.
        memo: what is remembered about this card.
        policy: the dotted policy values, ``{"piv.container_names": "volatile"}``.
    """

    card_name: ClassVar[str] = "Identity Device (NIST SP 800-73 [PIV])"
    admin_key_sizes: ClassVar[tuple[int, ...]] = tuple(management.CANDIDATES)
    asymmetric_algorithms: ClassVar[tuple[str, ...]] = ("RSA", "ECDSA_P256", "ECDSA_P384", "ECDH_P256", "ECDH_P384")

    def __init__(self, tx: Transaction, memo: CardMemo, policy: Mapping[str, object] | None = None) -> None:
        super().__init__(tx, memo)
        self.view = CardView(tx, memo, PivPolicy.of(policy))

    # --- the card ----------------------------------------------------------------------------------------------------

    def identity(self) -> CardIdentity:
        """Two exchanges when somebody else may have touched the card, else none."""
        return listing.identity(self.view)

    @property
    def read_only(self) -> bool:
        """As policy ``piv.write`` says, or because the card has no management key; asked once, one exchange."""
        return not self.view.policy.write or not piv_pins.is_managed(self.view)

    def capabilities(self) -> CardCapabilities:
        """The driver compresses certificates itself (gzip, CertInfo)."""
        return CardCapabilities(certificate_compression=True, key_gen=not self.read_only)

    def free_space(self) -> CardFreeSpaceInfo:
        """PIV cards do not tell their free bytes."""
        slots = len(spec.SLOTS)
        if self.read_only:
            return CardFreeSpaceInfo(0, 0, slots)
        return CardFreeSpaceInfo(UNKNOWN, slots - len(self.containers()), slots)

    def key_sizes(self, key_spec: int) -> CardKeySizes:
        """RSA 1024 to 4096; P-256; P-384. A single card may have fewer; it says so when asked to generate."""
        if key_spec not in operations.KEY_SPECS:
            raise BadParameter(detail=f"a key spec is 1 to 8, not {key_spec}")
        if key_spec not in KEY_SIZES:
            raise Unsupported(detail="PIV cards have no P-521 keys")
        return KEY_SIZES[key_spec]

    # --- PINs --------------------------------------------------------------------------------------------------------

    def pin_list(self) -> int:
        """1 the PIN, 2 the management key, 3 the PUK, 4 the PIN for slot 9C."""
        return piv_pins.PIN_LIST

    def pin_info(self, pin_id: int) -> PinInfo:
        """See ``pins.PINS``."""
        return piv_pins.info(pin_id)

    def pin_status(self, pin_id: int) -> PinStatus:
        """One exchange, with an empty VERIFY, which uses up no try."""
        return piv_pins.status(self.view, pin_id)

    def authenticated(self) -> int:
        """One exchange."""
        return piv_pins.authenticated(self.view)

    def authenticate_at_keypad(self, pin_id: int, keypad: Keypad) -> None:
        """As ``authenticate``, for the cardholder's PIN."""
        if pin_id == piv_pins.USER_ALWAYS:
            self.prepare(pin_id)
        piv_pins.authenticate_at_keypad(self.view, pin_id, keypad)

    def authenticate(self, pin_id: int, pin: Pin) -> None:
        """One exchange, after SELECT where this transaction does not know that PIV is selected.

        For PIN 4 what using key 9C takes is read beforehand, so that nothing comes between VERIFY and the signature.
        """
        self.check_pin(pin_id, pin)
        if pin_id == piv_pins.USER_ALWAYS and spec.REF_SIGNATURE not in self.memo.keys:
            self.prepare(pin_id)
        piv_pins.authenticate(self.view, pin_id, pin)

    def check_pin(self, pin_id: int, pin: Pin) -> None:
        """A PIN has 6 to 8 bytes; the PUK only unblocks."""
        piv_pins.check(pin_id, pin)

    def prepare(self, pin_id: int) -> None:
        """For PIN 4: prove what is remembered about key 9C."""
        if pin_id == piv_pins.USER_ALWAYS:
            with suppress(NotFound, BadData, Unsupported):  # the signature will say what is wrong
                listing.learn(self.view, listing.INDEX_OF[spec.REF_SIGNATURE])

    def deauthenticate(self, pins: int) -> None:
        """One exchange; the management key's authentication ends only with a reset."""
        piv_pins.deauthenticate(self.view, pins)

    def challenge(self, pin_id: int = Role.ADMIN) -> bytes:
        """A challenge for the management key, one block of its cipher."""
        if pin_id != Role.ADMIN:
            raise BadParameter(detail=f"PIN {pin_id} is not one of challenge and response")
        return piv_pins.challenge(self.view)

    def answer_challenge(self, response: bytes, pin_id: int = Role.ADMIN) -> None:
        """Answer ``challenge``."""
        if pin_id != Role.ADMIN:
            raise BadParameter(detail=f"PIN {pin_id} is not one of challenge and response")
        piv_pins.answer_challenge(self.view, response)

    def authenticate_admin(self, key: bytes) -> None:
        """Mutual authentication with the management key (16, 24 or 32 bytes); two exchanges."""
        piv_pins.authenticate_admin(self.view, key)

    def change_admin_key(self, new: bytes) -> None:
        """Replace the management key (Yubico); 24 bytes stay Triple DES or AES-192, whichever the present key is."""
        writing.refuse_read_only(self.view)
        piv_pins.change_admin_key(self.view, new)

    def change_pin(self, pin_id: int, old: Pin, new: Pin, *, auth_id: int | None = None) -> None:
        """Replace PIN (1 or 4, the same) or PUK (3), each by itself; one exchange."""
        del auth_id
        piv_pins.change(self.view, pin_id, old, new)

    def unblock_pin(self, pin_id: int, auth_id: int, auth: Pin, new: Pin) -> None:
        """Unblock PIN 1 (or 4) with the PUK (``auth_id`` 3); one exchange."""
        piv_pins.unblock(self.view, pin_id, auth_id, auth, new)

    # --- files -------------------------------------------------------------------------------------------------------

    def read_file(self, directory: str | None, name: str) -> bytes:
        """Certificates as plain DER."""
        return filesystem.read(self.view, directory, name)

    def enum_files(self, directory: str | None) -> list[str]:
        """See ``filesystem``."""
        return filesystem.enumerate_files(self.view, directory)

    def file_info(self, directory: str | None, name: str) -> CardFileInfo:
        """See ``filesystem``."""
        return CardFileInfo(len(self.read_file(directory, name)), filesystem.access(name))

    def write_file(self, directory: str | None, name: str, data: bytes) -> None:
        """Certificate files, ``msroots``, and ``cmapfile`` on a card with Yubico's container map; the others are made
        from the card's objects.
        """
        filesystem.write(self.view, directory, name, data)

    def create_file(self, directory: str | None, name: str, size: int, condition: int) -> None:
        """Certificate files and ``msroots``; on the card once they are written."""
        filesystem.create(self.view, directory, name, size, condition)

    def create_directory(self, name: str, condition: int) -> None:  # noqa: ARG002
        """There is ``mscp`` and no place for another."""
        filesystem.create_directory(self.view, name)

    def delete_directory(self, name: str) -> None:
        """``mscp`` is never empty."""
        filesystem.delete_directory(self.view, name)

    def delete_file(self, directory: str | None, name: str) -> None:
        """Certificate files and ``msroots``."""
        filesystem.delete(self.view, directory, name)

    # --- containers --------------------------------------------------------------------------------------------------

    def containers(self, *, probe_keys: bool = False) -> list[ContainerEntry]:
        """The containers; with ``probe_keys`` one exchange more for each slot without a readable certificate."""
        return listing.containers(self.view, probe_keys=probe_keys)

    def container(self, index: int) -> ContainerEntry:
        """One container; reads all slots before it to tell which one is the default."""
        return listing.container(self.view, index)

    def index_of(self, name: str) -> int:
        """The index of a name; of a volatile one, when an enumeration of this insertion made it.

        A key without certificate is found by the name of its slot, with one exchange, where the card tells of its keys.
        """
        if not listing.has_stable_names(self.view):
            return listing.index_of_volatile(self.view, name)
        try:
            return super().index_of(name)
        except NotFound:
            index = listing.index_of_key_alone(self.view, name)
            if index is None:
                raise
            return index

    def public_key(self, index: int) -> PublicKeyTypes:
        """From generation, else from the certificate, else from the card where it tells."""
        return listing.learn(self.view, index).public_key

    def certificate(self, index: int) -> bytes | None:
        """The certificate, expanded."""
        found = self.view.certificate(listing.slot_at(index))
        if found is not None and found.der is None:
            raise found.problem or BadData(detail="the certificate cannot be read")
        return found.der if found else None

    def create_container(
        self,
        index: int,
        key_spec: int,
        size_bits: int = 0,
        *,
        key: PrivateKeyTypes | None = None,
        pin_id: int = Role.USER,
    ) -> PublicKeyTypes:
        """Generate, or import, the key of a slot; wants the management key."""
        return writing.create_container(self.view, index, key_spec, size_bits, key=key, pin_id=pin_id)

    def generate_key(self, index: int, algorithm: str, *, pin_policy: int = 0, touch_policy: int = 0) -> PublicKeyTypes:
        """Generate a key of any kind that PIV cards have, those that Windows has no name for included.

        Args:
            index: container.
            algorithm: a key of ``writing.ALGORITHM_NAMES``.
            pin_policy: 0 the slot's own, 1 never, 2 once, 3 always (Yubico).
            touch_policy: 0 the card's own, 1 never, 2 always, 3 cached (Yubico).
        """
        choice = writing.ALGORITHM_NAMES.get(algorithm.upper())
        if choice is None:
            raise BadParameter(
                detail=f"PIV has no algorithm {algorithm!r}; it has {', '.join(writing.ALGORITHM_NAMES)}"
            )
        slot = writing.writable_slot(self.view, index)
        return writing.generate_key(self.view, slot, choice, pin_policy=pin_policy, touch_policy=touch_policy)

    def delete_container(self, index: int) -> None:
        """Delete a key, where the card can (Yubico 5.7); its certificate stays."""
        writing.delete_container(self.view, index)

    def write_certificate(self, index: int, der: bytes, *, compress: bool | None = None) -> None:
        """Write a certificate; wants the management key. In retired slots the Key History is kept up."""
        writing.write_certificate(self.view, index, der, compress=compress)

    def delete_certificate(self, index: int) -> None:
        """Delete a certificate; wants the management key."""
        writing.delete_certificate(self.view, index)

    def orphans(self) -> list[Orphan]:
        """What a change that was cut off has left behind; two exchanges for each slot."""
        return leftovers.orphans(self.view)

    def repair(self, *, remove: bool = False) -> list[Orphan]:
        """Mend what ``orphans`` names; wants the management key."""
        return leftovers.repair(self.view, remove=remove)

    # --- doubt -------------------------------------------------------------------------------------------------------

    def doubt(self, index: int) -> None:
        """Forget certificate and key of a slot; both are read again."""
        slot = listing.slot_at(index)
        self.view.forget(slot.certificate)
        self.memo.keys.pop(slot.ref, None)

    def forget_data(self) -> None:
        """All but the CHUID, which says whose the names are; it is proved anew wherever it counts."""
        self.memo.objects = {tag: item for tag, item in self.memo.objects.items() if tag == spec.TAG_CHUID}
        self.memo.keys = {}

    def cached(self) -> list[CachedObject]:
        """See ``keeping``."""
        return keeping.cached(self.memo, self.view.now)

    # --- using keys --------------------------------------------------------------------------------------------------

    def sign(self, index: int, key_spec: int, data: bytes, padding: SigningPadding) -> bytes:
        """One exchange for an EC key; RSA-2048 three with short lengths, one with extended ones."""
        return operations.sign(self.view, index, key_spec, data, padding)

    def decrypt(self, index: int, key_spec: int, data: bytes, padding: DecryptionPadding) -> bytes:
        """As many exchanges as a signature."""
        return operations.decrypt(self.view, index, key_spec, data, padding)

    def agree(self, index: int, peer_public: bytes) -> bytes:
        """One exchange."""
        return operations.agree(self.view, index, peer_public)

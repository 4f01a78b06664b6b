"""``GidsMinidriver``: a GIDS card as a minidriver.

What it costs is counted in exchanges, in ``view`` for reading and in ``operations`` for keys; a budget for each
operation is held by tests.

The card minidriver interface leaves the freshness counters and the container map to its caller, so the methods that
stand for its functions do not touch them. Methods that are this project's own do: ``write_certificate``,
``delete_certificate``, ``add_container``, ``remove_container``, ``set_default`` and ``repair`` (see ``bookkeeping``),
and ``move_counters`` for a caller who changes a PIN or writes files by himself.

Source: Generic Identity Device Specification v2.0; Microsoft's smart card minidriver specification v7.07.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.gids import (
    bookkeeping,
    confirming,
    edge_ours,
    filesystem,
    injection,
    keeping,
    leftovers,
    listing,
    operations,
    sessionkeys,
    spec,
    writing,
)
from calais.cards.gids import pins as gids_pins
from calais.cards.gids.administration import GidsAdministration
from calais.cards.gids.adminkey import KEY_SIZES as ADMIN_KEY_SIZES
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.keys import slot_of
from calais.cards.gids.policy import GidsPolicy
from calais.cards.gids.spec import CardStatus
from calais.cards.gids.view import CardView
from calais.minidriver.api import CardIdentity, ContainerEntry, Minidriver
from calais.minidriver.memo import CachedObject, CardMemo
from calais.minidriver.orphans import Orphan
from calais.minidriver.padding import DecryptionPadding, SigningPadding
from calais.minidriver.pins import PIN_SET_NONE, Pin, PinStatus, Role, pin_set
from calais.transport.base import Transaction
from calais.transport.keypad import Keypad
from calais.win import flags
from calais.win.errors import BadParameter
from calais.win.structs import CardCapabilities, CardFileInfo, CardFreeSpaceInfo, CardKeySizes, PinInfo

UNKNOWN = 0xFFFFFFFF  # CARD_DATA_VALUE_UNKNOWN
RSA_SIZES = CardKeySizes(1024, 2048, 4096, 1024)
EC_SIZES = {bits: CardKeySizes(bits, bits, bits, 1) for bits in (256, 384, 521)}
KEY_SIZES = {
    1: RSA_SIZES, 2: RSA_SIZES,
    3: EC_SIZES[256], 4: EC_SIZES[384], 5: EC_SIZES[521],
    6: EC_SIZES[256], 7: EC_SIZES[384], 8: EC_SIZES[521],
}  # fmt: skip
CARD_IDENTIFIER = "Card Identifier"


class GidsMinidriver(GidsAdministration, Minidriver):
    """One GIDS card, driven inside one transaction.

    Args:
        tx: the open transaction.
        memo: what is remembered about this card.
        policy: the dotted policy values, ``{"gids.write": False}``.
    """

    card_name: ClassVar[str] = "Identity Device (Microsoft Generic Profile)"
    cache_mode: ClassVar[int] = flags.CP_CACHE_MODE_GLOBAL_CACHE
    asymmetric_algorithms: ClassVar[tuple[str, ...]] = (
        "RSA", "ECDSA_P256", "ECDSA_P384", "ECDSA_P521", "ECDH_P256", "ECDH_P384", "ECDH_P521",
    )  # fmt: skip
    admin_key_sizes: ClassVar[tuple[int, ...]] = ADMIN_KEY_SIZES
    settable_properties: ClassVar[frozenset[str]] = frozenset((CARD_IDENTIFIER,))

    def __init__(self, tx: Transaction, memo: CardMemo, policy: Mapping[str, object] | None = None) -> None:
        super().__init__(tx, memo)
        self.view = CardView(tx, memo, GidsPolicy.of(policy))

    # --- the card ----------------------------------------------------------------------------------------------------

    def identity(self) -> CardIdentity:
        """Two exchanges when somebody else may have touched the card, else none."""
        return self.view.identity()

    @property
    def read_only(self) -> bool:
        """As policy ``gids.write`` and the card say."""
        return self.view.read_only

    def capabilities(self) -> CardCapabilities:
        """The caller compresses certificates, as the cards' other users do."""
        return CardCapabilities(certificate_compression=False, key_gen=not self.read_only)

    def free_space(self) -> CardFreeSpaceInfo:
        """As the card tells, but no more containers than its map leaves: those without a key are not the card's affair."""
        self.view.prove_card()
        if self.read_only:
            return CardFreeSpaceInfo(0, 0, spec.CONTAINERS_MAX)
        status = edge_ours.card_status(self.tx)
        most = status.containers_max or spec.CONTAINERS_MAX
        unused = max(min(most, spec.CONTAINERS_MAX) - len(self.containers()), 0)
        if status.containers_free is not None:
            unused = min(unused, status.containers_free)
        return CardFreeSpaceInfo(UNKNOWN if status.bytes_free is None else status.bytes_free, unused, most)

    def key_sizes(self, key_spec: int) -> CardKeySizes:
        """RSA 1024 to 4096; P-256, P-384, P-521. A single card may have fewer; it says so when asked to generate."""
        slot_of(key_spec)
        return KEY_SIZES[key_spec]

    # --- PINs --------------------------------------------------------------------------------------------------------

    def pin_list(self) -> int:
        """1 the PIN, 2 the administrator's key, 3 the PUK, as far as the card has them."""
        return gids_pins.pin_list(self.view)

    def pin_info(self, pin_id: int) -> PinInfo:
        """See ``pins``."""
        return gids_pins.info(self.view, pin_id)

    def pin_status(self, pin_id: int) -> PinStatus:
        """One exchange, which uses up no try."""
        return gids_pins.status(self.view, pin_id)

    def authenticated(self) -> int:
        """One exchange."""
        return gids_pins.authenticated(self.view)

    def authenticate(self, pin_id: int, pin: Pin) -> None:
        """The user's PIN, or the response to the administrator's challenge; one exchange."""
        gids_pins.authenticate(self.view, pin_id, pin)

    def authenticate_at_keypad(self, pin_id: int, keypad: Keypad) -> None:
        """As ``authenticate``, for the user's PIN."""
        gids_pins.authenticate_at_keypad(self.view, pin_id, keypad)

    def check_pin(self, pin_id: int, pin: Pin) -> None:
        """PIN and PUK have 4 to 16 bytes."""
        gids_pins.check(pin_id, pin)

    def deauthenticate(self, pins: int) -> None:
        """One exchange; whichever PINs are named, all authentication ends."""
        gids_pins.deauthenticate(self.view, pins)

    @property
    def session_pins(self) -> int:
        """The user's PIN, on cards of ours that are made so."""
        return pin_set(Role.USER) if gids_pins.offers(self.view, CardStatus.SESSION_PINS) else PIN_SET_NONE

    def make_session_pin(self, pin_id: int, pin: Pin) -> Pin:
        """One exchange."""
        return gids_pins.make_session_pin(self.view, pin_id, pin)

    def authenticate_session(self, pin_id: int, session_pin: Pin) -> None:
        """One exchange."""
        gids_pins.authenticate_session(self.view, pin_id, session_pin)

    def challenge(self, pin_id: int = Role.ADMIN) -> bytes:
        """Two exchanges; 8 bytes (Triple DES) or 16 (AES)."""
        _only_admin(pin_id)
        return gids_pins.challenge(self.view)

    def answer_challenge(self, response: bytes, pin_id: int = Role.ADMIN) -> None:
        """One exchange."""
        _only_admin(pin_id)
        gids_pins.answer_challenge(self.view, response)

    def authenticate_admin(self, key: bytes) -> None:
        """Mutual authentication with the administrator's key; see ``pins``."""
        gids_pins.authenticate_admin(self.view, key)

    def change_admin_key(self, new: bytes) -> None:
        """Replace the administrator's key; one exchange."""
        gids_pins.change_admin_key(self.view, new)

    def change_pin(self, pin_id: int, old: Pin, new: Pin, *, auth_id: int | None = None) -> None:
        """Replace the PIN (1) or PUK (3) by itself; one exchange."""
        gids_pins.change(self.view, pin_id, old, new, pin_id if auth_id is None else auth_id)

    def unblock_pin(self, pin_id: int, auth_id: int, auth: Pin, new: Pin) -> None:
        """Unblock the PIN (1) by the response to ``challenge`` (2), or by the PUK (3)."""
        gids_pins.unblock(self.view, pin_id, auth_id, auth, new)

    def reset_pin(self, key: bytes, new: Pin) -> None:
        """Unblock the user's PIN with the administrator's key itself; nobody is authenticated afterwards."""
        gids_pins.reset(self.view, key, new)

    # --- files -------------------------------------------------------------------------------------------------------

    def read_file(self, directory: str | None, name: str) -> bytes:
        """As it is on the card: certificates in the form in which they were written."""
        return filesystem.read(self.view, directory, name)

    def enum_files(self, directory: str | None) -> list[str]:
        """See ``filesystem``."""
        return filesystem.enumerate_files(self.view, directory)

    def file_info(self, directory: str | None, name: str) -> CardFileInfo:
        """See ``filesystem``."""
        entry = filesystem.entry_of(self.view, directory, name)
        return CardFileInfo(len(filesystem.content_of(self.view, entry)), entry.access)

    def write_file(self, directory: str | None, name: str, data: bytes) -> None:
        """Any file; the counters are the caller's to move."""
        filesystem.write(self.view, directory, name, data)

    def create_file(self, directory: str | None, name: str, size: int, condition: int) -> None:
        """An empty file, whatever ``size``: it grows as it is written."""
        filesystem.create(self.view, directory, name, size, condition)

    def delete_file(self, directory: str | None, name: str) -> None:
        """Any file but ``cardid`` and ``cardcf``."""
        filesystem.delete(self.view, directory, name)

    def create_directory(self, name: str, condition: int) -> None:
        """See ``filesystem``."""
        filesystem.create_directory(self.view, name, condition)

    def delete_directory(self, name: str) -> None:
        """See ``filesystem``."""
        filesystem.delete_directory(self.view, name)

    # --- containers --------------------------------------------------------------------------------------------------

    def containers(self, *, probe_keys: bool = False) -> list[ContainerEntry]:
        """The containers of the container map; with ``probe_keys`` also keys that it does not name."""
        confirming.absences(self.view)
        return listing.containers(self.view, probe_keys=probe_keys)

    def container(self, index: int) -> ContainerEntry:
        """One container, also one whose key is there and whose record is not."""
        return listing.container(self.view, index)

    def index_of(self, name: str) -> int:
        """The index of a name."""
        return listing.index_of(self.view, name)

    def public_key(self, index: int) -> PublicKeyTypes:
        """From the card."""
        return listing.learn(self.view, index).public_key

    def certificate(self, index: int) -> bytes | None:
        """The certificate, expanded."""
        return listing.certificate(self.view, index)

    def create_container(
        self,
        index: int,
        key_spec: int,
        size_bits: int = 0,
        *,
        key: PrivateKeyTypes | None = None,
        pin_id: int = Role.USER,
    ) -> PublicKeyTypes:
        """Generate, or import, a key; wants the user's PIN. The container map is the caller's to write."""
        return writing.create_container(self.view, index, key_spec, size_bits, key=key, pin_id=pin_id)

    def delete_container(self, index: int) -> None:
        """Delete a key; its certificate and its record in the container map stay."""
        writing.delete_container(self.view, index)

    def write_certificate(self, index: int, der: bytes, *, compress: bool | None = None) -> None:
        """Write a certificate and move the files' counter; compressed unless ``compress`` is false."""
        bookkeeping.write_certificate(self.view, index, der, compress=compress)

    def delete_certificate(self, index: int) -> None:
        """Delete a certificate and move the files' counter."""
        bookkeeping.delete_certificate(self.view, index)

    # --- keeping the books -------------------------------------------------------------------------------------------

    def add_container(self, wanted: NewContainer) -> tuple[int, PublicKeyTypes]:
        """Make a container with its key, record and counters; its index and public key."""
        return bookkeeping.add_container(self.view, wanted)

    def remove_container(self, index: int) -> None:
        """Delete a container with its key, certificate and record, and move the counters."""
        bookkeeping.remove_container(self.view, index)

    def set_default(self, index: int) -> None:
        """Make container ``index`` the default one, and move the counters."""
        bookkeeping.set_default(self.view, index)

    def orphans(self) -> list[Orphan]:
        """What a change that was cut off has left behind; reads all certificates and public keys."""
        return leftovers.orphans(self.view)

    def repair(self, *, remove: bool = False) -> list[Orphan]:
        """Mend what ``orphans`` names; wants the user's PIN."""
        return leftovers.repair(self.view, remove=remove)

    def move_counters(self, *, pins: bool = False, containers: bool = False, files: bool = False) -> None:
        """Move counters of ``cardcf`` before something of the named kinds changes; wants PIN or administrator's key."""
        filesystem.refuse_read_only(self.view)
        self.view.move_counters(pins=pins, containers=containers, files=files)

    # --- doubt -------------------------------------------------------------------------------------------------------

    def confirm_certificate(self, index: int) -> None:
        """See ``confirming``; one exchange in each epoch, none when it was read in this one."""
        confirming.certificate(self.view, index)

    def confirm_key(self, index: int) -> None:
        """As ``confirm_certificate``."""
        confirming.key(self.view, index)

    def confirm_list(self) -> None:
        """Look at the container map and the master file; two exchanges in each epoch, none for what was read in it."""
        confirming.tables(self.view)

    def doubt(self, index: int) -> None:
        """Look at the key; when it is another one, the counters are not believed any more."""
        confirming.suspect(self.view, index)

    def cached(self) -> list[CachedObject]:
        """See ``keeping``."""
        return keeping.cached(self.memo, self.view.now)

    @property
    def counters_trusted(self) -> bool:
        """See ``confirming``."""
        return not self.memo.facts.get(keeping.DISTRUSTED)

    # --- using keys --------------------------------------------------------------------------------------------------

    def sign(self, index: int, key_spec: int, data: bytes, padding: SigningPadding) -> bytes:
        """Two exchanges with an EC key or PKCS#1 v1.5; one when the key was used so before."""
        return operations.sign(self.view, index, key_spec, data, padding)

    def decrypt(self, index: int, key_spec: int, data: bytes, padding: DecryptionPadding) -> bytes:
        """As many exchanges as a signature."""
        return operations.decrypt(self.view, index, key_spec, data, padding)

    def agree(self, index: int, peer_public: bytes) -> bytes:
        """As many exchanges as a signature."""
        return operations.agree(self.view, index, peer_public)

    # --- properties --------------------------------------------------------------------------------------------------

    @property
    def key_import(self) -> int:
        """In plain; on cards of ours also under a session key that an RSA key or the administrator's key protects."""
        if self.read_only:
            return 0
        secure = flags.CARD_KEY_IMPORT_RSA_KEYEST | flags.CARD_KEY_IMPORT_SHARED_SYMMETRIC
        return flags.CARD_KEY_IMPORT_PLAIN_TEXT | (
            secure if gids_pins.offers(self.view, CardStatus.KEY_INJECTION) else 0
        )

    def store_property(self, name: str, value: object) -> None:
        """The card identifier: the content of file ``cardid``; wants the administrator's key."""
        if name != CARD_IDENTIFIER or not isinstance(value, bytes):
            super().store_property(name, value)
            return
        filesystem.refuse_read_only(self.view)
        self.view.rename_card(value)

    # --- secure key injection ----------------------------------------------------------------------------------------

    @property
    def _server(self) -> sessionkeys.KeyServer:
        return sessionkeys.KeyServer(injection.keys_of(self.view), self.memo.random)

    def make_session_key(self, blob_type: str, algorithm: str, key: bytes) -> int:
        """Take a plain session key; the card is not asked."""
        return self._server.make_session_key(blob_type, algorithm, key)

    def encrypt_for_card(self, key: int, function: str, data: bytes, flags: int = 0) -> list[bytes]:
        """Encrypt a request; the card is not asked."""
        return self._server.encrypt_for_card(key, function, data, flags)

    def import_session_key(
        self, index: int, padding: object, blob_type: str, algorithm: str, data: bytes, flags: int = 0
    ) -> int:
        """Take a session key encrypted for the key of container ``index``; one exchange."""
        return injection.import_session_key(self.view, index, padding, blob_type, algorithm, data, flags)

    def shared_key(self, data: bytes) -> tuple[bytes, int]:
        """Agree on a session key by the administrator's key; one exchange."""
        return injection.shared_key(self.view, data)

    def algorithm_property(self, algorithm: str, name: str) -> str | bytes | int:
        """See ``sessionkeys``."""
        return self._server.algorithm_property(algorithm, name)

    def key_property(self, key: int, name: str) -> str | bytes | int:
        """See ``sessionkeys``."""
        return self._server.key_property(key, name)

    def set_key_property(self, key: int, name: str, value: str | bytes) -> None:
        """See ``sessionkeys``."""
        self._server.set_key_property(key, name, value)

    def destroy_key(self, key: int) -> None:
        """Forget a session key, on the card as well."""
        injection.destroy_key(self.view, key)

    def process_encrypted(self, key: int, function: str, data: list[bytes], flags: int = 0) -> bytes:  # noqa: ARG002
        """Have the card decrypt a request and do it."""
        return injection.process(self.view, key, function, data)


def _only_admin(pin_id: int) -> None:
    if pin_id != Role.ADMIN:
        raise BadParameter(detail=f"PIN {pin_id} is not one of challenge and response")

"""``Minidriver``: what every card looks like from above, the card minidriver contract of version 7 in Python.

About forty bodies stand for the 45 entry points of Microsoft's interface (``surface`` says which for which); old
and *Ex* forms meet in one method. What a read-only card must be able to do is abstract; everything else raises
``Unsupported`` until a driver says otherwise.

A driver object is bound to one ``Transaction`` and lives no longer. The caller owns the transaction and decides when to
authenticate and when to stop being authenticated; the driver never prompts and never presents a PIN twice.

Numbers: RSA values and signatures are big-endian, ECDSA signatures are r‖s of the field's width, points are
``04‖X‖Y``. The little-endian forms of CryptoAPI belong to the Windows-named faces.

Source: Microsoft's smart card minidriver specification v7.07; cardmod.h version 7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.minidriver import properties
from calais.minidriver.administration import Administration
from calais.minidriver.containers import build_container_info
from calais.minidriver.doubt import Doubt
from calais.minidriver.injection import KeyInjection, absent
from calais.minidriver.memo import Cache, CardMemo
from calais.minidriver.orphans import Bookkeeping
from calais.minidriver.padding import DecryptionPadding, SigningPadding
from calais.minidriver.pins import PIN_SET_NONE, Pin, PinStatus, Role
from calais.minidriver.surface import SURFACE, Duty
from calais.transport.base import Transaction
from calais.transport.keypad import Keypad
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound
from calais.win.structs import (
    CardCapabilities,
    CardFileInfo,
    CardFreeSpaceInfo,
    CardKeySizes,
    ContainerInfo,
    PinInfo,
)

MAX_CONTAINERS = 256


@dataclass(frozen=True, slots=True)
class CardIdentity:
    """Who a card is.

    ``card_id``: 16 bytes, the content of file ``cardid``; ``serial`` and ``label`` are for people;
    ``has_stable_names``: whether container names are the same at every enumeration.
    """

    card_id: bytes
    serial: str
    label: str
    has_stable_names: bool


@dataclass(frozen=True, slots=True)
class ContainerEntry:
    """One key container.

    ``index``: its number, 0…255; ``name``: as in the container map, at most 39 characters; ``key_spec``:
    AT_KEYEXCHANGE 1 or AT_SIGNATURE 2, the kind of the slot; ``pin_id``: the PIN its key wants, 0 = none;
    ``is_default``: one container of a card at most; ``label``: for people; ``size_bits`` and ``algorithm``
    (``"RSA"``, ``"P-256"``, ``"P-384"``, ``"Ed25519"``, ``"X25519"``): of the key, 0 and ``""`` when its certificate
    cannot be read; ``reference``: the card's own name of the key (PIV ``"9A"``); ``has_certificate``: whether there is
    a certificate object, readable or not.
    """

    index: int
    name: str
    key_spec: int
    pin_id: int
    is_default: bool
    label: str
    size_bits: int
    algorithm: str
    reference: str = ""
    has_certificate: bool = True


class Minidriver(KeyInjection, Bookkeeping, Administration, Doubt, ABC):
    """One card, driven inside one transaction.

    Args:
        tx: the open transaction.
        memo: what is remembered about this card; it survives the transaction.

    Every method raises ``WinError`` and nothing else: ``CardReset``/``CardRemoved`` end the transaction, ``BadData``
    means that the card answers nonsense, ``BadParameter`` comes before any exchange.
    """

    card_name: ClassVar[str]
    cache_mode: ClassVar[int] = properties.CACHE_MODE_SESSION_ONLY  # CP_CARD_CACHE_MODE
    asymmetric_algorithms: ClassVar[tuple[str, ...]] = ("RSA",)  # CP_ENUM_ALGORITHMS
    cipher_algorithms: ClassVar[tuple[str, ...]] = ()  # the same, for session keys
    chaining_modes: ClassVar[tuple[str, ...]] = ()  # CP_CHAINING_MODES
    admin_key_sizes: ClassVar[tuple[int, ...]] = (24,)  # bytes
    absent_entry_points: ClassVar[frozenset[str]] = frozenset()  # e.g. CardDeauthenticate, where it takes a reset
    settable_properties: ClassVar[frozenset[str]] = frozenset()  # besides the two write-only ones; see store_property
    padding_schemes: ClassVar[int] = (
        properties.PADDING_NONE | properties.PADDING_PKCS1 | properties.PADDING_PSS | properties.PADDING_OAEP
    )

    def __init__(self, tx: Transaction, memo: CardMemo) -> None:
        self.tx = tx
        self.memo = memo
        self.settings: dict[str, Any] = {}  # the two write-only properties
        self.cache: Cache | None = None  # the caller's, if it has one

    def offers(self, entry_point: str) -> bool:
        """Whether ``entry_point`` can do anything on this card; if not, it answers SCARD_E_UNSUPPORTED_FEATURE without
        a look at its arguments. No exchange beyond what ``read_only`` takes.
        """
        row = SURFACE[entry_point]
        mine, default = getattr(type(self), row.body), getattr(Minidriver, row.body)
        if mine is default and row.body not in _WHOLE:
            return False
        return not (self.read_only and (row.duty is Duty.NO or row.body == "create_container"))

    # --- the card ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def identity(self) -> CardIdentity:
        """Who the card is; proved anew when somebody else may have touched it."""

    @property
    @abstractmethod
    def read_only(self) -> bool:
        """Whether nothing on the card can be changed through this driver (``CP_CARD_READ_ONLY``)."""

    @abstractmethod
    def capabilities(self) -> CardCapabilities:
        """``certificate_compression`` True = hand over plain DER, the driver compresses (``CardQueryCapabilities``)."""

    @abstractmethod
    def free_space(self) -> CardFreeSpaceInfo:
        """Free bytes and containers; 0xFFFFFFFF = the card does not say (``CardQueryFreeSpace``)."""

    @abstractmethod
    def key_sizes(self, key_spec: int) -> CardKeySizes:
        """Key lengths in bits for ``key_spec`` 1…8 (``CardQueryKeySizes``).

        Raises:
            BadParameter: not a key spec.
            Unsupported: the card has no such keys.
        """

    # --- PINs --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def pin_list(self) -> int:
        """The PIN_SET of the PINs that exist, ROLE_EVERYONE left out (``CP_CARD_LIST_PINS``)."""

    @abstractmethod
    def pin_info(self, pin_id: int) -> PinInfo:
        """Type, purpose, permissions and cache policy of a PIN (``CP_CARD_PIN_INFO``).

        Raises:
            BadParameter: no such PIN.
        """

    @abstractmethod
    def pin_status(self, pin_id: int) -> PinStatus:
        """Whether a PIN is verified and how many tries are left; uses up no try.

        Raises:
            BadParameter: no such PIN.
        """

    @abstractmethod
    def authenticated(self) -> int:
        """The PIN_SET that is authenticated now (``CP_CARD_AUTHENTICATED_STATE``)."""

    @abstractmethod
    def authenticate(self, pin_id: int, pin: Pin) -> None:
        """Present a PIN once (``CardAuthenticatePin``, ``CardAuthenticateEx``).

        Raises:
            BadParameter: no such PIN, or it is empty.
            WinError: SCARD_E_INVALID_CHV, a length that this card cannot have; no try is used.
            WrongPin: with the number of tries left.
            PinBlocked: no tries were left.
        """

    @abstractmethod
    def deauthenticate(self, pins: int) -> None:
        """End the authentication of the PIN_SET ``pins`` (``CardDeauthenticate``, ``CardDeauthenticateEx``).

        Raises:
            BadParameter: an empty set, or bits above 0xFF.
            Unsupported: it takes a reset; the caller then resets the card.
        """

    @property
    def session_pins(self) -> int:
        """The PIN_SET of the PINs that can be traded for a session PIN (CP_CARD_PIN_STRENGTH_VERIFY)."""
        return PIN_SET_NONE

    def check_pin(self, pin_id: int, pin: Pin) -> None:
        """Tell what ``authenticate`` would find wrong with ``pin`` without asking the card."""

    def prepare(self, pin_id: int) -> None:
        """Read beforehand what using the keys of ``pin_id`` takes, when nothing may come between PIN and key."""

    def authenticate_external(self, pin_id: int, *, silent: bool) -> None:  # noqa: ARG002
        """Have an ExternalPinType PIN entered at the reader or on the card (``CardAuthenticateEx`` without data).

        Args:
            pin_id: the PIN.
            silent: no window may be shown.

        Raises:
            Cancelled: by the user.
            SilentContext: it takes a window.
            WinError: SCARD_E_TIMEOUT.
        """
        absent("a PIN that is entered elsewhere")

    def authenticate_at_keypad(self, pin_id: int, keypad: Keypad) -> None:  # noqa: ARG002
        """Have a PIN typed at the reader and presented once; errors as ``authenticate`` and ``Keypad.verify``."""
        absent("a PIN that is typed at the reader")

    def make_session_pin(self, pin_id: int, pin: Pin) -> Pin:  # noqa: ARG002
        """Trade a PIN for a session PIN (``CardAuthenticateEx`` with GENERATE); authenticates nothing."""
        absent("session PINs")

    def authenticate_session(self, pin_id: int, session_pin: Pin) -> None:  # noqa: ARG002
        """Present a session PIN (``CardAuthenticateEx`` with SESSION_PIN)."""
        absent("session PINs")

    def challenge(self, pin_id: int = Role.ADMIN) -> bytes:  # noqa: ARG002
        """A challenge of the card, good for the very next call (``CardGetChallenge``, ``CardGetChallengeEx``)."""
        absent("challenge and response")

    def answer_challenge(self, response: bytes, pin_id: int = Role.ADMIN) -> None:  # noqa: ARG002
        """Authenticate by the response to ``challenge()`` (``CardAuthenticateChallenge``)."""
        absent("challenge and response")

    def authenticate_admin(self, key: bytes) -> None:  # noqa: ARG002
        """Authenticate ROLE_ADMIN with its key, challenge and response inside; the card proves itself where it can."""
        absent("an administrator key")

    def change_pin(self, pin_id: int, old: Pin, new: Pin, *, auth_id: int | None = None) -> None:  # noqa: ARG002
        """Replace a PIN (``CardChangeAuthenticator``, ``CardChangeAuthenticatorEx`` with CHANGEPIN).

        Args:
            pin_id: the PIN that is replaced.
            old: presents ``auth_id``; of a challenge/response type the response.
            new: what it becomes.
            auth_id: the PIN that authorises it, a member of the change permission; ``None`` = ``pin_id`` itself.
        """
        absent("changing a PIN")

    def unblock_pin(self, pin_id: int, auth_id: int, auth: Pin, new: Pin) -> None:  # noqa: ARG002
        """Unblock by another PIN and set anew (``CardUnblockPin``, ``CardChangeAuthenticatorEx`` with UNBLOCK).

        One act: authenticate ``auth_id``, unblock, set. ``auth`` is a response where ``auth_id`` is of that type.
        """
        absent("unblocking a PIN")

    def change_admin_key(self, new: bytes) -> None:  # noqa: ARG002
        """Replace the administrator's key, once authenticated as ROLE_ADMIN (``CardChangeAuthenticator`` "admin")."""
        absent("changing the administrator key")

    # --- files -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def read_file(self, directory: str | None, name: str) -> bytes:
        """Content of a file; ``directory`` ``None`` or ``""`` = root (``CardReadFile``).

        Raises:
            BadParameter: not a file name.
            NotFound: SCARD_E_DIR_NOT_FOUND or SCARD_E_FILE_NOT_FOUND.
            BadData: the file is there and cannot be read.
        """

    @abstractmethod
    def enum_files(self, directory: str | None) -> list[str]:
        """Names of the files in a directory, in order of creation (``CardEnumFiles``)."""

    @abstractmethod
    def file_info(self, directory: str | None, name: str) -> CardFileInfo:
        """Size in bytes, as ``read_file`` returns it, and access condition (``CardGetFileInfo``)."""

    def write_file(self, directory: str | None, name: str, data: bytes) -> None:  # noqa: ARG002
        """Replace the content of an existing file (``CardWriteFile``)."""
        absent("writing files")

    def create_file(self, directory: str | None, name: str, size: int, condition: int) -> None:  # noqa: ARG002
        """Make a file of ``size`` zero bytes with an access condition (``CardCreateFile``)."""
        absent("creating files")

    def delete_file(self, directory: str | None, name: str) -> None:  # noqa: ARG002
        """Delete a file (``CardDeleteFile``)."""
        absent("deleting files")

    def create_directory(self, name: str, condition: int) -> None:  # noqa: ARG002
        """Make a directory below the root (``CardCreateDirectory``)."""
        absent("creating directories")

    def delete_directory(self, name: str) -> None:  # noqa: ARG002
        """Delete an empty directory (``CardDeleteDirectory``)."""
        absent("deleting directories")

    # --- containers --------------------------------------------------------------------------------------------------

    @abstractmethod
    def containers(self, *, probe_keys: bool = False) -> list[ContainerEntry]:
        """The containers in order of their index; an enumeration in the sense of volatile names.

        Args:
            probe_keys: also ask for keys that have no certificate, where the card can tell; costs exchanges.
        """

    @abstractmethod
    def public_key(self, index: int) -> PublicKeyTypes:
        """The public key of container ``index``; needs no PIN.

        Raises:
            BadParameter: index outside 0…255.
            NotFound: SCARD_E_NO_KEY_CONTAINER.
            BadData: there is a certificate, and it cannot be read.
        """

    @abstractmethod
    def certificate(self, index: int) -> bytes | None:
        """The certificate of container ``index`` (DER, uncompressed), ``None`` = there is none.

        Raises:
            BadParameter: index outside 0…255.
            BadData: the object is there and cannot be what it claims.
        """

    @abstractmethod
    def container(self, index: int) -> ContainerEntry:
        """The entry of container ``index``, under the name it has now; no enumeration.

        Raises:
            BadParameter: index outside 0…255.
            NotFound: SCARD_E_NO_KEY_CONTAINER.
        """

    def container_info(self, index: int) -> ContainerInfo:
        """Public keys of container ``index`` as Windows' key blobs (``CardGetContainerInfo``)."""
        return build_container_info(self.container(index).key_spec, self.public_key(index))

    def index_of(self, name: str) -> int:
        """The index of the container called ``name``, whatever the case.

        Raises:
            NotFound: SCARD_E_NO_KEY_CONTAINER.
        """
        wanted = name.casefold()
        for entry in self.containers():
            if entry.name.casefold() == wanted:
                return entry.index
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the card has no container {name!r}")

    def create_container(
        self,
        index: int,  # noqa: ARG002
        key_spec: int,  # noqa: ARG002
        size_bits: int = 0,  # noqa: ARG002
        *,
        key: PrivateKeyTypes | None = None,  # noqa: ARG002
        pin_id: int = Role.USER,  # noqa: ARG002
    ) -> PublicKeyTypes:
        """Generate a key, or import ``key``, into container ``index`` (``CardCreateContainer``, ``…Ex``).

        Returns: the public key. Replaces what is there; leaves certificate and container map to the caller.
        """
        absent("creating keys")

    def delete_container(self, index: int) -> None:  # noqa: ARG002
        """Delete the key of container ``index``, not its certificate (``CardDeleteContainer``)."""
        absent("deleting keys")

    def write_certificate(self, index: int, der: bytes, *, compress: bool | None = None) -> None:  # noqa: ARG002
        """Write the certificate of container ``index``; ``compress`` ``None`` = when it does not fit otherwise."""
        absent("writing certificates")

    def delete_certificate(self, index: int) -> None:  # noqa: ARG002
        """Delete the certificate of container ``index``, not its key."""
        absent("deleting certificates")

    # --- using keys --------------------------------------------------------------------------------------------------

    @abstractmethod
    def sign(self, index: int, key_spec: int, data: bytes, padding: SigningPadding) -> bytes:
        """Sign (``CardSignData``).

        Args:
            index: container, 0…255.
            key_spec: 1…8; must fit the container's key.
            data: the digest; with ``Raw`` padding and RSA a block as long as the modulus; Ed25519: the message.
            padding: for RSA; other keys ignore it.

        Returns: RSA as long as the modulus, big-endian; ECDSA r‖s; Ed25519 64 bytes. Its shape is checked, not its
        truth.

        Raises:
            NotAuthenticated: the key wants a PIN (again); nothing was signed.
            NotFound: SCARD_E_NO_KEY_CONTAINER.
            BadParameter: data and key do not go together.
        """

    def decrypt(self, index: int, key_spec: int, data: bytes, padding: DecryptionPadding) -> bytes:  # noqa: ARG002
        """Decrypt ``data``, as long as the modulus, and remove the padding (``CardRSADecrypt``).

        Raises:
            NotAuthenticated: the key wants a PIN.
            WinError: SCARD_E_INSUFFICIENT_BUFFER for short data, SCARD_F_INTERNAL_ERROR for bad padding.
        """
        absent("decryption")

    def agree(self, index: int, peer_public: bytes) -> bytes:  # noqa: ARG002
        """The raw shared secret Z with the point ``peer_public`` (``04‖X‖Y``; X25519: 32 bytes).

        Stands for ``CardConstructDHAgreement``; deriving a key from Z and wiping it is the caller's business.
        """
        absent("key agreement")

    # --- properties --------------------------------------------------------------------------------------------------

    def get_property(self, name: str, flags: int = 0) -> Any:  # noqa: ANN401 - a type per property
        """A card property by Windows' name, e.g. ``"Free Space"`` (``CardGetProperty``).

        Raises:
            BadParameter: unknown or write-only name, or flags that this property does not take.
        """
        return properties.get(self, name, flags)

    def set_property(self, name: str, value: object, flags: int = 0) -> None:
        """Change a card property (``CardSetProperty``).

        Raises:
            Unsupported: unknown name, or never settable.
            BadParameter: wrong type, value or flags.
        """
        properties.put(self, name, value, flags)

    @property
    def key_import(self) -> int:
        """CARD_KEY_IMPORT_*: how private keys can be brought onto the card (``CP_KEY_IMPORT_SUPPORT``)."""
        return properties.KEY_IMPORT_PLAIN_TEXT if self.offers("CardCreateContainer") else 0

    def store_property(self, name: str, value: object) -> None:  # noqa: ARG002
        """Write a property of ``settable_properties`` to the card; its value has been checked.

        Raises:
            NotAuthenticated: it takes a PIN or the administrator's key.
        """
        absent(f"changing {name!r}")

    def get_container_property(self, index: int, name: str) -> Any:  # noqa: ANN401 - a type per property
        """A container property by Windows' name, e.g. ``"PIN Identifier"`` (``CardGetContainerProperty``)."""
        return properties.get_of_container(self, index, name)

    def set_container_property(self, index: int, name: str, value: object) -> None:
        """Change a container property (``CardSetContainerProperty``)."""
        properties.put_of_container(self, index, name, value)

    def close(self) -> None:
        """Forget the card without touching it (``CardDeleteContext``)."""
        self.settings.clear()


# Bodies that need no replacement to do something.
_WHOLE = frozenset(
    (
        "__init__",
        "close",
        "container_info",
        "get_property",
        "set_property",
        "get_container_property",
        "set_container_property",
    )
)


def check_index(index: int) -> int:
    """``index`` when it is a container index.

    Raises:
        BadParameter: outside 0…255.
    """
    if not 0 <= index < MAX_CONTAINERS:
        raise BadParameter(detail=f"a container index is 0 to {MAX_CONTAINERS - 1}, not {index}")
    return index

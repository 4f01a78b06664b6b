"""What a person who makes, loads and deletes keys has to know of a card: who may, what a place is called, what goes.

The card minidriver interface numbers containers and leaves the rest to its caller. Cards differ in that rest: PIV has
fixed slots and an administrator's key, GIDS has free containers, named by their maker, and the user's own PIN. A driver
says which it is, so that no caller has to know a card by its kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from calais.minidriver.injection import absent
from calais.minidriver.pins import Pin, Role

if TYPE_CHECKING:
    from calais.minidriver.api import ContainerEntry

NEW_PLACE = "new"


class KeyPurpose(StrEnum):
    """What a key is for; ``DEFAULT`` = as the place has it, else exchange."""

    DEFAULT = "default"
    EXCHANGE = "exchange"
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A key that is wanted.

    ``algorithm``: one of ``Administration.key_algorithms``, unless there is a ``key`` to import; ``name``: of a new
    container, ``None`` = the driver's choice; ``pin_policy`` and ``touch_policy``: Yubico's numbers, 0 = the card's own.
    """

    algorithm: str = ""
    key: PrivateKeyTypes | None = field(default=None, repr=False)
    purpose: KeyPurpose = KeyPurpose.DEFAULT
    name: str | None = None
    pin_policy: int = 0
    touch_policy: int = 0

    @property
    def is_agreement(self) -> bool:
        """Whether an EC key for key agreement is wanted."""
        is_rsa = self.algorithm.startswith("RSA") if self.key is None else isinstance(self.key, rsa.RSAPrivateKey)
        return self.purpose is KeyPurpose.EXCHANGE and not is_rsa


@dataclass(frozen=True, slots=True)
class Erased:
    """What was deleted of a container."""

    key: bool
    certificate: bool


class Administration:
    """Part of ``Minidriver``; a driver without it is read by people and changed by programs."""

    changed_by: ClassVar[int] = Role.ADMIN  # who may change keys and certificates
    write_policy: ClassVar[str] = ""  # the policy that forbids it, "" = none
    has_fixed_places: ClassVar[bool] = False  # containers are where the card has a place for them
    key_algorithms: ClassVar[tuple[str, ...]] = ()  # "P256", "RSA2048" …

    def place(self, text: str) -> int | None:  # noqa: ARG002
        """The index of the container that a person calls ``text``, there or not; ``None`` = ``new``, a new one.

        Raises:
            BadParameter: the card has no such place.
        """
        absent("naming a place for a key")

    @property
    def admits_user(self) -> bool:
        """Whether programs may change keys and certificates in the name of the user, by the PIN alone."""
        return True

    def admit_user(self) -> None:
        """Get ready for the changes that programs make in the name of the user, by the PIN alone; changes nothing.

        Raises:
            NotAuthenticated: the PIN was not presented.
            AccessDenied: SCARD_E_READ_ONLY_CARD, this card wants more than the PIN.
        """

    def new_container(self, name: str | None) -> ContainerEntry:  # noqa: ARG002
        """Make a container without a key, called ``name``; ``None`` = as the card names its containers.

        Raises:
            NotAuthenticated, Unsupported: as ``make_key``.
            BadParameter: no container can have this name.
            WinError: NTE_EXISTS; NTE_BAD_KEYSET_PARAM, this card cannot keep this name; SCARD_E_WRITE_TOO_MANY, no room.
        """
        absent("making containers")

    def remove_container(self, index: int) -> None:  # noqa: ARG002
        """Delete container ``index``: its key, its certificate, and its name; another becomes the default if it was.

        Raises:
            NotFound: SCARD_E_NO_KEY_CONTAINER.
            NotAuthenticated, Unsupported: as ``make_key``.
        """
        absent("deleting containers")

    def make_key(self, index: int | None, order: KeyOrder) -> int:  # noqa: ARG002
        """Generate or import a key, with all that other programs go by; the index of its container.

        Args:
            index: as ``place`` gives it; a key that is there is replaced.
            order: the key.

        Raises:
            NotAuthenticated: who may has not presented PIN or key; nothing was changed.
            BadParameter: something in the order is not to be chosen on this card.
            Unsupported: no such keys; or the card is read-only.
        """
        absent("making keys")

    def erase(self, index: int, *, key: bool, certificate: bool) -> Erased:  # noqa: ARG002
        """Delete key, certificate or both of container ``index``; what was deleted, which may be more.

        Raises:
            NotAuthenticated, NotFound, Unsupported: as ``make_key``.
        """
        absent("deleting keys")

    def initialise(self, pin: Pin, admin_key: bytes | None, card_id: bytes) -> None:  # noqa: ARG002
        """Make a blank card ready for use: with a PIN, an administrator's key or none, and without keys.

        Args:
            pin: the user's first PIN.
            admin_key: the administrator's key; ``None`` = the card gets none.
            card_id: 16 bytes, another one for each card.

        Raises:
            BadParameter: a value of a length that the card has not; it was not asked.
            WinError: ERROR_FILE_EXISTS, the card is initialised; nothing was changed.
            Unsupported: cards of this kind come initialised; or policy forbids it.
        """
        absent("initialising a blank card")

"""The entry points under Microsoft's names, in the order of their C arguments, over one driver.

By default they are this project's own. Whoever brings others (a bridge to a DLL, say) hands them to the ``Subject``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from calais.minidriver.calls import card, context, injection, keys, pins
from calais.minidriver.data import CardData, Find
from calais.minidriver.injection import KeyInjection
from calais.win.errors import Unsupported

Entry = Callable[..., Any]


@dataclass(frozen=True)
class _OneModule:
    """The ``Modules`` of a world with one driver."""

    find: Find

    def driver(self, card_name: str) -> Find:
        """It, whatever the card is called."""
        del card_name
        return self.find

    def without_card(self, card_name: str) -> KeyInjection:
        """It has no part that works without a card.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(detail=f"{card_name!r} is tried with a card only")


class Face:
    """The entry points: ``face["CardReadFile"](data, None, "cardid", 0)``; ``CardAcquireContext`` takes a ``CardData``.

    Args:
        find: makes the driver for a transaction.
    """

    ENTRIES: ClassVar[Mapping[str, Entry]] = {
        "CardDeleteContext": context.delete,
        "CardQueryCapabilities": card.query_capabilities,
        "CardQueryFreeSpace": card.query_free_space,
        "CardQueryKeySizes": card.query_key_sizes,
        "CardAuthenticatePin": pins.authenticate_pin,
        "CardAuthenticateEx": pins.authenticate_ex,
        "CardGetChallenge": pins.get_challenge,
        "CardGetChallengeEx": pins.get_challenge_ex,
        "CardAuthenticateChallenge": pins.authenticate_challenge,
        "CardUnblockPin": pins.unblock_pin,
        "CardChangeAuthenticator": pins.change_authenticator,
        "CardChangeAuthenticatorEx": pins.change_authenticator_ex,
        "CardDeauthenticate": pins.deauthenticate,
        "CardDeauthenticateEx": pins.deauthenticate_ex,
        "CardCreateDirectory": card.create_directory,
        "CardDeleteDirectory": card.delete_directory,
        "CardCreateFile": card.create_file,
        "CardReadFile": card.read_file,
        "CardWriteFile": card.write_file,
        "CardDeleteFile": card.delete_file,
        "CardEnumFiles": card.enum_files,
        "CardGetFileInfo": card.file_info,
        "CardCreateContainer": keys.create_container,
        "CardCreateContainerEx": keys.create_container_ex,
        "CardDeleteContainer": keys.delete_container,
        "CardGetContainerInfo": keys.container_info,
        "CardGetContainerProperty": card.get_container_property,
        "CardSetContainerProperty": card.set_container_property,
        "CardSignData": keys.sign,
        "CardRSADecrypt": keys.decrypt,
        "CardConstructDHAgreement": keys.construct_dh_agreement,
        "CardDeriveKey": keys.derive_key,
        "CardDestroyDHAgreement": keys.destroy_dh_agreement,
        "MDImportSessionKey": injection.import_plain_key,
        "MDEncryptData": injection.encrypt_data,
        "CardImportSessionKey": injection.import_session_key,
        "CardGetSharedKeyHandle": injection.shared_key,
        "CardGetAlgorithmProperty": injection.algorithm_property,
        "CardGetKeyProperty": injection.key_property,
        "CardSetKeyProperty": injection.set_key_property,
        "CardDestroyKey": injection.destroy_key,
        "CardProcessEncryptedData": injection.process_encrypted_data,
        "CardGetProperty": card.get_property,
        "CardSetProperty": card.set_property,
    }

    def __init__(self, find: Find) -> None:
        self._modules = _OneModule(find)

    def __getitem__(self, name: str) -> Entry:
        return self.acquire if name == "CardAcquireContext" else self.ENTRIES[name]

    def acquire(self, data: CardData, flags: int) -> None:
        """``CardAcquireContext``."""
        context.acquire(data, flags, lambda _: self._modules)

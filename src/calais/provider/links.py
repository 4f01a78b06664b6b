"""What a certificate's link says of a key on a card.

Source: CRYPT_KEY_PROV_INFO (wincrypt.h).
"""

from __future__ import annotations

from calais.win.flags.crypt32 import CERT_SET_KEY_PROV_HANDLE_PROP_ID
from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import MS_SCARD_PROV, PROV_RSA_FULL
from calais.win.structs import CryptKeyProvInfo


def link_to(container: str, key_spec: int, *, ncrypt: bool) -> CryptKeyProvInfo:
    """The link to a container on a card, with the flag that lets programs keep the handle."""
    flags = CERT_SET_KEY_PROV_HANDLE_PROP_ID
    if ncrypt:
        return CryptKeyProvInfo(container, MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0, flags)
    return CryptKeyProvInfo(container, MS_SCARD_PROV, PROV_RSA_FULL, flags, key_spec=key_spec)

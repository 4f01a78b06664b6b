"""From a certificate to its private key.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from calais.store import calls as _calls
from calais.store.api import AcquiredKey
from calais.store.api import System as _System
from calais.store.model import CertificateContext
from calais.winapi import ambient as _ambient


def CryptAcquireCertificatePrivateKey(
    pCert: CertificateContext, dwFlags: int = 0, pvParameters: int | None = None, *, system: _System | None = None
) -> AcquiredKey:
    """The private key of a certificate: handle, key spec, and whether the caller closes the handle.

    Raises:
        WinError: CRYPT_E_NO_KEY_PROPERTY, NTE_BAD_KEYSET, NTE_KEYSET_NOT_DEF, NTE_BAD_PROV_TYPE,
            NTE_BAD_PUBLIC_KEY, NTE_BAD_FLAGS, E_INVALIDARG; what the provider says.
    """
    return _calls.acquire_key(pCert, dwFlags, pvParameters, _ambient.keys_of(system))


def CryptFindCertificateKeyProvInfo(
    pCert: CertificateContext, dwFlags: int = 0, pvReserved: None = None, *, system: _System | None = None
) -> None:
    """Make property 2 name the container, on any inserted card, that holds the certificate's key.

    Raises:
        WinError: NTE_NO_KEY none does; NTE_BAD_FLAGS; E_INVALIDARG.
    """
    _calls.find_key_prov_info(pCert, dwFlags, pvReserved, _ambient.keys_of(system))

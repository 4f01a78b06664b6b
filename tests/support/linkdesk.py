"""Certificates on inserted cards and the links to their keys, as programs for Windows handle them."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cspdesk import check_signature, gids, piv
from people import PIN, card, key_of
from pivdesk import certificate

from calais.system import current
from calais.testing import FixedPrompt, virtual_gids
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
INFO, SLOT = CERT_KEY_PROV_INFO_PROP_ID, CERT_KEY_CONTEXT_PROP_ID
CACHE, USE, COMPARE = CRYPT_ACQUIRE_CACHE_FLAG, CRYPT_ACQUIRE_USE_PROV_INFO_FLAG, CRYPT_ACQUIRE_COMPARE_KEY_FLAG
NO_HEALING, SILENT = CRYPT_ACQUIRE_NO_HEALING, CRYPT_ACQUIRE_SILENT_FLAG
WINDOW = CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG
ALLOW, PREFER = CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG, CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG
ONLY = CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG
REPAIRED = CERT_KEY_REPAIR_ATTEMPTED_PROP_ID
KSP = MS_SMART_CARD_KEY_STORAGE_PROVIDER
READER = "Virtual Reader 0"
DATA = b"to be signed"
acquire = CryptAcquireCertificatePrivateKey


class Prompt(FixedPrompt):
    """Gives the PIN, and notes over which window it was asked for."""

    def __init__(self):
        super().__init__(PIN)
        self.windows = []

    def ask(self, request):
        self.windows.append(request.window)
        return super().ask(request)


def insert(card):
    current().insert(card, READER)
    return card


def only_certificate(number=0):
    """A free context of the certificate on the card, without any property."""
    return CertCreateCertificateContext(X509, current().card().containers[number].certificate)


def link_of(container, provider=MS_SCARD_PROV, kind=PROV_RSA_FULL, flags=0, params=(), key_spec=0):
    return CryptKeyProvInfo(container, provider, kind, flags, params, key_spec)


def linked(**changes):
    """The certificate on the inserted card, linked to its container."""
    context, container = only_certificate(), current().card().containers[0]
    if changes.get("kind") == 0:
        changes.setdefault("provider", KSP)
    name = changes.pop("container", container.name)
    set_value(context, INFO, link_of(name, **changes))
    return context


def linked_to(context, name):
    set_value(context, INFO, link_of(name))
    return context


def set_value(context, prop_id, value, flags=0):
    CertSetCertificateContextProperty(context, prop_id, flags, value)


def get(context, prop_id):
    return CertGetCertificateContextProperty(context, prop_id)


def has(context, prop_id):
    return prop_id in listed(context)


def listed(context):
    found, at = [], 0
    while at := CertEnumCertificateContextProperties(context, at):
        found.append(at)
    return found


def fails(code, *args, **more):
    """Acquiring fails with ``code``, a sentence and a next step."""
    with pytest.raises(WinError) as caught:
        acquire(*args, **more)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.detail
    assert caught.value.next_step
    return caught.value


def public_key(context):
    return x509.load_der_x509_certificate(context.encoded).public_key()


def sign_by_cryptoapi(context, acquired):
    """CryptSignHash with an acquired provider."""
    hash_ = advapi32.CryptCreateHash(acquired.handle, CALG_SHA1)
    advapi32.CryptHashData(hash_, DATA)
    check_signature(public_key(context), advapi32.CryptSignHash(hash_, acquired.key_spec, None, 0)[::-1])
    return True


def sign_by_cng(context, acquired, flags=0):
    """NCryptSignHash with an acquired key."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(DATA)
    value, key = digest.finalize(), public_key(context)
    if isinstance(key, ec.EllipticCurvePublicKey):
        signature = ncrypt.NCryptSignHash(acquired.handle, None, value, flags)
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
        key.verify(utils.encode_dss_signature(r, s), DATA, ec.ECDSA(hashes.SHA256()))
    else:
        how = ncrypt.Pkcs1PaddingInfo("SHA256")
        signature = ncrypt.NCryptSignHash(acquired.handle, how, value, flags | ncrypt.BCRYPT_PAD_PKCS1)
        key.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())
    return True


def signs(context, acquired):
    return (sign_by_cng if acquired.handle.is_ncrypt else sign_by_cryptoapi)(context, acquired)


def free(acquired):
    """As its caller frees it."""
    if acquired.key_spec == CERT_NCRYPT_KEY_SPEC:
        ncrypt.NCryptFreeObject(acquired.handle)
    else:
        advapi32.CryptReleaseContext(acquired.handle, 0)


RSA_CARDS = {"GIDS": gids, "PIV": piv}
EC_CARDS = {
    "GIDS": lambda: virtual_gids(keys=[("ec", 2, key_of("gids ec"), certificate(key_of("gids ec")))], seed=1),
    "PIV": lambda: card(0x9A),
}
KINDS = ("GIDS", "PIV")

"""The keys that a new virtual PIV card holds, with the certificates that an authority issues for their slots."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from calais.cards.authority import Authority, key_usage
from calais.cards.front import Random
from calais.cards.piv import card_keys, spec
from calais.cards.piv.card_keys import PrivateKey

__all__ = ["DEFAULT_ALGORITHMS", "Authority", "Keys", "default_keys"]

Keys = dict[int, tuple[PrivateKey, x509.Certificate | None]]

DEFAULT_ALGORITHMS: dict[int, int] = {
    spec.REF_PIV_AUTH: spec.Algorithm.RSA_2048,
    spec.REF_SIGNATURE: spec.Algorithm.P256,
    spec.REF_KEY_MANAGEMENT: spec.Algorithm.RSA_2048,
}
_USAGE_OF_SLOT: dict[int, tuple[x509.ExtensionType, ...]] = {
    spec.REF_PIV_AUTH: (
        key_usage("digital_signature"),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SMARTCARD_LOGON]),
    ),
    spec.REF_SIGNATURE: (
        key_usage("digital_signature", "content_commitment"),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
    ),
    spec.REF_KEY_MANAGEMENT: (
        key_usage("key_encipherment"),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
    ),
}


def default_keys(
    random: Random, now: datetime, authority: Authority | None = None, *, known: Mapping[int, PrivateKey] | None = None
) -> Keys:
    """RSA-2048 in 9A and 9D and P-256 in 9C, with certificates from ``authority`` (by default a new test authority).

    ``known``: keys to take instead of new ones, by slot.
    """
    authority = authority or Authority.create("Calais Test CA", random, now)
    keys: Keys = {}
    for ref, algorithm in DEFAULT_ALGORITHMS.items():
        key = (known or {}).get(ref) or card_keys.generate(algorithm, random)
        subject = f"Virtual Cardholder {spec.SLOT_OF_REF[ref].name}"
        keys[ref] = (key, authority.issue(subject, key.public_key(), random, now, *_USAGE_OF_SLOT[ref]))
    return keys

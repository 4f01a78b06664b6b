"""CMS signatures with one signer, as PIV cards carry them and as files are signed.

Source: RFC 5652, 5 (SignedData); FIPS 201-3, 4.2.1 (CHUID); SP 800-73-4 part 1, 3.1.7 (Security Object).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from calais.apps.certificates import load_public_key
from calais.win.codes import Code
from calais.win.errors import BadData, Unsupported, WinError

HASHES: dict[str, hashes.SHA1 | hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - old cards are signed so; it is verified, never made
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# What asn1crypto lets through when the bytes are not what they claim.
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Signed:
    """A SignedData with one signer, taken apart.

    ``content``: the enclosed content, ``b""`` when it is detached; ``digest``: the message digest attribute, or
    ``None`` without signed attributes; ``covered``: what the signature was made over (``b""``: the content itself);
    ``certificate``: the first enclosed one, DER, or ``None``.
    """

    content: bytes
    hash_name: str
    is_pss: bool
    digest: bytes | None
    covered: bytes
    signature: bytes
    certificate: bytes | None


def parse_signed(der: bytes) -> Signed:
    """Take a CMS SignedData apart.

    Raises:
        BadData: it is none, or it has no signer.
    """
    try:
        message = cms.ContentInfo.load(der, strict=True)["content"]
        signer = message["signer_infos"][0]
        certificates = message["certificates"] or []
        return Signed(
            content=_content(message),
            hash_name=signer["digest_algorithm"]["algorithm"].native,
            is_pss=signer["signature_algorithm"]["algorithm"].native == "rsassa_pss",
            digest=_message_digest(signer),
            covered=signer["signed_attrs"].untag().dump() if signer["signed_attrs"] else b"",
            signature=signer["signature"].native,
            certificate=certificates[0].chosen.dump() if len(certificates) else None,
        )
    except BROKEN as error:
        raise BadData(detail="not a CMS SignedData with one signer") from error


def _content(message: Any) -> bytes:  # noqa: ANN401 - asn1crypto has no types
    inner = message["encap_content_info"]["content"]
    return bytes(inner.native or b"")


def _message_digest(signer: Any) -> bytes | None:  # noqa: ANN401 - asn1crypto has no types
    for attribute in signer["signed_attrs"] or ():
        if attribute["type"].native == "message_digest":
            return bytes(attribute["values"][0].native)
    return None


def hash_of(name: str) -> hashes.HashAlgorithm:
    """The hash algorithm that CMS calls ``name``.

    Raises:
        Unsupported: one that nobody uses on cards.
    """
    if name not in HASHES:
        raise Unsupported(detail=f"the hash algorithm {name} is not known here")
    return HASHES[name]


def digest_of(hash_name: str, data: bytes) -> bytes:
    """The hash of ``data``.

    Raises:
        Unsupported: as ``hash_of``.
    """
    return hashlib.new(hash_of(hash_name).name, data, usedforsecurity=False).digest()


def verify(signed: Signed, content: bytes, certificate: bytes) -> None:
    """Check that ``certificate`` signed ``content``.

    Args:
        signed: the signature.
        content: what it should be about.
        certificate: the signer's, DER.

    Raises:
        WinError: NTE_BAD_SIGNATURE, the content or signature was altered.
        Unsupported: an algorithm that is not known here.
        BadData: the certificate cannot be read.
    """
    if signed.digest is not None and signed.digest != digest_of(signed.hash_name, content):
        raise WinError(Code.NTE_BAD_SIGNATURE, "the data is not what was signed")
    _check(signed, signed.covered or content, load_public_key(certificate))


def _check(signed: Signed, data: bytes, key: object) -> None:
    digest = hash_of(signed.hash_name)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signed.signature, data, _padding(signed, digest), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signed.signature, data, ec.ECDSA(digest))
        else:
            raise Unsupported(detail="the signer's key is neither RSA nor EC")
    except InvalidSignature as error:
        raise WinError(Code.NTE_BAD_SIGNATURE, "the signature does not fit") from error


def _padding(signed: Signed, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    return padding.PSS(padding.MGF1(digest), padding.PSS.AUTO) if signed.is_pss else padding.PKCS1v15()

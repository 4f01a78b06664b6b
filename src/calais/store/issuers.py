"""Who issued a certificate, and whether that holds: name, signature, validity.

Sources: CertGetIssuerCertificateFromStore, CertVerifySubjectCertificateContext.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from calais.store import certificate
from calais.store.calls import context_of, is_null, store_of
from calais.store.certificate import Outline
from calais.store.finding import query_for
from calais.store.model import CERTIFICATES, CertificateContext
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags import (
    CERT_FIND_ISSUER_OF,
    CERT_FIND_SUBJECT_CERT,
    CERT_STORE_NO_CRL_FLAG,
    CERT_STORE_NO_ISSUER_FLAG,
    CERT_STORE_REVOCATION_FLAG,
    CERT_STORE_SIGNATURE_FLAG,
    CERT_STORE_TIME_VALIDITY_FLAG,
)
from calais.win.structs import CertInfo

_CHECKS: Final = CERT_STORE_SIGNATURE_FLAG | CERT_STORE_TIME_VALIDITY_FLAG | CERT_STORE_REVOCATION_FLAG
_OF_ISSUER: Final = CERT_STORE_SIGNATURE_FLAG | CERT_STORE_REVOCATION_FLAG


def subject_certificate(store: object, cert_id: object) -> CertificateContext | None:
    """CertGetSubjectCertificateFromStore: by issuer and serial number."""
    opened = store_of(store)
    if not isinstance(cert_id, CertInfo):
        raise BadParameter(Code.E_INVALIDARG, "A certificate is named by a CertInfo with issuer and serial number.")
    return opened.next(None, query_for(CERT_FIND_SUBJECT_CERT, cert_id))


def issuer_certificate(
    store: object, subject: object, previous: object, flags: int
) -> tuple[CertificateContext | None, int]:
    """CertGetIssuerCertificateFromStore; the previous context gives one reference back whatever happens."""
    before = None if is_null(previous) else context_of(CERTIFICATES, previous)
    try:
        opened, issued = store_of(store), context_of(CERTIFICATES, subject)
        _check_flags(flags)
        if issued.element.outline.subject == issued.element.outline.issuer:
            raise WinError(Code.CRYPT_E_SELF_SIGNED, "The certificate is its own issuer.")
        found = opened.next(before, query_for(CERT_FIND_ISSUER_OF, issued))
        return found, flags if found is None else _left(issued, found, flags)
    finally:
        if before is not None:
            before.free()


def verify_subject(subject: object, issuer: object, flags: int) -> int:
    """CertVerifySubjectCertificateContext: the checks that did not pass."""
    issued = context_of(CERTIFICATES, subject)
    _check_flags(flags)
    return _left(issued, None if is_null(issuer) else context_of(CERTIFICATES, issuer), flags)


def _check_flags(flags: int) -> None:
    if flags & ~_CHECKS:
        raise BadParameter(Code.E_INVALIDARG, f"0x{flags & ~_CHECKS:X} asks for no check of a certificate.")


def _left(subject: CertificateContext, issuer: CertificateContext | None, flags: int) -> int:
    """The flags less those of checks that passed, plus why a check could not be made."""
    outline = subject.element.outline
    if flags & CERT_STORE_TIME_VALIDITY_FLAG and _is_valid_now(outline):
        flags &= ~CERT_STORE_TIME_VALIDITY_FLAG
    if issuer is None:
        return flags | (CERT_STORE_NO_ISSUER_FLAG if flags & _OF_ISSUER else 0)
    if flags & CERT_STORE_SIGNATURE_FLAG and is_signed_by(outline, issuer.element.outline):
        flags &= ~CERT_STORE_SIGNATURE_FLAG
    return flags | (CERT_STORE_NO_CRL_FLAG if flags & CERT_STORE_REVOCATION_FLAG else 0)


def _is_valid_now(outline: Outline) -> bool:
    begin, end = outline.info.not_before, outline.info.not_after
    return begin is not None and end is not None and begin <= datetime.now(UTC) <= end


def is_signed_by(outline: Outline, issuer: Outline) -> bool:
    """Whether the signature of a certificate was made with the issuer's key.

    PKCS #1 and ECDSA with the digests of ``certificate.SIGNATURE_ALGORITHMS``, and Ed25519; what nobody can check
    did not pass.
    """
    if outline.signature is None:
        return False
    try:
        family, digest = certificate.signature_digest(outline)
    except BadData:
        return False
    return _verifies(family, digest, outline, issuer)


def _verifies(family: str, digest: str, outline: Outline, issuer: Outline) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - few need it
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    signature, signed = outline.signature or b"", outline.tbs.encoded
    try:
        key = load_der_public_key(issuer.public_key_der)
        if isinstance(key, rsa.RSAPublicKey) and family == "RSA":
            algorithm = getattr(hashes, digest)()
            pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            key.verify(signature, signed, pss if _is_pss(outline) else padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and family == "ECDSA":
            key.verify(signature, signed, ec.ECDSA(getattr(hashes, digest)()))
        elif isinstance(key, ed25519.Ed25519PublicKey) and family == "EdDSA":
            key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _is_pss(outline: Outline) -> bool:
    algorithm = outline.info.signature_algorithm
    return algorithm is not None and algorithm.oid == certificate.OID_RSA_PSS

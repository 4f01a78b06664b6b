"""Who signed a certificate, request or CRL: the bodies of the faces that verify.

Source: CryptVerifyCertificateSignature, CryptVerifyCertificateSignatureEx, CertVerifyRevocation (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from calais.store import arguments, signatures
from calais.store.calls import context_of, element_of
from calais.store.coding import structures
from calais.store.model import CRLS
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError
from calais.win.flags import (
    CERT_CONTEXT_REVOCATION_TYPE,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_CERT,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_CHAIN,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_NULL,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_PUBKEY,
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_BLOB,
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_CERT,
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_CRL,
    X509_ASN_ENCODING,
)
from calais.win.structs import CertPublicKeyInfo, CertSignedContent

_SIGNED: Final = 1  # X509_CERT


def signed_content(encoding: int, data: object) -> CertSignedContent:
    """Signed content with its signature in the order of X.509.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no encoding.
        BadData: CRYPT_E_ASN1_EOD, nothing there; other CRYPT_E_ASN1_*, no signed content.
        BadParameter: E_INVALIDARG, no bytes.
    """
    decoded = structures.decode(encoding, _SIGNED, arguments.octets(data), structures.NO_SIGNATURE_BYTE_REVERSAL)
    if not isinstance(decoded, CertSignedContent):
        raise BadParameter(Code.E_INVALIDARG, "this is no signed content")
    return decoded


def verify(encoding: int, data: object, key: object) -> None:
    """CryptVerifyCertificateSignature.

    Raises:
        WinError: NTE_BAD_SIGNATURE; NTE_BAD_ALGID; as ``signed_content``.
    """
    content = signed_content(encoding, b"" if data is None else data)
    signatures.check(content, public_key_of(key))


def verify_subject(encoding: int, subject_type: int, subject: object, issuer_type: int, issuer: object) -> None:
    """CryptVerifyCertificateSignatureEx.

    Raises:
        BadParameter: E_INVALIDARG, types or values that do not go together; ERROR_INVALID_PARAMETER, a released
            context.
        WinError: as ``verify``.
    """
    read, find = _SUBJECTS.get(arguments.number(subject_type)), _ISSUERS.get(arguments.number(issuer_type))
    unsigned = issuer_type == CRYPT_VERIFY_CERT_SIGN_ISSUER_NULL
    if read is None or (find is None and not unsigned) or (unsigned and issuer is not None):
        raise BadParameter(Code.E_INVALIDARG, "there is no such kind of subject or issuer")
    if unsigned and subject_type == CRYPT_VERIFY_CERT_SIGN_SUBJECT_CRL:
        raise BadParameter(Code.E_INVALIDARG, "a CRL is signed by somebody")
    key = find(issuer) if find else None
    content = signed_content(encoding, read(subject))
    if key is None:
        signatures.check_unsigned(content)
    else:
        signatures.check(content, key)


def public_key_of(key: object) -> CertPublicKeyInfo:
    """``key``, when it is a public key.

    Raises:
        BadParameter: E_INVALIDARG.
    """
    return arguments.of(CertPublicKeyInfo, key)


def _blob(subject: object) -> object:
    if subject is None:
        raise BadParameter(Code.E_INVALIDARG, "a subject is needed")
    return subject


def _certificate_key(issuer: object) -> CertPublicKeyInfo:
    return element_of(issuer).outline.public_key


def _chain_key(issuer: object) -> CertPublicKeyInfo:
    """The key of a chain is that of the certificate it is about, its first."""
    if not isinstance(issuer, Sequence) or isinstance(issuer, str | bytes) or not issuer:
        raise BadParameter(Code.E_INVALIDARG, "a chain is a sequence of certificates, the leaf first")
    return next(_certificate_key(each) for each in issuer)


_SUBJECTS: Final[dict[int, Callable[[object], object]]] = {
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_BLOB: _blob,
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_CERT: lambda subject: element_of(subject).encoded,
    CRYPT_VERIFY_CERT_SIGN_SUBJECT_CRL: lambda subject: context_of(CRLS, subject).encoded,
}
_ISSUERS: Final[dict[int, Callable[[object], CertPublicKeyInfo]]] = {
    CRYPT_VERIFY_CERT_SIGN_ISSUER_PUBKEY: public_key_of,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_CERT: _certificate_key,
    CRYPT_VERIFY_CERT_SIGN_ISSUER_CHAIN: _chain_key,
}


def verify_revocation(encoding: int, kind: int, contexts: Sequence[object] | None) -> None:
    """CertVerifyRevocation, where nobody checks revocation: success for nothing to check.

    Raises:
        WinError: CRYPT_E_NO_REVOCATION_DLL, what nobody could check; CRYPT_E_NO_REVOCATION_CHECK, what is not
            checked; ``index`` is 0, the first one.
    """
    if not contexts:
        return
    if kind != CERT_CONTEXT_REVOCATION_TYPE or not encoding & X509_ASN_ENCODING:
        raise WinError(Code.CRYPT_E_NO_REVOCATION_DLL, "nobody here checks the revocation of such things", index=0)
    raise WinError(Code.CRYPT_E_NO_REVOCATION_CHECK, "the revocation of certificates is not checked here", index=0)

"""What is wrong with a card: pure functions from what was read and tried to named findings.

A *fault* makes the card or a key unusable or untrue; a *warning* will trouble somebody; a *note* is worth knowing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from calais.apps.certificates import UNREADABLE, load_certificate
from calais.apps.cms import digest_of, parse_signed, verify
from calais.apps.scinfo.objects import (
    Chuid,
    SecurityObject,
    fasc_n_of_certificate,
    parse_chuid,
    parse_security_object,
    uuid_of_certificate,
)
from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.win.codes import Code
from calais.win.errors import BadData, Unsupported, WinError


class Severity(StrEnum):
    """How bad a finding is."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """``name`` is stable and documented (docs/commands.md); ``where`` a slot or object; the rest is for a person."""

    severity: Severity
    name: str
    where: str
    detail: str
    next_step: str = ""


class Check(StrEnum):
    """How the trial of a key ended."""

    OK = "ok"
    WRONG = "wrong"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class KeyTrial:
    """What happened when a key was tried: ``match``, whether it belongs to the certificate; the rest as named.

    ``reason``: why something failed or was not tried.
    """

    sign: Check = Check.NOT_TRIED
    decrypt: Check = Check.NOT_TRIED
    match: Check = Check.NOT_TRIED
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container as read and tried; ``where`` is what people call it (``"9A"``)."""

    where: str
    certificate: bytes | None
    trial: KeyTrial = KeyTrial()
    binds_card: bool = False  # its certificate must carry the card's UUID and FASC-N


@dataclass(frozen=True, slots=True)
class CardFacts:
    """A card as read.

    ``objects``: tag → contents, ``None`` for an absent one; a tag that is not in it was not read. Empty for a card
    that is not a PIV card. ``issuers``: certificates (DER) in which the issuers are looked for.
    """

    containers: Sequence[ContainerFacts]
    objects: Mapping[int, bytes | None] = field(default_factory=dict)
    issuers: Sequence[bytes] = ()


def examine(card: CardFacts, now: datetime) -> list[Finding]:
    """Everything that is wrong with ``card`` at the time ``now``, the worst first."""
    found = [*examine_objects(card.objects, now)]
    identity = _chuid(card.objects)
    for container in card.containers:
        found += examine_container(container, identity, card.issuers, now)
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def examine_objects(objects: Mapping[int, bytes | None], now: datetime) -> Iterator[Finding]:
    """Findings about the CHUID, the Discovery Object and the Security Object, as far as they were read."""
    if spec.TAG_CHUID in objects:
        yield from examine_chuid(objects[spec.TAG_CHUID], now)
    if spec.TAG_DISCOVERY in objects:
        yield from examine_discovery(objects[spec.TAG_DISCOVERY])
    if spec.TAG_SECURITY_OBJECT in objects:
        yield from examine_security_object(objects)


def examine_chuid(content: bytes | None, now: datetime) -> Iterator[Finding]:
    """Findings about the Card Holder Unique Identifier, contents of tag 53."""
    if not content:
        remedy = "Write one with the issuer's tool (for example: yubico-piv-tool -a set-chuid)"
        yield Finding(
            Severity.FAULT, "chuid_missing", "CHUID", "the card has no CHUID: its key names change each time", remedy
        )
        return
    try:
        chuid = parse_chuid(content)
    except BadData as error:
        yield Finding(Severity.FAULT, "chuid_unreadable", "CHUID", f"the CHUID cannot be read: {error.detail}")
        return
    if len(chuid.guid) != spec.GUID_SIZE or not any(chuid.guid):
        text = "the CHUID has no usable GUID: the card's key names change each time"
        yield Finding(Severity.WARNING, "guid_missing", "CHUID", text, "Have the card personalised with a random GUID")
    if chuid.expires and chuid.expires < now.date():
        text = f"the card expired on {chuid.expires.isoformat()}"
        yield Finding(Severity.FAULT, "chuid_expired", "CHUID", text, "Ask the issuer for a new card")
    yield from _chuid_signature(chuid)


def _chuid_signature(chuid: Chuid) -> Iterator[Finding]:
    if not chuid.signature:
        yield Finding(
            Severity.NOTE, "chuid_unsigned", "CHUID", "nobody signed the CHUID, as usual on self-issued cards"
        )
        return
    try:
        signed = parse_signed(chuid.signature)
        if signed.certificate is None:
            yield Finding(Severity.NOTE, "chuid_unchecked", "CHUID", "the CHUID's signature comes without certificate")
            return
        verify(signed, chuid.signed_data, signed.certificate)
    except WinError as error:
        yield _about_signature(error, "chuid", "CHUID")


def _about_signature(error: WinError, name: str, where: str) -> Finding:
    if error.code == Code.NTE_BAD_SIGNATURE:
        text = f"the {where} was altered after it was signed: {error.detail}"
        return Finding(Severity.FAULT, f"{name}_tampered", where, text, "Do not trust this card; ask its issuer")
    return Finding(Severity.WARNING, f"{name}_unchecked", where, f"the signature of the {where}: {error.detail}")


def examine_discovery(content: bytes | None) -> Iterator[Finding]:
    """Findings about the Discovery Object, contents of tag 7E."""
    if not content:
        text = "the card has no Discovery Object: which PIN it takes is a guess"
        yield Finding(Severity.WARNING, "discovery_missing", "Discovery Object", text)
        return
    try:
        tags = {item.tag for item in tlv.parse(content)}
    except BadData:
        tags = set()
    if not tags >= {spec.TAG_AID, spec.TAG_PIN_USAGE_POLICY}:
        text = "the Discovery Object cannot be read"
        yield Finding(Severity.WARNING, "discovery_unreadable", "Discovery Object", text)


def examine_security_object(objects: Mapping[int, bytes | None]) -> Iterator[Finding]:
    """Findings about the Security Object, contents of tag 53, and the objects whose hashes it holds."""
    where = "Security Object"
    content = objects[spec.TAG_SECURITY_OBJECT]
    if not content:
        text = "the card has no Security Object: nothing shows whether its data was altered"
        yield Finding(Severity.WARNING, "security_object_missing", where, text)
        return
    try:
        security = parse_security_object(content)
    except BadData as error:
        text = f"the Security Object cannot be read: {error.detail}"
        yield Finding(Severity.FAULT, "security_object_unreadable", where, text)
        return
    yield from _security_signature(security, _chuid(objects))
    yield from _hashes(security, objects)


def _security_signature(security: SecurityObject, chuid: Chuid | None) -> Iterator[Finding]:
    """The signer's certificate stands in the Security Object or else in the CHUID (SP 800-73-4 part 1, 3.1.7)."""
    where = "Security Object"
    try:
        signed = security.signed
        signer = signed.certificate or (
            parse_signed(chuid.signature).certificate if chuid and chuid.signature else None
        )
        if signer is None:
            text = "the certificate that signed the Security Object is not on the card"
            yield Finding(Severity.NOTE, "security_object_unchecked", where, text)
            return
        verify(signed, signed.content, signer)
    except WinError as error:
        yield _about_signature(error, "security_object", where)


def _hashes(security: SecurityObject, objects: Mapping[int, bytes | None]) -> Iterator[Finding]:
    for item in spec.OBJECTS.values():
        expected, content = security.hashes.get(item.container), objects.get(item.tag)
        if expected is None or content is None:
            continue
        try:
            matches = digest_of(security.hash_name, content) == expected
        except Unsupported:
            return
        if not matches:
            text = f"{item.name} is not what the Security Object vouches for"
            yield Finding(Severity.FAULT, "object_tampered", item.name, text, "Do not trust this card; ask its issuer")


def _chuid(objects: Mapping[int, bytes | None]) -> Chuid | None:
    content = objects.get(spec.TAG_CHUID)
    try:
        return parse_chuid(content) if content else None
    except BadData:
        return None


def examine_container(
    container: ContainerFacts, chuid: Chuid | None, issuers: Sequence[bytes], now: datetime
) -> Iterator[Finding]:
    """Findings about one container: its certificate, and how its key behaved."""
    yield from examine_trial(container)
    if container.certificate is None:
        text = "a key without a certificate: programs do not see it"
        yield Finding(Severity.NOTE, "certificate_missing", container.where, text, "Write one: calais card put-cert")
        return
    try:
        certificate = load_certificate(container.certificate)
    except BadData:
        text = "what stands in the certificate's place is no certificate"
        yield Finding(Severity.FAULT, "certificate_unreadable", container.where, text)
        return
    yield from _validity(container.where, certificate, now)
    if chain_of(certificate, issuers) is Chain.TAMPERED:
        text = "the certificate was altered after it was signed"
        yield Finding(
            Severity.FAULT, "certificate_tampered", container.where, text, "Do not trust this card; ask its issuer"
        )
    if container.binds_card and chuid is not None:
        yield from _binding(container.where, certificate, chuid)


def examine_trial(container: ContainerFacts) -> Iterator[Finding]:
    """Findings about a key that was tried."""
    trial, where = container.trial, container.where
    if trial.match is Check.WRONG:
        text = "the key on the card is not the certificate's: signatures made with it verify nowhere"
        remedy = f"Write the right certificate (calais card put-cert {where} FILE), or ask the issuer"
        yield Finding(Severity.FAULT, "key_mismatch", where, text, remedy)
    elif Check.FAILED in (trial.sign, trial.decrypt):
        yield Finding(Severity.FAULT, "key_unusable", where, f"the key does not work: {trial.reason}")


def _validity(where: str, certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        text = f"the certificate expired on {last:%Y-%m-%d}"
        yield Finding(Severity.FAULT, "certificate_expired", where, text, "Ask the issuer to renew it")
    elif now < first:
        text = f"the certificate is valid only from {first:%Y-%m-%d}"
        yield Finding(
            Severity.FAULT, "certificate_not_yet_valid", where, text, "See whether this computer's date is right"
        )


def _binding(where: str, certificate: x509.Certificate, chuid: Chuid) -> Iterator[Finding]:
    """The certificates of 9A and 9E name the card they are on (FIPS 201-3, 4.2.1 and appendix B)."""
    named = uuid_of_certificate(certificate)
    if named is not None and len(chuid.guid) == spec.GUID_SIZE and named.bytes != chuid.guid:
        text = f"the certificate names the card {named}, the CHUID says {uuid.UUID(bytes=chuid.guid)}"
        yield Finding(Severity.FAULT, "uuid_mismatch", where, text, "The certificate belongs to another card")
    fasc_n = fasc_n_of_certificate(certificate)
    if fasc_n is not None and chuid.fasc_n and fasc_n != chuid.fasc_n:
        text = "the certificate and the CHUID name different credential numbers (FASC-N)"
        yield Finding(Severity.FAULT, "fasc_n_mismatch", where, text, "The certificate belongs to another card")


class Chain(StrEnum):
    """Whether a certificate's signature could be checked, and how that ended."""

    VERIFIED = "verified"
    SELF_SIGNED = "self-signed"
    UNKNOWN = "issuer unknown"
    TAMPERED = "altered"


def chain_of(certificate: x509.Certificate, issuers: Sequence[bytes]) -> Chain:
    """Check the signature of ``certificate`` with its issuer's certificate, looked for among ``issuers`` (DER)."""
    if certificate.issuer == certificate.subject:
        return Chain.SELF_SIGNED if _is_signed_by(certificate, certificate) else Chain.TAMPERED
    candidates = [issuer for issuer in _loaded(issuers) if _could_be_issuer(certificate, issuer)]
    if not candidates:
        return Chain.UNKNOWN
    return Chain.VERIFIED if any(_is_signed_by(certificate, issuer) for issuer in candidates) else Chain.TAMPERED


def chain_state(der: bytes | None, issuers: Sequence[bytes]) -> str:
    """``chain_of`` in words, "" for a certificate that is missing or cannot be read."""
    try:
        return str(chain_of(load_certificate(der), issuers)) if der else ""
    except BadData:
        return ""


def _loaded(certificates: Sequence[bytes]) -> Iterator[x509.Certificate]:
    for der in certificates:
        with suppress(BadData):
            yield load_certificate(der)


def _could_be_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Same name, and the same key where both certificates identify it: authorities renew their keys."""
    if issuer.subject != certificate.issuer:
        return False
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        has = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return wanted is None or wanted == has


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True

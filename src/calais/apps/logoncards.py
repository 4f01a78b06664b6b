"""Reading the certificates of inserted cards for a logon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from calais.apps.certificates import load_certificate, short_name, thumbprint
from calais.apps.logon import Candidate, Offer, offers
from calais.minidriver.pins import PinStatus
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.pinrules import PinRules
from calais.system import System
from calais.win import der
from calais.win.errors import BadData, WinError
from calais.win.flags.oids import ExtensionOid

T = TypeVar("T", bound=x509.ExtensionType)
_CODINGS = {0x0C: "utf-8", 0x16: "ascii", 0x1E: "utf-16-be"}
_UPN = x509.ObjectIdentifier(ExtensionOid.NT_PRINCIPAL_NAME)
_OLD_TEMPLATE = x509.ObjectIdentifier(ExtensionOid.ENROLL_CERTTYPE_EXTENSION)


@dataclass(frozen=True, slots=True)
class LogonCard:
    """One card.

    ``label``: ``None`` = it cannot be read, and ``problem`` says why; ``unblock``: what a person with a blocked PIN is
    told, ``None`` = it is not blocked, or not here.
    """

    reader: str
    label: str | None
    blocked: bool
    unblock: str | None
    problem: str | None = None


def survey(system: System) -> tuple[list[LogonCard], list[Offer]]:
    """The inserted cards, and each of their certificates as a logon sees it; one that cannot be read is passed over."""
    cards: list[LogonCard] = []
    found: list[Candidate] = []
    for status, card in system.examine():
        try:
            if isinstance(card, WinError):
                raise card
            found += candidates(card)
            cards.append(_card(card, system))
        except WinError as error:
            cards.append(LogonCard(status.name, None, blocked=False, unblock=None, problem=str(error)))
    return cards, offers(found, system.policy, system.clock.now())


def _card(card: Card, system: System) -> LogonCard:
    try:
        status = card.pin_status()
    except WinError:
        status = PinStatus(verified=False, attempts_left=None, blocked=False)
    leads = status.blocked and system.policy.allow_integrated_unblock
    return LogonCard(card.reader, card.label, status.blocked, PinRules.of(system.policy).unblock if leads else None)


def candidates(card: Card) -> Iterator[Candidate]:
    """The certificates of ``card`` that can be read."""
    for container in card.containers:
        try:
            encoded = container.certificate
            if encoded is not None:
                yield _candidate(card, container, encoded)
        except BadData:
            continue


def _candidate(card: Card, container: Container, encoded: bytes) -> Candidate:
    certificate = load_certificate(encoded)
    usages = _value(certificate, x509.ExtendedKeyUsage)
    usage = _value(certificate, x509.KeyUsage)
    return Candidate(
        reader=card.reader,
        container=container.name,
        reference=container.entry.reference,
        thumbprint=thumbprint(encoded),
        subject=tuple(part.rfc4514_string() for part in certificate.subject.rdns),
        name=short_name(certificate.subject),
        upn=upn_of(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_spec=container.key_spec,
        is_default=container.is_default,
        is_ec=not isinstance(certificate.public_key(), rsa.RSAPublicKey),
        signs=usage is None or usage.digital_signature,
        usages=None if usages is None else frozenset(oid.dotted_string for oid in usages),
        template=template_of(certificate),
    )


def _value(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def upn_of(certificate: x509.Certificate) -> str:
    """The user principal name in the subject alternative names, or ""."""
    names = _value(certificate, x509.SubjectAlternativeName)
    for name in names.get_values_for_type(x509.OtherName) if names else ():
        if name.type_id == _UPN:
            return _text(name.value)
    return ""


def template_of(certificate: x509.Certificate) -> tuple[str, int] | None:
    """Template and its major version: OID and number, or the name of an old one and 0."""
    template = _value(certificate, x509.MSCertificateTemplate)
    if template is not None:
        return template.template_id.dotted_string, template.major_version or 0
    for extension in certificate.extensions:
        if extension.oid == _OLD_TEMPLATE and isinstance(extension.value, x509.UnrecognizedExtension):
            return _text(extension.value.value), 0
    return None


def _text(data: bytes) -> str:
    """The text that a DER string is: UTF8String, or BMPString, as old templates have it."""
    coding = _CODINGS.get(data[0] if data else 0)
    try:
        return der.read(data, data[0])[0].decode(coding) if coding else ""
    except (BadData, UnicodeDecodeError):
        return ""

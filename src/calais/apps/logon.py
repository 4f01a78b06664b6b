"""Which certificates of a card a logon would offer, how each is called there, and why others are not. Pure.

A certificate is offered when it is within its validity, its key is an RSA key of AT_KEYEXCHANGE and signs, it names a
user (UPN), and it is meant for smart card logon. Policy values, one for each, take the limits away.

Source: Microsoft, "Smart card sign-in flow in Windows" and "Smart Card Group Policy and Registry Settings".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from calais.provider.policy import Policy
from calais.win.flags.oids import UsageOid
from calais.win.flags.wincrypt import AT_SIGNATURE

LOGON, CLIENT, ANY_PURPOSE = map(str, (UsageOid.SMARTCARD_LOGON, UsageOid.CLIENT_AUTH, UsageOid.ANY_ENHANCED_KEY_USAGE))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What counts at a logon of one certificate on a card.

    Attributes:
        reader, container, reference: where its key is.
        thumbprint: SHA-1, hexadecimal.
        subject: the parts of the subject in the order in which the certificate has them.
        name: the common name.
        upn: the user principal name, or "".
        not_before, not_after: its validity.
        key_spec: AT_KEYEXCHANGE 1 or AT_SIGNATURE 2.
        is_default: whether its container is the card's default.
        is_ec: whether its key is an elliptic curve key.
        signs: whether its key usage, if it has any, allows digital signatures.
        usages: OIDs of its extended key usage; ``None`` = it has none.
        template: OID or name of its template, and the major version; ``None`` = it has none.
    """

    reader: str
    container: str
    reference: str
    thumbprint: str
    subject: tuple[str, ...]
    name: str
    upn: str
    not_before: datetime
    not_after: datetime
    key_spec: int
    is_default: bool = False
    is_ec: bool = False
    signs: bool = True
    usages: frozenset[str] | None = None
    template: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate; ``label``: what it is called; ``refusals``: why it is not offered, one sentence each."""

    candidate: Candidate
    label: str
    refusals: tuple[str, ...]

    @property
    def offered(self) -> bool:
        """Whether a logon would offer it."""
        return not self.refusals


Judge = Callable[[Candidate, datetime], bool]


def _is_outside(one: Candidate, now: datetime) -> bool:
    return not one.not_before <= now <= one.not_after


def _is_for_others(one: Candidate, _now: datetime) -> bool:
    """Whether its extended key usage names neither logon nor anything wider."""
    return one.usages is not None and not one.usages & {LOGON, CLIENT, ANY_PURPOSE}


def _is_not_just_for_logon(one: Candidate, now: datetime) -> bool:
    return (one.usages is None or LOGON not in one.usages) and not _is_for_others(one, now)


# Why a certificate is refused, and the field and name of the policy value that lets it pass.
LIMITS: tuple[tuple[Judge, str, str, str], ...] = (
    (_is_outside, "outside its validity", "allow_time_invalid", "AllowTimeInvalidCertificates"),
    (
        lambda one, _: one.key_spec == AT_SIGNATURE and not one.is_ec,  # elliptic keys have another limit
        "a key for signatures only (AT_SIGNATURE)",
        "allow_signature_only_keys",
        "AllowSignatureOnlyKeys",
    ),
    (lambda one, _: not one.signs, "its key usage has no digital signature", "", ""),
    (lambda one, _: not one.upn, "it names no user (UPN)", "user_name_hints", "X509HintsNeeded"),
    (_is_not_just_for_logon, "not marked for smart card logon", "allow_no_eku", "AllowCertificatesWithNoEKU"),
    (_is_for_others, "its extended key usage is for other things", "", ""),
    (lambda one, _: one.is_ec, "an elliptic curve key", "enumerate_ecc", "EnumerateECCCerts"),
)


def offers(candidates: Iterable[Candidate], policy: Policy, now: datetime) -> list[Offer]:
    """Each candidate with the answer of a logon, in the order given.

    Args:
        candidates: the certificates of the inserted cards.
        policy: the values in force.
        now: the time, UTC.
    """
    judged = [Offer(one, label(one, policy), tuple(_refusals(one, policy, now))) for one in candidates]
    return _without_duplicates(judged) if policy.filter_duplicates else judged


def _refusals(one: Candidate, policy: Policy, now: datetime) -> Iterable[str]:
    for applies, reason, field, name in LIMITS:
        if applies(one, now) and not (field and getattr(policy, field)):
            yield f"{reason}; {name} is off" if name else reason


def label(one: Candidate, policy: Policy) -> str:
    """What a person sees: name and UPN; without a UPN the whole subject, back to front by ReverseSubject."""
    if one.upn:
        return f"{one.name} ({one.upn})"
    return ", ".join(reversed(one.subject) if policy.reverse_subject else one.subject)


def _without_duplicates(judged: Sequence[Offer]) -> list[Offer]:
    """Of offers with the same card, template and user only the best: the default one, else the last to expire."""
    best: dict[object, Offer] = {}
    for offer in judged:
        kind = _kind(offer)
        if offer.offered and kind and (kind not in best or _rank(offer) > _rank(best[kind])):
            best[kind] = offer
    return [_superseded(offer, best.get(_kind(offer))) for offer in judged]


def _kind(offer: Offer) -> object:
    one = offer.candidate
    return one.template and (one.reader, one.template, one.upn.casefold())


def _rank(offer: Offer) -> tuple[bool, datetime]:
    return offer.candidate.is_default, offer.candidate.not_after


def _superseded(offer: Offer, best: Offer | None) -> Offer:
    if not offer.offered or best is None or offer is best:
        return offer
    reason = f"{best.candidate.reference or best.candidate.container} has a better one; FilterDuplicateCerts is on"
    return Offer(offer.candidate, offer.label, (reason,))

"""Root certificates of cards: from ``msroots`` into the machine's ``SmartCardRoot`` store, and out again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature

from calais.apps.certificates import load_certificate
from calais.apps.propagation.rootplan import Marks, RootAction, RootOnCard, RootStep, plan_roots
from calais.minidriver.api import Minidriver
from calais.minidriver.files import FILE_ROOTS, expand_certificate
from calais.provider.card import Card
from calais.provider.policy import Policy
from calais.store.formats.pkcs7 import parse_certificates
from calais.store.objects import CertificateStore
from calais.win.errors import BadData, NotAuthenticated, NotFound, Unsupported, WinError
from calais.win.flags.crypt32 import AddDisposition, PropId
from calais.win.structs import SmartCardRootInfo

DIRECTORY = "mscp"
NO_AUDIT_SESSION = "4294967295"


def propagate_roots(cards: Sequence[Card], store: CertificateStore, policy: Policy, luid: int) -> list[RootStep]:
    """Bring the roots of ``cards`` into ``store``, and take out what policy wants out; what was done.

    Args:
        cards: every card that is inserted.
        store: the machine's ``SmartCardRoot`` store.
        policy: EnableRootCertificatePropagation and RootCertificateCleanupOption.
        luid: which logon this is (see ``logon_id``).

    Raises:
        WinError: what the store does. A card whose roots cannot be read is a step of its own.
    """
    found = [root for card in cards for root in roots_of(card)] if policy.propagation_roots else []
    present = frozenset(card.card_id for card in cards)
    steps = plan_roots(found, _known(store), present=present, luid=luid, clean_up=policy.propagation_root_cleanup)
    for step in steps:
        _apply(step, store)
    return steps


def roots_of(card: Card) -> Iterator[RootOnCard]:
    """The certificates of the card's ``msroots``, if it has that file and everybody may read it."""
    try:
        data = card.run(_read)
        items = parse_certificates(expand_certificate(data)) if data else []
    except WinError as error:
        yield RootOnCard(b"", b"", card.card_id, f"the roots of {card.label} cannot be read: {error.detail}")
        return
    for item in items:
        sha1 = hashlib.sha1(item.encoded, usedforsecurity=False).digest()
        yield RootOnCard(sha1, item.encoded, card.card_id, _problem(item.encoded))


def _read(driver: Minidriver) -> bytes:
    try:
        return driver.read_file(DIRECTORY, FILE_ROOTS) if FILE_ROOTS in driver.enum_files(DIRECTORY) else b""
    except (NotFound, NotAuthenticated, Unsupported):
        return b""


def _problem(der: bytes) -> str:
    """Why a certificate is not a root, or ""."""
    try:
        certificate = load_certificate(der)
        if certificate.subject != certificate.issuer:
            return "issued by another authority"
        certificate.verify_directly_issued_by(certificate)
    except BadData:
        return "it cannot be read"
    except (InvalidSignature, TypeError, ValueError):
        return "its own key did not sign it"
    return ""


def _known(store: CertificateStore) -> dict[bytes, tuple[bytes, Marks]]:
    known = {}
    for each in store:
        marks = each.get(PropId.SMART_CARD_ROOT_INFO)
        if marks is not None:
            known[each.sha1] = each.der, tuple(SmartCardRootInfo.list_from_bytes(marks))
    return known


def _apply(step: RootStep, store: CertificateStore) -> None:
    if step.action is RootAction.FILTERED:
        return
    present = store.get(step.sha1)
    if step.action is RootAction.REMOVED:
        if present is not None:
            present.delete()
        return
    marks = SmartCardRootInfo.list_to_bytes(step.marks)
    if present is None or present.get(PropId.SMART_CARD_ROOT_INFO) != marks:
        inherit = AddDisposition.REPLACE_EXISTING_INHERIT_PROPERTIES
        store.add(step.der, inherit, {PropId.SMART_CARD_ROOT_INFO: marks})


def logon_id() -> int:
    """A number for this logon: the same until the machine starts anew or this user's session ends, 63 bits."""
    session = _content("/proc/self/sessionid")
    if session in ("", NO_AUDIT_SESSION):
        session = os.environ.get("XDG_SESSION_ID", "")
    boot = _content("/proc/sys/kernel/random/boot_id")
    return int.from_bytes(hashlib.sha256(f"{boot}/{session}".encode()).digest()[:8], "big") >> 1


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""

"""Reading a card for its examination, and trying its keys.

A key is tried by signing random bytes, decrypting or agreeing on a secret, each compared with what the certificate's
public key says. A PIN that is refused, missing or blocked ends the trials of keys that want one: no second try is
spent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.apps.certificates import load_public_key
from calais.apps.scinfo.examine import CardFacts, Check, ContainerFacts, KeyTrial
from calais.apps.scinfo.objects import parse_security_object
from calais.cards.piv import edge, objects, spec
from calais.cards.piv.driver import PivMinidriver
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import PinStatus, Role
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.keys import CardEcKey, CardEd25519Key, CardRsaKey, key_for
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    Cancelled,
    CardRemoved,
    CardReset,
    NoCard,
    NotAuthenticated,
    NotFound,
    PinBlocked,
    ReaderUnavailable,
    SilentContext,
    Unsupported,
    WinError,
    WrongPin,
)

AT_KEYEXCHANGE = 1
OPEN_OBJECTS = (spec.TAG_CHUID, spec.TAG_DISCOVERY, spec.TAG_SECURITY_OBJECT)
BOUND_SLOTS = ("9A", "9E")  # their certificates name the card
SIGNING_SLOTS = ("9A", "9C", "9E")  # their EC keys are for ECDSA alone (SP 800-78-4, table 3-1)
GONE = (CardRemoved, CardReset, NoCard, ReaderUnavailable)
PIN_TROUBLE = (WrongPin, PinBlocked, Cancelled, SilentContext, NotAuthenticated)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A container as it is and as its key behaved."""

    container: Container
    facts: ContainerFacts


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was read and tried; ``pin_trouble``: why keys that want the PIN were not tried (any more)."""

    facts: CardFacts
    containers: Sequence[Surveyed]
    pin: PinStatus | None
    pin_trouble: WinError | None = None


def survey(card: Card, *, use_pin: bool, issuers: Sequence[bytes] = ()) -> Survey:
    """Read ``card`` and try its keys.

    Args:
        card: the card.
        use_pin: whether keys that want a PIN are tried; the card's prompt is then asked.
        issuers: certificates (DER) of authorities.

    Raises:
        CardRemoved, CardReset: the card is gone.
        WinError: the card cannot be read at all.
    """
    pin = _pin_status(card)
    contents = card.run(lambda driver: _objects(driver, OPEN_OBJECTS))
    trials = _Trials(use_pin=use_pin)
    containers = []
    for container in card.refresh(probe_keys=True):
        where = container.entry.reference or container.name
        containers.append(_surveyed(container, where, trials))
    if use_pin and trials.trouble is None:
        contents |= card.run(lambda driver: _objects(driver, _vouched_for(contents)))
    facts = CardFacts([each.facts for each in containers], contents, issuers)
    return Survey(facts, containers, pin, trials.trouble)


def _pin_status(card: Card) -> PinStatus | None:
    try:
        return card.pin_status()
    except GONE:
        raise
    except WinError:
        return None


def _objects(driver: Minidriver, tags: Sequence[int]) -> dict[int, bytes | None]:
    """The contents of objects; read from the card anew; those that want a PIN are left out."""
    if not isinstance(driver, PivMinidriver):
        return {}
    found: dict[int, bytes | None] = {}
    for tag in tags:
        try:
            answer = edge.get_data(driver.tx, tag)
        except NotAuthenticated:
            continue
        found[tag] = _content(answer, tag)
    return found


def _content(answer: bytes | None, tag: int) -> bytes | None:
    """What is inside an object; the whole answer when it is not what it should be, for the examination to say so."""
    try:
        return objects.content_of(answer, tag) if answer else None
    except BadData:
        return answer


def _vouched_for(contents: dict[int, bytes | None]) -> list[int]:
    """The objects whose hashes the Security Object holds and that are not read yet."""
    content = contents.get(spec.TAG_SECURITY_OBJECT)
    try:
        containers = parse_security_object(content).hashes if content else {}
    except BadData:
        return []
    return [item.tag for item in spec.OBJECTS.values() if item.container in containers and item.tag not in contents]


def _surveyed(container: Container, where: str, trials: _Trials) -> Surveyed:
    try:
        certificate = container.certificate
    except BadData:
        certificate = b""
    facts = ContainerFacts(where, certificate, binds_card=where in BOUND_SLOTS)
    return Surveyed(container, replace(facts, trial=trials.of(container, certificate)))


class _Trials:
    """The trials of one card's keys; the first trouble with a PIN is the last."""

    def __init__(self, *, use_pin: bool) -> None:
        self.use_pin = use_pin
        self.trouble: WinError | None = None

    def of(self, container: Container, certificate: bytes | None) -> KeyTrial:
        """Try one key."""
        wants_pin = container.pin_id != Role.EVERYONE
        if wants_pin and not self.use_pin:
            return KeyTrial(reason="it wants the PIN, and none was given")
        if wants_pin and self.trouble is not None:
            return KeyTrial(reason=self.trouble.detail or self.trouble.name)
        try:
            public = load_public_key(certificate) if certificate else container.public_key
            return try_key(container, public)
        except PIN_TROUBLE as error:
            self.trouble = error
            return KeyTrial(reason=error.detail or error.name)
        except (BadData, NotFound, Unsupported) as error:
            return KeyTrial(reason=error.detail or error.name)


def try_key(container: Container, public: PublicKeyTypes) -> KeyTrial:
    """Use a key in each way it is made for, and compare with ``public``, its certificate's key.

    Raises:
        WrongPin, PinBlocked, Cancelled, SilentContext, NotAuthenticated: the PIN.
        CardRemoved, CardReset: the card is gone.
        Unsupported: a kind of key that cannot be tried.
    """
    trial = KeyTrial()
    for kind, attempt in _attempts(container, public):
        check, reason = _outcome(attempt)
        trial = replace(trial, **{kind: check}, reason=trial.reason or reason)
    done = {trial.sign, trial.decrypt} - {Check.NOT_TRIED}
    if Check.WRONG in done:
        return replace(trial, match=Check.WRONG)
    return replace(trial, match=Check.OK if Check.OK in done else Check.NOT_TRIED)


def _outcome(attempt: Callable[[], bool]) -> tuple[Check, str]:
    try:
        return (Check.OK, "") if attempt() else (Check.WRONG, "the result does not fit the certificate")
    except (*GONE, *PIN_TROUBLE):
        raise
    except WinError as error:
        if error.code == Code.NTE_BAD_SIGNATURE:
            return Check.WRONG, error.detail
        return Check.FAILED, error.detail or error.name


def _attempts(container: Container, public: PublicKeyTypes) -> Iterator[tuple[str, Callable[[], bool]]]:
    key = key_for(container, public)
    message = os.urandom(32)
    yield "sign", lambda: _signs(key, message)
    if container.key_spec == AT_KEYEXCHANGE and isinstance(key, CardRsaKey):
        yield "decrypt", lambda: _decrypts(key, message)
    elif container.entry.reference not in SIGNING_SLOTS and isinstance(key, CardEcKey):
        yield "decrypt", lambda: _agrees(key)


def _signs(key: CardRsaKey | CardEcKey | CardEd25519Key, message: bytes) -> bool:
    public = key.public_key()
    try:
        if isinstance(key, CardRsaKey) and isinstance(public, rsa.RSAPublicKey):
            public.verify(
                key.sign(message, padding.PKCS1v15(), hashes.SHA256()), message, padding.PKCS1v15(), hashes.SHA256()
            )
        elif isinstance(key, CardEcKey) and isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(key.sign(message, ec.ECDSA(hashes.SHA256())), message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, CardEd25519Key) and isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(key.sign(message), message)
    except InvalidSignature:
        return False
    return True


def _decrypts(key: CardRsaKey, message: bytes) -> bool:
    """A block for another key has a random padding when decrypted: that is a mismatch, not a fault of the card."""
    block = key.public_key().encrypt(message, padding.PKCS1v15())
    try:
        return key.decrypt(block, padding.PKCS1v15()) == message
    except WinError as error:
        if error.code == Code.SCARD_F_INTERNAL_ERROR:
            return False
        raise


def _agrees(key: CardEcKey) -> bool:
    ephemeral = ec.generate_private_key(key.curve)
    return key.exchange(ec.ECDH(), ephemeral.public_key()) == ephemeral.exchange(ec.ECDH(), key.public_key())

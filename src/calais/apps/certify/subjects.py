"""What is certified: the card in a reader, or a driver class on a card made for the occasion."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from inspect import signature

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from calais.apps.certify.trial import Secrets, Subject
from calais.cards.base import BytesMemory, VirtualCard
from calais.cards.piv import spec
from calais.cards.piv.card_authority import Authority, default_keys
from calais.cards.piv.card_keys import PrivateKey
from calais.cards.piv.personalise import new_card, virtual_card
from calais.cards.registry import identify
from calais.minidriver.api import Minidriver
from calais.minidriver.data import Find
from calais.minidriver.memo import CardMemo
from calais.minidriver.pins import Pin
from calais.resource.readers import Reader
from calais.resource.virtual import FilePort
from calais.transport.base import Transaction
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import BadParameter

PIN, PUK = "123456", "12345678"


def of_reader(
    reader: Reader,
    secrets: Secrets,
    *,
    policy: Mapping[str, object] | None = None,
    destructive: bool = False,
    drive: Find | None = None,
) -> Subject:
    """The card in ``reader``, with the driver that is found for it, or with ``drive``."""
    return Subject(
        reader.name,
        reader.port.connect,
        drive or partial(identify, policy=policy or {}),
        secrets,
        destructive,
        ("-m", "calais.apps.certify.observation", reader.name),
        keeps_power=not isinstance(reader.port, FilePort),
    )


def of_class(name: str, *, policy: Mapping[str, object] | None = None) -> Subject:
    """The driver class ``name`` (``package.module:Class``), on a virtual card that lives in this process only.

    The card is the PIV card of ``scratch_piv``; since nobody else's card is touched, everything is tried.

    Raises:
        BadParameter: there is no such class, or it is no minidriver.
    """
    return on_card(load(name), scratch_piv(), name, policy=policy)


def on_card(
    kind: type[Minidriver],
    card: VirtualCard,
    title: str,
    *,
    policy: Mapping[str, object] | None = None,
    secrets: Secrets | None = None,
) -> Subject:
    """The driver ``kind`` on a virtual card in this process."""
    given = secrets or Secrets(Pin(PIN), Pin(PUK), spec.DEFAULT_MANAGEMENT_KEY)
    return Subject(title, lambda: LoopbackTransport(card), driving(kind, policy or {}), given, destructive=True)


def driving(kind: type[Minidriver], policy: Mapping[str, object]) -> Find:
    """What makes a driver of class ``kind``; the policy is handed over to those that take one."""
    make: Callable[..., Minidriver] = kind
    takes_policy = len(signature(kind).parameters) > 2

    def drive(tx: Transaction, memo: CardMemo) -> Minidriver:
        return make(tx, memo, policy) if takes_policy else make(tx, memo)

    return drive


def load(name: str) -> type[Minidriver]:
    """The driver class ``package.module:Class``.

    Raises:
        BadParameter: there is none.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise BadParameter(detail=f"{name!r} names no class", next_step="Write it as package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadParameter(detail=f"there is no driver class {name!r}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Minidriver)):
        raise BadParameter(detail=f"{name!r} is no subclass of calais.minidriver.api.Minidriver")
    return found


def scratch_piv(rsa_key: rsa.RSAPrivateKey | None = None) -> VirtualCard:
    """A PIV card with every kind of key that checks ask for: RSA in 9A (``rsa_key``, or a new one of 2048 bits), P-256 in
    9C and 9D; the PIN is 123456.
    """
    now = datetime.now(UTC)
    authority = Authority.create("Calais Certify CA", os.urandom, now)
    keys: dict[int, PrivateKey] = {
        spec.REF_PIV_AUTH: rsa_key or rsa.generate_private_key(65537, 2048),
        spec.REF_SIGNATURE: ec.generate_private_key(ec.SECP256R1()),
        spec.REF_KEY_MANAGEMENT: ec.generate_private_key(ec.SECP256R1()),
    }
    memory = BytesMemory()
    made = default_keys(os.urandom, now, authority, known=keys)
    new_card(memory, os.urandom, pin=PIN, puk=PUK, keys=made, now=now)
    return virtual_card(memory, os.urandom)

"""A virtual GIDS card on the desk, and our side of it: for tests of the minidriver."""

from __future__ import annotations

from contextlib import contextmanager

from pivdesk import Desk, Dice, certificate, der, p256, rsa_key

from calais.cards.base import BytesMemory
from calais.cards.gids.personalise import new_gids_card, virtual_card
from calais.minidriver.pins import Pin

CARD_ID = bytes.fromhex("C0FFEE00112233445566778899AABBCC")
PIN, PUK = Pin("123456"), Pin("87654321")
ADMIN_KEY = bytes(range(1, 25))
NAMES = ("First container", "Second container", "Third", "Fourth")
USER_ROLE, ADMIN_ROLE = 1, 2

__all__ = [
    "ADMIN_KEY", "ADMIN_ROLE", "CARD_ID", "NAMES", "PIN", "PUK", "USER_ROLE", "Desk", "Dice",
    "admin", "certificate", "der", "four_keys", "new_desk", "p256", "rsa_key", "user",
]  # fmt: skip


def new_desk(*, policy=None, short=False, memory=None, **options):
    """A fresh card on the desk; ``options`` as ``personalise.new_gids_card``."""
    options.setdefault("keys", ())
    options.setdefault("card_id", CARD_ID)
    options.setdefault("admin_key", ADMIN_KEY)
    memory = BytesMemory() if memory is None else memory
    dice = Dice()
    new_gids_card(memory, dice, extended=not short, **options)
    return Desk(virtual_card(memory, dice), policy or {})


def four_keys(size=1500):
    """P-256 keys: exchange, signature, exchange, exchange; certificates of about ``size`` bytes."""
    keys = [p256() for _ in NAMES]
    specs = (6, 3, 6, 6)
    return [
        (name, spec, key, certificate(key, f"holder {name}", size=size))
        for name, spec, key in zip(NAMES, specs, keys, strict=True)
    ]


@contextmanager
def user(desk):
    """A driver with the user's PIN presented."""
    with desk.driver() as driver:
        driver.authenticate(1, PIN)
        yield driver


@contextmanager
def admin(desk):
    """A driver with the administrator's key presented."""
    with desk.driver() as driver:
        driver.authenticate_admin(ADMIN_KEY)
        yield driver

"""Virtual cards for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from calais.cards.base import BytesMemory, VirtualCard
from calais.cards.gids import personalise as gids
from calais.cards.piv import spec
from calais.cards.piv.card_authority import default_keys
from calais.cards.piv.card_keys import PrivateKey
from calais.cards.piv.image import load_image
from calais.cards.piv.personalise import MADE, Keys, new_card, virtual_card
from calais.testing.seeds import seeded, seeded_rsa_key
from calais.win.errors import BadParameter

NO_GUID = bytes(spec.GUID_SIZE)  # a CHUID whose GUID is not filled: the card then has no names of its own


def virtual_piv(  # noqa: PLR0913 - each is an independent property of a card
    *,
    pin: str = "123456",
    puk: str = "12345678",
    management_key: bytes = spec.DEFAULT_MANAGEMENT_KEY,
    management_key_algorithm: str | None = None,
    keys: Keys | None = None,
    chuid_guid: bytes | None = None,
    container_names: str = "windows",
    read_only: bool = False,
    extended: bool = True,
    seed: int | str | bytes | None = None,
    image: Path | str | None = None,
) -> VirtualCard:
    """A virtual PIV card in memory.

    Args:
        pin: 6 to 8 digits.
        puk: 6 to 8 characters.
        management_key: 16, 24 or 32 bytes.
        management_key_algorithm: ``"3DES"``, ``"AES128"``, ``"AES192"`` or ``"AES256"``; told by the length if not
            given, 24 = 3DES.
        keys: ``{0x9A: (private_key, certificate or None), …}``; by default RSA-2048 in 9A and 9D and P-256 in 9C, with
            certificates from a test authority.
        chuid_guid: 16 bytes as in tag 34; ``b""`` = no CHUID at all; ``None`` = random.
        container_names: ``"volatile"`` makes the names change at every enumeration (a CHUID without a GUID).
        read_only: the card has no management key.
        extended: whether it knows extended lengths.
        seed: makes the card's randomness reproducible, but for the RSA keys that it generates itself.
        image: a folder with the contents of a real card.

    Raises:
        BadParameter: a value that a card cannot have.
    """
    if container_names not in ("windows", "volatile"):
        raise BadParameter(detail=f'container_names is "windows" or "volatile", not {container_names!r}')
    if container_names == "volatile" and not chuid_guid:
        chuid_guid = NO_GUID if chuid_guid is None else b""
    elif container_names == "volatile":
        raise BadParameter(detail="a card with a CHUID GUID has stable container names")
    random = seeded(seed)
    memory = BytesMemory()
    new_card(
        memory,
        random,
        pin=pin,
        puk=puk,
        management_key=management_key,
        management_key_algorithm=management_key_algorithm,
        keys=_default_keys(random, seed) if keys is None and image is None else keys,
        chuid_guid=chuid_guid,
        read_only=read_only,
        extended=extended,
        image=None if image is None else load_image(image),
    )
    return virtual_card(memory, random)


def virtual_gids(  # noqa: PLR0913 - each is an independent property of a card
    *,
    pin: str = "123456",
    puk: str | None = None,
    admin_key: bytes | None = bytes(24),
    admin_key_algorithm: str | None = None,
    keys: gids.Keys | None = None,
    card_id: bytes | None = None,
    read_only: bool = False,
    session_pins: bool = True,
    blank: bool = False,
    contactless: bool = False,
    extended: bool = True,
    seed: int | str | bytes | None = None,
) -> VirtualCard:
    """A virtual GIDS card in memory.

    Args:
        pin: 4 to 16 characters.
        puk: 4 to 16 characters; by default there is none.
        admin_key: 24 bytes of 3DES, or 16, 24 or 32 of AES; ``None`` = a card without one.
        admin_key_algorithm: ``"3DES"`` or ``"AES"``; told by the length if not given, 24 = 3DES.
        keys: ``[(container_name or None, key_spec, private_key, certificate or None), …]``; the first is the default
            container. By default one RSA-2048 exchange key with a certificate from a test authority.
        card_id: 16 bytes; ``None`` = random.
        read_only: nothing but the PIN can be changed.
        session_pins: whether the card makes session PINs.
        blank: the applet can be selected and waits for its initialisation.
        contactless: the card is reached over its contactless interface.
        extended: whether it knows extended lengths.
        seed: makes the card's randomness reproducible, but for the RSA keys that it generates itself.

    Raises:
        BadParameter: a value that a card cannot have.
    """
    random = seeded(seed)
    known = None if seed is None or keys is not None else seeded_rsa_key(seed, "GIDS")
    memory = BytesMemory()
    gids.new_gids_card(
        memory,
        random,
        pin=pin,
        puk=puk,
        admin_key=admin_key,
        admin_key_algorithm=admin_key_algorithm,
        keys=gids.default_keys(random, gids.MADE, known=known) if keys is None else keys,
        card_id=card_id,
        read_only=read_only,
        session_pins=session_pins,
        blank=blank,
        contactless=contactless,
        extended=extended,
    )
    return gids.virtual_card(memory, random)


@cache
def test_rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The RSA-2048 key called ``name`` of this process."""
    del name
    return rsa.generate_private_key(65537, 2048)


test_rsa_key.__test__ = False  # type: ignore[attr-defined]  # its name begins as a test's does


def _default_keys(random: Callable[[int], bytes], seed: int | str | bytes | None) -> Keys:
    known: dict[int, PrivateKey] = {}
    if seed is not None:
        known = {ref: seeded_rsa_key(seed, f"{ref:02X}") for ref in (spec.REF_PIV_AUTH, spec.REF_KEY_MANAGEMENT)}
    return default_keys(random, MADE, known=known)

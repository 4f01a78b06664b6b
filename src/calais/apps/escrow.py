"""PUKs kept by an administrator, and released for one use to one card's holder far away.

**Kept.** The escrow has a key pair (X25519). Whoever personalises cards needs only the public key to store a PUK, sealed
for the card's id; only the holder of the private key, which lies in the escrow under a password, gets it out.

**Released.** The cardholder's computer makes a key pair for this one release; its public key, 32 bytes, is the
challenge. The administrator's side seals the PUK with the secret that both can compute. What goes over the phone in
either direction shows nothing about the PUK, also to somebody who steals card, computer or both later, because the
private half of the challenge lives in the memory of one process and dies with it. Nobody without the escrow's private
key can make an answer that is accepted: it is checked before the card is asked, so that a wrong one costs no try.

    secret  = X25519(one side's private key, the other side's public key)
    key     = HKDF-SHA-256(secret, info = purpose ‖ challenge ‖ public key of the escrow ‖ card id)
    release = (PUK padded with FF to 8) ⊕ key[0:8] ‖ HMAC-SHA-256(key[8:40], that)[0:8]
    sealed  = ephemeral public key ‖ AES-256-GCM(key, nonce 0, padded PUK)

Each key is used for one message, so the pad is used once and the nonce may be constant. docs/adr/0012 has the reasons.

Source: RFC 7748 (X25519), RFC 5869 (HKDF), RFC 9180, 9.8 (answers under an exported secret), NIST SP 800-38D; RFC 7914.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from calais.minidriver.challenge import CARD_ID_SIZE
from calais.minidriver.pins import Pin
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, BadParameter, NotFound

KEY_SIZE = 32
PUK_SIZE = 8
PUK_PAD = b"\xff"
MARK_SIZE = 8  # bytes of the release's authentication: one guess in 2**64
RELEASE_SIZE = PUK_SIZE + MARK_SIZE
SEALED_SIZE = KEY_SIZE + PUK_SIZE + 16
NONCE = bytes(12)
SALT_SIZE = 16
LOCKED_SIZE = KEY_SIZE + 16
SCRYPT_LOG_N = 15  # 32 MiB and about 0.1 s
SCRYPT_LOG_N_MAX = 20
PURPOSE_RELEASE, PURPOSE_SEAL = b"Calais PUK release 1", b"Calais PUK escrow 1"

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class LockedKey:
    """The escrow's private key under a password: scrypt (r 8, p 1, n 2**``log_n``) and AES-256-GCM."""

    salt: bytes
    log_n: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One card's PUK, ``sealed``; ``label`` and ``stored`` (time, UTC) are for people."""

    sealed: bytes = field(repr=False)
    label: str = ""
    stored: str = ""


@dataclass(frozen=True, slots=True)
class Escrow:
    """An escrow: its public key (32 bytes), its private key under a password, and the cards by their id."""

    public_key: bytes
    private_key: LockedKey
    cards: dict[bytes, Entry] = field(default_factory=dict)

    def with_card(self, card_id: bytes, entry: Entry) -> Escrow:
        """This escrow and one card more, or one card's entry replaced."""
        return replace(self, cards=self.cards | {card_id: entry})

    def entry(self, card_id: bytes) -> Entry:
        """What is kept for a card.

        Raises:
            NotFound: nothing.
        """
        found = self.cards.get(card_id)
        if found is None:
            raise NotFound(Code.ERROR_NOT_FOUND, f"the escrow has no PUK for card {card_id.hex().upper()}")
        return found


# --- keys ------------------------------------------------------------------------------------------------------------


def new_escrow(password: bytes, random: Random) -> Escrow:
    """An empty escrow with a new key pair."""
    private = X25519PrivateKey.from_private_bytes(random(KEY_SIZE))
    salt = random(SALT_SIZE)
    public = private.public_key().public_bytes_raw()
    sealed = _lock(password, salt, SCRYPT_LOG_N).encrypt(NONCE, private.private_bytes_raw(), public)
    return Escrow(public, LockedKey(salt, SCRYPT_LOG_N, sealed))


def _lock(password: bytes, salt: bytes, log_n: int) -> AESGCM:
    return AESGCM(Scrypt(salt, KEY_SIZE, 2**log_n, 8, 1).derive(password))


def unlock(escrow: Escrow, password: bytes) -> X25519PrivateKey:
    """The escrow's private key.

    Raises:
        AccessDenied: the password is wrong.
    """
    locked = escrow.private_key
    try:
        raw = _lock(password, locked.salt, locked.log_n).decrypt(NONCE, locked.sealed, escrow.public_key)
    except InvalidTag as error:
        raise AccessDenied(Code.NTE_INCORRECT_PASSWORD, "the escrow's password is wrong") from error
    return X25519PrivateKey.from_private_bytes(raw)


def _key(
    private: X25519PrivateKey,
    other: bytes,
    size: int,
    *,
    purpose: bytes,
    ephemeral: bytes,
    escrow: bytes,
    card_id: bytes,
) -> bytes:
    _check_size("a card id", card_id, CARD_ID_SIZE)
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as error:
        raise BadParameter(detail="that is no public key: the secret would be known to everybody") from error
    return HKDF(hashes.SHA256(), size, None, purpose + ephemeral + escrow + card_id).derive(secret)


def _check_size(what: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise BadParameter(detail=f"{what} has {size} bytes, not {len(value)}")


# --- keeping ---------------------------------------------------------------------------------------------------------


def _padded(puk: Pin) -> bytes:
    if not 0 < len(puk) <= PUK_SIZE or puk.value.endswith(PUK_PAD):
        raise BadParameter(detail=f"the escrow keeps PUKs of 1 to {PUK_SIZE} characters")
    return puk.value.ljust(PUK_SIZE, PUK_PAD)


def seal(public_key: bytes, card_id: bytes, puk: Pin, random: Random) -> bytes:
    """``puk`` so that only the escrow's private key opens it, and only for this card.

    Raises:
        BadParameter: no PUK that can be kept, or no card id.
    """
    ephemeral = X25519PrivateKey.from_private_bytes(random(KEY_SIZE))
    public = ephemeral.public_key().public_bytes_raw()
    key = _key(
        ephemeral, public_key, KEY_SIZE, purpose=PURPOSE_SEAL, ephemeral=public, escrow=public_key, card_id=card_id
    )
    return public + AESGCM(key).encrypt(NONCE, _padded(puk), None)


def unseal(private: X25519PrivateKey, card_id: bytes, sealed: bytes) -> Pin:
    """The PUK in ``sealed``.

    Raises:
        BadData: sealed for another card or escrow, or altered.
    """
    public, own = sealed[:KEY_SIZE], private.public_key().public_bytes_raw()
    try:
        key = _key(private, public, KEY_SIZE, purpose=PURPOSE_SEAL, ephemeral=public, escrow=own, card_id=card_id)
        padded = AESGCM(key).decrypt(NONCE, sealed[KEY_SIZE:], None)
    except (InvalidTag, BadParameter) as error:
        raise BadData(Code.NTE_DECRYPTION_FAILURE, "the escrow's entry is not of this card, or was altered") from error
    return Pin(padded.rstrip(PUK_PAD))


# --- releasing -------------------------------------------------------------------------------------------------------


def release(private: X25519PrivateKey, card_id: bytes, challenge: bytes, puk: Pin) -> bytes:
    """The administrator's answer to ``challenge``: the PUK for the one who made the challenge, 16 bytes.

    Raises:
        BadParameter: no challenge, card id or PUK.
    """
    _check_size("a challenge for an escrowed PUK", challenge, KEY_SIZE)
    own = private.public_key().public_bytes_raw()
    key = _release_key(private, challenge, challenge=challenge, escrow=own, card_id=card_id)
    sealed = _xor(_padded(puk), key)
    return sealed + _mark(key, sealed)


def _release_key(private: X25519PrivateKey, other: bytes, *, challenge: bytes, escrow: bytes, card_id: bytes) -> bytes:
    size = PUK_SIZE + KEY_SIZE
    return _key(private, other, size, purpose=PURPOSE_RELEASE, ephemeral=challenge, escrow=escrow, card_id=card_id)


def _xor(data: bytes, key: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(data, key[:PUK_SIZE], strict=True))


def _mark(key: bytes, sealed: bytes) -> bytes:
    return hmac.digest(key[PUK_SIZE:], sealed, "sha256")[:MARK_SIZE]


class Request:
    """The cardholder's side: a challenge, and the only thing that opens the answer to it.

    Args:
        escrow_key: public key of the escrow, 32 bytes.
        card_id: of the card that is to be unblocked.
        random: source of the key pair.
    """

    def __init__(self, escrow_key: bytes, card_id: bytes, random: Random) -> None:
        _check_size("the public key of an escrow", escrow_key, KEY_SIZE)
        self._private: X25519PrivateKey | None = X25519PrivateKey.from_private_bytes(random(KEY_SIZE))
        self.challenge = self._private.public_key().public_bytes_raw()
        self._escrow_key, self._card_id = escrow_key, card_id

    def open(self, answer: bytes) -> Pin:
        """The PUK that ``answer`` releases; a challenge is good for one answer that is right.

        Raises:
            BadData: not an answer to this challenge, for this card, by this escrow.
        """
        if self._private is None:
            raise BadData(Code.NTE_DECRYPTION_FAILURE, "this challenge has been answered; a challenge is good once")
        key = _release_key(
            self._private, self._escrow_key, challenge=self.challenge, escrow=self._escrow_key, card_id=self._card_id
        )
        sealed, mark = answer[:PUK_SIZE], answer[PUK_SIZE:]
        if not hmac.compare_digest(_mark(key, sealed), mark):
            detail = "the answer is not one to this challenge by the escrow that policy names; no try was used"
            raise BadData(Code.NTE_DECRYPTION_FAILURE, detail, next_step="Start again with a new challenge")
        self._private = None
        return Pin(_xor(sealed, key).rstrip(PUK_PAD))

"""Using the keys of a PIV card: sign, decrypt, agree. The card computes the bare operation; the host pads.

Source: SP 800-73-4 part 2, 3.2.4; SP 800-78-4, 3.1; FIPS 186-4, 6.4 (digests cut to the length of the field).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from calais.cards.piv import edge, listing, spec
from calais.cards.piv.keys import KeyFacts, raw_signature
from calais.cards.piv.spec import Algorithm
from calais.cards.piv.view import CardView
from calais.minidriver.containers import AT_SIGNATURE
from calais.minidriver.padding import DecryptionPadding, SigningPadding, encode_signature, remove_decryption
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported, WinError

_REF_AT = tuple(slot.ref for slot in spec.SLOTS)
_ECDSA_SPECS: dict[int, int] = {Algorithm.P256: 3, Algorithm.P384: 4}  # AT_ECDSA_P256, AT_ECDSA_P384
_ECDH_SPECS: dict[int, int] = {Algorithm.P256: 6, Algorithm.P384: 7}
KEY_SPECS = range(1, 9)
POINT_UNCOMPRESSED = 4
ED25519_SIGNATURE = 64


def facts_for_use(view: CardView, index: int, key_spec: int) -> KeyFacts:
    """What using the key of container ``index`` takes; what is remembered is used as it is.

    A key that was replaced behind our back makes the card refuse, or sign with a key that the certificate does not
    confirm: neither needs an exchange beforehand.

    Raises:
        BadParameter: not a key spec, or not an index.
        NotFound: SCARD_E_NO_KEY_CONTAINER, no key, or not one of this key spec.
    """
    if key_spec not in KEY_SPECS:
        raise BadParameter(detail=f"a key spec is 1 to 8, not {key_spec}")
    slot = listing.slot_at(index)
    facts: KeyFacts = view.memo.keys.get(slot.ref) or listing.learn(view, index)
    if key_spec != listing.key_spec_of(slot) and key_spec not in _specs_of(facts.algorithm, listing.key_spec_of(slot)):
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the key in slot {slot.name} is not of key spec {key_spec}")
    return facts


def _specs_of(algorithm: int, kind: int) -> tuple[int, ...]:
    """The EC key specs that name a key of ``algorithm``: a signature key is for ECDSA alone."""
    if algorithm not in _ECDSA_SPECS:
        return ()
    ecdsa = _ECDSA_SPECS[algorithm]
    return (ecdsa,) if kind == AT_SIGNATURE else (ecdsa, _ECDH_SPECS[algorithm])


def sign(view: CardView, index: int, key_spec: int, data: bytes, padding: SigningPadding) -> bytes:
    """RSA as long as the modulus, ECDSA r‖s, Ed25519 64 bytes; see ``Minidriver.sign``."""
    facts = facts_for_use(view, index, key_spec)
    algorithm, size, ref = facts.algorithm, facts.size, _REF_AT[index]
    if facts.is_rsa:
        block = encode_signature(padding, data, size, view.memo.random)
        return _of_length(_use(view, facts, ref, block, size), size)
    if algorithm in _ECDSA_SPECS:
        if not data:
            raise BadParameter(detail="an empty digest")
        digest = data[:size].rjust(size, b"\0")
        return raw_signature(_use(view, facts, ref, digest, size), size)
    if algorithm == Algorithm.ED25519:
        return _of_length(_use(view, facts, ref, data, ED25519_SIGNATURE), ED25519_SIGNATURE)
    raise Unsupported(detail="an X25519 key does not sign")


def _use(view: CardView, facts: KeyFacts, ref: int, block: bytes, size: int, *, tag: int = spec.TAG_CHALLENGE) -> bytes:
    """``edge.use_key``; when the card refuses a key that others may have replaced, what is remembered of it goes."""
    try:
        return edge.use_key(view.tx, facts.algorithm, ref, block, size, tag=tag)
    except (BadParameter, Unsupported, NotFound):
        if not facts.seen.holds(view.now):
            view.memo.keys.pop(ref, None)
        raise


def _of_length(result: bytes, size: int) -> bytes:
    if len(result) != size:
        raise BadData(detail=f"the card's result has {len(result)} bytes, not {size}", index=min(len(result), size))
    return result


def decrypt(view: CardView, index: int, key_spec: int, data: bytes, padding: DecryptionPadding) -> bytes:
    """The message in ``data``; see ``Minidriver.decrypt``."""
    facts = facts_for_use(view, index, key_spec)
    if not facts.is_rsa:
        raise Unsupported(detail="only RSA keys decrypt")
    if len(data) < facts.size:
        raise WinError(Code.SCARD_E_INSUFFICIENT_BUFFER, f"{len(data)} bytes where the key's {facts.size} are due")
    if len(data) > facts.size:
        raise BadParameter(detail=f"{len(data)} bytes where the key's {facts.size} are due")
    block = _of_length(_use(view, facts, _REF_AT[index], data, facts.size), facts.size)
    return remove_decryption(padding, block)


def agree(view: CardView, index: int, peer_public: bytes) -> bytes:
    """The raw shared secret; see ``Minidriver.agree``."""
    slot = listing.slot_at(index)
    facts: KeyFacts = view.memo.keys.get(slot.ref) or listing.learn(view, index)
    if facts.is_rsa or facts.algorithm == Algorithm.ED25519:
        raise Unsupported(detail=f"the key in slot {slot.name} is not for key agreement")
    _check_peer(facts, peer_public)
    secret = _use(view, facts, slot.ref, peer_public, facts.size, tag=spec.TAG_EXPONENTIATION)
    return _of_length(secret, facts.size)


def _check_peer(facts: KeyFacts, peer: bytes) -> None:
    """The other side's key must be a point on the key's curve, uncompressed; X25519: any 32 bytes."""
    if facts.algorithm == Algorithm.X25519:
        if len(peer) != facts.size:
            raise BadParameter(detail=f"an X25519 public key has {facts.size} bytes, not {len(peer)}")
        return
    key = facts.public_key
    if (
        not isinstance(key, ec.EllipticCurvePublicKey)
        or len(peer) != 1 + 2 * facts.size
        or peer[0] != POINT_UNCOMPRESSED
    ):
        raise BadParameter(detail="the other side's public key is not an uncompressed point of this key's curve")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(key.curve, peer)
    except ValueError as error:
        raise BadParameter(detail="the other side's public key is not on this key's curve") from error

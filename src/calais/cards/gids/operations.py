"""Using the keys of a GIDS card: sign, decrypt, agree.

Two exchanges for an operation: MANAGE SECURITY ENVIRONMENT, and the operation; one when the environment is still set
for the same key and mechanism, which lasts while nobody else can have touched the card. PKCS#1 v1.5 signatures are
padded by the card, which takes less data to it; everything else is padded, or has its padding removed, by the host.

Source: Generic Identity Device Specification v2.0; ISO/IEC 7816-8; FIPS 186-5, 6.4 (digests cut to the field).
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from calais.cards.gids import edge, listing, spec
from calais.cards.gids.keys import ECDH_SPECS, ECDSA_SPECS, KEY_SPECS, KeyFacts, raw_signature
from calais.cards.gids.spec import Mechanism
from calais.cards.gids.view import ENVIRONMENT, CardView
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.minidriver.memo import Evidence
from calais.minidriver.padding import (
    PKCS1_OVERHEAD,
    DecryptionPadding,
    Pkcs1,
    SigningPadding,
    encode_signature,
    remove_decryption,
)
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated, NotFound, Unsupported, WinError

POINT_UNCOMPRESSED = 4
_TYPE_1_HEAD = b"\0\1"
Operation = Callable[[Transaction, bytes], bytes]


def facts_for_use(view: CardView, index: int, key_spec: int) -> KeyFacts:
    """What using the key of container ``index`` takes.

    Raises:
        BadParameter: not a key spec, or not an index.
        NotFound: SCARD_E_NO_KEY_CONTAINER, no key, or not one of this key spec.
    """
    if key_spec not in KEY_SPECS:
        raise BadParameter(detail=f"a key spec is 1 to 8, not {key_spec}")
    facts = listing.learn(view, index)
    if not _fits(facts, key_spec):
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the key of container {index} is not of key spec {key_spec}")
    return facts


def _fits(facts: KeyFacts, key_spec: int) -> bool:
    """Whether ``key_spec`` names the key: its slot, or its curve; a signature key is for ECDSA alone."""
    if key_spec in (AT_KEYEXCHANGE, AT_SIGNATURE):
        return key_spec == facts.key_spec
    if key_spec in ECDSA_SPECS:
        return ECDSA_SPECS[key_spec] == facts.algorithm
    return ECDH_SPECS[key_spec] == facts.algorithm and facts.key_spec == AT_KEYEXCHANGE


def sign(view: CardView, index: int, key_spec: int, data: bytes, padding: SigningPadding) -> bytes:
    """RSA as long as the modulus, ECDSA r‖s; see ``Minidriver.sign``."""
    facts = facts_for_use(view, index, key_spec)
    if not facts.is_rsa:
        if not data:
            raise BadParameter(detail="an empty digest")
        digest = data[: facts.size]
        answer = _use(view, spec.TAG_CRT_SIGNATURE, Mechanism.OFF_CARD, facts, digest, edge.sign)
        return raw_signature(answer, facts.size)
    block = encode_signature(padding, data, facts.size, view.memo.random)
    mechanism = Mechanism.OFF_CARD
    if isinstance(padding, Pkcs1):
        info = block[block.index(b"\0", len(_TYPE_1_HEAD)) + 1 :]
        if 0 < len(info) <= facts.size - PKCS1_OVERHEAD:
            block, mechanism = info, Mechanism.PKCS1_SIGN
    return _of_length(_use(view, spec.TAG_CRT_SIGNATURE, mechanism, facts, block, edge.sign), facts.size)


def _of_length(result: bytes, size: int) -> bytes:
    if len(result) != size:
        raise BadData(detail=f"the card's result has {len(result)} bytes, not {size}", index=min(len(result), size))
    return result


def decrypt(view: CardView, index: int, key_spec: int, data: bytes, padding: DecryptionPadding) -> bytes:
    """The message in ``data``; see ``Minidriver.decrypt``."""
    facts = facts_for_use(view, index, key_spec)
    if not facts.is_rsa:
        raise Unsupported(detail="only RSA keys decrypt")
    if facts.key_spec != AT_KEYEXCHANGE:
        raise BadParameter(detail=f"the key of container {index} is for signatures only")
    if len(data) < facts.size:
        raise WinError(Code.SCARD_E_INSUFFICIENT_BUFFER, f"{len(data)} bytes where the key's {facts.size} are due")
    if len(data) > facts.size:
        raise BadParameter(detail=f"{len(data)} bytes where the key's {facts.size} are due")
    block = _use(view, spec.TAG_CRT_CONFIDENTIALITY, Mechanism.RAW, facts, data, edge.decipher)
    return remove_decryption(padding, _of_length(block, facts.size))


def agree(view: CardView, index: int, peer_public: bytes) -> bytes:
    """The raw shared secret; see ``Minidriver.agree``."""
    facts = listing.learn(view, index)
    if facts.is_rsa or facts.key_spec != AT_KEYEXCHANGE:
        raise Unsupported(detail=f"the key of container {index} is not for key agreement")
    _check_peer(facts, peer_public)
    secret = _use(view, spec.TAG_CRT_AGREEMENT, Mechanism.RAW, facts, peer_public, edge.agree)
    return _of_length(secret, facts.size)


def _check_peer(facts: KeyFacts, peer: bytes) -> None:
    """The other side's key must be a point on the key's curve, uncompressed."""
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


# --- the security environment ----------------------------------------------------------------------------------------


def _use(view: CardView, crt: int, mechanism: int, facts: KeyFacts, data: bytes, operation: Operation) -> bytes:
    """Do ``operation`` on ``data`` in the right environment.

    One that is believed to be set is used without setting it; when the card then refuses for another reason than a
    missing PIN, it is set, and the operation done once more.
    """
    wanted = (crt, mechanism | facts.algorithm, facts.kid)
    if _is_set(view, wanted):
        try:
            return operation(view.tx, data)
        except NotAuthenticated:
            forget_environment(view)
            raise
        except WinError:
            if not view.tx.open:
                raise
    forget_environment(view)
    edge.set_environment(view.tx, *wanted)
    result = operation(view.tx, data)
    view.memo.facts[ENVIRONMENT] = (view.now, wanted)
    return result


def _is_set(view: CardView, wanted: tuple[int, int, int]) -> bool:
    known = view.memo.facts.get(ENVIRONMENT)
    if known is None or edge.USER not in view.tx.volatile.authenticated:
        return False
    seen, environment = known
    return isinstance(seen, Evidence) and seen.holds(view.now) and environment == wanted


def forget_environment(view: CardView) -> None:
    """What the card's security environment is set for is not known any more."""
    view.memo.facts.pop(ENVIRONMENT, None)

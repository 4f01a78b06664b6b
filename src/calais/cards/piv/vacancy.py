"""Whether a slot surely has no key, so that one may be made there without asking anybody.

A card with Yubico's metadata says so. Any other is asked to use the key, once for each algorithm of PIV: what it
answers tells a key that is there (it works, or wants a PIN or a touch) from one that is not. No PIN is presented, so no
try is spent; what a key computes is thrown away, and says nothing about it (a signature of a fixed block, the product
with the curve's base point, which is the public key). Any answer that is neither leaves the slot taken.

Source: SP 800-73-4 part 2, 3.2.4 (GENERAL AUTHENTICATE and its status words); Yubico, "PIV commands".
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.cards.piv import edge, edge_yubico, listing, spec
from calais.cards.piv.spec import Algorithm
from calais.cards.piv.view import CardView
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.win.errors import BadData, NotFound, Unsupported

# In which order: what is found most often first.
_PROBED = (
    Algorithm.RSA_2048,
    Algorithm.P256,
    Algorithm.P384,
    Algorithm.RSA_1024,
    Algorithm.RSA_3072,
    Algorithm.RSA_4096,
)
_CURVES: dict[int, ec.EllipticCurve] = {Algorithm.P256: ec.SECP256R1(), Algorithm.P384: ec.SECP384R1()}
_NOT_SO = (SW.INCORRECT_DATA, SW.FUNCTION_NOT_SUPPORTED, SW.INCORRECT_P1P2)


def is_vacant(view: CardView, slot: spec.Slot) -> bool:
    """Whether ``slot`` surely has no key; one exchange where the card tells about its keys, else up to six."""
    if listing.told_by_card(view, slot) is not None:
        return False
    if listing.tells_of_keys(view):
        try:
            edge_yubico.metadata(view.tx, slot.ref)
        except NotFound:
            return True
        except BadData:
            return False
        except Unsupported:
            listing.note_silence(view)
        else:
            return False
    return _lacks_every_key(view, slot)


def _lacks_every_key(view: CardView, slot: spec.Slot) -> bool:
    for algorithm in _PROBED:
        data = edge.authentication_template(*_task(slot, algorithm))
        command = Command(0, spec.INS_GENERAL_AUTHENTICATE, algorithm, slot.ref, data, edge.LE_ALL)
        answer = edge.exchange(view.tx, command).sw
        if answer == SW.REFERENCE_NOT_FOUND:
            return True
        if answer not in _NOT_SO:
            return False
    return True


def _task(slot: spec.Slot, algorithm: int) -> tuple[int, bytes]:
    """What a key of ``algorithm`` in ``slot`` would be used for: tag and value in the template."""
    if algorithm in spec.RSA_BITS:
        size = spec.RSA_BITS[algorithm] // 8
        return spec.TAG_CHALLENGE, b"\x00\x01" + b"\xff" * (size - 35) + bytes(33)
    curve = _CURVES[algorithm]
    if slot.ref in _SIGNING:
        return spec.TAG_CHALLENGE, bytes(curve.key_size // 8)
    base = ec.derive_private_key(1, curve).public_key()
    return spec.TAG_EXPONENTIATION, base.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


_SIGNING = frozenset((spec.REF_PIV_AUTH, spec.REF_SIGNATURE, spec.REF_CARD_AUTH))

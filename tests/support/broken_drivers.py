"""Drivers that are broken on purpose, each in one way, and the check of the certification kit that must name it.

Most are a real driver with one method spoilt; some spoil the entry points, or the card as the driver sees it.
``BROKEN`` lists them: name, class, the name of the check.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from calais.apps.certify.face import Face
from calais.cards.piv import edge, spec
from calais.cards.piv import pins as piv_pins
from calais.cards.piv.driver import PivMinidriver
from calais.minidriver.padding import Pkcs1, Pss
from calais.minidriver.pins import Pin, pin_set
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotAuthenticated, NotFound, Unsupported, WinError, WrongPin

BROKEN = []


def caught_by(check, face=Face):
    """Register the class below as one that ``check`` must catch."""

    def register(kind):
        BROKEN.append((kind.__name__, kind, face, check))
        return kind

    return register


# --- signatures ------------------------------------------------------------------------------------------------------


@caught_by("sign.rsa_pkcs1_padding")
class WrongPadding(PivMinidriver):
    """Adds the DigestInfo of SHA-1 whatever the hash."""

    def sign(self, index, key_spec, data, padding):
        if isinstance(padding, Pkcs1) and padding.hash not in (None, "sha1"):
            prefix = bytes.fromhex("3021300906052b0e03021a05000414")
            return super().sign(index, key_spec, prefix + data, Pkcs1())
        return super().sign(index, key_spec, data, padding)


@caught_by("sign.rsa_byte_order")
class LittleEndian(PivMinidriver):
    """Turns RSA signatures round, which the entry points do again."""

    def sign(self, index, key_spec, data, padding):
        signature = super().sign(index, key_spec, data, padding)
        return signature[::-1] if isinstance(self.public_key(index), rsa.RSAPublicKey) else signature


class BigEndianFace(Face):
    """CardSignData forgets to turn RSA signatures round."""

    ENTRIES = Face.ENTRIES | {
        "CardSignData": lambda data, info: Face.ENTRIES["CardSignData"](data, info)[:: -1 if info.key_spec < 3 else 1]
    }


@caught_by("entry.sign_little_endian", BigEndianFace)
class BigEndianAtTheEntry(PivMinidriver):
    pass


@caught_by("sign.ecdsa_form")
class EcdsaAsDer(PivMinidriver):
    """Gives the card's DER signature as it came."""

    def sign(self, index, key_spec, data, padding):
        raw = super().sign(index, key_spec, data, padding)
        if not isinstance(self.public_key(index), ec.EllipticCurvePublicKey):
            return raw
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


@caught_by("sign.rsa_pss")
class SaltOfFixedLength(PivMinidriver):
    """Signs PSS with as much salt as the hash has bytes, whatever was asked."""

    def sign(self, index, key_spec, data, padding):
        if isinstance(padding, Pss):
            padding = replace(padding, salt_length=len(data))
        return super().sign(index, key_spec, data, padding)


@caught_by("sign.other_key_spec")
class AnyKeySpec(PivMinidriver):
    """Signs whatever key spec is asked for."""

    def sign(self, index, key_spec, data, padding):
        return super().sign(index, self.container(index).key_spec, data, padding)


@caught_by("sign.always_prompt")
class RemembersThePin(PivMinidriver):
    """Presents the PIN again by itself for a key that wants it each time."""

    kept = None

    def authenticate(self, pin_id, pin):
        type(self).kept = pin
        super().authenticate(pin_id, pin)

    def sign(self, index, key_spec, data, padding):
        try:
            return super().sign(index, key_spec, data, padding)
        except NotAuthenticated:
            if self.kept is None or not edge.verify_status(self.tx, spec.REF_PIN)[0]:
                raise
            super().authenticate(piv_pins.USER_ALWAYS, self.kept)
            return super().sign(index, key_spec, data, padding)


@caught_by("use.bad_padding")
class TellsThePadding(PivMinidriver):
    """Says what is wrong with the padding."""

    def decrypt(self, index, key_spec, data, padding):
        try:
            return super().decrypt(index, key_spec, data, padding)
        except WinError as error:
            if error.code == Code.SCARD_F_INTERNAL_ERROR:
                raise WinError(Code.NTE_BAD_DATA, "the block begins wrongly") from error
            raise


@caught_by("use.agreement_points")
class AnyPoint(PivMinidriver):
    """Hands every point to the card."""

    def agree(self, index, peer_public):
        try:
            return super().agree(index, peer_public)
        except BadParameter:
            return edge.use_key(self.tx, spec.Algorithm.P256, 0x9D, peer_public, 32, tag=spec.TAG_EXPONENTIATION)


# --- PINs ------------------------------------------------------------------------------------------------------------


@caught_by("properties.pin_list")
class PinSetOffByOne(PivMinidriver):
    """Counts PIN_SET from bit 0 for ROLE_USER, as the guidelines' example does."""

    def pin_list(self):
        return super().pin_list() >> 1


@caught_by("pins.authenticates")
class StateOffByOne(PivMinidriver):
    """Tells the authenticated PINs one bit too low."""

    def authenticated(self):
        return super().authenticated() >> 1


@caught_by("pins.status_is_free")
class StatusBurnsATry(PivMinidriver):
    """Asks for the tries by presenting a wrong PIN."""

    def pin_status(self, pin_id):
        if pin_id == 1:
            with suppress(WinError):
                edge.verify(self.tx, spec.REF_PIN, Pin("000000"))
        return super().pin_status(pin_id)


@caught_by("pins.attempts_left")
class WrongAttemptsLeft(PivMinidriver):
    """Tells the tries before the one that was used up."""

    def authenticate(self, pin_id, pin):
        try:
            super().authenticate(pin_id, pin)
        except WrongPin as error:
            error.attempts_left += 1
            raise


@caught_by("pins.empty_pin")
class EmptyPinIsNone(PivMinidriver):
    """Takes an empty PIN for a question whether the PIN is verified."""

    def authenticate(self, pin_id, pin):
        if len(pin):
            super().authenticate(pin_id, pin)
        else:
            edge.verify_status(self.tx, spec.REF_PIN)


@caught_by("pins.deauthenticates")
class DeauthenticatesNothing(PivMinidriver):
    """Says that it signed out, and did not."""

    def deauthenticate(self, pins):
        if not 0 < pins <= 0xFF:
            raise BadParameter


@caught_by("pin_change.unblock_wants_rights")
class UnblocksForAnybody(PivMinidriver):
    """Knows the PUK, and uses it for whoever asks."""

    def unblock_pin(self, pin_id, auth_id, auth, new):
        super().unblock_pin(pin_id, auth_id, Pin("12345678") if len(auth) else auth, new)


@caught_by("pin_change.change")
class ChangesNothing(PivMinidriver):
    """Says that it changed the PIN, and did not."""

    def change_pin(self, pin_id, old, new, **rest):
        if not len(old) or not len(new):
            raise BadParameter


@caught_by("pin_change.blocked")
class BlockedLooksWrong(PivMinidriver):
    """Calls a blocked PIN wrong."""

    def authenticate(self, pin_id, pin):
        try:
            super().authenticate(pin_id, pin)
        except WrongPin:
            raise
        except WinError as error:
            if error.code == Code.SCARD_W_CHV_BLOCKED:
                raise WrongPin(attempts_left=0) from error
            raise


@caught_by("admin.challenge_form")
class SameChallenge(PivMinidriver):
    """Gives the same challenge each time."""

    def challenge(self, pin_id=2):
        super().challenge(pin_id)
        return bytes(8)


# --- faults ----------------------------------------------------------------------------------------------------------


@caught_by("faults.only_win_errors")
class LeaksKeyError(PivMinidriver):
    """Raises KeyError for a container that is not there."""

    def container_info(self, index):
        try:
            return super().container_info(index)
        except NotFound as error:
            raise KeyError(index) from error


@caught_by("faults.nonsense")
class TrustsTheCard(PivMinidriver):
    """Does not look at what the card answers."""

    def read_file(self, directory, name):
        try:
            return super().read_file(directory, name)
        except WinError as error:
            if error.code == Code.SCARD_E_COMM_DATA_LOST:
                raise IndexError("index out of range") from error
            raise


@caught_by("faults.removal")
class RemovalIsUnexpected(PivMinidriver):
    """Turns every failure of the reader into SCARD_E_UNEXPECTED."""

    def enum_files(self, directory):
        try:
            return super().enum_files(directory)
        except WinError as error:
            if error.code == Code.SCARD_W_REMOVED_CARD:
                raise WinError(Code.SCARD_E_UNEXPECTED) from error
            raise


@caught_by("contexts.delete_one_authenticated")
class DeletingSignsOut(PivMinidriver):
    """Ends everybody's authentication with its own context."""

    def close(self):
        if self.tx.open:
            self.deauthenticate(pin_set(1))
        super().close()


@caught_by("read_only.refuses_changes")
class ReadOnlyWrites(PivMinidriver):
    """Says that the card is read-only, and tries to write all the same."""

    @property
    def read_only(self):
        return True


@caught_by("write.not_a_certificate")
class WritesAnything(PivMinidriver):
    """Writes whatever it is given as a certificate."""

    def write_certificate(self, index, der, *, compress=None):
        try:
            super().write_certificate(index, der, compress=compress)
        except BadParameter:
            return


@caught_by("write.delete_container")
class DeletesTwice(PivMinidriver):
    """Deletes what is not there, again and again."""

    def delete_container(self, index):
        try:
            super().delete_container(index)
        except (NotFound, Unsupported):
            return

"""The entry points under Microsoft's names: contexts and versions, byte orders, what comes back."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from calais.apps.certify.checks.signing import MESSAGE, digest_of
from calais.apps.certify.face import Face
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.containers import AT_KEYEXCHANGE
from calais.minidriver.data import CardData
from calais.minidriver.padding import Pkcs1, encode_signature
from calais.minidriver.surface import NEWEST, OLDEST, SURFACE
from calais.win import blobs, flags
from calais.win.codes import Code
from calais.win.structs import (
    BCryptBuffer,
    CardDeriveKeyInfo,
    CardDhAgreementInfo,
    CardRsaDecryptInfo,
    CardSigningInfo,
)

CHAPTER = Chapter("entry", "Entry points: contexts, versions, byte orders")
CALG_SHA_256 = 0x800C
ECDSA_SPECS = {256: 3, 384: 4, 521: 5}


@CHAPTER.check(
    "version_lowered",
    "CardAcquireContext agrees on the wanted version, 7 at most, and never on a higher one than wanted.",
    "minidriver 7.07, CardAcquireContext",
)
def _(trial: Trial) -> None:
    for wanted, due in ((4, 4), (5, 5), (6, 6), (7, 7), (8, 7), (99, 7)):
        with trial.context(wanted) as (_, data):
            trial.equal(f"version when {wanted} is wanted", data.version, due)


@CHAPTER.check(
    "version_too_old",
    "A version before 4: ERROR_REVISION_MISMATCH.",
    "minidriver 7.07, CardAcquireContext",
)
def _(trial: Trial) -> None:
    for wanted in (0, 3):
        with trial.unbound(wanted) as (call, data):
            trial.refused(f"version {wanted}", Code.ERROR_REVISION_MISMATCH, call["CardAcquireContext"], data, 0)


@CHAPTER.check(
    "acquire_flags",
    "CardAcquireContext takes no flag but 1 (no card): SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardAcquireContext",
)
def _(trial: Trial) -> None:
    for wrong in (2, 3, 0x80000000):
        with trial.unbound() as (call, data):
            trial.refused_unsent(f"flags 0x{wrong:X}", INVALID, call["CardAcquireContext"], data, wrong)


@CHAPTER.check(
    "acquire_record",
    "CardAcquireContext wants ATR, card name and handles, and a record that is not acquired yet.",
    "minidriver 7.07, CardAcquireContext",
)
def _(trial: Trial) -> None:
    with trial.unbound() as (call, good):
        atr, name, tx = good.atr, good.card_name, good.transaction
        for what, data, code in (
            ("no ATR", CardData(card_name=name, transaction=tx), INVALID),
            ("no card name", CardData(atr=atr, transaction=tx), INVALID),
            ("an ATR that is none", CardData(atr=b"\0\0", card_name=name, transaction=tx), Code.SCARD_E_UNKNOWN_CARD),
            ("no handle", CardData(atr=atr, card_name=name), Code.SCARD_E_INVALID_HANDLE),
        ):
            trial.refused_unsent(what, code, call["CardAcquireContext"], data, 0)
        call["CardAcquireContext"](good, 0)
        trial.refused_unsent("an acquired record", INVALID, call["CardAcquireContext"], good, 0)


@CHAPTER.check(
    "deleted_context",
    "After CardDeleteContext every call, and deleting again, is SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardDeleteContext",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data):
        before = trial.log.exchanges
        call["CardDeleteContext"](data)
        trial.refused("deleting again", INVALID, call["CardDeleteContext"], data)
        trial.refused("reading", INVALID, call["CardReadFile"], data, None, "cardid", 0)
        trial.refused("capabilities", INVALID, call["CardQueryCapabilities"], data, 1)
        trial.equal("exchanges", trial.log.exchanges, before)


@CHAPTER.check(
    "younger_functions",
    "A function that is younger than the agreed version does not exist: SCARD_E_UNSUPPORTED_FEATURE.",
    "minidriver 7.07, version negotiation",
)
def _(trial: Trial) -> None:
    for version in range(OLDEST, NEWEST):
        with trial.context(version) as (call, data):
            younger = {name for name, row in SURFACE.items() if row.since > version}
            trial.equal(f"functions of version {version} that are younger", sorted(data.entry_points & younger), [])
            if version < 6:
                trial.refused_unsent(
                    f"CardGetProperty at version {version}",
                    Code.SCARD_E_UNSUPPORTED_FEATURE,
                    call["CardGetProperty"],
                    data,
                    "Free Space",
                    0,
                    None,
                )


@CHAPTER.check(
    "younger_properties",
    "Properties of version 7 do not exist in a context of version 6: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardGetProperty",
)
def _(trial: Trial) -> None:
    with trial.context(6) as (call, data):
        for name in ("Key Import Support", "Algorithms", "Padding Schemes", "Chaining Modes"):
            trial.refused_unsent(name, INVALID, call["CardGetProperty"], data, name, 0, None)
        trial.holds(call["CardGetProperty"](data, "Free Space", 0, None), "Free Space", "nothing")


@CHAPTER.check(
    "struct_version_zero",
    "Version 0 of a structure counts as 1; PIN_INFO is of version 6 only.",
    "minidriver 7.07, version negotiation",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data):
        trial.equal("capabilities", call["CardQueryCapabilities"](data, 0), call["CardQueryCapabilities"](data, 1))
        trial.equal("free space", call["CardQueryFreeSpace"](data, 0, 0), call["CardQueryFreeSpace"](data, 0, 1))
        call["CardGetProperty"](data, "PIN Information", 1, 6)
        for version in (0, 1, 7):
            trial.refused(
                f"PIN_INFO of version {version}",
                Code.ERROR_REVISION_MISMATCH,
                call["CardGetProperty"],
                data,
                "PIN Information",
                1,
                version,
            )


@CHAPTER.check(
    "same_as_driver",
    "The entry points say what the driver says: files, capabilities, container info.",
    "minidriver 7.07",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        trial.equal("cardid", call["CardReadFile"](data, None, "cardid", 0), driver.read_file(None, "cardid"))
        trial.equal("files of mscp", call["CardEnumFiles"](data, "MSCP", 0), driver.enum_files("mscp"))
        trial.equal("capabilities", call["CardQueryCapabilities"](data, 1), driver.capabilities())
        for entry in driver.containers():
            info = call["CardGetContainerInfo"](data, entry.index, 0, 1)
            trial.equal(f"container info {entry.index}", info, driver.container_info(entry.index))


# --- keys ------------------------------------------------------------------------------------------------------------


def _key(trial: Trial, driver: Minidriver, kind: type, what: str, *, exchange: bool = False) -> ContainerEntry:
    return trial.a_container(
        driver,
        what,
        lambda one: isinstance(driver.public_key(one.index), kind) and (one.key_spec == AT_KEYEXCHANGE or not exchange),
    )


def _open(trial: Trial, call: Face, data: CardData, entry: ContainerEntry) -> None:
    """Present the PIN of a container through the entry point."""
    if entry.pin_id and trial.secrets.pin is not None:
        call["CardAuthenticateEx"](data, entry.pin_id, 0, trial.secrets.pin.value)


@CHAPTER.check(
    "sign_little_endian",
    "CardSignData gives RSA signatures in little-endian order, with PKCS#1 padding and DigestInfo.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        entry = _key(trial, driver, rsa.RSAPublicKey, "RSA key")
        key = driver.public_key(entry.index)
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - chosen so
        _open(trial, call, data, entry)
        info = CardSigningInfo(entry.index, entry.key_spec, digest_of("sha256"), hash_alg=CALG_SHA_256)
        came = call["CardSignData"](data, info)
        numbers, size = key.public_numbers(), key.key_size // 8
        block = pow(int.from_bytes(came, "little"), numbers.e, numbers.n).to_bytes(size, "big")
        due = encode_signature(Pkcs1("sha256"), digest_of("sha256"), size, bytes)
        trial.equal("block in the signature", block, due)


@CHAPTER.check(
    "sign_size_only",
    "CARD_BUFFER_SIZE_ONLY tells the length of the signature, wants no PIN and uses no key.",
    "minidriver 7.07, CardSignData",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        for entry in driver.containers():
            key = driver.public_key(entry.index)
            if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
                continue
            bits = key.key_size
            due = bits // 8 if isinstance(key, rsa.RSAPublicKey) else 2 * ((bits + 7) // 8)
            spec = entry.key_spec if isinstance(key, rsa.RSAPublicKey) else ECDSA_SPECS[key.key_size]
            info = CardSigningInfo(entry.index, spec, digest_of("sha256"), flags.CARD_BUFFER_SIZE_ONLY, CALG_SHA_256)
            trial.equal(f"length for container {entry.index}", len(call["CardSignData"](data, info)), due)


@CHAPTER.check(
    "sign_unknown_hash",
    "A hash ALG_ID that nobody knows: SCARD_E_UNSUPPORTED_FEATURE; a digest of another length: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        entry = _key(trial, driver, rsa.RSAPublicKey, "RSA key")
        _open(trial, call, data, entry)
        unknown = CardSigningInfo(entry.index, entry.key_spec, bytes(20), hash_alg=0x8002)
        trial.refused("ALG_ID 0x8002", Code.SCARD_E_UNSUPPORTED_FEATURE, call["CardSignData"], data, unknown)
        short = CardSigningInfo(entry.index, entry.key_spec, bytes(20), hash_alg=CALG_SHA_256)
        trial.refused("20 bytes as SHA-256", INVALID, call["CardSignData"], data, short)


@CHAPTER.check(
    "decrypt_little_endian",
    "CardRSADecrypt takes and gives little-endian data.",
    "minidriver 7.07, CardRSADecrypt",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        entry = _key(trial, driver, rsa.RSAPublicKey, "RSA key for exchange", exchange=True)
        key = driver.public_key(entry.index)
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - chosen so
        _open(trial, call, data, entry)
        secret = key.encrypt(MESSAGE, padding.PKCS1v15())
        info = CardRsaDecryptInfo(entry.index, entry.key_spec, secret[::-1], flags.CARD_PADDING_PKCS1)
        came = trial.allowed("decryption", call["CardRSADecrypt"], data, info)
        trial.equal("message", came[::-1], MESSAGE)


@CHAPTER.check(
    "derive",
    "CardConstructDHAgreement and CardDeriveKey: the hash of the shared secret; destroyed once, it is gone.",
    "minidriver 7.07, CardDeriveKey",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        entry = _key(trial, driver, ec.EllipticCurvePublicKey, "EC key for key agreement", exchange=True)
        key = driver.public_key(entry.index)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - chosen so
        _open(trial, call, data, entry)
        ours = ec.generate_private_key(key.curve)
        peer = blobs.build_ecc_public(ours.public_key(), "ECDH")
        number = trial.allowed(
            "key agreement", call["CardConstructDHAgreement"], data, CardDhAgreementInfo(entry.index, peer)
        )
        info = CardDeriveKeyInfo("HASH", number, (BCryptBuffer(0, "SHA256"),))
        trial.equal("key", call["CardDeriveKey"](data, info), hashlib.sha256(ours.exchange(ec.ECDH(), key)).digest())
        call["CardDestroyDHAgreement"](data, number, 0)
        trial.refused("destroying again", INVALID, call["CardDestroyDHAgreement"], data, number, 0)
        trial.refused("deriving afterwards", INVALID, call["CardDeriveKey"], data, info)


@CHAPTER.check(
    "challenge_next_call",
    "A challenge is good for the very next call only; an answer later: SCARD_W_WRONG_CHV, no try used.",
    "minidriver 7.07, CardGetChallenge",
    Need.ADMIN,
)
def _(trial: Trial) -> None:
    from calais.apps.certify.responses import response_to  # noqa: PLC0415 - its ciphers are needed here alone

    with trial.context() as (call, data):
        challenge = trial.allowed("a challenge", call["CardGetChallenge"], data)
        call["CardQueryCapabilities"](data, 1)
        answer = response_to(challenge, trial.secrets.admin_key or b"")
        trial.refused("a late answer", Code.SCARD_W_WRONG_CHV, call["CardAuthenticateChallenge"], data, answer)
        challenge = call["CardGetChallenge"](data)
        call["CardAuthenticateChallenge"](data, response_to(challenge, trial.secrets.admin_key or b""))
        state = call["CardGetProperty"](data, "Authenticated State", 0, None)
        trial.holds(state & 0x04, "bit 0x04 in Authenticated State", f"0x{state:02X}")


@CHAPTER.check(
    "admin_has_no_pin",
    'CardAuthenticatePin for "admin" where the administrator has a key: SCARD_E_UNSUPPORTED_FEATURE.',
    "minidriver 7.07, CardAuthenticatePin",
)
def _(trial: Trial) -> None:
    with trial.context() as (call, data), trial.inside(data) as driver:
        if not driver.pin_list() & 0x04 or driver.pin_info(2).pin_type != flags.ChallengeResponsePinType:
            raise Absent("the administrator has no key for challenge and response")
        trial.refused(
            "admin", Code.SCARD_E_UNSUPPORTED_FEATURE, call["CardAuthenticatePin"], data, "admin", b"12345678"
        )

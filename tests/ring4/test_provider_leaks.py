"""PINs, private keys, session keys and agreed secrets of the providers are nowhere but where they belong: not in what
objects say of themselves, in errors, logs and traces, nor in what is kept of cards and certificates.
"""

from __future__ import annotations

import logging
import traceback

import pytest
from certs import make
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cspdesk import fails
from pivdesk import certificate

from calais.cli.session import TRACE_VARIABLE
from calais.store.formats import pkcs12
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.transport.trace import Recorder
from calais.win import blobs
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import BCryptBuffer
from calais.winapi import advapi32 as api
from calais.winapi import cspdk, ncrypt
from calais.winapi.crypt32 import PKCS12_NO_PERSIST_KEY, PFXImportCertStore

PIN, WRONG, PASSWORD = "73946105", "19283746", "Kennwort-Zebra"
RSA, EC = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())
PEER = ec.generate_private_key(ec.SECP256R1())
SESSION = bytes.fromhex("8F1E2D3C4B5A69788796A5B4C3D2E1F0")
AGREED = EC.exchange(ec.ECDH(), PEER.public_key())
ENHANCED, BASE = "Microsoft Enhanced RSA and AES Cryptographic Provider", "Microsoft Base Smart Card Crypto Provider"
KSP = ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER
ALLOW = {f"AllowPrivate{kind}KeyImport": 1 for kind in ("Exchange", "Signature", "ECDHE", "ECDSA")}


def numbers():
    rsa_numbers, ec_number = RSA.private_numbers(), EC.private_numbers().private_value
    sizes = {"d": (rsa_numbers.d, 128), "p": (rsa_numbers.p, 64), "q": (rsa_numbers.q, 64), "ec": (ec_number, 32)}
    return {name: value.to_bytes(size, "big") for name, (value, size) in sizes.items()}


SECRETS = (
    numbers()
    | {"session key": SESSION, "agreed": AGREED}
    | {name: text.encode() for name, text in {"PIN": PIN, "wrong PIN": WRONG, "password": PASSWORD}.items()}
)


def forms(secret):
    """A secret as bytes, from its end, in hexadecimal, in UTF-16, as a number, as Python writes it."""
    text = secret.decode("latin-1")
    return [
        secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode(), secret[::-1].hex().encode(),
        text.encode("utf-16-le"), str(int.from_bytes(secret, "big")).encode(), repr(secret)[2:-1].encode(),
    ]  # fmt: skip


def seen_in(places):
    return [
        (name, place) for place, content in places.items() for name, secret in SECRETS.items()
        if any(form in content for form in forms(secret))
    ]  # fmt: skip


class Life:
    """Calls with secrets in them; ``said``: what objects and errors say of themselves."""

    def __init__(self):
        self.said = {}

    def note(self, *things):
        for thing in things:
            for each in (thing, *_parts(thing)):
                self.said[f"{type(each).__qualname__} {len(self.said)}"] = f"{each!r} {each!s}".encode()

    def fails(self, call):
        """The texts of an error and of all behind it."""
        try:
            self.note(call())
        except WinError as error:
            text = "".join(traceback.format_exception_only(error)) + repr(error) + repr(error.args) + str(vars(error))
            chain = error.__cause__ or error.__context__
            while chain is not None:
                text += repr(chain) + str(chain)
                chain = chain.__cause__ or chain.__context__
            self.said[f"error {error.name} {len(self.said)}"] = text.encode()
            return
        raise AssertionError("it did not fail")


def _parts(thing, depth=3):
    """The attributes of our own objects, and theirs."""
    names = [*getattr(thing, "__dict__", ()), *getattr(type(thing), "__slots__", ())]
    for name in names if depth else ():
        part = getattr(thing, name, None)
        if type(part).__module__.startswith("calais"):
            yield part
            yield from _parts(part, depth - 1)


def live_in_memory(life):
    handle = cspdk.CPAcquireContext(None, api.CRYPT_VERIFYCONTEXT, provider=ENHANCED)
    private = blobs.build_capi_private(RSA, api.CALG_RSA_KEYX)
    key = api.CryptImportKey(handle, private, None, api.CRYPT_EXPORTABLE)
    header = bytes([8, 2, 0, 0]) + api.CALG_AES_128.to_bytes(4, "little")
    plain = header + len(SESSION).to_bytes(4, "little") + SESSION
    session = api.CryptImportKey(handle, plain, None, api.CRYPT_EXPORTABLE)
    hash_ = api.CryptCreateHash(handle, api.CALG_SHA_256)
    api.CryptHashSessionKey(hash_, session)
    life.note(handle, key, session, hash_)
    assert SECRETS["p"][::-1] in api.CryptExportKey(key, None, api.PRIVATEKEYBLOB)
    assert SESSION in api.CryptExportKey(session, None, api.PLAINTEXTKEYBLOB)
    for bad in (private[:-200], private[:40] + bytes(8) + private[48:], plain[:-1], plain + b"\1"):
        life.fails(lambda bad=bad: api.CryptImportKey(handle, bad))
    life.fails(lambda: api.CryptSetKeyParam(session, api.KP_IV, SESSION + b"\1"))


def live_in_cng(life):
    provider = ncrypt.NCryptOpenStorageProvider()
    raw = blobs.build_ecc_private(EC, "ECDH")
    mine = ncrypt.NCryptImportKey(provider, None, "ECCPRIVATEBLOB", (), raw)
    other = ncrypt.NCryptImportKey(
        provider, None, "ECCPUBLICBLOB", (), blobs.build_ecc_public(PEER.public_key(), "ECDH")
    )
    secret = ncrypt.NCryptSecretAgreement(mine, other)
    waits = ncrypt.NCryptImportKey(provider, None, "ECCPRIVATEBLOB", (), raw, ncrypt.NCRYPT_DO_NOT_FINALIZE_FLAG)
    life.note(provider, mine, other, secret, waits, waits.draft, mine.material)
    life.fails(lambda: ncrypt.NCryptDeriveKey(secret, "NONSENSE"))
    life.fails(lambda: ncrypt.NCryptImportKey(provider, None, "ECCPRIVATEBLOB", (), raw[:-1]))
    life.fails(lambda: ncrypt.NCryptImportKey(provider, None, "ECCPRIVATEBLOB", (), raw[:8] + b"\7" * 64 + raw[72:]))
    pkcs8 = EC.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    life.fails(lambda: ncrypt.NCryptImportKey(provider, None, "PKCS8_PRIVATEKEY", (), pkcs8[:-1]))
    sealed = [BCryptBuffer(ncrypt.NCRYPTBUFFER_PKCS_SECRET, PASSWORD)]
    life.note(*sealed)
    life.fails(lambda: ncrypt.NCryptImportKey(provider, None, "PKCS8_PRIVATEKEY", sealed, pkcs8[:-1]))


def live_on_card(life, system, made):
    system.insert(made)
    handle = cspdk.CPAcquireContext("loaded", api.CRYPT_NEWKEYSET, provider=BASE)
    key = api.CryptImportKey(handle, blobs.build_capi_private(RSA, api.CALG_RSA_KEYX))
    hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
    api.CryptSignHash(hash_, 1)
    life.note(handle, key, hash_, handle.slots, handle.container, handle.card, system.broker, system.broker.scope)
    life.fails(lambda: api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, WRONG))
    api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, PIN)
    params = [BCryptBuffer(ncrypt.NCRYPTBUFFER_PKCS_KEY_NAME, "curve")]
    provider = ncrypt.NCryptOpenStorageProvider(KSP)
    draft = ncrypt.NCryptImportKey(
        provider,
        None,
        "ECCPRIVATEBLOB",
        params,
        blobs.build_ecc_private(EC, "ECDSA"),
        ncrypt.NCRYPT_DO_NOT_FINALIZE_FLAG,
    )
    ncrypt.NCryptSetProperty(draft, "SmartCardPin", PIN)
    life.note(draft, draft.draft, draft.settings)
    ncrypt.NCryptFinalizeKey(draft)
    life.note(draft, draft.settings, draft.place)
    pfx = pkcs12.build_pfx([pkcs12.Entry(make("Pfx", key=EC), "ours", EC)], PASSWORD)
    life.note(pkcs12.open_pfx(pfx, PASSWORD), pkcs12.Entry(make("Pfx", key=EC), "ours", EC))
    store = PFXImportCertStore(pfx, PASSWORD, PKCS12_NO_PERSIST_KEY)
    life.note(store, *list(store))
    life.fails(lambda: PFXImportCertStore(pfx, PASSWORD + "x"))
    life.fails(lambda: PFXImportCertStore(pfx[:-2], PASSWORD))
    system.propagate()


@pytest.mark.parametrize("kind", ["GIDS", "PIV"])
def test_the_providers_tell_nobody_a_secret(kind, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    life, trace = Life(), tmp_path / "trace"
    cards = {"GIDS": virtual_gids, "PIV": virtual_piv}
    own = rsa.generate_private_key(65537, 1024)
    keys = {0x9A: (own, certificate(own, "own"))} if kind == "PIV" else [("own", 1, own, certificate(own, "own"))]
    with trace.open("w") as out:
        policy = ALLOW | {"piv.container_map": "always"}
        watch = lambda transport: Recorder(out, transport)  # noqa: E731
        with local_system(tmp_path / "home", prompt=FixedPrompt(PIN), policy=policy, watchers=(watch,)) as system:
            live_in_memory(life)
            live_in_cng(life)
            live_on_card(life, system, cards[kind](pin=PIN, keys=keys))
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) > 2
    assert len(files[str(trace)]) > 1000
    assert seen_in(files | life.said | {"logs": caplog.text.encode()}) == []
    assert TRACE_VARIABLE == "CALAIS_TRACE"


def test_the_search_for_secrets_finds_them():
    assert seen_in({"here": repr(SESSION).encode(), "there": f"x{PIN}y".encode()}) == [
        ("session key", "here"),
        ("PIN", "there"),
    ]
    with fails(Code.NTE_BAD_DATA):
        cspdk.CPImportKey(cspdk.CPAcquireContext(None, api.CRYPT_VERIFYCONTEXT, provider=ENHANCED), SESSION[:3])

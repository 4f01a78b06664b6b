"""Importing and exporting keys.

Source: CryptImportKey, CryptExportKey (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from calais.provider.csp import keyblobs, rsause
from calais.provider.csp.algorithms import RC2, SessionAlgorithm
from calais.provider.csp.arguments import check_flags, number, octets
from calais.provider.csp.calls.handles import key_and_context, new_key, optional_key, rsa_of, session_of
from calais.provider.csp.calls.keys import may_protect, slot
from calais.provider.csp.context import Codes, CspContext, CspKey, RsaKey, provider_of
from calais.provider.csp.keyblobs import HEADER
from calais.provider.csp.memorykeys import PublicRsaKey
from calais.provider.csp.sessionkeys import SessionKey
from calais.win import flags as f
from calais.win.codes import Code
from calais.win.errors import WinError

ANY_IMPORT = f.CRYPT_EXPORTABLE | f.CRYPT_USER_PROTECTED | f.CRYPT_NO_SALT


class Import(NamedTuple):
    """A key blob that comes in; ``wrapping`` is hPubKey."""

    context: CspContext
    alg_id: int
    data: bytes
    wrapping: CspKey | None
    flags: int


class Export(NamedTuple):
    """A key that goes out; ``wrapping`` is hExpKey."""

    handle: CspKey
    wrapping: CspKey | None
    flags: int


# --- import ---


def import_key(codes: Codes, provider: object, data: object, wrapping: object, flags: object) -> CspKey:
    """CryptImportKey.

    Raises:
        WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_DATA``, ``NTE_BAD_TYPE``, ``NTE_BAD_VER``, ``NTE_BAD_ALGID``,
            ``NTE_BAD_KEY``, ``NTE_NO_KEY``, ``NTE_BAD_LEN``; as ``KeySlots.import_private``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        by = optional_key(wrapping, codes, context)
        given = check_flags(flags, ANY_IMPORT | f.CRYPT_OAEP | f.CRYPT_IPSEC_HMAC_KEY)
        blob = octets(data)
        head = keyblobs.parse_header(blob, context.provider.imports)
        how = _IMPORTS[head.kind]
        check_flags(given, how.flags)
        return new_key(context, how.run(Import(context, head.alg_id, blob, by, given)))


def _import_public(job: Import) -> RsaKey:
    return PublicRsaKey(*keyblobs.parse_public(job.data))


def _import_private(job: Import) -> RsaKey:
    """The part after the header may be encrypted by a session key."""
    data = job.data
    if job.wrapping is not None:
        data = data[: HEADER.size] + session_of(job.wrapping).copy().decrypt(data[HEADER.size :], final=True)
    key, key_spec = keyblobs.parse_private(data)
    may_protect(job.context, job.flags)
    return job.context.slots.import_private(key, key_spec, job.flags & ~f.CRYPT_NO_SALT)


def _import_simple(job: Import) -> SessionKey:
    row = job.context.provider.algorithm(job.alg_id, SessionAlgorithm)
    block = keyblobs.parse_simple(job.data)
    key = rsa_of(job.wrapping) if job.wrapping else slot(job.context, f.AT_KEYEXCHANGE)
    label = job.wrapping.oaep_label if job.wrapping else b""
    how = rsause.decryption_padding(job.flags & f.CRYPT_OAEP, label)
    return _session_key(row, rsause.decrypt(rsause.require_exchange(key), block, how), job.flags)


def _import_plaintext(job: Import) -> SessionKey:
    row = job.context.provider.algorithm(job.alg_id, SessionAlgorithm)
    value = keyblobs.parse_plaintext(job.data)
    if not job.flags & f.CRYPT_IPSEC_HMAC_KEY:
        return _session_key(row, value, job.flags)
    if row is not RC2:
        raise WinError.of(Code.NTE_BAD_FLAGS, "CRYPT_IPSEC_HMAC_KEY is for keys of CALG_RC2")
    return SessionKey.made(row, value, job.flags | f.CRYPT_NO_SALT)


def _session_key(row: SessionAlgorithm, value: bytes, flags: int) -> SessionKey:
    if len(value) not in row.sizes:
        code = Code.NTE_BAD_LEN if row.least != row.most else Code.NTE_BAD_DATA
        raise WinError.of(code, f"{row.name} has no keys of {len(value)} bytes here")
    return SessionKey.made(row, value, flags)


class _Importer(NamedTuple):
    run: Callable[[Import], RsaKey | SessionKey]
    flags: int


_IMPORTS = {
    f.PUBLICKEYBLOB: _Importer(_import_public, ANY_IMPORT),
    f.PRIVATEKEYBLOB: _Importer(_import_private, ANY_IMPORT),
    f.SIMPLEBLOB: _Importer(_import_simple, ANY_IMPORT | f.CRYPT_OAEP),
    f.PLAINTEXTKEYBLOB: _Importer(_import_plaintext, ANY_IMPORT | f.CRYPT_IPSEC_HMAC_KEY),
}


# --- export ---


def export_key(
    codes: Codes, provider: object, key: object, wrapping: object, blob_type: object, flags: object
) -> bytes:
    """CryptExportKey.

    Raises:
        WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_TYPE``; ``NTE_BAD_KEY``, hKey or hExpKey is of the wrong kind, missing or
            too much; ``NTE_BAD_KEY_STATE``, the key is not exportable.
    """
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        by = optional_key(wrapping, codes, context)
        given = check_flags(flags, f.CRYPT_OAEP)
        kind = number(blob_type)
        if kind not in context.provider.exports:
            raise WinError.of(Code.NTE_BAD_TYPE, f"key blobs of type {kind} cannot be exported here")
        how = _EXPORTS[kind]
        check_flags(given, how.flags)
        return how.run(Export(handle, by, given))


def _export_public(job: Export) -> bytes:
    key = rsa_of(job.handle)
    _no_wrapping(job)
    return keyblobs.build_public(key.public_key, key.key_spec)


def _export_private(job: Export) -> bytes:
    key = rsa_of(job.handle)
    by = session_of(job.wrapping) if job.wrapping else None
    private = key.private_key()
    if private is None:
        raise _not_exportable()
    blob = keyblobs.build_private(private, key.key_spec)
    return blob if by is None else blob[: HEADER.size] + by.copy().encrypt(blob[HEADER.size :], final=True)


def _export_simple(job: Export) -> bytes:
    key = session_of(job.handle)
    if job.wrapping is None:
        raise WinError.of(Code.NTE_BAD_KEY, "a SIMPLEBLOB needs the exchange key of whom it is for")
    public = rsause.require_exchange(rsa_of(job.wrapping)).public_key
    if not key.exportable:
        raise _not_exportable()
    label = job.wrapping.oaep_label if job.flags & f.CRYPT_OAEP else None
    return keyblobs.build_simple(key.algorithm.alg_id, rsause.encrypt(public, key.value, oaep_label=label))


def _export_plaintext(job: Export) -> bytes:
    key = session_of(job.handle)
    _no_wrapping(job)
    if not key.exportable:
        raise _not_exportable()
    return keyblobs.build_plaintext(key.algorithm.alg_id, key.value)


def _no_wrapping(job: Export) -> None:
    if job.wrapping is not None:
        raise WinError.of(Code.NTE_BAD_KEY, "this kind of key blob is not encrypted")


def _not_exportable() -> WinError:
    return WinError.of(Code.NTE_BAD_KEY_STATE, "the key was not made to be exported")


class _Exporter(NamedTuple):
    run: Callable[[Export], bytes]
    flags: int = 0


_EXPORTS = {
    f.PUBLICKEYBLOB: _Exporter(_export_public),
    f.PRIVATEKEYBLOB: _Exporter(_export_private),
    f.SIMPLEBLOB: _Exporter(_export_simple, f.CRYPT_OAEP),
    f.PLAINTEXTKEYBLOB: _Exporter(_export_plaintext),
}

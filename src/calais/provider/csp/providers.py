"""The providers: one row for each, with everything in which they differ.

Source: Microsoft's documentation of its cryptographic providers; wincrypt.h.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

from calais.provider.csp import algorithms as alg
from calais.provider.csp.algorithms import Algorithm
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import WinError

Letter = Literal["B", "P", "E"]
Row = TypeVar("Row", bound=Algorithm)

SALT_FLAGS = flags.CRYPT_CREATE_SALT | flags.CRYPT_NO_SALT  # RSA keys have none, and the flags no effect
SESSION_FLAGS = flags.CRYPT_EXPORTABLE | flags.CRYPT_USER_PROTECTED | SALT_FLAGS
KEY_FLAGS = SESSION_FLAGS | flags.CRYPT_ARCHIVABLE
BLOBS = frozenset({flags.PUBLICKEYBLOB, flags.PRIVATEKEYBLOB, flags.SIMPLEBLOB, flags.PLAINTEXTKEYBLOB})
# Entry points of Windows' table that the Personal CSP has not, by the last part of their names.
NOT_IN_PERSONAL = frozenset({"DeriveKey", "DuplicateKey", "HashSessionKey", "DuplicateHash"})


@dataclass(frozen=True, slots=True)
class RsaSizes:
    """Lengths of RSA keys in bits; ``default`` 0 = the policy decides."""

    default: int
    legal: Collection[int]

    def bits(self, asked: int, policy_default: int) -> int:
        """The length to make when ``asked`` (0 = none given).

        Raises:
            WinError: ``NTE_BAD_LEN``, not one of them.
        """
        bits = asked or self.default or policy_default
        if bits not in self.legal:
            raise WinError.of(Code.NTE_BAD_LEN, f"keys of {bits} bits are not possible here")
        return bits


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    ``rsa`` lengths of keys in memory; ``exports``, ``imports`` types of key blobs; ``absent`` entry points that it has
    not; ``hash_data_flags``, ``hash_settable`` what CryptHashData and CryptSetHashParam take; ``key_flags`` and
    ``key_needs`` the flags that may, and that must be given to make an RSA key; ``machine_keyset`` whether
    CRYPT_MACHINE_KEYSET is kept.
    """

    letter: Letter
    name: str
    prov_type: int
    implementation: int
    key_storage: int
    algorithms: tuple[Algorithm, ...]
    rsa: RsaSizes
    size_step: int
    exports: frozenset[int] = BLOBS
    imports: frozenset[int] = BLOBS
    absent: frozenset[str] = frozenset()
    hash_data_flags: int = flags.CRYPT_USERDATA
    hash_settable: frozenset[int] = frozenset({flags.HP_HASHVAL, flags.HP_HMAC_INFO})
    key_flags: int = KEY_FLAGS
    key_needs: int = 0
    machine_keyset: bool = True

    @property
    def on_cards(self) -> bool:
        """Whether its containers are on cards; else it has none."""
        return self.letter != "E"

    def algorithm(self, alg_id: int, kind: type[Row]) -> Row:
        """Its row for ``alg_id``.

        Raises:
            WinError: ``NTE_BAD_ALGID``, it has no such algorithm of this kind.
        """
        for row in self.algorithms:
            if row.alg_id == alg_id and isinstance(row, kind):
                return row
        raise WinError.of(Code.NTE_BAD_ALGID, f"{self.name} has no algorithm {alg_id!r} for this")

    def require(self, entry: str) -> None:
        """Raise unless it has the entry point ``entry``.

        Raises:
            WinError: ``ERROR_CALL_NOT_IMPLEMENTED``.
        """
        if entry in self.absent:
            raise WinError.of(Code.ERROR_CALL_NOT_IMPLEMENTED, f"{self.name} has no {entry}")


CARD_IMPLEMENTATION = flags.CRYPT_IMPL_MIXED | flags.CRYPT_IMPL_REMOVABLE
BASE = Provider(
    letter="B",
    name=str(flags.MS_SCARD_PROV),
    prov_type=flags.PROV_RSA_FULL,
    implementation=CARD_IMPLEMENTATION,
    key_storage=flags.CRYPT_UI_PROMPT,
    algorithms=(*alg.rsa_keys(1024, 384, 16384), *alg.OLD_HASHES, *alg.NEW_HASHES, *alg.OLD_CIPHERS, *alg.NEW_CIPHERS),
    rsa=RsaSizes(0, range(384, 16385, 64)),
    size_step=64,
)
PERSONAL = Provider(
    letter="P",
    name=str(flags.PERSONAL_CSP),
    prov_type=flags.PROV_RSA_FULL,
    implementation=CARD_IMPLEMENTATION,
    key_storage=flags.CRYPT_UI_PROMPT,
    algorithms=(*alg.rsa_keys(2048, 512, 2048), *alg.OLD_HASHES, *alg.OLD_CIPHERS),
    rsa=RsaSizes(2048, (512, 768, 1024, 2048)),
    size_step=64,
    exports=BLOBS - {flags.PRIVATEKEYBLOB},
    imports=BLOBS - {flags.PLAINTEXTKEYBLOB},
    absent=NOT_IN_PERSONAL,
    hash_data_flags=0,
    hash_settable=frozenset({flags.HP_HASHVAL}),
    key_flags=flags.CRYPT_USER_PROTECTED | SALT_FLAGS,
    key_needs=flags.CRYPT_USER_PROTECTED,
    machine_keyset=False,
)
ENHANCED = Provider(
    letter="E",
    name=str(flags.MS_ENH_RSA_AES_PROV),
    prov_type=flags.PROV_RSA_AES,
    implementation=flags.CRYPT_IMPL_SOFTWARE,
    key_storage=flags.CRYPT_SEC_DESCR,
    algorithms=(*alg.rsa_keys(1024, 384, 16384), *alg.OLD_HASHES, *alg.NEW_HASHES, *alg.OLD_CIPHERS, *alg.NEW_CIPHERS),
    rsa=RsaSizes(1024, range(384, 16385, 8)),
    size_step=8,
)
PROVIDERS = (BASE, PERSONAL, ENHANCED)
TYPE_NAMES = {
    flags.PROV_RSA_FULL: "RSA Full (Signature and Key Exchange)",
    flags.PROV_RSA_AES: "RSA Full and AES",
}
DEFAULTS = {flags.PROV_RSA_FULL: BASE, flags.PROV_RSA_AES: ENHANCED}
# Microsoft's older software providers: the newest one stands for them, under their own type. The strong one's name
# ends without a version in wincrypt.h; many write one.
OLD_NAMES = dict.fromkeys(
    (*map(str, (flags.MS_DEF_PROV, flags.MS_STRONG_PROV, flags.MS_ENHANCED_PROV)), f"{flags.MS_STRONG_PROV} v1.0"),
    flags.PROV_RSA_FULL,
)

"""The policy: Group Policy value names and Calais' own dotted names, as one frozen record.

Names with a dot are Calais' own; the others are Microsoft's registry value names, in which a DWORD of 0 or 1 may be
written as a boolean. A file is TOML; a dotted name may be a table::

    TransactionTimeoutMilliseconds = 1500

    [piv]
    write = false

Source: Microsoft, "Smart Card Group Policy and Registry Settings" (names, defaults, meanings).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from calais.win.errors import BadParameter

PolicyValue = bool | int | str


@dataclass(frozen=True, slots=True)
class Policy:
    """The values in force; every field is one row of ``SETTINGS``."""

    transaction_timeout_ms: int = 1500
    default_key_length_bits: int = 1024
    require_on_card_generation: bool = False
    allow_exchange_key_import: bool = False
    allow_signature_key_import: bool = False
    allow_ecdhe_key_import: bool = False
    allow_ecdsa_key_import: bool = False
    propagation_enabled: bool = True
    propagation_roots: bool = True
    propagation_root_cleanup: int = 2
    propagation_expired: bool = True
    piv_write: bool = True
    piv_container_names: str = "windows"
    piv_retired_keys: str = "history"
    piv_proof: str = "head"
    piv_container_map: str = "auto"
    gids_write: bool = True
    unblock_escrow_key: str = ""
    pin_separate_caches: bool = False
    personal_default_container: str = ""
    verify_signatures: str = "fresh"

    @classmethod
    def from_values(cls, values: Mapping[str, object], origin: str = "policy") -> Policy:
        """The defaults with ``values`` over them.

        Args:
            values: names as in Group Policy, or dotted; tables of dotted names are accepted.
            origin: where the values come from, for the error.

        Raises:
            BadParameter: an unknown name, or a value that this name cannot have.
        """
        return cls().with_values(values, origin)

    def with_values(self, values: Mapping[str, object], origin: str = "policy") -> Policy:
        """This policy with ``values`` over it (see ``from_values``)."""
        changes = {}
        for name, value in _flat(values):
            setting = _setting(name, origin)
            changes[setting.field] = setting.checked(value, origin)
        return replace(self, **changes)  # type: ignore[arg-type]

    @classmethod
    def from_files(cls, *paths: Path) -> Policy:
        """The defaults with every existing file of ``paths`` over them; later files win.

        Raises:
            BadParameter: a file cannot be read, is not TOML, or holds an unknown name or value.
        """
        policy = cls()
        for path in paths:
            if path.exists():
                policy = policy.with_values(_load(path), str(path))
        return policy

    def values(self) -> dict[str, PolicyValue]:
        """Every value by its public name."""
        return {setting.name: getattr(self, setting.field) for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Hexadecimal:
    """Values that are ``size`` bytes in hexadecimal, or the empty string."""

    size: int

    def holds(self, value: object) -> bool:
        """Whether ``value`` is one."""
        if not isinstance(value, str) or not value:
            return value == ""
        return len(value) == 2 * self.size and set(value.lower()) <= set("0123456789abcdef")

    def __str__(self) -> str:
        return f'{2 * self.size} hexadecimal digits, or ""'


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: the public name, the field of ``Policy``, the legal values, and what it means.

    ``allowed`` is ``bool``, ``str``, a range of integers, a tuple of strings, or ``Hexadecimal``.
    """

    name: str
    field: str
    allowed: type[bool | str] | range | tuple[str, ...] | Hexadecimal
    meaning: str

    def checked(self, value: object, origin: str) -> PolicyValue:
        """``value`` in the type of the field.

        Raises:
            BadParameter: not one of the legal values.
        """
        if self.allowed is bool and value in (0, 1):
            return bool(value)
        if self.allowed is str and isinstance(value, str):
            return value
        if isinstance(self.allowed, range) and type(value) is int and value in self.allowed:
            return value
        if isinstance(self.allowed, tuple) and isinstance(value, str) and value in self.allowed:
            return value
        if isinstance(self.allowed, Hexadecimal) and isinstance(value, str) and self.allowed.holds(value):
            return value.lower()
        raise BadParameter(detail=f"{origin}: {self.name} = {value!r} is not possible; allowed: {self.choices}")

    @property
    def choices(self) -> str:
        """The legal values, for a person."""
        if isinstance(self.allowed, range):
            return f"{self.allowed.start} … {self.allowed.stop - 1}"
        if isinstance(self.allowed, Hexadecimal):
            return str(self.allowed)
        if isinstance(self.allowed, type):
            return "a text" if self.allowed is str else "0 or 1"
        return ", ".join(f'"{text}"' for text in self.allowed)


MAX_DWORD = range(1 << 32)
SETTINGS = (
    Setting(
        "TransactionTimeoutMilliseconds",
        "transaction_timeout_ms",
        MAX_DWORD,
        "how long an idle transaction with a verified PIN is kept",
    ),
    Setting("DefaultPrivateKeyLenBits", "default_key_length_bits", MAX_DWORD, "RSA key length when none is given"),
    Setting("RequireOnCardPrivateKeyGen", "require_on_card_generation", bool, "never generate a key on the host"),
    Setting("AllowPrivateExchangeKeyImport", "allow_exchange_key_import", bool, "import of RSA exchange keys"),
    Setting("AllowPrivateSignatureKeyImport", "allow_signature_key_import", bool, "import of RSA signature keys"),
    Setting("AllowPrivateECDHEKeyImport", "allow_ecdhe_key_import", bool, "import of ECDH keys"),
    Setting("AllowPrivateECDSAKeyImport", "allow_ecdsa_key_import", bool, "import of ECDSA keys"),
    Setting("CertPropEnabled", "propagation_enabled", bool, "certificates of inserted cards go into the store"),
    Setting("EnableRootCertificatePropagation", "propagation_roots", bool, "and so do the card's root certificates"),
    Setting("RootCertificateCleanupOption", "propagation_root_cleanup", range(3), "0 never, 1 at removal, 2 at logoff"),
    Setting("propagation.expired", "propagation_expired", bool, "certificates outside their validity go there too"),
    Setting("piv.write", "piv_write", bool, "PIV cards may be written"),
    Setting(
        "piv.container_names",
        "piv_container_names",
        ("windows", "volatile"),
        "names from the CHUID, or new ones each time",
    ),
    Setting("piv.retired_keys", "piv_retired_keys", ("history", "all", "none"), "which of the slots 82 to 95 are read"),
    Setting("piv.proof", "piv_proof", ("head", "whole"), "how an object that may have changed is proved"),
    Setting(
        "piv.container_map",
        "piv_container_map",
        ("auto", "always", "never"),
        "Yubico's container map: on cards that are known to have it, on all, on none",
    ),
    Setting("gids.write", "gids_write", bool, "GIDS cards may be written"),
    Setting(
        "unblock.escrow_key",
        "unblock_escrow_key",
        Hexadecimal(32),
        "public key of the escrow that releases PUKs: calais unblock new prints it",
    ),
    Setting("pin.separate_caches", "pin_separate_caches", bool, "CryptoAPI and CNG remember PINs apart"),
    Setting(
        "personal.default_container",
        "personal_default_container",
        str,
        "the container that the Personal CSP opens when no name is given",
    ),
    Setting(
        "keys.verify_signatures",
        "verify_signatures",
        ("fresh", "always", "never"),
        "check a signature before it is returned: when the card may have changed, each time, not at all",
    ),
)
# The developer guidelines misspell this one; both spellings are in use.
ALIASES = {"AllocPrivateECDHEKeyImport": "AllowPrivateECDHEKeyImport"}
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def _setting(name: str, origin: str) -> Setting:
    setting = _BY_NAME.get(ALIASES.get(name, name))
    if setting is None:
        near = difflib.get_close_matches(name, _BY_NAME, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadParameter(detail=f"{origin}: there is no policy named {name!r}{hint}")
    return setting


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _load(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadParameter(detail=f"{path}: {error}") from error

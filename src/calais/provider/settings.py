"""The policy values, one row each: public name, legal values, meaning, and what it takes to have an effect.

Names with a dot are Calais' own; the others are Microsoft's registry value names. The values of the Base CSP and of the
smart card key storage provider have the same names, and one row here counts for both.

Source: Microsoft, "Smart Card Group Policy and Registry Settings" (names, defaults, meanings); smart card minidriver
"Developer Guidelines" (the keys of Base CSP and KSP).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from calais.win.errors import BadParameter

PolicyValue = bool | int | str


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
    """One row.

    Attributes:
        name: the public name.
        field: the field of ``Policy``.
        allowed: ``bool``, ``str``, a range of integers, a tuple of strings, or ``Hexadecimal``.
        meaning: what it does, for a person.
        needs: another value without which this one does nothing, or "".
        idle: why it can have no effect here, or "".
    """

    name: str
    field: str
    allowed: type[bool | str] | range | tuple[str, ...] | Hexadecimal
    meaning: str
    needs: str = ""
    idle: str = ""

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
        detail = f"{origin}: {self.name} = {value!r} is not possible; allowed: {self.choices}"
        raise BadParameter(detail=detail, next_step=CORRECT)

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


_DWORD = range(1 << 32)
_NO_SESSION = "the desktop's session is not Calais' to lock or end"
_NO_CHAINS = "Calais asks no authority about revocation"
PROVIDER_SETTINGS = (
    Setting(
        "TransactionTimeoutMilliseconds",
        "transaction_timeout_ms",
        _DWORD,
        "how long an idle transaction with a verified PIN is kept",
    ),
    Setting("DefaultPrivateKeyLenBits", "default_key_length_bits", _DWORD, "RSA key length when none is given"),
    Setting(
        "RequireOnCardPrivateKeyGen",
        "require_on_card_generation",
        bool,
        "keys are made on cards alone; 0 = a card that cannot make keys gets one that is made here",
    ),
    Setting("AllowPrivateExchangeKeyImport", "allow_exchange_key_import", bool, "import of RSA exchange keys"),
    Setting("AllowPrivateSignatureKeyImport", "allow_signature_key_import", bool, "import of RSA signature keys"),
    Setting("AllowPrivateECDHEKeyImport", "allow_ecdhe_key_import", bool, "import of ECDH keys"),
    Setting("AllowPrivateECDSAKeyImport", "allow_ecdsa_key_import", bool, "import of ECDSA keys"),
)
PROPAGATION_SETTINGS = (
    Setting("CertPropEnabled", "propagation_enabled", bool, "certificates of inserted cards go into the store"),
    Setting(
        "EnableRootCertificatePropagation",
        "propagation_roots",
        bool,
        "the root certificates of cards go into the machine's SmartCardRoot store",
        needs="CertPropEnabled",
    ),
    Setting(
        "RootCertificateCleanupOption",
        "propagation_root_cleanup",
        range(3),
        "when these roots go again: 0 never, 1 when the card is gone, 2 at the end of the logon",
        needs="CertPropEnabled",
    ),
)
LOGON_SETTINGS = (
    Setting(
        "AllowCertificatesWithNoEKU",
        "allow_no_eku",
        bool,
        "logon: certificates without extended key usage, for any purpose or for client authentication do, too",
    ),
    Setting("EnumerateECCCerts", "enumerate_ecc", bool, "logon: certificates with elliptic curve keys do, too"),
    Setting(
        "AllowIntegratedUnblock",
        "allow_integrated_unblock",
        bool,
        "who meets a blocked PIN is led to unblocking it at once",
    ),
    Setting(
        "IntegratedUnblockPromptString",
        "integrated_unblock_prompt",
        str,
        "what is said then",
        needs="AllowIntegratedUnblock",
    ),
    Setting(
        "AllowSignatureOnlyKeys",
        "allow_signature_only_keys",
        bool,
        "logon: certificates of signature keys (AT_SIGNATURE) do, too",
    ),
    Setting(
        "AllowTimeInvalidCertificates",
        "allow_time_invalid",
        bool,
        "logon: certificates outside their validity do, too",
    ),
    Setting(
        "X509HintsNeeded",
        "user_name_hints",
        bool,
        "logon: people may give their user name, so that certificates without one (UPN) do, too",
    ),
    Setting(
        "FilterDuplicateCerts",
        "filter_duplicates",
        bool,
        "logon: of certificates with the same template and user name only the best one is offered",
    ),
    Setting(
        "ForceReadingAllCertificates",
        "force_reading_all",
        bool,
        "logon: read all certificates of a card, not the default one only",
        idle="every card gives all its certificates at once",
    ),
    Setting("ReverseSubject", "reverse_subject", bool, "logon: subjects are shown back to front"),
    Setting(
        "DisallowPlaintextPin",
        "disallow_plaintext_pin",
        bool,
        "no PIN is remembered as it is: only session PINs, on cards that have them",
    ),
    Setting(
        "CRLTimeoutPeriod", "crl_timeout_s", _DWORD, "how long to wait for a revocation list, in s", idle=_NO_CHAINS
    ),
    Setting(
        "UseCachedCRLOnlyAndIgnoreRevocationUnknownErrors",
        "cached_crl_only",
        bool,
        "use known revocation lists only, and go on without",
        idle=_NO_CHAINS,
    ),
    Setting("scforceoption", "force_smart_card", bool, "logon takes a smart card", idle=_NO_SESSION),
    Setting(
        "scremoveoption",
        "removal_option",
        range(4),
        "at removal of the card: 0 nothing, 1 lock, 2 end the session, 3 end a remote session",
        idle=_NO_SESSION,
    ),
    Setting(
        "EnableScPnP",
        "plug_and_play",
        bool,
        "a driver for an unknown card is looked for",
        idle="drivers are installed as packages; none is fetched from anywhere",
    ),
    Setting(
        "ScPnPNotification",
        "plug_and_play_notification",
        bool,
        "the person is told when such a driver has been installed",
        needs="EnableScPnP",
        idle="drivers are installed as packages; none is fetched from anywhere",
    ),
)
CACHE_MODES = ("global", "session", "none", "card")
OWN_SETTINGS = (
    Setting("propagation.expired", "propagation_expired", bool, "certificates outside their validity are propagated"),
    Setting("piv.write", "piv_write", bool, "PIV cards may be written"),
    Setting(
        "piv.container_names",
        "piv_container_names",
        ("windows", "volatile"),
        "names from the CHUID, or new ones each time",
    ),
    Setting(
        "piv.retired_keys",
        "piv_retired_keys",
        ("history", "all", "none"),
        "which of the slots 82 to 95 are read",
    ),
    Setting("piv.proof", "piv_proof", ("head", "whole"), "how an object that may have changed is proved"),
    Setting(
        "piv.container_map",
        "piv_container_map",
        ("auto", "always", "never"),
        "Yubico's container map: on cards that are known to have it, on all, on none",
    ),
    Setting("gids.write", "gids_write", bool, "GIDS cards may be written"),
    Setting(
        "gids.proof",
        "gids_proof",
        ("counters", "head", "whole"),
        "what others may have changed: believed by cardcf; and looked at when asked for itself; read again",
    ),
    Setting(
        "cache.mode",
        "cache_mode",
        ("global", "session", "none"),
        "how far card data is remembered at most: in files, until the card is removed, not at all",
    ),
    Setting("piv.cache", "piv_cache", CACHE_MODES, "the same for PIV cards; card = as the driver's cache mode says"),
    Setting("gids.cache", "gids_cache", CACHE_MODES, "the same for GIDS cards"),
    Setting("cache.item_bytes", "cache_item_bytes", range(1 << 31), "the longest item that SCardWriteCache keeps"),
    Setting(
        "unblock.escrow_key",
        "unblock_escrow_key",
        Hexadecimal(32),
        "public key of the escrow that releases PUKs: calais unblock new prints it",
    ),
    Setting(
        "pin.separate_caches",
        "pin_separate_caches",
        bool,
        "CryptoAPI and CNG remember PINs apart, as session PINs where a card has them",
    ),
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
SETTINGS = PROVIDER_SETTINGS + PROPAGATION_SETTINGS + LOGON_SETTINGS + OWN_SETTINGS
# Other spellings in use: of the developer guidelines, of the title of a policy, and of a page with a stray blank.
ALIASES = {
    "AllocPrivateECDHEKeyImport": "AllowPrivateECDHEKeyImport",
    "FilterDuplicateCertificates": "FilterDuplicateCerts",
    "EnableRootCertificate Propagation": "EnableRootCertificatePropagation",
}
CORRECT = "Correct it, or leave it out"
BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_FOLDED_NAME = {name.casefold(): setting for name, setting in BY_NAME.items()} | {
    name.casefold(): BY_NAME[meant] for name, meant in ALIASES.items()
}


def setting_of(name: str, origin: str) -> Setting:
    """The row called ``name``, in whatever case, as names in the registry are.

    Raises:
        BadParameter: there is none; the error says where, and which one may be meant.
    """
    setting = _BY_FOLDED_NAME.get(name.casefold())
    if setting is None:
        near = difflib.get_close_matches(name, BY_NAME, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        detail = f"{origin}: there is no policy named {name!r}{hint}"
        raise BadParameter(detail=detail, next_step=CORRECT)
    return setting

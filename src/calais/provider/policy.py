"""The policy: Group Policy value names and Calais' own dotted names, as one frozen record.

A DWORD of 0 or 1 may be written as a boolean. A file is TOML; a dotted name may be a table::

    TransactionTimeoutMilliseconds = 1500

    [piv]
    write = false

``settings`` has the names and what they mean.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from calais.provider.settings import CORRECT, SETTINGS, PolicyValue, Setting, setting_of
from calais.win.errors import BadParameter

MEND = "Mend the file, or move it away: until then nothing is done"


@dataclass(frozen=True, slots=True)
class Policy:
    """The values in force; every field is one row of ``settings.SETTINGS``, and its default that of the value."""

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
    allow_no_eku: bool = False
    enumerate_ecc: bool = False
    allow_integrated_unblock: bool = False
    integrated_unblock_prompt: str = ""
    allow_signature_only_keys: bool = False
    allow_time_invalid: bool = False
    user_name_hints: bool = False
    filter_duplicates: bool = False
    force_reading_all: bool = False
    reverse_subject: bool = False
    disallow_plaintext_pin: bool = False
    crl_timeout_s: int = 90
    cached_crl_only: bool = False
    force_smart_card: bool = False
    removal_option: int = 0
    plug_and_play: bool = True
    plug_and_play_notification: bool = True
    propagation_expired: bool = True
    piv_write: bool = True
    piv_container_names: str = "windows"
    piv_retired_keys: str = "history"
    piv_proof: str = "head"
    piv_container_map: str = "auto"
    gids_write: bool = True
    gids_proof: str = "head"
    cache_mode: str = "global"
    piv_cache: str = "global"
    gids_cache: str = "card"
    cache_item_bytes: int = 1 << 20
    unblock_escrow_key: str = ""
    pin_separate_caches: bool = False
    personal_default_container: str = ""
    verify_signatures: str = "fresh"

    @classmethod
    def from_values(cls, values: Mapping[str, object], origin: str = "policy") -> Policy:
        """The defaults with ``values`` over them.

        Args:
            values: names as in Group Policy, in whatever case, or dotted; tables of dotted names are accepted.
            origin: where the values come from, for the error.

        Raises:
            BadParameter: an unknown name, or a value that this name cannot have.
        """
        return cls().with_values(values, origin)

    def with_values(self, values: Mapping[str, object], origin: str = "policy") -> Policy:
        """This policy with ``values`` over it (see ``from_values``)."""
        return self._with(checked(values, lambda _: origin).values())

    @classmethod
    def from_files(cls, *paths: Path) -> Policy:
        """The defaults with every existing file of ``paths`` over them; later files win.

        Raises:
            BadParameter: a file cannot be read, is not TOML, or holds an unknown name or value; says the line.
        """
        policy = cls()
        for path in paths:
            policy = policy._with(read(path).values())
        return policy

    def _with(self, given: Iterable[Given]) -> Policy:
        return replace(self, **{each.setting.field: each.value for each in given})  # type: ignore[arg-type]

    def values(self) -> dict[str, PolicyValue]:
        """Every value by its public name."""
        return {setting.name: getattr(self, setting.field) for setting in SETTINGS}

    def effective(self, setting: Setting) -> PolicyValue:
        """The value of ``setting`` as it works: off where the one that it needs is off."""
        value: PolicyValue = getattr(self, setting.field)
        if setting.needs and not self.values()[setting.needs]:
            return type(value)()
        return value


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody has given; ``origin``: where, for a person."""

    setting: Setting
    value: PolicyValue
    origin: str


def checked(values: Mapping[str, object], origin: Callable[[str], str]) -> dict[str, Given]:
    """``values`` by public name; ``origin`` says of each name where it is written.

    Raises:
        BadParameter: an unknown name, a value that is not possible, or two for one name in different spellings.
    """
    found: dict[str, Given] = {}
    for name, value in _flat(values):
        where = origin(name)
        setting = setting_of(name, where)
        given = Given(setting, setting.checked(value, where), where)
        before = found.setdefault(setting.name, given)
        if before.value != given.value:
            detail = f"{where}: {setting.name} has another value already ({before.origin})"
            raise BadParameter(detail=detail, next_step=CORRECT)
    return found


def read(path: Path) -> dict[str, Given]:
    """What the policy file ``path`` says, by public name; nothing when there is no such file.

    Raises:
        BadParameter: it cannot be read, is not TOML, or holds an unknown name or value; says the line.
    """
    try:
        if not path.exists():
            return {}
        if path.is_fifo():
            raise BadParameter(detail=f"{path} cannot be read: it is no file", next_step=MEND)
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise BadParameter(detail=f"{path} cannot be read: {error.strerror}", next_step=MEND) from error
    except UnicodeDecodeError as error:
        raise BadParameter(detail=f"{path} is not UTF-8 text: byte {error.start}", next_step=MEND) from error
    except ValueError as error:
        raise BadParameter(detail=f"{path}: {error}", next_step=MEND) from error
    lines = _lines(text)
    return checked(values, lambda name: f"{path}:{_line_of(name, lines)}")


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


_TABLE = re.compile(r"\s*\[([^\[\]]+)\]")
_ASSIGNMENT = re.compile(r"""\s*((?:[\w.\s-]|"[^"]*"|'[^']*')+?)\s*=""")


def _lines(text: str) -> dict[str, int]:
    """In which line each name of a TOML text is written; tables and inline tables by their own name."""
    lines: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if table := _TABLE.match(line):
            prefix = _name(table[1]) + "."
            lines.setdefault(prefix[:-1], number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault(prefix + _name(assignment[1]), number)
    return lines


def _name(written: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in written.split("."))


def _line_of(name: str, lines: Mapping[str, int]) -> int:
    while name not in lines and "." in name:
        name = name.rpartition(".")[0]
    return lines.get(name, 1)

"""Every policy value: what it is, what it is as it works, and who said so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calais.provider.policy import Given, Policy, read
from calais.provider.settings import SETTINGS, PolicyValue, Setting


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One value.

    Attributes:
        setting: what it is.
        value: what was given, ``None`` = nothing.
        effective: as it works: off where another value that it needs is off.
        default: what holds when nobody says anything.
        origin: ``file:line`` of the value that holds, or "".
        overruled: ``file:line`` of values that do not, weakest first.
    """

    setting: Setting
    value: PolicyValue | None
    effective: PolicyValue
    default: PolicyValue
    origin: str
    overruled: tuple[str, ...]

    @property
    def remark(self) -> str:
        """Why the value does not do what it says, or ""."""
        if self.setting.idle:
            return f"no effect here: {self.setting.idle}"
        if self.setting.needs and self.value is not None and self.effective != self.value:
            return f"no effect: {self.setting.needs} is off"
        return ""


def survey(files: Iterable[Path]) -> list[PolicyRow]:
    """Every value, in the order of the table.

    Args:
        files: the policy files, weakest first.

    Raises:
        BadParameter: as ``policy.read``.
    """
    layers = [read(path) for path in files]
    policy = Policy.from_values({name: given.value for layer in layers for name, given in layer.items()})
    return [_row(setting, layers, policy) for setting in SETTINGS]


def _row(setting: Setting, layers: Iterable[Mapping[str, Given]], policy: Policy) -> PolicyRow:
    given = [layer[setting.name] for layer in layers if setting.name in layer]
    last = given[-1] if given else None
    return PolicyRow(
        setting,
        last.value if last else None,
        policy.effective(setting),
        getattr(Policy(), setting.field),
        last.origin if last else "",
        tuple(each.origin for each in given[:-1]),
    )

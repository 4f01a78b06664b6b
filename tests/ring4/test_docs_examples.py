"""The examples in the docs that are Python run as they stand."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = ("windows.md",)


def examples():
    for page in PAGES:
        for number, code in enumerate(FENCE.findall((DOCS / page).read_text(encoding="utf-8")), 1):
            yield pytest.param(code, id=f"{page}-{number}")


@pytest.mark.parametrize("code", [*examples()])
def test_an_example_runs(code):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, "example", "exec"), {})

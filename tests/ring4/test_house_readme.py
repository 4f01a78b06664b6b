"""The Python that README and the start page show runs as it stands there."""

from __future__ import annotations

import re

import pytest

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_the_python_of_a_page_runs(project, page):
    blocks = BLOCK.findall((project / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {"__name__": "example"})

"""scripts/docs.py finds what is broken in the docs, and what it generates follows the code."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope="module")
def docs(project):
    spec = importlib.util.spec_from_file_location("house_docs", project / "scripts" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path):
    def page(text):
        path = tmp_path / "page.md"
        path.write_text(text)
        return path

    return page


def test_a_link_to_nowhere_is_found(docs, page):
    assert docs.broken_links(page("[a](page.md#part) [b](https://example.org) [c](gone.md)")) == [
        "link to gone.md leads nowhere"
    ]


def test_an_example_of_an_unknown_command_is_found(docs, page):
    example = page(
        "```console\n$ calais cert list\n$ calais certs list\n$ echo 1 | calais pin verify --pin-stdin\n```\n"
    )
    assert docs.unknown_commands(example, {("cert", "list"), ("pin", "verify")}) == ["no command: calais certs list"]


def test_a_generated_part_is_made_anew(docs):
    fresh = docs.regenerate("before\n<!-- errors: generated -->\nfrom yesterday\n<!-- end -->\nafter\n")
    assert "| `WrongPin` | `0x8010006B` | `SCARD_W_WRONG_CHV` |" in fresh
    assert "yesterday" not in fresh
    assert docs.regenerate(fresh) == fresh


def test_every_command_is_in_the_table(docs):
    assert "| `calais cert list` |" in docs.commands_table()


def records(root, *names, text="## Context\n## Decision\n## Consequences\n", index=None):
    folder = root / "docs" / "adr"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(text)
    (folder / "index.md").write_text("".join(f"[x]({name})" for name in (names if index is None else index)))


def test_decisions_in_order_are_right(docs, tmp_path):
    records(tmp_path, "0001-a.md", "0002-b.md")
    assert docs.wrong_records(tmp_path) == []


def test_a_gap_in_the_decisions_is_found(docs, tmp_path):
    records(tmp_path, "0001-a.md", "0003-c.md")
    assert docs.wrong_records(tmp_path) == ["docs/adr/0003-c.md: should be number 0002"]


def test_a_decision_without_consequences_is_found(docs, tmp_path):
    records(tmp_path, "0001-a.md", text="## Context\n## Decision\n")
    assert docs.wrong_records(tmp_path) == ["docs/adr/0001-a.md: no part '## Consequences'"]


def test_a_decision_that_the_index_forgets_is_found(docs, tmp_path):
    records(tmp_path, "0001-a.md", index=())
    assert docs.wrong_records(tmp_path) == ["docs/adr/0001-a.md: not in index.md"]


def test_a_change_fragment_of_an_unknown_kind_is_found(docs, tmp_path):
    (tmp_path / "changelog.d").mkdir()
    for name in ("+a.added.md", "b.broken.md", "README.md"):
        (tmp_path / "changelog.d" / name).touch()
    assert docs.wrong_fragments(tmp_path) == ["changelog.d/b.broken.md: not NAME.added|changed|fixed|security.md"]

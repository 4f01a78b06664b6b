"""scripts/sizes.py says what it should of good and of bad code."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope="module")
def sizes(project):
    spec = importlib.util.spec_from_file_location("house_sizes", project / "scripts" / "sizes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function_of(lines: int, docstring: int = 0) -> str:
    text = ['    """Words.', *(["    more"] * (docstring - 2)), '    """'] if docstring else []
    return "\n".join(["def long():", *text, *(["    pass"] * (lines - 1))])


def test_sixty_lines_are_allowed(sizes):
    assert sizes.faults_of("a.py", function_of(60)) == []


def test_sixty_one_lines_are_not(sizes):
    assert sizes.faults_of("a.py", function_of(61)) == ["a.py:1: long has 61 lines, 60 allowed"]


def test_a_docstring_does_not_count(sizes):
    assert sizes.faults_of("a.py", function_of(60, docstring=30)) == []


def test_a_file_of_501_lines_is_too_long(sizes):
    assert sizes.faults_of("a.py", "x = 1\n" * 501) == ["a.py:1: 501 lines, 500 allowed"]


def test_a_table_of_constants_may_be_long(sizes):
    assert sizes.faults_of("src/calais/win/flags/crypt32.py", "x = 1\n" * 501) == []


@pytest.mark.parametrize("line", [f"# {'todo'.upper()}: later", f"x = 1  # {'fixme'.upper()}", "raise {}Error"])
def test_deferred_work_is_refused(sizes, line):
    assert sizes.faults_of("a.py", line.format("NotImplemented")) == ["a.py:1: deferred work"]


def test_a_broken_rule_ends_with_status_one(sizes, tmp_path, capsys):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text(function_of(61))
    assert sizes.main(tmp_path) == 1
    assert "long has 61 lines" in capsys.readouterr().out


def test_the_median_is_held(sizes, tmp_path, capsys):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text(function_of(11))
    assert sizes.main(tmp_path) == 1
    assert "the median function has 11 lines" in capsys.readouterr().out


def test_this_project_keeps_its_sizes(sizes, project, capsys):
    assert sizes.main(project) == 0, capsys.readouterr().out

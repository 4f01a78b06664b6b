"""A test that needs a foreign program skips with the package's name, and fails where everything must be there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

TEST = """
import pytest

@pytest.mark.requires({program!r}, package="that-package")
def test_it():
    pass
"""


@pytest.fixture
def run(project, tmp_path):
    shutil.copy(project / "tests" / "conftest.py", tmp_path)

    def run(program: str, **environment: str) -> str:
        (tmp_path / "test_it.py").write_text(TEST.format(program=program))
        clean = {name: value for name, value in os.environ.items() if name not in ("CI", "CALAIS_REQUIRE_ALL")}
        command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-c", os.devnull, "."]
        done = subprocess.run(command, cwd=tmp_path, env={**clean, **environment}, capture_output=True, text=True)
        return done.stdout

    return run


def test_a_program_that_is_here_runs_the_test(run):
    assert "1 passed" in run("sh", CI="true")


def test_a_library_may_be_named_by_a_pattern(run, tmp_path):
    (tmp_path / "libit.so").touch()
    assert "1 passed" in run(f"{tmp_path}/lib*.so", CI="true")


def test_without_the_program_the_test_is_skipped_with_the_package(run):
    output = run("no-such-program")
    assert "1 skipped" in output
    assert "no-such-program: apt install that-package" in output


@pytest.mark.parametrize("name", ["CI", "CALAIS_REQUIRE_ALL"])
def test_where_everything_must_be_there_it_fails(run, name):
    output = run("/no/such/library.so", **{name: "1"})
    assert "1 error" in output
    assert "/no/such/library.so: apt install that-package" in output


def test_ci_switched_off_is_not_ci(run):
    assert "1 skipped" in run("no-such-program", CI="false")

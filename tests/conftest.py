"""What every test gets: a home of its own, no real reader, its ring's marker, and foreign programs by name.

A test that needs a program or library that Debian ships says so::

    @pytest.mark.requires("opensc-tool", package="opensc")
    @pytest.mark.requires("/usr/lib/*/opensc-pkcs11.so", package="opensc-pkcs11")

Without it the test is skipped, naming the package; with ``CI`` or ``CALAIS_REQUIRE_ALL`` set it fails.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SBIN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))
HOMES = itertools.count()
NEEDS = re.compile(r"needs (\S+): apt install (\S+)")

# How fast the machine is decides no test.
settings.register_profile("calais", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("calais")


def pytest_configure(config):
    config.addinivalue_line("markers", "requires(program, package): a program or library path, and its Debian package")
    # The reader on this desk, if there is one, is nobody's business: a test starts its own pcscd.
    os.environ["PCSCLITE_CSOCK_NAME"] = "/nonexistent/pcscd.comm"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        ring = re.search(r"[/\\](ring\d)[/\\]", str(item.path))
        if ring:
            item.add_marker(ring[1])
        if item.get_closest_marker("requires"):
            item.add_marker("foreign")


def pytest_make_parametrize_id(val, argname):
    """Every process must give a test the same name: bytes may be random, or hold the time."""
    return argname if isinstance(val, bytes) and len(val) > 4 else None


def is_here(program):
    """Whether a program is on the PATH (the sbin directories included), or a path or pattern names a file."""
    if "/" in program:
        return any(Path("/").glob(program.lstrip("/")))
    return bool(shutil.which(program) or shutil.which(program, path=SBIN))


def must_have_all(environment):
    """Whether a missing foreign program is a failure."""
    return any(environment.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "CALAIS_REQUIRE_ALL"))


def pytest_runtest_setup(item):
    for marker in item.iter_markers("requires"):
        require(*marker.args, **marker.kwargs)


def require(program, package):
    """Skip, or fail where everything must be there, unless ``program`` is here."""
    if is_here(program):
        return
    message = f"needs {program}: apt install {package}"
    if must_have_all(os.environ):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter):
    reports = terminalreporter.stats.get("skipped", []) + terminalreporter.stats.get("error", [])
    absent = {found.groups() for report in reports if (found := NEEDS.search(str(report.longrepr)))}
    if absent:
        terminalreporter.section("foreign programs that are not here")
        for program, package in sorted(absent):
            terminalreporter.line(f"{program}: apt install {package}")


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path_factory.getbasetemp() / f"home-{next(HOMES)}"))
    monkeypatch.delenv("CALAIS_STORE", raising=False)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started by the first test that wants it; skips without the program."""
    require("/usr/lib/postgresql/*/bin/postgres", "postgresql")
    from postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return Path(__file__).resolve().parent.parent

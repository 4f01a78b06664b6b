"""Yubico's own library on the objects that stand for ``msroots``: what we write it reads, what it writes we read."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from foreign import PRIVATE_PCSCD, library
from pivdesk import Desk, admin

from calais.testing import virtual_piv

pytestmark = [*PRIVATE_PCSCD, pytest.mark.requires("/usr/lib/*/libykpiv.so.2", package="libykpiv2")]
LIBRARY = "/usr/lib/*/libykpiv.so.2"
ROOTS = bytes(number % 253 for number in range(6001))

# The library runs in a process of its own: its PC/SC client looks for the daemon when it is loaded.
PROGRAM = textwrap.dedent("""\
    import ctypes, sys
    lib = ctypes.CDLL(sys.argv[1])
    state = ctypes.c_void_p()
    check = lambda code: code and sys.exit(f"libykpiv says {code}")
    check(lib.ykpiv_init(ctypes.byref(state), 0))
    check(lib.ykpiv_connect(state, None))
    if sys.argv[2] == "read":
        data, size = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_size_t()
        check(lib.ykpiv_util_read_msroots(state, ctypes.byref(data), ctypes.byref(size)))
        sys.stdout.buffer.write(bytes(data[: size.value]))
    else:
        check(lib.ykpiv_authenticate(state, bytes((1, 2, 3, 4, 5, 6, 7, 8)) * 3))
        data = sys.stdin.buffer.read()
        check(lib.ykpiv_util_write_msroots(state, data, ctypes.c_size_t(len(data))))
    """)


def ykpiv(stage, what, data=b""):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, library(LIBRARY), what],
        env=dict(stage.pcscd.environ) | {"PATH": "/usr/bin:/bin"},
        input=data,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_yubicos_library_reads_msroots_that_we_wrote(stage_with):
    card = virtual_piv(keys={})
    with admin(Desk(card)) as driver:
        driver.create_file("mscp", "msroots", 0, 1)
        driver.write_file("mscp", "msroots", ROOTS)
    assert ykpiv(stage_with(card), "read") == ROOTS


def test_we_read_msroots_that_yubicos_library_wrote(stage_with):
    card = virtual_piv(keys={})
    ykpiv(stage_with(card), "write", ROOTS)
    with Desk(card).driver() as driver:
        assert driver.read_file("mscp", "msroots") == ROOTS

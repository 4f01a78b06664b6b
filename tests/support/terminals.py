"""People at terminals: programs on pseudo-terminals of their own, read and typed at by a test."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time

PATIENCE_S = 60
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """``calais`` on a terminal; everything it ever wrote is in ``seen``."""

    def __init__(self, *words, home):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ |= {"CALAIS_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
            os.execv(sys.executable, [sys.executable, "-m", "calais", *map(str, words)])
        self.seen = ""
        self.read = 0

    def wait(self, text):
        """What was written since the last wait, up to ``text``, which must come."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen[self.read :]:
            assert self._more(deadline), f"{text!r} never came:\n{self.seen}"
        end = self.seen.index(text, self.read) + len(text)
        before, self.read = self.seen[self.read : end], end
        return before

    def type(self, line):
        """A line, with its end."""
        os.write(self.descriptor, line.encode() + b"\n")

    def answer(self, question, line):
        """Wait for a question, and type."""
        before = self.wait(question)
        self.type(line)
        return before

    def end(self):
        """Exit code, when the program has ended by itself."""
        deadline = time.monotonic() + PATIENCE_S
        while self._more(deadline):
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _more(self, deadline):
        ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"nothing more came:\n{self.seen}"
        try:
            data = os.read(self.descriptor, 4096)
        except OSError:  # the program has closed its end
            data = b""
        self.seen += STYLE.sub("", data.decode(errors="replace")).replace("\r", "")
        return bool(data)


LINE = re.compile(r"^  (\w*) +((?:[0-9A-F]{4} ?){1,4})   ([a-z]+-[a-z]+)$", re.MULTILINE)


def heard(text):
    """What a person reads out: heading -> lines of digits and check word."""
    found, name = {}, ""
    for heading, digits, check in LINE.findall(text):
        name = heading or name
        found.setdefault(name, []).append(f"{digits.strip()} {check}")
    return found

"""A PostgreSQL server of the tests' own: a socket in a directory of its own, nothing on the network, no fsync."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

PASSWORD = "not-for-the-logs"
NEEDED = pytest.mark.requires("/usr/lib/postgresql/*/bin/postgres", package="postgresql")
_NAMES = itertools.count()
_STARTS_WITHIN_S = 60


@cache
def programs() -> Path:
    """The directory of the newest server's programs."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


def unprivileged() -> dict[str, object]:
    """Arguments of ``Popen``: the server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def database_in(url: str) -> str:
    """The name of the database that a URL is of."""
    return make_url(url).database


class PostgresServer:
    """A running server; ``url`` names its administrator and a database, made when it is missing.

    Args:
        tls: PEM of a certificate and its key; with them the server also listens on a port of 127.0.0.1, ``port``.
    """

    def __init__(self, tls: tuple[bytes, bytes] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="calais-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        who = unprivileged()
        if who:
            os.chown(self.folder, who["user"], who["group"])
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        options = ["-D", self.data, "-U", "admin", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        initdb = [programs() / "initdb", *options, "--no-sync", "--locale=C.UTF-8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **who)
        self._databases: set[str] = set()
        self.port = 0
        self._process = self._start(who, self._prepare_tls(who, tls) if tls else {})

    def _prepare_tls(self, who, tls):
        for name, pem in zip(("server.crt", "server.key"), tls, strict=True):
            path = self.folder / name
            path.touch(0o600)
            path.write_bytes(pem)
            if who:
                os.chown(path, who["user"], who["group"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        files = {"ssl_cert_file": self.folder / "server.crt", "ssl_key_file": self.folder / "server.key"}
        return {"ssl": "on", "listen_addresses": "127.0.0.1", "port": self.port, **files}

    def _start(self, who, more):
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "deadlock_timeout": "50ms",
            **more,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        command = ["setpriv", "--pdeathsig", "INT", programs() / "postgres", "-D", self.data, *flags]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **who)
        log.close()
        end = time.monotonic() + _STARTS_WITHIN_S
        while process.poll() is None and time.monotonic() < end:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return process
        raise AssertionError((self.folder / "log").read_text())

    def connect(self, database: str = "postgres", user: str = "admin", **more) -> psycopg.Connection:
        """A session that commits each statement."""
        arguments = {
            "host": str(self.folder),
            "port": self.port or 5432,
            "dbname": database,
            "user": user,
            "password": PASSWORD,
            **more,
        }
        return psycopg.connect(autocommit=True, connect_timeout=10, **arguments)

    def run(self, statement: str, database: str = "postgres", user: str = "admin") -> list[tuple]:
        """What one statement, or several without results, answer."""
        with self.connect(database, user) as connection:
            answer = connection.execute(statement)
            return answer.fetchall() if answer.description else []

    def url(self, database: str = "calais", user: str = "admin", password: str = PASSWORD) -> str:
        """SQLAlchemy's URL."""
        if database not in self._databases:
            self._databases.add(database)
            self.run(f"CREATE DATABASE {database}")
        made = URL.create(
            "postgresql+psycopg",
            user,
            password,
            database=database,
            query={"host": str(self.folder)},
            port=self.port or None,
        )
        return made.render_as_string(hide_password=False)

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        return self.url(f"fresh_{next(_NAMES)}")

    def role(self, name: str, *, within: str = "") -> str:
        """A role that may log in; its name."""
        self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {f'IN ROLE {within}' if within else ''}")
        return name

    def stop(self) -> None:
        """End it, with every session."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
        shutil.rmtree(self.folder)

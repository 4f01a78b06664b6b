"""From one version of the schema to the next. A step is never changed once released: new databases run them all."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from calais.store.sql.schema import AUTO_ID, schema, settings
from calais.win.codes import Code
from calais.win.errors import WinError

_V1_INDEXES = ("sha1", "subject", "issuer", "issuer_serial", "key_identifier", "public_key")


def _first_tables(connection: Connection) -> None:
    """Stores, certificates and their properties."""
    first = sa.MetaData()
    sa.Table("schema_version", first, sa.Column("version", sa.Integer, nullable=False))
    sa.Table(
        "store",
        first,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("location", sa.Integer, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("account", "location", "folded"),
        sqlite_autoincrement=True,
    )
    sa.Table(
        "certificate",
        first,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("store_id", sa.ForeignKey("store.id", ondelete="CASCADE"), nullable=False),
        sa.Column("encoded", sa.LargeBinary, nullable=False),
        *(sa.Column(index, sa.LargeBinary, nullable=False) for index in _V1_INDEXES),
        sa.UniqueConstraint("store_id", "sha1"),
        *(sa.Index(f"certificate_{each}", "store_id", each, "id") for each in _V1_INDEXES if each != "sha1"),
        sa.Index("certificate_order", "store_id", "id"),
        sqlite_autoincrement=True,
    )
    sa.Table(
        "property",
        first,
        sa.Column("certificate_id", sa.ForeignKey("certificate.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("prop_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    first.create_all(connection)


_ACCOUNT_EVERYWHERE = (
    "ALTER TABLE certificate ADD COLUMN account TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE certificate ADD COLUMN kind INTEGER NOT NULL DEFAULT 32",
    "ALTER TABLE property ADD COLUMN account TEXT NOT NULL DEFAULT ''",
    (
        "UPDATE certificate SET account = (SELECT account FROM store WHERE store.id = certificate.store_id)"
        " WHERE store_id IN (SELECT id FROM store WHERE account <> '')"
    ),
    (
        "UPDATE property SET account ="
        " (SELECT account FROM certificate WHERE certificate.id = property.certificate_id)"
        " WHERE certificate_id IN (SELECT id FROM certificate WHERE account <> '')"
    ),
    "DROP INDEX certificate_order",
    "CREATE INDEX certificate_order ON certificate (store_id, account, kind, id)",
)
# On a server, nobody may hang a row of his own on another account's, even with SQL written by hand.
_ACCOUNT_POLICED = (
    "ALTER TABLE store ADD CONSTRAINT store_of_account UNIQUE (id, account)",
    "ALTER TABLE certificate ADD CONSTRAINT certificate_of_account UNIQUE (id, account)",
    (
        "ALTER TABLE certificate ADD CONSTRAINT certificate_in_store_of_account"
        " FOREIGN KEY (store_id, account) REFERENCES store (id, account) ON DELETE CASCADE"
    ),
    (
        "ALTER TABLE property ADD CONSTRAINT property_of_account"
        " FOREIGN KEY (certificate_id, account) REFERENCES certificate (id, account) ON DELETE CASCADE"
    ),
)


def _kinds_accounts_and_settings(connection: Connection) -> None:
    """CRLs and CTLs beside certificates, the account in every row, and small named values."""
    policed = _ACCOUNT_POLICED if connection.dialect.name == "postgresql" else ()
    for statement in (*_ACCOUNT_EVERYWHERE, *policed):
        connection.exec_driver_sql(statement)
    second = sa.MetaData()
    settings.to_metadata(second).create(connection)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first_tables, _kinds_accounts_and_settings)
"""What makes each version of the schema from the one before it."""


def newest() -> int:
    """The version that this program knows."""
    return len(MIGRATIONS)


def version_of(connection: Connection) -> int:
    """The version of the schema there is; 0 = an empty database."""
    if not sa.inspect(connection).has_table(schema.name):
        return 0
    return connection.execute(sa.select(schema.c.version)).scalar() or 0


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest version; the caller's transaction holds the lock.

    Raises:
        WinError: ERROR_REVISION_MISMATCH, it is of a later version.
    """
    version = version_of(connection)
    if version > newest():
        detail = f"The store has schema {version}; this program knows {newest()} at most."
        raise WinError(Code.ERROR_REVISION_MISMATCH, detail, next_step="Update Calais.")
    if version == newest():
        return
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(sa.delete(schema))
    connection.execute(sa.insert(schema).values(version=newest()))

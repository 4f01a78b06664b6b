"""The tables, as the newest version of the schema has them; ``migrations`` makes them.

``account`` stands in every row, not only in the store's: each statement can name it, and a server can police it.
"""

from __future__ import annotations

import sqlalchemy as sa

from calais.store.api import Index

AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only INTEGER is an alias of SQLite's rowid

metadata = sa.MetaData()
schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))
stores = sa.Table(
    "store",
    metadata,
    sa.Column("id", AUTO_ID, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("location", sa.Integer, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False, default=0),
    sa.UniqueConstraint("account", "location", "folded"),
    sqlite_autoincrement=True,
)
certificates = sa.Table(
    "certificate",
    metadata,
    sa.Column("id", AUTO_ID, primary_key=True),
    sa.Column("store_id", sa.ForeignKey("store.id", ondelete="CASCADE"), nullable=False),
    sa.Column("encoded", sa.LargeBinary, nullable=False),
    *(sa.Column(index.value, sa.LargeBinary, nullable=False) for index in Index),
    sa.Column("account", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Integer, nullable=False, server_default=sa.text("32")),
    sa.UniqueConstraint("store_id", Index.SHA1.value),
    *(sa.Index(f"certificate_{each}", "store_id", each.value, "id") for each in Index if each is not Index.SHA1),
    sa.Index("certificate_order", "store_id", "account", "kind", "id"),
    sqlite_autoincrement=True,
)
properties = sa.Table(
    "property",
    metadata,
    sa.Column("certificate_id", sa.ForeignKey("certificate.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("prop_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("account", sa.Text, nullable=False, server_default=""),
)
settings = sa.Table(
    "setting",
    metadata,
    sa.Column("id", AUTO_ID, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("location", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("account", "location", "kind", "name"),
    sqlite_autoincrement=True,
)

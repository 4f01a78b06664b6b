"""Every constant of the headers under its Windows name, and the families they form.

A constant is a plain number or, where it is a name, a ``StrEnum`` member equal to the exact string. The families
(``PropId``, ``StoreOpenFlag`` …) give such numbers a name in logs and types in signatures. Numbers are not members
themselves, because ``flags & ~SOME_FLAG`` with an ``IntFlag`` drops the bits that the family does not know.
"""

# A list of the names would be the tables once more.
# ruff: noqa: F403

from __future__ import annotations

from calais.win.flags.base import OpenEnum as OpenEnum
from calais.win.flags.cardmod import *
from calais.win.flags.certenroll import *
from calais.win.flags.crypt32 import *
from calais.win.flags.ncrypt import *
from calais.win.flags.oids import *
from calais.win.flags.wincrypt import *
from calais.win.flags.winscard import *

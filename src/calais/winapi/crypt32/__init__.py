"""Certificate stores, contexts, properties and the way to the key, under Microsoft's names.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``; handles are objects, ``None`` is NULL.
Source: wincrypt.h and Microsoft's documentation of each function.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403

from __future__ import annotations

from types import ModuleType as _Module

from calais.store.api import AcquiredKey as AcquiredKey
from calais.store.finding import CertHash as CertHash
from calais.store.model import CertificateContext as CertificateContext
from calais.store.model import CRLContext as CRLContext
from calais.store.stores import Store as _Store
from calais.win.codes import *
from calais.win.flags import *
from calais.win.structs import *
from calais.winapi.crypt32.coding import *
from calais.winapi.crypt32.contexts import *
from calais.winapi.crypt32.crls import *
from calais.winapi.crypt32.issuers import *
from calais.winapi.crypt32.keys import *
from calais.winapi.crypt32.naming import *
from calais.winapi.crypt32.pfx import *
from calais.winapi.crypt32.query import *
from calais.winapi.crypt32.signing import *
from calais.winapi.crypt32.stores import *
from calais.winapi.crypt32.usage import *

HCERTSTORE = _Store

# A program that takes everything gets names of the header, not those of the files here.
__all__ = [name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _Module))]

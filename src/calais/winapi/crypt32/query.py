"""Finding out what a file, or a piece of data, is.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from os import PathLike as _PathLike

from calais.store import querying as _querying
from calais.store.querying import QueryObject
from calais.win.flags import CERT_QUERY_CONTENT_FLAG_ALL, CERT_QUERY_FORMAT_FLAG_ALL


def CryptQueryObject(
    dwObjectType: int,
    pvObject: bytes | str | _PathLike[str],
    dwExpectedContentTypeFlags: int = CERT_QUERY_CONTENT_FLAG_ALL,
    dwExpectedFormatTypeFlags: int = CERT_QUERY_FORMAT_FLAG_ALL,
    dwFlags: int = 0,
) -> QueryObject:
    """What a file (by path) or some bytes are, and the certificates and CRLs in it.

    Raises:
        WinError: E_INVALIDARG nothing given or expected; CRYPT_E_NO_MATCH; ERROR_FILE_NOT_FOUND.
    """
    return _querying.query(dwObjectType, pvObject, dwExpectedContentTypeFlags, dwExpectedFormatTypeFlags)

"""What failures mean: exit codes, Windows' codes of operating-system errors, and words where an error has none.

Exit codes: docs/commands.md.
"""

from __future__ import annotations

import errno

from calais.win.codes import Code
from calais.win.errors import (
    AccessDenied,
    BadParameter,
    Cancelled,
    NotAuthenticated,
    NotFound,
    PinBlocked,
    SilentContext,
    WinError,
    WrongPin,
)

DONE, NOT_SO, USAGE, CARD, PIN, REFUSED, MACHINE, UNEXPECTED = 0, 1, 2, 3, 4, 5, 6, 70
INTERRUPTED = 130

EXIT_OF_CODE: dict[int, int] = {
    Code.NTE_BAD_SIGNATURE: NOT_SO,
    Code.SCARD_E_INVALID_CHV: PIN,
    Code.SCARD_E_READ_ONLY_CARD: CARD,
    Code.ERROR_DISK_FULL: MACHINE,
    Code.ERROR_BUSY: MACHINE,
    Code.ERROR_DATABASE_FAILURE: MACHINE,
    Code.ERROR_ACCESS_DENIED: MACHINE,
    Code.ERROR_FILE_NOT_FOUND: MACHINE,
    Code.ERROR_PATH_NOT_FOUND: MACHINE,
    Code.ERROR_FILE_EXISTS: MACHINE,
    Code.ERROR_IO_DEVICE: MACHINE,
    Code.ERROR_NOT_SUPPORTED: MACHINE,
    Code.ERROR_REVISION_MISMATCH: MACHINE,
    Code.ERROR_INVALID_NAME: USAGE,
    Code.ERROR_ALREADY_EXISTS: NOT_SO,
    Code.CRYPT_E_EXISTS: NOT_SO,
    Code.NTE_EXISTS: NOT_SO,
}
CODE_OF_ERRNO: dict[int, int] = {
    errno.ENOSPC: Code.ERROR_DISK_FULL,
    errno.EDQUOT: Code.ERROR_DISK_FULL,
    errno.EACCES: Code.ERROR_ACCESS_DENIED,
    errno.EPERM: Code.ERROR_ACCESS_DENIED,
    errno.EROFS: Code.ERROR_ACCESS_DENIED,
    errno.ENOENT: Code.ERROR_FILE_NOT_FOUND,
    errno.ENOTDIR: Code.ERROR_PATH_NOT_FOUND,
    errno.EEXIST: Code.ERROR_FILE_EXISTS,
}
EXIT_OF_CLASS: tuple[tuple[type[WinError], int], ...] = (
    (WrongPin, PIN),
    (PinBlocked, PIN),
    (NotAuthenticated, PIN),
    (SilentContext, PIN),
    (Cancelled, PIN),
    (AccessDenied, REFUSED),
    (BadParameter, USAGE),
    (NotFound, NOT_SO),
)
MEANING: dict[int, str] = {
    Code.SCARD_E_NO_SERVICE: "the smart card service (pcscd) is not running",
    Code.SCARD_E_NO_READERS_AVAILABLE: "there is no smart card reader",
    Code.SCARD_E_UNKNOWN_READER: "there is no reader of that name",
    Code.SCARD_E_READER_UNAVAILABLE: "the reader is gone",
    Code.SCARD_E_NO_SMARTCARD: "there is no card in the reader",
    Code.SCARD_W_REMOVED_CARD: "the card was taken out",
    Code.SCARD_W_RESET_CARD: "another program reset the card",
    Code.SCARD_W_UNRESPONSIVE_CARD: "the card does not answer",
    Code.SCARD_E_SHARING_VIOLATION: "another program holds the card",
    Code.SCARD_E_UNKNOWN_CARD: "no driver knows this card",
    Code.SCARD_W_WRONG_CHV: "the PIN is wrong",
    Code.SCARD_W_CHV_BLOCKED: "the PIN is blocked: no tries are left",
    Code.SCARD_W_SECURITY_VIOLATION: "the card wants a PIN or the management key first",
    Code.SCARD_W_CANCELLED_BY_USER: "cancelled",
    Code.NTE_SILENT_CONTEXT: "a PIN is needed, and none was given",
    Code.NTE_BAD_SIGNATURE: "the signature is not valid",
    Code.CRYPT_E_NOT_FOUND: "there is no such certificate in the store",
    Code.CRYPT_E_NO_KEY_PROPERTY: "the certificate has no link to a private key",
    Code.NTE_BAD_KEYSET: "there is no such key container",
    Code.ERROR_DISK_FULL: "the disk is full",
    Code.ERROR_BUSY: "the certificate store is locked by another program",
}
NEXT: dict[int, str] = {
    Code.SCARD_E_NO_SERVICE: "Start it (sudo systemctl start pcscd), or use a virtual card: calais virtual new NAME",
    Code.SCARD_E_NO_READERS_AVAILABLE: "Plug in a reader, or use a virtual card: calais virtual new NAME",
    Code.SCARD_E_UNKNOWN_READER: "See the names with: calais readers",
    Code.SCARD_E_READER_UNAVAILABLE: "Plug the reader in again; calais readers shows what is there",
    Code.SCARD_E_NO_SMARTCARD: "Insert a card; calais readers shows where cards are",
    Code.SCARD_W_REMOVED_CARD: "Insert the card and try again",
    Code.SCARD_W_RESET_CARD: "Try again",
    Code.SCARD_W_UNRESPONSIVE_CARD: "Insert the card the right way round, or clean its contacts",
    Code.SCARD_E_SHARING_VIOLATION: "Close the other program (gpg's scdaemon is a frequent one) and try again",
    Code.SCARD_W_WRONG_CHV: "See the tries left with: calais pin status",
    Code.SCARD_W_CHV_BLOCKED: "Set a new PIN with the PUK: calais pin unblock",
    Code.SCARD_W_SECURITY_VIOLATION: "Give the PIN with --pin-file or --pin-stdin, or run in a terminal to be asked",
    Code.NTE_SILENT_CONTEXT: "Give the PIN with --pin-file or --pin-stdin, or run in a terminal to be asked",
    Code.CRYPT_E_NOT_FOUND: "See what is there with: calais cert list",
    Code.CRYPT_E_NO_KEY_PROPERTY: "Insert the card and run: calais propagate",
    Code.NTE_BAD_KEYSET: "See the containers with: calais key list; renew the links with: calais propagate",
    Code.ERROR_DISK_FULL: "Make room and try again; nothing that was stored before is lost",
    Code.ERROR_BUSY: "Try again; if it stays so, find the program that holds the database",
}

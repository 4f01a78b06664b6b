"""``WinError``: every failure of Calais carries a Windows code, the useful fact, and the next step.

A subclass exists only where a caller acts differently. The code is never changed by the subclass, and a
code without a name keeps its number.
"""

from __future__ import annotations

from typing import ClassVar

from calais.win.codes import Code, name_of, win32_from_hresult


class WinError(Exception):
    """A failure with its Windows status code.

    Args:
        code: the code, as unsigned 32-bit value; a negative HRESULT is accepted.
        detail: what happened, in one sentence for a person; never a PIN or key.
        next_step: what the person can do about it, or "".
        index: position of the offending item, where the interface says so (bytes or records).

    ``attempts_left``: of the PIN that was refused; ``None`` when the error is not about a PIN, or nobody knows.

    Source: winerror.h (numbers); MS-ERREF 2.1 (HRESULT).
    """

    default_code: ClassVar[int] = Code.SCARD_F_INTERNAL_ERROR
    attempts_left: int | None = None

    def __init__(
        self,
        code: int | None = None,
        detail: str = "",
        *,
        next_step: str = "",
        index: int | None = None,
    ) -> None:
        self.code = int(self.default_code if code is None else code) & 0xFFFFFFFF
        self.detail = detail
        self.next_step = next_step
        self.index = index
        super().__init__(self.code, detail)

    @classmethod
    def of(cls, code: int, detail: str = "", *, next_step: str = "") -> WinError:
        """The error for ``code``, in the subclass that claims this code (else plain ``WinError``)."""
        code &= 0xFFFFFFFF
        kind = _CLASS_OF_CODE.get(code) or _CLASS_OF_CODE.get(win32_from_hresult(code), WinError)
        return kind(code, detail, next_step=next_step)

    @property
    def hresult(self) -> int:
        """The code as signed 32-bit value."""
        return self.code - (1 << 32) if self.code & 0x80000000 else self.code

    @property
    def name(self) -> str:
        """Windows' name, e.g. ``"NTE_BAD_KEYSET"``; ``"0x%08X"`` when the number has none."""
        return name_of(self.code)

    def __str__(self) -> str:
        head = f"{self.name} (0x{self.code:08X})"
        return f"{head}: {self.detail}" if self.detail else head


class BadParameter(WinError):
    """The caller's fault, named before any APDU is sent."""

    default_code = Code.SCARD_E_INVALID_PARAMETER


class BadData(WinError):
    """The card's, file's or peer's fault: data that cannot be what it claims; ``index`` is the byte offset."""

    default_code = Code.SCARD_E_COMM_DATA_LOST


class NotFound(WinError):
    """The file, object, certificate, container or key asked for is not there."""

    default_code = Code.SCARD_E_FILE_NOT_FOUND


class Unsupported(WinError):
    """The card, driver or provider has no such function or algorithm."""

    default_code = Code.SCARD_E_UNSUPPORTED_FEATURE


class WrongPin(WinError):
    """The PIN, PUK or challenge response is wrong; ``attempts_left`` is ``None`` when the card does not say."""

    default_code = Code.SCARD_W_WRONG_CHV

    def __init__(
        self,
        code: int | None = None,
        detail: str = "",
        *,
        next_step: str = "",
        index: int | None = None,
        attempts_left: int | None = None,
    ) -> None:
        super().__init__(code, detail, next_step=next_step, index=index)
        self.attempts_left = attempts_left


class PinBlocked(WinError):
    """No tries are left; only an unblock helps."""

    default_code = Code.SCARD_W_CHV_BLOCKED
    attempts_left = 0


class NotAuthenticated(WinError):
    """The card wants a PIN or the management key first."""

    default_code = Code.SCARD_W_SECURITY_VIOLATION


class CardRemoved(WinError):
    """The card left the reader while it was in use."""

    default_code = Code.SCARD_W_REMOVED_CARD


class CardReset(WinError):
    """The card was reset: its selected application and verified PINs are gone."""

    default_code = Code.SCARD_W_RESET_CARD


class NoCard(WinError):
    """There is no card in the reader."""

    default_code = Code.SCARD_E_NO_SMARTCARD


class ReaderUnavailable(WinError):
    """The reader or the PC/SC service is not there."""

    default_code = Code.SCARD_E_READER_UNAVAILABLE


class SharingViolation(WinError):
    """Another program holds the card."""

    default_code = Code.SCARD_E_SHARING_VIOLATION


class Cancelled(WinError):
    """A person, or the program, gave up waiting."""

    default_code = Code.SCARD_W_CANCELLED_BY_USER


class SilentContext(WinError):
    """A prompt would have been needed and is not allowed."""

    default_code = Code.NTE_SILENT_CONTEXT


class AccessDenied(WinError):
    """Policy, access rules or a read-only object forbid it."""

    default_code = Code.E_ACCESSDENIED


_CLASS_OF_CODE: dict[int, type[WinError]] = {
    Code.SCARD_E_INVALID_PARAMETER: BadParameter,
    Code.ERROR_INVALID_PARAMETER: BadParameter,
    Code.E_INVALIDARG: BadParameter,
    Code.NTE_INVALID_PARAMETER: BadParameter,
    Code.NTE_BAD_FLAGS: BadParameter,
    Code.SCARD_E_COMM_DATA_LOST: BadData,
    Code.CRYPT_E_ASN1_EOD: BadData,
    Code.CRYPT_E_ASN1_BADTAG: BadData,
    Code.CRYPT_E_ASN1_CORRUPT: BadData,
    Code.ERROR_INVALID_DATA: BadData,
    Code.SCARD_E_FILE_NOT_FOUND: NotFound,
    Code.SCARD_E_DIR_NOT_FOUND: NotFound,
    Code.SCARD_E_NO_KEY_CONTAINER: NotFound,
    Code.SCARD_E_NO_SUCH_CERTIFICATE: NotFound,
    Code.ERROR_FILE_NOT_FOUND: NotFound,
    Code.CRYPT_E_NOT_FOUND: NotFound,
    Code.CRYPT_E_NO_KEY_PROPERTY: NotFound,
    Code.NTE_BAD_KEYSET: NotFound,
    Code.NTE_KEYSET_NOT_DEF: NotFound,
    Code.NTE_NO_KEY: NotFound,
    Code.NTE_NOT_FOUND: NotFound,
    Code.SCARD_E_UNSUPPORTED_FEATURE: Unsupported,
    Code.NTE_NOT_SUPPORTED: Unsupported,
    Code.SCARD_W_WRONG_CHV: WrongPin,
    Code.SCARD_W_CHV_BLOCKED: PinBlocked,
    Code.SCARD_W_SECURITY_VIOLATION: NotAuthenticated,
    Code.SCARD_W_CARD_NOT_AUTHENTICATED: NotAuthenticated,
    Code.SCARD_W_REMOVED_CARD: CardRemoved,
    Code.SCARD_W_RESET_CARD: CardReset,
    Code.SCARD_E_NO_SMARTCARD: NoCard,
    Code.SCARD_E_READER_UNAVAILABLE: ReaderUnavailable,
    Code.SCARD_E_UNKNOWN_READER: ReaderUnavailable,
    Code.SCARD_E_NO_READERS_AVAILABLE: ReaderUnavailable,
    Code.SCARD_E_NO_SERVICE: ReaderUnavailable,
    Code.SCARD_E_SHARING_VIOLATION: SharingViolation,
    Code.SCARD_W_CANCELLED_BY_USER: Cancelled,
    Code.SCARD_E_CANCELLED: Cancelled,
    Code.NTE_SILENT_CONTEXT: SilentContext,
    Code.E_ACCESSDENIED: AccessDenied,
    Code.NTE_PERM: AccessDenied,
    Code.SCARD_E_READ_ONLY_CARD: AccessDenied,
}

"""Status words and what they mean. Source: ISO/IEC 7816-4:2020, 5.6; SP 800-73-4 part 2, 3.5."""

from __future__ import annotations

from enum import IntEnum


class SW(IntEnum):
    """Status words that a card of this project sends or a host acts upon."""

    OK = 0x9000
    MORE_DATA = 0x6100
    TERMINATED = 0x6285
    AUTHENTICATION_FAILED = 0x6300
    TRIES_LEFT = 0x63C0
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    LAST_COMMAND_EXPECTED = 0x6883
    CHAINING_NOT_SUPPORTED = 0x6884
    INCOMPATIBLE_FILE = 0x6981
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_BLOCKED = 0x6983
    REFERENCE_DATA_NOT_USABLE = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    INCORRECT_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NO_MEMORY = 0x6A84
    INCORRECT_P1P2 = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    FILE_EXISTS = 0x6A89
    WRONG_LE = 0x6C00
    INS_NOT_SUPPORTED = 0x6D00
    CLA_NOT_SUPPORTED = 0x6E00
    UNKNOWN = 0x6F00


class ApduError(Exception):
    """The card answered ``sw`` (16 bits) to the command with instruction byte ``ins``.

    Never shown to a caller as it is: the driver raises the ``WinError`` it stands for, with this as cause.
    """

    def __init__(self, sw: int, ins: int) -> None:
        super().__init__(f"status {sw:04X} to instruction {ins:02X}")
        self.sw = sw
        self.ins = ins

    @property
    def tries_left(self) -> int | None:
        """x of 63Cx, 0 for 6983, else ``None``."""
        if self.sw & 0xFFF0 == SW.TRIES_LEFT:
            return self.sw & 0xF
        return 0 if self.sw == SW.AUTHENTICATION_BLOCKED else None

"""Records of bcrypt.h and ncrypt.h."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from calais.win.records import pack, unpack


@dataclass(frozen=True, slots=True)
class Pkcs1PaddingInfo:
    """BCRYPT_PKCS1_PADDING_INFO: hash name such as ``"SHA256"``; ``None`` = no DigestInfo."""

    algorithm: str | None


@dataclass(frozen=True, slots=True)
class PssPaddingInfo:
    """BCRYPT_PSS_PADDING_INFO: hash name, for MGF1 too, and the salt's length in bytes."""

    algorithm: str | None
    salt: int


@dataclass(frozen=True, slots=True)
class OaepPaddingInfo:
    """BCRYPT_OAEP_PADDING_INFO: hash name, for MGF1 too, and the label."""

    algorithm: str | None
    label: bytes = b""


@dataclass(frozen=True, slots=True)
class BCryptBuffer:
    """BCryptBuffer: one parameter of a key derivation or import; ``repr`` hides the value, which may be a secret."""

    type: int
    value: bytes | str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NCryptProviderName:
    """NCryptProviderName: a storage provider."""

    name: str
    comment: str


@dataclass(frozen=True, slots=True)
class NCryptAlgorithmName:
    """NCryptAlgorithmName: an algorithm, its class (NCRYPT_*_INTERFACE) and its operations (NCRYPT_*_OPERATION)."""

    name: str
    interface: int
    operations: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class NCryptKeyName:
    """NCryptKeyName: a stored key."""

    name: str
    algid: str
    legacy_key_spec: int
    flags: int


@dataclass(frozen=True, slots=True)
class NCryptSupportedLengths:
    """NCRYPT_SUPPORTED_LENGTHS (16 bytes): four u32, bits."""

    LAYOUT: ClassVar[Struct] = Struct("<4I")

    min_length: int
    max_length: int
    increment: int
    default_length: int

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        lengths = (self.min_length, self.max_length, self.increment, self.default_length)
        return pack(self.LAYOUT, "NCRYPT_SUPPORTED_LENGTHS", *lengths)

    @classmethod
    def from_bytes(cls, data: bytes) -> NCryptSupportedLengths:
        """Parse the record; ``BadData`` for another length."""
        return cls(*unpack(cls.LAYOUT, "NCRYPT_SUPPORTED_LENGTHS", data))


@dataclass(frozen=True, slots=True)
class NCryptUiPolicy:
    """NCRYPT_UI_POLICY: NCRYPT_UI_* flags and the texts of the prompt."""

    flags: int = 0
    creation_title: str | None = None
    friendly_name: str | None = None
    description: str | None = None
    version: int = 1

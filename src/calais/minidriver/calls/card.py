"""Capacity, files and properties."""

from __future__ import annotations

from typing import Any

from calais.minidriver import properties
from calais.minidriver.calls.context import enter
from calais.win.errors import BadParameter
from calais.win.flags import CARD_DATA_VALUE_UNKNOWN
from calais.win.structs import CardCapabilities, CardFileInfo, CardFreeSpaceInfo, CardKeySizes


def query_capabilities(data: object, version: int) -> CardCapabilities:
    """``CardQueryCapabilities``."""
    with enter(data, "CardQueryCapabilities", version).card() as card:
        return card.capabilities()


def query_free_space(data: object, flags: int, version: int) -> CardFreeSpaceInfo:
    """``CardQueryFreeSpace``."""
    with enter(data, "CardQueryFreeSpace", flags, version).card() as card:
        return card.free_space()


def query_key_sizes(data: object, key_spec: int, flags: int, version: int) -> CardKeySizes:
    """``CardQueryKeySizes``."""
    with enter(data, "CardQueryKeySizes", key_spec, flags, version).card() as card:
        return card.key_sizes(key_spec)


# --- files -----------------------------------------------------------------------------------------------------------


def create_directory(data: object, directory: str, condition: int) -> None:
    """``CardCreateDirectory``."""
    with enter(data, "CardCreateDirectory", directory, condition).card() as card:
        card.create_directory(directory.lower(), condition)


def delete_directory(data: object, directory: str) -> None:
    """``CardDeleteDirectory``."""
    with enter(data, "CardDeleteDirectory", directory).card() as card:
        card.delete_directory(directory.lower())


def create_file(data: object, directory: str | None, name: str, size: int, condition: int) -> None:
    """``CardCreateFile``."""
    with enter(data, "CardCreateFile", directory, name, size, condition).card() as card:
        free = card.free_space().bytes_available if size else CARD_DATA_VALUE_UNKNOWN
        if free != CARD_DATA_VALUE_UNKNOWN and size > free:
            raise BadParameter(detail=f"a file of {size} bytes where {free} are free")
        card.create_file(_directory(directory), name.lower(), size, condition)


def read_file(data: object, directory: str | None, name: str, flags: int) -> bytes:
    """``CardReadFile``."""
    with enter(data, "CardReadFile", directory, name, flags).card() as card:
        return card.read_file(_directory(directory), name.lower())


def write_file(data: object, directory: str | None, name: str, flags: int, content: bytes) -> None:
    """``CardWriteFile``."""
    with enter(data, "CardWriteFile", directory, name, flags, content).card() as card:
        card.write_file(_directory(directory), name.lower(), bytes(content))


def delete_file(data: object, directory: str | None, name: str, flags: int) -> None:
    """``CardDeleteFile``."""
    with enter(data, "CardDeleteFile", directory, name, flags).card() as card:
        card.delete_file(_directory(directory), name.lower())


def enum_files(data: object, directory: str | None, flags: int) -> list[str]:
    """``CardEnumFiles``."""
    with enter(data, "CardEnumFiles", directory, flags).card() as card:
        return card.enum_files(_directory(directory))


def file_info(data: object, directory: str | None, name: str, version: int) -> CardFileInfo:
    """``CardGetFileInfo``."""
    with enter(data, "CardGetFileInfo", directory, name, version).card() as card:
        return card.file_info(_directory(directory), name.lower())


def _directory(name: str | None) -> str | None:
    return name.lower() if name else None


# --- properties ------------------------------------------------------------------------------------------------------


def get_property(data: object, name: str, flags: int, version: int | None) -> Any:  # noqa: ANN401 - a type per property
    """``CardGetProperty``."""
    call = enter(data, "CardGetProperty", name, flags, version)
    properties.check_read(name, flags, version, call.binding.version)
    with call.card() as card:
        return card.get_property(name, flags)


def set_property(data: object, name: str, value: object, flags: int) -> None:
    """``CardSetProperty``."""
    with enter(data, "CardSetProperty", name, value, flags).card() as card:
        card.set_property(name, value, flags)


def get_container_property(data: object, index: int, name: str, flags: int, version: int) -> Any:  # noqa: ANN401 - likewise
    """``CardGetContainerProperty``."""
    call = enter(data, "CardGetContainerProperty", index, name, flags, version)
    properties.check_read_of_container(name, version, call.binding.version)
    with call.card() as card:
        return card.get_container_property(index, name)


def set_container_property(data: object, index: int, name: str, value: object, flags: int) -> None:
    """``CardSetContainerProperty``."""
    call = enter(data, "CardSetContainerProperty", index, name, value, flags)
    properties.check_write_of_container(name, value, call.binding.version)
    with call.card() as card:
        card.set_container_property(index, name, value)

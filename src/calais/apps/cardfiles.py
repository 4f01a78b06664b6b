"""The logical files of a card, for a person: which there are, who may read and write them, and what they say.

Source: Microsoft's smart card minidriver specification v7.07, 4.3 (logical file system), 4.4 (card cache file).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from calais.minidriver import files
from calais.minidriver.api import Minidriver
from calais.minidriver.files import FileAccess
from calais.provider.card import Card
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.structs import ContainerMapRecord

ACCESS: dict[int, str] = {
    FileAccess.EVERYONE_READ_USER_WRITE: "all read, user writes",
    FileAccess.USER_WRITE_EXECUTE: "user writes and runs",
    FileAccess.EVERYONE_READ_ADMIN_WRITE: "all read, admin writes",
    FileAccess.USER_READ_WRITE: "user reads and writes",
    FileAccess.ADMIN_READ_WRITE: "admin reads and writes",
}


@dataclass(frozen=True, slots=True)
class CardFile:
    """One file: ``path`` (``"mscp/kxc00"``), ``size`` in bytes, ``access``, ``meaning`` of its content for a person, and
    ``problem``, why it cannot be read.
    """

    path: str
    size: int | None
    access: str
    meaning: str
    problem: str = ""


def survey(card: Card) -> list[CardFile]:
    """All files, the root's first, then those of each directory that ``cardapps`` names."""
    return card.run(_survey)


def _survey(driver: Minidriver) -> list[CardFile]:
    directories = files.parse_cardapps(driver.read_file(None, files.FILE_APPLICATIONS))
    return [_look(driver, where, name) for where in ("", *directories) for name in driver.enum_files(where or None)]


def _look(driver: Minidriver, directory: str, name: str) -> CardFile:
    path = f"{directory}/{name}" if directory else name
    try:
        info = driver.file_info(directory or None, name)
        content = driver.read_file(directory or None, name)
    except WinError as error:
        return CardFile(path, None, "", "", error.detail or error.name)
    try:
        meaning = explain(directory, name, content)
    except WinError as error:
        return CardFile(path, len(content), _access(info.access_condition), "", error.detail or error.name)
    return CardFile(path, len(content), _access(info.access_condition), meaning)


def _access(condition: int) -> str:
    return ACCESS.get(condition, f"not known ({condition})")


def read(card: Card, path: str) -> bytes:
    """The content of ``path`` as it is on the card.

    Raises:
        BadParameter, NotFound, BadData, NotAuthenticated: as ``Minidriver.read_file``.
    """
    directory, name = split(path)
    return card.run(lambda driver: driver.read_file(directory, name))


def split(path: str) -> tuple[str | None, str]:
    """Directory (``None`` = root) and name in ``path``, either slash.

    Raises:
        BadParameter: not a path of a card.
    """
    parts = path.replace("\\", "/").strip("/").split("/")
    if len(parts) > 2:
        raise BadParameter(detail=f"{path!r}: a card has one level of directories")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


# --- what files say --------------------------------------------------------------------------------------------------


def explain(directory: str, name: str, content: bytes) -> str:
    """What the content says, in a line; ``""`` = nothing is known of such a file.

    Raises:
        BadData: it is not what a file of this name is.
    """
    if not directory:
        return _ROOT.get(name, lambda _: "")(content)
    if name == files.FILE_CONTAINER_MAP:
        return _container_map(content)
    if files.index_of_certificate_file(name) is not None and content:
        return _certificate(content)
    return ""


def _card_id(content: bytes) -> str:
    return f"card id {content.hex()}"


def _counters(content: bytes) -> str:
    found = files.parse_cardcf(content)
    return f"PINs {found.pins_freshness}, containers {found.containers_freshness}, files {found.files_freshness}"


def _applications(content: bytes) -> str:
    return "directories: " + ", ".join(files.parse_cardapps(content))


_ROOT = {files.FILE_CARD_ID: _card_id, files.FILE_CACHE: _counters, files.FILE_APPLICATIONS: _applications}


def _container_map(content: bytes) -> str:
    records = ContainerMapRecord.parse_file(content)
    named = [f"{index} {record.guid}" for index, record in enumerate(records) if record.is_valid]
    return "containers: " + (", ".join(named) or "none")


def _certificate(content: bytes) -> str:
    form = "compressed" if content[:2] == b"\1\0" else "plain"
    try:
        found = x509.load_der_x509_certificate(files.expand_certificate(content))
    except ValueError as error:
        raise BadData(detail="not a certificate", index=0) from error
    return f"{form} certificate of {found.subject.rfc4514_string()}"

"""The logical files of a GIDS card: records of the master file, each with its data object.

The functions here do what the card minidriver interface asks, and leave ``cardcf`` to their caller. What makes a file
known comes last, and what makes it unknown first: a card that is pulled out half-way has an object that no record
names, and never a record without its object.

Source: Microsoft's smart card minidriver specification v7.07, 4.3; Microsoft, "Windows inbox smart card minidriver".
"""

from __future__ import annotations

from calais.cards.gids import edge, masterfile, spec
from calais.cards.gids.freshness import Kind
from calais.cards.gids.masterfile import ADMIN_CREATE_DELETE, EF_OF_DIRECTORY_ACCESS, Entry
from calais.cards.gids.view import CMAPFILE, CardView
from calais.minidriver import files
from calais.minidriver.files import FileAccess
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated, NotFound, Unsupported, WinError

CREATABLE = frozenset(FileAccess) - {FileAccess.INVALID, FileAccess.UNKNOWN}


# --- looking ---------------------------------------------------------------------------------------------------------


def directory_of(directory: str | None) -> str:
    """``directory`` in lower case, ``""`` for the root.

    Raises:
        BadParameter: not a name.
    """
    return files.check_name(directory) if directory else ""


def entry_of(view: CardView, directory: str | None, name: str) -> Entry:
    """The record of a file.

    Raises:
        BadParameter: not a name.
        NotFound: SCARD_E_DIR_NOT_FOUND or SCARD_E_FILE_NOT_FOUND.
    """
    where, what = directory_of(directory), files.check_name(name)
    master = view.master()
    _require_directory(master, where)
    found = masterfile.find(master, where, what)
    if found is None:
        raise NotFound(Code.SCARD_E_FILE_NOT_FOUND, f"the card has no file {what!r}")
    return found


def _require_directory(master: tuple[Entry, ...], directory: str) -> None:
    if not masterfile.has_directory(master, directory):
        raise NotFound(Code.SCARD_E_DIR_NOT_FOUND, f"the card has no directory {directory!r}")


def read(view: CardView, directory: str | None, name: str) -> bytes:
    """Content of a file; see ``Minidriver.read_file``."""
    return content_of(view, entry_of(view, directory, name))


def content_of(view: CardView, entry: Entry) -> bytes:
    """Content of the file that ``entry`` is the record of.

    Raises:
        BadData: its data object is not there.
    """
    if entry.place == spec.CARD_CACHE:
        view.counters()
        kept = view.objects[spec.CARD_CACHE]
    else:
        kind = Kind.CONTAINERS if entry.is_called(*CMAPFILE) else Kind.FILE
        kept = view.object(entry.place, kind)
    if kept.content is None:
        raise BadData(detail=f"file {entry.name!r} is on the card, but its data object {entry.tag:X} is not")
    return kept.content


def enumerate_files(view: CardView, directory: str | None) -> list[str]:
    """Names of the files of a directory; see ``Minidriver.enum_files``."""
    where = directory_of(directory)
    master = view.master()
    _require_directory(master, where)
    return [listed_name(entry.name) for entry in masterfile.files_in(master, where)]


def listed_name(name: str) -> str:
    """``name`` in lower case; the index of a certificate file in upper-case hexadecimal digits."""
    found = files.index_of_certificate_file(name)
    return files.certificate_file(*found) if found else name.lower()


# --- changing --------------------------------------------------------------------------------------------------------


def refuse_read_only(view: CardView) -> None:
    """Raise ``Unsupported`` when policy or the card forbids every change."""
    if view.read_only:
        raise Unsupported(
            detail="the card is read-only" if view.policy.write else "policy makes GIDS cards read-only",
            next_step="" if view.policy.write else "set gids.write in the policy file",
        )


def write(view: CardView, directory: str | None, name: str, data: bytes) -> None:
    """Replace the content of a file; see ``Minidriver.write_file``. One command, chained where it is long."""
    refuse_read_only(view)
    files.check_name(name)
    if not data:
        raise BadParameter(detail="nothing to write")
    view.write(entry_of(view, directory, name).place, data)


def create(view: CardView, directory: str | None, name: str, size: int, condition: int) -> Entry:
    """Make an empty file; see ``Minidriver.create_file``. First its data object, then its record.

    Raises:
        WinError: ERROR_FILE_EXISTS; SCARD_E_WRITE_TOO_MANY, no room.
    """
    refuse_read_only(view)
    where, what = directory_of(directory), stored_name(files.check_name(name))
    if condition not in CREATABLE or size < 0:
        raise BadParameter(detail=f"a file cannot be made with access condition {condition} and {size} bytes")
    master = view.master()
    _require_directory(master, where)
    _require_new(master, where, what)
    _require_rights(view, master, where)
    return add(view, Entry(where, what, 0, 0), FileAccess(condition), b"")


def stored_name(name: str) -> str:
    """A file's name as this project stores it."""
    return listed_name(name)


def add(view: CardView, names: Entry, access: FileAccess, content: bytes) -> Entry:
    """Make a file with ``content``: its data object, then its record. Only the names of ``names`` count."""
    ef, tag = masterfile.place_for(view.master(), access)
    made = Entry(names.directory, names.name, tag, ef)
    view.write(made.place, content)
    write_master(view, (*view.master(), made))
    return made


def write_master(view: CardView, entries: tuple[Entry, ...]) -> None:
    """Replace the master file."""
    view.write(spec.MASTER_FILE, masterfile.build(entries))


def _require_new(master: tuple[Entry, ...], directory: str, name: str) -> None:
    if masterfile.find(master, directory, name) is not None:
        raise WinError(Code.ERROR_FILE_EXISTS, f"the card has {name or directory!r} already")


def _require_rights(view: CardView, master: tuple[Entry, ...], directory: str) -> None:
    """What the card cannot enforce: only the administrator makes files in a directory of his."""
    entry = masterfile.find(master, directory, "")
    if entry is None or entry.ef != EF_OF_DIRECTORY_ACCESS[ADMIN_CREATE_DELETE]:
        return
    if edge.ADMIN not in view.tx.volatile.authenticated:
        raise NotAuthenticated(detail=f"only the administrator changes directory {directory!r}")


def delete(view: CardView, directory: str | None, name: str) -> None:
    """Delete a file: its record, then its data object."""
    refuse_read_only(view)
    entry = entry_of(view, directory, name)
    master = view.master()
    _require_rights(view, master, entry.directory)
    remove(view, entry)


def remove(view: CardView, entry: Entry) -> None:
    """Delete the file that ``entry`` is the record of.

    Raises:
        BadParameter: the card cannot do without it.
    """
    if entry.place in (spec.CARD_ID, spec.CARD_CACHE):
        raise BadParameter(detail=f"the card cannot do without file {entry.name!r}")
    write_master(view, tuple(one for one in view.master() if one != entry))
    view.write(entry.place, b"")
    view.forget(entry.place)


def create_directory(view: CardView, name: str, condition: int) -> None:
    """Make a directory: a record of the master file, and no more.

    Raises:
        BadParameter: not a name, or not an access condition.
        WinError: ERROR_FILE_EXISTS.
    """
    refuse_read_only(view)
    what = files.check_name(name)
    ef = EF_OF_DIRECTORY_ACCESS.get(condition)
    if ef is None:
        raise BadParameter(detail=f"{condition} is not an access condition of a directory")
    master = view.master()
    _require_new(master, what, "")
    write_master(view, (*master, Entry(what, "", 0, ef)))


def delete_directory(view: CardView, name: str) -> None:
    """Delete an empty directory.

    Raises:
        NotFound: SCARD_E_DIR_NOT_FOUND.
        WinError: ERROR_DIR_NOT_EMPTY.
    """
    refuse_read_only(view)
    what = files.check_name(name)
    master = view.master()
    _require_directory(master, what)
    if masterfile.files_in(master, what):
        raise WinError(Code.ERROR_DIR_NOT_EMPTY, f"directory {what!r} has files")
    _require_rights(view, master, what)
    write_master(view, tuple(one for one in master if not one.is_called(what, "")))

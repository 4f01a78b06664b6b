"""Changes to a GIDS card that keep its books: counters, container map, key map, files and certificates together.

The card minidriver interface leaves ``cardcf`` and the container map to its caller. These functions are that caller's
half. Each works in an order in which a card that is pulled out after any single command has lost nothing:

* the counters move first, so that nobody trusts what he remembers of a change that was cut off;
* what is made, is made before it is named: data object before master file, key before key map before container map;
* what is removed, is unnamed before it is deleted, in the opposite order.

What a cut leaves behind (a key without container, a file without record) is found and mended by ``leftovers``.

Source: Microsoft's smart card minidriver specification v7.07, 4.3 to 4.5 (duties of the Base CSP).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.gids import filesystem, keymap, listing, spec, writing
from calais.cards.gids.filesystem import refuse_read_only
from calais.cards.gids.keys import BITS_OF, algorithm_for, algorithm_of, slot_of
from calais.cards.gids.masterfile import Entry
from calais.cards.gids.view import CMAPFILE, CardView
from calais.minidriver import files
from calais.minidriver.api import check_index
from calais.minidriver.containers import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    FREE_RECORD,
    MAP_DEFAULT,
    MAP_VALID,
)
from calais.minidriver.files import FileAccess
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import BadParameter, CardRemoved, CardReset, WinError
from calais.win.structs import ContainerMapRecord

NAME_MAX = 39  # UTF-16 units
ACCESS = FileAccess.EVERYONE_READ_USER_WRITE


# --- the container map -----------------------------------------------------------------------------------------------


def write_map(view: CardView, records: Sequence[ContainerMapRecord]) -> None:
    """Replace the container map, which keeps its length: the key map has as many records."""
    content = ContainerMapRecord.build_file(records)
    entry = view.cmap_entry()
    if entry is None:
        filesystem.add(view, Entry(*CMAPFILE, 0, 0), ACCESS, content)
    else:
        view.write(entry.place, content)


def with_record(
    records: Sequence[ContainerMapRecord], index: int, record: ContainerMapRecord
) -> list[ContainerMapRecord]:
    """``records`` with that of container ``index`` replaced, and free ones before it where there was none."""
    padded = [*records, *[FREE_RECORD] * (index + 1 - len(records))]
    padded[index] = record
    return padded


def first_free(view: CardView) -> int:
    """The index for a new container: the first that neither map uses.

    Raises:
        WinError: SCARD_E_WRITE_TOO_MANY, there is none.
    """
    for index in range(spec.CONTAINERS_MAX):
        if not listing.map_record(view, index).is_valid and not listing.key_record(view, index).used:
            return index
    raise WinError(Code.SCARD_E_WRITE_TOO_MANY, f"all {spec.CONTAINERS_MAX} containers of the card are in use")


def check_name(view: CardView, name: str, index: int) -> str:
    """``name``, when container ``index`` can have it.

    Raises:
        BadParameter: empty, too long, with a backslash or NUL.
        WinError: NTE_EXISTS, another container has it.
    """
    units = len(name.encode("utf-16-le", "surrogatepass")) // 2
    if not 0 < units <= NAME_MAX or "\\" in name or "\0" in name:
        raise BadParameter(detail=f"a container name has 1 to {NAME_MAX} characters and no backslash")
    for at, record in enumerate(view.container_map()):
        if at != index and record.is_valid and record.guid.casefold() == name.casefold():
            raise WinError(Code.NTE_EXISTS, f"the card has a container {name!r} already")
    return name


def random_name(view: CardView) -> str:
    """A new container name: a GUID, as Windows gives them."""
    taken = {record.guid.casefold() for record in view.container_map()}
    while (name := str(uuid.UUID(bytes=view.memo.random(16), version=4))) in taken:
        continue  # two programs with the same dice
    return name


# --- containers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewContainer:
    """What a container is to be.

    ``name``: ``None`` = a new GUID; ``key_spec`` 1…8; ``size_bits`` for RSA; ``key``: one to import, ``None`` =
    generate; ``index``: ``None`` = the first free one; ``is_default``: ``None`` = if the card has no default yet.
    """

    key_spec: int = AT_KEYEXCHANGE
    size_bits: int = 0
    key: PrivateKeyTypes | None = None
    name: str | None = None
    index: int | None = None
    is_default: bool | None = None

    @property
    def bits(self) -> int:
        """Length of the key as the container map has it."""
        algorithm = algorithm_for(self.key_spec, self.size_bits) if self.key is None else algorithm_of(self.key)
        return BITS_OF[algorithm]


def add_container(view: CardView, wanted: NewContainer) -> tuple[int, PublicKeyTypes]:
    """Make a container with its key, or give an existing one another key; needs the user's PIN.

    Returns: its index, and the public key.

    Raises:
        NotAuthenticated: the PIN was not presented.
        BadParameter, Unsupported, WinError: as ``create_container``, ``check_name`` and ``first_free``.
    """
    refuse_read_only(view)
    bits = wanted.bits
    index = first_free(view) if wanted.index is None else check_index(wanted.index)
    writing.check_room(index)
    old = listing.map_record(view, index)
    name = old.guid if wanted.name is None and old.is_valid else wanted.name or random_name(view)
    check_name(view, name, index)
    view.move_counters(containers=True, files=True)
    with _without_certificate(view, index):
        public = writing.create_container(
            view, index, wanted.key_spec, wanted.size_bits, key=wanted.key, pin_id=Role.USER
        )
    records = view.container_map()
    default = wants_default(records, index, wanted.is_default)
    write_map(
        view, with_record(_without_default(records, default), index, named_record(name, wanted.key_spec, bits, default))
    )
    return index, public


def name_container(view: CardView, name: str | None) -> int:
    """Make a container without a key, called ``name`` or by a new GUID; its index. Needs the user's PIN.

    Raises:
        NotAuthenticated: the PIN was not presented.
        BadParameter, WinError: as ``check_name`` and ``first_free``.
    """
    refuse_read_only(view)
    index = first_free(view)
    writing.check_room(index)
    made = check_name(view, name or random_name(view), index)
    view.move_counters(containers=True)
    records = view.container_map()
    flags = MAP_VALID | (MAP_DEFAULT if wants_default(records, index, None) else 0)
    write_map(view, with_record(records, index, ContainerMapRecord(made, flags, 0, 0)))
    writing.record_key(view, index, keymap.FREE)
    return index


@contextmanager
def _without_certificate(view: CardView, index: int) -> Iterator[None]:
    """Take the certificate of container ``index`` away while its key is replaced, so that it is never beside another
    key; put it back when the card refuses the new one.
    """
    record = listing.map_record(view, index)
    entry = listing.certificate_entry(view, index, listing.key_spec_of(record)) if record.is_valid else None
    if entry is None:
        yield
        return
    old = filesystem.content_of(view, entry)
    filesystem.remove(view, entry)
    try:
        yield
    except (CardRemoved, CardReset):
        raise
    except WinError:
        if view.tx.open:
            filesystem.add(view, Entry(entry.directory, entry.name, 0, 0), ACCESS, old)
        raise


def wants_default(records: Sequence[ContainerMapRecord], index: int, wanted: bool | None) -> bool:  # noqa: FBT001
    """Whether container ``index`` is to be the default: as ``wanted``, else if no other container is."""
    if wanted is not None:
        return wanted
    others = [record.is_default for at, record in enumerate(records) if at != index]
    return not any(others)


def _without_default(records: Sequence[ContainerMapRecord], taken: bool) -> list[ContainerMapRecord]:  # noqa: FBT001
    if not taken:
        return list(records)
    return [replace(record, flags=record.flags & ~MAP_DEFAULT) for record in records]


def named_record(name: str, key_spec: int, bits: int, default: bool) -> ContainerMapRecord:  # noqa: FBT001
    """The container map's record of a container with one key."""
    flags = MAP_VALID | (MAP_DEFAULT if default else 0)
    signature = slot_of(key_spec) == AT_SIGNATURE
    return ContainerMapRecord(name, flags, bits if signature else 0, 0 if signature else bits)


def remove_container(view: CardView, index: int) -> None:
    """Delete a container with its key and its certificate; another one becomes the default if it was.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
        NotAuthenticated: the PIN was not presented.
    """
    refuse_read_only(view)
    entry = listing.container(view, index)
    certificate = listing.certificate_entry(view, index, entry.key_spec)
    view.move_counters(containers=True, files=True)
    unname(view, index)
    if listing.key_record(view, index).used:
        writing.delete_container(view, index)
    if certificate is not None:
        filesystem.remove(view, certificate)


def unname(view: CardView, index: int) -> None:
    """Free the container map's record of ``index``; if it was the default, the first that is left becomes it."""
    records = view.container_map()
    if index >= len(records) or not records[index].is_valid:
        return
    was_default = records[index].is_default
    records[index] = FREE_RECORD
    heir = next((at for at, record in enumerate(records) if record.is_valid), None)
    if was_default and heir is not None:
        records[heir] = replace(records[heir], flags=records[heir].flags | MAP_DEFAULT)
    write_map(view, records)


def set_default(view: CardView, index: int) -> None:
    """Make container ``index`` the default one.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    refuse_read_only(view)
    record = listing.map_record(view, check_index(index))
    if not record.is_valid:
        raise listing.no_container(index)
    view.move_counters(containers=True, files=True)
    records = _without_default(view.container_map(), taken=True)
    records[index] = replace(record, flags=record.flags | MAP_DEFAULT)
    write_map(view, records)


# --- certificates ----------------------------------------------------------------------------------------------------


def write_certificate(view: CardView, index: int, der: bytes, *, compress: bool | None) -> None:
    """Write the certificate of container ``index``, in Windows' compressed form unless ``compress`` is false.

    Raises:
        BadParameter: not a certificate.
        NotFound: SCARD_E_NO_KEY_CONTAINER.
        NotAuthenticated: neither PIN nor administrator's key was presented.
        WinError: SCARD_E_WRITE_TOO_MANY, no room.
    """
    refuse_read_only(view)
    _check_certificate(der)
    key_spec = listing.container(view, index).key_spec
    content = der if compress is False else files.compress_certificate(der)
    entry = listing.certificate_entry(view, index, key_spec)
    view.move_counters(files=True)
    if entry is not None:
        view.write(entry.place, content)
    else:
        names = Entry(files.DIRECTORY_BASE_CSP, files.certificate_file(key_spec, index), 0, 0)
        filesystem.add(view, names, ACCESS, content)


def _check_certificate(der: bytes) -> None:
    try:
        x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm:
        return  # a certificate all the same
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise BadParameter(detail="not a certificate (DER)") from error


def delete_certificate(view: CardView, index: int) -> None:
    """Delete the certificate of container ``index``; nothing happens when it has none.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    refuse_read_only(view)
    entry = listing.certificate_entry(view, index, listing.container(view, index).key_spec)
    if entry is not None:
        view.move_counters(files=True)
        filesystem.remove(view, entry)

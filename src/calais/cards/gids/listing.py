"""The containers of a GIDS card, their keys and their certificates.

The container map says which containers there are; the key map which key file each has; the master file which
certificates. A key that the key map names and the container map does not is a container without a name: the caller
that makes a key writes the container map afterwards.

Source: container map of the minidriver specification v7.07, 4.4.2; Microsoft, "Windows inbox smart card minidriver".
"""

from __future__ import annotations

from calais.cards.gids import keymap, masterfile
from calais.cards.gids.edge import no_key
from calais.cards.gids.filesystem import content_of
from calais.cards.gids.keymap import KeyRecord
from calais.cards.gids.keys import ALGORITHM_OF_BITS, BITS_OF, NAME_OF, KeyFacts, algorithm_of, parse_public_key
from calais.cards.gids.masterfile import Entry
from calais.cards.gids.view import CardView
from calais.minidriver import files
from calais.minidriver.api import ContainerEntry, check_index
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE, FREE_RECORD
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import NotFound
from calais.win.structs import ContainerMapRecord

_FIRST_TWO_DIGITS = 10  # from this index on, decimal and hexadecimal names differ


def map_record(view: CardView, index: int) -> ContainerMapRecord:
    """The container map's record of ``index``; a free one where it ends."""
    records = view.container_map()
    return records[index] if index < len(records) else FREE_RECORD


def key_record(view: CardView, index: int) -> KeyRecord:
    """The key map's record of ``index``; a free one where it ends."""
    records = view.key_map()
    return records[index] if index < len(records) else keymap.FREE


def key_spec_of(record: ContainerMapRecord) -> int:
    """AT_SIGNATURE when the record has a signature key alone, else AT_KEYEXCHANGE."""
    only_signature = record.sig_key_size_bits and not record.key_exchange_key_size_bits
    return AT_SIGNATURE if only_signature else AT_KEYEXCHANGE


def containers(view: CardView, *, probe_keys: bool) -> list[ContainerEntry]:
    """All containers in order of their index; with ``probe_keys`` also keys that the container map does not name."""
    records = view.container_map()
    default = next((index for index, record in enumerate(records) if record.is_default), None)
    keys = view.key_map() if probe_keys else ()
    found: list[ContainerEntry] = []
    for index in range(max(len(records), len(keys))):
        record = records[index] if index < len(records) else FREE_RECORD
        if record.is_valid:
            found.append(_named(view, index, record, is_default=index == default))
        elif index < len(keys) and keys[index].used:
            found.append(_nameless(view, index, keys[index]))
    return found


def _named(view: CardView, index: int, record: ContainerMapRecord, *, is_default: bool) -> ContainerEntry:
    bits = record.key_exchange_key_size_bits or record.sig_key_size_bits
    key_spec = key_spec_of(record)
    return ContainerEntry(
        index=index,
        name=record.guid,
        key_spec=key_spec,
        pin_id=int(Role.USER),
        is_default=is_default,
        label=record.guid,
        size_bits=bits,
        algorithm=NAME_OF.get(ALGORITHM_OF_BITS.get(bits, 0), ""),
        reference=f"{keymap.kid_of(index):02X}",
        has_certificate=certificate_entry(view, index, key_spec) is not None,
    )


def _nameless(view: CardView, index: int, record: KeyRecord) -> ContainerEntry:
    key_spec = record.key_spec or AT_KEYEXCHANGE
    return ContainerEntry(
        index=index,
        name="",
        key_spec=key_spec,
        pin_id=int(Role.USER),
        is_default=False,
        label=f"key {record.kid or 0:02X} without container",
        size_bits=BITS_OF.get(record.algorithm, 0),
        algorithm=NAME_OF.get(record.algorithm, ""),
        reference=f"{record.kid or 0:02X}",
        has_certificate=certificate_entry(view, index, key_spec) is not None,
    )


def container(view: CardView, index: int) -> ContainerEntry:
    """The container ``index``.

    Raises:
        BadParameter: outside 0…255.
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    record = map_record(view, check_index(index))
    if record.is_valid:
        default = next((at for at, one in enumerate(view.container_map()) if one.is_default), None)
        return _named(view, index, record, is_default=index == default)
    key = key_record(view, index)
    if key.used:
        return _nameless(view, index, key)
    raise no_container(index)


def no_container(index: int) -> NotFound:
    """The error for an index without container."""
    return NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the card has no container {index}")


# --- keys ------------------------------------------------------------------------------------------------------------


def learn(view: CardView, index: int) -> KeyFacts:
    """What using the key of container ``index`` takes.

    Raises:
        BadParameter: outside 0…255.
        NotFound: SCARD_E_NO_KEY_CONTAINER, no container or no key in it.
        BadData: the card gives a public key that is none.
    """
    record = map_record(view, check_index(index))
    key = key_record(view, index)
    if not record.is_valid and not key.used:
        raise no_container(index)
    kid = key.kid or keymap.kid_of(index)
    if kid not in keymap.KIDS:
        raise no_key()
    public = parse_public_key(view.public_key_template(kid))
    # The key map's word on the usage counts: the container map is the caller's to write.
    key_spec = key.key_spec if key.used and key.key_spec else key_spec_of(record)
    return KeyFacts(kid, algorithm_of(public), key_spec, public)


# --- certificates ----------------------------------------------------------------------------------------------------


def certificate_entry(view: CardView, index: int, key_spec: int) -> Entry | None:
    """The master file's record of the certificate of container ``index``, whose key is of ``key_spec`` 1 or 2.

    The name's index is hexadecimal; a decimal one of another writer is taken where nothing else can be meant.
    """
    master = view.master()
    found = masterfile.find(master, files.DIRECTORY_BASE_CSP, files.certificate_file(key_spec, index))
    if found is not None or index < _FIRST_TWO_DIGITS or index > 99:
        return found
    if map_record(view, int(str(index), 16)).is_valid:
        return None
    decimal = f"{files.PREFIX_OF_KEY_SPEC[key_spec]}{index:02d}"
    return masterfile.find(master, files.DIRECTORY_BASE_CSP, decimal)


def certificate(view: CardView, index: int) -> bytes | None:
    """The certificate of container ``index`` (DER), ``None`` = there is none.

    Raises:
        BadParameter: outside 0…255.
        BadData: the file is there and cannot be what it claims.
    """
    entry = certificate_entry(view, index, key_spec_at(view, check_index(index)))
    if entry is None:
        return None
    content = content_of(view, entry)
    return files.expand_certificate(content) if content else None


def key_spec_at(view: CardView, index: int) -> int:
    """The key spec of container ``index``, 1 or 2; of one that is not there, exchange."""
    record = map_record(view, index)
    if record.is_valid:
        return key_spec_of(record)
    return key_record(view, index).key_spec or AT_KEYEXCHANGE


def index_of(view: CardView, name: str) -> int:
    """The container called ``name``, whatever the case; the first, should there be two.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    wanted = name.casefold()
    for index, record in enumerate(view.container_map()):
        if record.is_valid and record.guid.casefold() == wanted:
            return index
    raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the card has no container {name!r}")

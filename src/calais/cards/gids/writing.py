"""Changing the containers of a GIDS card: keys as the card minidriver interface asks, the container map left alone.

Source: Microsoft's smart card minidriver specification v7.07, 4.7; Generic Identity Device Specification v2.0.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from calais.cards.gids import edge_keys, keymap, listing, spec
from calais.cards.gids.filesystem import refuse_read_only
from calais.cards.gids.keys import algorithm_for, algorithm_of, import_value, parse_public_key, slot_of
from calais.cards.gids.operations import forget_environment
from calais.cards.gids.view import CardView
from calais.minidriver.api import check_index
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, Unsupported, WinError


def create_container(
    view: CardView, index: int, key_spec: int, size_bits: int, *, key: PrivateKeyTypes | None, pin_id: int
) -> PublicKeyTypes:
    """Generate or import the key of container ``index``; see ``Minidriver.create_container``.

    First the key, then its record in the key map: a card that is pulled out in between has a key file that no record
    names, which the next key of this container replaces. A key of the same kind is replaced in one step; one of
    another kind is deleted first.

    Raises:
        WinError: SCARD_E_WRITE_TOO_MANY, GIDS has no key reference for this index.
        Unsupported: the container has a key for the other use, and GIDS has room for one; or no such keys.
    """
    refuse_read_only(view)
    slot = slot_of(key_spec)
    if pin_id != Role.USER:
        raise BadParameter(detail=f"PIN {pin_id} does not protect keys")
    algorithm = _wanted(key_spec, size_bits, key)
    kid = prepare(view, index, algorithm, slot)
    template = b""
    if key is None:
        template = edge_keys.generate(view.tx, kid, algorithm)
    else:
        edge_keys.put_key(view.tx, kid, *import_value(key))
    return finish(view, index, algorithm, slot, template)


def prepare(view: CardView, index: int, algorithm: int, slot: int) -> int:
    """Make ready for a key of container ``index``: its file; and forget what was there. The key reference."""
    kid = check_room(index)
    if not _is_ready(view, index, algorithm, slot):
        _make_file(view, kid, algorithm, slot)
    view.forget((spec.TAG_PUBLIC_KEY, kid))
    forget_environment(view)
    return kid


def finish(view: CardView, index: int, algorithm: int, slot: int, template: bytes = b"") -> PublicKeyTypes:
    """Record the key that has come into container ``index``; its public key, from ``template`` or from the card."""
    kid = keymap.kid_of(index)
    if template:
        view.keep_public_key(kid, template)
    public = parse_public_key(view.public_key_template(kid))
    record_key(view, index, keymap.record_for(index, algorithm, slot))
    return public


def _wanted(key_spec: int, size_bits: int, key: PrivateKeyTypes | None) -> int:
    if key is None:
        return algorithm_for(key_spec, size_bits)
    algorithm = algorithm_of(key)
    if key_spec > slot_of(key_spec) and algorithm_for(key_spec, 0) != algorithm:
        raise BadParameter(detail=f"the key is not of key spec {key_spec}")
    return algorithm


def check_room(index: int) -> int:
    """The key reference for container ``index``.

    Raises:
        BadParameter: outside 0…255.
        WinError: SCARD_E_WRITE_TOO_MANY, there is none.
    """
    if check_index(index) >= spec.CONTAINERS_MAX:
        raise WinError(Code.SCARD_E_WRITE_TOO_MANY, f"a GIDS card has {spec.CONTAINERS_MAX} containers at most")
    return keymap.kid_of(index)


def _is_ready(view: CardView, index: int, algorithm: int, slot: int) -> bool:
    """Whether the key file is there and for such a key."""
    present = listing.key_record(view, index)
    if not present.used:
        return False
    named = listing.map_record(view, index)
    if present.key_spec not in (0, slot) and named.is_valid and listing.key_spec_of(named) == present.key_spec:
        raise Unsupported(
            detail=f"container {index} has a key for another use, and a GIDS container has one key",
            next_step="delete that key, or use another container",
        )
    return (present.algorithm, present.key_spec, present.kid) == (algorithm, slot, keymap.kid_of(index))


def _make_file(view: CardView, kid: int, algorithm: int, slot: int) -> None:
    """Make the key file; one that is there, with or without a record, is deleted first."""
    view.prove_card()
    try:
        edge_keys.create_key_file(view.tx, kid, algorithm, slot)
    except BadParameter as error:
        raise Unsupported(detail="the card has no such keys") from error.__cause__
    except WinError as error:
        if error.code != Code.ERROR_FILE_EXISTS:
            raise
        edge_keys.delete_key_file(view.tx, kid)
        edge_keys.create_key_file(view.tx, kid, algorithm, slot)


def record_key(view: CardView, index: int, record: keymap.KeyRecord) -> None:
    """Write the key map with ``record`` in the place of container ``index``, if that changes it.

    Free records at the end are left out as far as the container map is shorter, too: the two have one length.
    """
    records = view.key_map()
    changed = list(keymap.replaced(records, index, record))
    least = len(view.container_map())
    while len(changed) > least and not changed[-1].used:
        changed.pop()
    if tuple(changed) != records:
        view.write(spec.KEY_MAP, keymap.build(changed))


def delete_container(view: CardView, index: int) -> None:
    """Delete the key of container ``index``: the key, then its record; certificate and container map stay.

    Raises:
        NotFound: SCARD_E_NO_KEY_CONTAINER.
    """
    refuse_read_only(view)
    record = listing.key_record(view, check_index(index))
    if not record.used and not listing.map_record(view, index).is_valid:
        raise listing.no_container(index)
    kid = record.kid or check_room(index)
    view.forget((spec.TAG_PUBLIC_KEY, kid))
    forget_environment(view)
    try:
        edge_keys.delete_key_file(view.tx, kid)
    except NotFound:
        if not record.used:
            raise
    if record.used:
        record_key(view, index, keymap.FREE)


def change_admin_key(view: CardView, key: bytes, check_value: bytes) -> None:
    """Replace the administrator's key, once authenticated with the present one.

    Raises:
        Unsupported: the card is read-only.
        NotAuthenticated: the present key was not presented.
    """
    refuse_read_only(view)
    edge_keys.put_admin_key(view.tx, key, check_value)

"""The functions of CNG key storage, on objects: checks in the order handle, flags, arguments, state, card.

Source: Microsoft, "CNG Key Storage Functions"; ncrypt.h.
"""

from __future__ import annotations

from typing import Any

from calais.provider.ksp import cardkeys, errors, making, properties, providerfacts
from calais.provider.ksp.algorithms import ALGORITHMS, algorithm_named, algorithm_of
from calais.provider.ksp.cardkeys import KEY_SPECS, KeyEnumeration
from calais.provider.ksp.handles import KeySettings, NCryptKey, NCryptObject, NCryptProv, a_key, a_provider, is_null
from calais.provider.ksp.keyblobs import BlobRow, KeyBlob, Parameters, blob_type, parameters, parse
from calais.provider.ksp.making import Wanted
from calais.provider.ksp.storage import PROVIDERS, Storage, Systems, provider_named
from calais.provider.names import PREFIX
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import NotFound, WinError
from calais.win.structs import NCryptAlgorithmName, NCryptKeyName, NCryptProviderName

SILENT = flags.NCRYPT_SILENT_FLAG
MACHINE = flags.NCRYPT_MACHINE_KEY_FLAG
OVERWRITE = flags.NCRYPT_OVERWRITE_KEY_FLAG
OPERATIONS = 0x7F  # NCRYPT_CIPHER_OPERATION … NCRYPT_KEY_DERIVATION_OPERATION
IMPORT_FLAGS = MACHINE | OVERWRITE | flags.NCRYPT_NO_KEY_VALIDATION | flags.NCRYPT_DO_NOT_FINALIZE_FLAG
FINALISE_FLAGS = flags.NCRYPT_NO_KEY_VALIDATION | flags.NCRYPT_WRITE_KEY_TO_LEGACY_STORE_FLAG
SET_FLAGS = flags.NCRYPT_PERSIST_FLAG | flags.NCRYPT_PERSIST_ONLY_FLAG


def checked(given: object, legal: int = 0) -> int:
    """``dwFlags`` when it has no bit but those of ``legal`` and NCRYPT_SILENT_FLAG.

    Raises:
        BadParameter: ``NTE_BAD_FLAGS``.
    """
    if not isinstance(given, int) or given & ~(legal | SILENT):
        raise WinError.of(Code.NTE_BAD_FLAGS, "these flags do not go with this function")
    return given


def is_silent(given: int) -> bool:
    """Whether nobody may be asked in this call."""
    return bool(given & SILENT)


def no_card(storage: Storage, what: str) -> None:
    """Raise ``NTE_BAD_KEYSET`` where keys have no names."""
    if not storage.row.stores:
        raise NotFound(Code.NTE_BAD_KEYSET, f"{storage.row.name} stores no keys: {what}")


# --- providers -------------------------------------------------------------------------------------------------------


def open_provider(name: object, given: int, systems: Systems) -> NCryptProv:
    """NCryptOpenStorageProvider. ``systems``: where the system is, looked for when cards are wanted."""
    given = checked(given)
    if not isinstance(name, str | None):
        raise errors.bad_parameter("the name of a provider is text")
    row = provider_named(name)
    if row.stores:
        system = systems()
        return NCryptProv(Storage(row, lambda: system, silent=is_silent(given)))
    return NCryptProv(Storage(row, systems, silent=is_silent(given)))


def enum_providers(given: int) -> list[NCryptProviderName]:
    """NCryptEnumStorageProviders."""
    checked(given)
    return [row.listed for row in PROVIDERS]


def enum_algorithms(handle: object, operations: object, given: int) -> list[NCryptAlgorithmName]:
    """NCryptEnumAlgorithms."""
    a_provider(handle)
    checked(given)
    if not isinstance(operations, int) or operations & ~OPERATIONS:
        raise errors.bad_parameter("these are no classes of operations")
    return [row.listed for row in ALGORITHMS if not operations or row.operations & operations]


def is_algorithm_supported(handle: object, name: object, given: int) -> None:
    """NCryptIsAlgSupported."""
    a_provider(handle)
    checked(given)
    algorithm_named(_algorithm_name(name))


def _algorithm_name(name: object) -> str:
    if not isinstance(name, str):
        raise errors.bad_parameter("an algorithm must be named")
    return name


# --- keys by name ----------------------------------------------------------------------------------------------------


def enum_keys(handle: object, scope: object, state: object, given: int) -> tuple[NCryptKeyName, KeyEnumeration]:
    """NCryptEnumKeys: the next key, and the state."""
    storage = a_provider(handle)
    given = checked(given, MACHINE)
    reader = _scope(scope)
    if state is None:
        state = KeyEnumeration(_keys(storage, reader, given))
    if not isinstance(state, KeyEnumeration):
        raise errors.bad_parameter("this is no state of an enumeration")
    try:
        return state.left.pop(0), state
    except IndexError:
        raise WinError.of(Code.NTE_NO_MORE_ITEMS, "there are no more keys") from None


def _keys(storage: Storage, reader: str | None, given: int) -> list[NCryptKeyName]:
    if not storage.row.stores:
        return []
    return cardkeys.keys_on(storage, reader, given & MACHINE, silent=is_silent(given))


def _scope(scope: object) -> str | None:
    r"""The reader in a scope ``\\.\<reader>\``."""
    if scope is None:
        return None
    if isinstance(scope, str) and scope.startswith(PREFIX) and scope.endswith("\\"):
        reader = scope[len(PREFIX) : -1]
        if reader and "\\" not in reader:
            return reader
    raise errors.bad_parameter(f"a scope is a reader ({PREFIX}<reader>\\), or None")


def _key_name(name: object) -> str:
    if name is None:
        return ""
    if not isinstance(name, str):
        raise errors.bad_parameter("the name of a key is text")
    return name


def _key_spec(key_spec: object) -> int:
    if not isinstance(key_spec, int) or key_spec not in KEY_SPECS:
        raise errors.bad_parameter("a legacy key spec is 0, AT_KEYEXCHANGE or AT_SIGNATURE")
    return key_spec


def _settings(given: int) -> KeySettings:
    return KeySettings(machine=bool(given & MACHINE), silent=is_silent(given))


def open_key(handle: object, name: object, key_spec: object, given: int) -> NCryptKey:
    """NCryptOpenKey."""
    storage = a_provider(handle)
    given = checked(given, MACHINE)
    named, spec = _key_name(name), _key_spec(key_spec)
    no_card(storage, "none can be opened")
    return cardkeys.open_key(storage, named, spec, _settings(given))


def create_key(handle: object, algorithm: object, name: object, key_spec: object, given: int) -> NCryptKey:
    """NCryptCreatePersistedKey; without a name the key is in memory, whichever provider is asked."""
    storage = a_provider(handle)
    given = checked(given, MACHINE | OVERWRITE)
    row, spec = algorithm_named(_algorithm_name(algorithm)), _key_spec(key_spec)
    if name is None:
        return making.new_nameless(storage, row, _settings(given))
    named = _key_name(name)
    if not storage.row.stores:
        raise errors.not_supported(f"{storage.row.name} stores no keys")
    wanted = Wanted(named, row, making.slot_for(row, spec), bool(given & OVERWRITE))
    return making.new_on_card(storage, wanted, _settings(given))


def finalise_key(handle: object, given: int) -> None:
    """NCryptFinalizeKey."""
    key = a_key(handle)
    given = checked(given, FINALISE_FLAGS)
    key.finish(silent=is_silent(given))


def delete_key(handle: object, given: int) -> None:
    """NCryptDeleteKey: the handle is freed, too."""
    key = a_key(handle)
    given = checked(given)
    making.delete(key, silent=is_silent(given))


# --- properties ------------------------------------------------------------------------------------------------------


def _property(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= flags.NCRYPT_MAX_PROPERTY_NAME:
        raise errors.bad_parameter(f"the name of a property has 1 to {flags.NCRYPT_MAX_PROPERTY_NAME} characters")
    return str(name)


def _owner(handle: object) -> Storage | NCryptKey:
    return a_provider(handle) if isinstance(handle, NCryptProv) else a_key(handle)


def get_property(handle: object, name: object, given: int) -> Any:  # noqa: ANN401 - a type per property
    """NCryptGetProperty."""
    owner = _owner(handle)
    parts = properties.SECURITY_PARTS if name == flags.NCRYPT_SECURITY_DESCR_PROPERTY else 0
    given = checked(given, flags.NCRYPT_PERSIST_ONLY_FLAG | parts)
    named = _property(name)
    if isinstance(owner, NCryptKey):
        if parts and owner.place is None and not given & parts:
            raise WinError.of(Code.NTE_BAD_FLAGS, "the flags must name parts of the descriptor")
        return properties.get(owner, named, given)
    return providerfacts.get(owner, named, given)


def set_property(handle: object, name: object, value: object, given: int) -> None:
    """NCryptSetProperty."""
    owner = _owner(handle)
    given = checked(given, SET_FLAGS)
    named = _property(name)
    if isinstance(value, bytes | str) and len(value) > flags.NCRYPT_MAX_PROPERTY_DATA:
        raise errors.bad_parameter(f"a property has at most {flags.NCRYPT_MAX_PROPERTY_DATA} bytes")
    if isinstance(owner, NCryptKey):
        properties.put(owner, named, value, given)
    else:
        providerfacts.put(owner, named, value, given)


# --- blobs -----------------------------------------------------------------------------------------------------------


def export_key(handle: object, export_key: object, blob: object, params: object, given: int) -> bytes:
    """NCryptExportKey."""
    key = a_key(handle)
    checked(given)
    row = blob_type(blob)
    if not is_null(export_key):
        raise errors.not_supported("key blobs are not encrypted with other keys")
    told = parameters(params, row.exports)
    material = key.material
    if row.private:
        _check_export(key, told)
    spec = key.place.key_spec if key.place else flags.AT_KEYEXCHANGE
    return row.build(KeyBlob(material.public_key, material.private_key, key.algorithm.scheme, spec), told)


def _check_export(key: NCryptKey, told: Parameters) -> None:
    """By policy a private key leaves as plain text, or encrypted only."""
    enough = flags.NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG
    if told.password is not None:
        enough |= flags.NCRYPT_ALLOW_EXPORT_FLAG
    if key.place is not None or key.material.private_key is None or not key.settings.export_policy & enough:
        raise errors.not_supported("the private half of this key is not exported")


def import_key(handle: object, import_key: object, blob: object, params: object, data: object, given: int) -> NCryptKey:
    """NCryptImportKey."""
    storage = a_provider(handle)
    given = checked(given, IMPORT_FLAGS)
    row = blob_type(blob)
    if not row.private and given & flags.NCRYPT_DO_NOT_FINALIZE_FLAG:
        raise WinError.of(Code.NTE_BAD_FLAGS, "a public key is finished as it is")
    if not is_null(import_key):
        raise errors.not_supported("key blobs are not encrypted with other keys")
    told = parameters(params, row.imports)
    if not isinstance(data, bytes | bytearray | memoryview) or not len(data):
        raise errors.bad_parameter("a key blob is bytes")
    return _imported(storage, row, told, bytes(data), given)


def _imported(storage: Storage, row: BlobRow, told: Parameters, data: bytes, given: int) -> NCryptKey:
    finish = not given & flags.NCRYPT_DO_NOT_FINALIZE_FLAG
    if told.name is not None and not storage.row.stores:
        raise errors.not_supported(f"{storage.row.name} stores no keys")
    parsed = parse(row, data, told)
    if told.name is None or parsed.private is None:
        return making.imported_nameless(storage, parsed, _settings(given), finish=finish)
    algorithm = algorithm_of(parsed.public, parsed.scheme)
    spec = parsed.key_spec if algorithm.is_rsa else algorithm.key_spec
    wanted = Wanted(told.name, algorithm, spec, bool(given & OVERWRITE))
    key = making.imported_on_card(storage, wanted, parsed.private, _settings(given))
    if finish:
        key.finish(silent=False)
    return key


# --- handles ---------------------------------------------------------------------------------------------------------


def free_object(handle: object) -> None:
    """NCryptFreeObject."""
    if not isinstance(handle, NCryptObject) or not handle.free():
        raise errors.bad_handle("there is nothing to free")


def free_buffer(_: object) -> None:
    """NCryptFreeBuffer: Python frees what nobody holds."""


def is_key_handle(handle: object) -> bool:
    """NCryptIsKeyHandle."""
    return isinstance(handle, NCryptKey) and handle.is_open

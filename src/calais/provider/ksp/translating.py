"""From a context of CryptoAPI to the same key as one of CNG.

Source: Microsoft, ``NCryptTranslateHandle``.
"""

from __future__ import annotations

from calais.provider.csp.context import CspContext, CspKey
from calais.provider.ksp import cardkeys, errors
from calais.provider.ksp.calls import checked, is_silent
from calais.provider.ksp.cardkeys import KEY_SPECS, Found
from calais.provider.ksp.handles import KeySettings, NCryptKey, NCryptProv
from calais.provider.ksp.storage import CARD, Storage, Systems
from calais.win.codes import Code
from calais.win.errors import AccessDenied
from calais.win.flags import MS_SCARD_PROV


def translate(
    context: object, legacy_key: object, key_spec: object, given: int, systems: Systems
) -> tuple[NCryptProv, NCryptKey]:
    """NCryptTranslateHandle.

    Args:
        context: of the Base CSP, with a container.
        legacy_key: a key of it, whose key spec counts where none is given; or ``None``.
        key_spec: AT_KEYEXCHANGE, AT_SIGNATURE, or 0.
        given: ``dwFlags``.
        systems: where the system is.

    Raises:
        WinError: ``NTE_INVALID_HANDLE``; ``NTE_NO_KEY``, an empty slot; ``NTE_BAD_KEYSET``, the container is gone.
        Unsupported: ``NTE_NOT_SUPPORTED``, another provider, or no container.
        AccessDenied: ``NTE_PERM``, the context is for public data only.
    """
    if not isinstance(context, CspContext) or not context.is_open:
        raise errors.bad_handle("this is no open context of CryptoAPI")
    spec = _spec_of(context, legacy_key)
    given = checked(given)
    if key_spec not in KEY_SPECS or not isinstance(key_spec, int):
        raise errors.bad_parameter("a legacy key spec is 0, AT_KEYEXCHANGE or AT_SIGNATURE")
    container = context.container
    if context.provider.name.casefold() != MS_SCARD_PROV.casefold() or container is None:
        raise errors.not_supported("only a context of the Base CSP with a container can be translated")
    if context.is_public:
        raise AccessDenied(Code.NTE_PERM, "the context was acquired with CRYPT_VERIFYCONTEXT")
    caller = context.caller
    storage = Storage(CARD, systems, silent=caller.silent or is_silent(given), window=caller.window)
    with errors.on_card():
        found = Found.of(container)
    key = cardkeys.key_in(storage, found, key_spec or spec, KeySettings(text=caller.text or None))
    return NCryptProv(storage), key


def _spec_of(context: CspContext, legacy_key: object) -> int:
    if legacy_key is None or legacy_key == 0:
        return 0
    if not isinstance(legacy_key, CspKey) or not legacy_key.is_open or legacy_key.context is not context:
        raise errors.bad_handle("this is no open key of that context")
    return int(getattr(legacy_key.key, "key_spec", 0))

"""Provider parameters that no card has to be asked for.

Source: CryptGetProvParam, CryptSetProvParam (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Sequence

from calais.provider.csp.context import CspContext
from calais.provider.csp.paramrows import ProvRow
from calais.win import flags
from calais.win.structs import ProvEnumAlgs, ProvEnumAlgsEx

VERSION = 0x0200


def _algorithms(context: CspContext) -> Sequence[ProvEnumAlgs]:
    return [ProvEnumAlgs(row.alg_id, row.default, row.name) for row in context.provider.algorithms]


def _algorithms_ex(context: CspContext) -> Sequence[ProvEnumAlgsEx]:
    return [
        ProvEnumAlgsEx(row.alg_id, row.default, row.least, row.most, row.protocols, row.name, row.long_name)
        for row in context.provider.algorithms
    ]


def _set_window(context: CspContext, window: int) -> None:
    context.change_caller(window=window)


ROWS = (
    ProvRow(flags.PP_ENUMALGS, "BPE", items=_algorithms),
    ProvRow(flags.PP_ENUMALGS_EX, "BPE", items=_algorithms_ex),
    ProvRow(flags.PP_ENUMCONTAINERS, "E", items=lambda _: (), more_flags=flags.CRYPT_MACHINE_KEYSET),
    ProvRow(flags.PP_IMPTYPE, "BPE", lambda context: context.provider.implementation),
    ProvRow(flags.PP_NAME, "BPE", lambda context: context.provider.name),
    ProvRow(flags.PP_VERSION, "BPE", lambda _: VERSION),
    ProvRow(flags.PP_CONTAINER, "BPE", lambda context: context.container_name),
    ProvRow(flags.PP_UNIQUE_CONTAINER, "BPE", lambda context: context.container_name),
    ProvRow(flags.PP_PROVTYPE, "BPE", lambda context: context.provider.prov_type),
    ProvRow(flags.PP_KEYSTORAGE, "BPE", lambda context: context.provider.key_storage),
    ProvRow(flags.PP_KEYSET_TYPE, "BPE", lambda context: context.keyset_type),
    ProvRow(flags.PP_KEYSPEC, "BPE", lambda _: flags.AT_KEYEXCHANGE | flags.AT_SIGNATURE),
    ProvRow(flags.PP_SIG_KEYSIZE_INC, "E", lambda context: context.provider.size_step),
    ProvRow(flags.PP_KEYX_KEYSIZE_INC, "E", lambda context: context.provider.size_step),
    ProvRow(flags.PP_CLIENT_HWND, "BPE", write=_set_window, takes=(int,)),
)

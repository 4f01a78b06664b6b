"""Provider parameters that no card has to be asked for, but for the lengths of its keys.

Source: CryptGetProvParam, CryptSetProvParam (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from calais.provider.card import Card
from calais.provider.csp.algorithms import Algorithm
from calais.provider.csp.context import CspContext
from calais.provider.csp.keyblobs import SPEC_OF_ALG
from calais.provider.csp.paramrows import ProvRow
from calais.win import flags
from calais.win.errors import Unsupported
from calais.win.structs import ProvEnumAlgs, ProvEnumAlgsEx

VERSION = 0x0200


def _rows(context: CspContext) -> list[Algorithm]:
    """The algorithms of a context; the lengths of RSA keys are those of its card, unless the provider has its own."""
    rows = context.provider.algorithms
    if context.card is None or context.provider.rsa.default:
        return list(rows)
    card = context.card
    return [_as_on_card(row, card) if row.alg_id in SPEC_OF_ALG else row for row in rows]


def _as_on_card(row: Algorithm, card: Card) -> Algorithm:
    try:
        sizes = card.run(lambda driver: driver.key_sizes(SPEC_OF_ALG[row.alg_id]))
    except Unsupported:
        return row
    return replace(row, default=sizes.default_bit_len, least=sizes.minimum_bit_len, most=sizes.maximum_bit_len)


def _algorithms(context: CspContext) -> Sequence[ProvEnumAlgs]:
    return [ProvEnumAlgs(row.alg_id, row.default, row.name) for row in _rows(context)]


def _algorithms_ex(context: CspContext) -> Sequence[ProvEnumAlgsEx]:
    return [
        ProvEnumAlgsEx(row.alg_id, row.default, row.least, row.most, row.protocols, row.name, row.long_name)
        for row in _rows(context)
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

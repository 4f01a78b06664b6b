"""PP_ENUMALGS tells the lengths of the card's keys, where the provider has none of its own."""

import pytest
from cryptoapi import BASE, FACES, PERSONAL, listed

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win import flags as f

CARDS = {"piv": virtual_piv, "gids": virtual_gids}
RSA = (f.CALG_RSA_KEYX, f.CALG_RSA_SIGN)


@pytest.fixture(params=CARDS)
def system(request):
    with local_system() as made:
        made.insert(CARDS[request.param]())
        yield made


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


def lengths(face, context):
    every = listed(face, context, f.PP_ENUMALGS_EX)
    return {each.alg_id: (each.bit_length, each.min_length, each.max_length) for each in every if each.alg_id in RSA}


def test_base_tells_the_card_s_lengths(system, face):
    with face.acquire(BASE, f.CRYPT_SILENT) as context:
        sizes = context.card.run(lambda driver: driver.key_sizes(f.AT_KEYEXCHANGE))
        wanted = (sizes.default_bit_len, sizes.minimum_bit_len, sizes.maximum_bit_len)
        assert lengths(face, context) == dict.fromkeys(RSA, wanted)
        assert len(listed(face, context, f.PP_ENUMALGS)) == 18


def test_personal_has_lengths_of_its_own(system, face):
    with face.acquire(PERSONAL, f.CRYPT_SILENT) as context:
        assert lengths(face, context) == dict.fromkeys(RSA, (2048, 512, 2048))


def test_without_a_card_the_lengths_are_those_in_memory(system, face):
    with face.acquire(BASE, f.CRYPT_VERIFYCONTEXT) as context:
        assert lengths(face, context) == dict.fromkeys(RSA, (1024, 384, 16384))

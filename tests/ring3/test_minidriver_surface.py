"""Every driver in the registry, as it is and read-only, held to the table of the 45 entry points."""

import pytest
from cardmodule import acquired, refusal, untouched
from certs import ec_key, make
from cryptography import x509
from tincard import example, tin_card

from calais.cards import registry
from calais.minidriver.properties import CONTAINER_PROPERTIES, PROPERTIES, Flags, Settable
from calais.minidriver.surface import SURFACE, Duty
from calais.system import innermost
from calais.testing import card_data, local_system, virtual_gids, virtual_piv
from calais.winapi import cardmod
from calais.winapi.cardmod import (
    AT_KEYEXCHANGE,
    CP_CARD_PIN_INFO,
    CP_CARD_READ_ONLY,
    CP_KEY_IMPORT_SUPPORT,
    CP_PARENT_WINDOW,
    CP_PIN_CONTEXT_STRING,
    CP_SUPPORTS_WIN_X509_ENROLLMENT,
    ROLE_USER,
    BCryptBuffer,
    CardAcquireContext,
    CardDeriveKeyInfo,
    CardDhAgreementInfo,
    CardEnumFiles,
    CardGetContainerInfo,
    CardGetContainerProperty,
    CardGetFileInfo,
    CardGetProperty,
    CardQueryFreeSpace,
    CardReadFile,
    CardRsaDecryptInfo,
    CardSetProperty,
    CardSigningInfo,
)

UNSUPPORTED, INVALID = "SCARD_E_UNSUPPORTED_FEATURE", "SCARD_E_INVALID_PARAMETER"
KEY = ec_key(7)
CERTIFICATE = x509.load_der_x509_certificate(make("surface", key=KEY))


def piv(**options):
    return virtual_piv(keys={0x9A: (KEY, CERTIFICATE)}, seed=1, **options)


def gids(**options):
    return virtual_gids(keys=[(None, AT_KEYEXCHANGE, KEY, CERTIFICATE)], seed=1, **options)


# Driver -> what makes its card, and the policy.
WRITABLE = {"piv": (piv, {}), "gids": (gids, {})}
READ_ONLY = {
    "piv by policy": (piv, {"piv.write": 0}),
    "piv without management key": (lambda: piv(read_only=True), {}),
    "gids": (lambda: gids(read_only=True), {}),
    "gids without administrator": (lambda: gids(read_only=True, admin_key=None), {}),
    "tin": (tin_card, {}),
}


def opened(profile, monkeypatch, version=7):
    make_card, policy = profile
    monkeypatch.setattr(registry, "installed", lambda: {"tin": example().tin})
    card = make_card()
    with local_system(policy=policy):
        yield card, acquired(card, version)


@pytest.fixture(params=sorted(READ_ONLY))
def read_only(request, monkeypatch):
    yield from opened(READ_ONLY[request.param], monkeypatch)


@pytest.fixture(params=sorted(WRITABLE))
def writable(request, monkeypatch):
    yield from opened(WRITABLE[request.param], monkeypatch)


@pytest.fixture(params=[(kind, name) for kind in ("as it is", "read-only") for name in ("piv", "gids", "tin")], ids=str)
def any_card(request, monkeypatch):
    kind, name = request.param
    profiles = READ_ONLY | {"piv": READ_ONLY["piv by policy"]} if kind == "read-only" else READ_ONLY | WRITABLE
    yield from opened(profiles[name], monkeypatch)


def call(data, name, *values, **more):
    return getattr(cardmod, name)(data, *values, **more)


def nothing(name):
    """Arguments that are none, for each that the function has."""
    return dict.fromkeys(argument for argument, _ in SURFACE[name].arguments)


# --- read-only duties ------------------------------------------------------------------------------------------------


def test_the_built_in_drivers_are_all_here():
    assert set(registry.BUILT_IN) == set(WRITABLE)


@pytest.mark.parametrize("name", [name for name, row in SURFACE.items() if row.duty is Duty.NO])
def test_what_a_read_only_card_must_not_do_is_unsupported_whatever_the_arguments(read_only, name):
    card, data = read_only
    assert name in data.entry_points
    with untouched(card):
        assert refusal(call, data, name, **nothing(name)) == UNSUPPORTED


@pytest.mark.parametrize("name", [name for name, row in SURFACE.items() if row.duty is Duty.NO_OPTIONAL])
def test_what_a_read_only_card_need_not_do_works_or_is_unsupported(read_only, name):
    card, data = read_only
    assert name in data.entry_points
    with untouched(card):  # it does what it can with good arguments, or says that it cannot
        expected = UNSUPPORTED if name in data.binding.refused or not nothing(name) else INVALID
        if nothing(name):
            assert refusal(call, data, name, **nothing(name)) == expected


GOOD = {
    "CardQueryCapabilities": (),
    "CardQueryFreeSpace": (),
    "CardQueryKeySizes": (3,),
    "CardAuthenticatePin": ("user", b"123456"),
    "CardReadFile": (None, "cardid"),
    "CardEnumFiles": ("mscp",),
    "CardGetFileInfo": ("mscp", "cmapfile"),
    "CardGetContainerInfo": (0,),
    "CardGetContainerProperty": (0, "PIN Identifier"),
    "CardSignData": (CardSigningInfo(0, 3, bytes(32)),),
    "CardAuthenticateEx": (1, 0, b"123456"),
    "CardDeauthenticateEx": (0xFF,),
    "CardGetProperty": ("PIN List",),
    "CardSetProperty": ("Parent Window", 1),
}


def test_every_duty_is_tried():
    others = {"CardAcquireContext", "CardDeleteContext"}
    assert set(GOOD) | others == {name for name, row in SURFACE.items() if row.duty is Duty.YES}


def test_what_a_read_only_card_must_do_works(read_only):
    _, data = read_only
    pin = data.driver.tx.channel.transport.card.applet
    secret = getattr(pin, "pin", b"123456")
    secret = secret if isinstance(secret, bytes) else b"123456"
    done = []
    for name, values in GOOD.items():
        given = [secret if value == b"123456" else value for value in values]
        if name != "CardDeauthenticateEx":
            call(data, name, *given)
            done.append(name)
    call(data, "CardDeauthenticateEx", 0x02)
    assert len(done) == len(GOOD) - 1
    cardmod.CardDeleteContext(data)


def test_features_work_alike_on_read_only_cards(read_only):
    """Yes (Optional): as the card has them."""
    _, data = read_only
    point = KEY.public_key().public_numbers()
    blob = b"ECK1" + (32).to_bytes(4, "little") + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    if any(name.startswith("ECDH") for name in data.driver.asymmetric_algorithms):
        cardmod.CardAuthenticateEx(data, ROLE_USER, 0, b"123456")
        index = cardmod.CardConstructDHAgreement(data, CardDhAgreementInfo(0, blob))
        key = cardmod.CardDeriveKey(data, CardDeriveKeyInfo("HASH", index, (BCryptBuffer(0, "SHA256"),)))
        assert len(key) == 32
        cardmod.CardDestroyDHAgreement(data, index)
        assert refusal(cardmod.CardDestroyDHAgreement, data, index) == INVALID
        assert (
            refusal(cardmod.CardRSADecrypt, data, CardRsaDecryptInfo(0, 1, bytes(256), 2)) == "SCARD_E_NO_KEY_CONTAINER"
        )
    else:
        for name in ("CardConstructDHAgreement", "CardDeriveKey", "CardDestroyDHAgreement", "CardRSADecrypt"):
            assert refusal(call, data, name, **nothing(name)) == UNSUPPORTED
    assert refusal(cardmod.CardDeauthenticate, data, "user") == ""


# --- the read-only chapter -------------------------------------------------------------------------------------------


def test_a_read_only_card_says_so_and_has_no_room(read_only):
    _, data = read_only
    space = CardQueryFreeSpace(data)
    assert CardGetProperty(data, CP_CARD_READ_ONLY) is True
    assert (space.bytes_available, space.key_containers_available) == (0, 0)
    assert CardGetProperty(data, CP_SUPPORTS_WIN_X509_ENROLLMENT) is False
    assert CardGetProperty(data, CP_KEY_IMPORT_SUPPORT) == 0


def test_every_base_csp_file_but_msroots_is_there(read_only):
    _, data = read_only
    assert {"cardid", "cardcf", "cardapps"} <= set(CardEnumFiles(data, None))
    assert "cmapfile" in CardEnumFiles(data, "mscp")
    assert len(CardReadFile(data, None, "cardid")) == 16
    assert len(CardReadFile(data, None, "cardcf")) >= 6
    assert CardReadFile(data, None, "cardapps").startswith(b"mscp\0\0\0\0")
    assert len(CardReadFile(data, "mscp", "cmapfile")) % 86 == 0


def test_a_key_is_behind_the_user_s_pin(read_only):
    _, data = read_only
    assert CardGetContainerProperty(data, 0, "PIN Identifier") == ROLE_USER
    assert cardmod.is_pin_set(CardGetProperty(data, "PIN List"), ROLE_USER)


def test_only_two_properties_can_be_set_on_a_read_only_card(read_only):
    card, data = read_only
    with untouched(card):
        CardSetProperty(data, CP_PARENT_WINDOW, 7)
        CardSetProperty(data, CP_PIN_CONTEXT_STRING, "for the tax office")
        CardSetProperty(data, CP_PIN_CONTEXT_STRING, None)
        for name in [*PROPERTIES, "Nothing"]:
            if name not in (CP_PARENT_WINDOW, CP_PIN_CONTEXT_STRING):
                assert refusal(CardSetProperty, data, name, object()) == UNSUPPORTED


def test_without_an_administrator_there_is_no_challenge_and_no_unblocking(monkeypatch):
    for card, data in opened(READ_ONLY["gids without administrator"], monkeypatch):
        card.counter.clear()
        assert CardGetProperty(data, "PIN List") == 0x02
        assert refusal(cardmod.CardGetChallenge, data) == UNSUPPORTED
        assert refusal(cardmod.CardAuthenticateChallenge, data, bytes(8)) == UNSUPPORTED
        assert refusal(cardmod.CardUnblockPin, data, "user", bytes(8), b"123456", 0, 1) == UNSUPPORTED


# --- every driver ----------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_told_before_anything_is_sent(any_card):
    card, data = any_card
    for name, row in SURFACE.items():
        if name in ("CardAcquireContext", "CardDeleteContext") or not row.arguments:
            continue
        with untouched(card):
            expected = UNSUPPORTED if name in data.binding.refused or name == "CardSetProperty" else INVALID
            if name == "CardSetProperty":
                assert refusal(call, data, name, "Nothing", None, 0) == expected
            else:
                assert refusal(call, data, name, **nothing(name)) == expected, name


@pytest.mark.parametrize("version", [4, 5, 6, 7])
@pytest.mark.parametrize("profile", ["piv", "gids"])
def test_a_context_has_the_functions_of_its_version(version, profile, monkeypatch):
    for _, data in opened(WRITABLE[profile], monkeypatch, version):
        assert data.version == version
        assert data.entry_points == {name for name, row in SURFACE.items() if row.since <= version}
        for name, row in SURFACE.items():
            if row.since > version:
                assert refusal(call, data, name, **nothing(name)) == UNSUPPORTED


@pytest.mark.parametrize("data", [None, 0, "data", object()], ids=["nothing", "zero", "text", "object"])
@pytest.mark.parametrize("name", sorted(SURFACE))
def test_what_is_no_context_is_refused(name, data):
    assert refusal(call, data, name, **nothing(name)) == INVALID


def test_a_deleted_context_is_refused_by_every_function(any_card):
    card, data = any_card
    with untouched(card):
        cardmod.CardDeleteContext(data)
        assert (data.acquired, data.driver, data.entry_points) == (False, None, frozenset())
        for name in SURFACE:
            if name != "CardAcquireContext":
                assert refusal(call, data, name, **nothing(name)) == INVALID
    CardAcquireContext(data)
    assert data.acquired


def _flags(row):
    return {Flags.PIN_ID: (1,), Flags.KEY_SPEC: (0, 3), Flags.OPERATION: (1, 2), Flags.ANY_OPERATION: (0, 1, 2)}.get(
        row.flags, (0,)
    )


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_every_property_has_its_type_and_takes_its_own_flags(any_card, name):
    card, data = any_card
    row = PROPERTIES[name]
    if row.read is None:
        with untouched(card):
            assert refusal(CardGetProperty, data, name) == INVALID
        return
    for flags in _flags(row):
        if not (name == "Key Sizes" and flags == 0 and "RSA" not in data.driver.asymmetric_algorithms):
            assert type(CardGetProperty(data, name, flags)) is row.kind
    with untouched(card):
        for flags in (0x100, -1, None):
            assert refusal(CardGetProperty, data, name, flags) == INVALID
        assert refusal(CardGetProperty, data, name.swapcase()) == INVALID


def test_a_structure_is_given_in_its_versions_alone(any_card):
    card, data = any_card
    assert CardGetProperty(data, CP_CARD_PIN_INFO, 1, dwVersion=6) == CardGetProperty(data, CP_CARD_PIN_INFO, 1)
    with untouched(card):
        assert refusal(CardGetProperty, data, CP_CARD_PIN_INFO, 1, dwVersion=7) == "ERROR_REVISION_MISMATCH"
        assert refusal(CardGetProperty, data, "Free Space", dwVersion=2) == "ERROR_REVISION_MISMATCH"
        assert refusal(CardGetContainerInfo, data, 0, dwVersion=2) == "ERROR_REVISION_MISMATCH"
        assert refusal(CardGetFileInfo, data, None, "cardid", dwVersion=2) == "ERROR_REVISION_MISMATCH"
    assert CardGetContainerInfo(data, 0, dwVersion=0) == CardGetContainerInfo(data, 0)


@pytest.mark.parametrize("name", sorted(CONTAINER_PROPERTIES))
def test_every_container_property_has_its_type(any_card, name):
    _, data = any_card
    code = refusal(CardGetContainerProperty, data, 0, name)
    if not code:
        assert type(CardGetContainerProperty(data, 0, name)) is CONTAINER_PROPERTIES[name].kind
    else:
        assert (name, code) == ("Associated ECDH Key", "SCARD_E_NO_KEY_CONTAINER")
    assert refusal(CardGetContainerProperty, data, 200, name) == "SCARD_E_NO_KEY_CONTAINER"
    assert refusal(CardGetContainerProperty, data, 0, name, 1) == INVALID


def test_what_a_card_may_keep_is_named_by_its_driver(writable):
    card, data = writable
    for name, row in PROPERTIES.items():
        if row.settable is Settable.NEVER or (
            row.settable is Settable.CARD and name not in data.driver.settable_properties
        ):
            with untouched(card):
                assert refusal(CardSetProperty, data, name, b"") == UNSUPPORTED


def test_a_card_that_is_gone_is_told_as_such(any_card):
    data = any_card[1]
    innermost().remove()
    assert refusal(CardReadFile, data, None, "cardid") == "SCARD_W_REMOVED_CARD"
    assert refusal(CardReadFile, data, None, "") == INVALID
    cardmod.CardDeleteContext(data)
    cardmod.CardData.__exit__(data)


def test_another_context_of_the_same_card_lives_on(any_card):
    card, data = any_card
    other = card_data(card)
    CardAcquireContext(other)
    cardmod.CardDeleteContext(data)
    assert len(CardReadFile(other, None, "cardid")) == 16

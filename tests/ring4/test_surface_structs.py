"""The records, the constants and the error of the Windows-named faces, as their pages list them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect

import pytest
from surfacenames import CARDMOD, ERRORS, FIELDS, REQUIRED, WINSCARD

import calais
from calais.win import codes, errors, flags, structs
from calais.winapi import advapi32, cardmod, crypt32, cspdk, ncrypt, winscard

LOOSE = {("Pkcs1PaddingInfo", "algorithm"), ("PssPaddingInfo", "algorithm"), ("OaepPaddingInfo", "algorithm")}
LOOSE |= {("PssPaddingInfo", "salt"), ("OaepPaddingInfo", "label"), ("CertKeyContext", "handle")}
LOOSE |= {("CertPublicKeyInfo", "parameters"), ("CertKeyContext", "key_spec")}
NAMED = [
    *FIELDS,
    "CertInfo",
    "CertExtension",
    "CryptAlgorithmIdentifier",
    "CertRdnAttr",
    "CertSignedContent",
    "CrlInfo",
    "EnrollmentInfo",
    "SmartCardRootInfo",
    "HmacInfo",
    "NCryptProviderName",
    "NCryptAlgorithmName",
    "NCryptKeyName",
    "NCryptSupportedLengths",
    "NCryptUiPolicy",
]


@pytest.mark.parametrize("name", FIELDS)
def test_a_record_has_the_fields_of_its_page_in_order_with_their_defaults(name):
    kind = getattr(structs, name)
    found = {field.name: field for field in dataclasses.fields(kind)}
    assert list(found)[: len(FIELDS[name])] == list(FIELDS[name])
    for field, default in FIELDS[name].items():
        if (name, field) not in LOOSE and default is not REQUIRED:
            assert found[field].default == default, field
    for further in list(found)[len(FIELDS[name]) :]:
        assert found[further].default is not dataclasses.MISSING


@pytest.mark.parametrize("name", NAMED)
def test_every_record_is_frozen(name):
    kind = getattr(structs, name)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


def test_card_status_is_a_named_tuple():
    assert winscard.CardStatus._fields == ("reader_names", "state", "protocol", "atr")
    assert winscard.CardStatus(["r"], 6, 2, b"x") == (["r"], 6, 2, b"x")


def test_every_field_of_cert_info_has_a_default():
    info = structs.CertInfo()
    names = {field.name for field in dataclasses.fields(info)}
    wanted = {"serial", "version", "signature_algorithm", "issuer", "subject", "not_before", "not_after", "public_key"}
    assert wanted | {"extensions"} <= names
    assert structs.CertInfo(serial=0x010203).serial_number == b"\x03\x02\x01"
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert structs.CertInfo(not_before=moment).not_before == moment
    assert info == structs.CertInfo()


RE_EXPORTED = {
    winscard: ["ReaderState", "AtrMask", "CardStatus", "SCardContext", "SCardHandle"],
    cardmod: [
        "ContainerInfo",
        "ContainerMapRecord",
        "CardCacheFile",
        "CardFreeSpaceInfo",
        "CardCapabilities",
        "CardKeySizes",
        "CardFileInfo",
        "PinInfo",
        "PinCachePolicy",
        "CardSigningInfo",
        "CardRsaDecryptInfo",
        "CardDhAgreementInfo",
        "CardDeriveKeyInfo",
        "Pkcs1PaddingInfo",
        "PssPaddingInfo",
        "OaepPaddingInfo",
        "BCryptBuffer",
        "CardData",
        "CardKey",
    ],
    crypt32: ["CryptKeyProvInfo", "CryptKeyProvParam", "CertKeyContext", "CertPublicKeyInfo", "CertInfo"],
    cspdk: ["ProvEnumAlgs", "ProvEnumAlgsEx", "HCRYPTPROV", "HCRYPTKEY", "HCRYPTHASH", "HmacInfo"],
    advapi32: ["ProvEnumAlgs", "ProvEnumAlgsEx", "HCRYPTPROV", "HCRYPTKEY", "HCRYPTHASH", "HmacInfo"],
    ncrypt: ["NCryptProviderName", "NCryptAlgorithmName", "NCryptKeyName", "NCryptSupportedLengths", "NCryptUiPolicy"],
}


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in RE_EXPORTED.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__name__.rpartition(".")[2],
)
def test_a_face_exports_its_records(module, name):
    assert name in dir(module)
    assert getattr(structs, name, getattr(module, name)) is getattr(module, name)


# --- constants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WINSCARD, *ERRORS])
def test_winscard_exports_the_constants_and_codes_of_its_page(name):
    assert getattr(winscard, name) == {**WINSCARD, **ERRORS}[name]


@pytest.mark.parametrize("name", CARDMOD)
def test_cardmod_exports_the_constants_of_its_page(name):
    assert getattr(cardmod, name) == CARDMOD[name]


@pytest.mark.parametrize("name", [name for name in ERRORS if name.startswith("SCARD_")])
def test_cardmod_exports_the_errors_of_the_resource_manager_too(name):
    assert getattr(cardmod, name) == ERRORS[name]


@pytest.mark.parametrize("name", [*WINSCARD, *ERRORS, *CARDMOD])
def test_every_constant_is_in_flags_or_codes(name):
    value = {**WINSCARD, **ERRORS, **CARDMOD}[name]
    assert any(getattr(module, name, None) == value for module in (flags, codes, codes.Code))


def test_ctl_codes_are_computed():
    assert winscard.SCARD_CTL_CODE(3400) == 0x00313520
    assert winscard.SCARD_CTL_CODE(0) == 0x00310000
    assert winscard.SCARD_CTL_CODE(0x3FFF) == 0x00310000 + 4 * 0x3FFF


def test_the_macros_of_pin_sets():
    assert [cardmod.create_pin_set(number) for number in range(8)] == [1, 2, 4, 8, 16, 32, 64, 128]
    for wrong in (-1, 8):
        with pytest.raises(calais.WinError) as caught:
            cardmod.create_pin_set(wrong)
        assert caught.value.code == 0x80100004
    assert cardmod.is_pin_set(0x06, 1) is True
    assert cardmod.is_pin_set(0x06, 3) is False
    assert cardmod.set_pin(0x02, 2) == 0x06
    assert cardmod.clear_pin(0x06, 1) == 0x04
    assert cardmod.clear_pin(0x04, 1) == 0x04


# --- the error -------------------------------------------------------------------------------------------------------


def test_the_error_is_one_class_with_code_hresult_and_name():
    assert calais.WinError is errors.WinError
    error = calais.WinError(0x80090016)
    assert (error.code, error.hresult, error.name) == (0x80090016, 0x80090016 - (1 << 32), "NTE_BAD_KEYSET")
    unknown = calais.WinError(0x8ABCDEF0)
    assert unknown.code == 0x8ABCDEF0


# --- codecs ----------------------------------------------------------------------------------------------------------


def test_container_map_records_are_86_bytes():
    record = structs.ContainerMapRecord("{A}", 3, 2048, 256)
    data = structs.ContainerMapRecord.build_file([record])
    assert len(data) == 86
    assert data[:6] == "{A}".encode("utf-16le")
    assert data[80:] == bytes([3, 0]) + (2048).to_bytes(2, "little") + (256).to_bytes(2, "little")
    assert structs.ContainerMapRecord.parse_file(data) == [record]
    assert structs.ContainerMapRecord.parse_file(b"") == []


def test_the_cache_file_is_six_bytes():
    cache = structs.CardCacheFile(0, 1, 0x0203, 0x0405)
    assert cache.to_bytes() == bytes.fromhex("000103020504")
    assert structs.CardCacheFile.from_bytes(bytes.fromhex("000103020504")) == cache


def test_certificates_are_compressed_with_their_length():
    der = bytes.fromhex("3003020105") * 40
    packed = structs.compress_certificate(der)
    assert packed[:4] == b"\x01\x00" + len(der).to_bytes(2, "little")
    assert packed[4:5] == b"\x78"
    assert structs.expand_certificate(packed) == der
    assert structs.expand_certificate(der) == der


# --- names and order of parameters -----------------------------------------------------------------------------------

WINSCARD_CALLS = {
    "SCardEstablishContext": "dwScope, pvReserved1=None, pvReserved2=None, *, system=None",
    "SCardReleaseContext": "hContext",
    "SCardIsValidContext": "hContext",
    "SCardListReaderGroups": "hContext=None",
    "SCardListReaders": "hContext=None, mszGroups=None",
    "SCardIntroduceReaderGroup": "hContext, szGroupName",
    "SCardForgetReaderGroup": "hContext, szGroupName",
    "SCardIntroduceReader": "hContext, szReaderName, szDeviceName",
    "SCardForgetReader": "hContext, szReaderName",
    "SCardAddReaderToGroup": "hContext, szReaderName, szGroupName",
    "SCardRemoveReaderFromGroup": "hContext, szReaderName, szGroupName",
    "SCardGetStatusChange": "hContext, dwTimeout, rgReaderStates",
    "SCardCancel": "hContext",
    "SCardConnect": "hContext, szReader, dwShareMode, dwPreferredProtocols",
    "SCardReconnect": "hCard, dwShareMode, dwPreferredProtocols, dwInitialization",
    "SCardDisconnect": "hCard, dwDisposition",
    "SCardBeginTransaction": "hCard",
    "SCardEndTransaction": "hCard, dwDisposition",
    "SCardStatus": "hCard",
    "SCardTransmit": "hCard, pioSendPci, pbSendBuffer, pioRecvPci=None",
    "SCardControl": "hCard, dwControlCode, lpInBuffer=b''",
    "SCardGetAttrib": "hCard, dwAttrId",
    "SCardSetAttrib": "hCard, dwAttrId, pbAttr",
    "SCardListCards": "hContext=None, pbAtr=None, rgquidInterfaces=None",
    "SCardListInterfaces": "hContext, szCard",
    "SCardGetProviderId": "hContext, szCard",
    "SCardGetCardTypeProviderName": "hContext, szCardName, dwProviderId",
    "SCardSetCardTypeProviderName": "hContext, szCardName, dwProviderId, szProvider",
    "SCardIntroduceCardType": (
        "hContext, szCardName, pguidPrimaryProvider=None, rgguidInterfaces=None, pbAtr=b'', pbAtrMask=None"
    ),
    "SCardForgetCardType": "hContext, szCardName",
    "SCardLocateCards": "hContext, mszCards, rgReaderStates",
    "SCardLocateCardsByATR": "hContext, rgAtrMasks, rgReaderStates",
    "SCardReadCache": "hContext, CardIdentifier, FreshnessCounter, LookupName",
    "SCardWriteCache": "hContext, CardIdentifier, FreshnessCounter, LookupName, Data",
}


@pytest.mark.parametrize("name", WINSCARD_CALLS)
def test_parameters_of_the_resource_manager(name):
    parts = inspect.signature(getattr(winscard, name)).parameters.values()
    shown = []
    for part in parts:
        if part.kind is part.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(part.name if part.default is part.empty else f"{part.name}={part.default!r}")
    assert ", ".join(shown) == WINSCARD_CALLS[name]


@pytest.mark.parametrize(
    "call",
    [
        winscard.SCardEstablishContext,
        advapi32.CryptAcquireContext,
        cspdk.CPAcquireContext,
        ncrypt.NCryptOpenStorageProvider,
        crypt32.CertOpenStore,
        crypt32.CertOpenSystemStore,
    ],
    ids=lambda call: call.__name__,
)
def test_every_opener_takes_the_system_by_keyword(call):
    parameter = inspect.signature(call).parameters["system"]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is None


@pytest.mark.parametrize("name", ["ERROR_NX_PIN_WRONG", "PP_NX_LAST_ERROR"])
def test_personal_names_are_in_flags_or_left_to_both_faces(name):
    del name
    for prefix in ("ERROR_NX_", "PP_NX_"):
        known = {each for each in dir(cspdk) if each.startswith(prefix)}
        assert known
        assert known == {each for each in dir(advapi32) if each.startswith(prefix)}

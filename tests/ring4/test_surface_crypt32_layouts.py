"""Stores as bytes: what is written to the letter, and what hostile bytes can and cannot do."""

from __future__ import annotations

import base64
import io
import os
import struct
import time
import tracemalloc
from contextlib import contextmanager

import pytest
from blackstore import (
    certificate,
    code_of,
    crl,
    der,
    element,
    fails,
    integer,
    name,
    oid,
    record,
    serialized,
    sha1,
    signed_data,
    text,
)  # fmt: skip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calais import WinError
from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO = certificate("One", serial=1), certificate("Two", serial=2)
NEW = c.CERT_STORE_ADD_NEW
CU = c.CERT_SYSTEM_STORE_CURRENT_USER
CTL = b"\x30\x03\x02\x01\x05"


@contextmanager
def bounded(seconds=5.0, mebibytes=64):
    """The body ends soon and takes little memory."""
    tracemalloc.start()
    begin = time.monotonic()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < seconds
    assert peak < mebibytes << 20


def memory(*encoded):
    store = c.CertOpenStore(2)
    for each in encoded:
        c.CertAddEncodedCertificateToStore(store, 1, each, 4)
    return store


def load(data):
    return c.CertOpenStore("Serialized", 0, None, 0, data)


def put(blob, kinds=0xFFFFFFFF, how=NEW, store=None):
    return c.CertAddSerializedElementToStore(store, blob, how, 0, kinds)


def listed(context):
    found, ident = [], 0
    while ident := c.CertEnumCertificateContextProperties(context, ident):
        found.append(ident)
    return found


# --- writing ---------------------------------------------------------------------------------------------------------


def test_an_empty_store_is_a_header_and_a_trailer():
    assert c.CertSaveStore(memory(), 1, 1, 2) == bytes.fromhex("0000000043455254000000000000000000000000")


def test_elements_are_written_certificates_first_in_the_order_added():
    store = memory()
    c.CertAddEncodedCRLToStore(store, 1, crl(number=1), 4)
    for encoded in (ONE, TWO):
        c.CertAddEncodedCertificateToStore(store, 1, encoded, 4)
    c.CertAddEncodedCRLToStore(store, 1, crl(number=2), 4)
    expected = serialized(
        element(ONE), element(TWO), element(crl(number=1), kind=33), element(crl(number=2), kind=33)
    )  # fmt: skip
    assert c.CertSaveStore(store, 1, 1, 2) == expected
    assert c.CertSaveStore(load(expected), 1, 1, 2) == expected
    assert [each.encoded for each in load(expected)] == [TWO, ONE]


def test_ctl_records_are_carried_along_unread():
    data = serialized(element(ONE), element(CTL, {11: text("list")}, kind=34))
    assert c.CertSaveStore(load(data), 1, 1, 2) == data


def test_an_element_is_properties_in_rising_order_and_the_certificate():
    context = c.CertCreateCertificateContext(1, ONE)
    for ident, value in ((0x8005, b"last"), (11, "first"), (19, b"")):
        c.CertSetCertificateContextProperty(context, ident, 0, value)
    c.CertSetCertificateContextProperty(context, 5, 0, c.CertKeyContext(None, 1))
    expected = record(11, text("first")) + record(19, b"") + record(0x8005, b"last") + record(32, ONE)
    for flags in (0, 1, 0xFFFFFFFF):
        assert c.CertSerializeCertificateStoreElement(context, flags) == expected


def test_a_message_of_certificates_is_written_as_der():
    data = c.CertSaveStore(memory(ONE), 1, 2, 2)
    assert data[0] == 0x30
    assert oid("1.2.840.113549.1.7.2") in data
    assert ONE in data
    assert c.CertSaveStore(memory(), 1, 2, 2)[:1] == b"\x30"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_properties_count_only_before_the_certificate():
    kind, context = put(record(11, text("before")) + record(32, ONE) + record(13, text("after")))
    assert (kind, context.encoded, listed(context)) == (1, ONE, [11])
    (context,) = list(load(b"\0\0\0\0CERT" + record(32, ONE) + bytes(12) + element(TWO)))
    assert context.encoded == ONE


def test_a_stored_hash_is_believed():
    _, context = put(element(ONE, {3: b"h" * 20}))
    assert c.CertGetCertificateContextProperty(context, 3) == b"h" * 20
    store = load(serialized(element(ONE, {3: b"h" * 20}), element(TWO, {3: b"h" * 20})))
    found = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, b"h" * 20)
    assert found is not None
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE)) is None


@pytest.mark.parametrize("lie", [b"", b"x", b"y" * 5000])
@pytest.mark.parametrize("target", ["system", "reg", "memory"])
def test_a_stored_hash_of_another_length_harms_nobody(lie, target):
    with local_system():
        key = {}
        store = {
            "system": lambda: c.CertOpenSystemStore(None, "My"),
            "reg": lambda: c.CertOpenStore(4, 0, None, 0, key),
            "memory": memory,
        }[target]()
        c.CertAddEncodedCertificateToStore(store, 1, TWO, 4)
        code = code_of(lambda: put(element(ONE, {3: lie}), store=store))
        assert code in {0, c.E_INVALIDARG, c.ERROR_INVALID_DATA}
        c.CertCloseStore(store)
        if target == "system":
            assert TWO in [each.encoded for each in c.CertOpenSystemStore(None, "My")]


@pytest.mark.parametrize(
    ("blob", "code"),
    [
        (b"", c.ERROR_END_OF_MEDIA),
        (record(32, b"", size=0), c.E_INVALIDARG),
        (record(32, ONE[:-1]), c.E_INVALIDARG),
        (record(32, ONE + b"\0"), c.E_INVALIDARG),
        (record(32, ONE, size=len(ONE) - 1), c.E_INVALIDARG),
        (record(11, text("alone")), c.E_INVALIDARG),
        (bytes(12), c.E_INVALIDARG),
        (record(32, ONE, second=0), c.ERROR_FILE_NOT_FOUND),
        (record(32, ONE, second=2), c.ERROR_FILE_NOT_FOUND),
        (record(11, text("x"), second=7) + record(32, ONE), c.ERROR_FILE_NOT_FOUND),
    ],
)
def test_a_bad_element_has_its_code(blob, code):
    for store in (None, memory()):
        with fails(code):
            put(blob, store=store)


def test_none_is_no_element():
    with fails(c.ERROR_END_OF_MEDIA, c.E_INVALIDARG):
        put(None)


@pytest.mark.parametrize(("kind", "flag"), [(32, 2), (33, 4)])
def test_only_the_kinds_asked_for_are_taken(kind, flag):
    blob = element(ONE if kind == 32 else crl(), kind=kind)
    assert put(blob, flag)[0] == flag // 2
    for other in (0, 2, 4, 8, 14 - flag):
        if not other & flag:
            with fails(c.E_INVALIDARG):
                put(blob, other)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x1000000, 1000])
def test_a_record_that_claims_more_than_there_is_ends_quickly(size):
    for blob in (record(32, ONE, size=size), record(11, b"ab", size=size) + record(32, ONE)):
        with bounded(), pytest.raises(WinError):
            put(blob)
        with bounded(), pytest.raises(WinError):
            load(b"\0\0\0\0CERT" + blob)


@pytest.mark.parametrize("head", [b"", b"\0", b"CERT\0\0\0\0", b"\1\0\0\0CERT", b"\0\0\0\0cert", b"\0" * 20])
def test_a_wrong_head_is_invalid_data(head):
    with fails(c.ERROR_INVALID_DATA):
        load(head)


def test_a_truncated_store_is_refused_or_read_up_to_the_cut():
    whole = serialized(element(ONE, {11: text("friend")}), element(TWO))
    for cut in range(8, len(whole)):
        try:
            store = load(whole[:cut])
        except WinError:
            continue
        assert {each.encoded for each in store} <= {ONE, TWO}


def test_a_large_store_is_read_in_bounded_time():
    many = [certificate(f"Number {number}", serial=number) for number in range(1500)]
    data = serialized(*(element(each) for each in many))
    with bounded(20, 64):
        store = load(data)
        assert len(list(store)) == 1500
        assert c.CertSaveStore(store, 1, 1, 2) == data


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_to_any_container_is_a_windows_error_or_a_store(data):
    seeds = [
        serialized(element(ONE, {11: text("f"), 2: bytes(28)}), element(crl(), kind=33)),
        signed_data((ONE,), (crl(),)),
    ]
    which = data.draw(st.sampled_from([0, 1]))
    raw = bytearray(seeds[which])
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for provider in ("Serialized", "PKCS7", 17):
        try:
            store = c.CertOpenStore(provider, 0, None, 0, raw)
        except WinError:
            continue
        for context in store:
            for ident in (2, 3, 15, 20, 28, 93, 107, 124):
                code_of(lambda ident=ident, context=context: c.CertGetCertificateContextProperty(context, ident))
            code_of(lambda context=context: c.CertSerializeCertificateStoreElement(context))


def _nested(tag, depth, inner=b"x"):
    for _ in range(depth):
        inner = der(tag, inner)
    return inner


def _indefinite(depth):
    return b"\x24\x80" * depth + b"\x04\x01x" + b"\0\0" * depth


SIGNED = oid("1.2.840.113549.1.7.2")
BOMBS = {
    "deep-definite": der(0x30, SIGNED, der(0xA0, _nested(0x30, 3000))),
    "deep-indefinite": b"\x30\x80" + SIGNED + b"\xa0\x80" + _indefinite(20000),
    "endless": b"\x30\x80" * 50000,
    "deep-content": signed_data(()).replace(oid("1.2.840.113549.1.7.1"), oid("1.2.840.113549.1.7.1") + der(
        0xA0, _indefinite(5000))),
    "wide": der(0x30, SIGNED, der(0xA0, der(0x30, integer(1), der(0x31, *[b"\x05\x00"] * 200000)))),
    "many-tiny-certificates": signed_data((b"\x30\x00",) * 100000),
    "long-length": b"\x30\x8f" + b"\xff" * 15,
    "long-tag": b"\x3f" + b"\xff" * 100000,
    "long-oid": der(0x30, der(6, b"\x81" * 100000 + b"\x01"), der(0xA0, b"")),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_message_made_to_hurt_is_refused_in_bounded_time_and_memory(bomb, tmp_path):
    path = tmp_path / "bomb.p7b"
    path.write_bytes(BOMBS[bomb])
    for opening in (
        lambda: c.CertOpenStore("PKCS7", 0, None, 0, BOMBS[bomb]),
        lambda: c.CertOpenStore(8, 0, None, 0, path),
        lambda: c.CertCreateCertificateContext(1, BOMBS[bomb]),
        lambda: c.CertCreateCRLContext(1, BOMBS[bomb]),
        lambda: c.CertOpenStore(17, 0, None, 0, BOMBS[bomb]),
        lambda: c.CertOpenStore(6, 0, None, 0, BOMBS[bomb]),
    ):
        with bounded():
            assert code_of(opening) & 0xFFFFFFFF


def test_a_certificate_made_to_hurt_is_kept_and_asked_in_bounded_time():
    long_serial = certificate("x", serial=1 << 400000)
    wide_name = certificate(name(*["x" * 10] * 5000))
    long_oid = certificate("x", extensions=(der(0x30, der(6, b"\x81" * 50000 + b"\x01"), der(4, b"")),) * 2)
    huge_arc = certificate(der(0x30, der(0x31, der(0x30, der(6, b"\x55" + b"\xff" * 20000 + b"\x7f"), der(12, b"x")))))
    for encoded in (long_serial, wide_name, long_oid, huge_arc):
        with bounded(8):
            code_of(lambda encoded=encoded: _ask(encoded))


def _ask(encoded):
    store = memory(encoded)
    context = next(iter(store))
    assert context.encoded == encoded
    assert context.info.version == 2
    for ident in (3, 15, 20, 28, 29, 107):
        c.CertGetCertificateContextProperty(context, ident)
    repr(context)
    c.CertGetNameString(context, 4)
    c.CertNameToStr(1, context.info.subject, 3)
    for kind in (c.CERT_FIND_SUBJECT_STR_W, c.CERT_FIND_ISSUER_STR_W):
        c.CertFindCertificateInStore(store, 1, 0, kind, "nowhere")
    c.CertGetEnhancedKeyUsage(context)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    with bounded(20, 512), pytest.raises(WinError):
        c.CertOpenStore(8, 0, None, 0, path)


@pytest.mark.parametrize("place", ["/dev/zero", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, place):
    if place == "pipe":
        os.mkfifo(tmp_path / "pipe")
    path = {"/dev/zero": "/dev/zero", "folder": tmp_path, "pipe": tmp_path / "pipe"}[place]
    with bounded(), pytest.raises(WinError):
        c.CertOpenStore(8, 0, None, 0, path)


def test_base64_made_to_hurt_is_refused(tmp_path):
    path = tmp_path / "text"
    for content in (
        b"A" * 3_000_000,
        b"-----BEGIN X-----\n" * 50000,
        b" " * 3_000_000,
        base64.b64encode(bytes(2_000_000)),
    ):
        path.write_bytes(content)
        with bounded(10, 128):
            assert code_of(lambda: c.CertOpenStore(8, 0, None, 0, path))


@pytest.mark.parametrize("blob", [b"", b"x", bytes(27), struct.pack("<7I", *[0xFFFFFFFF] * 7),
                                  struct.pack("<7I", 28, 28, 1, 0, 0xFFFFFFFF, 28, 1), struct.pack("<7I", 28, 0, 1, 0, 0, 0, 1),
                                  struct.pack("<7I", 28, 28, 1, 0, 0, 0, 1) + b"a\0b\0"])  # fmt: skip
def test_a_damaged_key_link_is_no_danger(blob):
    _, context = put(element(ONE, {2: blob}))
    assert code_of(lambda: c.CertGetCertificateContextProperty(context, 2)) in {
        0,
        c.ERROR_INVALID_DATA,
        c.CRYPT_E_NOT_FOUND,
    }
    with local_system():
        assert code_of(lambda: c.CryptAcquireCertificatePrivateKey(context, 0x40))
        store = c.CertOpenSystemStore(None, "My")
        code_of(lambda: c.CertAddCertificateContextToStore(store, context, 4))
        assert isinstance(list(c.CertOpenSystemStore(None, "My")), list)
        assert c.CertFindCertificateInStore(c.CertOpenSystemStore(None, "My"), 1, 0, c.CERT_FIND_KEY_SPEC, 9) is None


@pytest.mark.parametrize("ident", [2, 11, 27, 90, 91, 104, 5, 6, 14, 99, 0x20000, 0xFFFFFFFF])
def test_records_of_the_wrong_form_are_read_without_harm(ident):
    for value in (b"", b"x", b"xyz", bytes(9)):
        blob = record(ident, value) + record(32, ONE)
        assert code_of(lambda blob=blob: put(blob)) in {0, c.E_INVALIDARG, c.ERROR_INVALID_DATA}
        with local_system():
            key = {f"Certificates\\{sha1(ONE).hex().upper()}": blob}
            code = code_of(lambda key=key: list(c.CertOpenStore(4, 0, None, 0, key)))
            assert code in {0, c.E_INVALIDARG, c.ERROR_INVALID_DATA}


@pytest.mark.parametrize("entry", ["Certificates", "Certificates\\", "Certificates\\xyz", "Other\\" + "00" * 20,
                                   "Certificates\\" + "zz" * 20, "certificates\\" + "00" * 20])  # fmt: skip
def test_odd_entries_of_a_registry_key_are_passed_over_or_read(entry):
    key = {entry: element(ONE), "Certificates\\" + sha1(TWO).hex().upper(): element(TWO)}
    assert TWO in [each.encoded for each in c.CertOpenStore(4, 0, None, 0, key)]
    damaged = {entry: b"garbage", "Certificates\\" + sha1(TWO).hex().upper(): element(TWO)}
    assert TWO in [each.encoded for each in c.CertOpenStore(4, 0, None, 0, damaged)]


def test_text_that_looks_like_sql_is_text():
    with local_system():
        store = c.CertOpenSystemStore(None, "My")
        evil = "'; DELETE FROM certificate; --"
        context = c.CertAddEncodedCertificateToStore(store, 1, certificate(evil, "'\" OR 1=1 --"), 4)
        c.CertSetCertificateContextProperty(context, 11, 0, evil)
        c.CertAddEncodedCertificateToStore(store, 1, ONE, 4)
        again = c.CertOpenSystemStore(None, "My")
        assert len(list(again)) == 2
        found = c.CertFindCertificateInStore(again, 1, 0, c.CERT_FIND_SUBJECT_STR, "%")
        assert found is None
        found = c.CertFindCertificateInStore(again, 1, 0, c.CERT_FIND_SUBJECT_STR, evil)
        assert c.CertGetCertificateContextProperty(found, 11) == evil


def test_a_file_object_that_misbehaves_is_a_windows_error():
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    for wrong in (Broken(), io.StringIO(), io.StringIO("text"), object(), 5, "path", b"bytes"):
        with pytest.raises(WinError):
            c.CertOpenStore(3, 0, None, 0, wrong)


@pytest.mark.parametrize("provider", [4, 5, 6, 10, 13, 14, 17, 8])
@pytest.mark.parametrize("wrong", [5, 1.5, object(), ["x"], ()])
def test_a_parameter_of_another_type_is_a_windows_error(provider, wrong):
    with local_system(), pytest.raises(WinError):
        c.CertOpenStore(provider, 0, None, CU if provider in {10, 13, 14} else 0, wrong)

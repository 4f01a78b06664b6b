from __future__ import annotations

import pytest
from commandline import CommandLine, issue, keys, pem
from cryptography import x509

from calais.resource.virtual import DEFAULT_READER


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def ada(calais):
    calais.card("ada")
    return calais


@pytest.fixture
def linked(ada):
    ada.ok("propagate")
    return ada


# --- propagate ---


def test_propagation_says_what_happened_to_each_certificate(ada):
    first = ada.json("propagate")
    assert [(row["reference"], row["action"]) for row in first["outcomes"]] == [
        ("9A", "added"),
        ("9C", "added"),
        ("9D", "added"),
    ]
    assert first["totals"] == {"added": 3}
    assert ada.json("propagate")["totals"] == {"unchanged": 3}
    page = ada.ok("propagate").out
    assert "ada 9A" in page
    assert "3 certificates: 3 unchanged." in page


def test_one_reader_only_may_be_propagated(ada):
    ada.card("bob", reader="Desk 1")
    outcomes = ada.json("propagate", "--reader", "desk")["outcomes"]
    assert {row["reader"] for row in outcomes} == {"Desk 1"}


def test_policy_that_forbids_propagation_is_exit_code_5(ada):
    (ada.virtual.directory.parent / "policy.toml").write_text("CertPropEnabled = 0\n")
    result = ada.run("propagate", "--json")
    assert (result.code, result.error["name"]) == (5, "E_ACCESSDENIED")


def test_a_wrong_policy_file_is_a_usage_error_that_names_it(ada):
    (ada.virtual.directory.parent / "policy.toml").write_text("piv.wrote = true\n")
    result = ada.run("propagate", "--json")
    assert result.code == 2
    assert "policy.toml" in result.error["detail"]


# --- cert list, show, export ---


def test_an_empty_store_says_how_to_fill_it(calais):
    assert calais.json("cert", "list") == {"store": "My", "certificates": []}
    assert "calais propagate" in calais.ok("cert", "list").out


def test_certificates_are_listed_with_their_links(linked):
    rows = linked.json("cert", "list")["certificates"]
    assert [row["index"] for row in rows] == [1, 2, 3]
    assert {row["name"] for row in rows} == {"ada 9A", "ada 9C", "ada 9D"}
    assert all(row["linked"] and row["reader"] == DEFAULT_READER for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["ada 9C"]["provider"] == "Microsoft Smart Card Key Storage Provider"
    assert by_name["ada 9A"]["provider"] == "Microsoft Base Smart Card Crypto Provider"
    assert by_name["ada 9A"]["container"].endswith("5fc105")
    assert "ada 9A" in linked.ok("cert", "list").out


@pytest.mark.parametrize("pick", ["index", "thumbprint", "subject", "windows"])
def test_a_certificate_is_named_by_number_thumbprint_or_subject(linked, pick):
    row = next(row for row in linked.json("cert", "list")["certificates"] if row["name"] == "ada 9C")
    spaced = " ".join(row["thumbprint"][at : at + 2].upper() for at in range(0, 40, 2))
    text = {"index": row["index"], "thumbprint": row["thumbprint"][:6], "subject": "ADA 9c", "windows": spaced}[pick]
    shown = linked.json("cert", "show", str(text))
    assert shown["certificate"]["thumbprint"] == row["thumbprint"]
    assert shown["certificate"]["key"] == "P-256"


def test_a_name_that_means_several_is_a_usage_error_that_lists_them(linked):
    result = linked.run("cert", "show", "ada", "--json")
    assert result.code == 2
    assert "ada 9A" in result.error["detail"]
    assert "ada 9D" in result.error["detail"]


@pytest.mark.parametrize("text", ["nobody", "9", "deadbeef"])
def test_a_certificate_that_is_not_there_is_exit_code_1(linked, text):
    result = linked.run("cert", "show", text, "--json")
    assert (result.code, result.error["name"]) == (1, "CRYPT_E_NOT_FOUND")


def test_everything_about_a_certificate_is_shown(linked):
    page = linked.ok("cert", "show", "ada 9A").out
    for word in ("CN=ada 9A", "SHA-256", "Container", "RSA-2048", "5fc105"):
        assert word in page


@pytest.mark.parametrize("form", ["pem", "der"])
def test_a_certificate_is_exported(linked, form):
    linked.ok("cert", "export", "ada 9A", "-o", "out", "--format", form)
    data = (linked.folder / "out").read_bytes()
    load = x509.load_pem_x509_certificate if form == "pem" else x509.load_der_x509_certificate
    assert load(data).subject.rfc4514_string() == "CN=ada 9A"


def test_without_a_file_pem_is_printed(linked):
    assert x509.load_pem_x509_certificate(linked.ok("cert", "export", "ada 9A").out.encode())
    assert linked.run("cert", "export", "ada 9A", "--format", "der").code == 2


def test_a_subject_full_of_escape_sequences_is_shown_harmless(calais):
    evil = "\x1b]0;owned\x07\x1b[2J\u202egnp.txt"
    calais.card("ada", keys={0x9A: (keys()["other"], issue(keys()["other"], evil))})
    calais.ok("propagate")
    pages = [
        calais.run(*words).out
        for words in (("cert", "list"), ("cert", "show", "1"), ("cert", "explain", "1"), ("scinfo",))
    ]
    for page in pages:
        assert "\x1b" not in page
        assert "\x07" not in page
        assert "\u202e" not in page
    assert "\\x1b" in pages[0]


# --- explain ---


def test_a_whole_link_is_explained_end_to_end(linked):
    found = linked.json("cert", "explain", "ada 9A")
    assert found["works"]
    assert [station["name"] for station in found["stations"]][:3] == ["store", "property", "provider"]
    assert found["stations"][-1]["shows"] != "never"
    assert "the link is whole" in linked.ok("cert", "explain", "ada 9A").out


def broken(calais, code, *, cert="ada 9A"):
    result = calais.run("cert", "explain", cert, "--json")
    assert result.code == 1
    assert not result.json["works"]
    (one,) = result.json["breaks"]
    assert one["code_name"] == code
    assert one["mend"] in calais.run("cert", "explain", cert).out
    assert one["cause"] == result.json["verdict"]
    return one["name"]


def test_a_pulled_card_is_explained(linked):
    linked.ok("virtual", "remove")
    assert broken(linked, "SCARD_E_NO_SMARTCARD") == "no_card"


def test_another_card_in_the_reader_is_explained(linked):
    linked.ok("virtual", "remove")
    linked.card("bob", keys={0x9A: (keys()["other"], issue(keys()["other"], "bob"))})
    assert broken(linked, "NTE_BAD_KEYSET") == "other_card"


def test_a_replaced_key_is_explained_and_propagation_mends_it(linked):
    replacement = linked.file("key.pem", private_pem(keys()["other"]) + pem(issue(keys()["other"], "ada new")))
    linked.ok("card", "import", "9A", replacement, "--default-management-key")
    assert broken(linked, "NTE_BAD_PUBLIC_KEY") == "key_mismatch"
    linked.ok("propagate")
    assert linked.json("cert", "explain", "ada new")["works"]


def test_a_renewed_certificate_is_explained_and_propagation_mends_it(linked):
    renewed = linked.file("new.pem", pem(issue(keys()["9A"], "ada renewed")))
    linked.ok("card", "put-cert", "9A", renewed, "--default-management-key")
    assert broken(linked, "CRYPT_E_NO_MATCH") == "certificate_replaced"
    linked.ok("propagate")
    assert linked.json("cert", "explain", "ada renewed")["works"]


def test_a_certificate_that_was_deleted_from_the_card_is_explained(linked):
    linked.ok("card", "delete", "9A", "--cert", "--default-management-key")
    found = linked.json("cert", "explain", "ada 9A")
    assert found["works"]
    shown = {station["name"]: station["shows"] for station in found["stations"]}
    assert "no certificate there" in shown["container"]


def test_a_blocked_pin_is_explained(linked):
    for _ in range(3):
        linked.run("pin", "verify", "--pin-file", linked.wrong_pin)
    assert broken(linked, "SCARD_W_CHV_BLOCKED") == "pin_blocked"


def test_names_that_change_each_time_are_explained_and_used_all_the_same(calais):
    calais.card("ada", chuid_guid=b"")
    calais.ok("propagate")
    assert broken(calais, "NTE_BAD_KEYSET") == "container_renamed"
    document = calais.file("doc", "text")
    calais.ok("sign", document, "--cert", "ada 9A", "--pin-file", calais.pin)
    calais.ok("verify", document, "doc.sig", "--cert", "ada 9A")


def private_pem(key):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

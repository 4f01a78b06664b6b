from __future__ import annotations

import subprocess

import pytest
from commandline import MANAGEMENT_KEY, PIN, CommandLine, issue, keys, pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
    pkcs7,
    pkcs12,
)

DEFAULT = "--default-management-key"


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    made = CommandLine(capfdbinary, tmp_path, monkeypatch)
    made.file("doc", b"The Analytical Engine\n")
    return made


@pytest.fixture
def ada(calais):
    calais.card("ada")
    calais.ok("propagate")
    return calais


@pytest.fixture
def empty(calais):
    calais.card("ada", keys={})
    return calais


# --- sign and verify ---


@pytest.mark.parametrize(
    "key", [("--cert", "ada 9A"), ("--cert", "ada 9C"), ("--container", "9A"), ("--container", "1"), ()]
)
@pytest.mark.parametrize("form", [("raw", "sig"), ("cms", "p7s")])
def test_a_signature_is_made_and_verified(ada, key, form):
    name, ending = form
    made = ada.json("sign", "doc", *key, "--format", name, "--pin-file", ada.pin)
    assert made["output"] == f"doc.{ending}"
    cert = made["thumbprint"][:8]
    assert ada.json("verify", "doc", f"doc.{ending}", "--cert", cert)["valid"] is True
    ada.file("doc", "forged")
    result = ada.run("verify", "doc", f"doc.{ending}", "--cert", cert, "--json")
    assert (result.code, result.json["valid"]) == (1, False)
    assert result.json["reason"]


@pytest.mark.parametrize(
    "options", [("--padding", "pss"), ("--hash", "sha512"), ("--hash", "sha384", "--padding", "pss")]
)
def test_the_advice_on_how_to_check_a_signature_works(ada, options):
    advice = ada.json("sign", "doc", "--cert", "ada 9A", *options, "--pin-file", ada.pin)["check"].split()
    assert advice[0] == "calais"
    assert "valid" in ada.ok(*advice[1:]).out


def test_the_pages_for_people_say_what_was_done(ada):
    assert "Signed doc into doc.sig" in ada.ok("sign", "doc", "--cert", "ada 9A", "--pin-file", ada.pin).out
    assert "The signature is valid" in ada.ok("verify", "doc", "doc.sig", "--cert", "ada 9A").out
    ada.file("doc", "forged")
    assert "NOT valid" in ada.run("verify", "doc", "doc.sig", "--cert", "ada 9A").out


def test_signatures_go_through_pipes(ada):
    made = ada.json("sign", "-", "--cert", "ada 9A", "--pin-file", ada.pin, stdin=b"piped")
    ada.file("sig", bytes.fromhex(made["signature"]))
    assert made["output"] is None
    ada.ok("verify", "-", "sig", "--cert", "ada 9A", stdin=b"piped")
    assert len(ada.ok("sign", "-", "--cert", "ada 9C", "--pin-file", ada.pin, stdin=b"piped").out) > 60
    assert ada.run("sign", "-", "--pin-stdin", stdin=b"piped").code == 2


@pytest.mark.requires("openssl", package="openssl")
def test_openssl_verifies_what_the_card_signed(ada):
    ada.ok("cert", "export", "ada 9A", "-o", "cert.pem")
    ada.ok("sign", "doc", "--cert", "ada 9A", "--pin-file", ada.pin)
    ada.ok("sign", "doc", "--cert", "ada 9A", "--format", "cms", "--pin-file", ada.pin)
    key = subprocess.run(
        ["openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey"], check=True, capture_output=True
    ).stdout
    ada.file("key.pem", key)
    raw = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "doc.sig", "doc"]
    cms = ["openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", "doc.p7s", "-content", "doc"]
    for command in (raw, cms):
        subprocess.run(command, check=True, capture_output=True)


def test_a_cms_signature_brings_its_certificate_and_a_bare_one_does_not(ada):
    ada.ok("sign", "doc", "--cert", "ada 9C", "--format", "cms", "--pin-file", ada.pin)
    assert ada.json("verify", "doc", "doc.p7s")["subject"] == "CN=ada 9C"
    ada.ok("sign", "doc", "--cert", "ada 9C", "--pin-file", ada.pin)
    assert ada.run("verify", "doc", "doc.sig").code == 2
    ada.file("cert.pem", pem(issue(keys()["9C"])))
    assert ada.json("verify", "doc", "doc.sig", "--cert-file", "cert.pem")["valid"] is True


def test_a_wrong_pin_is_presented_once_and_nothing_is_written(ada):
    result = ada.run("sign", "doc", "--cert", "ada 9A", "--pin-file", ada.wrong_pin, "--json")
    assert (result.code, result.error["attempts_left"]) == (4, 2)
    assert not (ada.folder / "doc.sig").exists()
    assert ada.json("pin", "status")["pins"][0]["attempts_left"] == 2


def test_without_pin_and_terminal_the_card_is_not_bothered(ada):
    result = ada.run("sign", "doc", "--cert", "ada 9A", "--json")
    assert (result.code, result.error["name"]) == (4, "NTE_SILENT_CONTEXT")
    assert "--pin-file" in result.error["next_step"]


def test_a_link_whose_card_is_gone_says_so(ada):
    ada.ok("virtual", "remove")
    result = ada.run("sign", "doc", "--cert", "ada 9A", "--pin-file", ada.pin, "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_NO_SMARTCARD")
    ada.ok("virtual", "insert", "ada", "--reader", "Another Reader")
    ada.ok("sign", "doc", "--cert", "ada 9A", "--pin-file", ada.pin)


@pytest.mark.parametrize("words", [("--container", "9E"), ("--container", "95"), ("--cert", "nobody")])
def test_a_key_that_is_not_there_is_exit_code_1(ada, words):
    assert ada.run("sign", "doc", *words, "--pin-file", ada.pin).code == 1


def test_two_ways_to_name_a_key_exclude_each_other(ada):
    assert ada.run("sign", "doc", "--cert", "1", "--container", "9A").code == 2
    assert ada.run("verify", "doc", "doc", "--cert", "1", "--cert-file", "doc").code == 2


def test_a_file_that_is_not_there_is_a_usage_error(ada):
    assert ada.run("sign", "nothing").code == 2
    assert ada.run("sign", "doc", "-o", "no/such/folder/sig", "--pin-file", ada.pin).code == 6


# --- decrypt ---


@pytest.mark.parametrize("how", ["pkcs1", "oaep"])
def test_a_block_is_decrypted_and_written_for_this_user_only(ada, how):
    scheme = (
        padding.PKCS1v15() if how == "pkcs1" else padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    ada.file("block", keys()["9D"].public_key().encrypt(b"secret", scheme))
    ada.ok("decrypt", "block", "--cert", "ada 9D", "--padding", how, "-o", "plain", "--pin-file", ada.pin)
    assert (ada.folder / "plain").read_bytes() == b"secret"
    assert (ada.folder / "plain").stat().st_mode & 0o077 == 0


def test_an_enveloped_file_is_decrypted_to_the_standard_output(ada):
    certificate = x509.load_pem_x509_certificate(ada.ok("cert", "export", "ada 9D").out.encode())
    message = pkcs7.PKCS7EnvelopeBuilder().set_data(b"secret").add_recipient(certificate)
    ada.file("mail.p7m", message.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary]))
    result = ada.ok("decrypt", "mail.p7m", "--format", "cms", "--cert", "ada 9D", "-o", "-", "--pin-file", ada.pin)
    assert result.out == "secret"


@pytest.mark.parametrize("content", [b"", b"short", bytes(256)])
def test_what_is_no_ciphertext_is_refused(ada, content):
    ada.file("block", content)
    assert ada.run("decrypt", "block", "--cert", "ada 9D", "-o", "plain", "--pin-file", ada.pin).code in (2, 3)
    assert not (ada.folder / "plain").exists()


# --- card generate, import, put-cert, delete ---


@pytest.mark.parametrize("algorithm", ["P256", "p384", "RSA2048", "ED25519"])
def test_a_key_is_made_with_a_request_that_its_key_signed(empty, algorithm):
    words = ("card", "generate", "9a", "--algorithm", algorithm, "--csr", "--subject", "Ada Lovelace", DEFAULT)
    made = empty.json(*words, "-o", "request.pem", "--pin-file", empty.pin)
    request = x509.load_pem_x509_csr((empty.folder / "request.pem").read_bytes())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=Ada Lovelace"
    assert made["slot"] == "9A"
    answer = issue(load_pem_public_key(made["public_key"].encode()) and request, "Ada Lovelace")
    empty.file("cert.pem", pem(answer))
    empty.ok("card", "put-cert", "9A", "cert.pem", DEFAULT)
    assert empty.json("propagate")["totals"] == {"added": 1}
    empty.ok("sign", "doc", "--cert", "Ada", "--pin-file", empty.pin)
    empty.ok("verify", "doc", "doc.sig", "--cert", "Ada")


def test_a_newcomer_gets_from_an_empty_card_to_a_signature(empty):
    words = ("--self-signed", "--subject", "CN=Ada,O=Home", DEFAULT, "--pin-file", empty.pin)
    page = empty.ok("card", "generate", "9C", *words).out
    assert "Next: calais propagate" in page
    empty.ok("propagate")
    empty.ok("sign", "doc", "--cert", "Ada", "--pin-file", empty.pin)
    empty.ok("verify", "doc", "doc.sig", "--cert", "Ada")


def test_the_public_key_is_printed_when_nothing_else_is_asked_for(empty):
    page = empty.ok("card", "generate", "82", "--algorithm", "X25519", DEFAULT).out
    start = page.index("-----BEGIN")
    assert isinstance(load_pem_public_key(page[start:].encode()), x25519.X25519PublicKey)


def test_both_secrets_may_come_from_the_standard_input(empty):
    words = ("card", "generate", "9A", "--csr", "--subject", "Ada", "--management-key-stdin", "--pin-stdin")
    empty.ok(*words, stdin=f"{MANAGEMENT_KEY}\n{PIN}\n".encode())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("9A", "--csr", DEFAULT), 2),
        (("9A", "--csr", "--self-signed", "--subject", "x", DEFAULT), 2),
        (("9A", "--csr", "--subject", "CN=", "--algorithm", "x", DEFAULT), 2),
        (("9F", DEFAULT), 2),
        (("9B", DEFAULT), 2),
        (("9A",), 4),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_card_is_touched(empty, words, code):
    before = empty.virtual.path("ada").read_bytes()
    assert empty.run("card", "generate", *words).code == code
    assert empty.virtual.path("ada").read_bytes() == before


@pytest.mark.parametrize(("content", "code"), [("00" * 24, 4), ("xyz", 2), ("0011", 2), ("", 2)])
def test_a_wrong_management_key_changes_nothing(empty, content, code):
    path = empty.file("key", content)
    before = empty.virtual.path("ada").read_bytes()
    assert empty.run("card", "generate", "9A", "--management-key-file", path).code == code
    assert empty.virtual.path("ada").read_bytes() == before


def bundle(form, password=None):
    key, certificate = keys()["other"], issue(keys()["other"], "Imported")
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    if form == "p12":
        return pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, lock)
    if form == "der":
        return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, lock)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock) + pem(certificate)


@pytest.mark.parametrize("form", ["pem", "der", "p12"])
def test_a_key_is_imported_with_its_certificate(empty, form):
    empty.file("key", bundle(form))
    made = empty.json("card", "import", "9D", "key", DEFAULT)
    assert made["certificate"] is (form != "der")
    if form != "der":
        empty.ok("propagate")
        empty.ok("sign", "doc", "--cert", "Imported", "--pin-file", empty.pin)
        empty.ok("verify", "doc", "doc.sig", "--cert", "Imported")


@pytest.mark.parametrize("form", ["pem", "p12"])
def test_a_locked_file_wants_its_password(empty, form):
    empty.file("key", bundle(form, b"open sesame"))
    result = empty.run("card", "import", "9D", "key", DEFAULT, "--json")
    assert result.code == 3
    assert "--password-file" in result.error["next_step"]
    empty.ok("card", "import", "9D", "key", DEFAULT, "--password-file", empty.file("password", "open sesame\n"))


def test_a_certificate_of_another_key_is_refused_unless_forced(ada):
    ada.file("other.pem", pem(issue(keys()["other"])))
    result = ada.run("card", "put-cert", "9A", "other.pem", DEFAULT, "--json")
    assert (result.code, result.error["name"]) == (3, "NTE_BAD_PUBLIC_KEY")
    ada.ok("card", "put-cert", "9A", "other.pem", DEFAULT, "--force")


def test_certificates_and_keys_are_deleted_when_confirmed(ada):
    ada.ok("card", "delete", "9A", "--cert", DEFAULT)
    assert [row["reference"] for row in ada.json("key", "list")["cards"][0]["containers"]] == ["9C", "9D"]
    assert ada.run("card", "delete", "9A", "--key", DEFAULT).code == 2
    assert ada.run("card", "delete", "9A", DEFAULT).code == 2
    ada.ok("card", "delete", "9A", "--key", "--yes", DEFAULT)
    ada.ok("card", "delete", "9C", "--key", "--cert", "--yes", DEFAULT)
    rows = ada.json("key", "list", "--all")["cards"][0]["containers"]
    assert [row["reference"] for row in rows] == ["9D"]


@pytest.mark.parametrize("words", [("generate", "9A"), ("put-cert", "9A", "c.pem"), ("delete", "9A", "--cert")])
def test_policy_that_makes_cards_read_only_is_exit_code_5(ada, words):
    ada.file("c.pem", pem(issue(keys()["9A"])))
    (ada.virtual.directory.parent / "policy.toml").write_text("[piv]\nwrite = false\n")
    result = ada.run("card", *words, DEFAULT, "--json")
    assert (result.code, result.error["name"]) == (5, "E_ACCESSDENIED")
    assert "piv.write" in result.error["detail"]


def test_a_card_without_management_key_says_so(calais):
    calais.card("ada", keys={}, read_only=True)
    assert calais.run("card", "generate", "9A", DEFAULT).code in (3, 4)

"""Stale certificates: OpenSC with its file cache shows the old one after another program renewed it; ours the new one.

Both look at one card behind one pcscd, in the same run. What is shown here of OpenSC is what its documentation warns of.
"""

from __future__ import annotations

import json
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from foreign import PIN, PRIVATE_PCSCD, certificate_in, library
from gidsdesk import certificate

from calais.apps import cardadmin
from calais.resource.real import RealReaders
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import FixedPrompt, virtual_gids, virtual_piv

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("pkcs15-tool", package="opensc"),
    pytest.mark.requires("/usr/lib/*/opensc-pkcs11.so", package="opensc-pkcs11"),
    pytest.mark.requires("yubico-piv-tool", package="yubico-piv-tool"),
]
MODULE = "/usr/lib/*/opensc-pkcs11.so"
CONFIGURATION = """
app default {{
    framework pkcs15 {{
        use_file_caching = public;
        file_cache_dir = "{folder}";
    }}
}}
"""


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def readers(stage):
    """The readers of the stage's pcscd."""
    with stage.pcscd.context() as context:
        return RealReaders(context.library)


@pytest.fixture
def ours(stage, readers):
    """A system of ours, which stays open and remembers."""
    stores, saved = SystemStores(MemoryDatabase()), stage.folder / "saved"
    with System(stores, sources=[readers], prompt=FixedPrompt(PIN), cache=saved) as system:
        yield system


def configured(stage):
    folder = stage.folder / "opensc-cache"
    folder.mkdir()
    return {"OPENSC_CONF": str(stage.file("opensc.conf", CONFIGURATION.format(folder=folder).encode()))}


def by_opensc(stage, options, number="01"):
    """The certificate as OpenSC shows it, read through its cache."""
    return certificate_in(stage.run("pkcs15-tool", "--read-certificate", number, **options))


def by_pkcs11(stage, options, number="01"):
    command = ("pkcs11-tool", "--module", library(MODULE), "--read-object", "--type", "cert", "--id", number)
    stage.run(*command, "--output-file", "shown.der", **options)
    return x509.load_der_x509_certificate((stage.folder / "shown.der").read_bytes())


def by_ours(system, number=0):
    return x509.load_der_x509_certificate(system.card().containers[number].certificate)


def by_our_command(stage):
    """As a process of our own sees it, which restores what an earlier one saved."""
    home = str(stage.folder / "home")
    stage.done(sys.executable, "-m", "calais", "propagate", "--json", CALAIS_HOME=home)
    listed = stage.done(sys.executable, "-m", "calais", "cert", "list", "--json", CALAIS_HOME=home)
    return {row["thumbprint"] for row in json.loads(listed.stdout)["certificates"]}


def sha1(certificate):
    return certificate.fingerprint(hashes.SHA1()).hex()


class TestPiv:
    @pytest.fixture
    def stage(self, stage_with, key):
        return stage_with(virtual_piv(keys={0x9A: (key, certificate(key, "old"))}))

    def test_after_a_renewal_by_yubicos_tool_theirs_is_old_and_ours_is_new(self, stage, ours, key):
        options = configured(stage)
        old = by_opensc(stage, options)
        assert by_ours(ours) == old == by_pkcs11(stage, options)
        assert by_our_command(stage) == {sha1(old)}

        new = certificate(key, "new")
        stage.file("new.pem", new.public_bytes(Encoding.PEM))
        stage.text("yubico-piv-tool", "-a", "import-certificate", "-s", "9a", "-i", "new.pem")

        assert by_opensc(stage, options) == old, "OpenSC's cache is never asked whether it is true"
        assert by_pkcs11(stage, options) == old
        assert by_ours(ours) == new
        assert sha1(new) in by_our_command(stage)


class TestGids:
    @pytest.fixture
    def stage(self, stage_with, key):
        return stage_with(virtual_gids(keys=[("one", 3, key, certificate(key, "old"))]))

    def test_after_a_renewal_by_us_with_its_counter_theirs_is_old_and_ours_is_new(self, stage, readers, ours, key):
        options = configured(stage)
        old = by_opensc(stage, options, "00")
        assert by_ours(ours) == old
        assert by_our_command(stage) == {sha1(old)}

        new = certificate(key, "new")
        with System(SystemStores(MemoryDatabase()), sources=[readers], prompt=FixedPrompt(PIN)) as another:
            held = another.card()
            cardadmin.put_certificate(held, held.holder("renew"), 0, new.public_bytes(Encoding.DER))

        assert by_opensc(stage, options, "00") == old, "although cardcf has moved"
        assert by_ours(ours) == new
        assert sha1(new) in by_our_command(stage)

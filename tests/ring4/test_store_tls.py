"""A store on a server that is only believed when it proves its name."""

import datetime as dt

import certs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from postgres import NEEDED, PASSWORD, PostgresServer

from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase
from calais.win.codes import Code
from calais.win.errors import WinError

pytestmark = NEEDED
A = certs.make("Alice")


def authority():
    """The PEM of a certificate for localhost that signs itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = certs.name("localhost"), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    certificate, key = authority()
    root = tmp_path_factory.mktemp("tls") / "root.pem"
    root.write_bytes(certificate)
    server = PostgresServer((certificate, key))
    server.url()
    yield server, root
    server.stop()


def address(server, host, root):
    query = f"sslmode=verify-full&sslrootcert={root}&hostaddr=127.0.0.1"
    return f"postgresql://admin:{PASSWORD}@{host}:{server.port}/calais?{query}"


def test_a_server_that_proves_its_name_is_used_and_every_byte_is_enciphered(server):
    postgres, root = server
    database = SqlDatabase(address(postgres, "localhost", root))
    CertificateStore.open(SystemStores(database)).add(A)
    seen = postgres.run(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'calais'"
    )
    database.close()
    assert seen
    assert all(ssl for (ssl,) in seen)


def test_a_server_under_another_name_or_of_another_authority_is_not_believed(server, tmp_path):
    postgres, root = server
    other = tmp_path / "other.pem"
    other.write_bytes(authority()[0])
    for wrong in (address(postgres, "db.example.org", root), address(postgres, "localhost", other)):
        with pytest.raises(WinError) as caught:
            SqlDatabase(wrong)
        assert caught.value.code == Code.ERROR_DATABASE_FAILURE
        assert PASSWORD not in str(caught.value.__cause__)

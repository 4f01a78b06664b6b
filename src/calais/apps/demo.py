"""The story a newcomer should see, told by really doing it: a virtual card, its keys, and what Windows makes of them.

Everything happens in a directory that is gone afterwards; real readers, cards and stores are never looked at.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from calais.apps import cardadmin
from calais.apps.certificates import key_name, load_certificate
from calais.apps.choosing import container_of, open_key
from calais.apps.filesign import sign_raw, verify_raw
from calais.cards.piv import spec
from calais.cards.piv.personalise import new_card
from calais.minidriver.administration import KeyOrder
from calais.minidriver.pins import Pin
from calais.provider.card import Admin, Card
from calais.provider.prompt import PinRequest
from calais.resource.virtual import VirtualReaders
from calais.store.database import open_database
from calais.store.locations import SystemStores
from calais.store.model import CertificateContext
from calais.store.objects import Certificate
from calais.system import System
from calais.transport.base import Exchange
from calais.win.codes import Code
from calais.win.errors import WinError

CARD = "ada"
PIN = Pin(spec.DEFAULT_PIN)
READER, OTHER_READER = "Virtual Reader 0", "Virtual Reader 1"
KEYS = (("9A", "RSA2048"), ("9C", "P256"))
DOCUMENT = b"The Analytical Engine weaves algebraic patterns.\n"
OWNER = x509.Name.from_rfc4514_string("CN=Ada Lovelace,O=Calais Demo")
AUTHORITY = x509.Name.from_rfc4514_string("CN=Demo Authority,O=Calais Demo")


@dataclass
class Step:
    """One step of the story, as it went.

    ``facts``: names and values worth seeing; ``exchanges``, ``bytes_out``, ``bytes_in``: APDUs with the card;
    ``pins``: how often the PIN was asked for; ``seconds``: how long it took.
    """

    title: str
    what: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    exchanges: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    pins: int = 0
    seconds: float = 0.0

    def see(self, exchange: Exchange) -> None:
        """Count one exchange."""
        self.exchanges += 1
        self.bytes_out += len(exchange.command)
        self.bytes_in += len(exchange.response)


Report = Callable[[Step], None]


def tell(report: Report) -> list[Step]:
    """Do it all; every step is reported when it is done.

    Args:
        report: called with each step, in order.

    Raises:
        WinError: something does not work that always should.
    """
    with tempfile.TemporaryDirectory(prefix="calais-demo-") as home, _Story(Path(home), report) as story:
        story.tell()
        return story.steps


class _Story:
    """The persons of the story: one system, one card, one authority."""

    def __init__(self, home: Path, report: Report) -> None:
        self.steps: list[Step] = []
        self._report = report
        self._step = Step("", "")
        self._system = System(
            SystemStores(open_database(str(home / "store.db"))),
            prompt=self,
            virtual=VirtualReaders(home / "virtual"),
            watchers=(lambda _: self._see,),
        )
        self._authority = ec.generate_private_key(ec.SECP256R1())
        self._now = self._system.clock.now()

    def _see(self, exchange: Exchange) -> None:
        self._step.see(exchange)

    def __enter__(self) -> Self:
        self._system.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._system.__exit__(*error)

    def ask(self, request: PinRequest) -> Pin | None:
        """The holder of the card types the PIN; nobody types a refused one again."""
        self._step.pins += 1
        return None if request.retry else PIN

    @contextmanager
    def _telling(self, title: str, what: str) -> Iterator[Step]:
        step = self._step = Step(title, what)
        start = time.monotonic()
        yield step
        step.seconds = round(time.monotonic() - start, 3)
        self.steps.append(step)
        self._report(step)

    def tell(self) -> None:
        """All steps."""
        card = self._make_card()
        self._make_keys(card)
        self._certify(card)
        self._propagate()
        self._sign("A signature", "A program takes a certificate from the store; its link finds the key on the card.")
        self._pull()
        self._return()

    def _make_card(self) -> Card:
        what = "A PIV card in a file, put into a virtual reader. Calais reads who it is."
        with self._telling("A card", what) as step:
            shared = self._system.virtual
            if shared is None:
                raise WinError(Code.SCARD_F_INTERNAL_ERROR, "the demonstration has no virtual readers")
            shared.new(CARD, lambda memory: new_card(memory, os.urandom, keys={}, now=self._now))
            shared.insert(CARD, READER)
            card = self._system.card(READER)
            step.facts = [("card", card.label), ("driver", card.name), ("reader", READER)]
            return card

    def _make_keys(self, card: Card) -> None:
        what = "The card makes its own keys. They can be used, and never read."
        with self._telling("Two keys", what) as step:
            for slot, algorithm in KEYS:
                index = cardadmin.place(card, slot)
                made = cardadmin.make_key(card, _issuer(card), index, KeyOrder(algorithm=algorithm))
                step.facts.append((slot, f"{key_name(made.public_key)}, {made.label}"))

    def _certify(self, card: Card) -> None:
        what = "Each key signs a request; an authority, made on the spot, answers with a certificate for the card."
        with self._telling("Two certificates", what) as step:
            for slot, _ in KEYS:
                index = cardadmin.existing_place(card, slot)
                request = cardadmin.make_request(cardadmin.container_at(card, index), OWNER)
                der = self._issue(x509.load_pem_x509_csr(request))
                cardadmin.put_certificate(card, _issuer(card), index, der)
                step.facts.append((slot, f"{OWNER.rfc4514_string()}, {len(der)} bytes"))

    def _issue(self, request: x509.CertificateSigningRequest) -> bytes:
        if not request.is_signature_valid:
            raise WinError(Code.NTE_BAD_SIGNATURE, "the request is not signed by its key")
        made = certificate_for(request, AUTHORITY, self._authority, self._now)
        return made.public_bytes(Encoding.DER)

    def _propagate(self) -> None:
        what = "The certificates go into the user's store, each with a link: provider, container, key."
        with self._telling("The certificate store", what) as step:
            for outcome in self._system.propagate():
                step.facts.append((outcome.reference, f"{outcome.action}, linked to container {outcome.container}"))
                step.facts.append(("", f"through {_provider(outcome.certificate)}"))

    def _certificates(self) -> list[Certificate]:
        with self._system.store() as store:
            return sorted(store, key=lambda certificate: str(certificate.key_prov_info))

    def _sign(self, title: str, what: str) -> None:
        with self._telling(title, what) as step:
            for certificate in self._certificates():
                step.facts.append(self._signed(certificate))

    def _signed(self, certificate: Certificate) -> tuple[str, str]:
        with open_key(self._system, certificate) as opened:
            made, reference = sign_raw(opened.key, BytesIO(DOCUMENT), "sha256"), container_of(opened).entry.reference
        public = load_certificate(certificate.der).public_key()
        verify_raw(public, BytesIO(DOCUMENT), made, "sha256")
        return reference, f"{len(made)} bytes, verified with the certificate"

    def _pull(self) -> None:
        what = (
            "The card is pulled. The store still knows its certificates; their keys are out of reach, and it says so."
        )
        with self._telling("The card is gone", what) as step:
            self._system.remove(READER)
            for certificate in self._certificates():
                try:
                    self._signed(certificate)
                except WinError as error:
                    step.facts.append((error.name, error.detail))

    def _return(self) -> None:
        what = (
            f"The same card, in another reader ({OTHER_READER}): the links find it there. Nothing was installed again."
        )
        with self._telling("The card is back", what) as step:
            self._system.insert(CARD, OTHER_READER)
            for certificate in self._certificates():
                step.facts.append(self._signed(certificate))


def _issuer(card: Card) -> Admin:
    """Who fills the card: the holder of the factory's management key."""
    return card.admin(spec.DEFAULT_MANAGEMENT_KEY)


def _provider(context: CertificateContext | None) -> str:
    link = Certificate(context).key_prov_info if context else None
    return link.prov_name if link else "no provider"


def certificate_for(
    request: x509.CertificateSigningRequest, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """What a small authority answers: a certificate of one year for the subject and key of ``request``."""
    return (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

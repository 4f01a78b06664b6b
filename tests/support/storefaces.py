"""What tests of the faces of stores share."""

from __future__ import annotations

import certs
import pytest

from calais.win.errors import WinError
from calais.winapi import crypt32 as face

A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))


def add(store, der, disposition=face.CERT_STORE_ADD_ALWAYS):
    """Add a certificate and keep no context."""
    face.CertFreeCertificateContext(face.CertAddEncodedCertificateToStore(store, 1, der, disposition))


def memory(*ders):
    store = face.CertOpenStore(face.CERT_STORE_PROV_MEMORY)
    for der in ders:
        add(store, der)
    return store


def ders(store):
    return [context.encoded for context in store]


def crls_of(store):
    found, context = [], face.CertEnumCRLsInStore(store)
    while context is not None:
        found.append(context.encoded)
        context = face.CertEnumCRLsInStore(store, context)
    return found


def code_of(call, *args, **more):
    """The code of the error that a call ends with."""
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code

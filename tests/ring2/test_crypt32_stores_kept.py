"""Stores that are written at commit: two programs with one key or file, against a model of who changed what.

Each program has certificates of its own and may do with them what it likes. After both have committed and read
again, both and a newcomer see the same: for each certificate what its owner did last.
"""

import io
import itertools

import certs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.win.errors import NotFound
from calais.winapi import crypt32 as face

OWNED = {owner: [certs.make(f"{owner} {number}") for number in range(2)] for owner in ("first", "second")}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(OWNED)),
        st.sampled_from(["add", "delete", "name", "unname", "commit", "resync"]),
        st.integers(0, 1),
    ),
    max_size=24,
)
COUNTER = itertools.count()


def opened(kind, place):
    if kind == "key":
        return face.CertOpenStore(face.CERT_STORE_PROV_REG, pvPara=place)
    flags = face.CERT_FILE_STORE_COMMIT_ENABLE_FLAG
    return face.CertOpenStore(face.CERT_STORE_PROV_FILENAME, dwFlags=flags, pvPara=place)


def found(store, der):
    context = face.CertCreateCertificateContext(1, der)
    return face.CertFindCertificateInStore(store, 1, 0, face.CERT_FIND_EXISTING, context)


def shown(store):
    """Certificates with their names."""
    seen = {}
    for context in store:
        try:
            seen[context.encoded] = face.CertGetCertificateContextProperty(context, face.CERT_FRIENDLY_NAME_PROP_ID)
        except NotFound:
            seen[context.encoded] = ""
    return seen


def add(store, der, model):
    face.CertAddEncodedCertificateToStore(store, 1, der, face.CERT_STORE_ADD_REPLACE_EXISTING)
    model[der] = ""


def delete(store, der, model):
    context = found(store, der)
    if context is not None:
        face.CertDeleteCertificateFromStore(context)
        del model[der]


def name(store, der, model):
    context = found(store, der)
    if context is not None:
        model[der] = f"name {next(COUNTER)}"
        face.CertSetCertificateContextProperty(context, face.CERT_FRIENDLY_NAME_PROP_ID, 0, model[der])


def unname(store, der, model):
    context = found(store, der)
    if context is not None:
        model[der] = ""
        face.CertSetCertificateContextProperty(context, face.CERT_FRIENDLY_NAME_PROP_ID, 0, None)


def commit(store, _der, _model):
    face.CertControlStore(store, 0, face.CERT_STORE_CTRL_COMMIT)


def resync(store, _der, _model):
    face.CertControlStore(store, 0, face.CERT_STORE_CTRL_RESYNC)


DO = {each.__name__: each for each in (add, delete, name, unname, commit, resync)}


@pytest.mark.parametrize("kind", ["key", "file"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_nobody_s_changes_are_lost(kind, steps, tmp_path_factory):
    place = {} if kind == "key" else tmp_path_factory.mktemp("kept") / "store"
    stores = {owner: opened(kind, place) for owner in OWNED}
    model = {}
    for owner, step, number in steps:
        DO[step](stores[owner], OWNED[owner][number], model)
    for store in stores.values():
        commit(store, None, None)
    for store in stores.values():
        resync(store, None, None)
    assert [shown(store) for store in (*stores.values(), opened(kind, place))] == [model] * 3
    for store in stores.values():
        store.close()
    assert shown(opened(kind, place)) == model


def test_a_file_object_holds_what_its_store_held():
    file = io.BytesIO()
    for der in itertools.chain(*OWNED.values()):
        store = face.CertOpenStore(face.CERT_STORE_PROV_FILE, 0, None, face.CERT_FILE_STORE_COMMIT_ENABLE_FLAG, file)
        add(store, der, {})
        store.close()
    assert len(shown(face.CertOpenStore(face.CERT_STORE_PROV_FILE, pvPara=file))) == 4

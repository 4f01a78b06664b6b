"""A program of its own that changes a store: ``python storechanger.py HOME NAME < certificate``.

It opens the store, writes a line, and adds the certificate when it is told to.
"""

from __future__ import annotations

import sys

from calais.testing import local_system
from calais.winapi.crypt32 import CERT_STORE_ADD_NEW, CertAddEncodedCertificateToStore, CertOpenSystemStore


def main(home: str, name: str) -> None:
    der = bytes.fromhex(sys.stdin.readline())
    with local_system(home), CertOpenSystemStore(None, name) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        CertAddEncodedCertificateToStore(store, 1, der, CERT_STORE_ADD_NEW)
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

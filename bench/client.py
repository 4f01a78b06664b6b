"""One client program of a card, as a process of its own: ours, or a PKCS#11 module.

    python -m bench.client [--wait] calais list [again]|sign SLOT COUNT
    python -m bench.client [--wait] /path/to/module.so list [again]|sign SLOT COUNT

With ``--wait`` each thing is done when a line has come on the standard input.

``PCSCLITE_CSOCK_NAME`` says which pcscd; the PIN of the virtual cards is no secret.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

PIN = "123456"
DIGEST = bytes(range(32))
DIGEST_INFO_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
PKCS11_ID = {"9A": 1, "9C": 2, "9D": 3, "9E": 4, "81": 0}


def main(first: str, *words: str) -> None:
    """Do it; what it cost is counted at the card."""
    if first == "--wait":
        first, *words = words
        do(first, *words, ready=sys.stdin.readline)
    else:
        do(first, *words)


def do(program: str, verb: str, slot: str = "", count: str = "0", ready: Callable[[], object] = str) -> None:
    """Do it once, or a listing again; ``ready`` returns when it is time."""
    ready()
    client = CalaisClient() if program == "calais" else Pkcs11Client(program)
    if verb == "sign":
        client.sign(slot, int(count))
        print(int(count > "0"))
        return
    print(len(client.certificates()), flush=True)
    if slot == "again":
        ready()
        print(len(client.again().certificates()))


class CalaisClient:
    """Our own stack."""

    def __init__(self) -> None:
        from calais.system import System
        from calais.testing import FixedPrompt

        self.card = System.local(prompt=FixedPrompt(PIN)).card()

    def certificates(self) -> list[bytes]:
        return [found.certificate for found in self.card.containers if found.certificate]

    def again(self) -> CalaisClient:
        """The card was taken out and put back; the same object works again."""
        return self

    def sign(self, slot: str, count: int) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

        key = self.card.containers.find(slot).key
        digest = utils.Prehashed(hashes.SHA256())
        for _ in range(count):
            if isinstance(key, rsa.RSAPrivateKey):
                key.sign(DIGEST, padding.PKCS1v15(), digest)
            else:
                key.sign(DIGEST, ec.ECDSA(digest))


class Pkcs11Client:
    """A PKCS#11 module through PyKCS11."""

    def __init__(self, module: str) -> None:
        import PyKCS11

        self.p11 = PyKCS11
        self.library = PyKCS11.PyKCS11Lib()
        self.library.load(module)
        self.again()

    def again(self) -> Pkcs11Client:
        """A session with the card that is there now."""
        self.session = self.library.openSession(self.library.getSlotList(tokenPresent=True)[0])
        return self

    def certificates(self) -> list[bytes]:
        found = self.session.findObjects([(self.p11.CKA_CLASS, self.p11.CKO_CERTIFICATE)])
        return [bytes(self.session.getAttributeValue(item, [self.p11.CKA_VALUE])[0]) for item in found]

    def sign(self, slot: str, count: int) -> None:
        self.session.login(PIN)
        wanted = [(self.p11.CKA_CLASS, self.p11.CKO_PRIVATE_KEY), (self.p11.CKA_ID, (PKCS11_ID[slot],))]
        key = self.session.findObjects(wanted)[0]
        is_rsa = self.session.getAttributeValue(key, [self.p11.CKA_KEY_TYPE])[0] == self.p11.CKK_RSA
        always = bool(self.session.getAttributeValue(key, [self.p11.CKA_ALWAYS_AUTHENTICATE])[0])
        mechanism = self.p11.Mechanism(self.p11.CKM_RSA_PKCS if is_rsa else self.p11.CKM_ECDSA)
        data = DIGEST_INFO_SHA256 + DIGEST if is_rsa else DIGEST
        for _ in range(count):
            self._sign(key, data, mechanism, always=always)

    def _sign(self, key: object, data: bytes, mechanism: object, *, always: bool) -> None:
        if not always:
            self.session.sign(key, data, mechanism)
            return
        native, out = mechanism.to_native(), self.p11.ckbytelist()
        self._check(self.session.lib.C_SignInit(self.session.session, native, key))
        self.session.login(PIN, self.p11.CKU_CONTEXT_SPECIFIC)
        for _ask_length_then_sign in range(2):
            self._check(self.session.lib.C_Sign(self.session.session, self.p11.ckbytelist(data), out))

    def _check(self, rv: int) -> None:
        if rv:
            raise self.p11.PyKCS11Error(rv)


if __name__ == "__main__":
    main(*sys.argv[1:])

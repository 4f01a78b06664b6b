"""A process of its own that drives the card in a PC/SC reader through the card minidriver interface.

    python cardprocess.py READER     requests and answers are lines of JSON on the standard streams

``CardProcess`` is its other end. Nothing but what a request carries comes from one process to another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

USER, USER_SET = 1, 2  # ROLE_USER, and its PIN_SET
EC_SIGNATURE_KEY = 3  # AT_ECDSA_P256
NEW_PIN = b"654321"


def main(reader: str) -> None:
    from calais.cards.modules import CardModules
    from calais.cards.registry import identify
    from calais.minidriver.data import CardData
    from calais.minidriver.memo import CardMemo
    from calais.transport.base import Channel
    from calais.transport.pcsc import PcscContext
    from calais.win.errors import WinError
    from calais.winapi.cardmod import CardAcquireContext

    with PcscContext() as context:
        channel = Channel(context.connect(reader))
        modules = CardModules()
        with channel.begin() as tx:
            name = identify(tx, CardMemo()).card_name
        data = CardData(
            atr=channel.transport.atr, card_name=name, handle=channel, context=SimpleNamespace(card_modules=modules)
        )
        CardAcquireContext(data)
        say({"ready": name})
        for line in sys.stdin:
            try:
                with channel.begin() as data.transaction:
                    say({"result": [do(data, **call) for call in json.loads(line)]})
            except WinError as error:
                say({"error": error.name, "left": getattr(error, "attempts_left", None)})
        data.release()
        channel.close()


def say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def do(data: object, verb: str, pin: str = "", digest: str = "") -> object:
    """One call of the interface; bytes are hexadecimal."""
    found = VERBS[verb](data, bytes.fromhex(pin or digest))
    return found.hex() if isinstance(found, bytes) else found


def _change(data: object, pin: bytes) -> None:
    from calais.win.flags import PIN_CHANGE_FLAG_CHANGEPIN
    from calais.winapi.cardmod import CardChangeAuthenticatorEx

    CardChangeAuthenticatorEx(data, PIN_CHANGE_FLAG_CHANGEPIN, USER, pin, USER, NEW_PIN)


def _sign(data: object, digest: bytes) -> bytes:
    from calais.win.structs import CardSigningInfo
    from calais.winapi.cardmod import CardSignData

    return CardSignData(data, CardSigningInfo(0, EC_SIGNATURE_KEY, digest))


def _authenticate(flag: int, data: object, pin: bytes) -> bytes | None:
    from calais.winapi.cardmod import CardAuthenticateEx

    return CardAuthenticateEx(data, USER, flag, pin)


def _property(name: str, pin_id: int, data: object, _: bytes) -> int:
    from calais.winapi.cardmod import CardGetProperty

    return CardGetProperty(data, name, pin_id)


def _leave(data: object, _: bytes) -> None:
    from calais.winapi.cardmod import CardDeauthenticateEx

    CardDeauthenticateEx(data, USER_SET)


VERBS = {
    "make": partial(_authenticate, 0x10000000),  # CARD_AUTHENTICATE_GENERATE_SESSION_PIN
    "present": partial(_authenticate, 0x20000000),  # CARD_AUTHENTICATE_SESSION_PIN
    "state": partial(_property, "Authenticated State", 0),
    "strength": partial(_property, "PIN Strength Verify", USER),
    "change": _change,
    "sign": _sign,
    "leave": _leave,
}


class CardProcess:
    """The other end: ``process("make", pin=…)`` gives the result, and raises ``Refused``.

    Each is a transaction of its own; ``together`` makes several calls in one, and gives their results.
    """

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.card_name = self._answer()["ready"]

    def __call__(self, verb: str, **arguments: str) -> object:
        return self.together({"verb": verb, **arguments})[0]

    def together(self, *calls: dict[str, str]) -> list[object]:
        self._process.stdin.write(json.dumps(calls) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise Refused(answer["error"], answer["left"])
        return answer["result"]

    def _answer(self):
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        return json.loads(line)


class Refused(Exception):
    """The call failed: Windows' name of the code, and the tries left."""

    def __init__(self, name: str, left: int | None) -> None:
        super().__init__(name)
        self.name = name
        self.left = left


@contextmanager
def card_process(pcscd):
    """A process at the card in the first reader of ``pcscd``."""
    words = [sys.executable, __file__, pcscd.reader()]
    environment = {**os.environ, **pcscd.environ}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, env=environment, text=True, **pipes) as process:
        try:
            yield CardProcess(process)
        finally:
            process.stdin.close()
            process.wait(timeout=60)


if __name__ == "__main__":
    main(sys.argv[1])

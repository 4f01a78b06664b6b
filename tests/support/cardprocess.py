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
    from calais.win import flags
    from calais.win.structs import CardSigningInfo
    from calais.winapi import cardmod

    if verb == "make":
        made = cardmod.CardAuthenticateEx(data, USER, flags.CARD_AUTHENTICATE_GENERATE_SESSION_PIN, bytes.fromhex(pin))
        return made.hex()
    if verb == "present":
        cardmod.CardAuthenticateEx(data, USER, flags.CARD_AUTHENTICATE_SESSION_PIN, bytes.fromhex(pin))
        return None
    if verb == "state":
        return cardmod.CardGetProperty(data, flags.CP_CARD_AUTHENTICATED_STATE)
    if verb == "strength":
        return cardmod.CardGetProperty(data, flags.CP_CARD_PIN_STRENGTH_VERIFY, USER)
    if verb == "change":
        cardmod.CardChangeAuthenticatorEx(
            data, flags.PIN_CHANGE_FLAG_CHANGEPIN, USER, bytes.fromhex(pin), USER, NEW_PIN
        )
        return None
    if verb == "leave":
        cardmod.CardDeauthenticateEx(data, USER_SET)
        return None
    return cardmod.CardSignData(data, CardSigningInfo(0, EC_SIGNATURE_KEY, bytes.fromhex(digest))).hex()


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

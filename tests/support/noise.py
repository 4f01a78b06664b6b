"""Commands that nobody means, and what every virtual card owes to them: an answer, and a memory that is whole."""

from __future__ import annotations

from calais.cards.base import MemoryFailure

PIN_TRIES_LEFT = bytes.fromhex("00200080")


def tlv(tag, value):
    length = bytes((len(value),)) if len(value) < 0x80 else b"\x82" + len(value).to_bytes(2, "big")
    return bytes((tag,)) + length + value


def command(cla, ins, head, data, extended, le):
    start = bytes((cla, ins)) + head
    if extended or len(data) > 255:
        return start + b"\0" + len(data).to_bytes(2, "big") + data + (b"\0\0" if le else b"")
    return start + (bytes((len(data),)) + data if data else b"") + (bytes((le - 1,)) if le else b"")


def play(card, sequence):
    """Every answer has a status word and at most 64 KiB; the last one is given back."""
    answer = b""
    for raw in sequence:
        answer = card.process(raw)
        assert 2 <= len(answer) <= 65536 + 2
        assert answer[-2] >> 4 in (6, 9)
    return answer


def play_without_room(card, memory, sequence, sign_in, verify):
    """No memory can be written: that is said, and nothing changes, not even with everybody signed in."""
    records = memory.read()

    def full(_instant):
        raise MemoryFailure

    memory.cut = full
    for raw in [*sequence, verify]:
        sign_in(card)
        assert len(card.process(raw)) >= 2
    assert memory.read() == records
    assert card.process(verify) in (b"\x65\x81", b"\x6d\0")


def play_any_size(card, head, size):
    """Put data (``head`` is P1 and P2) of ``size`` bytes, without a length of its own and as a piece of a chain."""
    assert len(card.process(b"\0\xdb" + head + b"\0" + b"\xff" * size)) >= 2
    assert len(card.process(b"\x10\xdb" + head + b"\0\xff\xff" + bytes(size))) >= 2


def play_until_the_memory_fails(card, memory, verify):
    """The try is taken and the memory fails as it should be given back: the card has verified nothing."""

    def full_from_the_third(instant):
        if instant >= 3:
            raise MemoryFailure

    memory.cut = full_from_the_third
    assert card.process(verify) == b"\x65\x81"
    memory.cut = None
    assert card.process(PIN_TRIES_LEFT) == b"\x63\xc2"

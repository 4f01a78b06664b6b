"""The channel over tiny cards: chaining, GET RESPONSE, right lengths, what is remembered and when it is over."""

from __future__ import annotations

import pytest

from calais.iso7816.apdu import Command
from calais.transport import base
from calais.transport.base import Channel, Exchange
from calais.win.errors import BadData, BadParameter, CardRemoved, CardReset, SharingViolation

ATR_PLAIN = bytes.fromhex("3b80800101")
ATR_EXTENDED = bytes.fromhex("3bfd1300008131fe158073c021c057597562694b657940")
SELECT = Command(0x00, 0xA4, 0x04, 0x00, b"\xa0\x00", 256)
READ = Command(0x00, 0xCB, 0x3F, 0xFF, b"\x5c\x00", 256)
CHALLENGE = Command(0x00, 0x84, 0x00, 0x00, le=8)
VERIFY = Command(0x00, 0x20, 0x00, 0x80, b"123456\xff\xff")


class Card:
    """A transport that answers from a list, then always with the last answer; an answer may be an error."""

    reader = "Reader 0"

    def __init__(self, *answers, protocol=1, atr=ATR_PLAIN):
        self.answers = [bytes.fromhex(a) if isinstance(a, str) else a for a in answers] or [b"\x90\x00"]
        self.protocol, self.atr, self.epoch = protocol, atr, 1
        self.sent, self.calls = [], []

    def begin(self):
        self.calls.append("begin")

    def end(self, *, reset=False):
        self.calls.append("end, reset" if reset else "end")

    def transmit(self, command):
        self.sent.append(command)
        answer = self.answers[min(len(self.sent), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def reset(self):
        self.epoch += 1

    def close(self):
        self.calls.append("close")

    @property
    def heads(self):
        return [command[:4].hex() for command in self.sent]


def send(card, command, *, collect=True, **options):
    with Channel(card, **options).begin() as tx:
        return tx.send(command, collect=collect)


# --- one exchange ----------------------------------------------------------------------------------------------------


def test_a_short_command_is_one_exchange():
    card = Card("aabb9000")
    response = send(card, CHALLENGE)
    assert (response.data, response.sw) == (b"\xaa\xbb", 0x9000)
    assert [command.hex() for command in card.sent] == ["0084000008"]


def test_an_answer_without_status_word_is_bad_data_and_leaves_the_transaction_open():
    card = Card("90", "9000")
    with Channel(card).begin() as tx:
        with pytest.raises(BadData):
            tx.send(CHALLENGE)
        assert tx.send(CHALLENGE).ok


def test_the_counter_counts_exchanges_and_bytes():
    channel = Channel(Card("6102", "aabb9000"))
    with channel.begin() as tx:
        tx.send(SELECT)
    counter = channel.counter
    assert (counter.exchanges, counter.bytes_out, counter.bytes_in) == (2, 8 + 5, 2 + 4)
    counter.clear()
    assert (counter.exchanges, counter.bytes_out, counter.bytes_in) == (0, 0, 0)


def test_observers_see_each_exchange_in_order_and_its_repr_shows_no_data():
    seen: list[Exchange] = []
    send(Card("6102", "aabb9000"), VERIFY, observers=(seen.append,))
    assert [(exchange.command[:2].hex(), exchange.response.hex()) for exchange in seen] == [
        ("0020", "6102"),
        ("00c0", "aabb9000"),
    ]
    assert all(exchange.seconds >= 0 for exchange in seen)
    assert "123456" not in repr(seen)
    assert "31323334" not in repr(seen)


# --- chaining --------------------------------------------------------------------------------------------------------


def test_long_data_goes_out_as_a_chain_and_le_with_its_last_part():
    card = Card("9000", "9000", "aa9000")
    response = send(card, Command(0x00, 0x87, 0x07, 0x9A, bytes(600), 256))
    assert response.data == b"\xaa"
    assert card.heads == ["1087079a", "1087079a", "0087079a"]
    assert [len(command) for command in card.sent] == [5 + 255, 5 + 255, 5 + 90 + 1]


def test_a_card_that_refuses_a_part_gets_no_more():
    card = Card("9000", "6a84", "9000")
    assert send(card, Command(0x00, 0xDB, 0x3F, 0xFF, bytes(600))).sw == 0x6A84
    assert len(card.sent) == 2


def test_a_card_with_extended_length_gets_one_command():
    card = Card("9000", atr=ATR_EXTENDED)
    send(card, Command(0x00, 0xDB, 0x3F, 0xFF, bytes(600), 65536))
    assert [command.hex()[:14] for command in card.sent] == ["00db3fff000258"]
    assert card.sent[0][-2:] == b"\0\0"


@pytest.mark.parametrize(
    "card", [Card(), Card(atr=ATR_EXTENDED, protocol=0), Card(atr=b"\x3b")], ids=["ATR", "T=0", "?"]
)
def test_extended_length_is_used_only_where_the_atr_offers_it_and_the_protocol_carries_it(card):
    channel = Channel(card)
    with channel.begin() as tx:
        assert not tx.extended
        tx.send(Command(0x00, 0xCB, 0x3F, 0xFF, le=65536))
    assert card.sent[-1].hex() == "00cb3fff00"


def test_extended_length_can_be_forced_and_forbidden():
    assert Channel(Card(), extended=True).extended
    assert not Channel(Card(atr=ATR_EXTENDED), extended=False).extended


@pytest.mark.parametrize("command", [Command(0, 0, 0, 0, bytes(600), 0), Command(0x123, 0, 0, 0, bytes(600))])
def test_a_command_that_cannot_be_encoded_is_refused_before_a_part_of_it_goes_out(command):
    card = Card()
    with Channel(card).begin() as tx:
        with pytest.raises(BadParameter):
            tx.send(command)
        assert card.sent == []
        assert tx.send(CHALLENGE).ok


# --- GET RESPONSE ----------------------------------------------------------------------------------------------------


def test_the_rest_of_an_answer_is_fetched():
    card = Card("aa6100", "bb6101", "cc9000")
    response = send(card, READ)
    assert (response.data.hex(), response.sw) == ("aabbcc", 0x9000)
    assert [command.hex() for command in card.sent[1:]] == ["00c0000000", "00c0000001"]


def test_without_collect_61xx_is_returned_untouched():
    card = Card("aa6110")
    response = send(card, READ, collect=False)
    assert (response.data, response.sw, len(card.sent)) == (b"\xaa", 0x6110, 1)


def test_the_logical_channel_is_kept_and_the_chain_bit_is_not():
    card = Card("6101", "aa9000")
    send(card, Command(0x13, 0xCB, 0x3F, 0xFF, le=256))
    assert card.heads[1] == "03c00000"


def test_the_status_after_the_rest_is_the_status():
    assert send(Card("aa6101", "6282"), READ).sw == 0x6282


def test_get_response_is_repeated_with_the_right_length():
    card = Card("6100", "6c02", "aabb9000")
    assert send(card, READ).data == b"\xaa\xbb"
    assert [command.hex() for command in card.sent[1:]] == ["00c0000000", "00c0000002"]


def test_an_answer_of_empty_pieces_without_end_is_bad_data():
    card = Card("6100")
    with pytest.raises(BadData, match="does not end"):
        send(card, READ)
    assert len(card.sent) <= base.MAX_EMPTY_CONTINUATIONS + 2


def test_an_answer_of_tiny_pieces_without_end_is_bad_data():
    card = Card("aa6100")
    with pytest.raises(BadData, match="does not end"):
        send(card, READ)
    assert len(card.sent) <= base.MAX_CONTINUATIONS + 2


def test_an_answer_of_large_pieces_without_end_is_bad_data():
    with pytest.raises(BadData, match="does not end") as caught:
        send(Card("00" * 256 + "6100"), READ)
    assert base.MAX_RESPONSE_BYTES < caught.value.index <= base.MAX_RESPONSE_BYTES + 256


def test_an_answer_that_just_fits_is_read_to_its_end():
    pieces = base.MAX_RESPONSE_BYTES // 256
    card = Card(*["00" * 256 + "6100"] * (pieces - 1), "00" * 256 + "9000")
    assert len(send(card, READ).data) == base.MAX_RESPONSE_BYTES


# --- right length ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "le"), [("6c10", "10"), ("6c00", "00")])
def test_a_command_that_asked_for_data_is_repeated_with_the_right_length(answer, le):
    card = Card(answer, "aa9000")
    assert send(card, CHALLENGE).data == b"\xaa"
    assert [command.hex() for command in card.sent] == ["0084000008", "00840000" + le]


def test_a_command_is_repeated_once_only():
    card = Card("6c10")
    assert send(card, CHALLENGE).sw == 0x6C10
    assert len(card.sent) == 2


def test_a_command_without_le_is_never_repeated():
    card = Card("6c10", "9000")
    assert send(card, VERIFY).sw == 0x6C10
    assert len(card.sent) == 1


# --- T=0 -------------------------------------------------------------------------------------------------------------


def test_t0_sends_a_command_with_data_without_its_le():
    card = Card("6102", "aabb9000", protocol=0)
    assert send(card, SELECT).data == b"\xaa\xbb"
    assert [command.hex() for command in card.sent] == ["00a4040002a000", "00c0000002"]


def test_t0_keeps_the_le_of_a_command_without_data():
    card = Card("aa9000", protocol=0)
    send(card, CHALLENGE)
    assert card.sent[0].hex() == "0084000008"


def test_t0_never_repeats_a_command_whose_le_was_not_sent():
    card = Card("6c02", "9000", protocol=0)
    assert send(card, SELECT).sw == 0x6C02
    assert len(card.sent) == 1


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_begins_and_ends_with_its_block():
    card = Card()
    channel = Channel(card)
    with channel.begin() as tx:
        assert card.calls == ["begin"]
        assert tx.epoch == 1
    channel.close()
    assert card.calls == ["begin", "end", "close"]


def test_a_transaction_ends_when_its_block_fails():
    card = Card()
    with pytest.raises(ZeroDivisionError), Channel(card).begin():
        raise ZeroDivisionError
    assert card.calls == ["begin", "end"]


def test_nothing_is_sent_after_the_block():
    card = Card()
    with Channel(card).begin() as tx:
        pass
    with pytest.raises(CardReset, match="over"):
        tx.send(CHALLENGE)
    assert card.sent == []


@pytest.mark.parametrize("failure", [CardReset(), CardRemoved(), SharingViolation(), KeyboardInterrupt()], ids=repr)
def test_a_transaction_is_over_after_a_failure(failure):
    card = Card(failure, "9000")
    channel = Channel(card)
    with channel.begin() as tx:
        tx.volatile.authenticated.add(0x80)
        with pytest.raises(type(failure)):
            tx.send(CHALLENGE)
        with pytest.raises(CardReset, match="over"):
            tx.send(CHALLENGE)
    assert len(card.sent) == 1
    with channel.begin() as tx:
        assert not tx.volatile.authenticated
        assert tx.send(CHALLENGE).ok


def test_what_the_card_remembers_is_remembered_while_nobody_else_touched_it():
    channel = Channel(Card())
    with channel.begin() as tx:
        tx.volatile.selected = b"\xa0"
        tx.volatile.authenticated.add(0x80)
    with channel.begin() as tx:
        assert (tx.volatile.selected, tx.volatile.authenticated) == (b"\xa0", {0x80})


@pytest.mark.parametrize("between", [lambda card: card.reset(), lambda card: setattr(card, "epoch", 99)])
def test_what_the_card_remembered_is_forgotten_when_the_epoch_changes(between):
    card = Card()
    channel = Channel(card)
    with channel.begin() as tx:
        tx.volatile.selected = b"\xa0"
        tx.volatile.authenticated.add(0x80)
    between(card)
    with channel.begin() as tx:
        assert (tx.volatile.selected, tx.volatile.authenticated) == (b"", set())


def test_a_change_of_epoch_before_the_first_transaction_does_no_harm():
    card = Card()
    channel = Channel(card)
    card.reset()
    with channel.begin() as tx:
        assert tx.volatile.selected == b""


def test_a_reset_at_the_end_forgets_even_when_the_epoch_stays():
    card = Card()
    channel = Channel(card)
    with channel.begin() as tx:
        tx.volatile.authenticated.add(0x80)
        tx.reset_at_end = True
    assert card.calls == ["begin", "end, reset"]
    with channel.begin() as tx:
        assert not tx.volatile.authenticated

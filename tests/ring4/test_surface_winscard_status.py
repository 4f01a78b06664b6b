"""``SCardGetStatusChange``, ``SCardCancel``, ``SCardLocateCards``: what states are told, and who waits how long."""

from __future__ import annotations

import threading
import time

import pytest
from scarddesk import GIDS_NAME, LIMIT, PIV_NAME, PNP, READER, SECOND, SELECT_PIV, aside, raises, small_gids, small_piv

from calais import WinError
from calais.testing import local_system
from calais.winapi import winscard as w

SOON = 15000  # milliseconds


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture
def card(system):
    card = small_piv()
    system.insert(card)
    return card


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(2, system=system) as made:
        yield made


def look(context, *names):
    return w.SCardGetStatusChange(context, 0, [w.ReaderState(name) for name in names])


def known(state):
    """The element as a caller hands it back: it knows what it was told."""
    return w.ReaderState(state.reader, state.user_data, state.event_state & ~w.SCARD_STATE_CHANGED)


def wait_aside(pool, context, states, timeout=SOON):
    """A wait in another thread that has certainly been handed over, though it may not sleep yet."""
    started = threading.Event()

    def job():
        started.set()
        return w.SCardGetStatusChange(context, timeout, states)

    future = pool.submit(job)
    started.wait(LIMIT)
    time.sleep(0.05)
    return future


def test_no_readers_are_answered_at_once(context):
    assert w.SCardGetStatusChange(context, w.INFINITE, []) == []
    assert w.SCardGetStatusChange(context, 0, ()) == []


@pytest.mark.parametrize("timeout", [0, 5000, 0xFFFFFFFF])
def test_unaware_answers_at_once_with_the_real_state(context, card, timeout):
    marker = object()
    [state] = w.SCardGetStatusChange(context, timeout, [w.ReaderState(READER, user_data=marker)])
    assert state.reader == READER
    assert state.user_data is marker
    assert state.current_state == 0
    assert state.event_state & 0xFFFF & ~w.SCARD_STATE_UNPOWERED == w.SCARD_STATE_PRESENT | w.SCARD_STATE_CHANGED
    assert state.event_state >> 16 == 1
    assert state.atr == card.atr
    assert len(state.atr) <= w.SCARD_ATR_LENGTH


def test_an_empty_reader_is_empty(system, context):
    system.plug(READER)
    [state] = look(context, READER)
    assert state.event_state == w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED
    assert state.atr == b""


def test_what_is_known_times_out_and_the_error_carries_the_states(context, card):
    [state] = look(context, READER)
    with raises(w.SCARD_E_TIMEOUT) as caught:
        w.SCardGetStatusChange(context, 0, [known(state)])
    [left] = caught.value.reader_states
    assert left.event_state == state.event_state & ~w.SCARD_STATE_CHANGED
    assert left.atr == card.atr
    begun = time.monotonic()
    with raises(w.SCARD_E_TIMEOUT):
        w.SCardGetStatusChange(context, 100, [known(state)])
    assert time.monotonic() - begun >= 0.09


def test_a_zero_high_word_is_not_compared_and_another_is(system, card, context):
    system.remove(READER)
    system.insert(card)
    [state] = look(context, READER)
    assert state.event_state >> 16 == 3
    low = state.event_state & 0xFFFF & ~w.SCARD_STATE_CHANGED
    with raises(w.SCARD_E_TIMEOUT):
        w.SCardGetStatusChange(context, 0, [w.ReaderState(READER, current_state=low)])
    with raises(w.SCARD_E_TIMEOUT):
        w.SCardGetStatusChange(context, 0, [w.ReaderState(READER, current_state=low | 3 << 16)])
    for counter in (1, 2, 4, 0xFFFF):
        [now] = w.SCardGetStatusChange(context, 0, [w.ReaderState(READER, current_state=low | counter << 16)])
        assert now.event_state & w.SCARD_STATE_CHANGED


def test_other_bits_are_a_change(context, card):
    del card
    [state] = w.SCardGetStatusChange(context, 0, [w.ReaderState(READER, current_state=w.SCARD_STATE_EMPTY)])
    assert state.event_state & w.SCARD_STATE_PRESENT
    assert state.event_state & w.SCARD_STATE_CHANGED
    assert state.current_state == w.SCARD_STATE_EMPTY


def test_ignored_elements_are_left_alone(context, card):
    del card
    states = [w.ReaderState("Nobody", 1, w.SCARD_STATE_IGNORE), w.ReaderState(READER, 2)]
    ignored, seen = w.SCardGetStatusChange(context, 0, states)
    assert (ignored.reader, ignored.user_data, ignored.event_state) == ("Nobody", 1, w.SCARD_STATE_IGNORE)
    assert (seen.reader, seen.user_data) == (READER, 2)
    assert seen.event_state & w.SCARD_STATE_CHANGED
    with raises(w.SCARD_E_TIMEOUT) as caught:
        w.SCardGetStatusChange(context, 0, [states[0]])
    assert caught.value.reader_states[0].event_state == w.SCARD_STATE_IGNORE


def test_one_changed_element_answers_for_all_and_the_others_show_their_state(system, context, card):
    system.plug(SECOND)
    one, two = look(context, READER, SECOND)
    unchanged, changed = w.SCardGetStatusChange(context, SOON, [known(one), w.ReaderState(SECOND)])
    assert unchanged.event_state == one.event_state & ~w.SCARD_STATE_CHANGED
    assert changed == two
    assert unchanged.atr == card.atr


def test_an_unknown_reader_fails_and_is_marked(context, card):
    del card
    with raises(w.SCARD_E_UNKNOWN_READER) as caught:
        look(context, READER, "Nobody")
    good, bad = caught.value.reader_states
    assert good.reader == READER
    assert bad.event_state == w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_CHANGED | w.SCARD_STATE_IGNORE


def test_reader_names_compare_without_case(context, card):
    [state] = look(context, READER.upper())
    assert state.atr == card.atr


def test_in_use_and_exclusive_are_told(context, card):
    del card
    handle, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_SHARED, 3)
    [state] = look(context, READER)
    assert state.event_state & 0x7FFF == w.SCARD_STATE_PRESENT | w.SCARD_STATE_INUSE | w.SCARD_STATE_CHANGED
    w.SCardReconnect(handle, w.SCARD_SHARE_EXCLUSIVE, 3, 0)
    [state] = look(context, READER)
    expected = w.SCARD_STATE_PRESENT | w.SCARD_STATE_INUSE | w.SCARD_STATE_EXCLUSIVE | w.SCARD_STATE_CHANGED
    assert state.event_state & 0x7FFF == expected
    w.SCardDisconnect(handle, 0)
    [state] = look(context, READER)
    assert not state.event_state & (w.SCARD_STATE_INUSE | w.SCARD_STATE_EXCLUSIVE)


def power_down(context):
    handle, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_EXCLUSIVE, 3)
    w.SCardDisconnect(handle, w.SCARD_UNPOWER_CARD)


def test_an_unpowered_card_is_told_with_its_atr(context, card):
    power_down(context)
    [state] = look(context, READER)
    wanted = w.SCARD_STATE_PRESENT | w.SCARD_STATE_UNPOWERED | w.SCARD_STATE_CHANGED
    assert state.event_state & 0xFFFF == wanted
    assert state.atr == card.atr
    with w.SCardConnect(context, READER, w.SCARD_SHARE_DIRECT, 0)[0] as handle:
        assert w.SCardStatus(handle).state == w.SCARD_PRESENT
        assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_PRESENCE) == 2
        assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_INTERFACE_STATUS) == 0
    assert look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED


def test_connecting_gives_the_power_back(context, card):
    del card
    power_down(context)
    with w.SCardConnect(context, READER, w.SCARD_SHARE_SHARED, 3)[0] as handle:
        assert not look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED
        assert w.SCardStatus(handle).state == w.SCARD_SPECIFIC
        assert w.SCardTransmit(handle, None, SELECT_PIV)[-2:] == b"\x90\x00"
    assert not look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED


@pytest.mark.parametrize("same", [True, False], ids=["same", "another"])
def test_a_card_that_is_put_in_again_has_power(system, context, card, same):
    power_down(context)
    system.remove(READER)
    assert look(context, READER)[0].event_state & 0xFFFF == w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED
    system.insert(card if same else small_piv())
    assert not look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED


def test_the_power_stays_while_another_handle_is_open(context, card):
    del card
    stays, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_SHARED, 3)
    goes, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_SHARED, 3)
    w.SCardDisconnect(goes, w.SCARD_UNPOWER_CARD)
    assert not look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED
    with raises(w.SCARD_W_RESET_CARD):
        w.SCardStatus(stays)


def test_whoever_uses_the_card_otherwise_powers_it_too(system, context, card):
    power_down(context)
    assert w.SCardListCards(context, card.atr) == [PIV_NAME]
    assert system.readers()
    assert not look(context, READER)[0].event_state & w.SCARD_STATE_UNPOWERED


class Mute:
    """A card that does not answer to a reset."""

    atr = b""
    exchanges_total = resets = 0

    def process(self, command):
        raise AssertionError(command)

    def reset(self):
        """Nothing happens."""

    power_cycle = reset


def test_a_card_that_does_not_answer_is_mute(system, context):
    system.insert(Mute())
    [state] = look(context, READER)
    wanted = w.SCARD_STATE_PRESENT | w.SCARD_STATE_MUTE | w.SCARD_STATE_CHANGED
    assert state.event_state & 0xFFFF == wanted
    assert state.atr == b""
    for mode in (w.SCARD_SHARE_SHARED, w.SCARD_SHARE_EXCLUSIVE):
        with raises(w.SCARD_W_UNRESPONSIVE_CARD):
            w.SCardConnect(context, READER, mode, 3)


def test_somebody_connecting_ends_a_wait(context, card):
    del card
    [state] = look(context, READER)
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)])
        handle, _ = w.SCardConnect(context, READER, 2, 3)
        [seen] = waiting.result(LIMIT)
    assert seen.event_state & w.SCARD_STATE_INUSE
    w.SCardDisconnect(handle, 0)


def test_a_card_that_comes_and_goes_ends_waits_and_counts(system, context):
    system.plug(READER)
    [state] = look(context, READER)
    card = small_piv()
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)], w.INFINITE)
        system.insert(card)
        [state] = waiting.result(LIMIT)
        assert state.event_state & w.SCARD_STATE_PRESENT
        assert state.event_state >> 16 == 1
        assert state.atr == card.atr
        waiting = wait_aside(pool, context, [known(state)], w.INFINITE)
        system.remove(READER)
        [state] = waiting.result(LIMIT)
    assert state.event_state == w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED | 2 << 16
    assert state.atr == b""


def test_a_reader_that_goes_while_waiting_is_unavailable_and_no_failure(system, context, card):
    del card
    [state] = look(context, READER)
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)])
        system.unplug(READER)
        [gone] = waiting.result(LIMIT)
    wanted = w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_UNAVAILABLE | w.SCARD_STATE_CHANGED
    assert gone.event_state & 0xFFFF == wanted
    assert gone.atr == b""


def test_pnp_notification_counts_readers(system, context):
    with raises(w.SCARD_E_TIMEOUT):
        look(context, PNP)
    system.plug("One")
    [state] = look(context, PNP)
    assert state.event_state == 1 << 16 | w.SCARD_STATE_CHANGED
    with raises(w.SCARD_E_TIMEOUT):
        w.SCardGetStatusChange(context, 0, [known(state)])
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)])
        system.plug("Two")
        [state] = waiting.result(LIMIT)
    assert state.event_state == 2 << 16 | w.SCARD_STATE_CHANGED
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)])
        system.unplug("One")
        [state] = waiting.result(LIMIT)
    assert state.event_state == 1 << 16 | w.SCARD_STATE_CHANGED


def test_pnp_notification_beside_readers(system, context, card):
    del system, card
    first, second = look(context, PNP, READER)
    assert first.event_state == 1 << 16 | w.SCARD_STATE_CHANGED
    assert second.event_state & w.SCARD_STATE_PRESENT


def test_cancel_ends_every_wait_of_this_context_only(system, context, card):
    del card
    [state] = look(context, READER)
    with w.SCardEstablishContext(2, system=system) as other, aside() as one, aside() as two, aside() as three:
        waiting = [wait_aside(pool, context, [known(state)]) for pool in (one, two)]
        apart = wait_aside(three, other, [known(state)])
        assert w.SCardCancel(context) is None
        for future in waiting:
            error = future.exception(LIMIT)
            assert isinstance(error, WinError)
            assert error.code == w.SCARD_E_CANCELLED
            assert [left.reader for left in error.reader_states] == [READER]
        assert not apart.done()
        w.SCardCancel(other)
        assert apart.exception(LIMIT).code == w.SCARD_E_CANCELLED


def test_cancel_without_a_wait_is_not_remembered(context, card):
    del card
    w.SCardCancel(context)
    [state] = look(context, READER)
    w.SCardCancel(context)
    with raises(w.SCARD_E_TIMEOUT):
        w.SCardGetStatusChange(context, 50, [known(state)])


def test_releasing_the_context_ends_its_wait(system, card):
    del card
    context = w.SCardEstablishContext(0, system=system)
    [state] = look(context, READER)
    with aside() as pool:
        waiting = wait_aside(pool, context, [known(state)], w.INFINITE)
        w.SCardReleaseContext(context)
        assert waiting.exception(LIMIT).code == w.SCARD_E_CANCELLED


def test_many_threads_may_use_one_context(system, context, card):
    del system
    seen = []

    def job():
        for _ in range(20):
            seen.append(look(context, READER)[0].atr)
            handle, _ = w.SCardConnect(context, READER, 2, 3)
            w.SCardBeginTransaction(handle)
            w.SCardEndTransaction(handle, 0)
            w.SCardDisconnect(handle, 0)

    threads = [threading.Thread(target=job, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert set(seen) == {card.atr}
    assert len(seen) == 80


# --- locating cards --------------------------------------------------------------------------------------------------


def test_locate_marks_readers_whose_card_is_meant(system, context, card):
    system.insert(small_gids(), SECOND)
    states = [w.ReaderState(READER, "a"), w.ReaderState(SECOND, "b")]
    piv, gids = w.SCardLocateCards(context, [PIV_NAME], states)
    assert piv.event_state & w.SCARD_STATE_ATRMATCH
    assert piv.event_state & w.SCARD_STATE_CHANGED
    assert piv.atr == card.atr
    assert (piv.user_data, gids.user_data) == ("a", "b")
    assert not gids.event_state & w.SCARD_STATE_ATRMATCH
    assert gids.event_state & w.SCARD_STATE_PRESENT
    both = w.SCardLocateCards(context, [GIDS_NAME, PIV_NAME.lower()], states)
    assert all(state.event_state & w.SCARD_STATE_ATRMATCH for state in both)
    [one] = w.SCardLocateCards(context, GIDS_NAME, [w.ReaderState(SECOND)])
    assert one.event_state & w.SCARD_STATE_ATRMATCH


def test_locate_by_an_introduced_card_uses_its_mask(context, card):
    w.SCardIntroduceCardType(context, "Mine", pbAtr=card.atr)
    w.SCardIntroduceCardType(context, "Not mine", pbAtr=bytes.fromhex("3B00"))
    [state] = w.SCardLocateCards(context, ["Mine"], [w.ReaderState(READER)])
    assert state.event_state & w.SCARD_STATE_ATRMATCH
    [state] = w.SCardLocateCards(context, ["Not mine"], [w.ReaderState(READER)])
    assert not state.event_state & w.SCARD_STATE_ATRMATCH


def test_locate_errors_carry_the_states(context, card):
    del card
    with raises(w.SCARD_E_UNKNOWN_CARD):
        w.SCardLocateCards(context, ["Never heard"], [w.ReaderState(READER)])
    with raises(w.SCARD_E_UNKNOWN_READER) as caught:
        w.SCardLocateCards(context, [PIV_NAME], [w.ReaderState("Nobody")])
    wanted = w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_CHANGED | w.SCARD_STATE_IGNORE
    assert [state.event_state for state in caught.value.reader_states] == [wanted]


def test_locate_never_waits_and_an_empty_reader_is_empty(system, context):
    system.plug(READER)
    [state] = w.SCardLocateCards(context, [PIV_NAME], [w.ReaderState(READER)])
    assert state.event_state & w.SCARD_STATE_EMPTY
    known_state = w.ReaderState(READER, None, w.SCARD_STATE_EMPTY)
    [state] = w.SCardLocateCards(context, [PIV_NAME], [known_state])
    assert state.event_state & w.SCARD_STATE_EMPTY
    assert not state.event_state & w.SCARD_STATE_ATRMATCH


def test_locate_by_atr_masks(context, card):
    exact = w.AtrMask(card.atr, b"\xff" * len(card.atr))
    loose = w.AtrMask(card.atr[:1] + bytes(len(card.atr) - 1), b"\xff" + bytes(len(card.atr) - 1))
    other = w.AtrMask(b"\x3b\x00", b"\xff\xff")
    for masks, match in (([exact], True), ([loose], True), ([other], False), ([other, exact], True), ([], False)):
        [state] = w.SCardLocateCardsByATR(context, masks, [w.ReaderState(READER)])
        assert bool(state.event_state & w.SCARD_STATE_ATRMATCH) is match
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardLocateCardsByATR(context, [exact], [w.ReaderState("Nobody")])


@pytest.mark.parametrize("case", ["mask-shorter", "too-short", "too-long"])
def test_a_bad_mask_is_an_invalid_parameter(context, card, case):
    del card
    atr, mask = {
        "mask-shorter": (bytes.fromhex("3B00"), b"\xff"),
        "too-short": (b"\x3b", b"\xff"),
        "too-long": (b"\x3b" + bytes(36), bytes(37)),
    }[case]
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardLocateCardsByATR(context, [w.AtrMask(atr, mask)], [w.ReaderState(READER)])

import threading

import pytest

from agent.mailbox import Bounded, Closed, Latest


def test_the_newest_wins_and_what_it_replaced_is_counted() -> None:
    box: Latest[int] = Latest()
    for item in (1, 2, 3):
        box.put(item)
    assert box.take(0) == 3
    assert box.take(0) is None
    assert box.replaced() == 2
    assert box.replaced() == 0


def test_what_was_put_before_closing_is_still_taken_and_then_why_it_closed() -> None:
    why = OSError("unplugged")
    box: Latest[int] = Latest()
    box.put(1)
    box.close(why)
    assert box.take(0) == 1
    with pytest.raises(Closed) as closed:
        box.take(0)
    assert closed.value.why is why


def test_bounded_keeps_the_order_and_refuses_when_full() -> None:
    box: Bounded[int] = Bounded(2)
    assert box.put(1, 0)
    assert box.put(2, 0)
    assert not box.put(3, 0)
    assert box.take(0) == 1
    assert box.put(3, 0)
    assert box.take_all(0, 10) == [2, 3]
    assert len(box) == 0


def test_a_full_one_holds_the_giver_until_there_is_room() -> None:
    box: Bounded[int] = Bounded(1)
    box.put(1, 0)
    done = threading.Event()

    def give() -> None:
        assert box.put(2, 10)
        done.set()

    thread = threading.Thread(target=give)
    thread.start()
    assert not done.is_set()
    assert box.take(10) == 1
    assert done.wait(10)
    thread.join(10)
    assert box.take(0) == 2


def test_a_closed_one_gives_what_it_holds_and_takes_no_more() -> None:
    box: Bounded[int] = Bounded(2)
    box.put(1, 0)
    box.close()
    with pytest.raises(Closed):
        box.put(2, 0)
    assert box.take_all(0, 5) == [1]
    with pytest.raises(Closed):
        box.take(0)
    with pytest.raises(Closed):
        box.take_all(0, 5)

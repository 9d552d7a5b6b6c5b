"""Turns are taken in the order of coming, whatever the threads do."""

import os
import threading
from collections.abc import Callable

import pytest

from agent.inference.turns import Turns, own_cores

LIMIT_S = 10.0


class Worker:
    """A thread that takes one turn, writes its number down and holds the turn until it is told."""

    def __init__(self, turns: Turns, number: int, written: list[int]) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self._turns, self._number, self._written = turns, number, written
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        with self._turns.turn():
            self._written.append(self._number)
            self.inside.set()
            assert self.leave.wait(LIMIT_S)


def until(true: Callable[[], bool]) -> None:
    """Waits for what another thread is about to do."""
    step = threading.Event()
    for _ in range(10_000):
        if true():
            return
        step.wait(0.001)
    pytest.fail("it never came to pass")


def queue(turns: Turns, count: int, written: list[int]) -> list[Worker]:
    """Workers that came one after another."""
    workers = []
    for number in range(count):
        already = turns.waiting
        workers.append(Worker(turns, number, written))
        until(lambda number=number, already=already: written[-1:] == [number] or turns.waiting > already)
    return workers


@pytest.mark.parametrize("places", [1, 2])
def test_who_came_first_goes_first_and_no_more_than_the_places(places: int) -> None:
    written: list[int] = []
    turns = Turns(places)
    workers = queue(turns, 8, written)
    for number, worker in enumerate(workers):
        assert worker.inside.wait(LIMIT_S)
        until(lambda number=number: len(written) == min(8, number + places))
        assert written == list(range(len(written)))
        worker.leave.set()
        worker.thread.join(LIMIT_S)
    assert turns.waiting == 0


def test_whoever_comes_again_at_once_stands_behind_those_who_wait() -> None:
    turns = Turns(1)
    order: list[str] = []
    greedy_inside, go = threading.Event(), threading.Event()

    def greedy() -> None:
        for _ in range(3):
            with turns.turn():
                order.append("greedy")
                greedy_inside.set()
                assert go.wait(LIMIT_S)

    def patient() -> None:
        with turns.turn():
            order.append("patient")

    first = threading.Thread(target=greedy, daemon=True)
    first.start()
    assert greedy_inside.wait(LIMIT_S)
    others = [threading.Thread(target=patient, daemon=True) for _ in range(2)]
    for count, other in enumerate(others, 1):
        other.start()
        until(lambda count=count: turns.waiting == count)
    go.set()
    for thread in (first, *others):
        thread.join(LIMIT_S)
    assert order == ["greedy", "patient", "patient", "greedy", "greedy"]


def test_a_run_that_fails_gives_its_place_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.turn():
            raise ZeroDivisionError
    with turns.turn():
        pass


def test_a_run_that_hangs_stops_nobody_for_ever() -> None:
    written: list[int] = []
    turns = Turns(1, longest_s=0.02)
    workers = queue(turns, 3, written)
    for worker in workers[1:]:
        assert worker.inside.wait(LIMIT_S)
    for worker in workers:
        worker.leave.set()
        worker.thread.join(LIMIT_S)
    assert (turns.free, turns.waiting) == (1, 0)  # those that went without a place gave none back


def test_places_are_the_cores_of_the_process() -> None:
    assert own_cores() == len(os.sched_getaffinity(0))
    turns = Turns()
    written: list[int] = []
    workers = queue(turns, own_cores() + 1, written)
    for worker in workers[:-1]:
        assert worker.inside.wait(LIMIT_S)
    assert turns.waiting == 1
    for worker in workers:
        worker.leave.set()
        worker.thread.join(LIMIT_S)

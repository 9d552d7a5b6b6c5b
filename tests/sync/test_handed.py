"""A number leaves only after its row is durably marked as handed: held up inside that commit, nothing has left."""

import threading
import time
from pathlib import Path

from peers.numbered_items import DEVICE, append_events
from peers.running_sync import syncing
from peers.scripted_broker import connack, scripted_broker

from agent.clock import SystemClock
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.sync.streams import AHEAD
from agent.values import Bytes

LIMIT_S = 20.0


class Held:
    """A hook that holds the group up in which an item becomes handed, before its commit."""

    def __init__(self, above: int = 0) -> None:
        """above: numbers up to this one may be marked."""
        self._above = above
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, transaction: Transaction) -> None:
        if transaction.connection.execute("SELECT 1 FROM item WHERE state = 1 AND seq > ?", (self._above,)).fetchone():
            self.begun.set()
            assert self.go_on.wait(LIMIT_S)


def test_nothing_leaves_before_its_mark_is_on_the_medium(tmp_path: Path) -> None:
    held = Held()
    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with (
        open_store(tmp_path, clock=SystemClock(), device=DEVICE, settings=settings, hooks=[held]) as store,
        scripted_broker(connack()) as broker,
    ):
        append_events(store, "yard", 3)

        def left(within_s: float, count: int) -> bool:
            end = time.monotonic() + within_s
            while sum(b'"k":"evt"' in body for body in broker.published) < count:
                if time.monotonic() > end:
                    return False
                time.sleep(0.02)
            return True

        with syncing(store, broker.url):
            try:
                assert held.begun.wait(LIMIT_S)
                assert not left(0.5, 1)
            finally:
                held.go_on.set()
            assert left(LIMIT_S, 3)


def test_while_a_block_is_sent_the_next_one_is_marked_and_stays(tmp_path: Path) -> None:
    held = Held(above=AHEAD)
    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with (
        open_store(tmp_path, clock=SystemClock(), device=DEVICE, settings=settings, hooks=[held]) as store,
        scripted_broker(connack()) as broker,
    ):
        append_events(store, "yard", 3 * AHEAD)

        def left() -> int:
            return sum(body.count(b'"k":"evt"') for body in list(broker.published))

        def come(count: int, within_s: float) -> bool:
            end = time.monotonic() + within_s
            while left() < count and time.monotonic() < end:
                time.sleep(0.02)
            return left() >= count

        with syncing(store, broker.url, compress=False):
            try:
                assert held.begun.wait(LIMIT_S)
                assert come(AHEAD, LIMIT_S)
                assert not come(AHEAD + 1, 0.5)
            finally:
                held.go_on.set()
            assert come(3 * AHEAD, LIMIT_S)

"""Several workers on one file: places and leases, and the proof from end to end: 20 devices, three workers that are killed between commit and
acknowledgement, a broker that drops what its queue does not hold. Whatever happens, the file holds what the devices numbered, once.
"""

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from peers.mosquitto import Broker, mosquitto
from peers.numbered_items import append_events, append_summaries, numbers, utc_us
from peers.running_sync import opened_store, syncing

from agent.store.writer import Store
from agent.subscriber.errors import SubscriberError
from agent.subscriber.report import complete
from agent.subscriber.state import client_id, open_state
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import open_view
from agent.subscriber.workers import LEASE_S, may_ask, take_place

LONG = os.environ.get("EDGE_AGENT_LONG") == "1"
DEVICES, WORKERS = 20, 3
LIMIT_S = 120.0
TESTS = Path(__file__).parent.parent


def test_each_worker_has_a_place_and_a_name_of_its_own(tmp_path: Path) -> None:
    state = tmp_path / "fleet.sqlite"
    with take_place(state) as first, take_place(state) as second:
        assert (first, second) == (1, 2)
        with open_state(state, shared=True) as one, open_state(state, shared=True) as other:
            assert client_id(one, first) != client_id(other, second)
            assert client_id(one, first) == client_id(other, first)
        with take_place(state) as third:
            assert third == 3
    with take_place(state) as again:
        assert again == 1, "a place that is free is taken again, with its session"


def test_one_writer_alone_and_several_that_share_keep_each_other_out(tmp_path: Path) -> None:
    state = tmp_path / "fleet.sqlite"
    for first, second in ((False, True), (True, False), (False, False)):
        with (
            open_view(state, shared=first),
            pytest.raises(SubscriberError, match="another subscriber"),
            open_view(state, shared=second),
        ):
            pass


def test_one_worker_asks_until_its_lease_is_over(tmp_path: Path) -> None:
    with open_state(tmp_path / "fleet.sqlite", shared=True) as one:
        assert may_ask(one, 1, 1_000.0)
        assert not may_ask(one, 2, 1_001.0)
        assert may_ask(one, 1, 1_010.0)
        assert not may_ask(one, 2, 1_010.0 + LEASE_S - 1)
        assert may_ask(one, 2, 1_010.0 + LEASE_S + 1), "the first one died"
        assert not may_ask(one, 1, 1_010.0 + LEASE_S + 2)
        assert may_ask(one, 1, 500.0), "a clock that was set back holds nobody up"


class Workers:
    """Processes that are started again as often as they die."""

    def __init__(self, url: str, state: Path, rng: random.Random) -> None:
        self._url, self._state, self._rng = url, state, rng
        self._running: list[subprocess.Popen[bytes]] = []
        self.deaths = 0
        self.mortal = True

    def keep(self) -> None:
        for one in [one for one in self._running if one.poll() is not None]:
            assert one.returncode == -9, f"a worker ended by itself: {one.returncode}"
            self._running.remove(one)
            self.deaths += 1
        while len(self._running) < WORKERS:
            dies_after = self._rng.randint(2, 25) if self.mortal else 0
            words = [
                sys.executable,
                "-m",
                "peers.subscriber_worker",
                self._url,
                str(self._state),
                "cloud",
                "0.5",
                str(dies_after),
            ]
            self._running.append(subprocess.Popen(words, cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS)}))

    def kill_one(self) -> None:
        if self._running:
            self._rng.choice(self._running).kill()

    def end(self) -> None:
        for one in self._running:
            one.kill()
            one.wait(10)


@contextmanager
def working(url: str, state: Path, rng: random.Random) -> Iterator[Workers]:
    workers = Workers(url, state, rng)
    try:
        yield workers
    finally:
        workers.end()


def judged(state: Path) -> bool:
    with closing(sqlite3.connect(state, timeout=30)) as connection:
        found = verdicts(connection, time.time())
        return len(found) == DEVICES and complete(found)


def produce(stores: list[Store], rng: random.Random) -> None:
    """A little of everything, live and late."""
    for store in rng.sample(stores, len(stores) // 2):
        append_summaries(store, "yard", rng.randint(1, 60), end_us=utc_us() - rng.choice([0, 3_600_000_000]))
        append_events(store, "gate", rng.randint(1, 5))


def run(folder: Path, broker: Broker, rng: random.Random) -> None:
    state, names = folder / "fleet.sqlite", [f"farm/gate-{place:02}" for place in range(DEVICES)]
    with ExitStack() as stack:
        workers = stack.enter_context(working(broker.url, state, rng))
        workers.keep()
        stores = [stack.enter_context(opened_store(folder / name, name)) for name in names]
        for name, store in zip(names, stores, strict=True):
            stack.enter_context(syncing(store, broker.url, device=name, ledger_s=1.0))
        end = time.monotonic() + LIMIT_S
        for turn in range(12):
            produce(stores, rng)
            workers.keep()
            if turn % 3 == 2:
                workers.kill_one()
            time.sleep(0.2)  # the pace of the devices
        workers.mortal = False
        while not judged(state):
            assert time.monotonic() < end, "not complete in time"
            workers.keep()
            time.sleep(0.3)
        assert workers.deaths >= WORKERS, "nobody died: nothing is proven"
        workers.end()
        expected = {
            (epoch, stream, seq): body
            for store in stores
            for (epoch, stream), rows in numbers(store).items()
            for seq, (_, body) in rows.items()
        }
    with closing(sqlite3.connect(state)) as connection:
        found = {
            (epoch, stream, seq): body.encode()
            for epoch, stream, seq, body in connection.execute("SELECT epoch, stream, seq, body FROM item")
        }
        conflicts = connection.execute("SELECT count(*) FROM conflict").fetchone()[0]
    assert found == expected
    assert conflicts == 0


@pytest.mark.parametrize("seed", range(20) if LONG else range(1))
def test_20_devices_and_three_workers_that_are_killed(tmp_path: Path, seed: int) -> None:
    """Mosquitto's queues are short: it acknowledges and drops while workers are away."""
    with mosquitto(tmp_path, options=["max_queued_messages 40", "max_inflight_messages 20"]) as broker:
        run(tmp_path, broker, random.Random(seed))

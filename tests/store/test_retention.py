"""The store stays within its bounds: what goes, in which order, and that every number and every count is still told."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.messages.times import parse
from agent.records import Event
from agent.store import items
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.summaries import event_items, rollup
from agent.summaries.totals import totals
from agent.values import Bytes, Duration

DAY_S = 86_400
START_US = 10**9
MANY = 1 << 40

_LOST = "SELECT text, first, last, why, totals FROM lost JOIN name ON name.id = stream ORDER BY text, first"


class World:
    """A lane with windows of a minute, and a broker that acknowledges what it is told to. handed: bodies that left, by number."""

    def __init__(self, folder: Path, **bounds: Any) -> None:
        self.folder, self.clock = folder, ManualClock(boot_us=START_US)
        self.settings = Config(**{"max_loss_s": 0.2, "keep_free": Bytes(0), **bounds})
        self.free = MANY
        self.handed: dict[tuple[str, int], bytes] = {}
        self.unstored = 0  # inputs, in earlier runs
        self.stored: list[tuple[int, Counter[str]]] = []  # UTC of a second's end, its results

    @contextmanager
    def running(self) -> Iterator[Store]:
        hooks = [event_items.hook(), rollup.hook("sha256:00", {})]
        with open_store(
            self.folder, clock=self.clock, device="s/n", settings=self.settings, grains={"yard": (60,)}, hooks=hooks, totals=totals,
            free_bytes=lambda _: self.free,
        ) as store:  # fmt: skip
            self.store = store
            store.submit(clock_job(self.clock.reading()), ends_group=True).wait(10)
            yield store
            self.unstored += store.unstored.get("yard", 0)

    def live(self, seconds: int, each: int = 5, *, event: bool = False) -> None:
        """Seconds of the lane, five results an input."""
        for place in range(seconds):
            self.clock.advance(1.0)
            at_us = self.clock.boot_us()
            events = (
                (Event(rule="door", at_us=at_us, phase="start" if place % 2 else "end", severity="warn", model="faces", label="face", score=0.9),)
                if event and place % 30 == 0 else ()
            )  # fmt: skip
            labels = ("face", "face", "hand", "face", "cat")
            self.store.submit(lane_second_job(second("yard", at_us, *[found(*labels)] * each, events=events)))
            self.stored.append(
                (at_us + self.clock.reading().utc_offset_us, Counter({"face": 3 * each, "hand": each, "cat": each}))
            )
            if place % 60 == 59:
                self.turn()
        self.turn(20)

    def turn(self, times: int = 1) -> None:
        """Groups without jobs: retention runs after each."""
        for _ in range(times):
            self.store.submit(lambda _: None, ends_group=True).wait(10)

    def say(self, reading_after_s: float) -> None:
        self.clock.advance(reading_after_s)
        self.store.submit(clock_job(self.clock.reading()), ends_group=True).wait(10)

    def send(self, share: float, acknowledged: float, rng: random.Random) -> None:
        """Some of what is pending leaves; of that a share is acknowledged."""
        with self.store.read() as connection:
            rows = connection.execute(
                "SELECT item.id, text, seq, body FROM item JOIN name ON name.id = stream WHERE state < 2 ORDER BY item.id"
            ).fetchall()
        chosen = [row for row in rows if rng.random() < share]
        self.handed.update({(stream, seq): body for _, stream, seq, body in chosen})
        arrived = [row[0] for row in chosen if rng.random() < acknowledged]

        def mark(transaction: Transaction) -> None:
            items.mark_handed(transaction, [row[0] for row in chosen])
            items.mark_acknowledged(transaction, arrived)

        self.store.submit(mark, ends_group=True).wait(10)

    def ask(self, query: str) -> Any:
        with self.store.read() as connection:
            return connection.execute(query).fetchall()

    def ask_at_once(self, *queries: str) -> list[Any]:
        """Of one moment: the store thread goes on deleting meanwhile."""
        with self.store.read() as connection:
            return [connection.execute(query).fetchall() for query in queries]

    def lost(self) -> list[tuple[str, int, int, str, str | None]]:
        return list(self.ask(_LOST))

    def check(self) -> None:
        """Every number of a stream is here or lost, once; items, what left and totals add up to what was stored and summed up."""
        known: Counter[str] = Counter()
        streams, kept, lost, ((newest_us,),), removed = self.ask_at_once(
            "SELECT text, last_seq FROM stream JOIN name ON name.id = stream",
            "SELECT text, seq, body FROM item JOIN name ON name.id = stream",
            _LOST,
            "SELECT max(start_us) FROM summary",
            "SELECT results FROM removed WHERE why = 'open'",
        )
        for stream, last in streams:
            here = {seq: body for text, seq, body in kept if text == stream}
            gone: dict[int, str] = {}
            for name, first, end, why, text in lost:
                if name == stream:
                    assert not gone.keys() & set(range(first, end + 1))
                    gone.update(dict.fromkeys(range(first, end + 1), why))
                    if why != "sent" and stream.startswith("summary/"):
                        assert text is not None
                        known += Counter(msgspec.json.decode(text).get("n", {}))
            assert not here.keys() & gone.keys()
            assert sorted([*here, *gone]) == list(range(1, last + 1))
            for seq, why in gone.items():
                assert (why == "sent") == ((stream, seq) in self.handed), "sent means that it left"
            bodies = {**{seq: self.handed[stream, seq] for seq, why in gone.items() if why == "sent"}, **here}
            for body in bodies.values():
                for model in msgspec.json.decode(body).get("models", {}).values():
                    known += Counter(model["n"])
        truth: Counter[str] = Counter()
        for end_us, labels in self.stored:
            if newest_us is not None and end_us - 1 < newest_us + 60_000_000:
                truth += labels
        # Where nothing more may go, results are not stored, which their windows count as dropped inputs; and as the last of all, results of
        # open windows go, which `removed` counts.
        unstored = 5 * (self.unstored + self.store.unstored.get("yard", 0))
        opened = sum(count for (count,) in removed)
        assert not known - truth
        assert (truth - known).total() <= unstored + opened

    def live_bytes(self) -> int:
        ((pages,),), ((free,),) = self.ask("PRAGMA page_count"), self.ask("PRAGMA freelist_count")
        return (int(pages) - int(free)) * 1024

    def counts(self, table: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM {table}")[0][0])


def test_results_go_first_and_items_stay(tmp_path: Path) -> None:
    world = World(tmp_path, max_bytes=Bytes(1_500_000))
    with world.running():
        for _ in range(6):
            world.live(240)
            world.send(1.0, 1.0, random.Random(1))
        stored = sum(labels.total() for _, labels in world.stored)
        left = world.counts("result")
        assert left < stored
        assert world.live_bytes() < 1_500_000 * 0.97
        assert not world.lost(), "no item had to go"
        removed = world.ask("SELECT why, sum(results), sum(ticks) FROM removed GROUP BY why")
        assert sum(results for _, results, _ in removed) == stored - left
        assert {why for why, _, _ in removed} <= {"sent", "retention"}
        # What is left is the newest.
        ((first,),) = world.ask("SELECT min(id) FROM result")
        assert world.ask(f"SELECT count(*) FROM result WHERE id < {first}") == [(0,)]
        world.check()
        assert "space" not in world.store.faults


def test_without_a_link_raw_rows_go_then_windows_then_events(tmp_path: Path) -> None:
    world = World(tmp_path, max_bytes=Bytes(400_000))
    with world.running():
        for _ in range(14):
            world.live(600, 3, event=True)
            world.check()
        assert world.live_bytes() <= 400_000 * 1.1
        reasons = {(stream.partition("/")[0], why) for stream, _, _, why, _ in world.lost()}
        assert ("summary", "retention") in reasons
        oldest = {
            kind: world.ask(
                f"SELECT min(made_us) FROM item JOIN name ON name.id = stream WHERE text LIKE '{kind}/%' AND state < 2"
            )[0][0]
            for kind in ("event", "summary")
        }
        assert oldest["event"] <= oldest["summary"] + 180_000_000, (
            "events are the last to go; the newest item of all stays"
        )
        told = {why for (why,) in world.ask("SELECT why FROM removed")}
        assert "retention" in told


def test_a_disk_with_little_room(tmp_path: Path) -> None:
    world = World(tmp_path, keep_free=Bytes(50_000_000))
    with world.running():
        world.live(300)
        world.send(1.0, 1.0, random.Random(1))
        before = world.counts("result")
        world.free = 52_000_000  # below a tenth more than keep_free
        world.clock.advance(1.0)
        world.turn(60)
        assert world.counts("result") < before / 2
        assert not world.lost() or {why for _, _, _, why, _ in world.lost()} == {"sent"}
        world.check()


def test_a_clock_that_leaps_makes_nothing_old(tmp_path: Path) -> None:
    world = World(tmp_path, max_age=Duration(2 * DAY_S), keep_sent=Duration(DAY_S))
    with world.running():
        world.live(600, event=True)
        world.send(0.5, 1.0, random.Random(2))
        rows = {table: world.counts(table) for table in ("result", "tick", "event", "item")}
        for leap_s in (365 * DAY_S, -365 * DAY_S, -365 * DAY_S, 365 * DAY_S):
            world.clock.step_utc(leap_s)
            for _ in range(8):
                world.say(3 * 3_600.0 / 8)
                world.turn(5)
        assert {table: world.counts(table) for table in ("result", "tick", "event")} == {
            table: rows[table] for table in ("result", "tick", "event")
        }
        assert not world.lost()


def test_by_age_goes_what_was_sent_and_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path, max_age=Duration(2 * DAY_S), keep_sent=Duration(DAY_S))
    with world.running():
        world.live(900, event=True)
        world.send(0.6, 0.8, random.Random(3))
        path = tmp_path / "edge.sqlite"
        for _ in range(5 * 24):
            world.say(3_600.0)
            world.turn(3)
        world.turn(40)
        assert world.counts("result") == 1_500, "only the open window's"
        assert {why for _, _, _, why, _ in world.lost()} == {"sent"}
        ((unsent,),) = world.ask("SELECT count(*) FROM item WHERE state = 0")
        assert unsent > 3, "what never left is still here"
        world.check()
        assert world.ask("SELECT DISTINCT why FROM removed") == [("age",)]
        held = path.stat().st_blocks * 512 - world.live_bytes()
        assert held < 1_300_000, "the file system has the room again"


@given(st.integers(0, 2**32))
@settings(max_examples=12)
def test_every_number_and_count_is_told_whatever_goes(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = random.Random(seed)
    world = World(
        tmp_path_factory.mktemp("retention"), max_bytes=Bytes(rng.choice([250_000, 500_000, 900_000])), keep_sent=Duration(rng.choice([600, DAY_S]))
    )  # fmt: skip
    for _ in range(rng.randint(1, 3)):  # runs of the agent
        with world.running():
            for _ in range(rng.randint(1, 4)):
                world.live(rng.randint(30, 400), rng.randint(0, 4), event=rng.random() < 0.5)
                if rng.random() < 0.7:
                    world.send(rng.random(), rng.random(), rng)
                if rng.random() < 0.3:
                    world.say(rng.choice([60.0, 3_600.0, float(DAY_S)]))
                world.check()
                assert world.live_bytes() < (world.settings.max_bytes or 0) * 1.2 + 100_000
    assert parse("2026-11-24T03:00:00Z") < world.stored[-1][0]

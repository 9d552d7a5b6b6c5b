"""Rows of a lane's seconds and of the clock."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.clock import Reading
from agent.records import Detections, Event, LaneSecond
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.writer import Store, open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0
MINUTE_US = 60_000_000


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    with open_store(folder, clock=ManualClock(5_000_000), device="s/n", settings=ROOMY, grains={"yard": [60]}) as store:
        store.wait_for_commit(WAIT_S, 0)
        yield store


def stored(store: Store, seconds: list[LaneSecond], query: str) -> list[tuple[Any, ...]]:
    for one in seconds:
        store.submit(lane_second_job(one))
    store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
    with store.read() as connection:
        return connection.execute(query).fetchall()


def dated(store: Store, offset_us: int) -> None:
    store.submit(clock_job(Reading(at_us=0, utc_offset_us=offset_us, source="ntp", error_ms=1)), ends_group=True).wait(
        WAIT_S
    )


def test_results_events_then_the_tick_that_counts_them(tmp_path: Path) -> None:
    event = Event(at_us=5_900_000, rule="visitor", severity="warn", phase="start", label="face", score=0.9)
    one = second("yard", 6_000_000, found("face", "cat"), found(), gated=3, dropped=2, events=(event,))
    with opened(tmp_path) as store:
        ids = stored(
            store,
            [one],
            "SELECT id, 'result' FROM result UNION ALL SELECT id, 'event' FROM event UNION ALL SELECT id, 'tick' FROM tick ORDER BY 1",
        )
        assert ids == [(1, "result"), (2, "result"), (3, "event"), (4, "tick")]
        with store.read() as connection:
            assert connection.execute(
                "SELECT seen, gated, inferred, failed, dropped, counts, measured FROM tick"
            ).fetchall() == [(7, 3, 2, 0, 2, '{"m":{"faces":[2,0]},"s":{}}', '{"faces":[[28,2]]}')]
            assert connection.execute(
                "SELECT score_e4, x0_e4, y0_e4, x1_e4, y1_e4 FROM result WHERE id = 1"
            ).fetchall() == [(9000, 1000, 2000, 5000, 9000)]
            body = connection.execute("SELECT body FROM event").fetchone()[0]
    assert msgspec.json.decode(body, type=Event) == event


def test_keypoints_values_and_numbers_that_are_none(tmp_path: Path) -> None:
    keypoints = np.array([[[0.5, 0.25, 1.0], [-4.0, np.nan, 0.0]]], np.float32)
    pose = Detections(labels=("person",), scores=np.array([np.nan], np.float32), keypoints=keypoints)
    anomaly = Detections(labels=("anomaly",), scores=np.array([36.8], np.float32), values=np.array([36.8125]))
    with opened(tmp_path) as store:
        rows = stored(
            store,
            [second("yard", 6_000_000, pose, anomaly)],
            "SELECT score_e4, x0_e4, value, extra FROM result ORDER BY id",
        )
    assert rows[0][:3] == (None, None, None)
    assert np.frombuffer(rows[0][3], "<i2").reshape(2, 3).tolist() == [[5000, 2500, 10000], [-32768, 0, 0]]
    assert rows[1] == (368000, None, 36.8125, None)


def test_vectors_are_float32_of_their_row(tmp_path: Path) -> None:
    two = Detections(
        labels=("embedding", "embedding"),
        scores=np.ones(2, np.float32),
        vectors=np.array([[0.5, -1.0], [2.0, 3.0]], np.float32),
    )
    with opened(tmp_path) as store:
        rows = stored(store, [second("yard", 6_000_000, two)], "SELECT extra FROM result ORDER BY id")
    assert [np.frombuffer(row[0], "<f4").tolist() for row in rows] == [[0.5, -1.0], [2.0, 3.0]]


def test_idle_seconds_of_a_group_are_one_row_that_ends_with_the_window(tmp_path: Path) -> None:
    # Boot second 0 is 30.5 s into a UTC minute: the minute ends at boot time 29.5 s.
    seconds = [second("yard", number * 1_000_000, alive_us=900_000) for number in range(25, 33)]
    with opened(tmp_path) as store:
        dated(store, 10 * MINUTE_US + 30_500_000)
        rows = stored(store, seconds, "SELECT at_us, alive_us FROM tick ORDER BY id")
        assert rows == [(29_000_000, 5 * 900_000), (32_000_000, 3 * 900_000)]
        # Another group begins a row of its own, and so does a second in which something was seen.
        more = [
            second("yard", 33_000_000),
            second("yard", 34_000_000, gated=1),
            second("yard", 35_000_000),
            second("yard", 36_000_000, dropped=1),
        ]
        rows = stored(store, more, "SELECT at_us FROM tick ORDER BY id")
    assert [at_us for (at_us,) in rows] == [29_000_000, 32_000_000, 33_000_000, 34_000_000, 35_000_000, 36_000_000]


def test_the_tick_whose_last_microsecond_is_the_windows_last_belongs_to_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        dated(store, 0)
        rows = stored(
            store,
            [second("yard", number * 1_000_000) for number in range(58, 63)],
            "SELECT at_us FROM tick ORDER BY id",
        )
    assert rows == [(60_000_000,), (62_000_000,)]


def test_idle_seconds_without_a_time_and_across_a_clock_step_stay_apart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert len(stored(store, [second("yard", 1_000_000), second("yard", 2_000_000)], "SELECT id FROM tick")) == 2
        dated(store, 0)
        store.submit(lane_second_job(second("yard", 3_000_000)))
        store.submit(clock_job(Reading(at_us=3_500_000, utc_offset_us=-90_000_000, source="ntp", error_ms=1)))
        assert stored(store, [second("yard", 4_000_000)], "SELECT at_us FROM tick WHERE id > 2") == [
            (3_000_000,),
            (4_000_000,),
        ]


def clock_rows(folder: Path, *readings: tuple[int, int, str, int]) -> list[tuple[Any, ...]]:
    with opened(folder) as store:
        for at_us, offset_us, source, error_ms in readings:
            store.submit(clock_job(Reading(at_us=at_us, utc_offset_us=offset_us, source=source, error_ms=error_ms)))
        return stored(store, [], "SELECT from_us, utc_offset_us, source FROM clock ORDER BY from_us")


def test_a_clock_row_is_added_for_news_only(tmp_path: Path) -> None:
    rows = clock_rows(
        tmp_path,
        (1_000, 500_000_000, "none", 0),  # no time at all
        (2_000, 500_000_000, "rtc", 16_000),
        (3_000, 510_000_000, "rtc", 16_000),  # within both errors
        (4_000, 505_000_000, "ntp", 40),  # better
        (5_000, 505_080_000, "ntp", 40),  # within both errors
        (6_000, 505_081_000, "ntp", 40),  # beyond
        (7_000, 505_090_000, "rtc", 16_000),  # worse and the same
        (6_500, 415_000_000, "ntp", 40),  # a step back, read a little earlier
        (6_500, 405_000_000, "ntp", 40),
    )
    assert rows == [
        (2_000, 500_000_000, "rtc"), (4_000, 505_000_000, "ntp"), (6_000, 505_081_000, "ntp"), (6_500, 415_000_000, "ntp"), (6_501, 405_000_000, "ntp"),
    ]  # fmt: skip


def test_a_restart_adds_no_clock_row(tmp_path: Path) -> None:
    clock_rows(tmp_path, (2_000, 500_000_000, "ntp", 40))
    assert clock_rows(tmp_path, (3_000, 500_010_000, "ntp", 40)) == [(2_000, 500_000_000, "ntp")]


def test_numbers_beyond_any_column_cost_neither_the_second_nor_its_tick(tmp_path: Path) -> None:
    wild = Detections(
        labels=("a", "b", "c"),
        scores=np.array([3e38, -3e38, np.inf], np.float32),
        values=np.array([1e300, np.nan, np.inf]),
        keypoints=np.full((3, 1, 3), 3e38, np.float32),
    )
    with opened(tmp_path) as store:
        rows = stored(store, [second("yard", 6_000_000, wild)], "SELECT score_e4, value FROM result ORDER BY id")
        assert store.faults == {}
        with store.read() as connection:
            assert connection.execute("SELECT seen, inferred, dropped FROM tick").fetchall() == [(1, 1, 0)]
    assert rows == [(2**63 - 1, 1e300), (-(2**63 - 1), None), (None, math.inf)]

"""Windows of a lane: where they begin and end, what they hold, over fixes of the clock, restarts and boots."""

from pathlib import Path

import msgspec
import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock
from peers.store_by_hand import StoreByHand

from agent.clock import Reading
from agent.messages import envelope
from agent.messages.summary import Gap, Summary
from agent.messages.times import parse
from agent.records import LaneSecond, Tick
from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.summaries import rollup
from agent.values import Bytes

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")  # on an hour
MODELS = {"yard": {"faces": "ab" * 32}}


def hooks() -> list:
    return [rollup.hook("sha256:cc", MODELS, {"yard"}, units={"pump": {"temp": "Cel"}})]


def device(**grains: tuple[int, ...]) -> StoreByHand:
    return StoreByHand(grains or {"yard": (60,)}, hooks)


def live(store: StoreByHand, seconds: int, *labels: str, lane: str = "yard", each: int = 1) -> None:
    """So many seconds of a lane, one input a second, and a commit after every `each` of them."""
    for number in range(1, seconds + 1):
        store.now_us += S
        store.job(lane_second_job(second(lane, store.now_us, found(*labels))))
        if number % each == 0:
            store.commit()
    store.commit()


def seen(items: list[dict]) -> list[int]:
    return [item["fr"]["seen"] for item in items]


def windows(items: list[dict]) -> list[str]:
    return [item["w"][0][11:19] for item in items]


def test_a_window_closes_with_the_first_tick_of_the_next() -> None:
    store = device()
    store.learn(T0 - 2 * S)
    live(store, 62, "face", "face")
    assert windows(store.sums("summary/yard/m1")) == ["02:59:00"]
    live(store, 1)
    gap, first, whole = store.items("summary/yard/m1")
    assert gap["gap"] == [None, "2026-11-24T02:59:58.000Z"]
    assert (gap["seq"], first["seq"], whole["seq"]) == (1, 2, 3)
    assert (first["cover"], whole["cover"]) == (round(2 / 60, 6), 1.0)
    assert whole == {
        "v": 1, "d": "site/name", "k": "sum", "epoch": store.transaction.epoch_text, "st": "summary/yard/m1", "seq": 3, "of": 3, "rev": 0,
        "at": "2026-11-24T03:01:01.000Z", "tq": {"s": "ntp", "e": 1}, "boot": 1, "w": ["2026-11-24T03:00:00Z", 60], "cfg": "sha256:cc",
        "cover": 1.0, "fr": {"seen": 60, "gated": 0, "inf": 60, "drop": 0, "fail": 0},
        "models": {"faces": {"sha": "sha256:" + "ab" * 32, "inf": 60, "n": {"face": 120}, "uniq": {},
                             "lat": {"p50": 3.004, "p95": 3.004, "sk": {"g": 0.02, "b": [[28, 60]]}}}},
        "cost": {"j": None, "tx": None, "rx": None, "alt": 30_000_000},
    }  # fmt: skip
    for row in store.connection.execute("SELECT body FROM item"):
        envelope.decode(row[0], Gap if b'"gap"' in row[0] else Summary)


def test_a_tick_belongs_to_the_window_of_its_last_microsecond() -> None:
    store = device()
    store.learn(T0 - 500_000)  # ticks end half a second past the full seconds
    live(store, 61)
    (first,) = store.sums("summary/yard/m1")
    # The first tick ends at 03:00:00.5: its last microsecond lies in 03:00, though half of it does not.
    assert (first["w"][0], first["fr"]["seen"]) == ("2026-11-24T03:00:00Z", 60)


def test_a_tick_that_ends_on_the_boundary_belongs_to_the_window_before() -> None:
    store = device()
    store.learn(T0)
    live(store, 61)
    assert seen(store.sums("summary/yard/m1")) == [60]


def test_a_clock_set_back_makes_the_window_twice() -> None:
    store = device()
    store.learn(T0)
    live(store, 100)
    store.learn(T0 + 10 * S)  # -90 s
    live(store, 120)
    sums = store.sums("summary/yard/m1")
    assert windows(sums) == ["03:00:00", "03:01:00", "03:00:00", "03:01:00"]
    assert seen(sums) == [60, 40, 50, 60]


def test_a_fix_that_comes_late_dates_the_ticks_of_the_open_window_anew() -> None:
    """As a restart would: what is open follows from the rows, not from the order in which they came."""
    store = device()
    store.learn(T0)
    live(store, 12)
    store.job(clock_job(Reading(at_us=5 * S, utc_offset_us=T0 + 3600 * S, source="ntp", error_ms=1)))
    live(store, 50)
    sums = store.sums("summary/yard/m1")
    assert (windows(sums), seen(sums)) == (["03:00:00", "04:00:00"], [5, 55])


def test_a_window_waits_for_the_time_and_is_dated_by_the_boots_first_fix() -> None:
    store = device()
    live(store, 130)
    assert store.items() == []
    store.learn(T0 + 130 * S)
    live(store, 1)
    assert windows(store.sums("summary/yard/m1")) == ["03:00:00", "03:01:00"]
    assert seen(store.sums("summary/yard/m1")) == [60, 60]


def test_a_boot_that_never_learnt_the_time_goes_out_undated() -> None:
    store = device()
    live(store, 130)
    store.kill()
    store.now_us = 0
    store.start(boot="boot-two")
    store.learn(T0)
    live(store, 61)
    gap, *undated, window = store.items("summary/yard/m1")
    assert gap["gap"] == [None, "2026-11-24T03:00:00.000Z"]
    assert [(item["w"], item["mono"], item["fr"]["seen"]) for item in undated] == [
        (None, [0, 60 * S], 60), (None, [60 * S, 120 * S], 60), (None, [120 * S, 180 * S], 10),
    ]  # fmt: skip
    old = store.connection.execute("SELECT text FROM epoch ORDER BY id LIMIT 1").fetchone()[0]
    assert {(item["boot"], tuple(item["carry"]), item["tq"]["s"]) for item in undated} == {(1, (old, 0), "none")}
    assert (window["fr"]["seen"], window["boot"], "carry" in window) == (60, 2, False)


def test_killed_within_a_window_it_goes_on() -> None:
    store = device(yard=(60, 3600))
    store.learn(T0)
    live(store, 30)
    store.job(lane_second_job(second("yard", store.now_us + S, found("face"))))
    store.kill()
    store.now_us += 3 * S
    store.start()
    live(store, 28)
    (window,) = store.sums("summary/yard/m1")
    assert (window["fr"]["seen"], window["cover"]) == (57, 0.95)
    assert store.sums("summary/yard/h1") == []


def test_at_the_start_a_window_closes_whose_end_has_passed() -> None:
    store = device()
    store.learn(T0)
    live(store, 30)
    store.kill()
    store.now_us = 59 * S
    store.start()
    assert store.items() == []
    store.kill()
    store.now_us = 60 * S
    store.start()
    assert seen(store.sums("summary/yard/m1")) == [30]


def test_a_window_open_at_a_reboot_is_carried_and_mixes_no_epochs() -> None:
    store = device()
    store.learn(T0)
    live(store, 90)
    old = store.transaction.epoch_text
    store.kill()
    store.now_us = 0
    store.start(boot="boot-two")
    assert len(store.items()) == 2  # the time is not known yet
    store.learn(T0 + 100 * S)
    live(store, 81)
    gap, carried, own, next_ = store.items("summary/yard/m1")[2:]
    assert gap["gap"] == ["2026-11-24T03:01:30.000Z", "2026-11-24T03:01:40.000Z"]
    assert gap["epoch"] != old
    assert (carried["carry"], carried["boot"], carried["w"][0], carried["fr"]["seen"]) == (
        [old, 2],
        1,
        "2026-11-24T03:01:00Z",
        30,
    )
    assert (own["w"][0], own["fr"]["seen"], own["boot"], "carry" in own) == ("2026-11-24T03:01:00Z", 20, 2, False)
    assert (next_["w"][0], next_["fr"]["seen"]) == ("2026-11-24T03:02:00Z", 60)


def test_what_an_epoch_without_items_has_not_told_the_next_one_tells() -> None:
    """Two short boots of a new card: that nothing is known of the time before the first one, is told by the first one that has an item."""
    store = device()
    store.learn(T0)
    live(store, 20)
    store.start(boot="boot-1")
    store.learn(T0 + 40 * 1_000_000)
    live(store, 60)
    gaps = [body["gap"] for body in store.items("summary/yard/m1") if body["k"] == "gap"]
    assert gaps == [[None, "2026-11-24T03:00:40.000Z"]]
    store.start(boot="boot-2")
    store.learn(T0 + 200 * 1_000_000)
    live(store, 60)
    gaps = [body["gap"] for body in store.items("summary/yard/m1") if body["k"] == "gap"]
    assert gaps[1:] == [["2026-11-24T03:01:40.000Z", "2026-11-24T03:03:20.000Z"]]


def test_a_window_is_carried_within_a_boot_when_the_device_is_renamed() -> None:
    store = device()
    store.learn(T0)
    live(store, 30)
    store.start(device="site/other")
    gap, carried = store.items("summary/yard/m1")
    # The first epoch ended before it had told since when nothing was known before it.
    assert (gap["d"], gap["gap"]) == ("site/other", [None, "2026-11-24T03:00:30.000Z"])
    assert (carried["carry"][1], carried["fr"]["seen"]) == (0, 30)
    live(store, 31)
    assert seen(store.sums("summary/yard/m1")) == [30, 30]


def test_rows_of_two_older_epochs_are_carried_apart() -> None:
    store = device()
    store.learn(T0)
    live(store, 20)
    first = store.transaction.epoch_text
    store.make_hooks = list
    store.start(boot="boot-two")
    store.learn(T0 + 30 * S)
    live(store, 10)
    second_ = store.transaction.epoch_text
    store.make_hooks = hooks
    store.start(boot="boot-three")
    store.learn(T0 + 45 * S)
    store.commit()
    sums = store.sums("summary/yard/m1")
    assert [item["carry"][0] for item in sums] == [first, second_]
    assert seen(sums) == [20, 10]


def test_a_lane_taken_out_of_the_config_still_closes_its_window() -> None:
    store = device(yard=(60,), pump=(60,))
    store.learn(T0)
    live(store, 30)
    live(store, 5, lane="pump")
    store.grains = {"yard": (60,)}
    store.start()
    (window,) = store.sums("summary/pump/m1")
    assert window["fr"]["seen"] == 5
    assert store.sums("summary/yard/m1") == []
    assert store.connection.execute("SELECT text FROM grain JOIN name ON name.id = lane").fetchall() == [("yard",)]


def test_a_grain_given_up_is_made_no_more_and_begins_anew_when_it_comes_back() -> None:
    store = device(yard=(60, 10))
    store.learn(T0)
    live(store, 15)
    store.grains = {"yard": (60,)}
    store.start()
    assert seen(store.sums("summary/yard/s10")) == [10, 5]
    live(store, 20)
    assert seen(store.sums("summary/yard/s10")) == [10, 5]
    store.grains = {"yard": (60, 10)}
    store.start()
    live(store, 6)
    assert seen(store.sums("summary/yard/s10")) == [10, 5, 5]
    live(store, 30)
    assert seen(store.sums("summary/yard/m1")) == [60]


def test_a_grain_added_later_begins_there_and_its_gap_says_so() -> None:
    store = device(yard=(60,))
    store.learn(T0)
    live(store, 125)
    store.grains = {"yard": (60, 10)}
    store.start()
    assert store.items("summary/yard/s10") == []
    live(store, 16)
    gap, first, second_ = store.items("summary/yard/s10")
    assert gap["gap"] == [None, "2026-11-24T03:02:05.000Z"]
    assert (windows([first, second_]), seen([first, second_])) == (["03:02:00", "03:02:10"], [5, 10])


def test_the_first_commits_close_at_most_500_windows_each() -> None:
    store = StoreByHand({"yard": (1, 60)}, list)
    store.learn(T0)
    live(store, 1201, each=400)
    store.make_hooks = hooks
    before = store.groups
    store.start()
    assert store.groups - before == 3
    made = store.connection.execute("SELECT made_us, count(*) FROM item GROUP BY made_us").fetchall()
    assert (
        sum(count for _, count in made) == 1201 + 20 + 2
    )  # all seconds are over, the minutes less the open one, two gap items
    assert sum(seen(store.sums("summary/yard/s1"))) == 1201
    assert sum(seen(store.sums("summary/yard/m1"))) == 1200


def test_a_blind_lane_closes_its_windows_with_cover_0() -> None:
    store = device()
    store.learn(T0)
    for _ in range(61):
        store.now_us += S
        store.job(lane_second_job(second("yard", store.now_us, alive_us=0)))
        store.commit()
    (window,) = store.sums("summary/yard/m1")
    assert (window["cover"], window["fr"]["seen"], window["models"], window["cost"]["alt"]) == (0.0, 0, {}, 0)


def test_readings_of_a_sensor() -> None:
    store = StoreByHand({"pump": (5,)}, hooks)
    store.learn(T0)
    for number in range(6):
        store.now_us += S
        store.job(
            lane_second_job(
                LaneSecond(
                    lane="pump", tick=Tick(at_us=store.now_us, alive_us=S, dropped=1), seen=4, gated=0, inferred=2, failed=1, inferences=(),
                    events=(), models={"bearing": (2, 1)}, measured={"temp": (2, 42.0 + number, 900.5, 20.0 - number, 22.0), "odd": (1, float("nan"), 1.0, 1.0, 1.0)},
                    latencies={"bearing": {5: 1, -3: 1}},
                )
            )
        )  # fmt: skip
    store.commit()
    (window,) = store.sums("summary/pump/s5")
    assert window["sens"] == {"temp": {"n": 10, "sum": 220.0, "sq": 4502.5, "min": 16.0, "max": 22.0, "unit": "Cel"}}
    assert window["fr"] == {"seen": 20, "gated": 0, "inf": 10, "drop": 5, "fail": 5}
    assert window["models"]["bearing"]["inf"] == 10
    assert window["models"]["bearing"]["sha"] is None
    assert window["models"]["bearing"]["lat"]["sk"]["b"] == [[-3, 5], [5, 5]]
    assert window["cost"]["alt"] == 0


def test_rows_that_do_not_add_up_are_a_fault_of_their_lane_alone() -> None:
    store = device(yard=(60,), pump=(60,))
    store.learn(T0)
    live(store, 1)
    store.connection.execute("UPDATE tick SET counts = '{'")
    live(store, 60, lane="pump")
    live(store, 61)
    assert store.items("summary/yard/m1") == []
    assert seen(store.sums("summary/pump/m1")) == [59]
    assert list(store.faults) == ["summary yard 60 s"]
    store.connection.execute("UPDATE tick SET counts = NULL WHERE counts = '{'")
    live(store, 1)
    assert store.items("summary/yard/m1") == []
    store.now_us += 3600 * S
    store.commit()
    assert seen(store.sums("summary/yard/m1")) == [1, 59]
    assert store.faults == {}


@pytest.mark.parametrize("seconds", [1, 40])
def test_a_group_that_is_undone_is_forgotten(seconds: int) -> None:
    store = device(yard=(10,))
    store.learn(T0)
    live(store, 9)
    begun_us = store.now_us
    for number in range(1, seconds + 1):
        store.job(lane_second_job(second("yard", begun_us + number * S, found("ghost"))))
    store.commit(undo=True)
    live(store, 22)
    sums = store.sums("summary/yard/s10")
    assert seen(sums) == [10, 10, 10]
    assert [item["models"]["faces"]["n"] for item in sums] == [{}] * 3


def test_an_undone_group_of_the_very_same_ticks_is_forgotten() -> None:
    store = device(yard=(10,))
    store.learn(T0)
    live(store, 9)
    for undo in (True, False):
        for number in range(1, 4):
            store.job(lane_second_job(second("yard", 9 * S + number * S, found("face"))))
        store.commit(undo=undo)
    assert seen(store.sums("summary/yard/s10")) == [10]


def test_in_the_real_store_windows_commit_with_their_rows(tmp_path: Path) -> None:
    clock = ManualClock()
    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(
        tmp_path, clock=clock, device="s/n", settings=settings, grains={"yard": (5,)}, hooks=hooks()
    ) as store:
        store.submit(clock_job(clock.reading()))
        for number in range(1, 13):
            ticket = store.submit(lane_second_job(second("yard", number * S, found("face"))), ends_group=True)
        ticket.wait(10)
        assert store.faults == {}
    connection = connect_to_read(tmp_path / "edge.sqlite")
    bodies = [msgspec.json.decode(body) for (body,) in connection.execute("SELECT body FROM item ORDER BY id")]
    assert [body["k"] for body in bodies] == ["gap", "sum", "sum"]
    assert connection.execute("SELECT utc, seq, state FROM summaries").fetchall() == [
        ("2026-11-24T03:00:00.000Z", 2, "pending"), ("2026-11-24T03:00:05.000Z", 3, "pending"),
    ]  # fmt: skip
    connection.close()

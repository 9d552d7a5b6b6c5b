"""Days are merged from their hours: over hours of a lane, a boot in the middle, and rows that are long gone."""

from collections import Counter

from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages.times import parse
from agent.statistics import merge, quantile
from agent.store.lane_rows import lane_second_job
from agent.summaries import rollup

S = 1_000_000
T0 = parse("2026-11-24T21:00:00Z")


def device() -> StoreByHand:
    return StoreByHand({"yard": (3_600, 86_400)}, lambda: [rollup.hook("sha256:cc", {}, {"yard"})])


def live(store: StoreByHand, hours: float, *labels: str) -> None:
    """A tick each five minutes."""
    for _ in range(round(hours * 12)):
        store.now_us += 300 * S
        store.job(lane_second_job(second("yard", store.now_us, found(*labels), alive_us=300 * S)))
        store.commit()


def test_a_day_closes_with_the_first_tick_of_the_next_and_is_the_sum_of_its_hours() -> None:
    store = device()
    store.learn(T0)
    live(store, 1.5, "face")
    live(store, 1.5, "face", "hand")
    assert store.sums("summary/yard/d1") == []
    live(store, 1 / 12, "cat")  # 00:05 of the next day
    (day,) = store.sums("summary/yard/d1")
    hours = store.sums("summary/yard/h1")
    assert [hour["w"][0][11:16] for hour in hours] == ["21:00", "22:00", "23:00"]
    assert (day["w"], day["of"], day["rev"]) == (["2026-11-24T00:00:00Z", 86_400], day["seq"], 0)
    assert day["cover"] == round(3 / 24, 6)
    assert day["fr"] == dict(
        sum((Counter(hour["fr"]) for hour in hours), Counter(dict.fromkeys(day["fr"], 0)))
    ) | dict.fromkeys(("gated", "drop", "fail"), 0)
    assert day["models"]["faces"]["n"] == {"face": 36, "hand": 18}
    bins: dict[int, int] = {}
    for hour in hours:
        merge(bins, hour["models"]["faces"]["lat"]["sk"]["b"])
    assert day["models"]["faces"]["lat"]["sk"]["b"] == [list(pair) for pair in sorted(bins.items())]
    assert day["models"]["faces"]["lat"]["p50"] == round(quantile(bins, 0.5) or 0, 3)
    assert day["cost"]["alt"] == sum(hour["cost"]["alt"] for hour in hours)


def test_the_rows_may_be_gone_long_before_their_day_is_over() -> None:
    store = device()
    store.learn(T0)
    live(store, 2.5, "face")
    last = store.connection.execute("SELECT max(last_tick) FROM summary").fetchone()[0]
    for table in ("result", "tick"):
        store.connection.execute(f"DELETE FROM {table} WHERE id <= ?", (last,))
    store.start()  # a new process reads what is left
    live(store, 1.0, "face")
    (day,) = store.sums("summary/yard/d1")
    assert day["fr"]["seen"] == 36


def test_a_boot_in_the_middle_makes_a_carried_day_and_one_of_its_own() -> None:
    store = device()
    store.learn(T0)
    live(store, 1.5, "face")
    old = store.transaction.epoch_text
    store.now_us = 0
    store.start(boot="boot-1")
    store.learn(T0 + 5_700 * S)
    live(store, 2.0, "hand")
    first, second_ = store.sums("summary/yard/d1")
    assert first["carry"] == [old, 0]
    assert first["fr"]["seen"] == 18
    assert "carry" not in second_
    assert first["fr"]["seen"] + second_["fr"]["seen"] == 18 + 17
    assert first["w"] == second_["w"]


def test_a_lane_that_ended_has_its_day_at_the_next_start() -> None:
    store = device()
    store.learn(T0)
    live(store, 1.0, "face")
    store.now_us += 5 * 3_600 * S
    store.start()
    assert [day["fr"]["seen"] for day in store.sums("summary/yard/d1")] == [12]


def test_a_day_that_the_config_lists_no_more_is_closed_and_given_up() -> None:
    store = device()
    store.learn(T0)
    live(store, 1.5, "face")
    store.grains = {"yard": (3_600,)}
    store.start()
    assert [day["fr"]["seen"] for day in store.sums("summary/yard/d1")] == [12], "its closed hours"
    assert store.connection.execute("SELECT grain FROM grain WHERE grain > 0").fetchall() == [(3_600,)]

"""A device that does not know the time: what waits for it, what goes out without it, and what becomes of that when the time comes."""

import tempfile
from pathlib import Path

from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages import envelope
from agent.messages.event import Event as EventBody
from agent.messages.summary import Gap, Summary
from agent.messages.times import parse
from agent.records import Event
from agent.store import kept
from agent.store.lane_rows import lane_second_job
from agent.store.reader import undated
from agent.subscriber.view import open_view
from agent.summaries import event_items, redating, rollup

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")
M1 = "summary/yard/m1"


def hooks() -> list:
    return [event_items.hook(), rollup.hook("sha256:cc", {}, {"yard"}), redating.hook()]


def device(*grains: int) -> StoreByHand:
    return StoreByHand({"yard": grains or (60,)}, hooks)


def live(store: StoreByHand, seconds: int, *, step_s: int = 1, event: str | None = None) -> None:
    for number in range(seconds // step_s):
        store.now_us += step_s * S
        events = ()
        if event is not None and number == 0:
            events = (Event(at_us=store.now_us - 400_000, rule="face-seen", severity="warn", phase=event, model="faces", label="face"),)  # fmt: skip
        store.job(lane_second_job(second("yard", store.now_us, found("face"), alive_us=step_s * S, events=events)))
        store.commit()


def view_of(store: StoreByHand) -> tuple[list[tuple], list[tuple]]:
    """What a subscriber that has every item reads: (window, inputs), and (boot, from, inputs) of what has no time."""
    rows = store.connection.execute("SELECT text, body FROM item JOIN name ON name.id = stream").fetchall()
    with tempfile.TemporaryDirectory() as folder, open_view(Path(folder) / "v.sqlite", start=1) as view:
        taken = view.take([(f"edge/v1/site/name/back/{stream}", body) for stream, body in rows], 0.0)
        assert (taken.new, taken.unreadable) == (len(rows), 0)
        windows = view.connection.execute("SELECT start_utc, seen FROM windows ORDER BY window_us").fetchall()
        without = view.connection.execute("SELECT boot, from_s, seen FROM undated ORDER BY boot, from_s").fetchall()
    return windows, without


def test_rows_wait_for_a_quarter_of_an_hour_and_then_go_out_by_boot_time() -> None:
    store = device()
    live(store, 959)
    assert store.items() == []
    assert undated(store.connection) == {"yard": (959, 959)}
    live(store, 1)
    gap, window = store.items(M1)
    assert (gap["gap"], gap["mono"], gap["tq"]) == ([None, None], [None, 0], {"s": "none", "e": 0})
    assert (window["w"], window["mono"], window["boot"], window["tq"]["s"]) == (None, [0, 60 * S], 1, "none")
    assert (window["fr"]["seen"], window["cover"], window["rev"], window["of"]) == (60, 1.0, 0, 2)
    assert window["at"] == "1970-01-01T00:16:00.000Z", "nothing is known of the time but that the device runs"
    assert undated(store.connection) == {"yard": (900, 900)}
    assert store.connection.execute("SELECT utc, seq FROM summaries").fetchall() == [(None, 2)]
    for (body,) in store.connection.execute("SELECT body FROM item"):
        envelope.decode(body, Gap if b'"gap"' in body else Summary)
    live(store, 60)
    assert [item["mono"][0] for item in store.sums(M1)] == [0, 60 * S]
    assert view_of(store) == ([], [(1, 0.0, 60), (1, 60.0, 60)])


def test_a_fix_corrects_what_went_out_and_dates_the_rest() -> None:
    store = device()
    live(store, 1_050)
    sent = store.items(M1)
    assert [item["mono"] for item in store.sums(M1)] == [[0, 60 * S], [60 * S, 120 * S]]
    store.learn(
        T0 + 1_050 * S + 250_000, source="gnss", error_ms=7
    )  # windows begin a quarter of a second past full minutes
    live(store, 60)
    gap, first, second_ = (item for item in store.items(M1) if item["rev"])
    dated = [item for item in store.sums(M1) if item["w"] and not item["rev"]]
    assert (gap["of"], gap["rev"], gap["gap"]) == (1, 1, [None, "2026-11-24T03:00:00.250Z"])
    assert (first["of"], first["rev"], first["w"]) == (2, 1, ["2026-11-24T03:00:00.250Z", 60])
    assert (second_["of"], second_["w"]) == (3, ["2026-11-24T03:01:00.250Z", 60])
    assert (first["tq"], first["at"]) == ({"s": "gnss", "e": 7}, "2026-11-24T03:17:31.250Z")
    told = ("seq", "rev", "at", "tq", "w")
    assert {key: value for key, value in first.items() if key not in told} == {
        key: value for key, value in sent[1].items() if key not in told
    }
    assert dated[0]["w"] == ["2026-11-24T03:02:00Z", 60], "from there on as ever"
    assert sum(item["fr"]["seen"] for item in (first, second_, *dated)) == 1_080 - 1
    assert undated(store.connection) == {}
    rows = store.connection.execute("SELECT utc, rev, seq FROM summaries ORDER BY first_tick LIMIT 2").fetchall()
    assert rows == [("2026-11-24T03:00:00.250Z", 1, first["seq"]), ("2026-11-24T03:01:00.250Z", 1, second_["seq"])]
    windows, without = view_of(store)
    assert (windows[0], without) == (("2026-11-24 03:00:00", 60), [])
    assert sum(seen for _, seen in windows) == 1_080 - 1
    live(store, 120)
    store.start()
    assert len([item for item in store.items(M1) if item["rev"]]) == 3, "once is enough"


def test_a_fix_of_the_next_boot_says_nothing_of_this_one() -> None:
    store = device()
    live(store, 970)
    old = store.transaction.epoch_text
    store.kill()
    store.now_us = 0
    store.start(boot="boot-two")
    live(store, 10)
    assert len(store.sums(M1)) == 1, "the new boot may soon know the time"
    store.learn(T0)
    live(store, 61)
    first, *carried, own, next_ = store.sums(M1)
    assert (first["w"], first["epoch"]) == (None, old)
    assert {(item["w"], tuple(item["carry"]), item["boot"], item["rev"]) for item in carried} == {
        (None, (old, 2), 1, 0)
    }
    assert sum(item["fr"]["seen"] for item in (first, *carried)) == 970
    assert (own["w"][0], own["fr"]["seen"], next_["w"][0]) == ("2026-11-24T02:59:00Z", 10, "2026-11-24T03:00:00Z")
    assert undated(store.connection) == {}
    windows, without = view_of(store)
    assert windows[0] == ("2026-11-24 02:59:00", 10)
    assert sum(seen for _, _, seen in without) == 970


def test_killed_on_the_way_it_goes_on() -> None:
    store = device()
    live(store, 1_000)
    store.kill()
    store.start()
    live(store, 30)
    store.learn(T0 + 1_030 * S)
    store.kill()
    store.start()
    assert [item["rev"] for item in store.sums(M1)] == [0, 0]
    store.learn(T0 + 1_030 * S)
    live(store, 1)
    assert sorted(item["of"] for item in store.sums(M1) if item["rev"]) == [2, 3]


def test_a_lane_that_ended_goes_out_too() -> None:
    store = device()
    live(store, 30)
    store.now_us += 2_000 * S
    store.commit()
    assert store.items() == []
    store.start()
    assert [item["fr"]["seen"] for item in store.sums(M1)] == [30]


def test_under_another_name_what_went_out_stays_undated() -> None:
    store = device()
    live(store, 970)
    store.start(device="site/other")
    store.learn(T0 + 970 * S)
    live(store, 61)
    first, *others = store.sums(M1)
    assert (first["w"], first["of"], first["d"]) == (None, 2, "site/name")
    assert not [item for item in others if item["rev"] or item["w"] is None]
    assert {item["d"] for item in others} == {"site/other"}
    assert sum(item["fr"]["seen"] for item in (first, *others)) == 1_020, "17 minutes"
    assert kept.read(store.connection, kept.UNDATED) is None


def test_an_item_that_is_gone_is_not_corrected_and_stops_nothing() -> None:
    store = device()
    live(store, 1_050)
    store.connection.execute("DELETE FROM item WHERE seq = 2")
    store.connection.execute("UPDATE item SET body = x'7b' WHERE seq = 3")
    store.learn(T0 + 1_050 * S)
    store.commit()
    assert store.connection.execute("SELECT of FROM item WHERE of <> seq").fetchall() == [(1,)], "the gap item"
    assert store.connection.execute("SELECT count(*) FROM summary WHERE dated = 0").fetchone() == (0,)


def test_events_wait_go_out_and_are_corrected() -> None:
    store = device()
    live(store, 10, event="start")
    live(store, 890, event="end")
    assert store.items("event/yard") == []
    live(store, 20)
    start, end = store.items("event/yard")
    assert (start["t"], start["mono"], end["t"], end["mono"]) == (None, [600_000, None], None, [600_000, 10_600_000])
    store.learn(T0 + 920 * S)
    store.commit()
    first, second_ = store.items("event/yard")[2:]
    assert (first["of"], first["rev"], first["t"]) == (1, 1, ["2026-11-24T03:00:00.600Z", None])
    assert (second_["of"], second_["t"]) == (2, ["2026-11-24T03:00:00.600Z", "2026-11-24T03:00:10.600Z"])
    for (body,) in store.connection.execute(
        "SELECT body FROM item JOIN name ON name.id = stream WHERE text = 'event/yard'"
    ):
        envelope.decode(body, EventBody)


def test_days_and_hours_of_a_boot_without_a_clock() -> None:
    """26 h, then a fix: the first day of boot time is one item, corrected; the hours after it are dated and make a day with those to come."""
    store = device(3_600, 86_400)
    live(store, 26 * 3_600, step_s=300)
    hours, days = store.sums("summary/yard/h1"), store.sums("summary/yard/d1")
    assert [hour["mono"][0] // (3_600 * S) for hour in hours] == list(range(25))
    assert [day["mono"] for day in days] == [[0, 86_400 * S]]
    assert days[0]["fr"]["seen"] == sum(hour["fr"]["seen"] for hour in hours[:24])
    store.learn(T0 + 26 * 3_600 * S)
    live(store, 20 * 3_600, step_s=300)
    days = store.sums("summary/yard/d1")
    assert [(day["w"][0], day["rev"]) for day in days[1:]] == [
        ("2026-11-24T03:00:00.000Z", 1),
        ("2026-11-25T00:00:00Z", 0),
    ]
    hours = [hour for hour in store.sums("summary/yard/h1") if hour["w"]]
    later = [hour for hour in hours if "2026-11-25T03" <= hour["w"][0] < "2026-11-26"]
    assert days[2]["fr"]["seen"] == sum(hour["fr"]["seen"] for hour in later) == 21 * 12


def test_more_than_one_group_takes() -> None:
    store = StoreByHand({"yard": (1,)}, hooks)
    for _ in range(1_700):
        store.now_us += S
        store.job(lane_second_job(second("yard", store.now_us, found("face"))))
    store.commit()
    assert len(store.sums("summary/yard/s1")) == 800
    before = store.groups
    store.learn(T0 + 1_700 * S)
    store.commit()
    assert store.groups - before >= 3
    corrections = [item for item in store.sums("summary/yard/s1") if item["rev"]]
    assert [item["of"] for item in corrections] == list(range(2, 802))
    assert len(view_of(store)[0]) == 1_699

"""Events become items: one each, once, dated, over restarts and boots."""

import msgspec
from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages import envelope
from agent.messages.event import Event as Body
from agent.messages.times import parse
from agent.records import Event
from agent.store.lane_rows import lane_second_job
from agent.summaries import event_items

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")


def device() -> StoreByHand:
    return StoreByHand({"yard": (60,)}, lambda: [event_items.hook()])


def happen(store: StoreByHand, phase: str, rule: str = "face-seen", lane: str = "yard") -> None:
    store.now_us += S
    event = Event(
        at_us=store.now_us - 400_000, rule=rule, severity="warn", phase=phase, model="faces", label="face", score=0.91 if phase == "start" else None,
        box=(0.1, 0.2, 0.5, 0.9) if phase == "start" else None,
    )  # fmt: skip
    store.job(lane_second_job(second(lane, store.now_us, found("face"), events=(event,))))


def test_a_start_and_its_end_are_an_item_each() -> None:
    store = device()
    store.learn(T0)
    happen(store, "start")
    store.commit()
    happen(store, "end")
    store.commit()
    start, end = store.items("event/yard")
    assert start == {
        "v": 1, "d": "site/name", "k": "evt", "epoch": store.transaction.epoch_text, "st": "event/yard", "seq": 1, "of": 1, "rev": 0,
        "at": "2026-11-24T03:00:01.000Z", "tq": {"s": "ntp", "e": 1}, "boot": 1, "t": ["2026-11-24T03:00:00.600Z", None], "rule": "face-seen",
        "sev": "warn", "phase": "start", "track": None, "model": "faces", "label": "face", "score": 0.91, "box": [0.1, 0.2, 0.5, 0.9],
        "zone": None, "media": None,
    }  # fmt: skip
    assert (end["seq"], end["of"], end["phase"]) == (2, 2, "end")
    assert end["t"] == ["2026-11-24T03:00:00.600Z", "2026-11-24T03:00:01.600Z"]
    for (body,) in store.connection.execute("SELECT body FROM item"):
        envelope.decode(body, Body)


def test_an_end_belongs_to_the_start_of_its_own_rule_and_lane() -> None:
    store = device()
    store.learn(T0)
    happen(store, "start")
    happen(store, "start", rule="other")
    happen(store, "start", lane="gate")
    happen(store, "end")
    store.commit()
    assert store.items("event/yard")[-1]["t"] == ["2026-11-24T03:00:00.600Z", "2026-11-24T03:00:03.600Z"]


def test_each_row_once_over_restarts_and_groups() -> None:
    store = device()
    store.learn(T0)
    for number in range(20):
        happen(store, "start" if number % 2 == 0 else "end")
        if number % 3 == 0:
            store.commit()
        if number % 5 == 4:
            store.commit()
            store.start()
    happen(store, "start")
    store.kill()
    store.commit()
    assert [item["phase"] for item in store.items("event/yard")] == ["start", "end"] * 10
    assert store.connection.execute("SELECT count(*) FROM event").fetchone() == (20,)


def test_an_undone_group_makes_its_items_again() -> None:
    store = device()
    store.learn(T0)
    store.commit()
    happen(store, "start")
    store.commit(undo=True)
    assert store.items() == []
    happen(store, "start")
    store.commit()
    assert [item["seq"] for item in store.items()] == [1]


def test_events_wait_for_the_time_of_their_boot() -> None:
    store = device()
    happen(store, "start")
    store.commit()
    store.start()
    store.commit()
    assert store.items() == []
    store.learn(T0 + S)
    store.commit()
    assert [item["t"][0] for item in store.items()] == ["2026-11-24T03:00:00.600Z"]


def test_an_end_after_a_boot_knows_its_start_if_that_is_dated() -> None:
    store = device()
    store.learn(T0)
    happen(store, "start")
    store.commit()
    store.now_us = 0
    store.start(boot="boot-two")
    happen(store, "start", rule="undated")
    store.commit()
    store.now_us = 0
    store.start(boot="boot-three")
    store.learn(T0 + 60 * S)
    happen(store, "end")
    happen(store, "end", rule="undated")
    store.commit()
    first, undated, second_, third = store.items()
    assert first["phase"] == "start"
    assert (undated["t"], undated["mono"], undated["tq"]["s"], undated["boot"]) == (None, [600_000, None], "none", 2)
    assert second_["t"] == ["2026-11-24T03:00:00.600Z", "2026-11-24T03:01:00.600Z"]
    assert (second_["boot"], second_["seq"]) == (3, 2)
    assert third["t"] == ["2026-11-24T03:01:01.600Z"] * 2


def test_more_events_than_one_group_takes() -> None:
    store = StoreByHand({"yard": (60,)}, lambda: [event_items.hook(undated_after_us=10_000 * S)])
    for _ in range(1_500):
        happen(store, "start")
    store.commit()
    before = store.groups
    store.learn(T0)
    store.commit()
    assert store.groups - before == 2
    assert len(store.items()) == 1_500


def test_a_row_that_is_no_event_is_named_and_the_rest_goes_on() -> None:
    store = device()
    happen(store, "start")
    happen(store, "end")
    store.commit()
    store.connection.execute("UPDATE event SET body = '{}' WHERE phase = 0")
    store.learn(T0)
    store.commit()
    assert [item["phase"] for item in store.items()] == ["end"]
    assert list(store.faults) == ["event/yard"]
    assert msgspec.json.encode(store.items())

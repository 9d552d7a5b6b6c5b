"""Results as columns: every row once, in order, over groups, kills and boots; and a subscriber reads them back as rows."""

import json
import random
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages import batch, topics
from agent.messages.envelope import decode
from agent.messages.results import Results
from agent.messages.times import parse
from agent.records import Detections, Inference, LaneSecond, Tick
from agent.store.lane_rows import lane_second_job
from agent.subscriber.view import open_view
from agent.summaries import result_items

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")
DEVICE = "site/name"


def device() -> StoreByHand:
    return StoreByHand({"yard": (60,)}, lambda: [result_items.hook(("yard", "door"))])


def bodies(store: StoreByHand) -> list[Results]:
    rows = store.connection.execute(
        "SELECT body FROM item JOIN name ON name.id = stream WHERE text LIKE 'result/%' ORDER BY item.id"
    )
    return [decode(body, Results) for (body,) in rows]


def live(store: StoreByHand, seconds: int, each: int = 4, lane: str = "yard") -> None:
    for _ in range(seconds):
        store.now_us += S
        store.job(lane_second_job(second(lane, store.now_us, *[found("face", "hand")] * each)))
        store.commit()


def test_an_item_has_a_thousand_rows_or_a_minute_s() -> None:
    store = device()
    store.learn(T0)
    live(store, 59, 4)
    assert bodies(store) == [], "472 rows, none waits for a minute yet"
    live(store, 5, 4)
    assert [one.n for one in bodies(store)] == [488], "the first has waited since the first second"
    live(store, 60, 100)
    assert max(one.n for one in bodies(store)) == 1_000


def test_columns_say_what_the_rows_say(tmp_path: Path) -> None:
    store = device()
    store.learn(T0)
    rng = np.random.default_rng(5)
    labels = ("face", "hand", "cat")
    for number in range(70):
        store.now_us += S
        detections = Detections(
            labels=tuple(labels[place] for place in rng.integers(0, 3, 3)), scores=rng.random(3).astype(np.float32), boxes=rng.random((3, 4)).astype(np.float32),
        )  # fmt: skip
        plain = Detections(labels=("level",), scores=np.array([1.0], np.float32), values=np.array([number / 7]))
        vector = Detections(
            labels=("",), scores=np.array([0.5], np.float32), vectors=rng.random((1, 4)).astype(np.float32)
        )
        job = LaneSecond(
            lane="yard", tick=Tick(at_us=store.now_us, alive_us=S, dropped=0), seen=3, gated=0, inferred=3, failed=0,
            inferences=tuple(
                Inference(model=model, at_us=store.now_us - 900_000 + 250_000 * place, detections=one, took_ms=1.0)
                for place, (model, one) in enumerate((("faces", detections), ("gauge", plain), ("embed", vector)))
            ),
            events=(), models={}, measured={}, latencies={},
        )  # fmt: skip
        store.job(lane_second_job(job))
        store.commit()
    store.now_us += 61 * S
    store.commit()
    found_items = bodies(store)
    rows = store.connection.execute(
        "SELECT utc, lane, model, label, score, x0, y0, x1, y1, track, value, extra FROM results ORDER BY id"
    ).fetchall()
    assert sum(one.n for one in found_items) == len(rows) == 350
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        payload = batch.pack([msgspec.json.encode(one) for one in found_items])[0]
        assert view.take([(topics.back(DEVICE, "result/yard"), payload)] * 2, 0.0).unreadable == 0
        read = view.connection.execute(
            "SELECT utc, lane, model, label, score, x0, y0, x1, y1, track, value, extra FROM raw_results ORDER BY seq, place"
        ).fetchall()
    from base64 import b64decode

    assert [(*row[:-1], None if row[-1] is None else b64decode(row[-1])) for row in read] == rows


def test_a_column_of_one_value_is_that_value() -> None:
    store = device()
    store.learn(T0)
    live(store, 1, 1)
    store.now_us += 61 * S
    store.commit()
    (one,) = bodies(store)
    assert (one.m, one.s, one.track, one.value, one.x) == (0, 9000, None, None, None)
    assert one.l == [0, 1]
    assert one.box == (1000, 2000, 5000, 9000)
    assert one.dt == [0, 0]


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_each_row_is_in_one_item_over_groups_kills_and_boots(seed: int) -> None:
    rng = random.Random(seed)
    store = device()
    if rng.random() < 0.8:
        store.learn(T0)
    boot = 0
    for _ in range(rng.randint(1, 60)):
        match rng.randint(0, 9):
            case 0:
                store.kill()
                store.start(boot=f"boot-{boot}")
            case 1:
                boot += 1
                store.now_us = 0
                store.start(boot=f"boot-{boot}")
            case 2:
                store.learn(T0 + boot * 10**9 + store.now_us)
            case 3:
                store.now_us += 70 * S
                store.commit()
            case _:
                store.now_us += S
                store.job(
                    lane_second_job(
                        second(rng.choice(["yard", "door"]), store.now_us, *[found("face")] * rng.choice([0, 3, 300]))
                    )
                )
                if rng.random() < 0.5:
                    store.commit()
    store.learn(T0 + boot * 10**9 + store.now_us + 1)
    for _ in range(5):
        store.now_us += 61 * S
        store.commit()
    for lane in ("yard", "door"):
        (rows,) = store.connection.execute(
            "SELECT count(*) FROM result JOIN name ON name.id = lane WHERE text = ?", (lane,)
        ).fetchone()
        items = [one for one in bodies(store) if one.st == f"result/{lane}"]
        assert sum(one.n for one in items) == rows
        assert all(one.n <= 1_000 for one in items)
        for one in items:
            assert len(one.dt) == one.n
            from_us, to_us = (parse(one.t[0]), parse(one.t[1])) if one.t is not None else one.mono
            assert abs(sum(one.dt) - (to_us - from_us) / 1000) <= 1
    assert store.faults == {}


def test_columns_cost_a_fifteenth_of_single_messages() -> None:
    """IP bytes: MQTT and TCP/IP headers with their acknowledgements; noise in every box and score, as tracks that move have."""
    store = device()
    store.learn(T0)
    rng = np.random.default_rng(3)
    place = rng.random((3, 4))
    for _ in range(80):
        store.now_us += S
        inferences = []
        for frame in range(5):
            place = np.clip(place + rng.normal(0, 0.01, place.shape), 0, 1)
            one = Detections(
                labels=("person", "person", "car"),
                scores=(0.6 + 0.3 * rng.random(3)).astype(np.float32),
                boxes=place.astype(np.float32),
            )
            inferences.append(
                Inference(
                    model="yolo",
                    at_us=store.now_us - S + 200_000 * frame + int(rng.integers(0, 9_000)),
                    detections=one,
                    took_ms=9.0,
                )
            )
        job = LaneSecond(
            lane="yard", tick=Tick(at_us=store.now_us, alive_us=S, dropped=0), seen=5, gated=0, inferred=5, failed=0, inferences=tuple(inferences),
            events=(), models={}, measured={}, latencies={},
        )  # fmt: skip
        store.job(lane_second_job(job))
        store.commit()
    (columns, *_) = bodies(store)
    assert columns.n in range(800, 1_001)
    packed = len(batch.pack([msgspec.json.encode(columns)])[0]) + 200
    single = 0
    for utc, lane, model, label, score, *box in store.connection.execute(
        "SELECT utc, lane, model, label, score, x0, y0, x1, y1 FROM results LIMIT 1000"
    ):
        text = json.dumps(
            {"v": 1, "d": DEVICE, "at": utc, "lane": lane, "model": model, "label": label, "score": score, "box": box},
            separators=(",", ":"),
        )
        single += len(text) + 45 + 108  # topic and header; TCP/IP of message and PUBACK, as measured
    assert packed / columns.n * 1_000 < single / 15

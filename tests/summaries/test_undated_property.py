"""Whatever a device without a clock goes through, every row is told once: in a window, or by its boot time; and told which of the two."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages.times import parse
from agent.store.lane_rows import lane_second_job
from agent.store.reader import undated
from agent.subscriber.view import open_view
from agent.summaries import redating, rollup

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")
GRAINS = {"yard": (5, 20), "pump": (5,)}
WAIT_S = 30
KEYS = ("seen", "gated", "inf", "drop", "fail")


class Second(msgspec.Struct, frozen=True):
    lane: str
    after_s: int
    faces: int
    dropped: int


class Learn(msgspec.Struct, frozen=True):
    utc_ms: int


class Start(msgspec.Struct, frozen=True):
    killed: bool
    how: str


Step = Second | Learn | Start | None  # None: a commit
SECONDS = st.builds(
    Second,
    lane=st.sampled_from(["yard", "yard", "pump"]),
    after_s=st.sampled_from([1, 1, 3, 7, 20]),
    faces=st.integers(0, 2),
    dropped=st.integers(0, 1),
)
LEARN = st.builds(Learn, utc_ms=st.sampled_from([0, 250, -90_000, 40_000]))
START = st.builds(Start, killed=st.booleans(), how=st.sampled_from(["same", "boot", "boot", "rename", "no pump"]))
STEPS = st.lists(st.one_of(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, st.none(), LEARN, START), max_size=80)
NO_STARTS = st.lists(st.one_of(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, LEARN), max_size=80)


def run(steps: list[Step], commit_at: Callable[[int], bool] = lambda _: False) -> StoreByHand:
    device = StoreByHand(
        GRAINS,
        lambda: [rollup.hook("sha256:cc", {}, merged_from={20: 5}, undated_after_us=WAIT_S * S), redating.hook()],
    )
    boots = utc_ms = 0
    for place, step in enumerate(steps):
        match step:
            case Second() if step.lane in device.grains:
                device.now_us += step.after_s * S
                device.job(
                    lane_second_job(
                        second(step.lane, device.now_us, *[found("face")] * step.faces, dropped=step.dropped)
                    )
                )
            case Learn():
                utc_ms += step.utc_ms
                device.learn(T0 + device.now_us + utc_ms * 1_000)
                device.commit()  # a fix ends its group
            case None:
                device.commit()
            case Start():
                device.kill() if step.killed else device.commit()
                if step.how == "boot":
                    boots += 1
                    device.now_us = 0
                device.grains = {"yard": (5, 20)} if step.how == "no pump" else GRAINS
                device.start(f"boot-{boots}", f"site/name-{place}" if step.how == "rename" else None)
        if commit_at(place):
            device.commit()
    device.commit()
    assert device.faults == {}
    return device


def newest(device: StoreByHand) -> list[dict]:
    """Of each first sending of a summary the newest content."""
    found: dict[tuple, dict] = {}
    for item in device.items():
        if item["k"] == "sum":
            found[item["epoch"], item["st"], item["of"]] = item
    return list(found.values())


@settings(max_examples=150)
@given(steps=STEPS)
def test_every_row_is_told_once(steps: list[Step]) -> None:
    device = run(steps)
    connection = device.connection
    items = {(item["epoch"], item["st"], item["seq"]): item for item in device.items()}
    told: Counter = Counter()
    for lane, grain, first, last, dated, epoch, stream, seq in connection.execute(
        "SELECT lane, grain, first_tick, last_tick, dated, epoch.text, name.text, seq FROM summary JOIN epoch ON epoch.id = epoch"
        " JOIN name ON name.id = stream"
    ):
        item = items[epoch, stream, seq]
        assert (item["w"] is None) != dated
        rows = connection.execute(
            "SELECT id, at_us, boot, seen, gated, inferred, dropped, failed FROM tick WHERE lane = ? AND id BETWEEN ? AND ?",
            (lane, first, last),
        ).fetchall()
        told.update((lane, grain, number) for number, *_ in rows)
        assert {boot for _, _, boot, *_ in rows} == {item["boot"]}
        assert [item["fr"][key] for key in KEYS] == [sum(row[place] for row in rows) for place in range(3, 8)]
        if "mono" in item:
            from_us, to_us = item["mono"]
            assert from_us % (grain * S) == 0
            assert to_us - from_us == grain * S
            assert all(from_us < at_us <= to_us for _, at_us, *_ in rows)
    assert max(told.values(), default=1) == 1
    waiting: Counter = Counter()
    for lane, grain, from_id in connection.execute("SELECT lane, grain, from_id FROM grain").fetchall():
        ticks = connection.execute(
            "SELECT id, boot FROM tick WHERE lane = ? AND id >= ? ORDER BY id", (lane, from_id)
        ).fetchall()
        missing = [place for place, (number, _) in enumerate(ticks) if (lane, grain, number) not in told]
        assert missing == list(range(len(ticks) - len(missing), len(ticks))), "only the newest are in no item"
        if device.transaction.utc_offset_us is not None:
            assert {ticks[place][1] for place in missing} <= {device.transaction.boot}
        elif grain == 5:
            (text,) = connection.execute("SELECT text FROM name WHERE id = ?", (lane,)).fetchone()
            waiting[text] += sum(
                not connection.execute("SELECT 1 FROM clock WHERE boot = ?", (ticks[place][1],)).fetchone()
                for place in missing
            )
    if device.transaction.utc_offset_us is None and device.grains == GRAINS:
        assert {lane: ticks for lane, (ticks, _) in undated(connection).items() if ticks} == +waiting


@settings(max_examples=100)
@given(steps=STEPS)
def test_a_correction_is_what_it_corrects_with_the_time(steps: list[Step]) -> None:
    device = run(steps)
    firsts: dict[tuple, dict] = {}
    running, known = device.transaction.epoch_text, device.transaction.utc_offset_us is not None
    for item in device.items():
        key = item["epoch"], item["st"], item["of"]
        if item["of"] == item["seq"]:
            firsts[key] = item
            continue
        first = firsts.pop(key)
        told = {"seq", "of", "rev", "at", "tq", "w", "gap"}
        assert {name: value for name, value in item.items() if name not in told} == {
            name: value for name, value in first.items() if name not in told
        }
        assert (first["rev"], item["rev"], first["tq"]["s"], item["tq"]["s"]) == (0, 1, "none", "ntp")
        assert item["k"] == "gap" or (first["w"] is None and item["w"][1] == (item["mono"][1] - item["mono"][0]) // S)
    for (epoch, _, _), first in firsts.items():
        if "mono" in first:
            assert not (known and epoch == running and first["boot"] == device.transaction.boot), "never corrected"


@settings(max_examples=60)
@given(steps=NO_STARTS, seed=st.integers(0, 2**16))
@example(
    steps=[Second("yard", 1, 0, 0), *[Second("yard", 20, 0, 0)] * 3, Learn(0)], seed=8
)  # a fix in the group of a window just due
def test_what_goes_out_does_not_depend_on_grouping(steps: list[Step], seed: int) -> None:
    """So a replay makes the same rows as the run it was recorded from, also when the time came late."""

    def told(commit_at: Callable[[int], bool]) -> list[str]:
        left_out = ("epoch", "seq", "of", "at")
        items = [item for item in run(steps, commit_at).items() if item["k"] == "sum"]
        return sorted(str({key: value for key, value in item.items() if key not in left_out}) for item in items)

    assert told(lambda _: False) == told(lambda _: True) == told(lambda place: (place * 7919 + seed) % 3 == 0)


@settings(max_examples=40)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_a_subscriber_counts_the_same_in_any_order(steps: list[Step], order: Random) -> None:
    device = run(steps)
    rows = device.connection.execute("SELECT text, body FROM item JOIN name ON name.id = stream").fetchall()
    messages = [(f"edge/v1/{msgspec.json.decode(body)['d']}/back/{stream}", body) for stream, body in rows]
    order.shuffle(messages)
    with (
        TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder,
        open_view(Path(folder) / "view.sqlite", start=1) as view,
    ):
        taken = view.take(messages, 0.0)
        assert (taken.new, taken.unreadable) == (len(rows), 0)
        dated = view.connection.execute("SELECT stream, window_us, sum(seen) FROM windows GROUP BY 1, 2").fetchall()
        without = view.connection.execute(
            "SELECT stream, boot, from_s, sum(seen) FROM undated GROUP BY 1, 2, 3"
        ).fetchall()
    windows: Counter = Counter()
    boots: Counter = Counter()
    for item in newest(device):
        if item["w"] is None:
            boots[item["st"], item["boot"], item["mono"][0] / 1e6] += item["fr"]["seen"]
        else:
            windows[item["st"], parse(item["w"][0])] += item["fr"]["seen"]
    assert {(stream, window): seen for stream, window, seen in dated} == windows
    assert {(stream, boot, from_s): seen for stream, boot, from_s, seen in without} == boots

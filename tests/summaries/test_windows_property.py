"""Whatever a device goes through, its summaries hold each row of a closed window once: ticks, fixes, kills, boots, renames, grouping."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peers.lane_seconds import found, second
from peers.store_by_hand import StoreByHand

from agent.messages.times import parse
from agent.store.lane_rows import lane_second_job
from agent.subscriber.view import open_view
from agent.summaries import rollup

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")
FOREVER_US = 1 << 60
GRAINS = {"yard": (5, 20), "pump": (5,)}


class Second(msgspec.Struct, frozen=True):
    """One second of every lane, or of one that is late."""

    lane: str
    after_ms: int
    faces: int
    gated: int
    dropped: int
    alive_ms: int


class Learn(msgspec.Struct, frozen=True):
    utc_s: int


class Commit(msgspec.Struct, frozen=True):
    pass


class Start(msgspec.Struct, frozen=True):
    """How it ends and begins: killed (jobs lost), or in good order; the same boot, a new one, a new name, without the pump."""

    killed: bool
    how: str


Step = Second | Learn | Commit | Start
SECONDS = st.builds(
    Second,
    lane=st.sampled_from(["yard", "yard", "yard", "pump"]),
    after_ms=st.sampled_from([1000, 1000, 1000, 250, 7000, 60_000]),
    faces=st.integers(0, 2),
    gated=st.integers(0, 2),
    dropped=st.integers(0, 1),
    alive_ms=st.integers(0, 1000),
)
LEARN = st.builds(Learn, utc_s=st.sampled_from([0, 3, -90, 40, 3600]))
START = st.builds(
    Start, killed=st.booleans(), how=st.sampled_from(["same", "same", "boot", "rename", "no pump", "slow grains"])
)
STEPS = st.lists(st.one_of(SECONDS, SECONDS, SECONDS, SECONDS, st.just(Commit()), LEARN, START), max_size=60)
MERGED_STEPS = st.lists(
    st.one_of(
        SECONDS, SECONDS, SECONDS, SECONDS, st.just(Commit()), LEARN,
        st.builds(Start, killed=st.booleans(), how=st.sampled_from(["same", "same", "boot", "rename", "no pump"])),
    ),
    max_size=60,
)  # fmt: skip
FORWARD = st.builds(Learn, utc_s=st.sampled_from([0, 3, 40]))
NO_STARTS = st.lists(st.one_of(SECONDS, SECONDS, SECONDS, SECONDS, st.just(Commit()), FORWARD), max_size=60)


def new_device() -> StoreByHand:
    return StoreByHand(GRAINS, lambda: [rollup.hook("sha256:cc", {}, {"yard"}, undated_after_us=FOREVER_US)])


def run(device: StoreByHand, steps: list[Step], commit_at: Callable[[int], bool] = lambda _: False) -> None:
    boots = 0
    utc_s = 0
    for place, step in enumerate(steps):
        match step:
            case Second() if step.lane in device.grains:
                device.now_us += step.after_ms * 1000
                job = second(
                    step.lane, device.now_us, *[found("face")] * step.faces, gated=step.gated, dropped=step.dropped, alive_us=step.alive_ms * 1000
                )  # fmt: skip
                device.job(lane_second_job(job))
            case Learn():
                utc_s += step.utc_s
                device.learn(T0 + device.now_us + utc_s * S)
                device.now_us += 1
                device.commit()  # a fix ends its group
            case Commit():
                device.commit()
            case Start():
                device.kill() if step.killed else device.commit()
                boots += step.how == "boot"
                if step.how == "boot":
                    device.now_us = boots  # a new boot counts from zero
                device.grains = {"no pump": {"yard": (5, 20)}, "slow grains": {"yard": (20,), "pump": (20,)}}.get(
                    step.how, GRAINS
                )
                device.start(f"boot-{boots}", f"site/name-{place}" if step.how == "rename" else None)
        if commit_at(place):
            device.commit()
    device.commit()


def content(item: dict) -> Counter:
    counts = Counter({key: item["fr"][key] for key in ("seen", "gated", "inf", "drop", "fail")})
    seconds = item["w"][1] if item["w"] else (item["mono"][1] - item["mono"][0]) // S
    counts["alive_us"] = round(item["cover"] * seconds * S)
    counts["faces"] = sum(sum(model["n"].values()) for model in item["models"].values())
    counts["model_inf"] = sum(model["inf"] for model in item["models"].values())
    counts["timed"] = sum(count for model in item["models"].values() for _, count in model["lat"]["sk"]["b"])
    return counts


def expected(device: StoreByHand) -> tuple[dict[tuple, Counter], dict[tuple, set]]:
    """Straight from the rows, tick by tick: what each (stream, epoch of the rows, window) of the closed ticks adds up to; and what is open."""
    connection = device.connection
    clocks = defaultdict(list)
    for boot, from_us, offset_us in connection.execute(
        "SELECT boot, from_us, utc_offset_us FROM clock ORDER BY boot, from_us"
    ):
        clocks[boot].append((from_us, offset_us))
    epochs = connection.execute("SELECT after_id, text FROM epoch ORDER BY id").fetchall()
    closed_to = {
        (lane, grain): last
        for lane, grain, last in connection.execute(
            "SELECT text, grain, max(last_tick) FROM summary JOIN name ON name.id = lane GROUP BY lane, grain"
        )
    }
    ticks = connection.execute(
        "SELECT tick.id, boot, at_us, text, seen, gated, inferred, dropped, failed, alive_us, lane FROM tick JOIN name ON name.id = lane ORDER BY tick.id"
    ).fetchall()
    # A grain that came or went is judged by the tests beside this one.
    made = connection.execute("SELECT text, grain FROM grain JOIN name ON name.id = lane WHERE from_id = 1").fetchall()
    closed: dict[tuple, Counter] = defaultdict(Counter)
    left: dict[tuple, set] = defaultdict(set)
    before: dict[str, int] = {}
    for tick, boot, at_us, lane, seen, gated, inferred, dropped, failed, alive_us, lane_id in ticks:
        faces = connection.execute(
            "SELECT count(*) FROM result WHERE lane = ? AND id > ? AND id < ?", (lane_id, before.get(lane, 0), tick)
        ).fetchone()[0]
        before[lane] = tick
        if not clocks[boot]:
            continue
        offset_us = [offset for from_us, offset in clocks[boot] if from_us < at_us] or [clocks[boot][0][1]]
        epoch = [text for after_id, text in epochs if after_id < tick][-1]
        for grain in [grain for of_lane, grain in made if of_lane == lane]:
            last_us = at_us - 1 + offset_us[-1]
            window = last_us - last_us % (grain * S)
            if tick <= closed_to.get((lane, grain), 0):
                counts = Counter(
                    seen=seen, gated=gated, inf=inferred, drop=dropped, fail=failed, alive_us=alive_us, faces=faces
                )
                closed[lane, grain, epoch, window].update(counts)
            else:
                left[lane, grain].add((epoch, window))
    return closed, left


def summed(device: StoreByHand) -> dict[tuple, Counter]:
    sums: dict[tuple, Counter] = defaultdict(Counter)
    for item in device.items():
        if item["k"] == "sum" and item["w"]:  # test_undated_property.py has the others
            _, lane, _ = item["st"].split("/")
            key = lane, item["w"][1], item.get("carry", [item["epoch"]])[0], parse(item["w"][0])
            sums[key].update(content(item))
    return sums


@settings(max_examples=120)
@given(steps=STEPS)
def test_the_items_hold_each_row_of_a_closed_window_once(steps: list[Step]) -> None:
    device = new_device()
    run(device, steps)
    closed, left = expected(device)
    sums = summed(device)
    kept = {(lane, grain) for lane, grain, *_ in closed} | set(left)
    for key, counts in closed.items():
        for name, count in counts.items():
            assert sums[key][name] == count, (key, name)
    assert {key for key in sums if key[:2] in kept} <= set(closed)
    for key, runs in left.items():
        dated = device.transaction.utc_offset_us is not None
        assert not dated or (len(runs) <= 1 and all(epoch == device.transaction.epoch_text for epoch, _ in runs)), key
    assert device.faults == {}


@settings(max_examples=120)
@given(steps=MERGED_STEPS)
def test_windows_merged_from_finer_ones_hold_each_row_once_too(steps: list[Step]) -> None:
    """The 20 s of the yard are made of its 5 s: over fixes, kills, boots and renames they say what a reading of the rows says."""
    device = StoreByHand(
        GRAINS, lambda: [rollup.hook("sha256:cc", {}, {"yard"}, merged_from={20: 5}, undated_after_us=FOREVER_US)]
    )
    run(device, steps)
    closed, left = expected(device)
    sums = summed(device)
    for key, counts in closed.items():
        for name, count in counts.items():
            assert sums[key][name] == count, (key, name)
    kept = {(lane, grain) for lane, grain, *_ in closed} | set(left)
    assert {key for key in sums if key[:2] in kept} <= set(closed)
    finer = {key: counts for key, counts in sums.items() if key[:2] == ("yard", 5)}
    for (lane, grain, epoch, window), counts in sums.items():
        if (lane, grain) == ("yard", 20):
            parts = [finer.get((lane, 5, epoch, start), Counter()) for start in range(window, window + 20 * S, 5 * S)]
            assert sum(parts, Counter()) == +counts
    assert device.faults == {}


@settings(max_examples=40)
@given(steps=MERGED_STEPS, seed=st.integers(0, 2**16))
def test_merged_windows_do_not_depend_on_grouping(steps: list[Step], seed: int) -> None:
    steps = [step for step in steps if not isinstance(step, Start)]

    def bodies(commit_at: Callable[[int], bool]) -> list[tuple]:
        device = StoreByHand(
            GRAINS, lambda: [rollup.hook("sha256:cc", {}, {"yard"}, merged_from={20: 5}, undated_after_us=FOREVER_US)]
        )
        run(device, steps, commit_at)
        return [
            (item["st"], item["w"], content(item))
            for item in device.items()
            if item["k"] == "sum" and item["st"].endswith("s20")
        ]

    assert bodies(lambda _: False) == bodies(lambda place: (place * 7919 + seed) % 3 == 0)


@settings(max_examples=80)
@given(steps=STEPS)
def test_each_item_is_well_formed(steps: list[Step]) -> None:
    device = new_device()
    run(device, steps)
    first: dict[tuple, str] = {}
    after = dict(device.connection.execute("SELECT text, after_id FROM epoch"))
    for item in device.items():
        assert first.setdefault((item["epoch"], item["st"]), item["k"]) == "gap"
        if item["k"] == "gap":
            assert item["seq"] == 1
            continue
        fr, counts = item["fr"], content(item)
        assert fr["seen"] == fr["gated"] + fr["inf"] + fr["drop"] + fr["fail"]
        assert counts["timed"] == counts["model_inf"] == fr["inf"]
        start_us = parse(item["w"][0]) if item["w"] else item["mono"][0]
        assert start_us % (item["w"][1] * S if item["w"] else item["mono"][1] - start_us) == 0
        if "carry" in item:
            assert after[item["carry"][0]] < after[item["epoch"]] or item["carry"][0] != item["epoch"]
    ranges = device.connection.execute(
        "SELECT lane, grain, first_tick, last_tick FROM summary ORDER BY lane, grain, first_tick"
    ).fetchall()
    for one, other in pairwise(ranges):
        assert one[:2] != other[:2] or one[3] < other[2]
    for after_id in after.values():
        crossing = "SELECT count(*) FROM summary WHERE first_tick <= ? AND last_tick > ?"
        assert device.connection.execute(crossing, (after_id, after_id)).fetchone() == (0,)


def without(item: dict) -> dict:
    """What may depend on when it was stored is left out. A gap ends at the lane's first tick, or now where there is none yet."""
    left = {key: value for key, value in item.items() if key not in ("at", "seq", "of", "epoch", "gap")}
    if "carry" in item:
        left["carry"] = item["carry"][1]
    return left


@settings(max_examples=80)
@example(
    steps=[
        Second("yard", 1000, 0, 0, 0, 0),
        Second("yard", 1000, 0, 0, 0, 0),
        Learn(0),
        Second("yard", 1000, 0, 0, 0, 0),
        Start(False, "same"),
        Learn(3),
        Learn(-90),
    ],
    every=1,
)
@given(steps=STEPS, every=st.integers(1, 5))
def test_grouping_commits_otherwise_gives_equal_bodies(steps: list[Step], every: int) -> None:
    steps = [step if not isinstance(step, Start) else Start(False, step.how) for step in steps]
    one, other = new_device(), new_device()
    run(one, steps)
    run(other, steps, lambda place: place % every == 0)
    streams = {item["st"] for item in one.items()} | {item["st"] for item in other.items()}
    for stream in streams:
        assert [without(item) for item in one.items(stream)] == [without(item) for item in other.items(stream)]


@settings(max_examples=60)
@given(steps=NO_STARTS, kills=st.sets(st.integers(0, 60)))
def test_restarts_within_a_boot_change_no_body(steps: list[Step], kills: set[int]) -> None:
    """At a start a window may close that is over and whose next tick has not come yet: the last one made, and no other differs."""
    restarted: list[Step] = []
    for place, step in enumerate(steps):
        restarted += [step, Start(False, "same")] if place in kills else [step]
    one, other = new_device(), new_device()
    run(one, steps)
    run(other, restarted)
    for stream in ("summary/yard/s5", "summary/yard/s20", "summary/pump/s5"):
        mine, theirs = [without(item) for item in one.items(stream)], [without(item) for item in other.items(stream)]
        assert theirs[: len(mine)] == mine
        assert (
            len([item for item in theirs if item["k"] == "sum"])
            <= len([item for item in mine if item["k"] == "sum"]) + 1
        )


@settings(max_examples=40)
@given(steps=NO_STARTS)
def test_an_hour_is_the_merge_of_its_minutes(steps: list[Step]) -> None:
    device = new_device()
    run(device, [Learn(0), *steps, Second("yard", 3_600_000, 0, 0, 0, 0)])
    small, large = defaultdict(Counter), defaultdict(Counter)
    for item in device.sums("summary/yard/s5"):
        start_us = parse(item["w"][0])
        small[start_us - start_us % (20 * S)].update(content(item) + bins(item))
    for item in device.sums("summary/yard/s20"):
        large[parse(item["w"][0])].update(content(item) + bins(item))
    assert small == large


def bins(item: dict) -> Counter:
    return Counter(
        {
            (model, number): count
            for model, counts in item["models"].items()
            for number, count in counts["lat"]["sk"]["b"]
        }
    )


@settings(max_examples=25)
@given(steps=STEPS)
def test_the_subscriber_takes_all_of_it_and_counts_the_same(steps: list[Step]) -> None:
    device = new_device()
    run(device, steps)
    rows = device.connection.execute(
        "SELECT text, body FROM item JOIN name ON name.id = stream ORDER BY item.id"
    ).fetchall()
    messages = [(f"edge/v1/{msgspec.json.decode(body)['d']}/live/{stream}", body) for stream, body in rows]
    with (
        TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder,
        open_view(Path(folder) / "view.sqlite", start=1) as view,
    ):
        taken = view.take(messages, 0.0)
        assert (taken.new, taken.unreadable) == (len(rows), 0)
        theirs = view.connection.execute(
            "SELECT stream, window_us, sum(seen), sum(gated), sum(inferred), sum(dropped), sum(failed) FROM windows GROUP BY 1, 2"
        )
        mine: dict[tuple, Counter] = defaultdict(Counter)
        for item in device.items():
            if item["k"] == "sum" and item["w"]:
                mine[item["st"], parse(item["w"][0])].update(item["fr"])
        assert {(stream, window): numbers for stream, window, *numbers in theirs} == {
            key: [counts[name] for name in ("seen", "gated", "inf", "drop", "fail")] for key, counts in mine.items()
        }

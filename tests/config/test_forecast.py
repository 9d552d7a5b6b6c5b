"""What `check` forecasts: its rows follow the config, and a device that runs sends as much as was forecast."""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from peers.certificates import Authority
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock
from peers.mosquitto import Broker, mosquitto
from peers.running_sync import syncing

from agent.config.file import File
from agent.config.forecast import Forecast, Row, event_bytes, forecast
from agent.config.read import read
from agent.pipeline.health import Health
from agent.records import LaneSecond
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config as StoreConfig
from agent.store.writer import open_store
from agent.summaries import event_items, rollup
from agent.sync.settings import Budget
from agent.values import Bytes

SHA, DEVICE = "0" * 64, "north-farm/gate-07"
CONFIG = """\
version = 1
[device]
site = "north-farm"
name = "gate-07"
data = "data"
[lane.yard]
summaries = [{grains}]
[lane.yard.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1"
[lane.yard.model.faces]
path = "faces.tflite"
[mqtt]
url = "{url}"
keepalive_s = 1200
"""
# Of the month that the forecast is for.
MINUTES, MONTH_MINUTES = 120, 43_200
LIMIT_S = 60.0


def config(folder: Path, *, grains: str = '"m1", "h1"', url: str = "mqtt://127.0.0.1:1883", more: str = "") -> File:
    (folder / "faces.tflite").write_bytes(b"\x1c\0\0\0TFL3 faces")
    (folder / "edge-agent.toml").write_text(CONFIG.format(grains=grains, url=url) + more)
    return read(folder / "edge-agent.toml").file


def made(file: File) -> Forecast:
    told = forecast(file)
    assert told is not None
    return told


def row(told: Forecast, name: str) -> Row:
    (one,) = [one for one in told.rows if one.name == name]
    return one


def test_nothing_is_forecast_where_nothing_is_sent(tmp_path: Path) -> None:
    file = config(tmp_path)
    assert forecast(msgspec.structs.replace(file, mqtt=None)) is None


def test_each_grain_of_each_lane_has_its_messages(tmp_path: Path) -> None:
    told = made(config(tmp_path, grains='"m1", "h1", "d1", "s300"'))
    counts = {name: row(told, f"summary/yard/{name}").messages for name in ("m1", "h1", "d1", "s300")}
    assert counts == {"m1": 43_200, "h1": 720, "d1": 30, "s300": 8_640}
    assert told.bytes == sum(one.bytes for one in told.rows)
    assert all(one.plan is None for one in told.rows)


def test_tls_and_single_results_cost_more(tmp_path: Path) -> None:
    plain = made(config(tmp_path))
    secure = made(config(tmp_path, url="mqtts://broker.example.com"))
    assert plain.bytes < secure.bytes < plain.bytes * 1.2
    assert plain.thousand_results_bytes is None
    assert made(config(tmp_path, more="[sync]\nresults = true\n")).thousand_results_bytes is not None


@pytest.mark.parametrize(
    ("month", "state", "minutes"),
    [("1 GB", "full", "live"), ("20 MB", "coarse", "held"), ("2 MB", "critical", "held"), ("100 kB", "closed", "held")],
)
def test_what_a_budget_makes_of_it(tmp_path: Path, month: str, state: str, minutes: str) -> None:
    told = made(config(tmp_path, more=f'[budget]\nmonth = "{month}"\n'))
    assert (told.state, row(told, "summary/yard/m1").plan) == (state, minutes)
    assert row(told, "summary/yard/h1").plan == "live"
    if state in ("full", "coarse"):
        assert told.bytes <= Bytes.parse(month)


def looked(at_us: int, rng: random.Random) -> LaneSecond:
    """A second of a camera: 25 frames, the gate lets five through, two labels are seen now and then."""
    labels: list[tuple[str, ...]] = [(), ("person",), ("person", "vehicle"), ("person",), ()]
    took = {118 + round(rng.gauss(0, 2)): 1 for _ in range(5)}
    took[118] = 5 - len(took) + took.get(118, 0)
    one = second("yard", at_us, *[found(*rng.choice(labels)) for _ in range(5)], gated=20)
    return msgspec.structs.replace(one, latencies={"faces": took})


def wait_until(condition: Callable[[], bool], clock: ManualClock, what: str, step_s: float = 0.5) -> None:
    """The device's clock goes on, a little faster than ours."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, what
        clock.advance(step_s)
        time.sleep(0.01)


def run(folder: Path, broker: Broker, **more: object) -> tuple[int, int]:
    """Two hours of a device with a minute's and an hour's summary against a real broker: items, and bytes as the budget counts them by TCP_INFO."""
    clock, rng = ManualClock(boot_us=1_000_000_000, utc="2026-11-24T03:00:00Z"), random.Random(1)
    hooks = [event_items.hook(), rollup.hook(f"sha256:{SHA}", {"yard": {"faces": SHA}}, ["yard"])]
    settings, budget = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0)), Budget(month=Bytes.parse("1 GB"), shared=True)
    with ExitStack() as stack:
        store = stack.enter_context(
            open_store(folder / "data", clock=clock, device=DEVICE, settings=settings, grains={"yard": (60, 3_600)}, hooks=hooks)
        )  # fmt: skip
        store.submit(clock_job(clock.reading()), ends_group=True).wait(LIMIT_S)
        sync = stack.enter_context(
            syncing(store, broker.url, clock=clock, budget=budget, device=DEVICE, keepalive_s=1200, **more)  # type: ignore[arg-type]
        )
        wait_until(lambda: sync.state.connected, clock, "a connection", step_s=0.0)
        health = Health(store, clock, dict, lambda: sync.state.budget)
        at_us, items = clock.boot_us() // 1_000_000 * 1_000_000, 0
        for place in range(1, MINUTES * 60 + 2):
            at_us += 1_000_000
            clock.advance(max(0.0, (at_us - clock.boot_us()) / 1e6))
            store.submit(lane_second_job(looked(at_us, rng)))
            if place % 20 == 1:  # in steps shorter than any time limit of the link
                health.look()
                store.submit(lambda _: None, ends_group=True).wait(LIMIT_S)
                with store.read() as connection:
                    before, (items,) = items, connection.execute("SELECT count(*) FROM item").fetchone()
                if items > before:
                    wait_until(lambda items=items: sync.state.items >= items, clock, f"{items} items")  # type: ignore[misc]
        sync.close()
        assert sync.state.budget is not None
        assert sync.state.connects == 1, sync.state
        return sync.state.items, sync.state.budget.used


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_device_sends_what_was_forecast(tmp_path: Path, secure: bool) -> None:
    tls, more = None, {}
    if secure:
        authority = Authority(tmp_path / "ca")
        tls, more = (authority.file, *authority.issue("broker", names=["DNS:localhost"])), {"ca_file": authority.file}
    with mosquitto(tmp_path, tls=tls) as broker:
        items, used = run(tmp_path, broker, **more)
        told = made(config(tmp_path, url=broker.url))
    assert row(told, "pings").messages == 0
    parts = {one.name: one.bytes * MINUTES / MONTH_MINUTES for one in told.rows if one.name != "connecting"}
    parts["connecting"] = row(told, "connecting").bytes / 30
    expected = sum(row(told, name).messages for name in ("summary/yard/m1", "summary/yard/h1", "health"))
    assert items == pytest.approx(expected * MINUTES / MONTH_MINUTES, abs=3)
    assert used == pytest.approx(sum(parts.values()), rel=0.2), parts


def test_an_event_that_names_a_picture_costs_more(tmp_path: Path) -> None:
    rule = '[rule.seen]\nlane = "yard"\nlabel = "face"\n'
    plain, named = (event_bytes(config(tmp_path, more=rule + more)) for more in ("", "snapshot = true\n"))
    assert 120 <= named - plain <= 200

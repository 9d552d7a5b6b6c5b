"""What results cost on the link, and how fast they cross a slow one: the agent's sync over a counted link (slow_link.py) to a real Mosquitto.

Bytes for 1,000 results on an IP link, both directions, headers and acknowledgements included (TCP_INFO, segments of 1,400 bytes): as columns
(`[sync] results = true`), as minute and as hour summaries, against bare paho with one JSON message a result, each sent when the one before it
is acknowledged. Two faces walk through the picture. What a summary costs hardly depends on how many results it sums up, so it is given for a
lane of 10 results a second, and from how many results a window on the target holds. Connecting, pings and ledgers are not in it.

The rate is that of a backlog of columns over a link that takes 100 or 200 ms each way, from the start of the sync, so the first window, which is
handed over slowly, is in it. `--json`: a line a figure. `--quick`: under 50 s. Needs mosquitto (apt).
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.store.connection import connect_to_read
from agent.store.writer import Store
from agent.summaries.result_items import MOST_ROWS
from benchmarks.brokers import LIMIT_S, Heard, NoBrokerError, broker, listening, syncing, until
from benchmarks.figures import at_least, at_most, known, parser, say, skipped
from benchmarks.lane_load import LANE, commit, open_loaded, walking_second
from benchmarks.slow_link import Crossed, slow_link

DEVICE = "bench/one"
DELAY_S = 0.2
TARGET_RATE = 10_000.0
# A window's length in seconds, and the most that its summaries may cost of what single messages cost.
GRAINS = {60: 1 / 40, 3600: 1 / 400}
TARGET_COLUMNS = 1 / 15
INPUTS = 5  # a second, with two results each
# A day and some minutes after the start of the device, on a full hour of UTC or not: windows that are cut are not counted.
_BEGIN_US = 10**11


def main() -> int:
    arguments = parser(__doc__).parse_args()
    try:
        with broker() as port, listening(port) as heard:
            bytes_a_thousand(port, heard, quick=arguments.quick, as_json=arguments.json)
            for delay_s in (DELAY_S / 2, DELAY_S):
                rate = round(columns_rate(port, heard, delay_s, 100_000 if arguments.quick else 400_000))
                name = f"results/s in columns, {delay_s * 1000:.0f} ms each way"
                say(at_least(name, rate, "/s", target=TARGET_RATE), as_json=arguments.json)
    except NoBrokerError as reason:
        skipped(str(reason))
    return 0


def bytes_a_thousand(port: int, heard: Heard, *, quick: bool, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = one_by_one_lines(Path(folder) / "data", 1_000)
    with slow_link(port) as link:
        crossed = plain_bytes(link.port, lines, link.crossed)
    base = round(crossed.link)
    say(known("one JSON message a result, its payload", round(sum(map(len, lines)) / 1_000), "B"), as_json=as_json)
    say(known("IP bytes for 1,000 results, one JSON message each", base, "B"), as_json=as_json)

    crossed, results = column_bytes(port, heard, 20_000 if quick else 100_000)
    cost = crossed.link / results * 1_000
    say(known("IP bytes for 1,000 results, as columns", round(cost), "B", baseline=base), as_json=as_json)
    say(
        at_most(
            "share of single messages, as columns",
            round(cost / base, 5),
            "ratio",
            baseline=1.0,
            target=round(TARGET_COLUMNS, 5),
        ),
        as_json=as_json,
    )

    for grain_s, most in GRAINS.items():
        windows = {60: 5 if quick else 20, 3600: 2 if quick else 4}[grain_s]
        crossed, results, count = summary_bytes(port, heard, grain_s, windows)
        cost = crossed.link / results * 1_000
        name = f"summaries of {grain_s} s, {INPUTS * 2} results/s"
        say(known(f"IP bytes for 1,000 results, {name}", round(cost, 1), "B", baseline=base), as_json=as_json)
        say(
            at_most(f"share of single messages, {name}", round(cost / base, 6), "ratio", baseline=1.0, target=most),
            as_json=as_json,
        )
        least = round(crossed.link / count / (base * most / 1_000))
        say(known(f"results in {grain_s} s from which that holds", least, "results"), as_json=as_json)


def one_by_one_lines(folder: Path, count: int) -> list[bytes]:
    """The first results of such a lane, each as one would write it by hand."""
    with open_loaded(folder, device=DEVICE) as store:
        fill(store, count)
    with closing(connect_to_read(folder / "edge.sqlite")) as connection:
        connection.row_factory = lambda _cursor, row: row
        rows = connection.execute(
            "SELECT utc, lane, model, label, score, x0, y0, x1, y1 FROM results ORDER BY id LIMIT ?", (count,)
        ).fetchall()
    return [
        json.dumps(
            {"device": DEVICE, "lane": lane, "model": model, "at": at, "label": label, "score": score, "box": box, "seq": place},
            separators=(",", ":"),
        ).encode()
        for place, (at, lane, model, label, score, *box) in enumerate(rows, 1)
    ]  # fmt: skip


def fill(store: Store, results: int, begin_us: int = _BEGIN_US) -> None:
    """In commits of a minute of 50 results a second, as a lane of 25 inputs a second gives them."""
    seconds = results // 50
    for first in range(0, seconds, 20):
        commit(
            store,
            [walking_second(begin_us + 1_000_000 * (first + place + 1)) for place in range(min(20, seconds - first))],
        )


def plain_bytes(port: int, lines: Sequence[bytes], crossed: Callable[[], Crossed]) -> Crossed:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    connected, acknowledged = threading.Event(), threading.Semaphore(0)
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: acknowledged.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait(LIMIT_S)
    before = crossed()
    for line in lines:
        client.publish(f"edge/v1/{DEVICE}/one/result/{LANE}", line, qos=1)
        acknowledged.acquire(timeout=LIMIT_S)
    time.sleep(0.1)  # the last acknowledgement of TCP
    result = crossed().since(before)
    client.disconnect()
    client.loop_stop()
    return result


def column_bytes(port: int, heard: Heard, results: int) -> tuple[Crossed, int]:
    """All of a backlog, and how many results that was."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_loaded(Path(folder) / "data", device=DEVICE, grains=(), results=True) as store,
    ):
        # A first one opens the connection and the stream.
        fill(store, MOST_ROWS)
        with slow_link(port) as link, syncing(store, link.port, device=DEVICE) as sync:
            until(lambda: sync.state.items >= 1, "the first columns")
            before, came = link.crossed(), heard.items
            fill(store, results, _BEGIN_US + 1_000_000_000)
            heard.wait(came + results // MOST_ROWS)
            time.sleep(0.2)
            return link.crossed().since(before), results


def summary_bytes(port: int, heard: Heard, grain_s: int, windows: int) -> tuple[Crossed, int, int]:
    """Summaries as they close, one message each; how many results they sum up, and how many there were."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_loaded(Path(folder) / "data", device=DEVICE, grains=(grain_s,)) as store,
    ):
        at_us = _BEGIN_US

        def run(seconds: int) -> None:
            nonlocal at_us
            for first in range(0, seconds, 60):
                some = min(60, seconds - first)
                commit(store, [walking_second(at_us + 1_000_000 * (place + 1), INPUTS) for place in range(some)])
                at_us += 1_000_000 * some

        came = heard.items
        with slow_link(port) as link, syncing(store, link.port, device=DEVICE) as sync:
            until(lambda: sync.state.connected, "a connection")
            run(2 * grain_s)  # the gap item and a window or two
            heard.wait(came + 2)
            time.sleep(1.0)
            before, came = link.crossed(), heard.items
            for window in range(windows):
                run(grain_s)
                heard.wait(came + window + 1)
            time.sleep(0.2)
            return link.crossed().since(before), windows * grain_s * INPUTS * 2, windows


def columns_rate(port: int, heard: Heard, delay_s: float, results: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_loaded(Path(folder) / "data", device=DEVICE, grains=(), results=True) as store,
    ):
        fill(store, results)
        with slow_link(port, delay_s) as link:
            came, begun = heard.items, time.monotonic()
            with syncing(store, link.port, device=DEVICE):
                heard.wait(came + results // MOST_ROWS)
                return results / (time.monotonic() - begun)


if __name__ == "__main__":
    sys.exit(main())

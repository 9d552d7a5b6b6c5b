"""Items drained a second through the sender to a real Mosquitto, against bare paho with the same window, payload and topics, in turns in one run.

Two anchors. paho as people use it: its own thread (`loop_start`), at most `WINDOW` messages on their way, publish from the caller's thread. And
paho at its quickest: one thread that publishes and calls `loop` in turns, as the sender does. Ours reads items from the store, checks their
digests, marks them durably as handed before, and as acknowledged after. Each figure is the median of its rounds; ratios are medians over the
rounds. `--json`: a line a figure. `--quick`: under 50 s. Needs mosquitto (apt).
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.messages import times, topics
from agent.store import items
from agent.store.settings import Config as StoreConfig
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.sync.connection import open_connection
from agent.sync.sender import Sender
from agent.sync.session import Will
from agent.sync.settings import Config
from agent.sync.wake import Wake
from agent.values import Bytes
from benchmarks.brokers import NoBrokerError, broker
from benchmarks.figures import at_least, known, parser, say, skipped

WINDOW = 20
ITEM_BYTES = 800
DEVICE = "bench/device"
CLOCK = SystemClock()
# Share of the rate of messages of paho in its own thread.
TARGET = 0.85
LIMIT_S = 120.0


def main() -> int:
    arguments = parser(__doc__).parse_args()
    try:
        measure(quick=arguments.quick, as_json=arguments.json)
    except NoBrokerError as reason:
        skipped(str(reason))
    return 0


def measure(*, quick: bool, as_json: bool) -> None:
    rounds, count = (3, 5_000) if quick else (9, 10_000)
    rates: dict[str, list[float]] = {}
    with broker() as port:
        for _ in range(rounds):
            for name, rate_of in (
                ("thread", lambda: paho_thread_rate(port, count)),
                ("loop", lambda: paho_loop_rate(port, count)),
                ("single", lambda: sender_rate(port, count, one_by_one=True)),
                ("batched", lambda: sender_rate(port, count * 3, one_by_one=False)),
            ):
                rates.setdefault(name, []).append(rate_of())
    base, quickest = (round(statistics.median(rates[name])) for name in ("thread", "loop"))
    say(known("paho, one thread that publishes and loops", quickest, "msg/s", baseline=base), as_json=as_json)
    for what, name in (("single", "one item a message (live)"), ("batched", "a backlog, in batches (back)")):
        rate = round(statistics.median(rates[what]))
        say(known(f"items drained a second, {name}", rate, "items/s", baseline=base), as_json=as_json)
        for anchor, against in (("thread", "paho's own thread"), ("loop", "paho at its quickest")):
            ratio = round(
                statistics.median(one / other for one, other in zip(rates[what], rates[anchor], strict=True)), 3
            )
            title = f"items drained, {name}, to messages of {against}"
            say(
                at_least(title, ratio, "ratio", baseline=1.0, target=TARGET) if anchor == "thread"
                else known(title, ratio, "ratio", baseline=1.0),
                as_json=as_json,
            )  # fmt: skip


def _paho() -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    return client


def _topic(place: int) -> str:
    return topics.live(DEVICE, f"event/lane{place // WINDOW}")


def paho_thread_rate(port: int, count: int) -> float:
    """Messages a second of paho with its own thread. The caller waits for a place in the window: paho's own queue would be walked at each PUBACK."""
    client = _paho()
    connected, done = threading.Event(), threading.Event()
    places = threading.Semaphore(WINDOW)
    acknowledged = 0

    def on_publish(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1
        places.release()
        if acknowledged == count:
            done.set()

    client.on_connect = lambda *_: connected.set()
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait(LIMIT_S)
    payload = b"x" * ITEM_BYTES
    began = time.perf_counter()
    for place in range(count):
        places.acquire()
        client.publish(_topic(place), payload, qos=1)
    if not done.wait(LIMIT_S):
        raise TimeoutError("paho did not deliver")
    rate = count / (time.perf_counter() - began)
    client.disconnect()
    client.loop_stop()
    return rate


def paho_loop_rate(port: int, count: int) -> float:
    """Messages a second of paho driven by one thread."""
    client = _paho()
    client.max_inflight_messages_set(0)
    state = {"acknowledged": 0, "connected": 0}
    client.on_connect = lambda *_: state.update(connected=1)

    def on_publish(*_: object) -> None:
        state["acknowledged"] += 1

    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    while not state["connected"]:
        client.loop(1.0)
    payload = b"x" * ITEM_BYTES
    began = time.perf_counter()
    sent = 0
    while state["acknowledged"] < count:
        while sent < count and sent - state["acknowledged"] < WINDOW:
            client.publish(_topic(sent), payload, qos=1)
            sent += 1
        client.loop(1.0)
    rate = count / (time.perf_counter() - began)
    client.disconnect()
    return rate


def sender_rate(port: int, count: int, *, one_by_one: bool) -> float:
    """Items a second from the store to PUBACK, durable marks included. one_by_one: fresh, in streams no longer than a window."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(
            Path(folder), clock=CLOCK, device=DEVICE, settings=StoreConfig(max_loss_s=1.0, keep_free=Bytes(0))
        ) as store,
        Wake() as wake,
        open_connection(
            Config(url=f"mqtt://127.0.0.1:{port}"),
            client_id="bench.device",
            will=Will(topic="bench/status", payload=b"lost"),
            clock=CLOCK,
            wake=wake,
        ) as connection,
    ):
        fill(store, count, one_by_one=one_by_one)
        sender = Sender(
            store, connection, device=DEVICE, window=WINDOW, inflight_bytes=1 << 20, clock=CLOCK, pace_s=0.0
        )
        began = time.perf_counter()
        while not sender.idle:
            sender.pump()
            sender.write_acknowledged()
            connection.poll(1.0)
            while connection.acknowledged:
                sender.acknowledge(connection.acknowledged.popleft())
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError("the backlog did not drain")
        seconds = time.perf_counter() - began
        if sender.counts.items != count or (sender.counts.messages == count) != one_by_one:
            raise AssertionError(f"{sender.counts}: not what was to be measured")
        connection.disconnect()
    return count / seconds


def fill(store: Store, count: int, *, one_by_one: bool) -> None:
    now = times.text_ms(CLOCK.boot_us() + CLOCK.reading().utc_offset_us)
    number = [0]

    def body(seq: int) -> bytes:
        # As alike and as different as the summaries of one lane.
        number[0] += 1
        some = [number[0] * 7919 * place % 997 for place in range(1, 25)]
        body = {
            "v": 1, "d": DEVICE, "k": "evt", "epoch": store.epoch_text, "st": "event/lane", "seq": seq, "of": seq, "rev": 0, "at": now,
            "tq": {"s": "ntp", "e": 35}, "t": [now, None], "cfg": "sha256:" + "ab12" * 16, "cover": 1.0,
            "fr": dict(zip(("seen", "gated", "inf", "drop", "fail"), some, strict=False)),
            "models": {"faces": {"sha": "sha256:" + "4f1c" * 16, "lat": {"sk": {"g": 0.02, "b": [[110 + i, n] for i, n in enumerate(some)]}}}},
        }  # fmt: skip
        return json.dumps(body, separators=(",", ":")).ljust(ITEM_BYTES).encode()

    def job(transaction: Transaction) -> None:
        for place in range(count):
            stream = f"event/lane{place // WINDOW}" if one_by_one else "event/lane"
            items.append(transaction, stream, body)

    store.submit(job, ends_group=True).wait(LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())

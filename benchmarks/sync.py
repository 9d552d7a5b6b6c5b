"""Items drained a second through the sender to a real Mosquitto, against bare paho with the same window and payloads, in turns in one run.

Each figure is the median of its rounds. paho is driven as the sender drives it: one thread, at most `WINDOW` messages on their way, the next
one given when a PUBACK came. `--json`: a line a figure. `--quick`: under 50 s. Needs mosquitto (apt).
"""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.messages import times
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
from benchmarks.figures import at_least, known, parser, say, skipped

WINDOW = 20
ITEM_BYTES = 800
DEVICE = "bench/device"
CLOCK = SystemClock()
# Shares of paho's own rate of messages.
TARGET_SINGLE = 0.5
TARGET_BATCHED = 1.0
LIMIT_S = 120.0


def main() -> int:
    arguments = parser(__doc__).parse_args()
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        skipped("mosquitto is not installed")
        return 0
    rounds, count = (3, 3_000) if arguments.quick else (7, 10_000)
    single, batched, bare = [], [], []
    with broker(program) as port:
        for _ in range(rounds):
            bare.append(paho_rate(port, count))
            single.append(sender_rate(port, count, one_by_one=True))
            batched.append(sender_rate(port, count * 3, one_by_one=False))
    base = statistics.median(bare)
    for name, rates, target in (
        ("items drained a second, one a message (live)", single, TARGET_SINGLE),
        ("items drained a second, in batches (back)", batched, TARGET_BATCHED),
    ):
        ratio = statistics.median(one / other for one, other in zip(rates, bare, strict=True))
        rate = round(statistics.median(rates))
        say(known(name, rate, "items/s", baseline=round(base)), as_json=arguments.json)
        say(
            at_least(name + ", share of bare paho", round(ratio, 3), "ratio", baseline=1.0, target=target),
            as_json=arguments.json,
        )
    return 0


@contextmanager
def broker(program: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"allow_anonymous true\nlistener {port} 127.0.0.1\nlog_type none\n")
        process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def paho_rate(port: int, count: int) -> float:
    """Messages a second of bare paho."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
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
            client.publish("bench/paho", payload, qos=1)
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

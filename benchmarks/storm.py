"""A connection storm: 200 devices whose broker is away for 20 s and comes back. How many connect, and how many messages come, in the busiest second.

Devices are the agent's own store and sync with their defaults, 50 in a process; while the broker is away each makes an event and 50 minute
summaries. The anchor is as many bare paho clients with paho's own reconnecting, which doubles its wait from 1 s without jitter, and its own
queue of as many messages. Both are counted in the broker's log, by its seconds. Waits are as configured by default (full jitter, up to 5 min):
after 20 s a device waits up to 16 or 32 s for its next try, so the longest waits are not reached here.
`--json`: a line a figure. `--quick`: 100 devices, away for 4 s, under 50 s. Needs mosquitto (apt).
"""

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.messages import times
from agent.store import items
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.values import Bytes
from benchmarks.brokers import CLOCK, LIMIT_S, NoBrokerError, broker, free_port, syncing, until
from benchmarks.figures import known, parser, say, skipped

_IN_A_PROCESS = 50
SUMMARIES = 50
_CONNECTED = re.compile(r"(\d+): New client connected from \S+ as (\S+) ")
_PUBLISHED = re.compile(r"(\d+): Received PUBLISH from ")


class Storm(NamedTuple):
    """connects, publishes: in the busiest second. last_s: from the broker's return to the last connect."""

    connects: int
    publishes: int
    last_s: int


def main() -> int:
    arguments_of = parser(__doc__)
    arguments_of.add_argument(
        "--devices",
        nargs=4,
        metavar=("KIND", "FIRST", "COUNT", "PORT"),
        help="the child: devices that do as they are told",
    )
    arguments = arguments_of.parse_args()
    if arguments.devices:
        kind, first, count, port = arguments.devices
        devices(KINDS[kind], int(first), int(count), int(port))
        return 0
    count, away_s = (100, 4.0) if arguments.quick else (200, 20.0)
    try:
        storms = {kind: storm(kind, count, away_s) for kind in KINDS}
    except NoBrokerError as reason:
        skipped(str(reason))
        return 0
    ours, theirs = storms["agent"], storms["paho"]
    for name, unit, place in (
        (f"connects in the busiest second, {count} devices", "/s", 0), ("messages in the busiest second", "/s", 1),
        ("from the broker's return to the last connect", "s", 2),
    ):  # fmt: skip
        say(known(name, ours[place], unit, baseline=theirs[place]), as_json=arguments.json)
    return 0


def storm(kind: str, count: int, away_s: float) -> Storm:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with broker(port):
            children = [
                stack.enter_context(_child(kind, first, min(_IN_A_PROCESS, count - first), port))
                for first in range(0, count, _IN_A_PROCESS)
            ]
            for child in children:
                _expect(child, "connected")
        for child in children:
            _tell(child)
        for child in children:
            _expect(child, "made")
        time.sleep(away_s)
        log = Path(folder) / "log"
        returned = int(time.time())
        with broker(port, log=log):
            for child in children:
                _expect(child, "sent")
        lines = log.read_text().splitlines()
    connects = [int(found[1]) for found in map(_CONNECTED.match, lines) if found]
    publishes = [int(found[1]) for found in map(_PUBLISHED.match, lines) if found]
    return Storm(max(Counter(connects).values()), max(Counter(publishes).values()), max(connects) - returned)


@contextmanager
def _child(kind: str, first: int, count: int, port: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.storm", "--devices", kind, str(first), str(count), str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def _tell(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def _expect(child: "subprocess.Popen[str]", word: str) -> None:
    assert child.stdout is not None
    said = child.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"{word} was expected of a child, not {said!r}")


class Device(NamedTuple):
    connected: Callable[[], bool]
    make: Callable[[], None]
    sent: Callable[[], bool]


def devices(kind: Callable[[ExitStack, int, int], Device], first: int, count: int, port: int) -> None:
    """Says when all are connected, makes items when told, says when all of those are acknowledged."""
    with ExitStack() as stack:
        made = [kind(stack, number, port) for number in range(first, first + count)]
        until(lambda: all(one.connected() for one in made), "all connected")
        print("connected", flush=True)
        sys.stdin.readline()
        for one in made:
            one.make()
        print("made", flush=True)
        until(lambda: all(one.sent() for one in made), "all sent")
        print("sent", flush=True)
        sys.stdin.readline()


def agent_device(stack: ExitStack, number: int, port: int) -> Device:
    name = f"bench/device{number}"
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    store = stack.enter_context(
        open_store(Path(folder) / "data", clock=CLOCK, device=name, settings=Config(keep_free=Bytes(0)))
    )
    sync = stack.enter_context(syncing(store, port, device=name, seed=number))
    return Device(lambda: sync.state.connected, lambda: _make(store), lambda: sync.state.items > SUMMARIES)


def _make(store: Store) -> None:
    now_us = CLOCK.boot_us() + CLOCK.reading().utc_offset_us

    def body(transaction: Transaction, stream: str, when: str) -> Callable[[int], bytes]:
        return lambda seq: (
            f'{{"v":1,"d":"{transaction.device}","epoch":"{transaction.epoch_text}","st":"{stream}","seq":{seq},{when}}}'.encode()
        )

    def job(transaction: Transaction) -> None:
        items.append(
            transaction, "event/yard", body(transaction, "event/yard", f'"t":["{times.text_ms(now_us)}",null]')
        )
        for place in range(SUMMARIES):
            start = times.text_s((now_us // 60_000_000 - SUMMARIES + place) * 60_000_000)
            items.append(transaction, "summary/yard/m1", body(transaction, "summary/yard/m1", f'"w":["{start}",60]'))

    store.submit(job, ends_group=True).wait(LIMIT_S)


def paho_device(stack: ExitStack, number: int, port: int) -> Device:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"bench.device{number}", protocol=paho.MQTTv5)
    connected, acknowledged = threading.Event(), [0]

    def on_publish(*_: object) -> None:
        acknowledged[0] += 1

    def on_connect(*_: object) -> None:
        connected.set()

    client.on_connect, client.on_publish = on_connect, on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    stack.callback(client.loop_stop)
    stack.callback(client.disconnect)

    def make() -> None:
        for _ in range(SUMMARIES + 1):
            client.publish(f"edge/v1/bench/device{number}/live/summary/yard/m1", b"x" * 150, qos=1)

    return Device(connected.is_set, make, lambda: acknowledged[0] > SUMMARIES)


KINDS: dict[str, Callable[[ExitStack, int, int], Device]] = {"agent": agent_device, "paho": paho_device}


if __name__ == "__main__":
    sys.exit(main())

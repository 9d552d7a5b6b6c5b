"""A Mosquitto of its own, who listens to it, and the agent's sync against it: for the benchmarks that need a broker."""

import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.messages import batch, birth, envelope, times
from agent.store.writer import Store
from agent.sync.settings import Config
from agent.sync.sync import Sync, open_sync

LIMIT_S = 300.0
CLOCK = SystemClock()
CONFIG_DIGEST = "sha256:" + 64 * "0"


class NoBrokerError(Exception):
    """Mosquitto is not installed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def broker(port: int | None = None, *, log: Path | None = None, kept: Path | None = None) -> Iterator[int]:
    """Its port. log: where it writes who comes, each line after the seconds since 1970. kept: what it knows lives on there."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise NoBrokerError("mosquitto is not installed")
    port = free_port() if port is None else port
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        told = "log_type none\n" if log is None else f"log_dest file {log}\nlog_type all\nlog_timestamp_format %s\n"
        stored = "" if kept is None else f"persistence true\npersistence_location {kept}/\n"
        config.write_text(
            f"user root\nallow_anonymous true\nmax_queued_messages 0\nlistener {port} 127.0.0.1\n{told}{stored}"
        )
        process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)


class Heard:
    """What a subscriber of everything got. items: lines of messages on live/ and back/. moments: of each such message, monotonic seconds."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.items = 0
        self.moments: list[float] = []

    def take(self, topic: str, payload: bytes) -> None:
        if not {"live", "back"} & set(topic.split("/")[4:5]):
            return
        with self.changed:
            self.items += len(batch.unpack(payload))
            self.moments.append(time.monotonic())
            self.changed.notify_all()

    def wait(self, items: int) -> None:
        """Until so many came."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.items >= items, LIMIT_S):
                raise TimeoutError(f"{self.items} of {items} items came")


@contextmanager
def listening(port: int) -> Iterator[Heard]:
    heard, ready = Heard(), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)

    def subscribe(*_: object) -> None:
        client.subscribe("edge/v1/#", qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: heard.take(message.topic, bytes(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        ready.wait(LIMIT_S)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def syncing(
    store: Store, port: int, *, device: str, seed: int = 1, spread: float = 0.0, **settings: float
) -> Iterator[Sync]:
    """The agent's sync, with its defaults but for what is named."""
    with open_sync(
        store, Config(url=f"mqtt://127.0.0.1:{port}", **settings), device=device, birth=lambda: _birth(store, device),  # type: ignore[arg-type]
        config_digest=CONFIG_DIGEST, clock=CLOCK, stop=threading.Event(), rng=random.Random(seed), spread=spread,
    ) as sync:  # fmt: skip
        yield sync


def until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def _birth(store: Store, device: str) -> birth.Birth:
    now_us = CLOCK.boot_us() + CLOCK.reading().utc_offset_us
    return birth.Birth(
        d=device, epoch=store.epoch_text, prev=None, why="new", boot=store.boot, at=times.text_ms(now_us), agent="0", os=None,
        hw=birth.Hardware(model=None, machine="", ram_mb=None, cores=None), cfg=CONFIG_DIGEST,
        tq=envelope.Quality(s="ntp", e=3), lanes={}, streams={}, cmds={"resend": 1},
    )  # fmt: skip

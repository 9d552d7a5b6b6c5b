"""The live table: what it says, that it fits, and that the real command draws it on a terminal."""

import os
import pty
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from peers.device_model import DeviceModel
from peers.mosquitto import mosquitto

from agent.subscriber.table import screen
from agent.subscriber.verdict import DeviceVerdict, verdicts
from agent.subscriber.view import View, open_view

LIMIT_S = 60.0
NOW_S = 1_000_000.0


def plain(text: str) -> list[str]:
    for code in ("\x1b[H", "\x1b[K", "\x1b[J"):
        text = text.replace(code, "")
    return text.split("\n")


def device(name: str, seed: int) -> DeviceModel:
    made = DeviceModel(random.Random(seed), name)
    for _ in range(5):
        made.result()
        made.next_window()
    return made


def judged(view: View) -> tuple[list[DeviceVerdict], dict[str, float]]:
    heard = dict(view.connection.execute("SELECT device, heard_s FROM device"))
    return verdicts(view.connection, NOW_S), heard


def test_a_line_a_stream_and_what_needs_a_person_first(tmp_path: Path) -> None:
    good, bad = device("farm/a", 1), device("farm/b", 2)
    good.send(most=99)
    bad.send(most=99, drop=1.0)
    for one in (good, bad):
        one.publish_ledger()
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        view.take([*good.out, *bad.out], NOW_S - 200)
        found, heard = judged(view)
    lines = plain(screen(found, heard, NOW_S, 200, 40, "mqtt://b:1883: subscribed"))
    assert lines[1].split() == [
        "farm/b",
        "incomplete",
        "summary/yard/s10",
        "6",
        "0",
        "6",
        "0",
        "0",
        "0",
        "3",
        "min",
        "ago",
    ]
    assert lines[2].split() == [
        "farm/a",
        "complete",
        "summary/yard/s10",
        "0",
        "6",
        "6",
        "0",
        "0",
        "0",
        "3",
        "min",
        "ago",
    ]
    assert all("complete" in line[:80] for line in lines[1:3])
    assert lines[-1] == "mqtt://b:1883: subscribed"


def test_it_fits_the_terminal(tmp_path: Path) -> None:
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        for place in range(30):
            one = device(f"farm/gate-{place}", place)
            one.send(most=99)
            one.publish_ledger()
            view.take(one.out, NOW_S)
        found, heard = judged(view)
    lines = plain(screen(found, heard, NOW_S, 60, 12, "note"))
    assert len(lines) == 12
    assert max(map(len, lines)) <= 60
    assert lines[-3] == "… 22 more lines"
    assert "no device was heard yet" in screen([], {}, NOW_S, 80, 24, "")


def test_the_command_draws_it_and_ends_with_the_report(tmp_path: Path) -> None:
    made = device("farm/gate", 1)
    with mosquitto(tmp_path) as at:
        ours, theirs = pty.openpty()
        words = [
            sys.executable,
            "-m",
            "agent",
            "subscribe",
            at.url,
            "--store",
            str(tmp_path / "v.sqlite"),
            "--from",
            "start",
        ]
        running = subprocess.Popen(words, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        os.close(theirs)
        try:
            assert read_until(ours, "subscribed")
            client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
            client.connect("127.0.0.1", at.port)
            client.loop_start()
            made.send(most=99)
            made.publish_ledger()
            for topic, payload in made.out:
                client.publish(topic, payload, qos=1).wait_for_publish(LIMIT_S)
            client.disconnect()
            client.loop_stop()
            assert read_until(ours, "complete   summary")
            running.send_signal(signal.SIGINT if signal.getsignal(signal.SIGINT) else signal.SIGTERM)
            assert read_until(ours, "farm/gate: complete as of")
            assert running.wait(LIMIT_S) == 0
        finally:
            running.kill()
            running.wait(10)
            os.close(ours)
            assert running.stderr is not None
            running.stderr.close()


def read_until(terminal: int, words: str) -> bool:
    text, end = "", time.monotonic() + LIMIT_S
    while words not in text:
        if time.monotonic() > end or not select.select([terminal], [], [], 1.0)[0]:
            if time.monotonic() > end:
                return False
            continue
        try:
            text += os.read(terminal, 65_536).decode(errors="replace")
        except OSError:  # the other side has ended
            return words in text
    return True

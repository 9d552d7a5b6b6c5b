"""The subscriber at a real Mosquitto: acknowledges after the commit, heals what the broker dropped, says why it cannot get in."""

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from peers.device_model import DeviceModel
from peers.mosquitto import Broker as Mosquitto
from peers.mosquitto import free_port, mosquitto

from agent.__main__ import main
from agent.messages import topics
from agent.messages.commands import ResendRequest
from agent.messages.envelope import decode
from agent.subscriber import report
from agent.subscriber.broker import broker
from agent.subscriber.errors import SubscriberError
from agent.subscriber.receive import Settings, receive
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import View, open_view

LIMIT_S = 30.0


class WallClock:
    def utc_s(self) -> float:
        return time.time()

    def steady_s(self) -> float:
        return time.monotonic()


class Publisher:
    """The device's side of the wire: publishes what the model has to say, answers resends."""

    def __init__(self, port: int, device: DeviceModel, *, tls: Path | None = None, user: str | None = None) -> None:
        self.device = device
        self.requests: list[tuple[ResendRequest, mqtt.MQTTMessage]] = []
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=topics.client_id(device.d), protocol=mqtt.MQTTv5
        )
        if tls:
            self.client.tls_set(str(tls))
        if user:
            self.client.username_pw_set(user, "word")
        self.client.on_message = self._on_message
        self.client.connect("localhost" if tls else "127.0.0.1", port)
        self.client.loop_start()
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.subscribe(topics.commands(device.d), 1)
        assert subscribed.wait(LIMIT_S)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == topics.command(self.device.d, "ledger"):
            self.device.publish_ledger()
        else:
            request = decode(message.payload, ResendRequest)
            self.requests.append((request, message))
            self.device.resend(request)
        self._send()

    def _send(self) -> list[mqtt.MQTTMessageInfo]:
        out, self.device.out = self.device.out, []
        return [self.client.publish(t, p, qos=1, retain=t.endswith(("status", "birth", "ledger"))) for t, p in out]

    def flush(self) -> None:
        for info in self._send():
            info.wait_for_publish(LIMIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def publisher(port: int, device: DeviceModel, **options: object) -> Iterator[Publisher]:
    peer = Publisher(port, device, **options)  # type: ignore[arg-type]
    try:
        yield peer
    finally:
        peer.close()


def complete(view: View) -> Callable[[], bool]:
    return lambda: report.complete(verdicts(view.connection, time.time()))


def make(device: DeviceModel, windows: int) -> None:
    for _ in range(windows):
        device.result()
        device.next_window()


def run(view: View, at: Mosquitto, *, protocol: Literal["5", "3.1.1"] = "5", **settings: float) -> None:
    """Until complete; fails at the limit."""
    chosen = Settings(for_s=LIMIT_S, **settings)  # type: ignore[arg-type]
    receive(
        view, broker(at.url, protocol=protocol), chosen, clock=WallClock(), stop=threading.Event(), until=complete(view)
    )
    assert complete(view)()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_dropped_is_asked_for_and_comes(tmp_path: Path, protocol: Literal["5", "3.1.1"]) -> None:
    """The subscriber is away; the broker's queue is short, it acknowledges all the same and drops."""
    device = DeviceModel(random.Random(1))
    short = ["max_queued_messages 10", "max_inflight_messages 5"]
    with (
        mosquitto(tmp_path, options=short) as at,
        open_view(tmp_path / "v.sqlite", start=1) as view,
        publisher(at.port, device) as peer,
    ):
        peer.device.publish_ledger()
        peer.flush()
        run(view, at, protocol=protocol)  # subscribes, and leaves
        for _ in range(30):
            make(device, 1)
            device.send(most=2)
            peer.flush()
        device.publish_ledger()
        peer.flush()
        run(view, at, protocol=protocol, ask_after_s=0.2)
        request, message = peer.requests[0]
        assert request.caller == "subscriber"
        assert isinstance(request.exp, str), "said in the body, too"
        assert view.connection.execute("SELECT sum(n) FROM results").fetchone() == (30,)
        if protocol == "3.1.1":
            return
        properties = message.properties
        assert 0 < properties.MessageExpiryInterval <= 3_600
        assert properties.ResponseTopic == topics.answer(device.d, "subscriber")
        assert properties.CorrelationData == request.id.encode()
        assert not message.retain


def test_nothing_is_acknowledged_before_its_commit(tmp_path: Path) -> None:
    """The state cannot take the group: the broker keeps it, and the next run has it all."""
    device = DeviceModel(random.Random(2))
    make(device, 5)
    device.send(most=1)
    with mosquitto(tmp_path) as at, publisher(at.port, device) as peer:
        with open_view(tmp_path / "v.sqlite", start=1) as view:
            stop = threading.Event()
            receive(view, broker(at.url), Settings(for_s=1.0), clock=WallClock(), stop=stop)  # leaves a session
            peer.flush()
            device.send(most=99)
            peer.flush()
            view.connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
            with pytest.raises(Exception, match="disk full"):
                receive(view, broker(at.url), Settings(for_s=LIMIT_S), clock=WallClock(), stop=stop)
            view.connection.execute("DROP TRIGGER full")
        device.publish_ledger()
        peer.flush()
        with open_view(tmp_path / "v.sqlite", start=1) as view:
            run(view, at, ask_after_s=1e6)
            assert not peer.requests
            assert view.connection.execute("SELECT sum(n) FROM results").fetchone() == (5,)


def test_a_broker_that_lost_its_data_is_subscribed_again(tmp_path: Path) -> None:
    device = DeviceModel(random.Random(3))
    make(device, 3)
    device.send(most=99)
    device.publish_ledger()
    with mosquitto(tmp_path) as at, open_view(tmp_path / "v.sqlite", start=1) as view, ThreadPoolExecutor(1) as pool:
        subscribed, lost = threading.Event(), threading.Event()

        def peer() -> None:
            assert subscribed.wait(LIMIT_S)
            at.kill()
            assert lost.wait(LIMIT_S)
            at.start()
            with publisher(at.port, device) as peer:
                peer.flush()  # nobody listens yet, or somebody does: what is not retained may be dropped
                assert finished.wait(LIMIT_S)

        def log(line: str) -> None:
            (subscribed if "subscribed" in line else lost).set()

        finished = threading.Event()
        result = pool.submit(peer)
        try:
            receive(
                view, broker(at.url), Settings(for_s=LIMIT_S, ask_after_s=0.2), clock=WallClock(),
                stop=threading.Event(), log=log, until=complete(view),
            )  # fmt: skip
        finally:
            finished.set()
            subscribed.set()
            lost.set()
        result.result(LIMIT_S)
        assert complete(view)()


def test_the_command_reports_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = DeviceModel(random.Random(4))
    make(device, 4)
    device.send(most=99)
    device.publish_status()
    device.publish_ledger()
    with mosquitto(tmp_path) as at, publisher(at.port, device) as peer:
        words = ["subscribe", at.url, "--store", str(tmp_path / "v.sqlite"), "--from", "start", "--ask-after", "0.2"]
        # Only what is retained comes: the items were published before anybody listened, so the device is asked.
        peer.flush()
        assert main([*words, "--json", "--for", str(LIMIT_S), "--until-complete"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["complete"] is True
        assert found["devices"][0]["counts"]["received"] == 5
        assert main([*words, "--for", "0.3", "--device", "north-farm/gate-07"]) == 0
        assert "north-farm/gate-07: complete as of" in capsys.readouterr().out
        assert main([*words, "--for", "0.3", "--site", "elsewhere"]) == 1
        assert "no device was heard" in capsys.readouterr().out
        # A number that the device never sends again: named, exit 1.
        device.retain(1.0)
        make(device, 1)
        device.store.epochs[0].streams["summary/yard/s10"].acknowledged |= {6}
        device.publish_ledger()
        peer.flush()
        assert main([*words, "--for", "1"]) == 1
        assert "INCOMPLETE" in capsys.readouterr().out


def test_until_complete_waits_for_something_to_be_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = DeviceModel(random.Random(4))
    device.publish_status()
    device.publish_ledger()  # an agent that has just started: no number was given yet
    with mosquitto(tmp_path) as at, publisher(at.port, device) as peer:
        words = [
            "subscribe",
            at.url,
            "--store",
            str(tmp_path / "v.sqlite"),
            "--from",
            "start",
            "--json",
            "--until-complete",
        ]
        peer.flush()
        began = time.monotonic()
        main([*words, "--for", "3"])
        assert time.monotonic() - began >= 3.0, "it took a ledger without numbers for complete"
        assert json.loads(capsys.readouterr().out)["devices"][0]["streams"] == []
        make(device, 2)
        device.send(most=99)
        device.publish_ledger()
        peer.flush()
        assert main([*words, "--for", str(LIMIT_S), "--ask-after", "0.2"]) == 0
        assert json.loads(capsys.readouterr().out)["devices"][0]["counts"]["received"] > 0


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["mqtt://broker.example.com"], 2, "--allow-plaintext"),
        (["mqtts://localhost:1", "--ca-file", "/none.pem"], 2, "/none.pem"),
        (["mqtt://localhost:1", "--device", "north-farm/gate-07", "--site", "south"], 2, "--device"),
        (["mqtt://localhost:1", "--site", "South"], 2, "no name"),
        (["mqtt://localhost:1", "--for", "0.3"], 1, "nothing listens"),
        (["mqtt://localhost:1", "--store", "/no/such/v.sqlite"], 5, "/no/such/v.sqlite"),
    ],
)
def test_what_is_wrong_with_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, why: str
) -> None:
    assert main(["subscribe", "--store", str(tmp_path / "v.sqlite"), *words]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert why in last


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A self-signed certificate for `localhost`, which is its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "keyUsage=critical,keyCertSign,digitalSignature", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return cert, cert, key


def problem(view: View, url: str, **options: object) -> SubscriberError:
    with pytest.raises(SubscriberError) as caught:
        receive(view, broker(url, **options), Settings(for_s=1.0), clock=WallClock(), stop=threading.Event())  # type: ignore[arg-type]
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    with open_view(tmp_path / "v.sqlite", start=1) as opened:
        yield opened


def test_tls_checks_the_name_and_the_authority(tmp_path: Path, view: View) -> None:
    ca, cert, key = certificates(tmp_path)
    device = DeviceModel(random.Random(5))
    with mosquitto(tmp_path, tls=(ca, cert, key)) as at:
        with publisher(at.port, device, tls=ca) as peer:
            device.publish_ledger()
            peer.flush()
            receive(
                view, broker(at.url, ca_file=ca), Settings(for_s=LIMIT_S), clock=WallClock(), stop=threading.Event(),
                until=complete(view),
            )  # fmt: skip
            assert complete(view)()
        assert "--ca-file" in problem(view, at.url).remedy
        assert "name in its certificate" in problem(view, at.url.replace("localhost", "127.0.0.1"), ca_file=ca).remedy
        assert problem(view, at.url.replace("mqtts", "mqtt"))


def test_a_wrong_password_is_one_clear_error(tmp_path: Path, view: View) -> None:
    with mosquitto(tmp_path, users={"cloud": "word"}) as at:
        (tmp_path / "wrong").write_text("swordfish\n")
        found = problem(view, at.url, user="cloud", password_file=tmp_path / "wrong")
        assert "user cloud" in found.what
        assert "--password-file" in found.remedy
        assert "swordfish" not in str(found)
        (tmp_path / "right").write_text("word\n")
        receive(
            view, broker(at.url, user="cloud", password_file=tmp_path / "right"), Settings(for_s=0.5), clock=WallClock(),
            stop=threading.Event(),
        )  # fmt: skip


def test_nobody_there_and_no_tls_there(tmp_path: Path, view: View) -> None:
    assert "nothing listens" in problem(view, f"mqtt://127.0.0.1:{free_port()}").what
    with mosquitto(tmp_path) as at:
        assert problem(view, f"mqtts://127.0.0.1:{at.port}")


def test_addresses_that_are_refused(tmp_path: Path) -> None:
    for url, options, why in (
        ("mqtt://broker.example.com", {}, "unencrypted"),
        ("http://127.0.0.1", {}, "no broker's address"),
        ("mqtts://", {}, "no broker's address"),
        ("mqtts://host:port", {}, "no broker's address"),
        ("mqtts://me:word@host", {}, "user or password"),
        ("mqtts://host", {"password_file": tmp_path / "none"}, "no user"),
        ("mqtts://host", {"password_file": tmp_path / "none", "user": "me"}, "no password can be read"),
    ):
        with pytest.raises(SubscriberError, match=why):
            broker(url, **options)  # type: ignore[arg-type]
    assert broker("mqtt://broker.example.com", allow_plaintext=True).port == 1883
    assert broker("mqtt://[::1]:1884").port == 1884

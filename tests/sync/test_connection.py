"""One MQTT session: against a real Mosquitto where it can be brought to say it, else against the scripted broker."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from peers.certificates import Authority
from peers.mosquitto import Broker, free_port, mosquitto
from peers.scripted_broker import connack, disconnect, scripted_broker
from peers.tcp_link import tcp_link

from agent.clock import Clock, SystemClock
from agent.problems import Exit, Problem
from agent.sync.address import is_loopback, read_address
from agent.sync.connection import Connection, open_connection
from agent.sync.link import Interrupted
from agent.sync.session import Will
from agent.sync.settings import Config
from agent.sync.wake import Wake
from agent.values import RelativePath, Secret

WILL = Will(topic="edge/v1/farm/gate/status", payload=b'{"s":"lost"}')
CLOCK = SystemClock()


class AheadClock(SystemClock):
    """The system's, and so many seconds more as the test says."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def boot_us(self) -> int:
        return super().boot_us() + round(self.ahead_s * 1e6)


@contextmanager
def connected(settings: Config, clock: Clock = CLOCK, **more: object) -> Iterator[Connection]:
    with (
        Wake() as wake,
        open_connection(settings, client_id="farm.gate", will=WILL, clock=clock, wake=wake, **more) as connection,  # type: ignore[arg-type]
    ):
        yield connection


def refused(settings: Config) -> Problem:
    with pytest.raises(Problem) as caught, connected(settings, timeout_s=1.0):
        pass
    return caught.value


def until(connection: Connection, condition: object, limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        connection.poll(0.05)


def listener(port: int, topic: str, got: list[paho.MQTTMessage]) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: got.append(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(topic, qos=1)
    assert ready.wait(5)
    return client


def test_publishes_acknowledges_and_honours_limits(broker: Broker) -> None:
    got: list[paho.MQTTMessage] = []
    other = listener(broker.port, "edge/v1/#", got)
    try:
        with connected(Config(url=broker.url)) as connection:
            assert connection.limits.messages == 20  # Mosquitto's max_inflight_messages
            assert connection.limits.topic_aliases == 10
            sent = [
                connection.publish("edge/v1/farm/gate/live/event/yard", b"%d" % n, expiry_s=60, alias=True)
                for n in range(5)
            ]
            assert connection.room() == 15
            until(connection, lambda: len(connection.acknowledged) == 5)
            assert [one.mid for one in connection.acknowledged] == sent
            assert {one.code for one in connection.acknowledged} == {0}
            assert connection.room() == 20
            until(connection, lambda: len(got) == 5)
            assert connection.sent_bytes > 5
            # The topic went as a number after its first time, and arrived whole.
            assert {message.topic for message in got} == {"edge/v1/farm/gate/live/event/yard"}
            assert [message.payload for message in got] == [b"0", b"1", b"2", b"3", b"4"]
            assert got[0].properties.MessageExpiryInterval in (59, 60)
            connection.disconnect()
        # DISCONNECT in good order: no will.
        assert len(got) == 5
        with connected(Config(url=broker.url)):
            pass
        end = time.monotonic() + 5
        while len(got) < 6 and time.monotonic() < end:
            time.sleep(0.02)
        assert got[5].payload == WILL.payload
    finally:
        other.loop_stop()
        other.disconnect()


def test_puback_without_a_subscriber_is_told(broker: Broker) -> None:
    with connected(Config(url=broker.url)) as connection:
        connection.publish("nobody/listens", b"x")
        until(connection, lambda: connection.acknowledged)
        assert connection.acknowledged[0].code == 0x10


def test_a_session_is_kept_and_commands_wait_in_it(broker: Broker) -> None:
    with connected(Config(url=broker.url)) as connection:
        connection.subscribe(["edge/v1/farm/gate/cmd/+"])
        connection.publish("x", b"")
        until(connection, lambda: connection.acknowledged)
        connection.disconnect()
    got: list[paho.MQTTMessage] = []
    other = listener(broker.port, "nothing", got)
    properties = paho.Properties(paho.PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = 100
    properties.ResponseTopic = "ops/answers"
    properties.CorrelationData = b"7"
    other.publish("edge/v1/farm/gate/cmd/resend", b"{}", qos=1, properties=properties).wait_for_publish(5)
    other.loop_stop()
    other.disconnect()
    with connected(Config(url=broker.url)) as connection:
        assert connection.session_present
        until(connection, lambda: connection.received)
        message = connection.received[0]
        assert (message.payload, message.retained, message.response_topic, message.correlation) == (
            b"{}",
            False,
            "ops/answers",
            b"7",
        )
        assert message.expiry_s is not None
        assert message.expiry_s > 90


def test_small_limits_of_a_broker_are_known() -> None:
    with (
        scripted_broker(connack(receive_maximum=2, packet_bytes=500, topic_aliases=1), pubacks=False) as broker,
        connected(Config(url=broker.url)) as connection,
    ):
        assert connection.limits.messages == 2
        assert 400 < connection.payload_limit("t") < 480
        connection.publish("a", b"1", alias=True)
        connection.publish("b", b"2", alias=True)
        assert connection.room() == 0
        until(connection, lambda: len(broker.published) == 2)
        assert broker.published[0][:3] == b"\x00\x01a"
        assert broker.published[1][:3] == b"\x00\x01b"
        # clean start is 0, the session's expiry a day
        assert broker.connects[0][7] & 0x02 == 0
        assert b"\x11" + (86_400).to_bytes(4, "big") in broker.connects[0]


@pytest.mark.parametrize(
    ("code", "where", "words"),
    [
        (0x84, "mqtt.protocol", "does not speak this version"),
        (0x85, "mqtt.url", "client id"),
        (0x86, "mqtt.password_file", "user or password"),
        (0x87, "mqtt.user", "does not authorise"),
        (0x9B, "mqtt.url", "takes no messages of QoS 1 (0x9B)"),
        (0x97, "mqtt.url", "quota is used up"),
        (0x9C, "mqtt.url", "use another server"),
        (0x81, "mqtt.url", "refuses the connection (0x81)"),
    ],
)
def test_each_refusal_has_its_own_words(code: int, where: str, words: str) -> None:
    with scripted_broker(connack(code)) as broker:
        problem = refused(Config(url=broker.url, user="gate", password=Secret("tr0ub4dor")))
    assert problem.where == where
    assert words in problem.what
    assert "tr0ub4dor" not in str(problem)


def test_wrong_password_at_a_real_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path, users={"gate": "right"}) as broker:
        with connected(Config(url=broker.url, user="gate", password=Secret("right"))):
            pass
        problem = refused(Config(url=broker.url, user="gate", password=Secret("tr0ub4dor")))
        assert problem.where in ("mqtt.user", "mqtt.password_file")
        assert "tr0ub4dor" not in repr(problem)


def test_nobody_listens_and_unknown_host() -> None:
    assert "nobody listens" in refused(Config(url=f"mqtt://localhost:{free_port()}")).what
    problem = refused(Config(url="mqtt://no-such-host.invalid", allow_plaintext=True))
    assert "no-such-host.invalid" in problem.what


def test_a_broker_that_says_nothing_and_one_that_hangs_up() -> None:
    with scripted_broker(None) as broker:
        assert "sent no CONNACK in 1 s" in refused(Config(url=broker.url)).what
    with scripted_broker(None, close_after=True) as broker:
        assert "ended the connection before it answered" in refused(Config(url=broker.url)).what


def test_closing_interrupts_a_connect_at_once() -> None:
    closing = threading.Event()
    with scripted_broker(None) as broker, Wake() as wake:

        def close() -> None:
            closing.set()
            wake.set()

        timer = threading.Timer(0.1, close)
        timer.start()
        began = time.monotonic()
        with (
            pytest.raises(Interrupted),
            open_connection(
                Config(url=broker.url),
                client_id="c",
                will=WILL,
                clock=CLOCK,
                wake=wake,
                closing=closing.is_set,
                timeout_s=60,
            ),
        ):
            pass
        timer.join()
        assert time.monotonic() - began < 30  # of 60


def test_a_broker_that_answers_pings_but_acknowledges_nothing_is_left() -> None:
    clock = AheadClock()
    with (
        scripted_broker(connack(), pubacks=False) as broker,
        connected(Config(url=broker.url, keepalive_s=1200), clock) as connection,
    ):
        clock.ahead_s += 500.0
        connection.poll(0)  # nothing is on its way: nothing is missing
        connection.publish("edge/v1/farm/gate/status", b"{}")
        assert not connection.has_acknowledged
        clock.ahead_s += 110.0
        connection.poll(0)
        clock.ahead_s += 11.0
        with pytest.raises(Problem, match=r"acknowledged nothing for 12[1-3] s"):
            connection.poll(0)


def test_a_slow_broker_is_not_left_while_it_acknowledges() -> None:
    clock = AheadClock()
    with scripted_broker(connack()) as broker, connected(Config(url=broker.url, keepalive_s=1200), clock) as connection:
        for _ in range(4):
            connection.publish("edge/v1/farm/gate/status", b"{}")
            clock.ahead_s += 100.0
            until(connection, lambda: not connection.outstanding)
        assert connection.has_acknowledged


def test_taken_over_is_told(broker: Broker) -> None:
    with (
        scripted_broker(connack(), after_connect=disconnect(0x8E)) as taken,
        pytest.raises(Problem, match="another client connected"),
        connected(Config(url=taken.url)) as connection,
    ):
        until(connection, lambda: False)
    # Mosquitto closes the older one, with or without a word.
    with (
        connected(Config(url=broker.url)) as first,
        connected(Config(url=broker.url)),
        pytest.raises(Problem, match=r"another client|closed it"),
    ):
        until(first, lambda: False)


def test_a_cut_link_is_told(broker: Broker) -> None:
    with (
        tcp_link(broker.port) as link,
        pytest.raises(Problem, match="ended"),
        connected(Config(url=f"mqtt://127.0.0.1:{link.port}")) as connection,
    ):
        link.cut()
        assert "nobody listens" in refused(Config(url=f"mqtt://127.0.0.1:{link.port}")).what
        link.restore()
        with connected(Config(url=f"mqtt://127.0.0.1:{link.port}")):
            assert link.open_sessions == 1
        until(connection, lambda: False)


def test_addresses() -> None:
    assert read_address(Config(url="mqtts://broker.example.com")).port == 8883
    assert is_loopback(read_address(Config(url="mqtt://[::1]:1900")).host)
    assert not is_loopback(read_address(Config(url="mqtts://broker.example.com")).host)
    with pytest.raises(Problem, match="unencrypted") as caught:
        read_address(Config(url="mqtt://10.0.0.4"))
    assert caught.value.code == Exit.CONFIG
    assert read_address(Config(url="mqtt://10.0.0.4", allow_plaintext=True)).port == 1883
    with pytest.raises(Problem) as caught:
        read_address(Config(url="mqtts://gate:tr0ub4dor@broker"))
    assert "tr0ub4dor" not in str(caught.value)
    for url in ("mqtts://", "mqtts://host:99999", "mqtts://host/path", "mqtts://host:x"):
        with pytest.raises(Problem):
            read_address(Config(url=url))


def test_tls(tmp_path: Path) -> None:
    ca, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "stranger")
    good = ca.issue("good", names=["DNS:localhost"])
    mine = ca.issue("mine", names=["DNS:gate"])
    theirs = stranger.issue("theirs", names=["DNS:gate"])

    def path(file: Path) -> RelativePath:
        return RelativePath(str(file))

    def broker(name: str, pair: tuple[Path, Path], *listener_lines: str) -> Broker:
        folder = tmp_path / name
        folder.mkdir()
        return stack.enter_context(mosquitto(folder, tls=(ca.file, *pair), listener_options=listener_lines))

    with ExitStack() as stack:
        plain = broker("good-broker", good)
        trusted = Config(url=plain.url, ca_file=path(ca.file))
        with connected(trusted) as connection:
            connection.publish("x", b"y")
            until(connection, lambda: connection.acknowledged)
        problem = refused(Config(url=plain.url, ca_file=path(stranger.file)))
        assert problem.where == "mqtt.ca_file"
        assert "not trusted" in problem.what

        wrong = broker("wrong-host", ca.issue("other", names=["DNS:other.example"]))
        assert 'for another name than "localhost"' in refused(Config(url=wrong.url, ca_file=path(ca.file))).what
        old = broker("expired", ca.issue("old", names=["DNS:localhost"], days=-1))
        assert "has expired" in refused(Config(url=old.url, ca_file=path(ca.file))).what

        asks = broker("asks", good, "require_certificate true")
        problem = refused(Config(url=asks.url, ca_file=path(ca.file)))
        assert problem.where == "mqtt.cert_file", str(problem)
        with connected(
            Config(url=asks.url, ca_file=path(ca.file), cert_file=path(mine[0]), key_file=path(mine[1]))
        ) as connection:
            assert connection.limits.messages
        problem = refused(
            Config(url=asks.url, ca_file=path(ca.file), cert_file=path(theirs[0]), key_file=path(theirs[1]))
        )
        assert problem.where == "mqtt.cert_file", str(problem)

        # TLS to a port without it, and the other way round
        with scripted_broker(None) as dumb:
            assert "TLS" in refused(Config(url=f"mqtts://localhost:{dumb.port}", ca_file=path(ca.file))).what
        problem = refused(Config(url=f"mqtt://localhost:{plain.port}"))
        assert "mqtts://" in problem.remedy

    missing = refused(Config(url="mqtts://localhost:1", ca_file=path(tmp_path / "no.pem")))
    assert (missing.where, missing.code) == ("mqtt.ca_file", Exit.CONFIG)
    not_fit = refused(
        Config(url="mqtts://localhost:1", ca_file=path(ca.file), cert_file=path(mine[0]), key_file=path(theirs[1]))
    )
    assert (not_fit.where, not_fit.code) == ("mqtt.cert_file", Exit.CONFIG)

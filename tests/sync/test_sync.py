"""The sync thread against a real Mosquitto: what is stored arrives, whatever happens on the way."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from peers.listener import Heard, listener
from peers.mosquitto import Broker, mosquitto
from peers.numbered_items import DEVICE, append_events, append_summaries, numbers, partition, unacknowledged, utc_us
from peers.running_sync import opened_store, syncing
from peers.scripted_broker import connack, scripted_broker
from peers.tcp_link import tcp_link

from agent.messages import commands, envelope, topics
from agent.problems import Exit, Problem
from agent.store.writer import Store
from agent.subscriber.broker import broker as address
from agent.subscriber.receive import Settings, receive
from agent.subscriber.report import complete
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import open_view

HOUR_US = 3_600_000_000


class Clock:
    def utc_s(self) -> float:
        return utc_us() / 1e6

    def steady_s(self) -> float:
        return time.monotonic()


def everything(store: Store) -> dict[tuple[str, str, int], set[bytes]]:
    return {
        (epoch, stream, seq): {body}
        for (epoch, stream), rows in numbers(store).items()
        for seq, (_, body) in rows.items()
    }


def states(store: Store) -> set[int]:
    return {state for rows in numbers(store).values() for state, _ in rows.values()}


def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def all_arrived(heard: Heard, store: Store) -> None:
    """Everything stored was heard, each number with one content, and every ledger was a partition."""
    heard.wait(lambda: heard.items() == everything(store))
    for body in heard.ledgers():
        partition(body)


def test_fresh_items_go_live_and_the_end_is_in_order(broker: Broker, tmp_path: Path) -> None:
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store:
        append_summaries(store, "yard", 2)
        append_events(store, "yard", 2)
        with syncing(store, broker.url) as sync:
            heard.wait(lambda: len(heard.lines("live")) == 4)
            append_events(store, "yard", 1)
            heard.wait(lambda: len(heard.lines("live")) == 5)
            # Events first, though summaries were stored before them.
            order = [topics.parse(topic) for _, topic, _, _ in heard.messages]
            assert [one.rest for one in order if one is not None and one.branch == "live"][:2] == ["event/yard"] * 2
            until(lambda: sync.state.items == 5)
            assert sync.state.connected
            assert sync.state.problem is None
        heard.wait(lambda: (1, "offline") in heard.states())
        all_arrived(heard, store)
        assert states(store) == {2}
        assert heard.states() == [(1, "online"), (1, "offline")]
        assert len(heard.payloads("birth")) == 1
        last = heard.ledgers()[-1]
        assert unacknowledged(last) == 0
        assert last.streams["event/yard"].hi == 3
        words = [topic.rpartition("/")[2] for _, topic, _, _ in heard.messages]
        assert words[:3] == ["status", "birth", "ledger"]
        assert words[-2:] == ["ledger", "status"]
        numbers_ = [body.n for body in heard.ledgers()]
        assert numbers_ == sorted(set(numbers_))
        with syncing(store, broker.url):
            heard.wait(lambda: (2, "online") in heard.states())


def test_a_backlog_goes_in_batches_on_back(broker: Broker, tmp_path: Path) -> None:
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store:
        append_summaries(store, "yard", 900, end_us=utc_us() - HOUR_US)
        append_summaries(store, "gate", 3, end_us=utc_us() - HOUR_US)  # few, but late
        append_summaries(store, "pump", 25)  # more than a window, though the last ones are fresh
        with syncing(store, broker.url):
            all_arrived(heard, store)
        assert not heard.payloads("live")
        assert len(heard.payloads("back")) < 20
        assert all(payload[0] == 0x78 for payload in heard.payloads("back"))
        assert heard.copies == 928
        assert states(store) == {2}


def test_the_first_window_is_paced(broker: Broker, tmp_path: Path) -> None:
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store:
        for lane in range(8):
            append_summaries(store, f"lane{lane}", 1)
        with syncing(store, broker.url):
            all_arrived(heard, store)
        at = [when for when, topic, _, _ in heard.messages if "/live/" in topic]
        assert at[-1] - at[0] > 7 * 0.05 * 0.8


def test_cut_and_restored(broker: Broker, tmp_path: Path) -> None:
    with (
        listener(broker.port, "edge/v1/#") as heard,
        opened_store(tmp_path) as store,
        tcp_link(broker.port) as link,
    ):
        link.cut()
        append_events(store, "yard", 5)
        with syncing(store, f"mqtt://127.0.0.1:{link.port}") as sync:
            until(lambda: sync.state.problem is not None)
            assert "nobody listens" in (sync.state.problem or "")
            assert not sync.state.connected
            link.restore()
            until(lambda: sync.state.items >= 5)
            for _ in range(2):
                append_summaries(store, "yard", 60, end_us=utc_us() - HOUR_US)
                append_events(store, "yard", 15)
                link.cut()
                append_events(store, "yard", 3)
                until(lambda: not sync.state.connected)
                link.restore()
                until(lambda: sync.state.connected)
            all_arrived(heard, store)
            assert sync.state.connects >= 3
        heard.wait(lambda: heard.states()[-1][1] == "offline")
        assert states(store) == {2}
        assert unacknowledged(heard.ledgers()[-1]) == 0


def test_black_hole_is_noticed(broker: Broker, tmp_path: Path) -> None:
    """The one long test: silence counts only after 1.5 times the least keepalive."""
    with (
        listener(broker.port, "edge/v1/#") as heard,
        opened_store(tmp_path) as store,
        tcp_link(broker.port) as link,
        syncing(store, f"mqtt://127.0.0.1:{link.port}", keepalive_s=5) as sync,
    ):
        until(lambda: sync.state.connected)
        link.black_hole()
        began = time.monotonic()
        append_events(store, "yard", 30)
        until(lambda: not sync.state.connected)
        assert time.monotonic() - began > 5
        assert "the link is dead" in (sync.state.problem or "")
        link.restore()
        all_arrived(heard, store)


def test_handed_but_not_acknowledged_goes_again_with_the_same_bytes(broker: Broker, tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        append_events(store, "yard", 12)
        with scripted_broker(connack(), pubacks=False) as silent, syncing(store, silent.url) as sync:
            until(lambda: sum(b"event/yard" in body for body in silent.published) >= 1)
            until(lambda: len(silent.published) >= 8)
            sync.close(final_send_s=0.1)  # status, birth, ledger and some items, none acknowledged
            first = [body for body in silent.published if b'"k":"evt"' in body]
        assert first
        assert states(store) == {1}
        with listener(broker.port, "edge/v1/#") as heard, syncing(store, broker.url):
            all_arrived(heard, store)
            # The first sending may have arrived: so the second is late data, with the same bytes.
            assert not heard.payloads("live")
            assert all(any(line in body for line in heard.lines("back")) for body in first)


def test_no_more_than_the_broker_takes(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        append_events(store, "yard", 12)
        with scripted_broker(connack(receive_maximum=4), pubacks=False) as silent, syncing(store, silent.url) as sync:
            until(lambda: len(silent.published) >= 4)
            sync.close(final_send_s=0.3)
            assert len(silent.published) == 4
        with scripted_broker(connack(packet_bytes=200)) as narrow, syncing(store, narrow.url) as sync:
            until(lambda: sync.state.too_large > 0)
            assert "maximum packet size" in (sync.state.problem or "")
            assert all(len(body) < 200 for body in narrow.published)
        assert states(store) <= {0, 1}


def test_messages_refused_by_the_broker_stay(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        append_events(store, "yard", 3)
        with scripted_broker(connack(), puback_code=0x97) as full, syncing(store, full.url) as sync:
            until(lambda: "0x97" in (sync.state.problem or ""))
            assert sync.state.refused >= 1
            assert sync.state.items == 0
        assert 2 not in states(store)


def test_items_of_an_older_epoch_go_too_and_its_entry_rises(broker: Broker, tmp_path: Path) -> None:
    with opened_store(tmp_path, device="north-farm/old-name") as store:
        append_events(store, "yard", 4)
        old = store.epoch_text
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store:
        assert store.epoch_text != old
        append_events(store, "yard", 2)
        with syncing(store, broker.url, ledger_s=0.2):
            all_arrived(heard, store)
            heard.wait(lambda: unacknowledged(heard.ledgers()[-1]) == 0)
        entries = [body.older[0] for body in heard.ledgers()]
        assert entries[0].epoch == old
        assert entries[0].why == "new"
        assert heard.ledgers()[-1].why == "rename"
        assert entries[0].streams["event/yard"].todo == [(1, 4)]
        assert entries[-1].streams["event/yard"].todo == []
        assert entries[-1].n > entries[0].n


def test_changed_bytes_never_leave(broker: Broker, tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        append_events(store, "yard", 4)
        path = store.path
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE item SET body = CAST(replace(body, 'warn', 'fine') AS BLOB) WHERE seq = 2")
    connection.close()
    with (
        listener(broker.port, "edge/v1/#") as heard,
        opened_store(tmp_path) as store,
        syncing(store, broker.url) as sync,
    ):
        heard.wait(lambda: any(body.streams["event/yard"].lost for body in heard.ledgers()))
        all_arrived(heard, store)
        assert {seq for _, _, seq in heard.items()} == {1, 3, 4}
        lost = heard.ledgers()[-1].streams["event/yard"].lost[0]
        assert (lost.first, lost.last, lost.why, lost.totals) == (2, 2, "corrupt", None)
        until(lambda: sync.state.corrupt == 1)


def test_another_status_is_answered(broker: Broker, tmp_path: Path) -> None:
    with (
        listener(broker.port, "edge/v1/#") as heard,
        opened_store(tmp_path) as store,
        syncing(store, broker.url),
    ):
        heard.wait(lambda: heard.states() == [(1, "online")])
        with requester(broker.port) as client:
            client.publish(topics.status(DEVICE), b'{"sess":0,"s":"lost"}', qos=1, retain=True).wait_for_publish(5)
        heard.wait(lambda: heard.states() == [(1, "online"), (0, "lost"), (1, "online")])


class requester:  # noqa: N801  # reads as a function
    def __init__(self, port: int) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.connect("127.0.0.1", port)

    def __enter__(self) -> paho.Client:
        self.client.loop_start()
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def ask(
    client: paho.Client, payload: bytes, name: str = "resend", *, expiry_s: int | None = 60, retain: bool = False
) -> None:
    properties = paho.Properties(paho.PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "edge/v1/north-farm/ops/ans/tests"
    properties.CorrelationData = b"c7"
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    client.publish(topics.command(DEVICE, name), payload, qos=1, retain=retain, properties=properties).wait_for_publish(
        5
    )


def test_requests(broker: Broker, tmp_path: Path) -> None:
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store, requester(broker.port) as client:
        append_events(store, "yard", 6)

        def request(number: str, *ranges: tuple[int, int], max_bytes: int = 100_000) -> bytes:
            arguments = commands.ResendArguments(
                epoch=store.epoch_text, st="event/yard", ranges=list(ranges), max_bytes=max_bytes
            )
            return envelope.encode(commands.ResendRequest(id=number, caller="tests", args=arguments))

        def answer(number: str) -> commands.Answer:
            def found() -> list[commands.Answer]:
                every = [envelope.decode(payload, commands.Answer) for payload in heard.payloads("ans")]
                return [one for one in every if one.id == number]

            heard.wait(lambda: bool(found()))
            return found()[0]

        ask(client, request("kept", (1, 2)), retain=True)
        with syncing(store, broker.url) as sync:
            assert answer("kept").code == "refused"
            all_arrived(heard, store)
            ask(client, request("for-ever", (1, 2)), expiry_s=None)
            assert answer("for-ever").code == "refused"
            ask(client, request("other", (1, 2)), "reboot")
            assert answer("other").code == "refused"
            assert '"reboot"' in answer("other").msg
            ask(client, b'{"v":1,"id":"odd","caller":"x","args":{}}')
            assert answer("odd").code == "invalid"
            ask(client, b"\xff\x00")
            heard.wait(
                lambda: len({one[2] for one in heard.items() if one[1] == "audit"}) == 4
            )  # one for each caller, command and outcome
            before = heard.copies
            ask(client, request("good", (2, 3), (5, 9)))
            assert answer("good").code == "ok"
            assert answer("good").data == {
                "queued": [[2, 3], [5, 6]], "held": [], "lost": [], "unknown": [[7, 9]], "later": [],
            }  # fmt: skip
            heard.wait(lambda: heard.copies == before + 5)  # and its audit item
            assert [json.loads(line)["seq"] for line in heard.lines("back")[-4:]] == [2, 3, 5, 6]
            until(lambda: sync.state.resent == 4)
            ask(client, request("small", (1, 6), max_bytes=1))
            assert answer("small").data["queued"] == [[1, 1]]  # type: ignore[index]
            assert answer("small").data["later"] == [[2, 6]]  # type: ignore[index]
        all_arrived(heard, store)  # also: the same bytes each time
        client.publish(topics.command(DEVICE, "resend"), b"", qos=1, retain=True).wait_for_publish(5)


def test_batches_that_a_rule_engine_can_read(broker: Broker, tmp_path: Path) -> None:
    with listener(broker.port, "edge/v1/#") as heard, opened_store(tmp_path) as store:
        append_summaries(store, "yard", 60)
        with syncing(store, broker.url, compress=False):
            all_arrived(heard, store)
        payloads = heard.payloads("back")
        assert payloads
        assert all(payload.startswith(b'{"v":1') for payload in payloads)


def test_what_a_broker_dropped_is_asked_for_and_healed(tmp_path: Path) -> None:
    """Mosquitto acknowledges more than its queue for an absent subscriber holds, and drops the rest without a word."""
    file = tmp_path / "view.sqlite"

    def subscribe(url: str, for_s: float) -> tuple[int, bool]:
        """(items held, complete) after at most `for_s`, or as soon as it is complete."""
        with open_view(file, 1) as view:

            def whole() -> bool:
                return complete(verdicts(view.connection, utc_us() / 1e6))

            settings = Settings(ask_after_s=0.0, for_s=for_s)
            receive(view, address(url), settings, clock=Clock(), stop=threading.Event(), until=whole)
            return len(
                view.connection.execute("SELECT DISTINCT epoch, stream, seq FROM item WHERE kind = 'sum'").fetchall()
            ), whole()

    with mosquitto(tmp_path, options=["max_queued_messages 5"]) as small, opened_store(tmp_path / "store") as store:
        subscribe(small.url, 0.3)  # its session is kept while it is away
        for lane in range(30):
            append_summaries(store, f"lane{lane}", 1)
        with syncing(store, small.url, ledger_s=0.3) as sync:
            until(lambda: sync.state.items == 30)
            held, whole = subscribe(small.url, 30.0)
            assert (held, whole) == (30, True)
            assert sync.state.resent >= 10


def test_closing_takes_less_than_three_seconds_whatever_the_link_does(broker: Broker, tmp_path: Path) -> None:
    def timed_close(url: str, ready: Callable[[object], bool], spoil: Callable[[], None] = lambda: None) -> float:
        with syncing(store, url) as sync:
            until(lambda: ready(sync))
            spoil()
            began = time.monotonic()
            sync.close()
            return time.monotonic() - began

    with opened_store(tmp_path) as store, scripted_broker(None) as dumb, tcp_link(broker.port) as link:
        append_events(store, "yard", 30)
        assert timed_close(dumb.url, lambda _: bool(dumb.connects)) < 1  # while it waits for a CONNACK
        link.cut()
        url = f"mqtt://127.0.0.1:{link.port}"
        assert timed_close(url, lambda sync: sync.state.problem is not None) < 1  # type: ignore[attr-defined]  # while it backs off
        link.restore()
        seconds = timed_close(url, lambda sync: sync.state.connected, link.black_hole)  # type: ignore[attr-defined]
        assert seconds < 3  # with items that nobody acknowledges
    assert not [thread for thread in threading.enumerate() if thread.name == "sync"]


def test_what_cannot_be_right_ends_the_start(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        for more in ({"url": "mqtt://10.0.0.1"}, {"url": "mqtts://localhost", "ca_file": str(tmp_path / "none.pem")}):
            with pytest.raises(Problem) as caught, syncing(store, **more):  # type: ignore[arg-type]
                pass
            assert caught.value.code == Exit.CONFIG


def test_a_second_client_with_this_id_is_named(tmp_path: Path) -> None:
    with (
        opened_store(tmp_path) as store,
        scripted_broker(connack(), close_after=True) as rude,
        syncing(store, rude.url) as sync,
    ):
        until(lambda: "another client" in (sync.state.problem or ""))

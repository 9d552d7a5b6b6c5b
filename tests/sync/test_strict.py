"""The sync thread against a broker that holds it to the standard and to the limits of managed brokers: a drain, requests, a reconnect and the end."""

import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from peers.long_history import long_history
from peers.manual_clock import ManualClock
from peers.mqtt_packets import properties
from peers.numbered_items import DEVICE, append_events, append_summaries, numbers, utc_us
from peers.running_sync import opened_store, syncing
from peers.strict_broker import Grants, StrictBroker, strict_broker

from agent.messages import topics
from agent.messages.envelope import decode, summary_stream
from agent.messages.ledger import Ledger
from agent.messages.status import Status
from agent.store.writer import Store
from agent.sync import again, granted
from agent.sync.address import read_address
from agent.sync.client import MOST_FILTERS
from agent.sync.session import Acknowledgement
from agent.sync.settings import Config

LIMIT_S = 60.0
HOUR_US = 3_600_000_000
LEDGER_MOST_BYTES = 60_000
ANSWERS = "edge/v1/north-farm/ops/ans/t"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def items_of(broker: StrictBroker) -> set[tuple[str, int]]:
    """(stream, number) of every item that came, alone or in a batch."""
    found = set()
    for topic, payloads in list(broker.payloads.items()):
        if "/live/" not in topic and "/back/" not in topic:
            continue
        for payload in list(payloads):
            for line in (zlib.decompress(payload) if payload[:1] == b"\x78" else payload).splitlines():
                body = msgspec.json.decode(line)
                found.add((body["st"], body["seq"]))
    return found


def stored(store: Store) -> set[tuple[str, int]]:
    return {(stream, seq) for (_, stream), rows in numbers(store).items() for seq in rows}


def statuses(broker: StrictBroker) -> list[str]:
    return [decode(one, Status).s for one in broker.payloads.get(topics.status(DEVICE), [])]


@pytest.mark.parametrize(
    ("protocol", "grants", "hold"),
    [
        ("5", Grants(), 1),
        ("5", Grants(receive_maximum=3, packet_bytes=3_000, topic_aliases=2), 3),
        ("5", Grants(topic_aliases=0, wildcards=False, session_expiry_s=0), 7),
        ("3.1.1", Grants(), 5),
    ],
    ids=["nothing said", "narrow", "poor", "3.1.1"],
)
def test_a_life_by_the_rules(tmp_path: Path, protocol: str, grants: Grants, hold: int) -> None:
    with opened_store(tmp_path) as store, strict_broker(grants, hold=hold) as broker:
        append_summaries(store, "yard", 150, end_us=utc_us() - HOUR_US)
        append_events(store, "yard", 12)
        with syncing(store, broker.url, protocol=protocol) as sync:
            until(lambda: items_of(broker) >= stored(store))
            broker.cut()
            append_summaries(store, "gate", 30)
            until(lambda: sync.state.connects == 2 and items_of(broker) >= stored(store))
            exp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
            args = {"epoch": store.epoch_text, "st": "event/yard", "ranges": [[3, 9]], "max_bytes": 10**6}
            for number, (name, given) in enumerate({"ping": {}, "resend": args, "birth": {}, "ledger": {}}.items()):
                body = {"v": 1, "id": f"{number}", "caller": "t", "args": given, "exp": exp}
                broker.request(
                    topics.command(DEVICE, name), msgspec.json.encode(body), response=ANSWERS, correlation=b"c",
                    level=5 if protocol == "5" else 4,
                )  # fmt: skip
            answers = ANSWERS if protocol == "5" else topics.answer(DEVICE, "t")
            until(lambda: len(broker.payloads.get(answers, [])) == 4)
            until(
                lambda: sync.state.resent == 7 and len(broker.payloads.get(topics.back(DEVICE, "event/yard"), [])) > 0
            )
        assert statuses(broker)[-1] == "offline"
        assert {level for level, _, _ in broker.connects} == {5 if protocol == "5" else 4}
        assert items_of(broker) == stored(store)
        if grants.receive_maximum:
            assert broker.most_outstanding <= grants.receive_maximum
        if not grants.wildcards:
            assert topics.command(DEVICE, "resend") in broker.filters[0]
        assert all(len(one) <= MOST_FILTERS for one in broker.filters)


def test_a_broker_that_retains_nothing_gets_nothing_retained(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, strict_broker(Grants(retain=False, session_expiry_s=0)) as broker:
        append_events(store, "yard", 2)
        with syncing(store, broker.url) as sync:
            until(lambda: items_of(broker) >= stored(store))
            until(lambda: len(sync.state.remarks) == 2)
            assert "retains nothing" in sync.state.remarks[1]
            assert "keeps no session" in sync.state.remarks[0]
        assert [retained for _, _, retained in broker.connects] == [True, False]
        assert broker.retained == []
        assert statuses(broker) == ["online", "offline"]


def test_a_broker_of_quality_0_is_a_problem_that_says_so(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, strict_broker(Grants(qos=0)) as broker, syncing(store, broker.url) as sync:
        until(lambda: sync.state.problem)
        assert "QoS 1" in (sync.state.problem or "")
        assert "Allow QoS 1 at the broker" in (sync.state.problem or "")
    address = read_address(Config(url="mqtt://localhost"))
    # A broker that takes the will and says 0 afterwards.
    limits = granted.read(_Said(MaximumQoS=0), keepalive_s=30, mqtt5=True)  # type: ignore[arg-type]
    assert "takes QoS 0 only" in str(granted.problem(limits, address))


class _Said:
    """Properties as paho has them: attributes that are there or not."""

    def __init__(self, **values: int) -> None:
        self.__dict__.update(values)


def test_what_is_granted_is_read_and_3_1_1_is_taken_for_narrow() -> None:
    said = _Said(
        ReceiveMaximum=5, MaximumPacketSize=9_000, TopicAliasMaximum=3, SessionExpiryInterval=60, RetainAvailable=0
    )
    limits = granted.read(said, keepalive_s=30, mqtt5=True)  # type: ignore[arg-type]
    assert (limits.messages, limits.packet_bytes, limits.topic_aliases, limits.session_expiry_s) == (5, 9_000, 3, 60)
    assert (limits.retains, limits.qos, limits.wildcards) == (False, 1, True)
    older = granted.read(None, keepalive_s=30, mqtt5=False)
    assert (older.packet_bytes, older.topic_aliases, older.retains) == (131_072, 0, True)
    assert granted.problem(older, read_address(Config(url="mqtt://localhost"))) is None
    assert granted.remarks(older, read_address(Config(url="mqtt://localhost"))) == []


def test_the_servers_keepalive_is_kept(tmp_path: Path) -> None:
    """The config says 30 s, the broker 2: it would end a client that is silent for longer."""
    with opened_store(tmp_path) as store, strict_broker(Grants(keepalive_s=2)) as broker:
        with syncing(store, broker.url) as sync:
            until(lambda: broker.pings >= 2)
            assert sync.state.connects == 1
        assert broker.connects[0][1] == 30


def test_a_refused_ledger_is_told_and_said_again(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, strict_broker(code={"ledger": 0x97}) as broker:
        append_events(store, "yard", 2)
        with syncing(store, broker.url) as sync:
            until(lambda: "quota is used up" in (sync.state.problem or ""))
            assert "Raise the quota" in (sync.state.problem or "")
            assert sync.state.items == 2, "items go on"
            before = len(broker.payloads[topics.ledger(DEVICE)])
            broker.code.clear()
            until(lambda: len(broker.payloads[topics.ledger(DEVICE)]) > before)
            until(lambda: sync.state.problem is None)


def test_again_doubles_its_pause_and_begins_anew_when_all_is_taken() -> None:
    clock = ManualClock()
    one = again.Again(clock)
    one.sent(1, "ledger")
    one.answered(1, 0x97)
    assert one.due() == []
    waits = []
    for mid in range(2, 6):
        waited_s = 0
        while not one.due():
            clock.advance(1)
            waited_s += 1
        waits.append(waited_s)
        one.sent(mid, "ledger")
        one.answered(mid, 0x97)
    assert waits == [5, 10, 20, 40]
    one.sent(9, "ledger")
    one.answered(9, 0)
    assert one.ails is None
    clock.advance(3_600)
    assert one.due() == []
    one.sent(10, "status")
    one.answered(10, 0x87)
    clock.advance(5)
    assert one.due() == ["status"], "the first pause again"
    assert Acknowledgement(mid=1, code=0x10).code < 0x80


def test_a_refused_subscription_is_told(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, strict_broker(code={"+": 0x87}) as broker, syncing(store, broker.url) as sync:
        until(lambda: "subscribe to edge/v1/north-farm/gate-07/cmd/+" in (sync.state.problem or ""))
        assert sync.state.connected


def test_a_long_history_stays_within_what_managed_brokers_take(tmp_path: Path) -> None:
    """80 boots, thousands of single numbers lost in 1,000 streams: no ledger over 60 kB, no payload over 128 kB, 7 slashes, 8 filters."""
    long_history(tmp_path, boots=80)
    with opened_store(tmp_path) as store, strict_broker(Grants(packet_bytes=131_072)) as broker:
        with syncing(store, broker.url, ledger_s=0.2):
            until(lambda: items_of_all_epochs(broker) >= len({(epoch, *one) for epoch, one in all_stored(store)}))
        ledgers = broker.payloads[topics.ledger(DEVICE)]
        assert max(map(len, ledgers)) <= LEDGER_MOST_BYTES
        assert any(decode(one, Ledger).part for one in ledgers), "so much does not fit, and it says so"
        assert max(map(len, ledgers)) > LEDGER_MOST_BYTES // 2, "what fits is there"
        assert summary_stream("lane-with-a-long-name-0", 60) in str(stored(store))
    assert properties() == b"\0"


def all_stored(store: Store) -> list[tuple[str, tuple[str, int]]]:
    return [(epoch, (stream, seq)) for (epoch, stream), rows in numbers(store).items() for seq in rows]


def items_of_all_epochs(broker: StrictBroker) -> int:
    found = set()
    for topic, payloads in list(broker.payloads.items()):
        if "/live/" in topic or "/back/" in topic:
            for payload in list(payloads):
                for line in (zlib.decompress(payload) if payload[:1] == b"\x78" else payload).splitlines():
                    body = msgspec.json.decode(line)
                    found.add((body["epoch"], body["st"], body["seq"]))
    return len(found)

"""Requests without a network: who may ask, what each number becomes, and that each has one effect and one answer, over kills at any step."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.manual_clock import ManualClock
from peers.numbered_items import DEVICE, append_events

from agent.messages import audit, commands, envelope, topics
from agent.store import items
from agent.store.holding import mark_held
from agent.store.lane_rows import clock_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.sync.requests import MOST_A_MINUTE, Outcome, Requests
from agent.sync.session import Message
from agent.sync.settings import Allow, Commands
from agent.values import Bytes

STREAM = "event/yard"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(boot_us=10**9)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with opened(tmp_path, clock) as found:
        append_events(found, "yard", 20)
        yield found


def opened(folder: Path, clock: ManualClock):
    found = open_store(folder, clock=clock, device=DEVICE, settings=Config(max_loss_s=0.2, keep_free=Bytes(0)))
    return _with_time(found, clock)


class _with_time:  # noqa: N801
    def __init__(self, opening, clock: ManualClock) -> None:
        self._opening, self._clock = opening, clock

    def __enter__(self) -> Store:
        found: Store = self._opening.__enter__()
        found.submit(clock_job(self._clock.reading()), ends_group=True).wait(5)
        return found

    def __exit__(self, *error: object) -> None:
        self._opening.__exit__(*error)


def message(
    name: str, body: object, *, retained: bool = False, expiry_s: int | None = 60, correlation: bytes = b"c"
) -> Message:
    payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Message(
        topic=topics.command(DEVICE, name), payload=payload, retained=retained, expiry_s=expiry_s,
        response_topic="edge/v1/north-farm/ops/ans/t", correlation=correlation,
    )  # fmt: skip


def plain(number: str, caller: str = "t") -> dict:
    return {"v": 1, "id": number, "caller": caller, "args": {}}


def resend(
    store: Store, number: str, *ranges: tuple[int, int], max_bytes: int = 10**6, epoch: str | None = None
) -> dict:
    return {
        **plain(number),
        "args": {"epoch": epoch or store.epoch_text, "st": STREAM, "ranges": ranges, "max_bytes": max_bytes},
    }


def answer(outcome: Outcome | None) -> commands.Answer:
    assert outcome is not None
    return envelope.decode(outcome.payload, commands.Answer)


def audits(store: Store) -> list[audit.Audit]:
    store.submit(lambda _: None, ends_group=True).wait(5)
    with store.read() as connection:
        found = items.items_at(connection, store.epoch_text, "audit", [(1, 10**6)])
    return [envelope.decode(item.body, audit.Audit) for item in found]


def test_each_command_answers_and_is_audited(store: Store, clock: ManualClock) -> None:
    requests = Requests(store, DEVICE, clock, says=lambda: {"lanes": {"yard": "running"}})
    assert answer(requests.take(message("ping", plain("a")))).code == "ok"
    status = answer(requests.take(message("status", plain("b"))))
    assert status.data == {"lanes": {"yard": "running"}}
    birth = requests.take(message("birth", plain("c")))
    assert birth is not None
    assert birth.effect.birth
    ledger = requests.take(message("ledger", plain("d")))
    assert ledger is not None
    assert ledger.effect.ledger
    found = answer(ledger).data
    assert found is not None
    assert found["epochs"][0]["streams"][STREAM] == {"hi": 20, "todo": [[1, 20]], "held": [], "lost": []}
    assert found["after"] is None
    assert [(one.cmd, one.who, one.id, one.code) for one in audits(store)] == [
        ("ping", "t", "a", "ok"), ("status", "t", "b", "ok"), ("birth", "t", "c", "ok"), ("ledger", "t", "d", "ok"),
    ]  # fmt: skip


def test_who_asks_all_the_time_costs_one_audit_item_a_minute(store: Store, clock: ManualClock) -> None:
    requests = Requests(store, DEVICE, clock)
    for turn in range(30):
        assert answer(requests.take(message("ping", plain(str(turn))))).code == "ok"
        clock.advance(4.0)
    assert [one.count for one in audits(store)] == [1, 15]
    codes = [
        answer(requests.take(message("ping", plain(f"x{turn}", "fast")))).code for turn in range(MOST_A_MINUTE + 5)
    ]
    assert codes == ["ok"] * MOST_A_MINUTE + ["busy"] * 5
    clock.advance(61.0)
    assert answer(requests.take(message("ping", plain("later", "fast")))).code == "ok"


@pytest.mark.parametrize(
    ("name", "body", "more", "code", "said"),
    [
        ("ping", plain("a"), {"retained": True}, "refused", "retained"),
        ("ping", plain("a"), {"expiry_s": None}, "refused", "expire within 3600 s"),
        ("ping", plain("a"), {"expiry_s": 3601}, "refused", "expire within 3600 s"),
        ("reboot", plain("a"), {}, "refused", 'unknown command "reboot"; known: resend, ping, status, birth, ledger'),
        ("status", b"\xff", {}, "invalid", "status"),
        ("status", {"v": 1, "args": {}}, {}, "invalid", "needs an id"),
        ("status", {**plain("a"), "v": 2}, {}, "invalid", "status"),
        ("resend", {**plain("a"), "args": {"epoch": "x"}}, {}, "invalid", "resend"),
        ("ping", plain("a", "x" * 129), {}, "invalid", "a caller of 1 to 128"),
    ],
)
def test_what_is_refused_is_named_and_audited(
    store: Store, clock: ManualClock, name: str, body: object, more: dict, code: str, said: str
) -> None:
    found = answer(Requests(store, DEVICE, clock).take(message(name, body, **more)))
    assert found.code == code
    assert said in found.msg
    (told,) = audits(store)
    assert (told.cmd, told.code) == (name, code)


@pytest.mark.parametrize(
    ("exp", "code"),
    [("2026-11-24T03:20:00Z", "ok"), ("2026-11-24T04:30:00Z", "refused"), ("2026-11-24T02:00:00Z", "expired"), ("soon", "refused")],
)  # fmt: skip
def test_without_mqtt_5_the_body_says_until_when(store: Store, clock: ManualClock, exp: str, code: str) -> None:
    sent = msgspec.structs.replace(
        message("ping", {**plain("a", "ops"), "exp": exp}, expiry_s=None), response_topic=None
    )
    outcome = Requests(store, DEVICE, clock).take(sent)
    assert answer(outcome).code == code
    assert outcome is not None
    assert outcome.topic == topics.answer(DEVICE, "ops"), "and where the answer is looked for"


def test_the_local_file_says_who_may_ask(store: Store, clock: ManualClock) -> None:
    allowed = Commands(allow=(Allow(caller="ops", commands=("ping",)),))
    requests = Requests(store, DEVICE, clock, allowed=allowed)
    assert answer(requests.take(message("ping", plain("a", "ops")))).code == "ok"
    for caller, name in (("ops", "status"), ("other", "ping")):
        found = answer(requests.take(message(name, plain("b", caller))))
        assert (found.code, "not allowed" in found.msg) == ("refused", True)
    nobody = Requests(store, DEVICE, clock, allowed=Commands())
    assert answer(nobody.take(message("ping", plain("c", "ops")))).code == "refused"


def test_every_number_asked_for_is_in_one_list(store: Store, clock: ManualClock) -> None:
    def prepare(transaction: Transaction) -> None:
        ids = {seq: one for one, seq in transaction.connection.execute("SELECT id, seq FROM item")}
        mark_held(transaction, [ids[9], ids[10]])
        (stream,) = transaction.connection.execute("SELECT id FROM name WHERE text = ?", (STREAM,)).fetchone()
        transaction.connection.execute("DELETE FROM item WHERE seq BETWEEN 3 AND 4")
        transaction.connection.execute(
            "INSERT INTO lost VALUES (?, ?, 3, 4, 'sent', NULL)", (transaction.epoch, stream)
        )

    store.submit(prepare, ends_group=True).wait(5)
    with store.read() as connection:
        (size,) = connection.execute("SELECT max(length(body)) FROM item").fetchone()
    found = answer(
        Requests(store, DEVICE, clock).take(
            message("resend", resend(store, "a", (1, 12), (5, 7), (19, 25), max_bytes=6 * size))
        )
    )
    assert found.data is not None
    lists = {name: [one[:2] for one in ranges] for name, ranges in found.data.items()}
    assert lists["lost"] == [[3, 4]]
    assert lists["unknown"] == [[21, 25]]
    numbers = sorted(seq for ranges in lists.values() for first, last in ranges for seq in range(first, last + 1))
    assert numbers == [*range(1, 13), *range(19, 26)], "each once"
    assert found.data["queued"][0] == [1, 2]
    nowhere = answer(Requests(store, DEVICE, clock).take(message("resend", resend(store, "b", (1, 3), epoch="0" * 32))))
    assert nowhere.data is not None
    assert nowhere.data["unknown"] == [[1, 3]]


def test_no_room_in_the_budget_is_busy(store: Store, clock: ManualClock) -> None:
    found = answer(Requests(store, DEVICE, clock, room=lambda: 0).take(message("resend", resend(store, "a", (1, 3)))))
    assert found.code == "busy"


def test_the_same_request_again_gets_the_same_answer_and_another_one_none(store: Store, clock: ManualClock) -> None:
    requests = Requests(store, DEVICE, clock)
    first = requests.take(message("resend", resend(store, "a", (1, 3))))
    assert first is not None
    assert len(first.effect.resend) == 3
    again = Requests(store, DEVICE, clock).take(message("resend", resend(store, "a", (1, 3)), correlation=b"other"))
    assert again is not None
    assert (again.payload, again.correlation, list(again.effect.resend)) == (first.payload, b"other", [])
    other = answer(requests.take(message("resend", resend(store, "a", (1, 4)))))
    assert (other.code, "used for another" in other.msg) == ("refused", True)
    assert len([one for one in audits(store) if one.code == "ok"]) == 1


def test_a_ledger_of_any_size_comes_in_pages(tmp_path: Path, clock: ManualClock) -> None:
    with opened(tmp_path, clock) as store:

        def fill(transaction: Transaction) -> None:
            for lane in range(4):
                stream = transaction.name("stream", f"summary/lane{lane}/m1")
                transaction.connection.execute("INSERT INTO stream VALUES (?, ?, 2000)", (transaction.epoch, stream))
                for number in range(1, 2000, 2):
                    totals = '{"fr":{"seen":1500},"n":{"person":3},"w":["2026-10-02T00:00:00Z","2026-10-02T00:01:00Z"]}'
                    transaction.connection.execute(
                        "INSERT INTO lost VALUES (?, ?, ?, ?, ?, ?)",
                        (
                            transaction.epoch,
                            stream,
                            number,
                            number,
                            ("retention", "disk_full")[number // 2 % 2],
                            totals if lane else None,
                        ),
                    )

        store.submit(fill, ends_group=True).wait(5)
        requests = Requests(store, DEVICE, clock)
        after, pages, streams = None, 0, {}
        while True:
            body = {**plain(f"p{pages}"), "args": {} if after is None else {"after": after}}
            outcome = requests.take(message("ledger", body))
            found = answer(outcome)
            assert outcome is not None
            assert len(outcome.payload) < 100_000
            assert found.data is not None
            for epoch in found.data["epochs"]:
                for name, one in epoch["streams"].items():
                    assert name not in streams
                    streams[name] = one
            pages += 1
            after = found.data["after"]
            if after is None:
                break
        assert pages > 1
        assert [len(streams[f"summary/lane{lane}/m1"]["lost"]) for lane in range(4)] == [1000] * 4
        only = answer(requests.take(message("ledger", {**plain("one"), "args": {"st": "summary/lane2/m1"}})))
        assert only.data is not None
        assert list(only.data["epochs"][0]["streams"]) == ["summary/lane2/m1"]


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_one_effect_and_one_answer_over_kills(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """A device that is killed between any two steps, and a caller that asks again until it is answered."""
    rng, clock = random.Random(seed), ManualClock(boot_us=10**9)
    folder = tmp_path_factory.mktemp("requests")
    bodies = []
    sent: dict[str, list[int]] = {}
    answers: dict[str, set[bytes]] = {}
    with opened(folder, clock) as store:
        append_events(store, "yard", 30)
        for number in range(4):
            first = rng.randint(1, 25)
            bodies.append(resend(store, f"r{number}", (first, first + 4)))
    todo = list(range(4))
    while todo:
        with opened(folder, clock) as store:
            requests = Requests(store, DEVICE, clock)
            queue = [[item.seq for item in some] for some in requests.carry_on()]
            for _ in range(rng.randint(1, 6)):  # then it is killed
                if queue and rng.random() < 0.5:
                    sent.setdefault("numbers", []).extend(queue.pop(0))
                    if not queue:
                        requests.sent()
                        store.submit(lambda _: None, ends_group=True).wait(5)
                elif todo:
                    which = rng.choice(todo)
                    outcome = requests.take(message("resend", bodies[which]))
                    assert outcome is not None
                    if outcome.effect.resend:
                        queue.append([item.seq for item in outcome.effect.resend])
                    answers.setdefault(f"r{which}", set()).add(outcome.payload)
                    if rng.random() < 0.7:  # the answer arrived
                        todo.remove(which)
                clock.advance(1.0)
    with opened(folder, clock) as store:
        requests = Requests(store, DEVICE, clock)
        rest = [item.seq for some in requests.carry_on() for item in some]
        wanted = {
            seq for body in bodies for seq in range(body["args"]["ranges"][0][0], body["args"]["ranges"][0][1] + 1)
        }
        assert set(sent.get("numbers", [])) | set(rest) == wanted, "what was accepted is carried on"
        assert all(len(found) == 1 for found in answers.values()), "one answer each"
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM command").fetchone() == (4,), "one effect each"

"""A ledger too large to be sent whole: the subscriber gets the whole of it by cmd/ledger, from a real device over a real broker."""

import random
import threading
import time
from pathlib import Path

import msgspec
from peers.device_model import DeviceModel
from peers.long_history import long_history
from peers.mosquitto import mosquitto
from peers.running_sync import opened_store, syncing

from agent.messages import topics
from agent.messages.commands import Answer, LedgerRequest
from agent.messages.envelope import encode
from agent.subscriber import asks
from agent.subscriber.broker import broker
from agent.subscriber.receive import Settings, receive
from agent.subscriber.verdict import PART, verdicts
from agent.subscriber.view import View, open_view

LIMIT_S = 60.0


class WallClock:
    def utc_s(self) -> float:
        return time.time()

    def steady_s(self) -> float:
        return time.monotonic()


def why(view: View) -> list[str]:
    found = verdicts(view.connection, time.time())
    return found[0].why if found else [PART]


def test_it_comes_page_by_page(tmp_path: Path) -> None:
    long_history(tmp_path / "store", boots=80)
    with (
        mosquitto(tmp_path, options=["max_queued_messages 0"]) as at,
        opened_store(tmp_path / "store") as store,
        syncing(store, at.url),
        open_view(tmp_path / "v.sqlite", start=1) as view,
    ):
        settings = Settings(for_s=LIMIT_S, ask_after_s=0.2)
        receive(
            view,
            broker(at.url),
            settings,
            clock=WallClock(),
            stop=threading.Event(),
            until=lambda: PART not in why(view),
        )
        assert PART not in why(view)
        with store.read() as connection:
            lost = connection.execute("SELECT sum(last - first + 1) FROM lost").fetchone()[0]
        (verdict,) = verdicts(view.connection, time.time())
        assert sum(last - first + 1 for one in verdict.streams for first, last, _ in one.lost) == lost
        assert verdict.epochs == 81, "also of epochs that the ledger had folded"


def partly(view: View, device: DeviceModel) -> None:
    device.result()
    device.next_window()
    body = msgspec.structs.replace(device.publish_ledger(arrives=False), part=True)
    view.take([(topics.ledger(device.d), encode(body))], 1_000.0)


def test_an_answer_that_nobody_waits_for_changes_nothing(tmp_path: Path) -> None:
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        device = DeviceModel(random.Random(1))
        partly(view, device)
        ids = iter(["one", "two", "three"])
        requests = asks.due(view.connection, 1_000.0, age_s=1.0, caller="t", new_id=lambda: next(ids))
        (request,) = [one for _, one in requests if isinstance(one, LedgerRequest)]
        topic = f"edge/v1/{device.d}/ans/t"
        data = {"epochs": [], "after": None, "of": [device.epoch.text, 9]}
        strange = encode(Answer(id="not asked", code="ok", msg="whole", data=data))
        broken = encode(Answer(id=request.id, code="ok", msg="whole", data={"epochs": 3}))
        assert view.take([(topic, strange), (topic, broken), (topic, b"{")], 1_000.0).ledgers == 0
        assert PART in verdicts(view.connection, 1_000.0)[0].why
        again = asks.due(view.connection, 1_001.0, age_s=1.0, caller="t", new_id=lambda: next(ids))
        assert not [one for _, one in again if isinstance(one, LedgerRequest)], "a pause before it is asked for again"
        good = encode(Answer(id=request.id, code="ok", msg="whole", data=data))
        assert view.take([(topic, good), (topic, good)], 1_001.0).ledgers == 1
        assert PART not in verdicts(view.connection, 1_001.0)[0].why

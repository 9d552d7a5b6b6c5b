"""How much may be on its way at once, at a broker that acknowledges nothing: the config's window and bytes, whatever the broker would take."""

import time
from collections.abc import Callable
from pathlib import Path

from peers.numbered_items import append_events, numbers
from peers.running_sync import opened_store, syncing
from peers.scripted_broker import ScriptedBroker, connack, scripted_broker

LIMIT_S = 20.0
# Long enough for what must not come to come; the pace of the first window is 20 messages a second.
QUIET_S = 0.5


def payloads(broker: ScriptedBroker) -> list[bytes]:
    return [body[body.index(b'{"v":1') :] for body in list(broker.published) if b'"k":"evt"' in body]


def within(limit_s: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_no_more_messages_than_the_window(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, scripted_broker(connack(), pubacks=False) as silent:
        append_events(store, "yard", 5)
        append_events(store, "gate", 5)
        with syncing(store, silent.url, window=5) as sync:
            assert within(LIMIT_S, lambda: len(payloads(silent)) >= 5)
            assert not within(QUIET_S, lambda: len(payloads(silent)) > 5)
            sync.close(final_send_s=0.1)


def test_no_more_bytes_than_may_be_on_their_way(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store, scripted_broker(connack(), pubacks=False) as silent:
        append_events(store, "yard", 12)
        one = max(len(body) for rows in numbers(store).values() for _, body in rows.values())
        with syncing(store, silent.url, inflight=1024) as sync:
            most = 1024 // one
            assert 1 < most < 12
            assert within(LIMIT_S, lambda: len(payloads(silent)) >= most)
            assert not within(QUIET_S, lambda: sum(map(len, payloads(silent))) > 1024)
            sync.close(final_send_s=0.1)

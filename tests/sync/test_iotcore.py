"""The demo's broker, iotcore: it names no receive maximum, no maximum packet size, and acknowledges without reason codes."""

import time
from pathlib import Path

from peers.listener import listener
from peers.numbered_items import append_events, append_summaries, numbers, partition, unacknowledged, utc_us
from peers.running_sync import opened_store, syncing
from peers.tcp_link import tcp_link

from demo.broker import open_broker


def test_everything_arrives_over_a_link_that_is_cut(tmp_path: Path) -> None:
    with (
        open_broker(tmp_path) as port,
        listener(port, "edge/v1/#") as heard,
        opened_store(tmp_path / "store") as store,
        tcp_link(port) as link,
        syncing(store, f"mqtt://127.0.0.1:{link.port}") as sync,
    ):

        def wait(connected: bool) -> None:
            end = time.monotonic() + 20
            while sync.state.connected != connected:
                assert time.monotonic() < end
                time.sleep(0.02)

        wait(True)
        append_events(store, "yard", 12)
        append_summaries(store, "yard", 3)
        heard.wait(lambda: len(heard.items()) == 15)
        link.cut()
        append_summaries(store, "yard", 150, end_us=utc_us() - 3_600_000_000)
        append_events(store, "yard", 3)
        wait(False)
        link.restore()
        wait(True)
        heard.wait(lambda: len(heard.items()) == 168)
        assert all(len(contents) == 1 for contents in heard.items().values())
        sync.close()
        heard.wait(lambda: heard.states()[-1][1] == "offline")
        assert {state for rows in numbers(store).values() for state, _ in rows.values()} == {2}
        for body in heard.ledgers():
            partition(body)
        assert unacknowledged(heard.ledgers()[-1]) == 0

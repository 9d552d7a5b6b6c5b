"""`kill -9` at random moments, two agents at once, the link cut in the middle and a black hole at the end: nothing acknowledged is lost,
nothing counts twice, and what the subscriber has is what the store has.

Ten kills in the usual run, fifty in the long one.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from peers.agents import PROJECT, Agent, acknowledged, opened, scene, store_path, wait_for, write_config
from peers.mosquitto import mosquitto
from peers.tcp_link import tcp_link

KILLS = 50 if os.environ.get("EDGE_AGENT_LONG") == "1" else 10
NAMES = ("gate-07", "gate-08")


def test_nothing_acknowledged_is_lost_over_kills_and_a_cut_link(tmp_path: Path) -> None:
    rng = random.Random(20261124)
    pictures = scene(tmp_path)
    with mosquitto(tmp_path) as broker, tcp_link(broker.port) as link:
        configs = {
            name: write_config(tmp_path, name, pictures, link.port, mqtt="reconnect_max_s = 2\n") for name in NAMES
        }
        reports = {name: tmp_path / f"{name}.report" for name in NAMES}
        state = tmp_path / "fleet.sqlite"
        subscriber = subprocess.Popen(
            [sys.executable, "-m", "agent", "subscribe", broker.url, "--store", str(state), "--from", "1"],
            cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            begun = dict.fromkeys(NAMES, 0)
            agents = {name: Agent(configs[name], report=reports[name]) for name in NAMES}
            for kill in range(KILLS):
                if kill == KILLS // 3:
                    link.cut()
                if kill == KILLS * 2 // 3:
                    link.restore()
                name = NAMES[kill % len(NAMES)]
                if kill % 3:  # two of three once it has stored something, one while it may still be starting
                    wait_for(lambda name=name: working(reports[name], begun[name]), 30, f"a second of {name}")
                time.sleep(rng.uniform(0.0, 1.0))
                agents[name].kill()
                check_report(store_path(configs[name]), acknowledged(reports[name]))
                begun[name] = last_tick(reports[name])
                agents[name] = Agent(configs[name], report=reports[name])
            for name in NAMES:
                wait_for(
                    lambda name=name: windows_closed(store_path(configs[name])) > 8, 40, f"closed windows of {name}"
                )
            link.black_hole()  # longer than 1.5 × keepalive: each agent must find out by itself
            for name in NAMES:
                wait_for(lambda name=name: not connected(configs[name]), 30, f"{name} noticing the black hole")
            link.restore()
            for name in NAMES:
                wait_for(lambda name=name: connected(configs[name]), 30, f"{name} connecting again")
            for name in NAMES:
                assert agents[name].terminate()[0] == 0, agents[name].text[-2000:]
            for name in NAMES:
                settle(state, store_path(configs[name]))
        finally:
            subscriber.terminate()
            subscriber.wait(20)
            for one in agents.values():
                if one.process.poll() is None:
                    one.kill()
    for name in NAMES:
        check_report(store_path(configs[name]), acknowledged(reports[name]))
        check_windows(store_path(configs[name]))
        check_subscriber(state, store_path(configs[name]), f"test/{name}")


def last_tick(report: Path) -> int:
    lines = acknowledged(report)
    return int(lines[-1]["last_tick"]) if lines else 0


def working(report: Path, begun: int) -> bool:
    """Whether a tick was stored since the last start."""
    return last_tick(report) > begun


def connected(config: Path) -> bool:
    """What the running agent says of its link."""
    state = json.loads((config.parent / "data" / "state.json").read_bytes())
    return bool(state["link"]["connected"])


def all_lanes_had_inputs(config: Path) -> bool:
    """What the running agent says of their first one at once."""
    path = config.parent / "data" / "state.json"
    return path.exists() and all(lane["input_at_us"] for lane in json.loads(path.read_bytes())["lanes"].values())


def windows_closed(store: Path) -> int:
    """The least number of closed windows over lanes and grains."""
    with opened(store) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM summary s WHERE s.lane = g.lane AND s.grain = g.grain) FROM grain g WHERE g.grain > 0"
        ).fetchall()
    return min((count for (count,) in counts), default=0)


def check_report(store: Path, lines: list[dict[str, Any]]) -> None:
    """What --report named is there: its last row, its last tick, and every number of every stream."""
    if not lines:
        return
    with opened(store) as connection:
        greatest = connection.execute(
            "SELECT max((SELECT coalesce(max(id), 0) FROM result), (SELECT coalesce(max(id), 0) FROM tick))"
        ).fetchone()[0]
        numbers = {
            (epoch, stream): last
            for epoch, stream, last in connection.execute(
                "SELECT e.text, n.text, s.last_seq FROM stream s JOIN epoch e ON e.id = s.epoch JOIN name n ON n.id = s.stream"
            )
        }
        last = lines[-1]
        assert greatest >= max(line["last_id"] for line in lines)
        if last["last_tick"]:
            assert connection.execute("SELECT count(*) FROM tick WHERE id = ?", (last["last_tick"],)).fetchone() == (1,)
        for line in lines:
            for stream, number in line["streams"].items():
                assert numbers[line["epoch"], stream] >= number


def check_windows(store: Path) -> None:
    """Every tick but those of the newest, open window of its lane lies in exactly one summary of each grain; counts add up."""
    with opened(store) as connection:
        for lane, grain in connection.execute("SELECT lane, grain FROM grain WHERE grain > 0").fetchall():
            ticks = [row[0] for row in connection.execute("SELECT id FROM tick WHERE lane = ? ORDER BY id", (lane,))]
            spans = connection.execute(
                "SELECT first_tick, last_tick FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick",
                (lane, grain),
            ).fetchall()
            covered = [tick for tick in ticks if any(first <= tick <= last for first, last in spans)]
            assert len(spans) > 3
            assert covered == ticks[: len(covered)], "a window in the middle has no summary"
            assert len(ticks) - len(covered) <= 4 * grain + 4
        assert connection.execute(
            "SELECT count(*) FROM tick WHERE seen <> gated + inferred + failed + dropped"
        ).fetchone() == (0,)
        orphans = connection.execute(
            "SELECT count(*) FROM result r WHERE NOT EXISTS (SELECT 1 FROM tick t WHERE t.lane = r.lane AND t.id > r.id)"
        ).fetchone()
        assert orphans == (0,), "results without the tick that counts them"


def stored_items(store: Path) -> set[tuple[str, str, int, bytes]]:
    with opened(store) as connection:
        return set(
            connection.execute(
                "SELECT e.text, n.text, i.seq, i.digest FROM item i JOIN epoch e ON e.id = i.epoch JOIN name n ON n.id = i.stream"
            )
        )


def received_items(state: Path, device: str) -> set[tuple[str, str, int, bytes]]:
    with opened(state) as connection:
        return set(connection.execute("SELECT epoch, stream, seq, digest FROM item WHERE device = ?", (device,)))


def settle(state: Path, store: Path) -> None:
    """Waits until the subscriber has as many items of this store as were acknowledged to the agent."""
    with opened(store) as connection:
        ((device,),) = connection.execute("SELECT device FROM epoch ORDER BY id DESC LIMIT 1").fetchall()
        due = connection.execute("SELECT count(*) FROM item WHERE state = 2").fetchone()[0]

    def there() -> bool:
        try:
            return len(received_items(state, device)) >= due
        except sqlite3.OperationalError:
            return False

    wait_for(there, 30, f"{due} items of {device}")


def check_subscriber(state: Path, store: Path, device: str) -> None:
    stored, received = stored_items(store), received_items(state, device)
    with opened(store) as connection:
        todo = connection.execute("SELECT count(*) FROM item WHERE state < 2").fetchone()[0]
    assert received <= stored, "a number travelled with bytes that the store does not hold"
    assert len(stored - received) <= todo, "an acknowledged item did not arrive"
    with opened(state) as connection:
        assert connection.execute("SELECT count(*) FROM conflict").fetchone() == (0,)
        view = dict(
            connection.execute(
                "SELECT lane, sum(seen) FROM summaries WHERE device = ? AND grain_s = 1 GROUP BY lane", (device,)
            )
        )
    if todo == 0:
        with opened(store) as connection:
            rows = dict(
                connection.execute(
                    "SELECT n.text, sum(t.seen) FROM tick t JOIN name n ON n.id = t.lane JOIN summary s ON s.lane = t.lane AND s.grain = 1"
                    " AND t.id BETWEEN s.first_tick AND s.last_tick GROUP BY n.text"
                )
            )
        assert view == rows


@pytest.mark.parametrize("name", ["gate-07"])
def test_sigterm_ends_within_three_seconds_with_everything_stored(tmp_path: Path, name: str) -> None:
    pictures = scene(tmp_path)
    config = write_config(tmp_path, name, pictures, max_loss_s=30.0)  # nothing is committed by time
    agent = Agent(config)
    try:
        wait_for(lambda: all_lanes_had_inputs(config), 30, "inputs of all lanes")
        code, took_s = agent.terminate()
    finally:
        if agent.process.poll() is None:
            agent.kill()
    assert code == 0, agent.text
    assert took_s < 3.0
    with opened(store_path(config)) as connection:
        seen, inferred, dropped, results = connection.execute(
            "SELECT sum(seen), sum(inferred), sum(dropped), (SELECT count(*) FROM result) FROM tick"
        ).fetchone()
    assert inferred > 0
    assert results == inferred == seen - dropped  # the classifier gives one class a frame

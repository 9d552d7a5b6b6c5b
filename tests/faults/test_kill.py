"""`kill -9` at random moments, two agents at once, the link cut in the middle and a black hole at the end: nothing acknowledged is lost,
nothing counts twice, and what the subscriber has is what the store has.

Ten kills in the usual run, fifty in the long one.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from peers.agents import PROJECT, Agent, acknowledged, opened, scene, store_path, wait_for, write_config
from peers.judged import check_report, check_subscriber, check_windows, settle
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

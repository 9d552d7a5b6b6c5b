"""The time of day leaps under the real agent: a year ahead, another year, back by one, back to the truth, a year behind it; with `kill -9` in
between. Nothing is re-dated, reordered or deleted, and the subscriber adds up to the rows.

A year ahead and back in the usual run, each with a new start, which reads the clock at once. All of them in the long run, under the running agent
too, which looks at its clock every 10 s.
"""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from peers.agents import PROJECT, Agent, acknowledged, opened, scene, store_path, wait_for, write_config
from peers.judged import check_report, check_subscriber, check_windows, settle
from peers.jumping_clock import YEAR_S, JumpingClock
from peers.mosquitto import mosquitto

LONG = os.environ.get("EDGE_AGENT_LONG") == "1"
# A year behind the truth may be before this agent was made: a board without a battery, no time at all.
LEAPS_S = (YEAR_S, 2 * YEAR_S, YEAR_S, 0, -YEAR_S) if LONG else (YEAR_S, 0)
NAME = "gate-07"


def test_leaps_of_a_year_reorder_and_delete_nothing(tmp_path: Path) -> None:
    clock = JumpingClock(tmp_path)
    report, state = tmp_path / "report", tmp_path / "fleet.sqlite"
    with mosquitto(tmp_path) as broker:
        config = write_config(tmp_path, NAME, scene(tmp_path), broker.port, rate_hz=10.0, mqtt="reconnect_max_s = 2\n")
        # What is a day old goes, and what was acknowledged goes after a day: a leap of a year makes nothing old.
        config.write_text(config.read_text().replace("[store]\n", '[store]\nmax_age = "1 d"\nkeep_sent = "1 d"\n'))
        store = store_path(config)
        command = [sys.executable, "-m", "agent", "subscribe", broker.url, "--store", str(state), "--from", "1"]
        subscriber = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with clock.preloaded():
                running = Agent(config, report=report)
                wait_for(lambda: stored(report) > 0, 30, "a first second")
                for leap_s in LEAPS_S:
                    clock.jump(leap_s)
                    if LONG:
                        wait_for(lambda leap_s=leap_s: leap_s < 0 or believed(store, leap_s), 20, "a look at the clock")
                        begun = stored(report)
                        wait_for(lambda begun=begun: stored(report) > begun + 60, 30, "some seconds more")
                    running.kill()
                    check_report(store, acknowledged(report))
                    begun = stored(report)
                    running = Agent(config, report=report)
                    wait_for(lambda begun=begun: stored(report) > begun + 30, 30, f"seconds at {leap_s} s")
                wait_for(lambda: windows_closed(store) > 4, 40, "closed windows")
                clock.jump(0)
                assert running.terminate()[0] == 0, running.text[-2000:]
            settle(state, store)
        finally:
            subscriber.terminate()
            subscriber.wait(20)
            if running.process.poll() is None:
                running.kill()
        check_report(store, acknowledged(report))
        check_windows(store)
        check_rows(store)
        check_subscriber(state, store, f"test/{NAME}")
        done = subprocess.run(
            [*command, "--json", "--for", "3"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
        )
    (device,) = json.loads(done.stdout.splitlines()[-1])["devices"]
    assert (device["state"], device["why"]) == ("complete", []), device["why"]


def stored(report: Path) -> int:
    """The newest tick."""
    lines = acknowledged(report)
    return int(lines[-1]["last_tick"]) if lines else 0


def windows_closed(store: Path) -> int:
    """The least number of closed windows over lanes and grains."""
    with opened(store) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM summary s WHERE s.lane = g.lane AND s.grain = g.grain) FROM grain g WHERE g.grain > 0"
        ).fetchall()
    return min((count for (count,) in counts), default=0)


def believed(store: Path, leap_s: int) -> bool:
    with opened(store) as connection:
        offsets = [offset for (offset,) in connection.execute("SELECT utc_offset_us FROM clock ORDER BY from_us")]
    return abs(offsets[-1] - offsets[0] - leap_s * 1_000_000) < 60_000_000


def check_rows(store: Path) -> None:
    with opened(store) as connection:
        offsets = [offset for (offset,) in connection.execute("SELECT utc_offset_us FROM clock ORDER BY from_us")]
        years = [round((after - before) / (YEAR_S * 1e6)) for before, after in pairwise(offsets)]
        leaps = [(after - before) // YEAR_S for before, after in pairwise((0, *LEAPS_S))]
        entered = [year for year in years if year]
        assert entered == leaps or (LEAPS_S[-1] < 0 and entered == leaps[:-1]), "a leap that was not entered"
        for table in ("tick", "result", "event"):
            for (lane,) in connection.execute(f"SELECT DISTINCT lane FROM {table}").fetchall():
                times = [
                    at for (at,) in connection.execute(f"SELECT at_us FROM {table} WHERE lane = ? ORDER BY id", (lane,))
                ]
                assert times == sorted(times), "rows are in the order of boot time"
        assert connection.execute("SELECT count(DISTINCT boot) FROM tick").fetchone() == (1,)
        for table in ("removed", "lost"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), "something went"
        found = {row[0] for row in connection.execute("SELECT DISTINCT substr(utc, 1, 4) FROM summaries")}
        assert len(found) >= (3 if LONG else 2), found

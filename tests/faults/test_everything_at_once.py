"""Everything that goes wrong in a field, at once and in any order, on two real agents, a real broker and a real subscriber: stalls, two seconds of
delay, half-open sessions, resets, a byte at a time, flapping links, a broker that restarts with and without its data and that drops what it
acknowledged, kills of agent and subscriber, a full disk, clocks that jump. Then the road is good again, and the subscriber's set of items equals
the store's: no gap, no conflict, nothing twice. Meanwhile no lane notices the network.

Two minutes in the usual run; `make soak` takes thirty (EDGE_AGENT_SOAK_S).
"""

import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from peers.agents import PROJECT, Agent, acknowledged, opened, scene, store_path, wait_for, write_config
from peers.bad_link import BadLink, Quality, bad_link
from peers.judged import check_report, check_subscriber, check_windows, settle
from peers.jumping_clock import DAY_S, YEAR_S, JumpingClock
from peers.mosquitto import Broker, mosquitto

SOAK_S = float(os.environ.get("EDGE_AGENT_SOAK_S", "90"))
HEAL_S = 120.0
NAMES = ("gate-07", "gate-08")
RATE_HZ = 10.0
DISK_BYTES = 24 << 20
# Of the rate while the road is good, in the same run.
LEAST_SHARE = 0.8

GOOD = Quality()
BAD = {
    "stalls": Quality(stall_share=0.3, stall_s=0.6),
    "two seconds of delay": Quality(delay_s=2.0),
    "half open": Quality(half_open=True),
    "resets": Quality(reset_share=0.1),
    "a byte at a time": Quality(trickle=True),
    "no road": Quality(refuses=True),
}


class Field:
    """Two agents behind bad links, a broker that forgets past 100 messages, a subscriber that is killed. `events`: what was done to them."""

    def __init__(
        self, folder: Path, broker: Broker, links: dict[str, BadLink], rng: random.Random, disk: Path | None
    ) -> None:
        self.rng, self.broker, self.links, self.disk = rng, broker, links, disk
        self.events: list[str] = []
        pictures = scene(folder)
        self.configs = {
            name: write_config(
                folder, name, pictures, links[name].port, rate_hz=RATE_HZ, mqtt="reconnect_max_s = 2\n", max_loss_s=0.3
            )
            for name in NAMES
        }  # fmt: skip
        self.clock = JumpingClock(folder)
        if disk is not None:
            config = self.configs[NAMES[1]]
            config.write_text(config.read_text().replace(str(config.parent / "data"), str(disk / "data")))
        self.state = folder / "fleet.sqlite"
        self.reports = {name: folder / f"{name}.report" for name in NAMES}
        self.agents = {name: self.start(name) for name in NAMES}
        self.subscriber = self.subscribe()

    def start(self, name: str) -> Agent:
        if name == NAMES[1]:
            with self.clock.preloaded():
                return Agent(self.configs[name], report=self.reports[name])
        return Agent(self.configs[name], report=self.reports[name])

    def subscribe(self) -> "subprocess.Popen[bytes]":
        log = (self.state.parent / "subscriber.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "agent", "subscribe", self.broker.url, "--store", str(self.state), "--from", "1", "--ask-after", "2"],
                cwd=PROJECT, stdout=log, stderr=log,
            )  # fmt: skip

    def store(self, name: str) -> Path:
        return (
            self.disk / "data" / "edge.sqlite"
            if name == NAMES[1] and self.disk is not None
            else store_path(self.configs[name])
        )

    # ---- what goes wrong

    def road(self) -> None:
        name, (how, quality) = self.rng.choice(NAMES), self.rng.choice(list(BAD.items()))
        self.events.append(f"{name}: {how}")
        self.links[name].quality = quality

    def flap(self, times: int = 5) -> None:
        link = self.links[self.rng.choice(NAMES)]
        self.events.append(f"{times} flaps")
        for _ in range(times):
            link.quality = BAD["no road"]
            time.sleep(0.05)  # a turn of the link's thread: whatever is open is reset
            link.quality = GOOD
            time.sleep(self.rng.uniform(0.0, 0.1))

    def kill_agent(self) -> None:
        name = self.rng.choice(NAMES)
        self.events.append(f"{name}: kill -9")
        self.agents[name].kill()
        check_report(self.store(name), acknowledged(self.reports[name]))
        self.agents[name] = self.start(name)

    def kill_subscriber(self) -> None:
        self.events.append("subscriber: kill -9")
        self.subscriber.kill()
        self.subscriber.wait(20)
        time.sleep(self.rng.uniform(0.0, 3.0))  # what comes meanwhile is queued, and past the limit dropped
        self.subscriber = self.subscribe()

    def restart_broker(self) -> None:
        keeps = self.rng.random() < 0.5
        self.events.append(f"broker: restarts {'with' if keeps else 'without'} its data")
        self.broker.stop() if keeps else self.broker.kill()
        if not keeps:
            (self.broker.folder / "mosquitto.db").unlink(missing_ok=True)
        self.broker.start()

    def fill_disk(self) -> None:
        if self.disk is None:
            return
        self.events.append(f"{NAMES[1]}: the disk is full for a while")
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(65_536))
                file.flush()
        if self.rng.random() < 0.3:
            self.kill_agent()
        time.sleep(self.rng.uniform(1.0, 5.0))
        filler.unlink()

    def jump(self) -> None:
        offset_s = self.rng.choice([0, YEAR_S, -YEAR_S, 3 * DAY_S, -3_600])
        self.events.append(f"{NAMES[1]}: its clock is off by {offset_s} s")
        self.clock.jump(offset_s)

    def heal(self) -> None:
        for link in self.links.values():
            link.quality = GOOD
        self.clock.jump(0)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """None where no disk can be mounted."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        yield None
        return
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)], check=False, capture_output=True
    )
    try:
        yield place if mounted.returncode == 0 else None
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def test_nothing_is_lost_twice_or_in_conflict_when_everything_goes_wrong(tmp_path: Path) -> None:
    rng = random.Random(20261125)
    options = ["max_queued_messages 100", "autosave_interval 1"]
    with (
        small_disk(tmp_path) as disk,
        mosquitto(tmp_path, persistence=True, options=options) as broker,
        bad_link(broker.port, rng) as first,
        bad_link(broker.port, rng) as second,
    ):
        field = Field(tmp_path, broker, dict(zip(NAMES, (first, second), strict=True)), rng, disk)
        try:
            for name in NAMES:
                wait_for(lambda name=name: windows(field.store(name)) > 3, 60, f"windows of {name}")
            live(field, rng)
            field.heal()
            for name in NAMES:
                # None of its own: an agent that ended by itself is a failure.
                assert field.agents[name].process.poll() is None, field.agents[name].text[-3000:]
                before = windows(field.store(name))
                wait_for(
                    lambda name=name, before=before: windows(field.store(name)) > before + 8,
                    HEAL_S,
                    f"windows of {name} again",
                )
                wait_for(lambda name=name: unacknowledged(field.store(name)) < 20, HEAL_S, f"the backlog of {name}")
            for name in NAMES:
                assert field.agents[name].terminate()[0] == 0, field.agents[name].text[-3000:]
            report = complete(field)
        finally:
            print("\n".join(field.events))
            field.subscriber.terminate()
            field.subscriber.wait(20)
            for one in field.agents.values():
                if one.process.poll() is None:
                    one.kill()
        for name in NAMES:
            settle(field.state, field.store(name))
            check_report(field.store(name), acknowledged(field.reports[name]))
            check_windows(field.store(name))
            check_subscriber(field.state, field.store(name), f"test/{name}")
        check_rate(field.store(NAMES[0]))  # the other one's disk was full, too
        assert {one["device"] for one in report["devices"]} == {f"test/{name}" for name in NAMES}


def live(field: Field, rng: random.Random) -> None:
    acts: list[Callable[[], None]] = [
        *[field.road] * 6, field.flap, field.kill_agent, field.kill_subscriber, field.restart_broker, field.fill_disk, field.jump,
    ]  # fmt: skip
    end = time.monotonic() + SOAK_S
    field.flap(200)
    while time.monotonic() < end:
        rng.choice(acts)()
        time.sleep(rng.uniform(0.5, 4.0))
        if rng.random() < 0.3:
            for link in field.links.values():
                link.quality = GOOD
            time.sleep(rng.uniform(1.0, 6.0))


def windows(store: Path) -> int:
    try:
        with opened(store) as connection:
            return int(connection.execute("SELECT count(*) FROM summary").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def unacknowledged(store: Path) -> int:
    with opened(store) as connection:
        return int(connection.execute("SELECT count(*) FROM item WHERE state < 2").fetchone()[0])


def complete(field: Field) -> dict:
    """The subscriber is asked anew until nothing is missing: by its own command, on its own file."""
    field.subscriber.terminate()
    field.subscriber.wait(20)
    asked = subprocess.run(
        [sys.executable, "-m", "agent", "subscribe", field.broker.url, "--store", str(field.state), "--json", "--for", "20",
         "--until-complete", "--ask-after", "1"],
        cwd=PROJECT, capture_output=True, check=False, timeout=90,
    )  # fmt: skip
    report = json.loads(asked.stdout.splitlines()[-1])
    for device in report["devices"]:
        for name in ("missing", "unreachable", "unreadable", "conflicts"):
            assert device["counts"][name] == 0, (device["why"], field.events)
    return dict(report)


def check_rate(store: Path) -> None:
    """Inputs a second in which the lane lived, over every five seconds: the network's worst does not show. A ratio to the run's own median."""
    with opened(store) as connection:
        rates = [
            taken / (alive_us / 1e6)
            for taken, alive_us in connection.execute(
                "SELECT sum(seen - dropped), sum(alive_us) FROM tick GROUP BY lane, boot, at_us / 5000000 HAVING sum(alive_us) > 3000000"
            )
        ]
    assert len(rates) > 20
    usual = statistics.median(rates)
    slow = sum(rate < LEAST_SHARE * usual for rate in rates) / len(rates)
    assert slow < 0.2, f"{slow:.0%} of the time had less than {LEAST_SHARE:.0%} of the usual {usual:.1f} inputs/s"

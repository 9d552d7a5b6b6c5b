"""A device as `run` builds it, without lanes and without a network: the real store with all its hooks, the real sender and service, on a clock that
tests move. It is killed, rebooted, put back from an image of its card; each result has a label of its own, so that loss and double counting are exact.

device = WholeDevice(tmp_path, broker); device.live(["r1", "r2"], seconds=3); device.serve(40); device.kill(); device.close()
"""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock
from peers.numbered_items import birth
from peers.simulated_broker import SimulatedBroker, SimulatedConnection

from agent.messages import times
from agent.messages.envelope import decode
from agent.messages.ledger import Ledger, StreamLedger
from agent.records import Event
from agent.store import anchor, folder
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.purge import purge
from agent.store.settings import Config
from agent.store.writer import Store, open_store
from agent.summaries import event_items, redating, rollup
from agent.summaries.totals import totals
from agent.sync import kinds, states
from agent.sync.ledger import Ledgers
from agent.sync.requests import Requests
from agent.sync.sender import Sender
from agent.sync.serve import Service, draw_identity
from agent.values import Bytes, Duration

NAME = "north-farm/gate-07"
LANE, GRAIN_S = "yard", 10
STREAM = f"summary/{LANE}/s{GRAIN_S}"
LIMIT_S = 30.0
Key = tuple[str, str]  # epoch, stream


class Budget:
    """A data budget whose state the test sets."""

    def __init__(self) -> None:
        self.state: states.State = "full"

    def room(self, kind: str) -> int:
        return (
            1 << 20
            if kind in states.GOES[self.state] and not (self.state == "coarse" and kind == kinds.BACK_MINUTES)
            else 0
        )

    def allows(self, kind: str, wire_bytes: int) -> bool:
        return self.room(kind) >= wire_bytes

    def hand(self, kind: str, wire_bytes: int) -> None:
        pass

    def arrived(self, wire_bytes: int) -> None:
        pass

    def said_ledger(self, payload_bytes: int) -> None:
        pass


class WholeDevice:
    """Its folders lie in `where`, one for each time that the agent was started."""

    def __init__(
        self,
        where: Path,
        broker: SimulatedBroker,
        image: Path | None = None,
        boot: str = "boot",
        utc: str = "2026-11-24T03:00:00Z",
    ) -> None:
        self._where, self._broker, self._boot = where, broker, boot
        self._starts = self._boots = 0
        self.budget = Budget()
        self.made: dict[
            str, tuple[int, int]
        ] = {}  # label → UTC when it was stored, by the device's clock and in truth, µs
        self._leapt_us = 0
        self.connection: SimulatedConnection | None = None
        self._service: Service | None = None
        self.clock = ManualClock(boot_us=5_000_000, utc=utc, boot=f"{boot}-0")
        self._start(image)
        self.learn()

    # ---- what it sees

    def live(self, labels: Sequence[str], seconds: int) -> None:
        """Seconds of the lane, a result of each label in the first ones, committed at the end."""
        waiting = list(labels)
        for _ in range(max(seconds, len(waiting))):
            self.clock.advance(1_000_000 / 1e6 - self.clock.boot_us() % 1_000_000 / 1e6)
            at_us = self.clock.boot_us()
            inputs = [found(waiting.pop(0))] if waiting else [found()]
            self.store.submit(lane_second_job(second(LANE, at_us, *inputs)))
        for label in labels:
            self.made[label] = self.utc_us(), self.utc_us() - self._leapt_us
        self.commit()

    def event(self) -> None:
        self.clock.advance(1_000_000 / 1e6 - self.clock.boot_us() % 1_000_000 / 1e6)
        at_us = self.clock.boot_us()
        one = Event(rule="door", at_us=at_us, phase="start", severity="warn", model="faces", label="face", score=0.9)
        self.store.submit(lane_second_job(second(LANE, at_us, found(), events=(one,))))
        self.commit()

    def commit(self) -> None:
        self.store.submit(lambda _: None, ends_group=True).wait(LIMIT_S)

    def leap(self, seconds: float) -> None:
        """Of the system's clock, away from the truth or back to it; the agent sees it."""
        self.clock.step_utc(seconds)
        self._leapt_us += round(seconds * 1e6)
        self.learn()

    def learn(self) -> None:
        """As the agent looks at the system's clock now and then."""
        self.store.submit(clock_job(self.clock.reading()), ends_group=True).wait(LIMIT_S)

    def utc_us(self) -> int:
        """By its clock."""
        reading = self.clock.reading()
        return reading.at_us + reading.utc_offset_us

    # ---- what it sends

    def serve(self, turns: int) -> None:
        """So many turns of the connection, which is made when there is none."""
        if self._service is None:
            identity = draw_identity(self.store, NAME, "sha256:00", self.clock, LIMIT_S)
            self.connection = SimulatedConnection(self._broker, NAME, self.clock, identity.status("lost"))
            sender = Sender(
                self.store, self.connection, device=NAME, window=20, inflight_bytes=65_536, clock=self.clock, budget=self.budget,  # type: ignore[arg-type]
            )  # fmt: skip
            self._service = Service(
                self.store, self.connection, sender, Ledgers(self.store, NAME, self.clock), identity, lambda: birth(self.store, NAME),  # type: ignore[arg-type]
                Requests(self.store, NAME, self.clock), self.clock, ledger_s=5.0, budget=self.budget, store_limit_s=LIMIT_S,
            )  # fmt: skip
        for _ in range(turns):
            self._service.step()

    def cut(self) -> None:
        """The link breaks."""
        if self.connection is not None:
            self.connection.cut()
        self.connection = self._service = None

    def end(self) -> None:
        """The agent ends in good order, and is started again in the same boot."""
        if self._service is not None:
            now_us = self.clock.boot_us()
            self._service.end(now_us + 1_000_000, now_us + 2_000_000)
        self.connection = self._service = None
        self._restart(self.image())

    def ledger(self) -> tuple[dict[Key, StreamLedger], dict[Key, dict[int, str]], dict[Key, set[int]]]:
        """What a ledger would say now, what the store has of each number, and what it has lost; by epoch and stream."""
        body = decode(Ledgers(self.store, NAME, self.clock).make(60_000, LIMIT_S), Ledger)
        said = {(body.epoch, name): entry for name, entry in body.streams.items()}
        said |= {(old.epoch, name): entry for old in body.older for name, entry in old.streams.items()}
        states: dict[Key, dict[int, str]] = {}
        lost: dict[Key, set[int]] = {}
        with self.store.read() as connection:
            for epoch, stream, seq, state in connection.execute(
                "SELECT epoch.text, name.text, seq, state FROM item JOIN epoch ON epoch.id = epoch JOIN name ON name.id = stream"
            ):
                word = "held" if state == 3 else "acknowledged" if state == 2 else "todo"
                states.setdefault((epoch, stream), {})[seq] = word
            for epoch, stream, first, last in connection.execute(
                "SELECT epoch.text, name.text, first, last FROM lost JOIN epoch ON epoch.id = epoch JOIN name ON name.id = stream"
            ):
                lost.setdefault((epoch, stream), set()).update(range(first, last + 1))
        return said, states, lost

    @property
    def idle(self) -> bool:
        """Everything that may go is acknowledged."""
        with self.store.read() as connection:
            return not connection.execute("SELECT 1 FROM item WHERE state < 2").fetchone()

    # ---- what happens to it

    def kill(self) -> None:
        self.cut()
        self._restart(self.image())

    def reboot(self, off_s: float, *, knows_time: bool = True) -> None:
        self.cut()
        image = self.image()
        self._power(off_s)
        if not knows_time:
            self.clock.lose_utc()
        self._restart(image)
        if knows_time:
            self.learn()

    def restore(self, image: Path, off_s: float) -> None:
        """An older image of the card is put in."""
        self.cut()
        self._power(off_s)
        self._restart(image)
        self.learn()

    def put_back(self, image: Path) -> None:
        """Somebody copies an older database over the one that is there, while the agent is stopped; all else stays."""
        self.cut()
        self._stack.close()
        shutil.copy(image / folder.DATABASE, self.store.path)
        self._start(self.store.folder)

    def reimage(self, off_s: float) -> None:
        self.cut()
        self._power(off_s)
        self._restart(None)
        self.learn()

    def purge(self) -> None:
        """An operator takes out all that there is."""
        self.cut()
        image = self.image()
        utc_us = self.utc_us() + 1_000_000
        purge(image, utc_us, times.text_s(utc_us).rstrip("Z"), "operator", totals)
        self._restart(image)

    def image(self) -> Path:
        """Of the card, as of the last commit."""
        self.commit()
        self._starts += 1
        image = self._where / f"{self._boot}-{self._starts}"
        image.mkdir(parents=True)
        # The older of the two first: the anchor is written after its commit.
        if (self.store.folder / anchor.NAME).exists():
            shutil.copy(self.store.folder / anchor.NAME, image)
        with (
            closing(sqlite3.connect(self.store.path)) as source,
            closing(sqlite3.connect(image / folder.DATABASE)) as copy,
        ):
            source.backup(copy)
        return image

    def close(self) -> None:
        self._stack.close()

    def _power(self, off_s: float) -> None:
        utc = times.text_ms(self.utc_us() + round(off_s * 1e6))
        self._boots += 1
        self.clock = ManualClock(boot_us=5_000_000, utc=utc, boot=f"{self._boot}-{self._boots}")

    def _restart(self, image: Path | None) -> None:
        self._stack.close()
        self._start(image)

    def _start(self, image: Path | None) -> None:
        """On a copy of the image: another start may begin from it, too."""
        self._starts += 1
        home = self._where / f"{self._boot}-{self._starts}"
        if image is None:
            home.mkdir(parents=True)
        else:
            shutil.copytree(image, home)
        self._stack = ExitStack()
        settings = Config(max_loss_s=0.2, keep_free=Bytes(0), max_age=Duration(86_400))
        hooks = [redating.hook(), event_items.hook(), rollup.hook("sha256:00", {}), redating.hook()]
        self.store: Store = self._stack.enter_context(
            open_store(
                home, clock=self.clock, device=NAME, settings=settings, grains={LANE: (GRAIN_S, 60)}, hooks=hooks, totals=totals,
                free_bytes=lambda _: 1 << 40,
            )
        )  # fmt: skip

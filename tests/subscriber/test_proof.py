"""The proof that delivery can be proven: the real store, sender and view, a simulated broker, and everything that goes wrong, in any order.

Each invariant of docs/contract.md is a check of its own, named as the sentence that it holds. A failure prints the shortest sequence of steps that
Hypothesis finds. That it can fail was tried by changing the product, see the table in tests/RIGS.md.
"""

import hashlib
import os
import random
import shutil
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from peers.numbered_items import partition
from peers.simulated_broker import CALM, SimulatedBroker, Weather
from peers.whole_device import NAME, STREAM, WholeDevice

from agent.messages import times, topics
from agent.messages.envelope import decode, encode
from agent.messages.ledger import Ledger
from agent.messages.status import Status
from agent.subscriber import asks
from agent.subscriber.state import dump
from agent.subscriber.verdict import DeviceVerdict, verdicts
from agent.subscriber.view import View, open_view

LONG = os.environ.get("EDGE_AGENT_LONG") == "1"
YEAR_S = 365 * 86_400
WEATHERS = {
    "calm": CALM,
    "lost": Weather(lost=0.3),
    "dropped": Weather(dropped=0.4),
    "unacknowledged": Weather(unacknowledged=0.4),
    "storm": Weather(lost=0.1, dropped=0.2, unacknowledged=0.2, repeated=0.3),
}


def lines(topic: str, payload: bytes) -> list[bytes]:
    """The items of a message."""
    if "/live/" not in topic and "/back/" not in topic:
        return []
    return (zlib.decompress(payload) if payload[:1] == b"\x78" else payload).splitlines()


class Proof(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.broker = SimulatedBroker(random.Random(0))
        self.devices: list[WholeDevice] = []
        self.images: list[Path] = []
        self.taken: list[tuple[str, bytes]] = []
        self.homes: dict[str, set[tuple[str, int]]] = {}
        self.digests: dict[tuple[str, str, int], bytes] = {}
        self.seen = self.results = 0
        self.now_s = times.parse("2026-11-24T03:00:00Z") / 1e6
        self.purged: set[str] = set()
        self.leapt = self.timeless = self.branched = False
        self._opened = open_view(self.folder / "view.sqlite", start=1)
        self.view: View = self._opened.__enter__()
        self.view.connection.execute("PRAGMA synchronous = OFF")

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.broker.rng.seed(seed)
        self.devices.append(WholeDevice(self.folder / "device", self.broker))

    @property
    def device(self) -> WholeDevice:
        return self.devices[-1]

    # ---- what happens

    @rule(count=st.integers(0, 4), seconds=st.integers(1, 25))
    def live(self, count: int, seconds: int) -> None:
        labels = [f"r{self.results + place}" for place in range(count)]
        self.results += count
        self.device.live(labels, seconds)
        self.now_s += seconds

    def event(self) -> None:
        self.device.event()

    @rule(weather=st.sampled_from(sorted(WEATHERS)), turns=st.integers(1, 60))
    def serve(self, weather: str, turns: int) -> None:
        self.broker.weather = WEATHERS[weather]
        self.device.serve(turns)
        self.broker.weather = CALM
        self.now_s += 0.1 * turns

    @rule()
    def serve_well(self) -> None:
        """So that much of what was stored is here before the next thing goes wrong."""
        self.serve("calm", 60)
        for worker in range(2):
            self.take(worker, 100, dies=False)

    def a_quarter_of_an_hour(self) -> None:
        """After it, what has no time goes out without one."""
        self.device.clock.advance(900)
        self.now_s += 900
        self.live(1, 12)

    @rule()
    def close_a_window(self) -> None:
        self.live(2, 12)

    def the_ledger_is_exact(self) -> None:
        """At every ledger each number is in exactly one of acknowledged, todo, held, lost, as the store has it."""
        said, states, lost = self.device.ledger()
        for (epoch, stream), entry in said.items():
            here = states.get((epoch, stream), {})
            for word, named in (("todo", entry.todo), ("held", entry.held)):
                assert {seq for one in named for seq in range(one[0], one[1] + 1)} == {
                    seq for seq, state in here.items() if state == word
                }
            gone = {seq for one in entry.lost for seq in range(one.first, one.last + 1)}
            assert gone == lost.get((epoch, stream), set())
            assert set(here) | gone == set(range(1, entry.hi + 1))
        assert set(states) <= set(said)

    def cut(self) -> None:
        self.device.cut()

    def end(self) -> None:
        self.device.end()

    def kill(self) -> None:
        self.device.kill()

    @rule(off_s=st.sampled_from([3.0, 70.0, 86_400.0]), knows_time=st.booleans())
    def reboot(self, off_s: float, knows_time: bool) -> None:
        self.timeless = self.timeless or not knows_time
        self.device.reboot(off_s, knows_time=knows_time)
        self.now_s += off_s

    def jump(self, years: int, seconds: int) -> None:
        """The system's clock leaps, the agent sees it, and is set right again."""
        self.leapt = True
        self.device.leap(years * YEAR_S)
        self.live(1, seconds)
        self.device.leap(-years * YEAR_S)

    def learn(self) -> None:
        self.device.clock.source = "ntp"
        self.device.learn()

    def image(self) -> None:
        self.images.append(self.device.image())

    def restore(self, image: Path, off_s: float) -> None:
        self._remember()
        self.branched = True
        self.device.restore(image, off_s)
        self.now_s += off_s

    def put_back(self, image: Path) -> None:
        self._remember()
        self.branched = True
        self.device.put_back(image)

    def reimage(self) -> None:
        self._remember()
        self.device.reimage(10.0)
        self.now_s += 10

    def clone(self, image: Path) -> None:
        """A second board is started on a copy of the card; from now on it is the one that works here, and the first stays where it is.

        Not of a device that has run without a time: what both then have of one window, one dated and one not, nobody can tell to be the same
        (docs/subscribing.md says so).
        """
        self._remember()
        self.device.cut()
        utc = times.text_ms(self.device.utc_us() + 30_000_000)
        self.devices.append(WholeDevice(self.folder / "clone", self.broker, image, boot="clone", utc=utc))

    def swap(self) -> None:
        """Of two with one name, the other one is connected."""
        self.device.cut()
        self.devices.reverse()

    def purge(self) -> None:
        self._remember()
        # Rows of a window that is still open have no number: that they went, the device's own table `removed` tells.
        self.purged |= {label for label in self.device.made if label not in self.homes}
        self.device.purge()

    def tighten(self, state: str) -> None:
        self.device.budget.state = state  # type: ignore[assignment]

    @rule(worker=st.integers(0, 1), count=st.integers(1, 40), dies=st.booleans())
    def take(self, worker: int, count: int, dies: bool) -> None:
        """A worker takes a group. When it dies between commit and acknowledgement, the group comes again, to the other one."""
        queue = self.broker.queues[worker]
        group, queue[:count] = queue[:count], []
        if self.broker.rng.random() < 0.3:
            self.broker.rng.shuffle(group)
        self.view.take(group, self.now_s)
        self.taken += group
        if dies:
            self.broker.queues[1 - worker] += group

    def ask(self) -> None:
        self._ask()

    def _ask(self) -> None:
        self.now_s += 1
        found = asks.due(
            self.view.connection,
            self.now_s,
            age_s=1.0,
            caller="t",
            new_id=lambda: f"{self.broker.rng.getrandbits(64):x}",
        )
        for device, request in found:
            assert device == NAME
            name = "ledger" if isinstance(request, asks.LedgerRequest) else "resend"
            self.broker.ask(NAME, name, encode(request))

    def _remember(self) -> None:
        """In which numbers each result is, as far as the cards of now know."""
        for device in self.devices:
            with device.store.read() as connection:
                rows = connection.execute(
                    "SELECT epoch.text, seq, body FROM item JOIN epoch ON epoch.id = epoch JOIN name ON name.id = stream WHERE name.text = ?",
                    (STREAM,),
                ).fetchall()
            for epoch, seq, body in rows:
                for model in msgspec.json.decode(body).get("models", {}).values():
                    for label in model["n"]:
                        self.homes.setdefault(label, set()).add((epoch, seq))

    # ---- one rule for each kind of trouble, so that all the rest is not crowded out

    @rule(how=st.sampled_from(["cut", "end", "kill"]))
    def stop(self, how: str) -> None:
        getattr(self, how)()

    @rule(how=st.sampled_from(["event", "learn", "a_quarter_of_an_hour", "jump"]), years=st.sampled_from([-1, 1]))
    def time(self, how: str, years: int) -> None:
        if how == "jump":
            self.jump(years, 3)
        else:
            getattr(self, how)()

    @rule(how=st.sampled_from(["image", "image", "restore", "put_back", "reimage", "clone", "swap"]), data=st.data())
    def card(self, how: str, data: st.DataObject) -> None:
        """What cannot be done yet makes an image instead."""
        if how == "reimage":
            self.reimage()
        elif how == "swap" and len(self.devices) == 2:
            self.swap()
        elif how == "clone" and len(self.devices) == 1 and self.images and not self.timeless:
            self.clone(data.draw(st.sampled_from(self.images)))
        elif how in ("restore", "put_back") and self.images:
            image = data.draw(st.sampled_from(self.images))
            self.restore(image, 3.0) if how == "restore" else self.put_back(image)
        elif len(self.images) < 4:
            self.image()

    @rule(state=st.sampled_from(["full", "coarse", "coarse", "critical", "purge"]))
    def hold(self, state: str) -> None:
        """The data budget gets tighter, or an operator takes all out."""
        if state == "purge":
            self.purge()
        else:
            self.tighten(state)

    @rule(exact=st.booleans())
    def look(self, exact: bool) -> None:
        if exact:
            self.the_ledger_is_exact()
        else:
            self.ask()

    # ---- what always holds

    @invariant()
    def what_left_is_honest(self) -> None:
        """Numbers partition at every ledger. No number leaves with two byte strings. hi, n and sess never fall within an epoch."""
        new, self.seen = self.broker.left[self.seen :], len(self.broker.left)
        for topic, payload in new:
            if topic.endswith("/ledger"):
                self._ledger(decode(payload, Ledger))
            elif topic.endswith("/status"):
                self._sess(decode(payload, Status))
            for line in lines(topic, payload):
                body = msgspec.json.decode(line)
                key = body["epoch"], body["st"], body["seq"]
                digest = hashlib.sha256(line).digest()
                assert self.digests.setdefault(key, digest) == digest, f"{key} left with two contents"

    def _ledger(self, body: Ledger) -> None:
        partition(body)
        said = self._said.setdefault(body.epoch, body)
        assert body.n >= said.n, "n fell"
        for stream, entry in said.streams.items():
            assert stream in body.streams, "a stream left the ledger"
            assert body.streams[stream].hi >= entry.hi, "hi fell"
        self._said[body.epoch] = body
        for entry in body.streams.values():
            assert {one.why for one in entry.lost} <= {"sent", "operator"}, (
                "something went by age under a leap of the clock"
            )

    @property
    def _said(self) -> dict[str, Ledger]:
        return self.__dict__.setdefault("said", {})

    def _sess(self, body: Status) -> None:
        last: dict[str, int] = self.__dict__.setdefault("sess", {})
        assert body.sess >= last.get(body.epoch, 0), "sess fell"
        last[body.epoch] = body.sess

    @invariant()
    def no_result_counts_twice(self) -> None:
        counts = self._in_view()
        assert all(count == 1 for count in counts.values()), counts.most_common(3)

    @invariant()
    def an_honest_device_causes_no_conflict(self) -> None:
        assert not self.view.connection.execute("SELECT 1 FROM conflict").fetchone()

    def _in_view(self) -> Counter[str]:
        """Results by label, dated or not."""
        counts: Counter[str] = Counter()
        for (body,) in self.view.connection.execute("SELECT body FROM counted WHERE stream = ?", (STREAM,)):
            for model in msgspec.json.decode(body).get("models", {}).values():
                counts.update(model["n"])
        return counts

    # ---- at the end, on a quiet link

    def teardown(self) -> None:
        try:
            if self.devices:
                self._settle()
        finally:
            for device in self.devices:
                device.close()
            self._opened.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        for device in self.devices:
            device.cut()
            device.budget.state = "full"
            device.clock.source = "ntp"
            device.learn()
            # One more window is closed: until an epoch has its first item, nothing names the time before it.
            device.live([], 25)
        for _ in range(14):
            for device in self.devices:
                for _ in range(20):
                    device.serve(40)
                    if device.idle:
                        break
                if len(self.devices) > 1:
                    device.cut()
            for queue in self.broker.queues:
                self.view.take(queue, self.now_s)
                self.taken += queue
                queue.clear()
            self._ask()
            self.now_s += 2 * asks.LONGEST_PAUSE_S
        self.what_left_is_honest()
        self.no_result_counts_twice()
        self.an_honest_device_causes_no_conflict()
        self._remember()
        (verdict,) = verdicts(self.view.connection, self.now_s, silent_after_s=1e9)
        self._every_number_has_a_final_state(verdict)
        self._complete_means_all(verdict)
        self._what_is_not_in_the_view_is_named(verdict)
        self._status_is_that_of_the_last_session(verdict)
        self._any_order_gives_the_same_state()

    def _every_number_has_a_final_state(self, verdict: DeviceVerdict) -> None:
        """Liveness: on a quiet link nothing is missing for ever, in finitely many asks. Two with one name take it from each other."""
        if len(self.devices) == 1:
            assert not any(stream.missing for stream in verdict.streams), "an ask never ends"
            # What a branch that is gone had in a stream that the restored card has not begun, nobody speaks of any more: it stays as it was said.
            stays = any(stream.todo or stream.held for stream in verdict.streams)
            assert self.branched or not stays, "a calm link, and something stays"

    def _known(self) -> dict[str, int]:
        """Epoch → the last number that a card has, or that something which arrived has named."""
        found = dict(
            self.view.connection.execute("SELECT epoch, max(hi) FROM entry WHERE stream = ? GROUP BY epoch", (STREAM,))
        )
        for device in self.devices:
            with device.store.read() as connection:
                for epoch, last in connection.execute(
                    "SELECT epoch.text, last_seq FROM stream JOIN epoch ON epoch.id = epoch JOIN name ON name.id = stream WHERE name.text = ?",
                    (STREAM,),
                ):
                    found[epoch] = max(found.get(epoch, 0), last)
        return found

    def _complete_means_all(self, verdict: DeviceVerdict) -> None:
        """Soundness: complete implies that the view holds all that is numbered."""
        if verdict.state != "complete" or len(self.devices) > 1:
            return
        known = self._known()
        numbered = {
            label for label, homes in self.homes.items() if any(seq <= known.get(epoch, 0) for epoch, seq in homes)
        }
        assert numbered <= set(self._in_view()), numbered - set(self._in_view())

    def _what_is_not_in_the_view_is_named(self, verdict: DeviceVerdict) -> None:
        """Every acknowledged result is in the view, an open window, a todo, held or lost number, an orphan epoch, or inside a gap."""
        view, known = self._in_view(), self._known()
        open_numbers = {
            (stream.epoch, number)
            for stream in verdict.streams
            if stream.stream == STREAM
            for some in (stream.missing, stream.todo, stream.held, stream.unreachable, [one[:2] for one in stream.lost])
            for first, last in some
            for number in range(first, last + 1)
        }
        gaps = [
            (times.parse(since) if since else 0, times.parse(until))
            for since, until in self.view.connection.execute(
                "SELECT from_utc, to_utc FROM gaps WHERE stream = ? AND to_utc IS NOT NULL", (STREAM,)
            )
        ]
        # A gap's end is told by the clock of that moment: one that has leapt says it wrong.
        no_gap_item = any(seq == 1 for _, seq in open_numbers) or bool(verdict.orphans) or self.leapt
        open_gap = self.view.connection.execute(
            "SELECT 1 FROM gaps WHERE stream = ? AND to_utc IS NULL", (STREAM,)
        ).fetchone()
        made = {label: moments for device in self.devices for label, moments in device.made.items()}
        for label, moments in made.items():
            homes = {(epoch, seq) for epoch, seq in self.homes.get(label, set()) if seq <= known.get(epoch, 0)}
            assert (
                label in view
                or label in self.purged
                or homes & open_numbers
                or any(epoch in verdict.orphans for epoch, _ in homes)
                or any(since - 1_000_000 <= moment <= until + 1_000_000 for since, until in gaps for moment in moments)
                or (not homes and (no_gap_item or open_gap))
                or any("have no time yet" in reason for reason in verdict.why)
            ), f"{label}, made at {times.text_ms(moments[1])}, is missing and nothing says so: {verdict.why}"

    def _status_is_that_of_the_last_session(self, verdict: DeviceVerdict) -> None:
        if len(self.devices) == 1:
            assert verdict.status == "online"
            assert decode(self.broker.retained[topics.status(NAME)], Status).s == "online", "a late will stands"

    def _any_order_gives_the_same_state(self) -> None:
        """Any permutation, repetition and regrouping of the same messages gives the same tables."""
        again = [*self.taken, *self.broker.rng.sample(self.taken, len(self.taken) // 5)]
        self.broker.rng.shuffle(again)
        with open_view(self.folder / "again.sqlite", start=1) as other:
            other.connection.execute("PRAGMA synchronous = OFF")
            while again:
                size = self.broker.rng.randint(1, 50)
                other.take(again[:size], self.now_s)
                del again[:size]
            assert dump(other.connection) == dump(self.view.connection)


Proof.TestCase.settings = settings(
    max_examples=200 if LONG else 25,
    stateful_step_count=40 if LONG else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestProof = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")(Proof.TestCase)

"""A device that drops, dies, is restored and re-imaged, against the subscriber: what the contract promises holds after every run."""

import random
import sqlite3
from pathlib import Path

import pytest
from peers.device_model import T0_US, DeviceModel

from agent.messages import times
from agent.subscriber import asks
from agent.subscriber.streams import GIVEN_UP
from agent.subscriber.verdict import DeviceVerdict, verdicts
from agent.subscriber.view import View, open_view

AGE_S = 1.0


class Run:
    """One device, one subscriber, and a road between them that changes the order."""

    def __init__(self, view: View, seed: int) -> None:
        self.rng = random.Random(seed)
        self.device = DeviceModel(self.rng)
        self.view = view
        self.now_s = 1_000_000.0

    def deliver(self, share: float) -> None:
        """Some of what is under way, in any order, some of it twice, in transactions of any size."""
        self.rng.shuffle(self.device.out)
        count = round(len(self.device.out) * share)
        group = self.device.out[:count] + self.rng.sample(self.device.out[:count], count // 10)
        del self.device.out[:count]
        while group:
            size = self.rng.randint(1, 20)
            self.view.take(group[:size], self.now_s)
            del group[:size]

    def ask(self) -> int:
        self.now_s += 1
        requests = asks.due(
            self.view.connection, self.now_s, age_s=AGE_S, caller="t", new_id=lambda: f"{self.rng.getrandbits(64):x}"
        )
        for device, request in requests:
            assert device == self.device.d
            self.device.asked(request)
        return len(requests)

    def settle(self) -> DeviceVerdict:
        """A quiet link: everything is sent and acknowledged, ledgers arrive, asks are answered.

        The device closes one more window: until a new epoch has its first item, nothing names the time before it.
        """
        self.device.result()
        self.device.next_window()
        for _ in range(12):
            self.device.send(most=10_000)
            self.device.publish_ledger()
            self.deliver(1.0)
            self.ask()
            self.now_s += 2 * asks.LONGEST_PAUSE_S
        self.deliver(1.0)
        self.view.take([], self.now_s)
        (verdict,) = verdicts(self.view.connection, self.now_s, silent_after_s=1e9)
        return verdict


def in_view(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT label, sum(n) FROM results GROUP BY label"))


def check(run: Run, verdict: DeviceVerdict) -> None:
    seen = in_view(run.view.connection)
    assert all(count == 1 for count in seen.values()), "a result counts twice"
    assert not any(stream.conflicts for stream in verdict.streams), "an honest device is accused"
    open_numbers = {
        (stream.epoch, number)
        for stream in verdict.streams
        for some in (stream.missing, stream.todo, stream.held, stream.unreachable, [one[:2] for one in stream.lost])
        for first, last in some
        for number in range(first, last + 1)
    }
    gaps = [
        (times.parse(since) if since else 0, times.parse(until))
        for since, until in run.view.connection.execute("SELECT from_utc, to_utc FROM gaps")
    ]
    # A gap item is the first of its epoch: where that one is not here, the time it would name is not known either.
    no_gap_item = any(seq == 1 for _, seq in open_numbers) or any(
        not run.view.connection.execute("SELECT 1 FROM gaps WHERE epoch = ?", (epoch,)).fetchone()
        for epoch in verdict.orphans
    )
    # A number that a restored card has forgotten, and that nothing which arrived has named, only a gap can tell.
    known = dict(run.view.connection.execute("SELECT epoch, max(hi) FROM entry GROUP BY epoch"))
    for epoch in run.device.store.epochs:
        known[epoch.text] = max([known.get(epoch.text, 0), *(one.hi for one in epoch.streams.values())])

    def named(label: str) -> set[tuple[str, int]]:
        return {(epoch, seq) for epoch, seq in run.device.made[label][1] if seq <= known.get(epoch, 0)}

    for label, (second, homes) in run.device.made.items():
        moment_us = T0_US + second * 1_000_000
        assert (
            label in seen
            or label in run.device.store.window
            or homes & open_numbers
            or any(epoch in verdict.orphans for epoch, _ in homes)
            or any(since <= moment_us <= until for since, until in gaps)
            or (not named(label) and no_gap_item)
        ), f"{label} is missing and nothing says so"
    if verdict.state == "complete":
        numbered = {label for label in run.device.made if named(label)}
        assert numbered <= set(seen), "complete, but the view is not what the device numbered"


FAULTS = {
    "drops": {"drop": 0.3},
    "no-puback": {"no_puback": 0.4},
    "drops-retention": {"drop": 0.3, "retain": 0.05},
    "no-puback-retention": {"no_puback": 0.4, "retain": 0.05},
    "reboots": {"drop": 0.2, "reboot": 0.05},
    "restores": {"drop": 0.2, "restore": 0.04},
    "re-images": {"drop": 0.2, "reimage": 0.03},
    "all": {"drop": 0.3, "no_puback": 0.3, "retain": 0.03, "reboot": 0.03, "restore": 0.02, "reimage": 0.01},
}


def live(run: Run, faults: dict[str, float], steps: int = 120) -> None:
    device, rng = run.device, run.rng
    image = device.image()

    def happens(name: str) -> bool:
        return rng.random() < faults.get(name, 0.0)

    for _ in range(steps):
        for _ in range(rng.randint(0, 3)):
            device.result()
        if rng.random() < 0.3:
            device.next_window()
        if rng.random() < 0.5:
            device.send(drop=faults.get("drop", 0.0), no_puback=faults.get("no_puback", 0.0))
        if rng.random() < 0.2:
            device.publish_ledger(arrives=rng.random() > faults.get("drop", 0.0))
        if rng.random() < 0.05:
            image = device.image()
        if happens("retain"):
            device.retain(0.3)
        if happens("reboot"):
            device.reboot()
        if happens("restore"):
            device.restore(image)
        if happens("reimage"):
            device.reimage()
        if rng.random() < 0.3:
            run.deliver(rng.random())
        if rng.random() < 0.2:
            run.ask()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_what_is_not_in_the_view_is_named(tmp_path: Path, faults: dict[str, float]) -> None:
    for seed in range(4):
        with open_view(tmp_path / f"{seed}.sqlite", start=1) as view:
            # The disk is not what is tested here.
            view.connection.execute("PRAGMA synchronous = OFF")
            run = Run(view, seed)
            live(run, faults)
            verdict = run.settle()
            check(run, verdict)
            healing = not {"retain", "restore", "reimage"} & set(faults)
            if healing:
                assert verdict.state == "complete", verdict.why
            assert not any(stream.missing for stream in verdict.streams), "an ask never ends"


@pytest.mark.long
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_what_is_not_in_the_view_is_named_long(tmp_path: Path, faults: dict[str, float]) -> None:
    for seed in range(100, 140):
        with open_view(tmp_path / f"{seed}.sqlite", start=1) as view:
            view.connection.execute("PRAGMA synchronous = OFF")
            run = Run(view, seed)
            live(run, faults, steps=250)
            check(run, run.settle())


def test_a_restored_store_is_named_and_never_complete(tmp_path: Path) -> None:
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        run = Run(view, 3)
        device = run.device
        device.result()
        device.next_window()
        image = device.image()
        device.reboot()
        device.result()
        device.next_window()
        device.send(most=100)
        device.publish_ledger()
        first = device.epoch.text
        device.restore(image)
        device.result()
        device.next_window()
        verdict = run.settle()
        assert verdict.state == "incomplete"
        assert verdict.orphans == [first]
        assert any("a restored store or a clone" in reason for reason in verdict.why)
        check(run, verdict)


def test_the_verdict_is_wrong_when_the_subscriber_forgets(tmp_path: Path) -> None:
    """The checks above can fail: one received item taken away is found."""
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        run = Run(view, 5)
        live(run, {})
        verdict = run.settle()
        check(run, verdict)
        view.connection.execute(
            "DELETE FROM item WHERE seq = (SELECT max(seq) FROM item WHERE kind = 'sum' AND seen > 0)"
        )
        with pytest.raises(AssertionError):
            check(run, verdict)


def test_numbers_that_never_come_are_given_up(tmp_path: Path) -> None:
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        run = Run(view, 1)
        for _ in range(5):
            run.device.result()
            run.device.next_window()
        run.device.send(drop=1.0, most=100)
        run.device.publish_ledger()
        run.deliver(1.0)
        rounds: list[str] = []
        for turn in range(12):
            run.now_s += 2 * asks.LONGEST_PAUSE_S
            if turn > 3:
                run.device.publish_ledger()
                run.deliver(1.0)
            found = asks.due(view.connection, run.now_s, age_s=AGE_S, caller="t", new_id=lambda: "id")
            rounds.append(" ".join(type(request).__name__[:1] for _, request in found))
        # The first only notes that they are missing. While the device is silent, nothing is in vain and a ledger is asked for, too.
        assert rounds == ["", "R", "R L", "R L", "R", "R", "R", "R", "", "", "", ""]
        (verdict,) = verdicts(view.connection, run.now_s, silent_after_s=1e9)
        assert verdict.streams[0].unreachable == [(1, 6)]
        assert not verdict.streams[0].missing
        assert view.connection.execute("SELECT DISTINCT tries FROM ask").fetchall() == [(GIVEN_UP,)]
        # Received wins, also then.
        run.device.store.epochs[0].streams["summary/yard/s10"].acknowledged.clear()
        run.device.send(most=100)
        run.device.publish_ledger()
        run.deliver(1.0)
        (verdict,) = verdicts(view.connection, run.now_s, silent_after_s=1e9)
        assert verdict.state == "complete"


def test_at_most_200_numbers_are_on_their_way(tmp_path: Path) -> None:
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        run = Run(view, 2)
        for _ in range(450):
            run.device.result()
            run.device.next_window()
        run.device.send(drop=1.0, most=1_000)
        run.device.publish_ledger()
        run.deliver(1.0)
        for expected in (200, 200, 51):
            run.ask()
            run.now_s += AGE_S
            run.ask()
            assert view.connection.execute("SELECT count(*) FROM ask").fetchone() == (expected,)
            run.deliver(1.0)
        (verdict,) = verdicts(view.connection, run.now_s, silent_after_s=1e9)
        assert verdict.state == "complete"

"""A device in a few lines, for tests of the subscriber: numbers, items, ledgers, and all that goes wrong with them.

Its store is one value that can be copied (an image of the card) and put back. A result is a label of its own, so loss and double counting
are exact: `view` must hold each label at most once. Time is a counter of seconds; a window is ten of them.

device = DeviceModel(random.Random(7)); device.result(); device.next_window(); device.send(); device.publish_ledger()
device.out      # (topic, payload) pairs that reached the subscriber's broker
"""

import copy
import random
from dataclasses import dataclass, field

import msgspec

from agent.messages import batch, topics
from agent.messages.commands import LedgerRequest, ResendRequest
from agent.messages.envelope import Quality, encode
from agent.messages.ledger import Ledger, Lost, Older, StreamLedger
from agent.messages.status import Status
from agent.messages.summary import Cost, Gap, Inputs, Latency, ModelCounts, Sketch, Summary
from agent.messages.times import text_ms, text_s

T0_US = 1_795_000_000_000_000
GRAIN_S = 10
STREAM = "summary/yard/s10"


@dataclass
class Numbers:
    """One (epoch, stream)."""

    hi: int = 0
    items: dict[int, bytes] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    handed: set[int] = field(default_factory=set)
    lost: dict[int, str] = field(default_factory=dict)

    def ledger(self) -> StreamLedger:
        todo = [seq for seq in self.items if seq not in self.acknowledged]
        lost: list[Lost] = []
        for seq, why in sorted(self.lost.items()):
            if lost and lost[-1].last == seq - 1 and lost[-1].why == why:
                lost[-1] = msgspec.structs.replace(lost[-1], last=seq)
            else:
                lost.append(Lost(seq, seq, why, None))
        parts = {seq for seq in self.acknowledged if seq in self.items} | set(todo) | set(self.lost)
        assert parts == set(range(1, self.hi + 1)), "the model's own numbers do not partition"
        return StreamLedger(hi=self.hi, todo=_ranges(todo), lost=lost)


@dataclass
class Epoch:
    text: str
    prev: str | None
    why: str
    boot: int
    d: str
    ledger_n: int = 0
    sess: int = 0
    streams: dict[str, Numbers] = field(default_factory=dict)


@dataclass
class Store:
    epochs: list[Epoch]
    boot: int
    last_tick_s: int | None = None  # the lane's last committed second
    window_s: int | None = None  # start of the open window
    window_epoch: int = 0  # index of the epoch that its rows belong to
    window: list[str] = field(default_factory=list)


class DeviceModel:
    def __init__(self, rng: random.Random, d: str = "north-farm/gate-07") -> None:
        self.rng = rng
        self.d = d
        self.now_s = 0
        self.out: list[tuple[str, bytes]] = []
        self.made: dict[str, tuple[int, set[tuple[str, int]]]] = {}  # result → (second, the numbers that hold it)
        self._results = 0
        self.store = Store(epochs=[], boot=0)
        self._draw("new")

    # ---- what happens on the device

    def result(self) -> str:
        """One result in the store, in the window of now."""
        self.now_s += 1
        start_s = self.now_s // GRAIN_S * GRAIN_S
        if self.store.window_s != start_s or self.store.window_epoch != len(self.store.epochs) - 1:
            self._close()
            self.store.window_s, self.store.window_epoch = start_s, len(self.store.epochs) - 1
        self._results += 1
        label = f"r{self._results}"
        self.store.window.append(label)
        self.store.last_tick_s = self.now_s
        self.made[label] = (self.now_s, set())
        return label

    def next_window(self) -> None:
        self.now_s = (self.now_s // GRAIN_S + 1) * GRAIN_S
        self._close()

    def reboot(self, off_s: int = 3) -> None:
        self.now_s += off_s
        self._draw("boot")

    def image(self) -> Store:
        return copy.deepcopy(self.store)

    def restore(self, image: Store) -> None:
        self.store = copy.deepcopy(image)
        self._draw("restore")

    def reimage(self) -> None:
        """A new card: nothing of the old store is left."""
        self.store = Store(epochs=[], boot=0)
        self._draw("new")

    def retain(self, share: float) -> None:
        """Deletes a share of the items, oldest first, each with its entry in lost."""
        for epoch in self.store.epochs:
            for numbers in epoch.streams.values():
                for seq in sorted(numbers.items)[: int(len(numbers.items) * share)]:
                    del numbers.items[seq]
                    numbers.lost[seq] = "sent" if seq in numbers.handed else "retention"

    # ---- what it sends

    def send(self, *, drop: float = 0.0, no_puback: float = 0.0, most: int = 5) -> None:
        """Some items that are not acknowledged, in any order, alone on live/ or as a batch on back/."""
        for epoch in self.store.epochs:
            for stream, numbers in epoch.streams.items():
                todo = [seq for seq in numbers.items if seq not in numbers.acknowledged]
                chosen = self.rng.sample(todo, min(most, len(todo)))
                numbers.handed.update(chosen)
                arrived = [numbers.items[seq] for seq in chosen if self.rng.random() >= drop]
                if len(arrived) > 2:
                    self.out.append((topics.back(self.d, stream), batch.pack(arrived)[0]))
                else:
                    self.out += [(topics.live(self.d, stream), body) for body in arrived]
                numbers.acknowledged.update(seq for seq in chosen if self.rng.random() >= no_puback)

    def asked(self, request: ResendRequest | LedgerRequest) -> None:
        if isinstance(request, LedgerRequest):
            self.publish_ledger()
        else:
            self.resend(request)

    def resend(self, request: ResendRequest) -> None:
        for epoch in self.store.epochs:
            numbers = epoch.streams.get(request.args.st)
            if epoch.text == request.args.epoch and numbers is not None:
                asked = [seq for first, last in request.args.ranges for seq in range(first, last + 1)]
                found = [numbers.items[seq] for seq in asked if seq in numbers.items]
                if found:
                    self.out.append((topics.back(self.d, request.args.st), batch.pack(found)[0]))

    def publish_ledger(self, *, arrives: bool = True) -> Ledger:
        self.epoch.ledger_n += 1
        body = self.ledger()
        if arrives:
            self.out.append((topics.ledger(self.d), encode(body)))
        return body

    def ledger(self) -> Ledger:
        epoch = self.epoch
        return Ledger(
            d=self.d, epoch=epoch.text, prev=epoch.prev, why=epoch.why, boot=epoch.boot, n=epoch.ledger_n, at=self.at(),
            streams={name: numbers.ledger() for name, numbers in epoch.streams.items()},
            older=[
                Older(
                    d=old.d, epoch=old.text, prev=old.prev, why=old.why, n=old.ledger_n,
                    streams={name: numbers.ledger() for name, numbers in old.streams.items()},
                )
                for old in reversed(self.store.epochs[:-1])
            ],
        )  # fmt: skip

    def publish_status(self, state: str = "online") -> None:
        if state == "online":
            self.epoch.sess += 1
        epoch = self.epoch
        body = Status(
            d=self.d, s=state, epoch=epoch.text, boot=epoch.boot, sess=epoch.sess, at=self.at(), cfg="sha256:00"
        )
        self.out.append((topics.status(self.d), encode(body)))

    # ---- inside

    @property
    def epoch(self) -> Epoch:
        return self.store.epochs[-1]

    def at(self) -> str:
        return text_ms(T0_US + self.now_s * 1_000_000)

    def _draw(self, why: str) -> None:
        """A new numbering run; its gap item comes with the first item."""
        self.now_s += 1
        self.store.boot += 1
        prev = self.store.epochs[-1].text if self.store.epochs else None
        self.store.epochs.append(
            Epoch(text=f"{self.rng.getrandbits(128):032x}", prev=prev, why=why, boot=self.store.boot, d=self.d)
        )
        self._gap_s = self.store.last_tick_s, self.now_s
        self._close()

    def _append(self, make: "object") -> int:
        numbers = self.epoch.streams.setdefault(STREAM, Numbers())
        if numbers.hi == 0:
            since, until = (None if one is None else text_ms(T0_US + one * 1_000_000) for one in self._gap_s)
            numbers.hi = 1
            numbers.items[1] = encode(Gap(**self._envelope(1), gap=(since, until)))
        numbers.hi += 1
        numbers.items[numbers.hi] = encode(make(numbers.hi))  # type: ignore[operator]
        return numbers.hi

    def _envelope(self, seq: int) -> dict[str, object]:
        return {
            "d": self.d, "epoch": self.epoch.text, "st": STREAM, "seq": seq, "of": seq, "at": self.at(),
            "tq": Quality(s="ntp", e=1), "boot": self.epoch.boot,
        }  # fmt: skip

    def _close(self) -> None:
        """The open window becomes an item; of an older epoch's rows a carried one."""
        if self.store.window_s is None:
            return
        old = self.store.epochs[self.store.window_epoch]
        carried = old is not self.epoch
        labels = dict.fromkeys(self.store.window, 1)
        carry = {"carry": (old.text, old.streams[STREAM].hi if STREAM in old.streams else 0)} if carried else {}
        start = text_s(T0_US + self.store.window_s * 1_000_000)
        seq = self._append(
            lambda number: Summary(
                **self._envelope(number), w=(start, GRAIN_S), cfg="sha256:00", cover=1.0,
                fr=Inputs(seen=len(labels), gated=0, inf=len(labels), drop=0, fail=0),
                models={"m": ModelCounts(sha=None, inf=len(labels), n=labels, uniq={}, lat=Latency(p50=None, p95=None, sk=Sketch(g=0.02, b=[])))},
                cost=Cost(j=None, tx=None, rx=None, alt=None), **carry,
            )
        )  # fmt: skip
        for label in self.store.window:
            self.made[label][1].add((self.epoch.text, seq))
        self.store.window, self.store.window_s = [], None


def _ranges(numbers: "list[int]") -> list[tuple[int, ...]]:
    result: list[tuple[int, ...]] = []
    for number in sorted(numbers):
        if result and result[-1][1] == number - 1:
            result[-1] = (result[-1][0], number)
        else:
            result.append((number, number))
    return result

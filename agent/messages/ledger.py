"""`ledger`, retained: what became of every number. Each is exactly one of acknowledged, todo, held, lost.

hi the last number given; todo on the device, not acknowledged; held kept back by the budget, can be asked for; lost gone.
Ranges are [first, last], both included, ascending; a folded one is [first, last, count]: it covers more numbers than it means.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.messages.envelope import VERSION, Count, Device, Epoch, Number, Stream, Text, Undated, encode

MAX_LEDGER_BYTES = 60_000

Range = Annotated[tuple[Number, ...], Meta(min_length=2, max_length=3)]


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """why: sent, retention, disk_full, corrupt, operator, privacy. totals: null unknown, {} zero. count: of a folded range, else null."""

    first: Number
    last: Number
    why: str
    totals: dict[str, Any] | None
    count: Number | None = None


class StreamLedger(msgspec.Struct, frozen=True, kw_only=True):
    hi: Count
    todo: list[Range] = []
    held: list[Range] = []
    lost: list[Lost] = []


class Older(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch before the running one, newest first. d: the name that the device had then."""

    d: Device
    epoch: Epoch
    prev: Epoch | None
    why: str
    n: Count
    streams: dict[Stream, StreamLedger]


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """n: number of this ledger in its epoch, durable. prev, why: of the running epoch. part: something was left out for its size."""

    v: Literal[1] = VERSION
    d: Device
    epoch: Epoch
    prev: Epoch | None
    why: str
    boot: Number
    n: Number
    at: Text
    streams: dict[Stream, StreamLedger]
    older: list[Older]
    undated: Undated = {}
    part: bool = False


def fit(
    ledger: Ledger, max_bytes: int = MAX_LEDGER_BYTES, unchanged: AbstractSet[tuple[str, str]] = frozenset()
) -> tuple[Ledger, bytes]:
    """The ledger and its bytes, made small enough: leaves out totals, then folds ranges (oldest first, each fold with its count), then
    streams that did not change since the last whole ledger, then settled older epochs, oldest first. `part` says that anything is left out.

    unchanged: (epoch, stream) pairs the caller knows to be as in a ledger that was acknowledged before. Settled streams of older
    epochs (nothing todo, held or lost) are left out after them. The running epoch's streams stay otherwise, whatever the size.
    """
    data = encode(ledger)
    if len(data) <= max_bytes:
        return ledger, data
    steps: list[Callable[[Ledger], Ledger]] = [lambda body: _each_stream(body, _without_totals)]
    steps += [lambda body, keep=keep: _each_stream(body, lambda entry: _folded(entry, keep)) for keep in (64, 16, 4, 1)]  # type: ignore[misc]
    steps += [
        lambda body: _without(body, lambda epoch, stream, _: (epoch, stream) in unchanged),
        lambda body: _without(
            body, lambda epoch, _, entry: epoch != body.epoch and not (entry.todo or entry.held or entry.lost)
        ),
    ]
    for step in steps:
        ledger = msgspec.structs.replace(step(ledger), part=True)
        data = encode(ledger)
        if len(data) <= max_bytes:
            return ledger, data
    while ledger.older and len(data) > max_bytes:
        # Every epoch costs about as much as its neighbours: one guess and a few steps, not one encoding an epoch.
        spare = len(encode(ledger.older[-1])) + 1
        drop = max(1, min(len(ledger.older), (len(data) - max_bytes) // (spare * 2)))
        ledger = msgspec.structs.replace(ledger, older=ledger.older[:-drop])
        data = encode(ledger)
    return ledger, data


def _each_stream(body: Ledger, change: Callable[[StreamLedger], StreamLedger]) -> Ledger:
    return msgspec.structs.replace(
        body,
        streams={name: change(entry) for name, entry in body.streams.items()},
        older=[
            msgspec.structs.replace(old, streams={name: change(entry) for name, entry in old.streams.items()})
            for old in body.older
        ],
    )


def _without(body: Ledger, leave_out: Callable[[str, str, StreamLedger], bool]) -> Ledger:
    def kept(epoch: str, streams: dict[str, StreamLedger]) -> dict[str, StreamLedger]:
        return {name: entry for name, entry in streams.items() if not leave_out(epoch, name, entry)}

    older = [msgspec.structs.replace(old, streams=kept(old.epoch, old.streams)) for old in body.older]
    return msgspec.structs.replace(body, streams=kept(body.epoch, body.streams), older=older)


def _without_totals(entry: StreamLedger) -> StreamLedger:
    return msgspec.structs.replace(entry, lost=[msgspec.structs.replace(one, totals=None) for one in entry.lost])


def _folded(entry: StreamLedger, keep: int) -> StreamLedger:
    """At most `keep` ranges of each kind: the newest as they are, the older ones as one that carries their count."""
    return msgspec.structs.replace(
        entry,
        todo=_fold_ranges(entry.todo, keep),
        held=_fold_ranges(entry.held, keep),
        lost=_fold_lost(entry.lost, keep),
    )


def _fold_ranges(ranges: list[Range], keep: int) -> list[Range]:
    if len(ranges) <= keep:
        return ranges
    old, new = ranges[: len(ranges) - keep + 1], ranges[len(ranges) - keep + 1 :]
    return [(old[0][0], max(one[1] for one in old), sum(range_count(one) for one in old)), *new]


def _fold_lost(ranges: list[Lost], keep: int) -> list[Lost]:
    """Ranges of different reasons never become one."""
    result: list[Lost] = []
    for why in dict.fromkeys(one.why for one in ranges):
        same = [one for one in ranges if one.why == why]
        if len(same) > keep:
            old, same = same[: len(same) - keep + 1], same[len(same) - keep + 1 :]
            count = sum(one.count or one.last - one.first + 1 for one in old)
            result.append(Lost(old[0].first, max(one.last for one in old), why, None, count))
        result += same
    return sorted(result, key=lambda one: (one.first, one.last))


def range_count(one: Range) -> int:
    """How many numbers a range of todo or held means."""
    return one[2] if len(one) == 3 else one[1] - one[0] + 1

"""What became of each number of one stream of one epoch: received, missing, todo, held, lost, unreachable, unreadable."""

import sqlite3
from typing import Literal

import msgspec

from agent.messages.envelope import decode
from agent.messages.ledger import StreamLedger, range_count
from agent.subscriber import ranges
from agent.subscriber.chains import Chain, Chains
from agent.subscriber.ranges import Ranges

MOST_ASKS = 5
GIVEN_UP = MOST_ASKS + 1  # table ask, column tries: the last ask, too, was in vain
_UNREADABLE_COPIES = 2
_GREATEST = 2**63 - 1


class StreamVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One (epoch, stream): what is not received of start..hi, each number in one list. missing can be asked for; unreachable cannot any
    more: asked in vain, or its branch of a fork is gone. unreadable: received, but no copy could be read. ahead: received beyond hi.
    """

    epoch: str
    stream: str
    start: int
    hi: int
    received: int
    ahead: int
    missing: Ranges = []
    todo: Ranges = []
    held: Ranges = []
    lost: list[tuple[int, int, str]] = []
    unreachable: Ranges = []
    unreadable: list[int] = []
    conflicts: list[int] = []

    @property
    def whole(self) -> bool:
        return not (
            self.missing or self.todo or self.held or self.lost or self.unreachable or self.unreadable or self.conflicts
        )


def stream_verdict(connection: sqlite3.Connection, known: Chains, chain: Chain, epoch: str, name: str) -> StreamVerdict:
    key = (epoch, name)
    row = connection.execute("SELECT seq FROM start WHERE epoch = ? AND stream = ?", key).fetchone()
    start = int(row[0]) if row else 1
    entries = connection.execute("SELECT namer, n, hi, body FROM entry WHERE epoch = ? AND stream = ?", key).fetchall()
    hi = max((int(one[2]) for one in entries), default=0)
    received: Ranges = connection.execute(
        "SELECT first, last FROM received WHERE epoch = ? AND stream = ? ORDER BY first", key
    ).fetchall()
    wanted: Ranges = [(start, hi)] if start <= hi else []
    conflicts = connection.execute(
        "SELECT seq FROM conflict WHERE epoch = ? AND stream = ? AND seq >= ? ORDER BY seq", (*key, start)
    ).fetchall()
    result = StreamVerdict(
        epoch=epoch,
        stream=name,
        start=start,
        hi=hi,
        received=ranges.count(ranges.intersect(received, wanted)),
        ahead=ranges.count(ranges.intersect(received, [(max(hi + 1, start), _GREATEST)])),
        conflicts=[int(seq) for (seq,) in conflicts],
    )
    absent = ranges.subtract(wanted, received)
    if not absent:
        return result
    # What the newest epoch of this device that names it says; beyond its hi the numbers belong to another branch of a fork.
    newest = max(entries, key=lambda one: (one[0] in chain.epochs, known.depth(one[0]), one[1], one[0]))
    said = decode(newest[3].encode(), StreamLedger)
    gone = ranges.intersect(absent, [(said.hi + 1, hi)] if said.hi < hi else [])
    todo, held, lost, missing = _divide(said, ranges.subtract(absent, gone))
    unreadable = _settled(connection, key, missing, "unreadable", "copies", _UNREADABLE_COPIES)
    missing = ranges.subtract(missing, unreadable)
    vain = _settled(connection, key, missing, "ask", "tries", GIVEN_UP)
    missing = ranges.subtract(missing, vain)
    if epoch in chain.orphans:
        gone = ranges.normal([*gone, *missing, *todo, *held])
        missing, todo, held = [], [], []
    return msgspec.structs.replace(
        result,
        missing=missing,
        todo=todo,
        held=held,
        lost=lost,
        unreachable=ranges.normal([*gone, *vain]),
        unreadable=list(ranges.numbers(unreadable)),
    )


def _divide(said: StreamLedger, absent: Ranges) -> tuple[Ranges, Ranges, list[tuple[int, int, str]], Ranges]:
    """Absent numbers by what the ledger says of them: todo, held, lost with reasons, the rest.

    Exact ranges first. A folded range covers more numbers than it means: when more of it are absent than it counts, some of them are
    missing and nobody knows which, so all are; the device's answer is final for each.
    """
    lost: list[tuple[int, int, str]] = []
    for one in said.lost:
        if one.count is None:
            hit = ranges.intersect(absent, [(one.first, one.last)])
            lost += [(first, last, one.why) for first, last in hit]
            absent = ranges.subtract(absent, hit)
    held = ranges.intersect(absent, ranges.normal((one[0], one[1]) for one in said.held if len(one) == 2))
    absent = ranges.subtract(absent, held)
    todo = ranges.intersect(absent, ranges.normal((one[0], one[1]) for one in said.todo if len(one) == 2))
    absent = ranges.subtract(absent, todo)
    folded = [(one.first, one.last, one.count, one.why) for one in said.lost if one.count is not None]
    folded += [(one[0], one[1], range_count(one), "") for one in (*said.held, *said.todo) if len(one) == 3]
    for first, last in ranges.normal((one[0], one[1]) for one in folded):
        inside = [one for one in folded if first <= one[0] and one[1] <= last]
        hit = ranges.intersect(absent, [(first, last)])
        if ranges.count(hit) > sum(one[2] for one in inside):
            continue
        absent = ranges.subtract(absent, hit)
        if all(one[3] for one in inside):
            why = " or ".join(dict.fromkeys(one[3] for one in inside))
            lost += [(a, b, why) for a, b in hit]
        else:
            todo = ranges.normal([*todo, *hit])
    return todo, held, sorted(lost), absent


def _settled(
    connection: sqlite3.Connection,
    key: tuple[str, str],
    missing: Ranges,
    table: Literal["unreadable", "ask"],
    column: Literal["copies", "tries"],
    least: int,
) -> Ranges:
    """Missing numbers that came twice and could not be read, or were asked for in vain."""
    if not missing:
        return []
    found = connection.execute(
        f"SELECT seq FROM {table} WHERE epoch = ? AND stream = ? AND {column} >= ?", (*key, least)
    )
    return ranges.intersect(missing, ranges.normal((seq, seq) for (seq,) in found))

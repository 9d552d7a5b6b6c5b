"""What is missing, and why: a reading of the state, one verdict a device.

Complete is said of a ledger: everything that its device had numbered at `as_of` is here, from the number on that this subscriber answers
for. Received wins over whatever a ledger says of a number.
"""

import sqlite3
from typing import Literal

import msgspec

from agent.messages.envelope import decode
from agent.messages.ledger import Ledger
from agent.messages.status import Status
from agent.subscriber import chains, ranges
from agent.subscriber.chains import Chain, Chains
from agent.subscriber.streams import StreamVerdict, stream_verdict

SILENT_AFTER_S = 7_200.0
PART = "the ledger was too large and no whole one has come"


class DeviceVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """state: complete, incomplete, or unknown: no ledger, or silent since `as_of`. why: one sentence a reason, empty when complete."""

    device: str
    state: Literal["complete", "incomplete", "unknown", "moved"]
    as_of: str | None
    status: str | None
    epoch: str | None
    epochs: int
    streams: list[StreamVerdict]
    duplicates: int
    gaps: list[tuple[str, str | None, str]]  # stream, from, to
    orphans: list[str]
    why: list[str]


def verdicts(
    connection: sqlite3.Connection, now_s: float, silent_after_s: float = SILENT_AFTER_S, device: str | None = None
) -> list[DeviceVerdict]:
    """Of one device, or of all. now_s: seconds since 1970, UTC."""
    known = chains.read(connection)
    return [
        _device(connection, known, one, now_s, silent_after_s) for one in known.devices if device in (None, one.device)
    ]


def _device(
    connection: sqlite3.Connection, known: Chains, chain: Chain, now_s: float, silent_after_s: float
) -> DeviceVerdict:
    row = connection.execute("SELECT body, whole_n FROM ledger WHERE epoch = ?", chain.epochs[:1] or ("",)).fetchone()
    ledger = decode(row[0].encode(), Ledger) if row else None
    status = _status(connection, chain)
    streams = [
        stream_verdict(connection, known, chain, epoch, name)
        for epoch in (*chain.epochs, *chain.orphans)
        for name in _names(connection, epoch)
    ]
    heard_s = float(connection.execute("SELECT heard_s FROM device WHERE device = ?", (chain.device,)).fetchone()[0])
    unknown: list[str] = []
    if ledger is None:
        unknown.append("no ledger has come")
    elif status is not None and status.s == "lost":
        unknown.append(f"the connection was lost: unknown since {ledger.at}")
    elif now_s - heard_s > silent_after_s:
        unknown.append(f"silent for {now_s - heard_s:.0f} s: unknown since {ledger.at}")
    why = [text for stream in streams for text in _reasons(stream)]
    why += [f"epoch {epoch} is in no known chain: its last numbers are unknown" for epoch in chain.orphans]
    mine = {*chain.epochs, *chain.orphans}
    why += [
        f"epochs {', '.join(forked)} both follow {prev}: a restored store or a clone"
        for prev, forked in known.forks.items()
        if prev in mine
    ]
    why += [
        f"epoch {epoch} runs on {' and '.join(devices)}: a clone, or a device under another name"
        for epoch, devices in known.shared.items()
        if chain.device in devices
    ]
    if ledger is not None:
        why += [
            f"lane {lane}: {ticks} ticks and {results} results have no time yet"
            for lane, (ticks, results) in ledger.undated.items()
        ]
        if ledger.part and not (chain.ends and _was_whole(connection, chain)):
            why.append(PART)
    if chain.moved_to:
        unknown = [f"goes on as {chain.moved_to}"]
    return DeviceVerdict(
        device=chain.device,
        state="moved" if chain.moved_to else "unknown" if unknown else "incomplete" if why else "complete",
        as_of=ledger.at if ledger else None,
        status=status.s if status else None,
        epoch=chain.epochs[0] if chain.epochs else None,
        epochs=len(chain.epochs),
        streams=streams,
        duplicates=_total(connection, "SELECT sum(duplicates) FROM repeated WHERE device = ?", chain.device),
        gaps=[
            (name, since, until)
            for epoch in chain.epochs
            for name, since, until in connection.execute(
                "SELECT stream, from_utc, to_utc FROM gaps WHERE epoch = ? ORDER BY to_utc, stream", (epoch,)
            )
        ],
        orphans=list(chain.orphans),
        why=unknown + why,
    )


def _status(connection: sqlite3.Connection, chain: Chain) -> Status | None:
    """Of the newest epoch that has one: an ancestor's never wins over its descendant's."""
    for epoch in chain.epochs:
        row = connection.execute("SELECT body FROM status WHERE epoch = ?", (epoch,)).fetchone()
        if row:
            return decode(row[0].encode(), Status)
    return None


def _was_whole(connection: sqlite3.Connection, chain: Chain) -> bool:
    marks = ", ".join("?" * len(chain.epochs))
    return _total(connection, f"SELECT sum(whole_n) FROM ledger WHERE epoch IN ({marks})", *chain.epochs) > 0


def _names(connection: sqlite3.Connection, epoch: str) -> list[str]:
    return [
        name
        for (name,) in connection.execute(
            "SELECT stream FROM entry WHERE epoch = ?1 UNION SELECT stream FROM received WHERE epoch = ?1"
            " UNION SELECT stream FROM unreadable WHERE epoch = ?1 AND stream IS NOT NULL ORDER BY 1",
            (epoch,),
        )
    ]


def _reasons(stream: StreamVerdict) -> list[str]:
    place = f"{stream.stream} (epoch {stream.epoch[:8]})"
    named = {
        "missing": stream.missing,
        "on the device, not sent yet": stream.todo,
        "held back on the device": stream.held,
        "unreachable": stream.unreachable,
        "received but not readable": ranges.normal((one, one) for one in stream.unreadable),
        "received with two contents": ranges.normal((one, one) for one in stream.conflicts),
    }
    found = [f"{place}: {ranges.count(some)} {what}: {ranges.text(some)}" for what, some in named.items() if some]
    for why in dict.fromkeys(one[2] for one in stream.lost):
        some = ranges.normal(one[:2] for one in stream.lost if one[2] == why)
        found.append(f"{place}: {ranges.count(some)} lost on the device ({why}): {ranges.text(some)}")
    return found


def _total(connection: sqlite3.Connection, query: str, *values: str) -> int:
    return int(connection.execute(query, values).fetchone()[0] or 0)

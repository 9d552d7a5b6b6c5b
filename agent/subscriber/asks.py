"""Which numbers to ask a device for again, and when: at most 200 on their way a device, with growing pauses, until 5 asks were in vain.

An ask was in vain when a ledger that is newer than it still does not name the number, and it has not come. A device that says nothing is asked for a
ledger, too: silence proves nothing, and a number that is given up is never complete again.
"""

import sqlite3
from collections.abc import Callable

from agent.messages.commands import LedgerRequest, ResendArguments, ResendRequest
from agent.subscriber import ranges, whole
from agent.subscriber.streams import GIVEN_UP, MOST_ASKS
from agent.subscriber.verdict import DeviceVerdict, verdicts

MOST_NUMBERS = 200
MOST_BYTES = 1_000_000
LONGEST_PAUSE_S = 3_600.0
# One that is not there, or whose data budget is spent, hears nothing.
_ASKABLE = (None, "online")

Asked = ResendRequest | LedgerRequest


def due(
    connection: sqlite3.Connection, now_s: float, *, age_s: float, caller: str, new_id: Callable[[], str]
) -> list[tuple[str, Asked]]:
    """(device, request) pairs to publish now; that they were asked is written down in this call's transaction.

    age_s: how long a number must have been missing (2 × the device's keepalive: it may still be on its way). Call it after a ledger came,
    and about once a second while anything is missing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        requests: list[tuple[str, Asked]] = []
        for verdict in verdicts(connection, now_s):
            if verdict.state != "moved" and verdict.status in _ASKABLE:
                heard = _heard(connection, verdict.device)
                _note_missing(connection, verdict, now_s, age_s, heard)
                requests += _requests(connection, verdict.device, now_s, age_s, heard, caller, new_id)
                pages = whole.due(connection, verdict, now_s, age_s=age_s, caller=caller, new_id=new_id)
                requests += [(verdict.device, page) for page in pages]
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return requests


def outstanding(connection: sqlite3.Connection) -> bool:
    """Whether any number is being asked for, or will be."""
    query = "SELECT EXISTS (SELECT 1 FROM ask WHERE tries < ?) OR EXISTS (SELECT 1 FROM page)"
    found = connection.execute(query, (GIVEN_UP,)).fetchone()
    return bool(found[0])


def _heard(connection: sqlite3.Connection, device: str) -> int:
    """Grows with each newer ledger of the device, on whatever branch of a fork."""
    (found,) = connection.execute(
        "SELECT coalesce(sum(n), 0) FROM ledger WHERE epoch IN (SELECT epoch FROM root WHERE device = ?)", (device,)
    ).fetchone()
    return int(found)


def _note_missing(
    connection: sqlite3.Connection, verdict: DeviceVerdict, now_s: float, age_s: float, heard: int
) -> None:
    """Table `ask` follows what is missing: resolved numbers leave it, new ones enter while there is room, asks in vain are counted."""
    connection.execute(
        "UPDATE ask SET tries = CASE WHEN tries + 1 >= ?1 THEN ?2 ELSE tries + 1 END"
        " WHERE device = ?4 AND asks > 0 AND tries < ?1 AND next_s <= ?5 AND heard <> ?3",
        (MOST_ASKS, GIVEN_UP, heard, verdict.device, now_s),
    )
    missing = {(one.epoch, one.stream): one.missing for one in verdict.streams if one.missing}
    vain = {(one.epoch, one.stream): one.unreachable for one in verdict.streams if one.unreachable}
    open_numbers = 0
    known: set[tuple[str, str, int]] = set()
    for epoch, stream, seq, tries in connection.execute(
        "SELECT epoch, stream, seq, tries FROM ask WHERE device = ?", (verdict.device,)
    ).fetchall():
        wanted = [*missing.get((epoch, stream), []), *vain.get((epoch, stream), [])]
        if any(first <= seq <= last for first, last in wanted):
            known.add((epoch, stream, seq))
            open_numbers += tries < GIVEN_UP
        else:
            connection.execute("DELETE FROM ask WHERE epoch = ? AND stream = ? AND seq = ?", (epoch, stream, seq))
    for (epoch, stream), some in missing.items():
        for seq in ranges.numbers(some):
            if open_numbers >= MOST_NUMBERS:
                return
            if (epoch, stream, seq) not in known:
                connection.execute(
                    "INSERT OR IGNORE INTO ask VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?)",
                    (epoch, stream, seq, verdict.device, now_s, heard, now_s + age_s),
                )
                open_numbers += 1


def _requests(
    connection: sqlite3.Connection,
    device: str,
    now_s: float,
    age_s: float,
    heard: int,
    caller: str,
    new_id: Callable[[], str],
) -> list[tuple[str, Asked]]:
    numbers: dict[tuple[str, str], list[int]] = {}
    silent = False
    for epoch, stream, seq, asks, before in connection.execute(
        "SELECT epoch, stream, seq, asks, heard FROM ask WHERE device = ? AND tries < ? AND next_s <= ? ORDER BY epoch, stream, seq",
        (device, MOST_ASKS, now_s),
    ).fetchall():
        numbers.setdefault((epoch, stream), []).append(seq)
        silent = silent or (asks > 0 and before == heard)
        pause_s = min(LONGEST_PAUSE_S, age_s * 2.0 ** min(asks + 1, 30))
        connection.execute(
            "UPDATE ask SET asks = asks + 1, heard = ?, next_s = ? WHERE epoch = ? AND stream = ? AND seq = ?",
            (heard, now_s + pause_s, epoch, stream, seq),
        )
    found: list[tuple[str, Asked]] = [
        (
            device,
            ResendRequest(
                id=new_id(),
                caller=caller,
                args=ResendArguments(
                    epoch=epoch, st=stream, ranges=ranges.normal((one, one) for one in some), max_bytes=MOST_BYTES
                ),
            ),
        )
        for (epoch, stream), some in numbers.items()
    ]
    return [*found, (device, LedgerRequest(id=new_id(), caller=caller))] if silent else found

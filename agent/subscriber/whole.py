"""A ledger that was too large to be sent whole is asked for by cmd/ledger, page by page. The answers are entries like any ledger's.

Which page was asked for stands in table `page`: an answer counts only as the next page of the walk that is on its way.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from agent.messages.commands import Answer, LedgerArguments, LedgerRequest
from agent.messages.envelope import Epoch, Number, Stream, Unreadable, decode
from agent.messages.ledger import Older
from agent.subscriber.verdict import PART, DeviceVerdict

LONGEST_PAUSE_S = 3_600.0


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of an answer to cmd/ledger. of: the running epoch and the number of its newest ledger."""

    epochs: list[Older]
    after: tuple[Epoch, Stream] | None
    of: tuple[Epoch, Number]


def due(
    connection: sqlite3.Connection,
    verdict: DeviceVerdict,
    now_s: float,
    *,
    age_s: float,
    caller: str,
    new_id: Callable[[], str],
) -> list[LedgerRequest]:
    """The next page, or the first one, where the device's ledger left something out; inside a transaction of the caller."""
    if PART not in verdict.why:
        connection.execute("DELETE FROM page WHERE device = ?", (verdict.device,))
        return []
    row = connection.execute(
        "SELECT after, tries, next_s FROM page WHERE device = ?", (verdict.device,)
    ).fetchone() or (None, 0, 0.0)
    after, tries, next_s = row
    if next_s > now_s:
        return []
    request = LedgerRequest(
        id=new_id(), caller=caller, args=LedgerArguments(after=None if after is None else tuple(after.split(" ")))
    )
    pause_s = min(LONGEST_PAUSE_S, age_s * 2.0 ** min(tries + 1, 30))
    connection.execute(
        "INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?)",
        (verdict.device, request.id, after, tries + 1, now_s + pause_s),
    )
    return [request]


def take(connection: sqlite3.Connection, device: str, payload: bytes) -> Pages | None:
    """What an answer holds; None for one that was not waited for. Unreadable: it is no answer."""
    answer = decode(payload, Answer)
    asked = connection.execute("SELECT 1 FROM page WHERE device = ? AND id = ?", (device, answer.id)).fetchone()
    if asked is None or answer.code != "ok" or answer.data is None:
        return None
    try:
        pages = msgspec.convert(answer.data, Pages)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
    after = None if pages.after is None else " ".join(pages.after)
    # The next page at once; the walk is at its end where there is none.
    connection.execute("UPDATE page SET id = '', after = ?, tries = 0, next_s = 0 WHERE device = ?", (after, device))
    return pages

"""Requests that were answered: once each, over kills and restarts. The row is written in the transaction that starts the request's effect."""

import sqlite3
from typing import NamedTuple

from agent.store.transaction import Transaction

DAY_US = 86_400_000_000
MOST_A_CALLER = 1_000


class Answered(NamedTuple):
    """request: SHA-256 of the payload. answer: the bytes that were sent. work: JSON of what is still to be done, None when it is done."""

    request: bytes
    answer: bytes
    work: str | None


def find(connection: sqlite3.Connection, caller: str, request_id: str) -> Answered | None:
    row = connection.execute(
        "SELECT request, answer, work FROM command WHERE caller = ? AND id = ?", (caller, request_id)
    ).fetchone()
    return None if row is None else Answered(*row)


def enter(transaction: Transaction, caller: str, request_id: str, name: str, found: Answered) -> None:
    """Rows of a day ago, of earlier boots and beyond the newest of a caller go, unless there is work left."""
    connection, now_us = transaction.connection, transaction.now_us
    connection.execute(
        "DELETE FROM command WHERE work IS NULL AND boot = ? AND at_us < ?", (transaction.boot, now_us - DAY_US)
    )
    connection.execute(
        "DELETE FROM command WHERE work IS NULL AND caller = ?1 AND id IN (SELECT id FROM command WHERE caller = ?1"
        " ORDER BY boot DESC, at_us DESC LIMIT -1 OFFSET ?2)",
        (caller, MOST_A_CALLER - 1),
    )
    connection.execute(
        "INSERT INTO command (caller, id, name, boot, at_us, request, answer, work) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (caller, request_id, name, transaction.boot, now_us, found.request, found.answer, found.work),
    )


def unfinished(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """(caller, id, work) of what was accepted and is not done yet, oldest first."""
    return connection.execute(
        "SELECT caller, id, work FROM command WHERE work IS NOT NULL ORDER BY boot, at_us"
    ).fetchall()


def finish(transaction: Transaction, caller: str, request_id: str) -> None:
    transaction.connection.execute("UPDATE command SET work = NULL WHERE caller = ? AND id = ?", (caller, request_id))

"""The objects that a lane follows, as of its newest tick: they outlive a restart. Kept in the table `kept`, one row a lane."""

import sqlite3

from agent.records import Live
from agent.store import kept
from agent.store.transaction import Transaction

_KEY = "live:"


def write(transaction: Transaction, lane: str, state: bytes) -> None:
    """state: JSON; empty when there are none any more."""
    if state:
        kept.write(transaction, _KEY + lane, f"{transaction.boot}\n{state.decode()}")
    else:
        kept.drop(transaction, _KEY + lane)


def read(connection: sqlite3.Connection, lane: str, boot: int) -> Live | None:
    """boot: the running one."""
    number, _, state = (kept.read(connection, _KEY + lane) or "").partition("\n")
    return Live(state=state.encode(), same_boot=number == str(boot)) if state else None

"""Small texts that must survive, by key: table `kept`."""

import sqlite3

from agent.store.transaction import Transaction

BIRTH = "birth"
BUDGET = "budget"
UNDATED = "undated"


def read(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def write(transaction: Transaction, key: str, value: str) -> None:
    transaction.connection.execute(
        "INSERT INTO kept (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", (key, value)
    )


def drop(transaction: Transaction, key: str) -> None:
    transaction.connection.execute("DELETE FROM kept WHERE key = ?", (key,))

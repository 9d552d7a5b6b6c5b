"""Which boot and which epoch run: decided once, at open.

An epoch is one numbering run: a new one is drawn at every kernel boot, for a new store, and when the device got another name; `kill -9`
within a boot continues it. `after_id` is the greatest row id when it was drawn: a summary window never mixes rows from both sides of it.
"""

import secrets
import sqlite3

from agent.store.anchor import Anchor
from agent.store.transaction import Identity

REPLAY_EPOCH = "0" * 32
REPLAY_BOOT = "replay"


def greatest_id(connection: sqlite3.Connection) -> int:
    """The greatest row id that was ever given, also to rows that are gone."""
    parts = ("SELECT max(id) FROM result", "SELECT max(id) FROM tick", "SELECT max(id) FROM event", "SELECT max(id) FROM crossing",
             "SELECT max(last_tick) FROM summary", "SELECT max(after_id) FROM epoch",
             "SELECT CAST(value AS INTEGER) FROM kept WHERE key = 'last_id'")  # fmt: skip
    found = (connection.execute(part).fetchone() for part in parts)
    return max(0 if row is None else row[0] or 0 for row in found)


def given(connection: sqlite3.Connection, epoch: int) -> int:
    """How many numbers of items, sessions and ledgers an epoch has given: never fewer, whatever is deleted."""
    (count,) = connection.execute(
        "SELECT sess + ledger_n + (SELECT coalesce(sum(last_seq), 0) FROM stream WHERE epoch = ?1) FROM epoch WHERE id = ?1",
        (epoch,),
    ).fetchone()
    return int(count)


def decide(
    connection: sqlite3.Connection,
    *,
    kernel_boot_id: str,
    device: str,
    anchor: Anchor | None,
    replay: bool = False,
    damaged: bool = False,
) -> Identity:
    """The running boot and epoch, entered when they are new. Inside a transaction of the caller. damaged: what was there before is not whole."""
    connection.execute("INSERT OR IGNORE INTO boot (kernel_boot_id) VALUES (?)", (kernel_boot_id,))
    boot = int(connection.execute("SELECT id FROM boot WHERE kernel_boot_id = ?", (kernel_boot_id,)).fetchone()[0])
    newest = connection.execute(
        "SELECT id, text, boot, device, sess, after_id FROM epoch ORDER BY id DESC LIMIT 1"
    ).fetchone()
    if newest is None:
        prev = anchor.epoch if damaged and anchor is not None else None
        first = "corrupt" if damaged else "new"
        return _draw(connection, boot, device, prev, first, REPLAY_EPOCH if replay else secrets.token_hex(16))
    identifier, text, its_boot, its_device, session, after_id = newest
    # The anchor is written after the database, so a database that does not know its epoch, numbers or last row is an older copy.
    behind = anchor is not None and (
        anchor.session > session
        or anchor.given > given(connection, identifier)
        or anchor.last_id > greatest_id(connection)
        if anchor.epoch == text
        else connection.execute("SELECT 1 FROM epoch WHERE text = ?", (anchor.epoch,)).fetchone() is None
    )
    why = (
        "corrupt"
        if damaged
        else "restore"
        if behind
        else "rename"
        if its_device != device
        else "boot"
        if its_boot != boot
        else None
    )
    if why is None:
        return Identity(boot=boot, epoch=identifier, epoch_text=text, after_id=after_id, device=device)
    return _draw(connection, boot, device, text, why, secrets.token_hex(16))


def _draw(connection: sqlite3.Connection, boot: int, device: str, prev: str | None, why: str, text: str) -> Identity:
    after_id = greatest_id(connection)
    epoch = connection.execute(
        "INSERT INTO epoch (text, prev, why, boot, after_id, device) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (text, prev, why, boot, after_id, device),
    ).fetchone()[0]
    return Identity(boot=boot, epoch=epoch, epoch_text=text, after_id=after_id, device=device)


def enter(connection: sqlite3.Connection, grains: dict[int, tuple[int, ...]], next_id: int) -> None:
    """A lane's grain that is new is made from the next row on, never for all that lies behind."""
    connection.executemany(
        "INSERT OR IGNORE INTO grain (lane, grain, from_id) VALUES (?, ?, ?)",
        ((lane, grain, next_id) for lane, seconds in grains.items() for grain in seconds),
    )

"""Items in a file: the road of a device without a link. The same bytes as over MQTT, one body a line, birth first, ledger last.

with connect_to_write(path) as connection: count = write_items(connection, device, reading, target)

A number leaves the device here too: what goes into the file is marked as handed, durably, before the file is written, and the ledger has a number
of its own. Works while an agent runs on the store: marks are one short transaction beside the agent's.
"""

import gzip
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.clock import Reading
from agent.messages.envelope import encode
from agent.store import kept
from agent.store.folder import sync_folder
from agent.store.items import HANDED, HELD, PENDING
from agent.sync.ledger import read_ledger

_ITEMS = (
    "SELECT body FROM item JOIN epoch ON epoch.id = item.epoch JOIN name ON name.id = item.stream WHERE state <> 0{more}"
    " ORDER BY item.epoch, item.stream, seq"
)


def write_items(
    connection: sqlite3.Connection, reading: Reading, target: BinaryIO, *, todo: bool = False, stream: str | None = None
) -> int:
    """How many items went into the file. connection: one that writes, of its own. todo: those only that no broker has acknowledged.
    stream: of this one only. sqlite3.Error, OSError.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        f"UPDATE item SET state = {HANDED} WHERE state IN ({PENDING}, {HELD}) AND (?1 IS NULL OR stream ="
        " (SELECT id FROM name WHERE kind = 'stream' AND text = ?1))",
        (stream,),
    )
    # Older epochs' entries may have changed too: the newer ledger must win for each of them.
    connection.execute("UPDATE epoch SET ledger_n = ledger_n + 1")
    number, device = connection.execute("SELECT ledger_n, device FROM epoch ORDER BY id DESC LIMIT 1").fetchone()
    connection.execute("COMMIT")
    connection.execute("BEGIN")  # one snapshot: the ledger and the items are of the same moment
    try:
        birth = kept.read(connection, kept.BIRTH)
        if birth is not None:
            target.write(birth.encode() + b"\n")
        more = " AND state < 2" if todo else ""
        if stream is not None:
            more += " AND name.text = ?"
        count = 0
        for (body,) in connection.execute(_ITEMS.format(more=more), () if stream is None else (stream,)):
            target.write(body + b"\n")
            count += 1
        target.write(encode(read_ledger(connection, device, reading, number)) + b"\n")
    finally:
        connection.execute("ROLLBACK")
    return count


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there whole, and on the medium, or not at all. A name that ends with .gz is compressed."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    yield packed  # type: ignore[misc]  # it is a binary file in all that is used here
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)

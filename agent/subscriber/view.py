"""Takes messages into the state. No network, no clock: the same messages in any order, repeated or regrouped, give the same tables.

with open_view(Path("fleet.sqlite"), start=1) as view:
    taken = view.take([("edge/v1/north-farm/gate-07/ledger", b"…")], now_s)     # one transaction; acknowledge after it has returned
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.messages import batch, topics
from agent.messages.birth import Birth
from agent.messages.envelope import Head, Unreadable, decode
from agent.messages.ledger import Ledger, StreamLedger
from agent.messages.status import RANK, Status
from agent.subscriber import whole
from agent.subscriber.item_row import item_row, text_of, time_of
from agent.subscriber.state import open_state

_KEPT_UNREADABLE = 1_000  # with their bytes, a device; more are counted with the last one's row
_KEPT_BYTES = 65_536


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one call changed."""

    new: int = 0
    duplicates: int = 0
    unreadable: int = 0
    foreign: int = 0  # topics that are none of the contract's
    ledgers: int = 0


class View:
    """start: the number from which this subscriber answers for streams that are there when it first sees a device's ledger; None:
    the ledger's hi + 1. Streams and epochs that begin later count from 1.
    """

    def __init__(self, connection: sqlite3.Connection, start: int | None) -> None:
        self.connection = connection
        self._start = start

    def take(self, messages: Sequence[tuple[str, bytes]], now_s: float) -> Taken:
        """(topic, payload) pairs, in one transaction. now_s: seconds since 1970, UTC."""
        counts = dict.fromkeys(Taken.__struct_fields__, 0)
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            for topic, payload in messages:
                self._message(topic, payload, now_s, counts)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return Taken(**counts)

    def _message(self, text: str, payload: bytes, now_s: float, counts: dict[str, int]) -> None:
        topic = topics.parse(text)
        if topic is None or topic.branch == "cmd":
            counts["foreign"] += 1
            return
        if topic.branch == "ans":
            try:
                counts["ledgers"] += self._answer(topic, payload)
            except Unreadable:  # of another caller, for all that is known
                counts["foreign"] += 1
            return
        self.connection.execute(
            "INSERT INTO device VALUES (?, ?, NULL) ON CONFLICT DO UPDATE SET heard_s = max(heard_s, excluded.heard_s)",
            (topic.device, now_s),
        )
        try:
            if topic.branch in ("live", "back"):
                lines = batch.unpack(payload)
            else:
                self._own(topic, payload)
                counts["ledgers"] += topic.branch == "ledger"
                return
        except Unreadable as problem:
            self._set_aside(topic, text, payload, str(problem), None)
            counts["unreadable"] += 1
            return
        for line in lines:
            self._line(topic, text, line, counts)

    # ---- items

    def _line(self, topic: topics.Topic, text: str, line: bytes, counts: dict[str, int]) -> None:
        head: Head | None = None
        try:
            head = decode(line, Head)
            row = item_row(head, line, topic.rest)
            # The views read bodies through SQLite: what it cannot read would stop every query.
            if not self.connection.execute("SELECT json_valid(?)", (row[-1],)).fetchone()[0]:
                raise Unreadable("no JSON that SQLite can read")
        except Unreadable as problem:
            self._set_aside(topic, text, line, str(problem), head)
            counts["unreadable"] += 1
            return
        key = (head.epoch, head.st, head.seq)
        marks = ", ".join("?" * len(row))
        if self.connection.execute(f"INSERT OR IGNORE INTO item VALUES ({marks})", row).rowcount == 0:
            counts["duplicates"] += 1
            self.connection.execute(
                "INSERT INTO repeated VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET duplicates = duplicates + 1",
                (topic.device, head.st),
            )
        else:
            counts["new"] += 1
            if not self._add_number(*key):
                self.connection.execute("INSERT OR IGNORE INTO conflict VALUES (?, ?, ?)", key)
        self.connection.execute("INSERT OR IGNORE INTO root VALUES (?, ?, 0)", (head.epoch, topic.device))

    def _add_number(self, epoch: str, stream: str, seq: int) -> bool:
        """Into the ranges of received numbers; False when it is in them already."""
        run = self.connection.execute(
            "SELECT first, last FROM received WHERE epoch = ? AND stream = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            (epoch, stream, seq),
        ).fetchone()
        if run is not None and run[1] >= seq:
            return False
        after = self.connection.execute(
            "SELECT last FROM received WHERE epoch = ? AND stream = ? AND first = ?", (epoch, stream, seq + 1)
        ).fetchone()
        last = seq if after is None else after[0]
        if after is not None:
            self.connection.execute(
                "DELETE FROM received WHERE epoch = ? AND stream = ? AND first = ?", (epoch, stream, seq + 1)
            )
        if run is not None and run[1] == seq - 1:
            self.connection.execute(
                "UPDATE received SET last = ? WHERE epoch = ? AND stream = ? AND first = ?",
                (last, epoch, stream, run[0]),
            )
        else:
            self.connection.execute("INSERT INTO received VALUES (?, ?, ?, ?)", (epoch, stream, seq, last))
        return True

    def _set_aside(self, topic: topics.Topic, text: str, data: bytes, why: str, head: Head | None) -> None:
        """Kept with its bytes and acknowledged: a message that stops the subscriber would stop everything behind it."""
        digest = hashlib.sha256(data).digest()
        known = self.connection.execute(
            "UPDATE unreadable SET copies = copies + 1 WHERE topic = ? AND digest = ?", (text, digest)
        ).rowcount
        if known:
            return
        kept = self.connection.execute("SELECT count(*) FROM unreadable WHERE device = ?", (topic.device,)).fetchone()[
            0
        ]
        number = (head.epoch, head.st, head.seq) if head is not None else (None, None, None)
        if kept >= _KEPT_UNREADABLE:
            self.connection.execute(
                "UPDATE unreadable SET copies = copies + 1 WHERE id = (SELECT max(id) FROM unreadable WHERE device = ?)",
                (topic.device,),
            )
            return
        self.connection.execute(
            "INSERT INTO unreadable (device, topic, digest, epoch, stream, seq, why, copies, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (topic.device, text, digest, *number, why, data[:_KEPT_BYTES]),
        )

    # ---- status, birth, ledger

    def _own(self, topic: topics.Topic, payload: bytes) -> None:
        """Unreadable also when the body names another device than the topic."""
        body: Status | Birth | Ledger
        if topic.branch == "status":
            body = decode(payload, Status)
        elif topic.branch == "birth":
            body = decode(payload, Birth)
        else:
            body = decode(payload, Ledger)
        if body.d != topic.device:
            raise Unreadable(f"the body says device {body.d}")
        time_of(body.at)
        text = text_of(payload)
        self.connection.execute(
            "INSERT INTO root VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET own = 1", (body.epoch, topic.device)
        )
        if isinstance(body, Status):
            self._status(body, text)
        elif isinstance(body, Birth):
            self._link(body.epoch, body.prev, body.why)
            self.connection.execute(
                "INSERT INTO birth VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, body = excluded.body"
                " WHERE (excluded.at, excluded.body) > (at, body)",
                (body.epoch, body.at, text),
            )
        else:
            self._ledger(topic.device, body, text)

    def _status(self, body: Status, text: str) -> None:
        self.connection.execute(
            "INSERT INTO status VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sess = excluded.sess, rank = excluded.rank, at = excluded.at,"
            " body = excluded.body WHERE (excluded.sess, excluded.rank, excluded.at, excluded.body) > (sess, rank, at, body)",
            (body.epoch, body.sess, RANK[body.s], body.at, text),
        )

    def _link(self, epoch: str, prev: str | None, why: str) -> None:
        self.connection.execute(
            "INSERT INTO link VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET why = min(why, excluded.why)",
            (epoch, prev or "", why),
        )

    def _ledger(self, device: str, body: Ledger, text: str) -> None:
        self._link(body.epoch, body.prev, body.why)
        for old in body.older:
            self._link(old.epoch, old.prev, old.why)
        # whole_n: the newest ledger of this epoch that left nothing out.
        self.connection.execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET whole_n = max(whole_n, excluded.whole_n)",
            (body.epoch, body.n, body.at, 0 if body.part else body.n, text),
        )
        self.connection.execute(
            "UPDATE ledger SET n = ?2, at = ?3, body = ?4 WHERE epoch = ?1 AND (?2, ?4) > (n, body)",
            (body.epoch, body.n, body.at, text),
        )
        entries = [(body.epoch, name, entry) for name, entry in body.streams.items()]
        entries += [(old.epoch, name, entry) for old in body.older for name, entry in old.streams.items()]
        self._entries(body.epoch, body.n, entries)
        seen = self.connection.execute(
            "UPDATE device SET first_ledger = ? WHERE device = ? AND first_ledger IS NULL", (body.at, device)
        ).rowcount
        if seen and self._start != 1:
            self.connection.executemany(
                "INSERT OR IGNORE INTO start VALUES (?, ?, ?)",
                [
                    (epoch, stream, self._start if self._start and epoch == body.epoch else entry.hi + 1)
                    for epoch, stream, entry in entries
                ],
            )

    def _entries(self, namer: str, n: int, entries: Sequence[tuple[str, str, StreamLedger]]) -> None:
        """What ledger n of epoch `namer` says of (epoch, stream)."""
        self.connection.executemany(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n, hi = excluded.hi, body = excluded.body"
            " WHERE (excluded.n, excluded.body) > (n, body)",
            [
                (epoch, stream, namer, n, entry.hi, msgspec.json.encode(entry).decode())
                for epoch, stream, entry in entries
            ],
        )

    def _answer(self, topic: topics.Topic, payload: bytes) -> bool:
        """A page of a whole ledger, where one was asked for: False for all other answers. Unreadable: it is none."""
        pages = whole.take(self.connection, topic.device, payload)
        if pages is None:
            return False
        epoch, n = pages.of
        for one in pages.epochs:
            if one.epoch != epoch:
                self._link(one.epoch, one.prev, one.why)
        self._entries(
            epoch, n, [(one.epoch, name, entry) for one in pages.epochs for name, entry in one.streams.items()]
        )
        if pages.after is None:
            self.connection.execute("UPDATE ledger SET whole_n = max(whole_n, ?) WHERE epoch = ?", (n, epoch))
        return True


@contextmanager
def open_view(path: Path, start: int | None = None, *, shared: bool = False) -> Iterator[View]:
    """The state file, for its one writer, or for several that share it. SubscriberError as `state.open_state`."""
    with open_state(path, shared=shared) as connection:
        yield View(connection, start)

"""The subscriber's SQLite file: its tables, and the views that a cloud team reads with plain SQL.

Tables hold sets and greatest values only, so the order of messages cannot matter. `item` holds every different content ever seen of a
number; two of one number are a conflict and count in no view. What depends on the moment (duplicates counted, asks, when a device was
heard) stands in tables of its own.
"""

import fcntl
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agent.subscriber.errors import SubscriberError

VERSION = 4
# What is a function of the set of messages, and of `from`.
VIEW_TABLES = ("item", "conflict", "received", "ledger", "entry", "link", "root", "status", "birth")
_BUSY_TIMEOUT_S = 30.0  # others hold it for a group of messages

_TABLES = """
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE item (epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL, device TEXT NOT NULL,
  kind TEXT NOT NULL, of INTEGER NOT NULL, window_us INTEGER, grain_s INTEGER, carry_epoch TEXT, carry_hi INTEGER, seen INTEGER,
  body TEXT NOT NULL, PRIMARY KEY (epoch, stream, seq, digest)) STRICT;
CREATE INDEX item_of ON item (epoch, stream, of, seq);
CREATE INDEX item_window ON item (stream, window_us);
CREATE INDEX item_carry ON item (carry_epoch, stream, window_us) WHERE carry_epoch IS NOT NULL;
CREATE TABLE conflict (epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (epoch, stream, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE received (epoch TEXT NOT NULL, stream TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (epoch, stream, first)) STRICT, WITHOUT ROWID;   -- numbers received, as ranges
CREATE TABLE ledger (epoch TEXT PRIMARY KEY, n INTEGER NOT NULL, at TEXT NOT NULL, whole_n INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entry (epoch TEXT NOT NULL, stream TEXT NOT NULL, namer TEXT NOT NULL, n INTEGER NOT NULL, hi INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (epoch, stream, namer)) STRICT, WITHOUT ROWID;   -- what the newest ledger of epoch `namer` says about (epoch, stream)
CREATE TABLE link (epoch TEXT NOT NULL, prev TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (epoch, prev)) STRICT, WITHOUT ROWID;   -- prev '': none
CREATE TABLE root (epoch TEXT NOT NULL, device TEXT NOT NULL, own INTEGER NOT NULL, PRIMARY KEY (epoch, device)) STRICT, WITHOUT ROWID;
  -- under whose topics an epoch was seen; own 1: by its status, birth or ledger, 0: by items only
CREATE TABLE status (epoch TEXT PRIMARY KEY, sess INTEGER NOT NULL, rank INTEGER NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE birth (epoch TEXT PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE device (device TEXT PRIMARY KEY, heard_s REAL NOT NULL, first_ledger TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE start (epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (epoch, stream)) STRICT, WITHOUT ROWID;
  -- from which number this subscriber answers for a stream; absent: from 1
CREATE TABLE repeated (device TEXT NOT NULL, stream TEXT NOT NULL, duplicates INTEGER NOT NULL, PRIMARY KEY (device, stream)) STRICT, WITHOUT ROWID;
CREATE TABLE unreadable (id INTEGER PRIMARY KEY, device TEXT NOT NULL, topic TEXT NOT NULL, digest BLOB NOT NULL, epoch TEXT, stream TEXT, seq INTEGER,
  why TEXT NOT NULL, copies INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (topic, digest)) STRICT;

-- Of each first sending the newest content; a number with two contents is none.
CREATE VIEW winning AS SELECT * FROM item AS mine
  WHERE NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.epoch = mine.epoch AND c.stream = mine.stream AND c.seq = mine.seq)
    AND NOT EXISTS (SELECT 1 FROM item AS newer WHERE newer.epoch = mine.epoch AND newer.stream = mine.stream AND newer.of = mine.of AND newer.seq > mine.seq
      AND NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.epoch = newer.epoch AND c.stream = newer.stream AND c.seq = newer.seq));
-- Summaries that count: a carried window does not when the old epoch has issued it after all, or another epoch carries more of it.
CREATE VIEW counted AS SELECT * FROM winning AS mine WHERE kind = 'sum' AND (carry_epoch IS NULL OR (
  NOT EXISTS (SELECT 1 FROM item AS old WHERE old.stream = mine.stream AND old.window_us = mine.window_us AND old.epoch = mine.carry_epoch
    AND old.grain_s = mine.grain_s AND old.seq > mine.carry_hi AND old.kind = 'sum'
    AND NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.epoch = old.epoch AND c.stream = old.stream AND c.seq = old.seq))
  AND mine.epoch = (SELECT rival.epoch FROM winning AS rival WHERE rival.carry_epoch = mine.carry_epoch AND rival.stream = mine.stream
    AND rival.window_us = mine.window_us AND rival.kind = 'sum' GROUP BY rival.epoch ORDER BY sum(rival.seen) DESC, rival.epoch LIMIT 1)));
CREATE VIEW summaries AS SELECT device, stream, substr(stream, 9, instr(substr(stream, 9), '/') - 1) AS lane,
  grain_s, datetime(window_us / 1000000, 'unixepoch') AS start_utc, json_extract(body, '$.cover') AS cover, seen,
  json_extract(body, '$.fr.gated') AS gated, json_extract(body, '$.fr.inf') AS inferred, json_extract(body, '$.fr.drop') AS dropped,
  json_extract(body, '$.fr.fail') AS failed, epoch, seq, of, window_us, body FROM counted;
-- One line a window: what all epochs together say about it.
CREATE VIEW windows AS SELECT device, stream, lane, grain_s, window_us, start_utc, sum(cover) AS cover, sum(seen) AS seen, sum(gated) AS gated,
  sum(inferred) AS inferred, sum(dropped) AS dropped, sum(failed) AS failed, count(*) AS items FROM summaries GROUP BY device, stream, window_us;
-- Results a window, model and label.
CREATE VIEW results AS SELECT device, s.stream, lane, grain_s, start_utc, window_us, m.key AS model, n.key AS label, sum(n.value) AS n
  FROM summaries AS s, json_each(s.body, '$.models') AS m, json_each(m.value, '$.n') AS n GROUP BY device, s.stream, window_us, m.key, n.key;
CREATE VIEW events AS SELECT device, substr(stream, 7) AS lane, json_extract(body, '$.t[0]') AS start_utc, json_extract(body, '$.t[1]') AS end_utc,
  json_extract(body, '$.rule') AS rule, json_extract(body, '$.sev') AS severity, json_extract(body, '$.phase') AS phase,
  json_extract(body, '$.label') AS label, json_extract(body, '$.score') AS score, json_extract(body, '$.zone') AS zone,
  epoch, stream, seq, of, body FROM winning WHERE kind = 'evt';
-- Times about which a device says nothing: before and between its epochs.
CREATE VIEW gaps AS SELECT device, stream, json_extract(body, '$.gap[0]') AS from_utc, json_extract(body, '$.gap[1]') AS to_utc, epoch
  FROM winning WHERE kind = 'gap';
"""
# Which worker asks the devices, and for what; views: a file of an older version gets those of today.
_SECOND = """
DROP TABLE IF EXISTS ask;
-- asks: how often; tries: of those, in vain; heard: how far the device's ledgers were at the last ask.
CREATE TABLE ask (epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, device TEXT NOT NULL, since_s REAL NOT NULL, asks INTEGER NOT NULL,
  tries INTEGER NOT NULL, heard INTEGER NOT NULL, next_s REAL NOT NULL, PRIMARY KEY (epoch, stream, seq)) STRICT, WITHOUT ROWID;
-- Of a ledger that is asked for page by page: the request on its way, where its page begins ("epoch stream", null: the first).
CREATE TABLE IF NOT EXISTS page (device TEXT PRIMARY KEY, id TEXT NOT NULL, after TEXT, tries INTEGER NOT NULL, next_s REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), place INTEGER NOT NULL, until_s REAL NOT NULL) STRICT;
DROP VIEW IF EXISTS audit;
DROP VIEW IF EXISTS raw_results;
DROP VIEW IF EXISTS undated;
DROP VIEW IF EXISTS counted;
DROP VIEW IF EXISTS summaries;
-- Summaries that count: a carried window does not when the old epoch has issued it after all, or another epoch carries more of it. One whose time
-- is unknown has no window_us; it is told apart by its boot time.
CREATE VIEW counted AS SELECT * FROM winning AS mine WHERE kind = 'sum' AND (carry_epoch IS NULL OR (
  NOT EXISTS (SELECT 1 FROM item AS old WHERE old.stream = mine.stream AND old.window_us IS mine.window_us AND old.epoch = mine.carry_epoch
    AND old.grain_s = mine.grain_s AND old.seq > mine.carry_hi AND old.kind = 'sum' AND {same_old}
    AND NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.epoch = old.epoch AND c.stream = old.stream AND c.seq = old.seq))
  AND mine.epoch = (SELECT rival.epoch FROM winning AS rival WHERE rival.carry_epoch = mine.carry_epoch AND rival.stream = mine.stream
    AND rival.window_us IS mine.window_us AND rival.kind = 'sum' AND {same_rival} GROUP BY rival.epoch ORDER BY sum(rival.seen) DESC, rival.epoch LIMIT 1)));
CREATE VIEW summaries AS SELECT device, stream, substr(stream, 9, instr(substr(stream, 9), '/') - 1) AS lane,
  grain_s, datetime(window_us / 1000000, 'unixepoch') AS start_utc, json_extract(body, '$.cover') AS cover, seen,
  json_extract(body, '$.fr.gated') AS gated, json_extract(body, '$.fr.inf') AS inferred, json_extract(body, '$.fr.drop') AS dropped,
  json_extract(body, '$.fr.fail') AS failed, epoch, seq, of, window_us, body FROM counted WHERE window_us IS NOT NULL;
-- Summaries whose device did not know the time, and has not corrected it since: in no window.
CREATE VIEW undated AS SELECT device, stream, substr(stream, 9, instr(substr(stream, 9), '/') - 1) AS lane, grain_s,
  json_extract(body, '$.boot') AS boot, json_extract(body, '$.mono[0]') / 1e6 AS from_s, json_extract(body, '$.mono[1]') / 1e6 AS to_s,
  json_extract(body, '$.cover') AS cover, seen, epoch, seq, of, body FROM counted WHERE window_us IS NULL;
CREATE VIEW audit AS SELECT device, json_extract(body, '$.t') AS utc, json_extract(body, '$.who') AS caller, json_extract(body, '$.cmd') AS command,
  json_extract(body, '$.code') AS code, json_extract(body, '$.msg') AS message, json_extract(body, '$.count') AS requests, epoch, seq
  FROM winning WHERE kind = 'aud';
-- One line a result; a column that is one value stands for all rows.
CREATE VIEW raw_results AS SELECT device, substr(stream, 8) AS lane, epoch, seq, place,
  strftime('%Y-%m-%dT%H:%M:%S', (t0_ms + ms) / 1000, 'unixepoch') || printf('.%03dZ', (t0_ms + ms) % 1000) AS utc,
  json_extract(body, '$.models[' || m || ']') AS model, CASE WHEN l IS NULL THEN NULL ELSE json_extract(body, '$.labels[' || l || ']') END AS label,
  s / 10000.0 AS score, x0 / 10000.0 AS x0, y0 / 10000.0 AS y0, x1 / 10000.0 AS x1, y1 / 10000.0 AS y1, track, value, extra
  FROM (SELECT w.*, d.key AS place, sum(d.value) OVER (PARTITION BY w.epoch, w.stream, w.seq ORDER BY d.key) AS ms,
    CAST(strftime('%s', json_extract(body, '$.t[0]')) AS INTEGER) * 1000 + CAST(substr(json_extract(body, '$.t[0]'), 21, 3) AS INTEGER) AS t0_ms,
    {m} AS m, {l} AS l, {s} AS s, {x0} AS x0, {y0} AS y0, {x1} AS x1, {y1} AS y1, {track} AS track, {value} AS value, {x} AS extra
    FROM winning AS w, json_each(w.body, '$.dt') AS d WHERE w.kind = 'res');
"""


def _cell(path: str) -> str:
    """SQL: a row's value of a column that may be one value for all."""
    return f"json_extract(body, CASE json_type(body, '{path}') WHEN 'array' THEN '{path}[' || d.key || ']' ELSE '{path}' END)"


_COLUMNS = {
    "m": "$.m", "l": "$.l", "s": "$.s", "x0": "$.box[0]", "y0": "$.box[1]", "x1": "$.box[2]", "y1": "$.box[3]", "track": "$.track",
    "value": "$.value", "x": "$.x",
}  # fmt: skip


# SQL: whether two items without a time are of the same window.
_SAME = "(mine.window_us IS NOT NULL OR json_extract(mine.body, '$.mono[0]') = json_extract({other}.body, '$.mono[0]'))"


def _second() -> str:
    text = _SECOND
    for other in ("old", "rival"):
        text = text.replace(f"{{same_{other}}}", _SAME.replace("{other}", other))
    for name, path in _COLUMNS.items():
        text = text.replace("{" + name + "}", _cell(path))
    return text


@contextmanager
def open_state(path: Path, *, shared: bool = False) -> Iterator[sqlite3.Connection]:
    """The file, made when it is absent, with FILE.lock beside it for its one writer; transactions are the caller's. shared: there may be other
    writers that say so, too.

    SubscriberError when it is no such file, not writable, or in use. Readers open the file by themselves.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        with (
            lock.open("w") as held,
            closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)) as connection,
        ):
            fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            _prepare(connection, path)
            yield connection
    except BlockingIOError:
        raise SubscriberError(
            where=str(path),
            what="another subscriber writes to this file",
            remedy="Stop it, give --store a file of its own, or let several share it with --share",
        ) from None
    except OSError as error:
        raise SubscriberError(
            where=str(path),
            what=f"the file cannot be written ({error.strerror})",
            remedy="Give --store a file in a folder that exists and that this user may write",
        ) from None
    except sqlite3.Error as error:
        raise SubscriberError(
            where=str(path),
            what=f"SQLite says: {error}",
            remedy="Give --store a file on a disk with room that this user may write",
        ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema")}
    # An agent's own store has a user_version too: only the tables tell whose file it is.
    if (tables or found) and "setting" not in tables:
        raise SubscriberError(
            where=str(path), what="this is another program's database", remedy="Give --store a file of its own"
        )
    if found > VERSION:
        raise SubscriberError(where=str(path), what="a newer edge-agent made this file", remedy="Update edge-agent")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: the broker forgets a message once it is acknowledged, so the commit before it must be on the medium.
    connection.execute("PRAGMA synchronous = FULL")
    if found == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found == VERSION:  # another worker was faster
        connection.execute("COMMIT")
        return
    statements = (_TABLES if found == 0 else "") + _second() + f"PRAGMA user_version = {VERSION};"
    try:
        for statement in _statements(statements):
            connection.execute(statement)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(text: str) -> Iterator[str]:
    """One by one: `executescript` would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def client_id(connection: sqlite3.Connection, place: int | None = None) -> str:
    """The same for the life of the file, so that the broker keeps this subscriber's session. place: of one worker among several."""
    connection.execute(
        "INSERT OR IGNORE INTO setting VALUES ('client_id', ?)", (f"edge-agent-subscriber-{secrets.token_hex(8)}",)
    )
    name = str(connection.execute("SELECT value FROM setting WHERE key = 'client_id'").fetchone()[0])
    return name if place is None else f"{name}-{place}"


def dump(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Every row of the view tables: equal for equal sets of messages."""
    rows: list[tuple[object, ...]] = []
    for table in VIEW_TABLES:
        columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
        rows += [(table, *row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(columns)}")]
    return rows

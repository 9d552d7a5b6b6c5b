"""The tables and views of `edge.sqlite`, version 3. Needs SQLite 3.37 (STRICT tables).

Rows carry (boot, microseconds on CLOCK_BOOTTIME). UTC is that plus the offset of the clock row in force, or of the boot's first one. Scores
and places are integers in ten-thousandths. There is no index on raw rows: an index costs more bytes on flash than the rows themselves, and
ids are in the order of time.

clock.after_id: the greatest row id when it was entered. summary.dated 0: its time was not known when it went out, start_us is boot time.
"""

VERSION = 3

TABLES = """
CREATE TABLE epoch (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, prev TEXT, why TEXT NOT NULL, boot INTEGER NOT NULL,
  after_id INTEGER NOT NULL, ledger_n INTEGER NOT NULL DEFAULT 0, sess INTEGER NOT NULL DEFAULT 0, device TEXT NOT NULL) STRICT;
CREATE TABLE boot (id INTEGER PRIMARY KEY, kernel_boot_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE clock (boot INTEGER NOT NULL, from_us INTEGER NOT NULL, utc_offset_us INTEGER NOT NULL, source TEXT NOT NULL,
  error_ms INTEGER NOT NULL, PRIMARY KEY (boot, from_us)) STRICT, WITHOUT ROWID;
CREATE TABLE name (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text)) STRICT;
CREATE TABLE result (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at_us INTEGER NOT NULL, lane INTEGER NOT NULL, model INTEGER NOT NULL,
  label INTEGER, score_e4 INTEGER, x0_e4 INTEGER, y0_e4 INTEGER, x1_e4 INTEGER, y1_e4 INTEGER, track INTEGER, value REAL, extra BLOB) STRICT;
CREATE TABLE tick (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at_us INTEGER NOT NULL, lane INTEGER NOT NULL, alive_us INTEGER NOT NULL,
  seen INTEGER NOT NULL, gated INTEGER NOT NULL, inferred INTEGER NOT NULL, failed INTEGER NOT NULL, dropped INTEGER NOT NULL,
  counts TEXT, measured TEXT) STRICT;
CREATE TABLE crossing (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at_us INTEGER NOT NULL, lane INTEGER NOT NULL, track INTEGER NOT NULL,
  label INTEGER, place INTEGER, kind INTEGER NOT NULL, dwell_us INTEGER) STRICT;
CREATE TABLE event (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at_us INTEGER NOT NULL, lane INTEGER NOT NULL, rule INTEGER NOT NULL,
  phase INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE summary (lane INTEGER NOT NULL, grain INTEGER NOT NULL, first_tick INTEGER NOT NULL, last_tick INTEGER NOT NULL,
  boot INTEGER NOT NULL, start_us INTEGER NOT NULL, rev INTEGER NOT NULL, epoch INTEGER NOT NULL, stream INTEGER NOT NULL,
  seq INTEGER NOT NULL, PRIMARY KEY (lane, grain, first_tick)) STRICT, WITHOUT ROWID;
CREATE TABLE grain (lane INTEGER NOT NULL, grain INTEGER NOT NULL, from_id INTEGER NOT NULL, PRIMARY KEY (lane, grain)) STRICT, WITHOUT ROWID;
CREATE TABLE stream (epoch INTEGER NOT NULL, stream INTEGER NOT NULL, last_seq INTEGER NOT NULL, PRIMARY KEY (epoch, stream))
  STRICT, WITHOUT ROWID;
CREATE TABLE item (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL, of INTEGER NOT NULL,
  state INTEGER NOT NULL, made_us INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (epoch, stream, seq)) STRICT;
CREATE INDEX item_todo ON item (epoch, stream, seq) WHERE state < 2;
CREATE INDEX item_held ON item (epoch, stream, seq) WHERE state = 3;
CREATE TABLE lost (epoch INTEGER NOT NULL, stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, why TEXT NOT NULL,
  totals TEXT, PRIMARY KEY (epoch, stream, first)) STRICT, WITHOUT ROWID;
"""

# Version 2.
SECOND = """
CREATE TABLE trusted (boot INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, utc_us INTEGER NOT NULL, settled_us INTEGER NOT NULL, leap_us INTEGER,
  held_us INTEGER NOT NULL) STRICT;
CREATE TABLE removed (lane INTEGER NOT NULL, why TEXT NOT NULL, results INTEGER NOT NULL, ticks INTEGER NOT NULL, events INTEGER NOT NULL,
  PRIMARY KEY (lane, why)) STRICT, WITHOUT ROWID;
ALTER TABLE item ADD COLUMN acknowledged_us INTEGER;
ALTER TABLE clock ADD COLUMN after_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE summary ADD COLUMN dated INTEGER NOT NULL DEFAULT 1;
CREATE INDEX summary_undated ON summary (epoch, stream, seq) WHERE dated = 0;
ALTER TABLE epoch ADD COLUMN empty_us INTEGER;
ALTER TABLE epoch ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX item_correction ON item (epoch, stream, of) WHERE of <> seq;
CREATE TABLE command (caller TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, boot INTEGER NOT NULL, at_us INTEGER NOT NULL,
  request BLOB NOT NULL, answer BLOB NOT NULL, work TEXT, PRIMARY KEY (caller, id)) STRICT, WITHOUT ROWID;
CREATE TABLE spent (period TEXT PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL, parts TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


def utc_us(row: str) -> str:
    """SQL: the row's time in UTC microseconds, NULL while the boot has no clock row."""
    return (
        f"({row}.at_us + coalesce("
        f"(SELECT utc_offset_us FROM clock WHERE clock.boot = {row}.boot AND from_us <= {row}.at_us ORDER BY from_us DESC LIMIT 1),"
        f" (SELECT utc_offset_us FROM clock WHERE clock.boot = {row}.boot ORDER BY from_us LIMIT 1)))"
    )


def utc_text(microseconds: str) -> str:
    """SQL: ISO 8601 with milliseconds, NULL stays NULL."""
    return f"strftime('%Y-%m-%dT%H:%M:%S', {microseconds} / 1000000, 'unixepoch') || printf('.%03dZ', {microseconds} % 1000000 / 1000)"


def grain_text(seconds: str) -> str:
    """SQL: m1, h1, d1, s{seconds}."""
    return f"CASE {seconds} WHEN 60 THEN 'm1' WHEN 3600 THEN 'h1' WHEN 86400 THEN 'd1' ELSE 's' || {seconds} END"


# Version 3. place: of kinds 0 and 5 the model, else the zone or line.
CROSSING_KINDS = ("born", "entered", "left", "in", "out", "interrupted", "interrupted_in")  # by number
_KIND = " ".join(f"WHEN {number} THEN '{kind}'" for number, kind in enumerate(CROSSING_KINDS))
CROSSINGS = f"""
CREATE VIEW crossings AS SELECT row.id, {utc_text("row.us")} AS utc, lane.text AS lane,
  CASE row.kind {_KIND} END AS kind,
  place.text AS place, label.text AS label, track, dwell_us / 1000000.0 AS dwell_s, boot, at_us
  FROM (SELECT *, {utc_us("crossing")} AS us FROM crossing) AS row LEFT JOIN name AS lane ON lane.id = row.lane
  LEFT JOIN name AS place ON place.id = row.place LEFT JOIN name AS label ON label.id = row.label;
"""

VIEWS = f"""
CREATE VIEW results AS SELECT row.id, {utc_text("row.us")} AS utc, lane.text AS lane, model.text AS model, label.text AS label,
  score_e4 / 10000.0 AS score, x0_e4 / 10000.0 AS x0, y0_e4 / 10000.0 AS y0, x1_e4 / 10000.0 AS x1, y1_e4 / 10000.0 AS y1,
  track, value, extra, boot, at_us
  FROM (SELECT *, {utc_us("result")} AS us FROM result) AS row LEFT JOIN name AS lane ON lane.id = row.lane
  LEFT JOIN name AS model ON model.id = row.model LEFT JOIN name AS label ON label.id = row.label;
CREATE VIEW ticks AS SELECT row.id, {utc_text("row.us")} AS utc, lane.text AS lane, alive_us / 1000000.0 AS alive_s, seen, gated, inferred,
  failed, dropped, counts, measured, boot, at_us
  FROM (SELECT *, {utc_us("tick")} AS us FROM tick) AS row LEFT JOIN name AS lane ON lane.id = row.lane;
CREATE VIEW events AS SELECT row.id, {utc_text("row.us")} AS utc, lane.text AS lane, rule.text AS rule,
  CASE phase WHEN 0 THEN 'start' ELSE 'end' END AS phase, body ->> 'severity' AS severity, body ->> 'model' AS model,
  body ->> 'label' AS label, body ->> 'score' AS score, body ->> 'zone' AS zone, body ->> 'track' AS track, body, boot, at_us
  FROM (SELECT *, {utc_us("event")} AS us FROM event) AS row LEFT JOIN name AS lane ON lane.id = row.lane
  LEFT JOIN name AS rule ON rule.id = row.rule;
CREATE VIEW summaries AS SELECT lane.text AS lane, {grain_text("summary.grain")} AS grain, CASE WHEN dated THEN {utc_text("start_us")} END AS utc, rev,
  epoch.text AS epoch, stream.text AS stream, summary.seq,
  CASE item.state WHEN 0 THEN 'pending' WHEN 1 THEN 'handed' WHEN 2 THEN 'acknowledged' WHEN 3 THEN 'held' END AS state,
  CAST(item.body AS TEXT) AS body, summary.boot, first_tick, last_tick
  FROM summary LEFT JOIN name AS lane ON lane.id = summary.lane LEFT JOIN name AS stream ON stream.id = summary.stream
  LEFT JOIN epoch ON epoch.id = summary.epoch
  LEFT JOIN item ON item.epoch = summary.epoch AND item.stream = summary.stream AND item.seq = summary.seq;
"""

"""The demo's last word: exit code 0 only when all is accounted for and has arrived."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from demo.report import print_report

_STORE = """
CREATE TABLE name (id INTEGER, text TEXT); INSERT INTO name VALUES (1, 'yard');
CREATE TABLE tick (id INTEGER, lane INTEGER, seen INTEGER, gated INTEGER, inferred INTEGER, dropped INTEGER, failed INTEGER);
INSERT INTO tick VALUES (5, 1, 10, 4, 3, 2, 1), (9, 1, 7, 7, 0, 0, 0);
CREATE TABLE result (lane INTEGER); INSERT INTO result VALUES (1), (1);
CREATE TABLE summary (lane INTEGER, grain INTEGER, first_tick INTEGER, last_tick INTEGER); INSERT INTO summary VALUES (1, 5, 5, 5);
CREATE TABLE item (state INTEGER); INSERT INTO item VALUES (2), (2), (0);
CREATE TABLE events (id INTEGER, utc TEXT, lane TEXT, rule TEXT, phase TEXT); INSERT INTO events VALUES (1, 'T', 'yard', 'dark', 'start');
"""
_RECEIVED = "CREATE TABLE summaries (lane TEXT, seen INTEGER, grain_s INTEGER); INSERT INTO summaries VALUES ('yard', 10, 5), ('yard', 99, 60);"


def report(
    folder: Path, capsys: pytest.CaptureFixture[str], *, store: str = "", received: str = "", complete: bool = True
) -> tuple[int, str]:
    (folder / "data").mkdir()
    for path, text in (
        (folder / "data" / "edge.sqlite", _STORE + store),
        (folder / "received.sqlite", _RECEIVED + received),
    ):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(text)
    counts = {"received": 3, "duplicates": 1, "lost": 0, "missing": 0 if complete else 2, "todo": 0}
    device = {"counts": counts, "why": [] if complete else ["event/yard: 2 missing: 4..5"]}
    (folder / "subscriber.json").write_text(json.dumps({"complete": complete, "devices": [device]}))
    return print_report(folder, peak_mb=99.6, drawn=12, cut_s=20), capsys.readouterr().out


def test_all_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = report(tmp_path, capsys)
    assert code == 0
    lines = dict(line.rsplit(None, 1) for line in text.splitlines() if line and line.rsplit(None, 1)[-1].isdigit())
    assert lines == {
        "inputs seen": "17", "= gated": "11", "+ inferred": "3", "+ dropped": "2", "+ failed": "1", "results stored": "2",
        "inputs in closed 5 s windows": "10", "the same, as the subscriber adds up": "10",
        "items numbered by the agent": "3", "acknowledged by the broker": "2", "received by the subscriber": "3",
        "duplicates dropped": "1", "lost": "0", "missing": "0",
    }  # fmt: skip
    assert "event    T  yard: dark start" in text
    assert "verdict: complete" in text
    assert str(tmp_path / "data" / "edge.sqlite") in text
    assert str(tmp_path / "sheet.png") in text


@pytest.mark.parametrize(
    ("store", "received", "complete", "says"),
    [
        ("", "", False, "2 missing: 4..5"),
        ("UPDATE tick SET dropped = 1 WHERE id = 5;", "", True, "17 inputs seen, 16 accounted for"),
        ("DELETE FROM result;", "", True, "no result was stored"),
        ("", "UPDATE summaries SET seen = 9 WHERE grain_s = 5;", True, "the subscriber's {'yard': 9}"),
        ("", "DELETE FROM summaries;", True, "the subscriber's {}"),
    ],
    ids=["missing", "counts", "results", "windows", "no-windows"],
)
def test_what_is_missing_is_said_and_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], store: str, received: str, complete: bool, says: str
) -> None:
    code, text = report(tmp_path, capsys, store=store, received=received, complete=complete)
    assert code == 1
    assert any(line.startswith("FAILED") and says in line for line in text.splitlines()), text

"""A damaged database is found at the start: set aside, read as far as it goes, and the agent goes on under a new epoch that says what is gone."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.problems import Exit, Problem
from agent.store import items, recovery
from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

PAGE = 1024
SECONDS, EACH = 400, 20
STREAM = "summary/yard/m1"


def number(transaction: Transaction) -> None:
    items.append(transaction, STREAM, lambda number: b"%d " % number + b"x" * 700)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a few hundred pages, closed in good order."""
    folder = tmp_path_factory.mktemp("whole")
    clock = ManualClock()
    with open_store(folder, clock=clock, device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        store.submit(clock_job(clock.reading()))
        for place in range(SECONDS):
            store.submit(lane_second_job(second("yard", (place + 1) * 1_000_000, *[found("face")] * EACH)))
            store.submit(number, ends_group=place % 50 == 0)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def pages_of(path: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        try:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
                )
            ]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no dbstat")


def overwrite(path: Path, page: int, data: bytes = b"\xa5" * PAGE) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(data)


def a_page_of(table: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        pages = pages_of(path, table)
        overwrite(path, pages[len(pages) // 2])

    return damage


def cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_header(path: Path) -> None:
    overwrite(path, 1, b"\0" * 100)


DAMAGES = {
    "a page of results": a_page_of("result"),
    "a page of items": a_page_of("item"),
    "a page of ticks": a_page_of("tick"),
    "half a file": cut_off,
    "an empty file": emptied,
    "no header": no_header,
}


def ended_badly(path: Path) -> None:
    """As after a power cut: then every page is looked at."""
    path.with_name(path.name + "-wal").write_bytes(b"")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_it_goes_on_and_every_number_is_here_or_lost(folder: Path, damage: Callable[[Path], None]) -> None:
    path = folder / "edge.sqlite"
    with closing(connect_to_read(path)) as connection:
        ((before,),) = connection.execute("SELECT text FROM epoch").fetchall()
        rows = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("result", "tick", "item")
        }
    damage(path)
    ended_badly(path)
    clock = ManualClock()
    with open_store(folder, clock=clock, device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        said = store.faults["damage"]
        assert "edge.sqlite.damaged-1" in said
        store.submit(lane_second_job(second("yard", 10**9, found("face"))), ends_group=True).wait(5)
        store.submit(number, ends_group=True).wait(5)
    assert (folder / "edge.sqlite.damaged-1").exists()
    with closing(connect_to_read(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        epochs = connection.execute("SELECT id, text, prev, why FROM epoch ORDER BY id").fetchall()
        assert epochs[-1][2:] == (before, "corrupt"), (
            "the chain is not broken: the anchor knows the epoch's name, if nothing else does"
        )
        for epoch, _, _, _ in epochs:
            row = connection.execute("SELECT stream, last_seq FROM stream WHERE epoch = ?", (epoch,)).fetchone()
            if row is None:
                continue
            stream, last = row
            numbers = [
                seq
                for (seq,) in connection.execute("SELECT seq FROM item WHERE epoch = ? AND stream = ?", (epoch, stream))
            ]
            for first, end, why, totals in connection.execute(
                "SELECT first, last, why, totals FROM lost WHERE epoch = ? AND stream = ?", (epoch, stream)
            ):
                assert (why, totals) == ("corrupt", None)
                numbers += range(first, end + 1)
            assert sorted(numbers) == list(range(1, last + 1))
        left = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in rows}
    if damage.__name__ == "damage":  # one page: the rest is there
        table = next(table for table in rows if left[table] < rows[table] + 1)
        assert rows[table] - 130 <= left[table]
        assert all(left[other] == rows[other] + 1 for other in rows if other != table), (rows, left)


def test_a_whole_database_is_left_alone_after_a_bad_end(folder: Path) -> None:
    path = folder / "edge.sqlite"
    ended_badly(path)
    with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "damage" not in store.faults
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM epoch").fetchone() == (1,)
    assert not list(folder.glob("*damaged*"))


def test_a_log_that_is_not_one_begins_a_new_epoch(folder: Path) -> None:
    path = folder / "edge.sqlite"
    path.with_name("edge.sqlite-wal").write_bytes(b"garbage" * 1000)
    with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "write-ahead log is damaged" in store.faults["damage"]
        with store.read() as connection:
            assert connection.execute("SELECT why FROM epoch ORDER BY id").fetchall() == [("new",), ("corrupt",)]
            assert connection.execute("SELECT count(*) FROM lost").fetchone() == (0,)
    assert (folder / "edge.sqlite.damaged-1-wal").read_bytes().startswith(b"garbage")


def test_two_are_kept(folder: Path) -> None:
    path = folder / "edge.sqlite"
    for _ in range(4):
        cut_off(path)
        ended_badly(path)
        with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
            assert "damage" in store.faults
    kept = [one.name for one in folder.glob("*.damaged-?")]
    assert sorted(kept) == ["edge.sqlite.damaged-3", "edge.sqlite.damaged-4"]


@pytest.mark.parametrize("step", ["building", "built", "aside"])
def test_a_cut_in_the_middle_of_it(folder: Path, step: str) -> None:
    """What lies there at each moment, and the next start."""
    path = folder / "edge.sqlite"
    whole = path.read_bytes()
    cut_off(path)
    ended_badly(path)
    if step == "building":
        (folder / "edge.sqlite.recovering").write_bytes(whole[: len(whole) // 3])
    else:
        (folder / "edge.sqlite.recovered").write_bytes(whole)
    if step == "aside":
        path.rename(folder / "edge.sqlite.damaged-1")
    with (
        open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store,
        store.read() as connection,
    ):
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM epoch").fetchone()[0] >= 1
    assert not list(folder.glob("*.recover*"))
    assert (folder / "edge.sqlite.damaged-1").exists()


def test_no_window_is_summarised_again(folder: Path) -> None:
    """The summaries' own rows are gone, their numbers were given: no summary is made of the rows behind them."""
    path = folder / "edge.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO grain VALUES (1, 60, 1)")
        lane, stream = (
            connection.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()[0] for text in ("yard", STREAM)
        )
        connection.execute("UPDATE grain SET lane = ?", (lane,))
        ticks = [tick for (tick,) in connection.execute("SELECT id FROM tick ORDER BY id")]
        for place in range(0, 300, 60):
            connection.execute(
                "INSERT INTO summary VALUES (?, 60, ?, ?, 1, 0, 0, 1, ?, ?, 1)",
                (lane, ticks[place], ticks[place + 59], stream, place // 60 + 2),
            )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        recovery.settle(connection, {}, None)
        connection.execute("COMMIT")
        assert connection.execute("SELECT max(id) FROM tick").fetchone() == (ticks[-1],), "the rows stay"
        assert connection.execute("SELECT from_id FROM grain").fetchone() == (ticks[-1] + 1,)


def test_damage_that_a_reader_meets_ends_the_run_and_the_next_start_recovers(folder: Path) -> None:
    path = folder / "edge.sqlite"
    a_page_of("item")(path)
    with (
        pytest.raises(Problem, match="Start the agent again") as caught,
        open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store,
    ):
        assert "damage" not in store.faults, "after a good end not every page is looked at"
        with pytest.raises(sqlite3.DatabaseError), store.read() as connection:
            connection.execute("SELECT sum(length(body)) FROM item").fetchone()
        store.check()
    assert caught.value.code is Exit.STORE
    with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "edge.sqlite.damaged-1" in store.faults["damage"]
    assert not (folder / "damaged").exists()
    with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "damage" not in store.faults


def test_what_was_set_aside_goes_before_there_is_no_room_to_store(folder: Path) -> None:
    path = folder / "edge.sqlite"
    (folder / "edge.sqlite.damaged-7").write_bytes(b"of an earlier time")
    a_page_of("result")(path)
    ended_badly(path)
    settings = Config(keep_free=Bytes(1_000_000))
    with open_store(
        folder, clock=ManualClock(), device="s/n", settings=settings, free_bytes=lambda _: 500_000
    ) as store:
        assert "no room to keep the damaged file" in store.faults["damage"]
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM item").fetchone() == (SECONDS,), "what is small is kept"
    assert not list(folder.glob("*damaged*"))


def test_an_id_that_was_read_wrong_does_not_make_the_search_endless(folder: Path) -> None:
    """The table's end cannot be read, and what the rest says of where it is has flipped bits: nobody can look for so many ids."""
    path = folder / "edge.sqlite"
    pages = pages_of(path, "tick")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE epoch SET after_id = 1 << 32")  # closing brings it into the file
    overwrite(path, pages[-1])
    ended_badly(path)
    with open_store(folder, clock=ManualClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "damage" in store.faults
        with store.read() as connection:
            (ticks,) = connection.execute("SELECT count(*) FROM tick").fetchone()
            assert SECONDS - 60 < ticks < SECONDS

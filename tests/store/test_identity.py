"""Boots, epochs, the anchor, names and grains at open."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.store import identity, items
from agent.store.connection import connect_to_read
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0


def run_once(
    folder: Path, boot: str = "boot-one", device: str = "s/n", seconds: int = 1, sessions: int = 1, **more: Any
) -> str:
    """One run of an agent: some seconds with one result each, an item each, some sessions; the epoch's text."""

    def work(transaction: Transaction) -> None:
        for _ in range(sessions):
            items.draw_session(transaction)
        for _ in range(seconds):
            items.append(transaction, "event/yard", lambda number: b"%d" % number)

    with open_store(folder, clock=ManualClock(5_000_000, boot=boot), device=device, settings=ROOMY, **more) as store:
        for number in range(seconds):
            store.submit(lane_second_job(second("yard", number * 1_000_000, found("face"))))
        store.submit(work)
        return store.epoch_text


def epochs(folder: Path) -> list[tuple[Any, ...]]:
    with closing(connect_to_read(folder / "edge.sqlite")) as connection:
        return connection.execute(
            "SELECT text, prev, why, boot, after_id, sess, device FROM epoch ORDER BY id"
        ).fetchall()


def test_a_restart_within_a_boot_continues_the_epoch_its_numbers_and_ids(tmp_path: Path) -> None:
    first = run_once(tmp_path)
    assert run_once(tmp_path) == first
    assert epochs(tmp_path) == [(first, None, "new", 1, 0, 2, "s/n")]
    with closing(connect_to_read(tmp_path / "edge.sqlite")) as connection:
        assert connection.execute("SELECT seq, body FROM item ORDER BY id").fetchall() == [(1, b"1"), (2, b"2")]
        assert connection.execute("SELECT id FROM tick ORDER BY id").fetchall() == [(2,), (4,)]


def test_a_reboot_and_a_rename_draw_an_epoch_that_names_its_parent_and_where_its_rows_begin(tmp_path: Path) -> None:
    first = run_once(tmp_path, seconds=3)
    second_ = run_once(tmp_path, "boot-two")
    third = run_once(tmp_path, "boot-two", device="s/other")
    assert epochs(tmp_path) == [
        (first, None, "new", 1, 0, 1, "s/n"),
        (second_, first, "boot", 2, 6, 1, "s/n"),
        (third, second_, "rename", 2, 8, 1, "s/other"),
    ]
    assert len({first, second_, third}) == 3
    # An older boot's id again (a container moved back) is another boot row's, still a new numbering run.
    assert run_once(tmp_path, "boot-one", device="s/other") not in (first, second_, third)
    assert epochs(tmp_path)[-1][2:4] == ("boot", 1)


def test_ids_begin_above_everything_that_was_ever_given(tmp_path: Path) -> None:
    run_once(tmp_path, seconds=5)

    def thins(transaction: Transaction) -> None:
        transaction.connection.execute("INSERT INTO summary VALUES (1, 60, 1, 40, 1, 0, 0, 1, 1, 1, 1)")
        transaction.connection.execute("DELETE FROM result")
        transaction.connection.execute("DELETE FROM tick")

    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        store.submit(thins, ends_group=True).wait(WAIT_S)
    run_once(tmp_path, "boot-two", seconds=0)
    assert epochs(tmp_path)[-1][4] == 40
    ids: list[int] = []
    with open_store(tmp_path, clock=ManualClock(boot="boot-two"), device="s/n", settings=ROOMY) as store:
        store.submit(lambda transaction: ids.append(transaction.next_id()), ends_group=True).wait(WAIT_S)
    assert ids == [41]


@pytest.mark.parametrize("sessions", [0, 1])
@pytest.mark.parametrize("boot", ["boot-one", "boot-two"])
def test_an_older_copy_put_back_is_told_by_the_anchor_and_never_reuses_a_number(
    tmp_path: Path, boot: str, sessions: int
) -> None:
    """sessions: also where the device has had no link since: its rows tell."""
    data = tmp_path / "data"
    first = run_once(data, seconds=2)
    shutil.copy(data / "edge.sqlite", tmp_path / "copy")
    run_once(data, sessions=sessions, seconds=2)
    shutil.copy(tmp_path / "copy", data / "edge.sqlite")
    later = run_once(data, boot)
    assert later != first
    assert [row[:3] for row in epochs(data)] == [(first, None, "new"), (later, first, "restore")]


def test_an_older_copy_with_all_its_rows_but_not_all_its_numbers_is_told_too(tmp_path: Path) -> None:
    """What is numbered beside rows: audit, health, ledgers."""
    data = tmp_path / "data"
    first = run_once(data)
    shutil.copy(data / "edge.sqlite", tmp_path / "copy")
    with open_store(data, clock=ManualClock(5_000_000, boot="boot-one"), device="s/n", settings=ROOMY) as store:
        store.submit(lambda transaction: items.draw_ledger_number(transaction), ends_group=True).wait(WAIT_S)
    shutil.copy(tmp_path / "copy", data / "edge.sqlite")
    assert run_once(data) != first


@pytest.mark.parametrize(
    "text", [None, "", "{", '{"boot":1}', json.dumps({"boot": 1, "session": 0, "epoch": "x" * 400})]
)
def test_numbers_stay_unique_whatever_the_anchor_says(tmp_path: Path, text: str | None) -> None:
    run_once(tmp_path)
    (tmp_path / "anchor.json").unlink()
    if text is not None:
        (tmp_path / "anchor.json").write_text(text)
    run_once(tmp_path)
    run_once(tmp_path, "boot-two")
    with closing(connect_to_read(tmp_path / "edge.sqlite")) as connection:
        numbers = connection.execute("SELECT epoch, stream, seq FROM item").fetchall()
        assert len(numbers) == len(set(numbers)) == 3
        last = connection.execute("SELECT text, sess FROM epoch ORDER BY id DESC LIMIT 1").fetchone()
        rows, given = identity.greatest_id(connection), identity.given(connection, 2)
    said = {"boot": 2, "session": last[1], "epoch": last[0], "last_id": rows, "given": given}
    assert json.loads((tmp_path / "anchor.json").read_text()) == said


def test_a_session_that_was_undone_is_not_in_the_anchor(tmp_path: Path) -> None:
    def fails(transaction: Transaction) -> None:
        items.draw_session(transaction)
        raise ValueError

    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store, pytest.raises(ValueError):
        store.submit(fails, ends_group=True).wait(WAIT_S)
    first = epochs(tmp_path)
    run_once(tmp_path, sessions=0)
    assert epochs(tmp_path) == first  # continued, not taken for an older copy


def test_names_and_grains_are_entered_at_open(tmp_path: Path) -> None:
    names = [("lane", "yard"), ("model", "faces"), ("label", "face")]
    run_once(tmp_path, names=names, grains={"yard": [60]}, seconds=2)
    run_once(tmp_path, names=names, grains={"yard": [60, 3600], "pump": [60]})
    with closing(connect_to_read(tmp_path / "edge.sqlite")) as connection:
        assert connection.execute("SELECT kind, text FROM name ORDER BY id").fetchall()[:3] == names
        grains = connection.execute(
            "SELECT text, grain, from_id FROM grain JOIN name ON name.id = lane ORDER BY 1, 2"
        ).fetchall()
    assert grains == [
        ("pump", 60, 5),
        ("yard", 60, 1),
        ("yard", 3600, 5),
    ]  # a new grain is not made for what lies behind


def test_a_replay_store_is_boot_one_epoch_zero_and_begins_empty(tmp_path: Path) -> None:
    assert run_once(tmp_path, replay=True) == "0" * 32
    assert not (tmp_path / "anchor.json").exists()
    assert epochs(tmp_path)[0][3] == 1
    with pytest.raises(Problem, match="a store already"):
        run_once(tmp_path, replay=True)

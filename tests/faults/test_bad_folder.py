"""Data folders that cannot be used end the start with exit 5 and one line; a store that another program holds up holds up nobody for ever."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from peers.agents import store_path
from peers.troubled import LIMIT_S, command, status, troubled, write

# Root may write everywhere; without this capability the folder's permissions hold for it too.
_OBEDIENT = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"]


def obedient() -> list[str]:
    if os.geteuid() != 0:
        return []
    try:
        subprocess.run([*_OBEDIENT, "true"], check=True, capture_output=True, timeout=LIMIT_S)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"root cannot give up its rights here: {error}")
    return _OBEDIENT


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program holds the database's write lock."""
    with closing(sqlite3.connect(path, timeout=LIMIT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def check_refused(config: Path, *words: str, before: list[str] | None = None, name: str = "run") -> None:
    """Exit 5, and one line on stderr with these words."""
    code, out, said = command(name, config, before=before or [])
    assert (code, out) == (5, ""), said
    assert len(said.splitlines()) == 1, said
    assert not [word for word in words if word not in said], said


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    before = obedient()
    config = write(tmp_path)
    (tmp_path / "data").mkdir(mode=0o555)
    check_refused(
        config, str(tmp_path / "data"), "Permission denied", "Let the agent's user write there", before=before
    )
    code, _, said = command("check", config, before=before)
    assert code == 4
    assert "device.data: " in said
    assert "cannot be written by this user" in said


def test_a_store_that_may_not_be_written(tmp_path: Path) -> None:
    before = obedient()
    config = write(tmp_path)
    with troubled(config) as agent:
        agent.wait_until(lambda: agent.state, "the start")
    store_path(config).chmod(0o444)
    check_refused(config, "edge.sqlite", "cannot be written", "Let the agent's user write", before=before)


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    check_refused(write(tmp_path), str(tmp_path / "data"), "the data folder cannot be used", "name another folder")


def test_a_damaged_database(tmp_path: Path) -> None:
    """`run` sets it aside and goes on (test_damaged_store.py); who only reads says what it is."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "edge.sqlite").write_bytes(b"this is no database " * 500)
    check_refused(write(tmp_path), "edge.sqlite", "the database is damaged", "sets the file aside", name="status")


def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "edge.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    check_refused(write(tmp_path), "edge.sqlite", "newer")


def test_no_store_yet(tmp_path: Path) -> None:
    check_refused(write(tmp_path), "there is no store here", "Start the agent once", name="status")


def test_a_second_agent_on_the_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with troubled(write(tmp_path)) as agent:
        agent.check_goes_on("yard")
        check_refused(agent.config, f"is in use by process {agent.process.pid} (", "Stop it, or name another folder")
        agent.check_goes_on("yard")
        assert status(agent.config)[0] == 0


@pytest.mark.long
def test_a_locked_database_holds_lanes_up_and_nothing_is_lost(tmp_path: Path) -> None:
    config = write(tmp_path)
    with troubled(config) as agent:
        agent.check_goes_on("yard")
        with locked(store_path(config)):
            before = agent.results()
            agent.wait_until(lambda: "locked" in str(agent.state["faults"]), "word of it")
            assert agent.results() == before
            assert "another program holds the database locked" in status(config)[2]
        agent.check_goes_on("yard")
    check_nothing_lost(config)
    said = [line for line in agent.text.splitlines() if "another program" in line]
    assert len(said) == 1, said
    assert "End that program" in said[0]


def test_sigterm_while_the_database_is_locked_waits_for_it(tmp_path: Path) -> None:
    config = write(tmp_path)
    with troubled(config, ends=0) as agent:
        agent.check_goes_on("yard")
        with locked(store_path(config)):
            agent.process.send_signal(signal.SIGTERM)
            agent.wait_until(lambda: "the store is slow, its end is waited for" in agent.text, "word of it")
    check_nothing_lost(config)


def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    config = write(tmp_path)
    with troubled(config, ends=128 + signal.SIGTERM) as agent:
        agent.wait_until(lambda: agent.lane("yard").get("state") == "running", "the start")
        with locked(store_path(config)):  # it would wait for this
            agent.process.send_signal(signal.SIGTERM)
            agent.wait_until(lambda: agent.lane("yard")["state"] == "stopped", "the lane's end")
            agent.process.send_signal(signal.SIGTERM)
            agent.process.wait(LIMIT_S)


def check_nothing_lost(config: Path) -> None:
    """Each picture that was not replaced by a newer one has its result, and no second is missing."""
    with closing(sqlite3.connect(store_path(config))) as connection:
        seen, results = connection.execute(
            "SELECT sum(seen - dropped), (SELECT count(*) FROM result) FROM tick"
        ).fetchone()
        steps = connection.execute("SELECT at_us - lag(at_us) OVER (ORDER BY id) FROM tick").fetchall()
    assert seen == results > 0
    assert max(step for (step,) in steps[1:]) <= 1_000_000

"""Snapshots on a disk that another program fills to the last byte: the agent goes on, its store is whole, pictures come again when there is room."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from peers.agents import agent, opened, scene, store_path, wait_for, write_config
from peers.manual_clock import ManualClock
from peers.small_disk import fill, small_disk

from agent.events.snapshots import Config, Snapshots
from agent.store.folder import free_bytes

LIMIT_S = 40.0


def test_a_picture_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data") as data:
        snapshots = Snapshots(data, Config(), boot=1, clock=ManualClock(), keep_free=0, free_bytes=lambda _: 10**12)
        with snapshots:  # it does not know how little there is: the write itself fails
            for at_us in range(20):
                snapshots.offer("yard", at_us, b"x" * 600_000)
            wait_for(lambda: snapshots.counts.written + snapshots.counts.failed == 20, LIMIT_S, "the last one")
        assert snapshots.counts.failed == 20 - snapshots.counts.written > 0
        kept = list((data / "snapshots").iterdir())
        assert len(kept) == snapshots.counts.written
        assert all(path.read_bytes() == b"x" * 600_000 for path in kept)


def test_the_oldest_give_way_to_what_another_program_wants(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data") as data:
        snapshots = Snapshots(data, Config(), boot=1, clock=ManualClock(), keep_free=2_000_000, free_bytes=free_bytes)
        with snapshots:
            for at_us in range(12):
                snapshots.offer("yard", at_us, b"x" * 400_000)
                wait_for(lambda at_us=at_us: snapshots.counts.written == at_us + 1, LIMIT_S, "a picture")
            (data / "ballast").write_bytes(b"\0" * 3_000_000)
            snapshots.offer("yard", 99, b"x" * 400_000)
            wait_for(lambda: snapshots.counts.written == 13, LIMIT_S, "the newest")
        assert free_bytes(data) >= 2_000_000
        numbers = sorted(int(path.stem.rsplit("-", 1)[1]) for path in (data / "snapshots").iterdir())
        assert numbers[-1] == 99
        assert numbers[:-1] == list(range(12))[-len(numbers) + 1 :]


def test_the_agent_goes_on_over_a_full_disk_and_keeps_pictures_again(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",))
    text = config.read_text().replace("clear_s = 0.3\n", "clear_s = 0.05\nsnapshot = true\n")
    assert "snapshot = true" in text
    config.write_text(text)
    data = config.parent / "data"

    def pictures() -> list[Path]:
        return sorted((data / "snapshots").glob("*.jpg"))

    with small_disk(data):
        with agent(config) as running:
            wait_for(lambda: len(pictures()) >= 2, LIMIT_S, "two pictures")
            fill(data / "ballast")
            wait_for(lambda: not pictures(), LIMIT_S, "the pictures' end: results come before them")
            fill(data / "ballast")
            assert running.process.poll() is None
            (data / "ballast").unlink()
            wait_for(lambda: len(pictures()) >= 2, LIMIT_S, "pictures again")
            code, _ = running.terminate()
            assert code == 0, running.text
            assert "Traceback" not in running.text
        with opened(store_path(config)) as connection:
            named = {
                json.loads(body)["media"]["ref"]
                for (body,) in connection.execute("SELECT body FROM event WHERE phase = 0")
                if json.loads(body)["media"]
            }
        assert {f"snapshots/{path.name}" for path in pictures()} <= named
        with closing(sqlite3.connect(store_path(config))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

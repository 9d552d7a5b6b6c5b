"""The road by file: what `export --items` writes, `subscribe --import` takes as if it had come over MQTT."""

import gzip
import json
from pathlib import Path

import pytest
from peers.agents import agent, opened, scene, store_path, wait_for, write_config

from agent.__main__ import main
from agent.problems import Exit


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device without a broker that has run for some seconds."""
    folder = tmp_path_factory.mktemp("device")
    path = write_config(folder, "gate-07", scene(folder))
    with agent(path) as running:
        wait_for(lambda: closed(path) > 6, 60, "closed windows")
        assert running.terminate()[0] == 0
    return path


def closed(config: Path) -> int:
    try:
        with opened(store_path(config)) as connection:
            return int(connection.execute("SELECT count(*) FROM summary").fetchone()[0])
    except Exception:  # noqa: BLE001
        return 0


def export(config: Path, out: Path, *more: str) -> int:
    return main(["export", str(config), "--items", "--out", str(out), *more])


def take(state: Path, *files: Path) -> int:
    return main(["subscribe", "--store", str(state), "--from", "1", "--json", "--import", *map(str, files)])


def stored(config: Path) -> set[tuple[str, str, int, bytes]]:
    with opened(store_path(config)) as connection:
        return set(
            connection.execute(
                "SELECT e.text, n.text, seq, body FROM item JOIN epoch e ON e.id = item.epoch JOIN name n ON n.id = stream"
            )
        )


def received(state: Path) -> set[tuple[str, str, int, bytes]]:
    with opened(state) as connection:
        return {
            (epoch, stream, seq, body.encode())
            for epoch, stream, seq, body in connection.execute("SELECT epoch, stream, seq, body FROM item")
        }


@pytest.mark.parametrize("name", ["items.ndjson", "items.ndjson.gz"])
def test_what_was_exported_is_taken_whole_and_once(
    config: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(config, tmp_path / name) == Exit.DONE
    assert "items" in capsys.readouterr().err
    # Items that no broker has acknowledged are still todo: the device will send them too, should it ever have a link.
    assert take(tmp_path / "view.sqlite", tmp_path / name) == Exit.DONE
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["devices"][0]["state"] == "complete", report["devices"][0]["why"]
    assert "cut off" not in captured.err
    assert received(tmp_path / "view.sqlite") == stored(config)
    assert take(tmp_path / "view.sqlite", tmp_path / name, tmp_path / name) == Exit.DONE
    captured = capsys.readouterr()
    assert json.loads(captured.out)["devices"][0]["counts"]["duplicates"] == 2 * len(stored(config))
    assert " 0 new items" in captured.err


def test_exported_numbers_count_as_sent(config: Path, tmp_path: Path) -> None:
    assert export(config, tmp_path / "i.ndjson") == Exit.DONE
    with opened(store_path(config)) as connection:
        assert connection.execute("SELECT count(*) FROM item WHERE state = 0").fetchone() == (0,)
    numbers = []
    for _ in range(2):
        assert export(config, tmp_path / "i.ndjson") == Exit.DONE
        numbers.append(json.loads((tmp_path / "i.ndjson").read_bytes().splitlines()[-1])["n"])
    assert numbers[1] > numbers[0], "each ledger has a number of its own"


def test_one_stream(config: Path, tmp_path: Path) -> None:
    assert export(config, tmp_path / "i.ndjson", "--stream", "summary/yard/s2", "--todo") == Exit.DONE
    lines = [json.loads(line) for line in (tmp_path / "i.ndjson").read_bytes().splitlines()]
    assert {line["st"] for line in lines if "st" in line} == {"summary/yard/s2"}
    assert "streams" in lines[-1]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_was_cut_off(
    config: Path, tmp_path: Path, packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("i.ndjson.gz" if packed else "i.ndjson")
    assert export(config, path) == Exit.DONE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert take(tmp_path / "view.sqlite", path) == Exit.NO
    captured = capsys.readouterr()
    assert "cut off" in captured.err
    assert received(tmp_path / "view.sqlite") < stored(config)
    assert json.loads(captured.out)["devices"][0]["state"] == "unknown", "no ledger has come"


def test_strange_lines_are_counted_and_passed_over(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "i.ndjson"
    assert export(config, path) == Exit.DONE
    path.write_bytes(b"hello\n{}\n" + path.read_bytes().replace(b"\n", b"\n\n\xff\n", 1))
    assert take(tmp_path / "view.sqlite", path) == Exit.DONE
    assert "3 lines are no items" in capsys.readouterr().err


def test_an_export_that_fails_leaves_nothing(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(config, tmp_path / "nowhere" / "i.ndjson") == Exit.NO
    assert "cannot be written" in capsys.readouterr().err
    assert main(["export", str(config), "--todo"]) == Exit.COMMAND_LINE
    assert take(tmp_path / "view.sqlite", tmp_path / "none.ndjson") == Exit.NO
    assert "cannot be read" in capsys.readouterr().err


def test_to_stdout_while_the_agent_runs(
    config: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with agent(config) as running:
        wait_for(lambda: closed(config) > 12, 60, "closed windows")
        assert main(["export", str(config), "--items"]) == Exit.DONE
        out = capfdbinary.readouterr().out
        assert running.terminate()[0] == 0
    (tmp_path / "i.ndjson.gz").write_bytes(gzip.compress(out))
    assert take(tmp_path / "view.sqlite", tmp_path / "i.ndjson.gz") in (Exit.DONE, Exit.NO)
    assert received(tmp_path / "view.sqlite") <= stored(config)

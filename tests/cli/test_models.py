"""`edge-agent models`: what a person sees."""

from pathlib import Path

import pytest

from agent.__main__ import main
from agent.catalogue.entries import entries


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edge-agent" / "models"


def test_list(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "FOR", "LICENCE", "DIGEST", "STATE"]
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(entries())]}
    assert set(rows) == set(entries())
    assert "sha256:bbff11cebd1e…" in rows["blazeface"]
    assert rows["blazeface"].endswith("not cached")
    assert rows["view"].endswith("shipped")
    assert rows["ssd-mobilenet-v2-coco"].endswith("not fetched here")
    assert "  then: edge-agent models fetch coco-labels --from coco_labels.txt" in lines
    assert f"cache: {cache}" in lines


def test_fetch_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "view", "vibration"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["view", "vibration"]
    assert Path(out.split()[1]).is_file()


def test_fetch_goes_on_after_a_failure_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "coco-labels", "view"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("view  ")
    assert "it is not fetched here" in captured.err


def test_no_such_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "grace-hoper"]) == 1
    assert "Did you mean 'grace-hopper'?" in capsys.readouterr().err


def test_from_another_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, cache: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(b"another")
    assert main(["models", "fetch", "grace-hopper", "--from", str(tmp_path / "picture.jpg")]) == 1
    error = capsys.readouterr().err
    assert "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130" in error
    assert not any(path.is_file() for path in cache.rglob("*"))


def test_from_takes_one_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["models", "fetch", "--from", str(tmp_path / "x")]) == 2
    assert "one file is one entry" in capsys.readouterr().err

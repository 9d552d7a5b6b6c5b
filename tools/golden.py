"""Writes tests/replays/*/expected.jsonl anew, from a replay of each: `make golden`, or `python -m tools.golden NAME…` for some.

The only way in which expected rows change. Commit them alone, and say in the message why the rows are others now. The recordings run with
this repository's own models: where one was trained anew, its digest in config.toml and recording.toml follows.
"""

import hashlib
import io
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from agent.config.read import read
from agent.config.write import toml
from agent.pipeline.replay import replay
from agent.store.connection import connect_to_read
from agent.store.export import rows, write_jsonl

PROJECT = Path(__file__).parent.parent
REPLAYS = PROJECT / "tests" / "replays"
EXPECTED = "expected.jsonl"


def recordings() -> list[Path]:
    """The folders of tests/replays that hold a recording, by name."""
    return sorted(path.parent for path in REPLAYS.glob("*/recording.toml"))


def replayed(folder: Path) -> str:
    """The rows of a recording as `edge-agent replay` prints them."""
    with tempfile.TemporaryDirectory(prefix="edge-agent-golden-") as scratch:
        return rows_of(replay(folder, Path(scratch) / "store"))


def rows_of(path: Path) -> str:
    """The rows of a store's SQLite file as `edge-agent export --rows` prints them."""
    connection = connect_to_read(path)
    try:
        connection.execute("BEGIN")
        text = io.StringIO()
        write_jsonl(rows(connection), text)
        return text.getvalue()
    finally:
        connection.close()


def follow_models(folder: Path) -> None:
    """Enters the digests of the models as they are now."""
    config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    digests: dict[str, dict[str, str]] = {}
    for name, lane in config["lane"].items():
        for model, table in lane["model"].items():
            data = (folder / table["path"]).read_bytes()
            table["sha256"] = digests.setdefault(name, {})[model] = hashlib.sha256(data).hexdigest()
    _write(folder / "config.toml", config)
    head = tomllib.loads((folder / "recording.toml").read_text(encoding="utf-8"))
    _write(
        folder / "recording.toml",
        {**head, "config": read(folder / "config.toml", environment={}).digest, "models": digests},
    )


def _write(path: Path, tables: dict[str, Any]) -> None:
    path.write_text(toml(tables), encoding="utf-8")


def main(names: list[str]) -> int:
    unknown = set(names) - {folder.name for folder in recordings()}
    if unknown:
        print(f"no such recording in {REPLAYS}: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for folder in recordings():
        if names and folder.name not in names:
            continue
        follow_models(folder)
        path = folder / EXPECTED
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        text = replayed(folder)
        path.write_text(text, encoding="utf-8")
        after = text.splitlines()
        changed = len(set(before) ^ set(after))
        print(f"{folder.name}: {len(after)} rows, {f'{changed} lines differ' if changed else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""docs/cameras.md: its configs are good ones, and what it says that the agent says, the agent says."""

import re
from pathlib import Path

import pytest

from agent.config.kinds import is_sensor, kinds
from agent.config.read import read

PROJECT = Path(__file__).parent.parent.parent
PAGE = (PROJECT / "docs" / "cameras.md").read_text(encoding="utf-8")
CONFIGS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# Of the table of errors, its first column: "… refuses port …".
ERRORS = re.findall(r"^\| ([^|`]*…[^|`]*?) \|", PAGE, re.MULTILINE)


def test_there_are_configs_and_errors() -> None:
    assert len(CONFIGS) >= 5
    assert len(ERRORS) >= 25


@pytest.mark.parametrize("block", CONFIGS)
def test_its_configs_are_good(block: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "camera").write_text("word")
    (tmp_path / "secrets" / "camera").chmod(0o600)
    path = tmp_path / "edge-agent.toml"
    rest = '[device]\nsite = "s"\nname = "n"\ndata = "data"\n[lane.yard.model.view]\npath = "view.tflite"\n'
    path.write_text(f"version = 1\n{rest}{block}")
    assert read(path, environment={}).file.lane["yard"].source.kind in kinds("sources")


@pytest.mark.parametrize("error", ERRORS)
def test_its_errors_are_said(error: str) -> None:
    sources = "\n".join(path.read_text() for path in sorted((PROJECT / "agent" / "sources").glob("*.py")))
    for piece in filter(None, (part.strip() for part in error.split("…"))):
        assert piece in sources, piece


def test_every_kind_with_pictures_is_in_it() -> None:
    for kind in kinds("sources"):
        assert is_sensor(kind) or f"`{kind}`" in PAGE

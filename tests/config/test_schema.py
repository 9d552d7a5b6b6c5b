"""Schema and pages are what the types say; the schema agrees with `check` about the examples."""

import tomllib
from pathlib import Path

import jsonschema
import pytest

from agent.config import kinds
from agent.config.schema import json_schema, main, pages

PROJECT = Path(__file__).parent.parent.parent


def test_the_committed_pages_are_not_stale():
    stale = [str(path) for path, text in pages().items() if (PROJECT / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run make docs"


def test_check_says_what_is_stale_and_write_mends_it(tmp_path, capsys):
    options = ["--project", str(tmp_path)]
    assert main(["--check", *options]) == 1
    assert "docs/reference/config.md is stale" in capsys.readouterr().err
    assert main(["--write", *options]) == 0
    assert main(["--check", *options]) == 0
    page = tmp_path / "docs" / "reference" / "config.md"
    page.write_text(page.read_text(encoding="utf-8").replace("north", "south") + "x", encoding="utf-8")
    assert main(["--check", *options]) == 1


@pytest.mark.parametrize("example", ["yard.toml", "pump.toml"])
def test_the_schema_takes_the_examples(example):
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    table = tomllib.loads((PROJECT / "examples" / example).read_text(encoding="utf-8"))
    validator.validate(table)
    table["device"]["name"] = "gate-@serial"
    validator.validate(table)
    table["device"]["name"] = "Gate 7"
    assert not validator.is_valid(table)
    table["device"]["name"] = "gate"
    next(iter(table["lane"].values()))["source"]["password"] = "x"
    assert not validator.is_valid(table)


def test_every_kind_is_a_heading_and_no_secret_is_a_key():
    page = pages()[Path("docs/reference/config.md")]
    for room in ("sources", "gating"):
        for kind in kinds.kinds(room):
            assert f"### `{kind}`" in page
    for kind in kinds.kinds("decoding"):
        assert f"- `{kind}`: " in page
    assert "| `password` |" not in page
    assert "| `password_file` |" in page


def test_every_key_is_described():
    for path, page in pages().items():
        assert "|  |" not in page, path


def test_what_is_no_kind_is_not_offered(tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "good.py").write_text('"""Doc."""\n\n\nclass Config:\n    pass\n')
    (tmp_path / "sources" / "wrapper.py").write_text('"""Has no class Config of its own."""\n')
    (tmp_path / "sources" / "_private.py").write_text("class Config:\n    pass\n")
    assert kinds.kinds("sources", tmp_path) == ("good",)
    assert {"camera", "images", "serial_sensor"} <= set(kinds.kinds("sources"))
    assert not {"recording", "reopening"} & set(kinds.kinds("sources"))

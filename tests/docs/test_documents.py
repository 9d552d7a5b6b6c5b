"""What the pages name is there: links, paths, commands, options, make targets; the README's SQL runs on an empty store, its config is good."""

import argparse
import importlib
import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from agent.__main__ import COMMANDS
from agent.config.read import examine
from agent.store.schema import TABLES, VIEWS

PROJECT = Path(__file__).parents[2]
_ELSEWHERE = (".venv", "demo-output", "build", "venv")
# What CONTRIBUTING.md shows how to add.
_TO_BE_MADE = ("agent/sources/still.py", "tests/sources/test_still.py")


def _pages() -> list[Path]:
    found = [*PROJECT.glob("*.md")]
    for folder in ("docs", "models", "firmware_bridge", "examples", "tests", "agent", "benchmarks"):
        found += sorted((PROJECT / folder).rglob("*.md"))
    return found


PAGES = _pages()
# Pages of our own words: what a shell block in them says must be a command that exists.
MANUALS = [page for page in PAGES if "decisions" not in page.parts]


def _name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _blocks(page: Path, *languages: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [
        body
        for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if language in languages
    ]


@cache
def _anchors(page: Path) -> frozenset[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles)


def test_there_are_pages() -> None:
    assert len(PAGES) > 20
    assert PROJECT / "README.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert PROJECT in (there, *there.parents), f"{target} leads out of the project"
        if anchor:
            assert anchor in _anchors(there), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_paths_in_backticks_exist(page: Path) -> None:
    """`agent/store/schema.py`: from the root or from beside the page. What has a placeholder in it is none."""
    for words in re.findall(r"`([^`\n]+)`", _prose(page)):
        top = words.split("/")[0]
        named = (
            "/" in words[1:]
            and words[0] != "/"
            and re.fullmatch(r"[\w./-]+", words) is not None
            and (PROJECT / top).is_dir()
        )
        if named and top not in _ELSEWHERE and words not in _TO_BE_MADE:
            assert (PROJECT / words).exists() or (page.parent / words).exists(), f"`{words}` is not there"


def test_the_index_lists_every_page_of_docs() -> None:
    index = PROJECT / "docs" / "README.md"
    linked = {
        (index.parent / target.split("#")[0]).resolve()
        for target in re.findall(r"\]\(([^)\s]+)\)", index.read_text(encoding="utf-8"))
    }
    missing = [_name(page) for page in sorted((PROJECT / "docs").rglob("*.md")) if page != index and page not in linked]
    assert not missing


# ---- commands


@cache
def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"edge-agent {command}", exit_on_error=False)
    importlib.import_module(f"agent.cli.{command}").add_arguments(parser)
    return parser


def _options(parser: argparse.ArgumentParser) -> set[str]:
    found = {option for action in parser._actions for option in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= _options(inner)
    return found


def _mentions(page: Path) -> Iterator[list[str]]:
    """The words after each `edge-agent`, in shell blocks and in backticks."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in _blocks(page, "sh", "shell", "") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]*\bedge-agent [^`\n]*)`", text)
    for line in lines:
        for part in re.split(r"&&|;|\|", line.split(" #")[0]):
            found = re.search(r"(?:^|[\s/])edge-agent((?:\s+\S+)+)\s*$", part)
            if found and not part.strip().startswith(("git", "apt-get", "cd")):
                yield shlex.split(found[1])


def _is_a_command_line(words: list[str]) -> bool:
    return bool(words) and re.fullmatch(r"[a-z]+|--version", words[0]) is not None


@pytest.mark.parametrize("page", MANUALS, ids=_name)
def test_commands_and_options_exist(page: Path) -> None:
    for words in _mentions(page):
        if not _is_a_command_line(words) or words == ["--version"]:
            continue
        assert words[0] in COMMANDS, f"edge-agent {' '.join(words)}: no such command"
        known = _options(_parser(words[0]))
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0].rstrip("`,.") in known, f"edge-agent {' '.join(words)}: no option {word}"


@pytest.mark.parametrize(
    "page", [PROJECT / "README.md", PROJECT / "docs/installing.md", PROJECT / "docs/subscribing.md"], ids=_name
)
def test_command_lines_of_shell_blocks_parse(page: Path) -> None:
    lines = [line for block in _blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    tried = 0
    for line in lines:
        found = re.match(r"(?:sudo (?:-u \S+ -H )?)?edge-agent (\w+)(.*)", line.split(" #")[0])
        if found:
            _parser(found[1]).parse_args(shlex.split(found[2]))
            tried += 1
    assert tried


def test_every_command_is_in_the_readme_or_a_page_it_links() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in MANUALS if page.parent.name != "reference")
    assert [command for command in COMMANDS if f"edge-agent {command}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = re.findall(r"`make ([a-z]+)`", _prose(page))
    told += re.findall(r"^make ([a-z]+)", "\n".join(_blocks(page, "sh")), re.MULTILINE)
    firmware = {"native", "arm", "shared"}
    assert set(told) - targets - firmware == set()


# ---- what blocks hold


def test_the_sql_of_the_readme_runs_on_an_empty_store() -> None:
    statements = _blocks(PROJECT / "README.md", "sql")
    assert len(statements) >= 2
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(TABLES + VIEWS)
        for statement in statements:
            assert connection.execute(statement).fetchall() == []
    finally:
        connection.close()


def test_the_config_of_the_readme_is_good(tmp_path: Path) -> None:
    block = "\n".join(_blocks(PROJECT / "README.md", "toml"))
    (tmp_path / "secrets").mkdir()
    for secret in ("camera", "mqtt"):
        (tmp_path / "secrets" / secret).write_text("word\n")
        (tmp_path / "secrets" / secret).chmod(0o600)
    (tmp_path / "edge-agent.toml").write_text(block, encoding="utf-8")
    _, problems = examine(tmp_path / "edge-agent.toml", on_this_machine=False)
    assert [str(problem) for problem in problems] == []


def test_the_unit_is_one(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    (block,) = _blocks(PROJECT / "docs/installing.md", "ini")
    # What the unit starts is not installed here.
    unit = tmp_path / "edge-agent.service"
    unit.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", block, flags=re.MULTILINE), encoding="utf-8")
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30, check=False
    )
    assert [line for line in said.stderr.splitlines() if "edge-agent.service" in line] == []


def test_pictures_are_small() -> None:
    for picture in (PROJECT / "docs").rglob("*.png"):
        assert picture.stat().st_size < 400_000

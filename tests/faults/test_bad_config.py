"""Configs with mistakes: exit 4 and one line for each mistake, the same from `run` and `check`; wrong command lines: exit 2."""

import json
from pathlib import Path

import pytest
from peers.agents import VIEW_MODEL, scene
from peers.troubled import camera, command, images, write

PASSWORD = "correct-horse-9"
MISTAKES = f"""version = 1
[device]
site = "North Farm"
name = "gate-07"
data = "data"
[lane.yard]
sumaries = ["m1"]
[lane.yard.source]
kind = "camra"
[lane.door.source]
kind = "camera"
url = "http://viewer:{PASSWORD}@10.0.0.7/"
[lane.door.model.view]
path = "{VIEW_MODEL}"
pasword = "{PASSWORD}"
[lane.hall.source]
kind = "images"
rate_hz = "fast"
[lane.hall.model.view]
path = "{VIEW_MODEL}"
[rule.dark]
lane = "dor"
label = "night"
[mqtt]
url = "mqtt://gate:{PASSWORD}@broker.example.com"
password = "{PASSWORD}"
[store]
keep_free = "much"
"""
# Where each of them is, and the remedy.
NAMED = [
    ("edge-agent.toml:3 device.site: ", "It must be a name of a-z"),
    ("edge-agent.toml:6 lane.yard.model: ", "Add it"),
    ("edge-agent.toml:7 lane.yard.sumaries: ", 'Did you mean "summaries"?'),
    ("edge-agent.toml:9 lane.yard.source.kind: ", 'Did you mean "camera"?'),
    ("edge-agent.toml:12 lane.door.source.url: ", "a file that password_file names"),
    ("edge-agent.toml:15 lane.door.model.view.pasword: ", "Keys here: "),
    ("edge-agent.toml:16 lane.hall.source.path: ", "Add it"),
    ("edge-agent.toml:18 lane.hall.source.rate_hz: ", "It must be a number"),
    ("edge-agent.toml:22 rule.dark.lane: ", 'Did you mean "door"?'),
    ("edge-agent.toml:25 mqtt.url: ", "user and password_file"),
    ("edge-agent.toml:26 mqtt.password: ", "name that in password_file"),
    ("edge-agent.toml:28 store.keep_free: ", 'as in "200 MB"'),
]


@pytest.mark.parametrize("name", ["run", "check", "status"])
def test_every_mistake_is_named_at_once(tmp_path: Path, name: str) -> None:
    config = tmp_path / "edge-agent.toml"
    config.write_text(MISTAKES)
    code, out, said = command(name, config)
    assert (code, out) == (4, "")
    lines = said.splitlines()
    assert len(lines) == len(NAMED), said
    for line, (where, remedy) in zip(lines, NAMED, strict=True):
        assert line.startswith(where)
        assert remedy in line
    assert PASSWORD not in said
    assert not (tmp_path / "data").exists(), "nothing is begun"


def test_check_gives_them_as_json(tmp_path: Path) -> None:
    config = tmp_path / "edge-agent.toml"
    config.write_text(MISTAKES)
    code, out, said = command("check", config, "--json")
    assert (code, said) == (4, "")
    found = json.loads(out)
    assert [f"{one['where']}: " for one in found] == [where for where, _ in NAMED]
    assert PASSWORD not in out


@pytest.mark.parametrize(
    ("content", "where", "what", "remedy"),
    [
        (b"version = 1\n[device\n", "edge-agent.toml:2: ", "is not TOML: expected ']'", "Mend it and check again"),
        (b'{"version": 1}', "edge-agent.toml:1: ", "is not TOML", "Mend it and check again"),
        (b"\xff\xfe\x00" * 10, "edge-agent.toml: ", "is not UTF-8 text", "Save it as UTF-8"),
        (None, "edge-agent.toml: ", "cannot be read (No such file", "`edge-agent init FILE` writes one"),
    ],
    ids=["broken", "json", "binary", "missing"],
)
def test_what_is_not_toml(tmp_path: Path, content: bytes | None, where: str, what: str, remedy: str) -> None:
    config = tmp_path / "edge-agent.toml"
    if content is not None:
        config.write_bytes(content)
    code, out, said = command("run", config)
    assert (code, out) == (4, "")
    assert len(said.splitlines()) == 1, said
    assert said.startswith(where if content is not None else f"{config}: cannot")
    assert what in said
    assert remedy in said


def test_an_overlay_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "20-site.toml").write_text('[device]\nsite = "north\n')
    code, _, said = command("run", write(tmp_path))
    assert code == 4
    assert said.startswith("conf.d/20-site.toml:2: is not TOML"), said
    assert len(said.splitlines()) == 1, said


def test_a_password_that_everybody_can_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(PASSWORD)
    (tmp_path / "word").chmod(0o644)
    login = f'user = "viewer"\npassword_file = "{tmp_path}/word"'
    code, _, said = command("run", write(tmp_path, camera("door", "http://127.0.0.1/video", login)))
    assert code == 4
    assert "lane.door.source.password_file: everybody on this machine can read" in said
    assert f"chmod 600 {tmp_path}/word" in said
    assert PASSWORD not in said


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    mqtt = '[mqtt]\nurl = "mqtts://broker.example.com"\nca_file = "ca.pem"\n'
    code, _, said = command("run", write(tmp_path, mqtt))
    found = [line for line in said.splitlines() if "mqtt.ca_file: " in line]
    assert (code, len(found)) == (4, 1), said
    assert f"{tmp_path}/ca.pem" in found[0]
    assert "Correct the path" in found[0]


@pytest.mark.parametrize(
    "words",
    [["rum"], ["run"], ["run", "{config}", "--fast"], ["run", "{config}", "--report", "{folder}/none/report"], ["record", "{config}", "{folder}/new", "--lane", "dor"],
     ["run", "{config}", "--for", "nan"], ["run", "{config}", "--record-for", "5"], ["replay", "{folder}/new", "--store", "{config}"]],
    ids=["command", "config", "option", "report", "lane", "no-time", "no-recording", "store-is-a-file"],
)  # fmt: skip
def test_wrong_command_lines(tmp_path: Path, words: list[str]) -> None:
    config = write(tmp_path, images("door", scene(tmp_path)))
    code, out, said = command(*(word.format(config=config, folder=tmp_path) for word in words))
    assert (code, out) == (2, ""), said
    assert said
    assert "Traceback" not in said

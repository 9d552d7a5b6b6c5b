"""`edge-agent check` as a person meets it: a child process, its two streams and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
HEAVY = ("numpy", "cv2", "ai_edge_litert", "tflite_runtime", "paho", "serial", "sqlite3", "sqlite_utils", "tqdm")
SECRET = "hunter2-correct-horse"
GOOD = """\
version = 1
[device]
site = "north-farm"
name = "${NAME}"
data = "data"
[lane.yard.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1?token=hunter2-correct-horse"
user = "viewer"
password_file = "camera"
[lane.yard.gate]
kind = "motion"
[lane.yard.model.faces]
path = "faces.tflite"
[rule.somebody]
lane = "yard"
label = "face"
[mqtt]
url = "mqtts://broker.example.com"
password_env = "MQTT_PASSWORD"
"""


def check(*arguments, **environment):
    code = "import sys; from agent.__main__ import main; code = main(sys.argv[1:]); sys.stderr.write('\\nmodules ' + ' '.join(sys.modules)); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, cwd=PROJECT, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), **environment},
    )  # fmt: skip
    errors, _, modules = done.stderr.rpartition("\nmodules ")
    return done.returncode, done.stdout, errors.strip(), set(modules.split())


@pytest.fixture
def config(tmp_path):
    (tmp_path / "faces.tflite").write_bytes(b"\x1c\0\0\0TFL3 faces")
    (tmp_path / "camera").write_text(SECRET)
    (tmp_path / "camera").chmod(0o600)
    (tmp_path / "yard.toml").write_text(GOOD)
    return tmp_path / "yard.toml"


def test_a_good_config_is_summed_up_without_its_secrets(config, tmp_path):
    code, out, errors, modules = check(config, NAME="gate-07", MQTT_PASSWORD=SECRET)
    assert (code, errors) == (0, "")
    for words in ("north-farm/gate-07", "rtsp://10.0.0.7/stream1?token=…", "user viewer", f"password from the file {tmp_path / 'camera'}", "faces.tflite sha256:",
                  "decoder not named: to be found in the model", "password from the variable MQTT_PASSWORD", "mqtts://broker.example.com", "motion",
                  "pictures none leaves this device", "yard     people are shown as they are"):  # fmt: skip
        assert words in out
    assert SECRET not in out
    assert not modules & set(HEAVY)
    assert not any(name.startswith("tree_sitter") for name in modules), "a good config needs no parser for lines"


def test_every_problem_is_a_line_on_stderr(config):
    config.write_text(
        GOOD.replace('kind = "motion"', 'kind = "moton"')
        .replace('label = "face"', "label = 3")
        .replace("faces.tflite", "none.tflite")
    )
    code, out, errors, modules = check(config, NAME="gate-07", MQTT_PASSWORD=SECRET)
    assert code == 4
    assert out == ""
    assert [line.partition(": ")[0] for line in errors.splitlines()] == [
        "yard.toml:12 lane.yard.gate.kind",
        "yard.toml:14 lane.yard.model.faces.path",
        "yard.toml:17 rule.somebody.label",
    ]
    assert SECRET not in errors
    assert not modules & set(HEAVY)


def test_json_is_a_list_on_stdout(config):
    code, out, errors, _ = check(config, "--json", NAME="Gate 7", MQTT_PASSWORD=SECRET)
    assert (code, errors) == (4, "")
    assert [problem["where"] for problem in json.loads(out)] == ["yard.toml:4 device.name"]
    assert set(json.loads(out)[0]) == {"where", "what", "remedy"}
    assert check(config, "--json", NAME="gate-7", MQTT_PASSWORD=SECRET)[:2] == (0, "[]\n")


def test_secrets_are_shown_by_no_problem(config):
    config.write_text(
        GOOD.replace("//10", f"//u:{SECRET}@10")
        .replace('user = "viewer"', f'pasword = "{SECRET}"')
        .replace("[mqtt]", f'[mqtt]\npassword = "{SECRET}"')
    )
    for options in ((), ("--json",)):
        code, out, errors, _ = check(config, *options, NAME="gate-07", MQTT_PASSWORD=SECRET)
        assert code == 4
        assert SECRET not in out + errors


@pytest.mark.parametrize("example", ["yard.toml", "pump.toml"])
def test_the_examples_lack_only_what_a_clean_machine_lacks(example, tmp_path):
    code, out, _, _ = check(PROJECT / "examples" / example, "--json", XDG_CACHE_HOME=str(tmp_path))
    found = [(problem["where"].rpartition(".")[2], problem["what"]) for problem in json.loads(out)]
    for key, what in found:
        assert key in ("path", "catalogue", "password_file"), (key, what)
        assert "there is no file" in what or "not on this machine yet" in what
    assert code == (4 if found else 0)
    if example == "yard.toml":
        assert ("catalogue", "blazeface is not on this machine yet") in found
        assert any(problem["remedy"] == "edge-agent models fetch blazeface" for problem in json.loads(out))


def test_version_loads_nothing():
    code = "import sys; from agent.__main__ import main\ntry: main(['--version'])\nfinally: sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=PROJECT)
    assert done.stdout.startswith("edge-agent ")
    assert not set(done.stderr.split()) & {*HEAVY, "msgspec", "tomllib", "agent.problems", "agent.config"}

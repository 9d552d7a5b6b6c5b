"""`edge-agent doctor`: what a person sees of this machine and of a config."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.catalogue.entries import entries

CONFIG = """
version = 1
[device]
site = "farm"
name = "gate"
data = "data"
[lane.yard.source]
kind = "images"
path = "pictures"
[lane.yard.model.view]
path = "view.tflite"
sha256 = "15b093ce28931fa2875369d2247d65678ecf3652275f0e88a2a615789d48d17c"
delegates = ["xnnpack"]
"""


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trials are remembered there, not at home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    shipped = entries()["view"].shipped
    assert shipped is not None
    shutil.copy(shipped, tmp_path / "view.tflite")
    (tmp_path / "edge.toml").write_text(CONFIG)
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """(exit code, the last check of each name)"""
    code = main(["doctor", *map(str, words), "--json"])
    checks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(check["state"] in ("ok", "warn", "fail", "absent") for check in checks)
    assert all(check.get("remedy") for check in checks if check["state"] in ("warn", "fail"))
    return code, {check["name"]: check for check in checks}


def test_the_machine_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, checks = doctor(capsys)
    assert code == 0
    assert checks["runtime"]["state"] == "ok"
    assert checks["runtime"]["found"].startswith("litert ")
    assert checks["cpu"]["state"] == "ok"
    assert checks["cpu"]["facts"]["cores"] >= 1
    assert checks["config"]["state"] == "absent"
    assert {"numpy", "opencv", "clock", "catalogue", "gpu", "edgetpu"} <= set(checks)


def test_a_config_that_works(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, checks = doctor(capsys, folder / "edge.toml")
    assert code == 0
    assert checks["config"]["state"] == "ok"
    model = checks["model yard.view"]
    assert model["state"] == "ok"
    assert model["facts"]["delegate"] == "xnnpack"
    assert model["facts"]["decoder"] == "classification"
    assert model["facts"]["pinned"] is True
    assert 0 < model["facts"]["p50_ms"] <= model["facts"]["p95_ms"]
    assert checks["data folder"]["state"] == "ok"
    assert checks["broker"]["state"] == "absent"
    assert not (folder / "data").exists(), "nothing is made"


def test_a_model_that_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    data = bytearray((folder / "view.tflite").read_bytes())
    data[100:120] = bytes(20)
    (folder / "view.tflite").write_bytes(data)
    text = CONFIG.replace(CONFIG.splitlines()[11], "")
    assert "sha256" not in text
    (folder / "edge.toml").write_text(text)
    code, checks = doctor(capsys, folder / "edge.toml")
    assert code == 1
    assert checks["model yard.view"]["state"] == "fail"
    assert "view.tflite" in checks["model yard.view"]["found"]


def test_what_is_wrong_elsewhere_hides_no_model(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "edge.toml").write_text(
        CONFIG + '[mqtt]\nurl = "mqtts://broker.example.com"\nuser = "u"\npassword_file = "gone"\n'
    )
    code, checks = doctor(capsys, folder / "edge.toml")
    assert code == 1
    assert "password_file" in checks["config"]["found"]
    assert checks["model yard.view"]["state"] == "ok"


def test_no_config_of_that_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, checks = doctor(capsys, tmp_path / "none.toml")
    assert code == 1
    assert "none.toml" in checks["config"]["found"]


def test_for_people(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    main(["doctor", str(folder / "edge.toml")])
    out = capsys.readouterr().out
    assert any(line.startswith("ok      runtime") for line in out.splitlines())
    assert "model yard.view" in out
    assert out.splitlines()[-1].split()[1].startswith("ok")


def test_what_a_delegate_table_names(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    text = CONFIG.replace('["xnnpack"]', '["npu", "edgetpu", "xnnpack"]') + '[delegate.npu]\nlibrary = "libnone.so"\n'
    (folder / "edge.toml").write_text(text)
    code, checks = doctor(capsys, folder / "edge.toml")
    assert code == 1
    assert checks["delegate npu"]["state"] == "fail"
    assert "libnone.so is not installed" in checks["delegate npu"]["found"]
    model = checks["model yard.view"]
    assert model["state"] == "ok", "the CPU stands behind it"
    assert "npu" in model["facts"]["refused"]
    assert "libnone.so" in model["found"]


SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


@pytest.mark.skipif(not SWIFTSHADER.exists(), reason="no software Vulkan driver: apt install chromium")
def test_a_gpu_is_tried_and_its_answers_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", str(SWIFTSHADER))
    _, checks = doctor(capsys)
    assert checks["gpu"]["state"] == "ok"
    assert checks["gpu"]["facts"]["view_p50_ms"] > 0
    assert "with the CPU's answers" in checks["gpu"]["found"]

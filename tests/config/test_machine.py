"""What `check` looks for on the machine: models by presence and digest, certificates, the data folder."""

import hashlib
import os

import pytest

from agent.config.machine import model_file
from agent.config.read import examine
from agent.inference import model

FACES = b"\x1c\0\0\0TFL3 faces"


def _models(tmp_path):
    (tmp_path / "faces.tflite").write_bytes(FACES)
    (tmp_path / "bearing.tflite").write_bytes(b"\x1c\0\0\0TFL3 bearing")


def test_nothing_is_wrong_when_all_is_there(problems, tmp_path):
    _models(tmp_path)
    assert problems(on_this_machine=True) == []


def test_absent_models_are_named_and_do_not_keep_the_agent_from_reading_its_config(problems, tmp_path):
    found = problems(on_this_machine=True)
    assert [line.partition(":")[2].partition(":")[0] for line in found] == [
        "10 lane.yard.model.faces.path",
        "20 lane.pump.model.bearing.path",
    ]
    assert problems(on_this_machine=False) == []


def test_another_file_than_the_digest_says(problems, tmp_path):
    _models(tmp_path)
    right, wrong = hashlib.sha256(FACES).hexdigest(), "0" * 64
    place = 'path = "faces.tflite"'
    assert problems((place, f'{place}\nsha256 = "{right}"'), on_this_machine=True) == []
    (found,) = problems((place, f'{place}\nsha256 = "{wrong}"'), on_this_machine=True)
    assert found.startswith("yard.toml:11 lane.yard.model.faces.sha256: ")
    assert right in found


@pytest.mark.parametrize("content", [b"", b"<html>404 Not Found</html>", b"TFL3"])
def test_a_file_that_is_no_model_is_named_before_the_agent_runs(problems, tmp_path, content):
    _models(tmp_path)
    (tmp_path / "faces.tflite").write_bytes(content)
    (found,) = problems(on_this_machine=True)
    assert found.startswith("yard.toml:10 lane.yard.model.faces.path: ")
    assert "is no TFLite model" in found


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\nlabels = "labels.txt"',
            "11 lane.yard.model.faces.labels",
            "there is no file",
        ),
        (
            'path = "faces.tflite"',
            'catalogue = "blazefase"',
            "10 lane.yard.model.faces.catalogue",
            'Did you mean "blazeface"?',
        ),
        (
            'path = "faces.tflite"',
            'catalogue = "blazeface"',
            "10 lane.yard.model.faces.catalogue",
            "edge-agent models fetch blazeface",
        ),
        ('path = "faces.tflite"', 'path = "."', "10 lane.yard.model.faces.path", "there is no file"),
        (':8883"', ':8883"\nca_file = "ca.pem"', "26 mqtt.ca_file", "there is no file"),
        ("rtsp://10.0.0.7/stream1", "clip.avi", "8 lane.yard.source.url", "there is no"),
        ('data = "data"', 'data = "faces.tflite/data"', "5 device.data", "is no folder"),
    ],
)
def test_what_is_not_there(problems, tmp_path, monkeypatch, old, new, where, words):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _models(tmp_path)
    (found,) = problems((old, new), on_this_machine=True)
    assert found.startswith(f"yard.toml:{where}: ")
    assert words in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to every folder")
def test_a_data_folder_that_cannot_be_written(problems, tmp_path):
    _models(tmp_path)
    (tmp_path / "data").mkdir(mode=0o500)
    (found,) = problems(on_this_machine=True)
    assert "cannot be written" in found


def test_devices_are_not_looked_for(problems, tmp_path):
    _models(tmp_path)
    assert problems(("rtsp://10.0.0.7/stream1", "/dev/v4l/by-id/none"), on_this_machine=True) == []


def test_problems_of_file_and_machine_come_together(write, tmp_path):
    path = write(write().read_text(), "yard.toml", ("hop_s = 0.512", "hop_s = 2"))
    loaded, found = examine(path, on_this_machine=True)
    assert [problem.where.partition(" ")[0] for problem in found] == ["yard.toml:10", "yard.toml:18", "yard.toml:20"]
    assert loaded is not None


def test_where_a_model_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert str(model_file(model.Config(path="/a/b.tflite"))) == "/a/b.tflite"
    assert model_file(model.Config(catalogue="blazeface")) is None
    assert model_file(model.Config(catalogue="none-such")) is None


def test_cores_that_are_not_here_are_named(problems, tmp_path):
    _models(tmp_path)
    here = max(os.sched_getaffinity(0))
    place = "[lane.yard.source]"
    (found,) = problems((place, f"[lane.yard]\ncores = [{here}, 1000]\n{place}"), on_this_machine=True)
    assert found.startswith("yard.toml:7 lane.yard.cores[1]: this machine has no core 1000")
    assert f"{here}" in found

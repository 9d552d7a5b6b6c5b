"""`edge-agent init`: a config for what is found, that `check` takes up to what it asks to fill in."""

import tomllib

import pytest

from agent.__main__ import main
from agent.cli.init import config_text
from agent.config.read import examine


def _devices(tmp_path, *names):
    for name in names:
        (tmp_path / "dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev" / name).touch()
    return tmp_path / "dev"


@pytest.mark.parametrize(
    ("devices", "place"),
    [
        (
            ("v4l/by-id/usb-Cam_1-video-index0", "v4l/by-id/usb-Cam_1-video-index1", "video0", "serial/by-id/usb-x"),
            "v4l/by-id/usb-Cam_1-video-index0",
        ),
        (("video0", "video1"), "video0"),
        (("serial/by-id/usb-x", "ttyS0"), "serial/by-id/usb-x"),
        ((), None),
    ],
)
def test_the_config_names_what_is_found_and_is_good(tmp_path, devices, place):
    folder = _devices(tmp_path, *devices)
    text = config_text("edge.toml", folder)
    config = tmp_path / "edge.toml"
    config.write_text(text)
    loaded, problems = examine(config, on_this_machine=False)
    assert problems == []
    (lane,) = loaded.file.lane.values()
    found = lane.source.config.url if lane.source.kind == "camera" else lane.source.config.port
    assert found == (str(folder / place) if place else str(tmp_path / "clip.avi"))
    assert text.count("fill in") >= (2 if place is None else 1)


def test_a_file_that_is_there_stays_as_it_is(tmp_path, capsys):
    file = tmp_path / "edge.toml"
    assert main(["init", str(file)]) == 0
    assert f"edge-agent check {file}" in capsys.readouterr().out
    assert tomllib.loads(file.read_text())["version"] == 1
    file.write_text("mine")
    assert main(["init", str(file)]) == 2
    assert file.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["init", str(tmp_path / "none" / "edge.toml")]) == 2
    assert "cannot be written" in capsys.readouterr().err

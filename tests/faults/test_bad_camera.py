"""Cameras that are not there, refuse, or die: the lane says so once and tries for ever, the others go on."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.agents import files
from peers.mjpeg_server import MjpegServer
from peers.troubled import Troubled, camera, check_one_problem, images, problems, status, troubled, write

PASSWORD = "correct-horse-9"
# lane: (address, the key that is to blame, what is wrong, remedy)
ABSENT = {
    "device": ("/dev/video99", "url", "/dev/video99: no such file or directory", "Is it plugged in?"),
    "no-video": ("/dev/null", "url", "/dev/null is there, but gives no video", "Is it a capture device"),
    "file": ("{folder}/none.avi", "url", "none.avi cannot be read: no such file", "Give the path of a video file"),
    "text": ("{folder}/text.avi", "url", "text.avi is no video", "Give a video file that a player shows"),
    "empty": ("{folder}/empty.avi", "url", "empty.avi is empty", "Give a video file that a player shows"),
    "folder": ("{folder}", "url", "is a folder", 'set kind = "images"'),
    "host": ("http://no-such-host.invalid/video", "url", "there is no host no-such-host.invalid", "Check the address"),
    "port": ("rtsp://127.0.0.1:1/stream1", "url", "127.0.0.1 refuses port 1", "is it this port?"),
    "scheme": ("gopher://127.0.0.1/video", "url", "is no camera's address", "Write http://"),
    "path": ("{camera}/nothing", "url", "the camera has nothing at this path", "Look the path up"),
    "login": ("{camera}/video", "url", "refuses the user or the password", "Check user and password_file"),
    "images": ("{folder}/none", "path", "none cannot be read: no such file", "Give a folder of images"),
    "no-images": ("{folder}/bare", "path", "bare holds no image", "Put images into it"),
}


@pytest.fixture(scope="module")
def absent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    """One agent over all of them, for as long as the tests of this module need it."""
    folder = tmp_path_factory.mktemp("absent")
    (folder / "text.avi").write_text("this is no video\n" * 100)
    (folder / "empty.avi").write_bytes(b"")
    (folder / "bare").mkdir()
    (folder / "word").write_text(PASSWORD)
    (folder / "word").chmod(0o600)
    with MjpegServer() as open_camera, MjpegServer("viewer", "another word") as closed_camera:
        tables = []
        for lane, (url, key, _, _) in ABSENT.items():
            at = closed_camera if lane == "login" else open_camera
            address = url.format(folder=folder, camera=f"http://127.0.0.1:{at.port}")
            login = f'user = "viewer"\npassword_file = "{folder}/word"' if lane == "login" else ""
            tables.append(camera(lane, address, login) if key == "url" else images(lane, Path(address)))
        with troubled(write(folder, *tables)) as agent:
            for lane, (_, _, what, _) in ABSENT.items():
                agent.wait_for_problem(lane, what)
            yield agent


@pytest.mark.parametrize("lane", ABSENT)
def test_a_camera_that_is_not_there_is_named_once(absent: Troubled, lane: str) -> None:
    _, key, what, remedy = ABSENT[lane]
    check_one_problem(absent.text, f"lane.{lane}.source.{key}", what, remedy)
    assert re.search(rf"{absent.config.name}:\d+ lane\.{lane}\.source\.{key}", absent.text), "file and line are named"
    assert remedy in absent.lane(lane)["problem"]
    assert absent.results(lane) == 0


def test_a_lane_with_pictures_goes_on_beside_them_and_status_names_each(absent: Troubled) -> None:
    absent.check_goes_on("yard")
    code, found, text = status(absent.config)
    assert code == 1, "lanes are blind"
    assert found["lanes"]["yard"]["state"] == "running"
    for lane, (_, _, what, remedy) in ABSENT.items():
        assert found["lanes"][lane]["blind"]
        assert what in text
        assert remedy in text


def test_a_password_stands_nowhere(absent: Troubled) -> None:
    assert PASSWORD not in absent.text
    assert PASSWORD not in str(absent.state)
    for path in files(absent.config.parent / "data"):
        assert PASSWORD.encode() not in path.read_bytes(), path


def test_cameras_that_die_and_come_back(tmp_path: Path) -> None:
    with ExitStack() as later, MjpegServer() as killed, MjpegServer() as frozen:
        cameras = {"killed": killed, "frozen": frozen}
        lanes = [camera(lane, one.url, "stall_s = 1.0") for lane, one in cameras.items()]
        with troubled(write(tmp_path, *lanes)) as agent:
            agent.wait_until(lambda: all(agent.results(lane) for lane in cameras), "results of the cameras")
            killed.kill()
            frozen.freeze()
            agent.wait_until(lambda: all(agent.lane(lane)["problem"] for lane in cameras), "the problems")
            agent.check_goes_on("yard")
            frozen.kill()
            for one in cameras.values():
                later.enter_context(MjpegServer(port=one.port))
            for lane in cameras:
                agent.check_goes_on(lane)
                agent.wait_until(lambda lane=lane: agent.lane(lane)["problem"] is None, f"the end of {lane}'s problem")
    for lane, words in (("killed", "gives no more frames"), ("frozen", "gave no new frame for 1 s")):
        said = problems(agent.text, f"lane.{lane}.source.url")
        assert words in said[0]
        assert "it is opened anew" in said[0]
        assert len(said) == len({line.split(" ", 3)[3] for line in said}), "something is said twice"
        assert agent.text.count(f"lane.{lane}.source.url: gives records again") == 1


def test_an_image_that_cannot_be_read_is_named_and_the_next_one_follows(tmp_path: Path) -> None:
    config = write(tmp_path)
    (tmp_path / "pictures" / "0003.png").write_bytes(b"no picture")
    with troubled(config) as agent:
        agent.wait_until(lambda: agent.results("yard") > 4, "results of later ones")
    check_one_problem(agent.text, "lane.yard.source.path", "0003.png cannot be read", "Replace it")

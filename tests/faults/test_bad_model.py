"""Models that cannot be used: each is named once with file or reason, lanes with others go on, a lane of which none opens is tried again."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.agents import PROJECT, VIEW_MODEL, scene
from peers.damaged import damaged, tried
from peers.tiny_models import one_op
from peers.troubled import BEARING_MODEL, Troubled, check_one_problem, command, images, model, status, troubled, write

from agent.inference import interpreter

NOT_ITS_DIGEST = "0" * 64
OTHER_INPUT = "1×64 {}, no image of 1×height×width×3, and this lane gives frames"
# lane: (what is wrong, remedy); its file is written by `files`
BAD = {
    "missing": ("missing.tflite cannot be read: No such file or directory", "Give the path of a .tflite file"),
    "folder": ("folder.tflite cannot be read: Is a directory", "Give the path of a .tflite file"),
    "empty": ("empty.tflite is empty", "Copy or fetch it again"),
    "cut": ("cut.tflite): the model is refused", "The file is damaged or no TFLite model"),
    "text": ("text.tflite): the model is refused", "The file is damaged or no TFLite model"),
    "digest": (f", the config wants {NOT_ITS_DIGEST}", "Fetch the file again"),
    "shape": (OTHER_INPUT.format("float32"), "Take a model for images"),
    "window": (OTHER_INPUT.format("int8"), "give this lane a sensor"),
    "unknown-op": ("FancyOp", "This runtime lacks the op"),
    "unfetched": ("blazeface of the catalogue is not on this machine", "edge-agent models fetch blazeface"),
}


def files(folder: Path) -> None:
    whole = VIEW_MODEL.read_bytes()
    (folder / "folder.tflite").mkdir()
    (folder / "empty.tflite").write_bytes(b"")
    (folder / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    (folder / "text.tflite").write_text("<html>404 Not Found</html>")
    shutil.copy(VIEW_MODEL, folder / "digest.tflite")
    (folder / "shape.tflite").write_bytes(one_op("RELU", (1, 64)))
    shutil.copy(BEARING_MODEL, folder / "window.tflite")
    (folder / "unknown-op.tflite").write_bytes(one_op("RELU", (1, 32, 32, 3), custom="FancyOp"))


def table(lane: str, folder: Path) -> str:
    if lane == "unfetched":
        return f'[lane.{lane}.model.view]\ncatalogue = "blazeface"\n'
    return model(lane, "view", folder / f"{lane}.tflite", f'sha256 = "{NOT_ITS_DIGEST}"' if lane == "digest" else "")


def tried_again(lane: dict[str, Any]) -> bool:
    return lane.get("restarts", 0) > 0 and lane["state"] == "refused"


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    folder = tmp_path_factory.mktemp("bad")
    files(folder)
    pictures = scene(folder)
    lanes = [images(lane, pictures, models=table(lane, folder)) for lane in BAD]
    half = model("half", "lost", folder / "none.tflite") + model("half", "view", VIEW_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with troubled(write(folder, *lanes, images("half", pictures, models=half))) as agent:
            agent.wait_until(lambda: all(tried_again(agent.lane(lane)) for lane in BAD), "second attempts")
            yield agent


@pytest.mark.parametrize("lane", BAD)
def test_a_model_that_cannot_be_used_is_named_once(bad: Troubled, lane: str) -> None:
    what, remedy = BAD[lane]
    check_one_problem(bad.text, f"lane.{lane}.model.view", what, remedy)
    assert what in bad.lane(lane)["problem"]
    assert bad.lane(lane)["state"] in ("refused", "starting")  # it is tried again
    assert bad.results(lane) == 0


def test_the_digest_that_was_found_is_told(bad: Troubled) -> None:
    assert hashlib.sha256(VIEW_MODEL.read_bytes()).hexdigest() in bad.lane("digest")["problem"]


def test_lanes_with_a_model_go_on_beside_them_and_status_names_each(bad: Troubled) -> None:
    bad.check_goes_on("yard")
    code, found, text = status(bad.config)
    assert code == 1, "lanes are blind"
    assert found["lanes"]["yard"]["state"] == "running"
    for lane, (what, remedy) in BAD.items():
        assert found["lanes"][lane]["blind"]
        assert what in text
        assert remedy in text


def test_a_lane_goes_on_with_the_models_that_open(bad: Troubled) -> None:
    bad.check_goes_on("half")
    check_one_problem(bad.text, "lane.half.model.lost", "none.tflite cannot be read", "Give the path")
    assert bad.lane("half")["state"] == "running"
    assert "none.tflite" in status(bad.config)[2]


def test_check_finds_what_needs_no_runtime(bad: Troubled) -> None:
    code, out, said = command("check", bad.config)
    assert (code, out) == (4, "")
    for lane, key in (("missing", "path"), ("folder", "path"), ("digest", "sha256"), ("unfetched", "catalogue")):
        found = [line for line in said.splitlines() if f"lane.{lane}.model.view.{key}:" in line]
        assert len(found) == 1, said
        assert found[0].startswith("edge-agent.toml:"), found


def test_no_model_of_any_lane_is_exit_3_and_a_line_each(tmp_path: Path) -> None:
    files(tmp_path)
    pictures = scene(tmp_path)
    two = model("yard", "far", tmp_path / "cut.tflite") + model("yard", "near", tmp_path / "shape.tflite")
    config = write(
        tmp_path,
        images("yard", pictures, models=two),
        images("door", pictures, models=table("missing", tmp_path).replace("lane.missing", "lane.door")),
        yard=False,
    )
    code, out, said = command("run", config)
    assert (code, out) == (3, "")
    for place in ("lane.yard.model.far ", "lane.yard.model.near:", "lane.door.model.view:"):
        assert said.count(place) == 1, said


def test_a_model_that_comes_later_is_taken(tmp_path: Path) -> None:
    pictures, late = scene(tmp_path), tmp_path / "late.tflite"
    with troubled(write(tmp_path, images("door", pictures, models=model("door", "view", late)))) as agent:
        agent.wait_for_problem("door", "late.tflite cannot be read")
        shutil.copy(VIEW_MODEL, late)
        agent.check_goes_on("door")
        agent.wait_until(lambda: agent.lane("door")["problem"] is None, "the end of the problem")
        if os.environ.get("EDGE_AGENT_LONG") == "1":  # said when it has been well for 5 s
            agent.wait_until(lambda: "lane.door.model.view: well again" in agent.text, "the word of it")
    check_one_problem(agent.text, "lane.door.model.view", "late.tflite")


def shipped_and_real() -> list[Path]:
    folder = Path(os.environ.get("EDGE_AGENT_TESTDATA", PROJECT.parent / "shared" / "testdata")) / "models"
    return [
        VIEW_MODEL,
        BEARING_MODEL,
        *(path for path in sorted(folder.glob("*.tflite")) if path.stat().st_size < 1 << 20),
    ]


@pytest.mark.long
@pytest.mark.parametrize("path", shipped_and_real(), ids=lambda path: path.stem)
def test_damaged_files_are_a_problem_of_one_line_or_run(path: Path) -> None:
    """A thousand in all. What runs in the trial runs in this process, too, and leaves it alive."""
    files = list(damaged(path.read_bytes(), 1000 // len(shipped_and_real()) + 1, seed=7))
    ran = 0
    for content, problem in zip(files, tried(files), strict=True):
        if problem is not None:
            assert problem.startswith("m: the model is refused: ")
            assert len(problem.splitlines()) == 1
            continue
        ran += 1
        with interpreter.open_session(content, where="m") as session:
            assert all(array.size >= 0 for array in session.run())
    assert 0 < ran < len(files)

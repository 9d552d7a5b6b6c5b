"""Delegates that die, hang or fail while lanes run: the CPU takes over, nothing stops, and it is seen in state and status."""

import itertools
import time
from pathlib import Path
from typing import Any

from peers import stub_delegate
from peers.agents import opened, scene, store_path
from peers.tiny_models import one_op
from peers.troubled import check_one_problem, images, model, problems, status, troubled, write

from agent.inference.delegates import LOAD_LIMIT_S

# Loading and measuring take up to 40 runs; a lane makes 20 a second.
AFTER = 50
BAD = {
    "crash": "npu-crash failed: its process died of SIGABRT (stub: crashing at invoke)",
    "hang": "npu-hang failed: it did not answer within 0.5 s",
    "fail": "npu-fail failed: a run of the model failed: stub: the device was unplugged (op StubDelegate)",
}


def longest_gap_s(config: Path, lane: str) -> float:
    with opened(store_path(config)) as connection:
        times = [
            row[0] for row in connection.execute("SELECT at_us FROM results WHERE lane = ? ORDER BY at_us", (lane,))
        ]
    return max((after - before) / 1e6 for before, after in itertools.pairwise(times))


def test_lanes_go_on_on_the_cpu(tmp_path: Path) -> None:
    library, pictures = stub_delegate.build(tmp_path), scene(tmp_path)
    (tmp_path / "relu.tflite").write_bytes(one_op("RELU", (1, 32, 32, 3)))
    tables = []
    for how in (*BAD, "liar"):
        options = {"how": "wrong"} if how == "liar" else {"how": how, "after": AFTER}
        listed = "\n".join(f"{key} = {value!r}" for key, value in options.items())
        tables.append(f'[delegate.npu-{how}]\nlibrary = "{library}"\n[delegate.npu-{how}.options]\n{listed}\n')
        more = f'decoder = "raw"\ndelegates = ["npu-{how}", "xnnpack"]'
        tables.append(images(how, pictures, models=model(how, "view", tmp_path / "relu.tflite", more)))
    config = write(tmp_path, *tables)
    with troubled(config) as agent:

        def of(lane: str) -> dict[str, Any]:
            found: dict[str, Any] = agent.lane(lane).get("models", {}).get("view", {})
            return found

        for how, why in BAD.items():
            agent.wait_until(lambda how=how: of(how).get("degraded"), f"the failure of {how}")  # type: ignore[misc]
            assert (of(how)["delegate"], of(how)["degraded"]) == ("xnnpack", why)
            agent.check_goes_on(how)
        assert (of("liar")["delegate"], of("liar")["degraded"]) == ("xnnpack", None)
        agent.check_goes_on("liar")
        agent.check_goes_on("yard")
        found = status(config)[1]
        for how in BAD:
            assert found["lanes"][how]["state"] == "running"
            assert longest_gap_s(config, how) < 2.0
    for how in BAD:
        failed = [line for line in problems(agent.text, f"lane.{how}.model.view") if " failed=" in line]
        assert len(failed) == 1, agent.text
    assert "100% of result are further from the CPU's" in agent.text


def test_a_delegate_that_is_not_there_is_said_once_and_the_next_is_taken(tmp_path: Path) -> None:
    (tmp_path / "relu.tflite").write_bytes(one_op("RELU", (1, 32, 32, 3)))
    more = 'decoder = "raw"\ndelegates = ["npu", "xnnpack"]'
    tables = images("door", scene(tmp_path), models=model("door", "view", tmp_path / "relu.tflite", more))
    with troubled(write(tmp_path, '[delegate.npu]\nlibrary = "libnone.so"\n', tables)) as agent:
        agent.check_goes_on("door")
        assert agent.lane("door")["models"]["view"]["delegate"] == "xnnpack"
    check_one_problem(
        agent.text, "lane.door.model.view", "libnone.so is not installed", "Install the vendor's delegate"
    )


def test_the_agent_ends_in_time_while_a_delegate_hangs_at_its_trial(tmp_path: Path) -> None:
    library = stub_delegate.build(tmp_path)
    (tmp_path / "relu.tflite").write_bytes(one_op("RELU", (1, 32, 32, 3)))
    more = 'decoder = "raw"\ndelegates = ["npu", "xnnpack"]'
    npu = f'[delegate.npu]\nlibrary = "{library}"\noptions = {{ how = "hang", at = "prepare" }}\n'
    tables = images("door", scene(tmp_path), models=model("door", "view", tmp_path / "relu.tflite", more))
    with troubled(write(tmp_path, npu, tables)) as agent:
        agent.check_goes_on("yard")
        agent.wait_until(lambda: children(agent.process.pid, library), "the child at its trial")
        began = time.monotonic()
    # Far from what a busy machine adds, and far from the minute that a trial may take.
    assert time.monotonic() - began < LOAD_LIMIT_S / 3
    assert not children(None, library)


def children(parent: int | None, library: Path) -> list[int]:
    """Processes that hold the library. parent: whose, None: anybody's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(library) in (folder / "maps").read_text():
                of = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in (None, of):
                    found.append(int(folder.name))
        except OSError:
            continue
    return found

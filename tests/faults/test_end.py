"""How a run ends by itself, and what it says of it."""

from pathlib import Path

from peers.agents import scene
from peers.troubled import check_one_problem, command, count_results, images, model, status, troubled, write

ONCE = 'loop = false\npace = "all"'


def test_all_sources_at_their_end_is_exit_0(tmp_path: Path) -> None:
    pictures = scene(tmp_path)
    config = write(tmp_path, images("door", pictures, ONCE), images("yard", pictures, ONCE), yard=False)
    with troubled(config, ends=0) as agent:
        pass
    assert {name: lane["state"] for name, lane in agent.state["lanes"].items()} == {"door": "ended", "yard": "ended"}
    for lane in ("door", "yard"):
        assert count_results(config, lane) == 24, "each picture has its class"
        assert agent.text.count(f"lane is over lane={lane} state=ended") == 1
    code, found, text = status(config)
    assert code == 0, "a lane that has ended is not blind"
    assert {name: lane["state"] for name, lane in found["lanes"].items()} == {"door": "ended", "yard": "ended"}
    assert "the agent is not running" in text


def test_a_lane_at_its_end_is_not_begun_again_while_another_goes_on(tmp_path: Path) -> None:
    config = write(tmp_path, images("door", scene(tmp_path), ONCE))
    with troubled(config) as agent:
        agent.wait_until(lambda: agent.lane("door").get("state") == "ended", "the end of door")
        agent.check_goes_on("yard")
        assert agent.lane("door")["restarts"] == 0
        assert status(config)[1]["lanes"]["door"]["state"] == "ended"
    assert count_results(config, "door") == 24


def test_a_refused_lane_when_all_others_have_ended_is_exit_6(tmp_path: Path) -> None:
    pictures = scene(tmp_path)
    bad = images("door", pictures, models=model("door", "view", tmp_path / "none.tflite"))
    with troubled(write(tmp_path, bad, images("yard", pictures, ONCE), yard=False), ends=6) as agent:
        pass
    check_one_problem(agent.text, "lane.door.model.view", "none.tflite cannot be read", "Give the path")
    assert count_results(agent.config, "yard") == 24
    assert agent.lane("yard")["state"] == "ended"
    assert agent.lane("door")["state"] in ("refused", "starting")


def test_the_time_that_was_asked_for_is_exit_0(tmp_path: Path) -> None:
    with troubled(write(tmp_path), "--for", "6", ends=0) as agent:
        pass
    assert agent.lane("yard")["state"] == "stopped"


def test_record_stops_as_run_does(tmp_path: Path) -> None:
    bad = images("door", tmp_path / "none")
    code, _, said = command("record", write(tmp_path, bad), tmp_path / "recording", "--for", "5")
    assert code == 0, said
    check_one_problem(said, "lane.door.source.path", "cannot be read", "Give a folder of images")
    assert (tmp_path / "recording" / "yard" / "input.jsonl").stat().st_size > 0

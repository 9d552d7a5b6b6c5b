"""The page in a real browser: the picture with its boxes, shapes drawn by mouse and finger that end in the config file."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.agents import PROJECT, agent, scene, write_config
from peers.browser import Browser, browser
from peers.looks import Look, look

from agent.events import places
from agent.events.settings import Line as LineConfig

LIMIT_S = 40.0
PICTURE = "return document.getElementById('why').innerText === '' && document.getElementById('facts').innerText"
SAID = "return document.getElementById('said').innerText"
# The colour of the canvas at shares of it.
PIXEL = """
const canvas = document.getElementById('picture');
return [...canvas.getContext('2d').getImageData(arguments[0] * canvas.width, arguments[1] * canvas.height, 1, 1).data];
"""
NOTE = "# Where lorries stand, drawn by hand.\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    path = write_config(folder, "gate-07", scene(folder), lanes=("yard", "door"))
    path.write_text(
        NOTE
        + path.read_text()
        + "[lane.yard.zone.dock]  # the first one\npolygon = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]]\n"
    )
    return path


@pytest.fixture(scope="module")
def running(config: Path) -> Iterator[Look]:
    with agent(config), look(config, "--port", "0") as page:
        yield page


@pytest.fixture(scope="module")
def window(running: Look, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        page.open(running.url)
        yield page


def points(config: Path, lane: str, kind: str, name: str) -> list[list[float]]:
    found = tomllib.loads(config.read_text())["lane"][lane][kind][name]
    return [found["from"], found["to"]] if kind == "line" else found["polygon"]


def near(found: list[list[float]], wanted: list[tuple[float, float]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=0.01)


def test_it_shows_picture_results_and_how_the_lane_does(window: Browser) -> None:
    window.wait_for(PICTURE, LIMIT_S)
    assert "token" not in window.url
    window.wait_for("return document.getElementById('found').children.length", LIMIT_S)
    assert "(view)" in window.text("found")
    assert "view on xnnpack" in window.text("models")
    assert "160 × 120" in window.text("facts")
    window.wait_for("return document.getElementById('rates').innerText.includes('inferred')", LIMIT_S)
    assert window.text("state") == "running"
    assert window.run(PIXEL, 0.7, 0.7)[3] == 255
    options = window.run("return [...document.getElementById('lane').options].map((one) => one.value)")
    assert options == ["yard", "door"]


def test_a_zone_drawn_with_the_mouse_ends_in_the_file_and_everything_else_stays(window: Browser, config: Path) -> None:
    before = config.read_text().splitlines()
    window.click("draw-zone")
    wanted = [(0.5, 0.5), (0.9, 0.5), (0.9, 0.9), (0.5, 0.9)]
    window.pointer("picture", wanted)
    window.write("name", "parking")
    window.click("save")
    said = window.wait_for(SAID, LIMIT_S)
    assert said == f"zone parking is in {config}. It holds from the agent's next start on."
    near(points(config, "yard", "zone", "parking"), wanted)
    after = config.read_text().splitlines()
    assert [line for line in after if line in before] == before
    assert "zone parking, from the next start on" in window.text("shapes")
    assert "zone dock Change" in window.text("shapes")  # the agent has that one


def test_a_corner_is_dragged_and_one_taken_back(window: Browser, config: Path) -> None:
    window.click("draw-zone")
    window.pointer("picture", [(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.1, 0.9)])
    window.click("undo")
    window.drag("picture", [(0.6, 0.6), (0.7, 0.7), (0.8, 0.8)])
    window.write("name", "moved")
    window.click("save")
    window.wait_for(f"{SAID}.includes('moved')", LIMIT_S)
    near(points(config, "yard", "zone", "moved"), [(0.2, 0.2), (0.6, 0.2), (0.8, 0.8)])


def test_a_zone_that_is_there_is_changed(window: Browser, config: Path) -> None:
    window.run("[...document.querySelectorAll('#shapes li')].find((one) => one.innerText.includes('dock')).querySelector('button').click()")  # fmt: skip
    assert window.run("return document.getElementById('name').value") == "dock"
    window.drag("picture", [(0.4, 0.4), (0.5, 0.6)])
    window.click("save")
    window.wait_for(f"{SAID}.includes('dock')", LIMIT_S)
    near(points(config, "yard", "zone", "dock"), [(0.1, 0.1), (0.4, 0.1), (0.5, 0.6)])
    assert "[lane.yard.zone.dock]  # the first one\n" in config.read_text()


def test_a_zone_is_taken_out(window: Browser, config: Path) -> None:
    assert window.run("return document.getElementById('remove').hidden")
    window.run("[...document.querySelectorAll('#shapes li')].find((one) => one.innerText.includes('moved')).querySelector('button').click()")  # fmt: skip
    window.click("remove")
    said = window.wait_for(f"{SAID}.includes('out of') && {SAID.removeprefix('return ')}", LIMIT_S)
    assert said == f"zone moved is out of {config}. It holds from the agent's next start on."
    assert "moved" not in config.read_text()
    assert "moved" not in window.text("shapes")


def test_a_mask_drawn_with_a_finger(window: Browser, config: Path) -> None:
    window.click("draw-mask")
    wanted = [(0.1, 0.6), (0.3, 0.6), (0.3, 0.9)]
    window.pointer("picture", wanted, kind="touch")
    window.write("name", "street")
    window.click("save")
    window.wait_for(f"{SAID}.includes('mask street')", LIMIT_S)
    near(points(config, "yard", "mask", "street"), wanted)


def test_a_line_has_two_ends_and_can_be_turned_round(window: Browser, config: Path) -> None:
    window.click("draw-line")
    window.pointer("picture", [(0.2, 0.8), (0.8, 0.8), (0.5, 0.2)], kind="touch")  # a third one is none
    window.write("name", "entrance")
    window.click("turn")
    sent = "const [answer] = [window.sent]; return answer"
    window.run(
        "const real = window.fetch; window.fetch = (to, how) => { if (how) window.sent = how.body; return real(to, how); }"
    )
    window.click("save")
    body = json.loads(window.wait_for(sent, LIMIT_S))
    assert (body["lane"], body["kind"], body["name"]) == ("yard", "line", "entrance")
    near(body["points"], [(0.8, 0.8), (0.2, 0.8)])
    window.wait_for(f"{SAID}.includes('line entrance')", LIMIT_S)
    near(points(config, "yard", "line", "entrance"), [(0.8, 0.8), (0.2, 0.8)])


@pytest.mark.parametrize(
    "line", [((0.2, 0.8), (0.8, 0.8)), ((0.8, 0.8), (0.2, 0.8)), ((0.5, 0.2), (0.5, 0.8)), ((0.3, 0.7), (0.7, 0.3))]
)
def test_the_arrow_shows_the_way_that_is_counted_as_in(
    window: Browser, line: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    x, y = window.run("return inwards(arguments[0])", line)
    middle = ((line[0][0] + line[1][0]) / 2, (line[0][1] + line[1][1]) / 2)
    side, ways = places.Side(), []
    for step in (-0.25, -0.15, -0.05, 0.05, 0.15, 0.25):
        foot = (middle[0] + x * step, middle[1] + y * step)
        box = (foot[0] - 0.05, foot[1] - 0.1, foot[0] + 0.05, foot[1])
        ways.append(places.cross(side, LineConfig(from_=line[0], to=line[1]), box, 0))
    assert [way[0] for way in ways if way is not None] == ["in"]


def test_what_is_wrong_is_said_and_nothing_is_lost(window: Browser, config: Path) -> None:
    config.write_text(config.read_text() + "# by somebody else\n")
    before = config.read_text()
    window.click("draw-zone")
    window.pointer("picture", [(0.2, 0.2), (0.6, 0.2), (0.6, 0.6)])
    window.write("name", "Late One")
    assert window.run("return document.getElementById('save').disabled")
    window.write("name", "late")
    window.click("save")
    assert "changed meanwhile" in window.wait_for(SAID, LIMIT_S)
    assert window.run("return document.getElementById('said').className") == "bad"
    assert not window.run("return document.getElementById('drawing').hidden")
    window.click("cancel")
    assert config.read_text() == before


def test_another_lane_is_chosen(window: Browser) -> None:
    window.run(
        "const lane = document.getElementById('lane'); lane.value = 'door'; lane.dispatchEvent(new Event('change'))"
    )
    window.wait_for("return !document.getElementById('shapes').innerText.includes('dock')", LIMIT_S)
    window.wait_for(PICTURE, LIMIT_S)


def test_the_policy_forbids_nothing_that_the_page_needs(window: Browser) -> None:
    assert [line for line in window.log() if "favicon" not in line and "409" not in line] == []


def test_without_the_token_the_browser_sees_nothing(running: Look, tmp_path: Path) -> None:
    with browser(tmp_path) as page:
        page.open(running.url.partition("?")[0])
        assert "needs the address" in page.run("return document.body.innerText")


def test_with_blur_and_nobody_who_finds_persons_there_is_no_picture_and_it_says_why(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",))
    config.write_text(config.read_text() + '[privacy]\nblur = "persons"\n')
    with agent(config), look(config, "--port", "0") as running, browser(tmp_path) as page:
        page.open(running.url)
        page.wait_for("return document.getElementById('why').innerText.includes('finds person')", LIMIT_S)
        assert page.text("why") == "No picture: no model of this lane finds person."
        assert page.run(PIXEL, 0.5, 0.5) == [0, 0, 0, 0]


def test_the_picture_in_the_documentation_is_not_large() -> None:
    assert 10_000 < (PROJECT / "docs" / "look.png").stat().st_size <= 150_000

"""States of a camera's picture: each is told when it is so, and ends; nothing is told of noise, drift, dusk, a busy place."""

from collections.abc import Callable

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from peers.scenes import Scene, crossings

from agent.health.pictures import Pictures
from agent.health.settings import STATES, Picture
from agent.records import Event, Frame

SCENE = Scene(sigma=3.0)
FROM_S, UNTIL_S, OVER_S = 60, 120, 160

Change = Callable[[NDArray[np.uint8], float], NDArray[np.uint8]]


def planes(frame: Frame) -> Frame:
    return Frame(at_us=frame.at_us, i420=cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2YUV_I420).astype(np.uint8))


def watched(
    pictures: Pictures, scene: Scene, from_s: int, until_s: int, change: Change | None = None, *, luma: bool = False
) -> list[Event]:
    events = []
    for at_s in range(from_s, until_s):
        frame = scene.frame(at_s)
        if change is not None:
            frame = msgspec.structs.replace(frame, bgr=change(frame.pixels, at_s))
        events += pictures.take(planes(frame) if luma else frame)
    return events


def black(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    return pixels // 60


def white(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    return np.maximum(pixels, 252)


def covered(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    """A hand: hardly any light, none of the scene."""
    noise = np.random.default_rng(round(at_s)).normal(0, 5, pixels.shape)
    return np.clip(40 + noise, 0, 255).astype(np.uint8)


def frozen(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    return SCENE.frame(FROM_S).pixels


def defocused(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    """Out of focus, and then noise of the sensor."""
    noise = np.random.default_rng(round(at_s)).normal(0, 3, pixels.shape)
    return np.clip(cv2.GaussianBlur(pixels, (0, 0), 4) + noise, 0, 255).astype(np.uint8)


def shifted(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    """Knocked by 6 % of the width."""
    across = cv2.warpAffine(
        pixels, np.array([[1, 0, 38], [0, 1, -10]], np.float32), (640, 480), borderMode=cv2.BORDER_REFLECT
    )
    return across.astype(np.uint8)


def elsewhere(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    """Turned to another place."""
    return Scene(seed=9, sigma=3.0).frame(at_s).pixels


def night(pixels: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    return Scene(sigma=3.0, night=lambda _: True).frame(at_s).pixels


CHANGES: list[tuple[str, Change]] = [
    ("black", black),
    ("white", white),
    ("covered", covered),
    ("frozen", frozen),
    ("defocused", defocused),
    ("moved", shifted),
    ("moved", elsewhere),
    ("night", night),
]


@pytest.mark.parametrize("luma", [False, True], ids=["bgr", "luma"])
@pytest.mark.parametrize(("state", "change"), CHANGES, ids=[change.__name__ for _, change in CHANGES])
def test_each_state_is_told_once_and_ends(state: str, change: Change, luma: bool) -> None:
    pictures = Pictures(Picture())
    assert watched(pictures, SCENE, 0, FROM_S, luma=luma) == []
    (began,) = watched(pictures, SCENE, FROM_S, UNTIL_S, change, luma=luma)
    assert (began.rule, began.label, began.phase) == (f"picture-{state}", state, "start")
    assert began.severity == ("info" if state == "night" else "warn")
    assert 5 <= began.at_us / 1e6 - FROM_S <= 30
    assert pictures.states == (state,)
    (ended,) = watched(pictures, SCENE, UNTIL_S, OVER_S, luma=luma)
    assert (ended.rule, ended.phase) == (began.rule, "end")
    assert 5 <= ended.at_us / 1e6 - UNTIL_S <= 15
    assert pictures.states == ()


@pytest.mark.parametrize(("state", "change"), CHANGES[:-1], ids=[change.__name__ for _, change in CHANGES[:-1]])
def test_what_is_over_soon_is_not_told(state: str, change: Change) -> None:
    pictures = Pictures(Picture())
    watched(pictures, SCENE, 0, FROM_S)
    assert watched(pictures, SCENE, FROM_S, FROM_S + 4, change) == []
    assert watched(pictures, SCENE, FROM_S + 4, FROM_S + 40) == []


def busy(at_s: float) -> tuple[float, float, float, float]:
    """Something large is always in the way, in another place each time."""
    rng = np.random.default_rng(round(at_s))
    return (float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.3, 0.7)), 230.0, 70.0)


@pytest.mark.parametrize("luma", [False, True], ids=["bgr", "luma"])
@pytest.mark.parametrize(
    "scene",
    [
        Scene(sigma=12.0),
        Scene(sigma=4.0, drift=25.0, drift_s=120.0),
        Scene(sigma=4.0, gain=lambda at_s: max(0.25, 1.0 - at_s / 400)),
        Scene(sigma=4.0, gain=lambda at_s: 1.0 if at_s % 60 < 30 else 0.5),
        Scene(sigma=4.0, object=crossings(120, 70, every_s=7)),
        Scene(sigma=4.0, object=busy),
        Scene(sigma=0.0, drift=5.0, drift_s=30.0),
    ],
    ids=["noise", "drift", "dusk", "lamp", "traffic", "busy", "clean"],
)
def test_nothing_is_told_of_an_ordinary_picture(scene: Scene, luma: bool) -> None:
    assert watched(Pictures(Picture()), scene, 0, 420, luma=luma) == []


def test_noise_that_grows_with_the_dark_is_no_defocus() -> None:
    pictures = Pictures(Picture())
    events = []
    for at_s in range(400):
        light = max(0.25, 1.0 - at_s / 400)
        events += pictures.take(Scene(sigma=2.0 + 8.0 * (1 - light), gain=lambda _, light=light: light).frame(at_s))
    assert events == []


def test_a_camera_without_colours_is_not_in_night_vision() -> None:
    assert watched(Pictures(Picture()), Scene(night=lambda _: True), 0, 60) == []


def test_only_what_is_watched_is_told() -> None:
    pictures = Pictures(Picture(watch=("white",)))
    watched(pictures, SCENE, 0, FROM_S)
    assert watched(pictures, SCENE, FROM_S, UNTIL_S, black) == []
    assert Pictures(Picture(watch=())).take(SCENE.frame(0)) == []


@pytest.mark.parametrize("state", STATES)
def test_what_held_at_the_last_stop_ends_when_it_is_over(state: str) -> None:
    pictures = Pictures(Picture(), active=[f"picture-{state}", "somebody"])
    assert pictures.states == (state,)
    (ended,) = watched(pictures, SCENE, 0, 60)
    assert (ended.rule, ended.phase) == (f"picture-{state}", "end")


def test_it_looks_once_a_second_whatever_the_rate() -> None:
    slow, fast = Pictures(Picture()), Pictures(Picture())
    one = [
        event
        for n in range(100)
        for event in slow.take(
            SCENE.frame(n) if n < 50 else msgspec.structs.replace(SCENE.frame(n), bgr=black(SCENE.frame(n).pixels, n))
        )
    ]
    other = []
    for n in range(400):
        frame = SCENE.frame(n / 4)
        other += fast.take(frame if n < 200 else msgspec.structs.replace(frame, bgr=black(frame.pixels, n)))
    assert [event.rule for event in one] == [event.rule for event in other] == ["picture-black"]
    assert abs(one[0].at_us - other[0].at_us) <= 1_000_000


@pytest.mark.parametrize("change", [defocused, elsewhere])
def test_what_has_been_so_for_a_day_is_how_it_is(change: Change) -> None:
    pictures = Pictures(Picture())
    watched(pictures, SCENE, 0, FROM_S)
    events = []
    for number in range(200):
        frame = SCENE.frame(FROM_S + 600 * number)
        events += pictures.take(msgspec.structs.replace(frame, bgr=change(frame.pixels, number)))
    assert [event.phase for event in events] == ["start", "end"]
    assert 86_000 <= events[1].at_us / 1e6 <= 100_000


def test_pictures_of_another_size_or_of_hardly_any_are_no_fault() -> None:
    pictures = Pictures(Picture())
    for at_s in range(60):
        assert pictures.take(Scene(width=640 if at_s % 2 else 320, height=480 if at_s % 2 else 240).frame(at_s)) == []
    assert pictures.take(Frame(at_us=61_000_000, bgr=np.zeros((4, 4, 3), np.uint8))) == []
    assert pictures.take(Frame(at_us=0, bgr=SCENE.frame(0).pixels)) == []


def test_the_same_pictures_give_the_same_events() -> None:
    def run() -> list[Event]:
        pictures = Pictures(Picture())
        return watched(pictures, SCENE, 0, FROM_S) + watched(pictures, SCENE, FROM_S, UNTIL_S, shifted)

    assert run() == run()

"""What the motion gate finds in generated pictures whose truth is known: objects, noise, drift, switched light, flags, people who stand."""

from collections.abc import Callable

import numpy as np
import pytest
from peers.scenes import Scene, Square, crossings

from agent.gating import motion
from agent.gating.motion import Config, Motion


def moving(
    scene: Scene, until_s: float, *, hz: float = 5.0, luma: bool = False, config: Config | None = None
) -> dict[float, bool]:
    """Time in s → whether the gate saw motion in that frame."""
    gate = Motion(config or Config())
    seen = {}
    for number in range(round(until_s * hz)):
        gate.take(scene.frame(number / hz, luma=luma))
        seen[number / hz] = gate.moving
    return seen


def rates(scene: Scene, seen: dict[float, bool]) -> tuple[float, float]:
    """Percent of frames with an object that were hit, of those without that were not still."""
    hits = [one for at_s, one in seen.items() if scene.object(at_s) is not None]
    still = [one for at_s, one in seen.items() if scene.object(at_s) is None]
    return 100 * float(np.mean(hits)), 100 * float(np.mean(still))


@pytest.mark.parametrize("luma", [False, True], ids=["bgr", "luma"])
@pytest.mark.parametrize(("side_px", "contrast", "sigma"), [(40, 60, 4), (16, 60, 4), (40, 60, 12), (16, 40, 12)])
def test_every_object_is_hit_and_still_pictures_are_still(
    side_px: float, contrast: float, sigma: float, luma: bool
) -> None:
    """Noise, drift by ±15 levels, a light that goes off."""
    scene = Scene(
        sigma=sigma, drift=15, gain=lambda at_s: 1.0 if at_s < 50 else 0.55, object=crossings(side_px, contrast)
    )
    hit, false = rates(scene, moving(scene, 120, luma=luma))
    assert hit == 100
    assert false <= 3


@pytest.mark.parametrize(("side_px", "object_px"), [(48, None), (16, 16.0)])
def test_objects_in_a_large_picture(side_px: float, object_px: float | None) -> None:
    scene = Scene(width=1920, height=1080, object=crossings(side_px, 60))
    hit, false = rates(scene, moving(scene, 36, luma=True, config=Config(object_px=object_px)))
    assert hit == 100
    assert false <= 3


def test_what_is_smaller_than_the_smallest_object_does_not_count() -> None:
    scene = Scene(object=crossings(16, 60))
    hit, _ = rates(scene, moving(scene, 60, luma=True, config=Config(object_px=60)))
    assert hit == 0


@pytest.mark.parametrize("hz", [30.0, 5.0])
def test_the_camera_s_rate_changes_nothing(hz: float) -> None:
    """What comes to rest at 5 s ceases to count at the same time, whatever the rate."""

    def place(at_s: float) -> Square | None:
        return None if at_s < 2 else (min(0.2 + 0.1 * (at_s - 2), 0.5), 0.5, 40, 60)

    seen = moving(Scene(object=place), 20, hz=hz)
    last = max(at_s for at_s, one in seen.items() if one)
    assert all(one for at_s, one in seen.items() if 2 <= at_s <= 5)
    assert 7.5 <= last <= 9.5


def test_irregular_times_change_nothing() -> None:
    scene = Scene(drift=15, object=crossings(16, 60))
    gate = Motion(Config())
    steps = np.random.default_rng(4).choice([0.033, 0.2, 0.7], 400)
    seen = {}
    for at_s in np.cumsum(steps):
        gate.take(scene.frame(float(at_s)))
        seen[float(at_s)] = gate.moving
    hit, false = rates(scene, seen)
    assert hit == 100
    assert false <= 3


def dark(at_s: float) -> float:
    return 1.0 if at_s < 20 else 0.3


@pytest.mark.parametrize("scene", [Scene(gain=dark), Scene(night=lambda at_s: at_s >= 20)], ids=["light", "night"])
def test_a_switched_light_and_night_vision_are_no_motion_and_the_gate_sees_on(scene: Scene) -> None:
    """One frame passes when the picture has settled: what it shows now is worth a look."""
    assert not any(moving(scene, 40).values())
    gate = Motion(Config(every_s=1000))
    assert [n / 5 for n in range(200) if gate.take(scene.frame(n / 5))] == [0.0, 21.0]
    walking = Scene(
        gain=scene.gain,
        night=scene.night,
        object=lambda at_s: (0.1 + 0.1 * (at_s - 23), 0.5, 40, 60) if at_s > 23 else None,
    )
    seen = moving(walking, 30)
    assert all(one for at_s, one in seen.items() if at_s > 23.2)


def flag(elsewhere: Callable[[float], Square | None] = lambda at_s: None) -> Scene:
    return Scene(flag=(0.8, 0.2, 60, 70), object=elsewhere)


def test_a_flag_is_learnt_and_what_crosses_elsewhere_still_counts() -> None:
    scene = flag(lambda at_s: (0.1 + 0.1 * (at_s - 110), 0.7, 16, 60) if 110 <= at_s < 114 else None)
    seen = moving(scene, 120, luma=True)
    assert any(one for at_s, one in seen.items() if at_s < 20)
    assert not any(one for at_s, one in seen.items() if 60 <= at_s < 110)
    assert all(one for at_s, one in seen.items() if 110 <= at_s < 114)
    assert any(moving(scene, 120, luma=True, config=Config(learn_s=0))[float(at_s)] for at_s in range(60, 110))


def test_what_was_learnt_counts_again_once_it_was_still() -> None:
    def place(at_s: float) -> Square | None:
        """Flickers for 80 s, is still for 120 s, then somebody walks through."""
        if at_s < 80:
            return (0.8, 0.2, 60, 70) if round(at_s * 5) % 2 else None
        return (0.6 + 0.1 * (at_s - 200), 0.2, 40, 70) if at_s >= 200 else None

    seen = moving(Scene(object=place), 203)
    assert not any(one for at_s, one in seen.items() if 60 <= at_s < 80)
    assert all(one for at_s, one in seen.items() if at_s >= 200.2)


def test_a_masked_area_does_not_count_and_the_rest_does() -> None:
    scene = Scene(object=crossings(40, 60))
    left = Config(mask=(((0, 0), (0.5, 0), (0.5, 1), (0, 1)),))
    gate = Motion(left)
    seen: dict[str, list[bool]] = {"left": [], "right": []}
    for number in range(300):
        gate.take(scene.frame(number / 5))
        place = scene.object(number / 5)
        if place is not None and abs(place[0] - 0.5) > 0.05:
            seen["left" if place[0] < 0.5 else "right"].append(gate.moving)
            assert all(box[2] > 0.5 for box in gate.boxes)
    assert not any(seen["left"])
    assert all(seen["right"])


def stands(at_s: float) -> Square | None:
    return None if at_s < 2 else (min(0.2 + 0.1 * (at_s - 2), 0.5), 0.5, 60, 60)


def box_of(square: Square) -> np.ndarray:
    x, y, side, _ = square
    return np.array([[x - side / 1280, y - side / 960, x + side / 1280, y + side / 960]], np.float32)


def test_who_stands_is_no_background_while_a_model_sees_him() -> None:
    scene = Scene(object=stands)
    gate, forgotten = Motion(Config(every_s=1000)), Motion(Config(every_s=1000))
    passes = []
    for number in range(90 * 5):
        at_s = number / 5
        passed = gate.take(scene.frame(at_s))
        place = stands(at_s)
        if passed and place is not None:
            gate.tracked(box_of(place))
            passes.append(at_s)
        forgotten.take(scene.frame(at_s))
    assert len([at_s for at_s in passes if at_s >= 65]) >= 120
    assert not forgotten.moving


def test_a_warm_gate_passes_at_its_rate_and_is_not_quiet() -> None:
    scene = Scene()
    gate = motion.open_gate(Config(every_s=1000, rate_hz=2.0))
    assert [gate.take(scene.frame(n / 10)) for n in range(30)].count(True) == 1
    assert gate.quiet
    gate.warm = True
    assert [gate.take(scene.frame(3 + n / 10)) for n in range(30)].count(True) == 6
    assert not gate.quiet


def test_frames_pass_for_a_while_after_motion() -> None:
    scene = Scene(object=lambda at_s: (0.5, 0.5, 40, 60) if 3 <= at_s < 3.3 else None)
    gate = Motion(Config(every_s=1000, hold_s=2.0))
    passes, quiet = [], []
    for number in range(100):
        (passes if gate.take(scene.frame(number / 10)) else []).append(number / 10)
        (quiet if gate.quiet else []).append(number / 10)
    assert 4.8 <= max(passes) <= 5.6
    assert [at_s for at_s in quiet if at_s < 3] == [n / 10 for n in range(30)]
    assert min(at_s for at_s in quiet if at_s > 3) >= 5.1


def test_boxes_say_where_it_moves() -> None:
    scene = Scene(object=lambda at_s: (0.25, 0.75, 40, 60) if at_s > 2 else None)
    gate = Motion(Config())
    assert gate.boxes.shape == (0, 4)
    for number in range(12):
        gate.take(scene.frame(number / 5, luma=True))
    (box,) = gate.boxes
    np.testing.assert_allclose(box, box_of((0.25, 0.75, 40, 60))[0], atol=0.02)


def test_a_large_object_is_no_switch_and_does_not_shift_the_rest() -> None:
    scene = Scene(object=lambda at_s: (0.5, 0.5, 300, 90) if at_s > 2 else None)
    gate = Motion(Config())
    for number in range(12):
        gate.take(scene.frame(number / 5))
    assert gate.moving
    (box,) = gate.boxes
    np.testing.assert_allclose(box, box_of((0.5, 0.5, 300, 90))[0], atol=0.03)

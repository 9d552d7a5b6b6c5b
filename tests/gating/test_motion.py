"""The motion gate, by the frames' own times."""

import numpy as np
import pytest

from agent.gating import motion
from agent.records import Frame, SampleWindow

BACKGROUND = np.kron(np.random.default_rng(2).integers(60, 190, (12, 16, 3)), np.ones((20, 20, 1))).astype(np.float32)
NOISE = np.random.default_rng(3).standard_normal(BACKGROUND.size + 100_000, np.float32)


def frame(at_s: float, x: int | None = None, *, sigma: float = 0.0, light: int = 0, seed: int = 0) -> Frame:
    """240 x 320; a dark square of 20 at x; seed: which noise."""
    pixels = BACKGROUND + light
    if x is not None:
        pixels[100:120, x : x + 20] = 10
    if sigma:
        start = seed * 7919 % 100_000
        pixels += NOISE[start : start + BACKGROUND.size].reshape(BACKGROUND.shape) * sigma
    return Frame(at_us=round(at_s * 1e6), bgr=np.clip(pixels, 0, 255).astype(np.uint8))


def passed(frames: list[Frame], **options: float) -> list[float]:
    """Times in s of those that pass."""
    gate = motion.open_gate(motion.Config(**options))
    return [one.at_us / 1e6 for one in frames if gate.take(one)]


def test_the_first_frame_passes_and_a_still_picture_once_every_s() -> None:
    still = [frame(n / 10) for n in range(300)]
    assert passed(still, every_s=10.0) == [0.0, 10.0, 20.0]


@pytest.mark.parametrize("sigma", [0.0, 4.0, 12.0])
def test_what_moves_passes_at_most_at_the_rate(sigma: float) -> None:
    frames = [frame(n / 25, 20 + 2 * n, sigma=sigma, seed=n) for n in range(100)]
    times = passed(frames, rate_hz=5.0)
    assert 17 <= len(times) <= 21
    assert min(np.diff(times)) >= 0.18


@pytest.mark.parametrize("sigma", [2.0, 4.0, 12.0])
def test_noise_alone_does_not_pass(sigma: float) -> None:
    frames = [frame(n / 25, sigma=sigma, seed=n) for n in range(100)]
    assert passed(frames, every_s=1000.0) == [0.0]


def test_slow_light_does_not_pass_a_switched_light_once() -> None:
    drifting = [frame(n / 10, light=round(20 * np.sin(n / 20))) for n in range(200)]
    assert passed(drifting, every_s=1000.0) == [0.0]
    switched = [frame(n / 10, light=0 if n < 50 else -50) for n in range(150)]
    assert passed(switched, every_s=1000.0) == [0.0, 6.0]


def test_what_came_to_rest_ceases_to_count() -> None:
    frames = [frame(n / 10, 100 if n >= 20 else None) for n in range(200)]
    times = passed(frames, every_s=1000.0)
    assert times[:2] == [0.0, 2.0]
    assert max(times) < 8.0


def test_a_movement_between_two_passing_frames_is_not_missed() -> None:
    """It moves only in frames that come too soon after a pass: the next frame that may pass does."""
    frames = [frame(0.0), frame(0.05), frame(0.1, 100), frame(0.25), frame(0.3)]
    assert passed(frames, rate_hz=5.0, every_s=1000.0) == [0.0, 0.25]


def test_the_frame_s_size_may_change() -> None:
    small = Frame(at_us=1_000_000, bgr=np.zeros((48, 64, 3), np.uint8))
    assert passed([frame(0.0), small, frame(2.0)], every_s=1000.0) == [0.0, 1.0, 2.0]


def test_time_that_goes_back_lets_a_frame_pass() -> None:
    assert passed([frame(100.0), frame(1.0)], every_s=1000.0) == [100.0, 1.0]


def test_windows_always_pass() -> None:
    gate = motion.open_gate(motion.Config())
    window = SampleWindow(at_us=1, samples=np.zeros((4, 3), np.float32))
    assert gate.take(window)
    assert gate.take(window)


def test_the_same_frames_give_the_same_answers() -> None:
    frames = [frame(n / 25, 2 * n if n % 40 > 20 else None, sigma=6, seed=n) for n in range(120)]
    assert passed(frames) == passed(frames)


def test_nothing_passes_but_at_its_hours_and_at_any_while_the_time_is_unknown() -> None:
    minute: int | None = None
    gate = motion.Motion(motion.Config(between=("06:00", "20:00"), every_s=1.0))
    gate.minute = lambda _: minute
    passed = []
    for step, now in enumerate([None, 359, 360, 1199, 1200]):
        minute = now
        passed.append(gate.take(Frame(at_us=step * 2_000_000, bgr=np.zeros((48, 64, 3), np.uint8))))
        if now in (359, 1200):
            assert gate.quiet
    assert passed == [True, False, True, True, False]

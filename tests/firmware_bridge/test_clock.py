"""The fit of both clocks, in simulated hours: the delays of a line are random, the fit's error is known."""

import math
import random

import pytest

from firmware_bridge.clock import ClockFit, Unwrap


class Crystal:
    """A device clock `ppm` fast, swinging by `swing_ppm` over ten minutes, and a line with delays that are never short of 60 µs."""

    def __init__(self, seed: int, ppm: float = 50, swing_ppm: float = 3) -> None:
        self.dice = random.Random(seed)
        self.ppm = ppm
        self.swing_ppm = swing_ppm

    def tick(self, host_s: float) -> int:
        swing = self.swing_ppm * 600 / (2 * math.pi) * (1 - math.cos(2 * math.pi * host_s / 600))
        return int(host_s * (1e6 + self.ppm) + swing)

    def delay_s(self) -> float:
        outlier = self.dice.uniform(0, 5e-3) if self.dice.random() < 0.03 else 0.0
        return 60e-6 + self.dice.expovariate(1 / 50e-6) + outlier

    def ask(self, fit: ClockFit, at_s: float) -> None:
        there, back = self.delay_s(), self.delay_s()
        fit.add(int(at_s * 1e9), int((at_s + there + back) * 1e9), self.tick(at_s + there))

    def error_us(self, fit: ClockFit, at_s: float) -> float:
        return fit.host_ns(self.tick(at_s)) / 1e3 - at_s * 1e6


@pytest.mark.parametrize("seed", [1, 2])
def test_error_over_an_hour(seed: int) -> None:
    crystal, fit = Crystal(seed), ClockFit(1_000_000)
    errors_us = []
    for second in range(3600):
        crystal.ask(fit, second + crystal.dice.uniform(0, 1e-3))
        if second >= 30:
            errors_us += [crystal.error_us(fit, second + crystal.dice.random()) for _ in range(2)]
    bias_us = sum(errors_us) / len(errors_us)
    p95_us = sorted(abs(error - bias_us) for error in errors_us)[int(0.95 * len(errors_us))]
    assert abs(bias_us) <= 10
    assert p95_us <= 30
    # What it says of itself holds, and is no empty promise.
    assert p95_us + abs(bias_us) <= fit.error_ns / 1e3 <= 200


@pytest.mark.parametrize("ppm", [-20_000, 0, 500, 20_000])
def test_any_rate_is_found_within_the_window(ppm: float) -> None:
    crystal, fit = Crystal(3, ppm=ppm, swing_ppm=0), ClockFit(1_000_000)
    for second in range(40):
        crystal.ask(fit, second)
    assert fit.tick_ns == pytest.approx(1000 / (1 + ppm * 1e-6), rel=5e-6)
    assert abs(crystal.error_us(fit, 39.5)) < 60


def test_a_rate_that_jumps_is_followed_within_seconds() -> None:
    crystal, fit = Crystal(4, swing_ppm=0), ClockFit(1_000_000)
    for second in range(40):
        crystal.ask(fit, second)
    before_tick, before_s = crystal.tick(40), 40.0
    slow = Crystal(5, swing_ppm=0)
    slow.tick = lambda host_s: before_tick + int((host_s - before_s) * 0.99e6)  # type: ignore[method-assign]
    for second in range(41, 48):
        slow.ask(fit, second)
    assert abs(slow.error_us(fit, 47.5)) < 500


def test_synchronised_after_five_answers() -> None:
    crystal, fit, states = Crystal(6), ClockFit(1_000_000), []
    for second in range(6):
        crystal.ask(fit, second)
        states.append(fit.synchronised)
    assert states == [False] * 4 + [True] * 2


def test_ticks_go_on_over_the_end_of_32_bits_in_both_directions() -> None:
    unwrap = Unwrap()
    unwrap.known((5 << 32) - 1000)
    assert unwrap.full(20) == (5 << 32) + 20
    assert unwrap.full(2**32 - 500) == (5 << 32) - 500  # a frame that began before the newest answer
    assert unwrap.full(2_000_000_000) == (5 << 32) + 2_000_000_000

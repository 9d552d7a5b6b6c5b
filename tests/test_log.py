"""Faults that repeat."""

import logging

import pytest

from agent.log import HOUR_US, Repeated


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_fault_is_said_once_then_hourly_with_how_often_it_came(said: pytest.LogCaptureFixture) -> None:
    repeated = Repeated(logging.getLogger("x"))
    for second in range(3601):
        repeated.fault("camera", "it is gone", second * 1_000_000)
    assert said.messages == ["it is gone", "it is gone times=3600"]


def test_faults_in_turns_are_each_said_once(said: pytest.LogCaptureFixture) -> None:
    repeated = Repeated(logging.getLogger("x"))
    for second in range(0, 100, 2):
        repeated.fault("camera", "it is gone", second)
        repeated.fault("camera", "it is frozen", second + 1)
    repeated.gone("camera", "it is back")
    repeated.gone("camera", "it is back")
    repeated.fault("camera", "it is gone", 200)
    assert said.messages == ["it is gone", "it is frozen", "it is back", "it is gone"]


def test_places_are_told_apart(said: pytest.LogCaptureFixture) -> None:
    repeated = Repeated(logging.getLogger("x"))
    repeated.fault("front", "it is gone", 0)
    repeated.fault("back", "it is gone", 0)
    repeated.gone("front", "front is back")
    repeated.fault("back", "it is gone", 1)
    assert said.messages == ["it is gone", "it is gone", "front is back"]


def test_one_that_only_goes_on_is_not_counted(said: pytest.LogCaptureFixture) -> None:
    repeated = Repeated(logging.getLogger("x"))
    repeated.fault("model", "it is refused", 0)
    repeated.fault("model", "it is refused", 1, again=False)
    repeated.fault("model", "it is refused", 2)
    repeated.fault("model", "it is refused", HOUR_US, again=False)
    assert said.messages == ["it is refused", "it is refused times=1"]


def test_texts_that_never_end_are_forgotten() -> None:
    repeated = Repeated(logging.getLogger("x"))
    for number in range(1000):
        repeated.fault("camera", f"fault {number}", number)
    assert len(repeated._said["camera"]) < 10

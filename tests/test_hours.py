from datetime import UTC, datetime

import numpy as np
import pytest

from agent.clock import Reading
from agent.events.rules import Config, Rules
from agent.hours import Hours, within
from agent.records import Detections, Inference


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def known(zone: str) -> Hours:
    """Boot time is UTC here."""
    hours = Hours(zone)
    hours.note(Reading(at_us=0, utc_offset_us=0, source="ntp", error_ms=1))
    return hours


@pytest.mark.parametrize(
    ("zone", "utc", "minute"),
    [
        ("UTC", "2026-11-25T06:30:59", 390),
        ("Europe/Berlin", "2026-11-25T06:30:00", 450),
        ("Europe/Berlin", "2026-07-25T23:30:00", 90),  # summer time, the next day there
        ("America/New_York", "2026-11-25T02:00:00", 1260),
    ],
)
def test_the_minute_of_the_day_is_that_of_the_place(zone: str, utc: str, minute: int) -> None:
    assert known(zone).minute(at(utc)) == minute


def test_while_the_time_is_not_known_there_is_no_minute() -> None:
    hours = Hours("UTC")
    assert hours.minute(5) is None
    hours.note(Reading(at_us=0, utc_offset_us=0, source="none", error_ms=0))
    assert hours.minute(5) is None


@pytest.mark.parametrize(
    ("between", "inside", "outside"),
    [
        (("08:00", "18:00"), [480, 1079], [479, 1080, 0]),
        (("22:00", "06:00"), [1320, 1439, 0, 359], [360, 1319]),
        (("00:00", "00:00"), [0, 700, 1439], []),
    ],
)
def test_hours_may_pass_midnight(between: tuple[str, str], inside: list[int], outside: list[int]) -> None:
    assert all(within(between, minute) for minute in inside)
    assert not any(within(between, minute) for minute in outside)


def seen(at_us: int) -> Inference:
    found = Detections(labels=("person",), scores=np.ones(1, np.float32))
    return Inference(model="m", at_us=at_us, detections=found, took_ms=1.0)


def test_a_rule_holds_at_its_hours_and_at_any_while_the_time_is_unknown() -> None:
    night = {"night": Config(lane="yard", label="person", between=("22:00", "06:00"), clear_s=60)}
    rules = Rules(night, {}, minute=known("UTC").minute)
    begin_us = at("2026-11-25T20:00:00")
    events = [
        (event.phase, (event.at_us - begin_us) // 60_000_000)
        for minute in range(11 * 60)
        for event in rules.take(seen(begin_us + minute * 60_000_000))
    ]
    assert events == [("start", 120), ("end", 600)]
    assert Rules(night, {}, minute=Hours("UTC").minute).take(seen(begin_us))

"""The report of a period: which numbers belong to it, what became of them, and when it may be called complete."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.device_model import STREAM, T0_US, DeviceModel

from agent.__main__ import main
from agent.messages.times import text_s
from agent.problems import Exit
from agent.subscriber import period
from agent.subscriber.errors import SubscriberError
from agent.subscriber.period import Line, Period
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import View, open_view

DAY_S = 86_400
# Midnight after the model's first second.
MIDNIGHT_S = (T0_US // 1_000_000 // DAY_S + 1) * DAY_S - T0_US // 1_000_000
DAYS = [text_s(T0_US + (MIDNIGHT_S + day * DAY_S) * 1_000_000)[:10] for day in range(-1, 3)]


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    with open_view(tmp_path / "v.sqlite", start=1) as found:
        yield found


def three_days(device: DeviceModel) -> None:
    """Ten windows before midnight, ten a day after it."""
    for day in range(3):
        device.now_s = MIDNIGHT_S + (day - 1) * DAY_S + (DAY_S - 200 if day == 0 else 100)
        for _ in range(10):
            device.result()
            device.next_window()


def take(view: View, device: DeviceModel) -> None:
    view.take(device.out, now_s(device))
    device.out.clear()


def now_s(device: DeviceModel) -> float:
    return T0_US / 1e6 + device.now_s


def report(view: View, day: str, moment_s: float) -> list[Line]:
    return period.lines(view.connection, verdicts(view.connection, moment_s), period.period(day), moment_s)


def test_every_day_has_its_numbers(view: View) -> None:
    device = DeviceModel(random.Random(1))
    three_days(device)
    device.send(most=100)
    device.publish_ledger()
    take(view, device)
    found = [report(view, day, now_s(device)) for day in DAYS]
    assert [(one[0].expected, one[0].received, one[0].verdict) for one in found[:2]] == [
        (11, 11, "complete"),
        (10, 10, "complete"),
    ]
    (third,) = found[2]  # it is not over: complete as of now
    assert (third.stream, third.received, third.verdict) == (STREAM, 10, "complete")
    (none,) = found[3]
    assert (none.stream, none.expected) == ("-", 0)


def test_what_is_not_here_is_told_by_what_became_of_it(view: View) -> None:
    device = DeviceModel(random.Random(1))
    three_days(device)
    numbers = device.epoch.streams[STREAM]
    for seq in (13, 14):  # the second day: lost before they were sent
        del numbers.items[seq]
        numbers.lost[seq] = "retention"
    kept = {seq: numbers.items.pop(seq) for seq in (17,)}
    device.send(most=100)
    numbers.items.update(kept)  # todo
    device.publish_ledger()
    take(view, device)
    first, second = (report(view, day, now_s(device))[0] for day in DAYS[:2])
    assert first.verdict == "complete"
    assert (second.expected, second.received, second.todo, second.lost, second.verdict) == (
        10,
        7,
        1,
        {"retention": 2},
        "incomplete",
    )


def test_a_number_on_the_border_counts_in_both(view: View) -> None:
    device = DeviceModel(random.Random(1))
    three_days(device)
    numbers = device.epoch.streams[STREAM]
    kept = {seq: numbers.items.pop(seq) for seq in (11, 12)}  # the last before midnight, the first after it
    device.send(most=100)
    numbers.items.update(kept)
    device.publish_ledger()
    take(view, device)
    assert [(one[0].expected, one[0].todo) for one in (report(view, day, now_s(device)) for day in DAYS[:3])] == [
        (12, 2),
        (11, 2),
        (10, 0),
    ]


def test_a_device_that_was_not_heard_since_is_unknown(view: View) -> None:
    device = DeviceModel(random.Random(1))
    three_days(device)
    device.send(most=100)
    device.publish_ledger()
    take(view, device)
    later_s = now_s(device) + 3 * DAY_S
    (line,) = report(view, DAYS[2], later_s)
    assert line.verdict == f"unknown since {device.at()}"
    assert not period.complete([line])
    assert report(view, DAYS[1], later_s)[0].verdict == "complete", "of the days before that it has spoken"


@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_no_number_falls_between_two_days(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = random.Random(seed)
    device = DeviceModel(rng)
    three_days(device)
    device.send(drop=0.4, no_puback=0.3, most=100)
    device.retain(0.2)
    device.publish_ledger()
    with open_view(tmp_path_factory.mktemp("period") / "v.sqlite", start=1) as view:
        take(view, device)
        of_days = [report(view, day, now_s(device))[0] for day in DAYS[:3]]
        (whole,) = verdicts(view.connection, now_s(device))
        (stream,) = whole.streams
    assert sum(line.received for line in of_days) == stream.received
    assert sum(line.expected for line in of_days) >= 31
    for line in of_days:
        assert (line.verdict == "complete") == (line.expected == line.received)
    assert all(line.verdict == "complete" for line in of_days) == (whole.state == "complete")


def test_the_command_prints_it_without_a_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = DeviceModel(random.Random(1))
    three_days(device)
    device.send(most=100)
    device.publish_ledger()
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        take(view, device)
    words = ["subscribe", "--store", str(tmp_path / "v.sqlite"), "--report"]
    code = main([*words, DAYS[1]])
    out = capsys.readouterr().out
    assert "complete" in out
    assert code == Exit.DONE
    assert main([*words, DAYS[0][:7], "--csv"]) in (Exit.DONE, Exit.NO)
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert (rows[0]["device"], rows[0]["stream"], rows[0]["lost_retention"]) == (device.d, STREAM, "0")
    assert main([*words, "2001-01-01", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["lines"][0]["expected"] == 0
    assert main([*words, "November"]) == Exit.COMMAND_LINE
    assert "neither a month nor a day" in capsys.readouterr().err


def test_months_and_days() -> None:
    february = period.period("2028-02")
    assert (february.start, february.end) == ("2028-02-01T00:00:00", "2028-03-01T00:00:00")
    assert isinstance(february, Period)
    for text in ("2026-13", "2026", "24.11.2026", ""):
        with pytest.raises(SubscriberError):
            period.period(text)

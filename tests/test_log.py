import logging

import pytest

from agent.log import HOUR_US, Repeated, fact


def test_a_fact_is_one_line_of_keys_and_values() -> None:
    assert (
        fact("connected", broker="127.0.0.1:1883", why="it was free")
        == 'connected broker=127.0.0.1:1883 why="it was free"'
    )


def test_a_repeated_fault_is_said_once_then_hourly_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    faults = Repeated(logging.getLogger("agent.test"))
    with caplog.at_level(logging.INFO, "agent.test"):
        for second in range(10):
            faults.fault("yard", "no such camera", second * 1_000_000)
        faults.fault("yard", "no such camera", HOUR_US + 1)
        faults.fault("yard", "another fault", HOUR_US + 2)
        faults.gone("yard", "well again")
        faults.gone("yard", "well again")
    assert [record.getMessage() for record in caplog.records] == [
        "no such camera",
        "no such camera times=10",
        "another fault",
        "well again",
    ]

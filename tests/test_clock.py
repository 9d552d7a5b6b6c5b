import threading

from peers.manual_clock import ManualClock

from agent.clock import EARLIEST_UTC_US, SystemClock


def test_boot_time_goes_on_and_utc_is_boot_time_plus_the_offset() -> None:
    clock = SystemClock()
    before_us = clock.boot_us()
    reading = clock.reading()
    assert before_us <= reading.at_us <= clock.boot_us()
    assert clock.boot_ns() // 1000 >= reading.at_us
    assert reading.source in ("gnss", "ntp", "rtc", "none")
    assert reading.error_ms >= 1
    assert reading.known is (reading.source != "none")
    assert (reading.at_us + reading.utc_offset_us >= EARLIEST_UTC_US) is reading.known


def test_the_boot_id_stays_the_same() -> None:
    assert SystemClock().boot_id() == SystemClock().boot_id()
    assert len(SystemClock().boot_id()) == 36


def test_waiting_ends_when_the_event_is_set() -> None:
    event = threading.Event()
    assert not SystemClock().wait(event, 0.0)
    event.set()
    assert SystemClock().wait(event, 60.0)


def test_the_manual_clock_advances_instead_of_waiting() -> None:
    clock = ManualClock(boot_us=5)
    assert not clock.wait(threading.Event(), 2.0)
    assert clock.boot_us() == 2_000_005
    before = clock.reading()
    clock.step_utc(-90)
    assert clock.reading().utc_offset_us == before.utc_offset_us - 90_000_000

"""Single checks where a whole command cannot make the state."""

import sys
from pathlib import Path

import pytest
from peers.manual_clock import ManualClock

from agent.clock import Reading
from agent.doctor import machine, software


def test_no_runtime_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)  # as if it were not installed
    check = software.runtime("litert")
    assert check.state == "fail"
    assert check.remedy == "pip install ai-edge-litert"


def test_the_older_runtime_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", types.ModuleType("tflite_runtime.interpreter"))
    check = software.runtime("auto")
    assert check.state == "warn"
    assert "10 to 30 times slower" in check.found
    assert check.remedy == "pip install ai-edge-litert"


class ClockWith(ManualClock):
    """A manual clock of another quality."""

    quality: tuple[str, int] = ("ntp", 10)

    def reading(self) -> Reading:
        source, error_ms = self.quality
        return Reading(at_us=0, utc_offset_us=0, source=source, error_ms=error_ms)


@pytest.mark.parametrize(
    ("quality", "state"),
    [
        (("ntp", 12), "ok"),
        (("gnss", 1), "ok"),
        (("rtc", 16_000), "warn"),
        (("ntp", 5_000), "warn"),
        (("none", 0), "fail"),
    ],
)
def test_the_clock(quality: tuple[str, int], state: str) -> None:
    clock = ClockWith()
    clock.quality = quality
    check = machine.clock(clock)
    assert check.state == state
    assert (check.remedy is None) == (state == "ok")


def test_too_little_space(tmp_path: Path) -> None:
    check = machine.data_folder(tmp_path / "new" / "deep", 1 << 62)
    assert check.state == "fail"
    assert "below store.keep_free" in check.found
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert machine.data_folder(tmp_path / "file", 0).state == "fail"

"""What the machine says of itself, from files like those of a Raspberry Pi; and that a machine without them says nothing."""

from pathlib import Path

from agent.health import readings


def test_a_raspberry_pi(tmp_path: Path) -> None:
    sys, proc = tmp_path / "sys", tmp_path / "proc"
    for zone, text in (
        ("thermal_zone0", "48312\n"),
        ("thermal_zone1", "51000\n"),
        ("thermal_zone2", "-273000\n"),
        ("thermal_zone3", "x"),
    ):
        folder = sys / "class/thermal" / zone
        folder.mkdir(parents=True)
        (folder / "temp").write_text(text)
    firmware = sys / "devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    proc.mkdir()
    (proc / "meminfo").write_text("MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n")
    found = readings.read(tmp_path, sys=sys, proc=proc)
    assert (found.temperature_c, found.throttled, found.memory_free_bytes) == (51.0, 0x50005, 4_096_000)
    assert found.disk_free_bytes is not None
    assert found.disk_free_bytes > 0


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    found = readings.read(tmp_path / "no", sys=tmp_path, proc=tmp_path)
    assert found == readings.Readings(temperature_c=None, throttled=None, memory_free_bytes=None, disk_free_bytes=None)

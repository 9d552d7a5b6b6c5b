"""The portable C library: the same vectors as the Python side, warnings as errors under every compiler here, and the generator's signal."""

import ctypes
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import framing
from firmware_bridge.build import SOURCE

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


def c_encode(library: ctypes.CDLL, raw: bytes) -> bytes:
    given_bytes = (ctypes.c_uint8 * 253).from_buffer_copy(raw.ljust(253, b"\xaa"))
    frame = (ctypes.c_uint8 * 256)()
    return bytes(frame[: library.link_encode(given_bytes, len(raw), frame)])


def c_decode(library: ctypes.CDLL, frame: bytes) -> bytes | None:
    place = (ctypes.c_uint8 * 256).from_buffer_copy(frame.ljust(256, b"\xaa"))
    length = library.link_decode(place, len(frame))
    return bytes(place[:length]) if length else None


def raw_of(vector: dict[str, Any]) -> bytes:
    header = bytes([vector["type"], vector["stream"]]) + vector["sequence"].to_bytes(2, "little")
    return header + vector["tick"].to_bytes(4, "little") + bytes.fromhex(vector["body"])


def test_crc(library: ctypes.CDLL) -> None:
    library.link_crc.restype = ctypes.c_uint16
    assert f"{library.link_crc(b'123456789', 9):04x}" == VECTORS["crc_of_123456789"]


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_golden_vectors(library: ctypes.CDLL, vector: dict[str, Any]) -> None:
    assert c_encode(library, raw_of(vector)).hex() == vector["frame"]
    assert c_decode(library, bytes.fromhex(vector["frame"])[:-1]) == raw_of(vector)


@given(body=st.binary(max_size=243), noise=st.binary(max_size=254))
def test_both_sides_agree_on_good_and_bad_frames(library: ctypes.CDLL, body: bytes, noise: bytes) -> None:
    packet = framing.Packet(type=1, stream=2, sequence=3, tick=4, body=body)
    frame = framing.encode(packet)
    assert c_decode(library, frame[:-1]) == b"\x01\x02\x03\x00\x04\x00\x00\x00" + body
    noise = noise.replace(b"\0", b"\1")
    assert (c_decode(library, noise) is not None) == bool(framing.Receiver().feed(noise + b"\0"))


@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_compiles_clean_without_a_c_library(compiler: str, level: str, tmp_path: Path) -> None:
    command = compiler.split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    flags = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Wshadow",
        "-pedantic",
        "-Werror",
        "-ffreestanding",
        "-nostdlib",
        "-c",
    ]
    for name in ("link.c", "accel.c"):
        target = tmp_path / f"{name}.o"
        subprocess.run([*command, *flags, level, str(SOURCE / name), "-o", str(target)], check=True, timeout=60)
        wanted = subprocess.run(
            ["nm", "-u", str(target)], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        # Not even a 64-bit division of the compiler's own library.
        assert {line.split()[-1] for line in wanted.splitlines()} <= {
            "memcpy", "memset", "memmove", "link_crc", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail",
        }  # fmt: skip


def dump(native: Path, *options: str, samples: int = 60_000) -> "np.ndarray[Any, np.dtype[np.float64]]":
    done = subprocess.run([native, "--samples", str(samples), *options], capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, "<i2").reshape(-1, 3).astype(np.float64)


def test_the_generator_gives_the_same_bytes_everywhere(native: Path) -> None:
    # Of the samples that the vibration model was trained on: another digest means to train it anew.
    options = ["--samples", "4000", "--seed", "7", "--fault-from", "2", "--noise", "0.5", "--gain", "1.25"]
    done = subprocess.run([native, *options], capture_output=True, check=True, timeout=60)
    assert hashlib.sha256(done.stdout).hexdigest() == (
        "903a47443a0d4c422427c96ca670a24720a935471bac15f8d38ed9873f90b32c"
    )


def envelope_peak_hz(signal: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """The strongest frequency above 30 Hz (the shaft is below) in the envelope of the band of the resonances."""
    spectrum = np.fft.rfft(signal - signal.mean())
    hertz = np.fft.rfftfreq(len(signal), 1e-3)
    spectrum[(hertz < 260) | (hertz > 400)] = 0
    full = np.zeros(len(signal), complex)
    full[: len(spectrum)] = 2 * spectrum
    envelope = np.abs(np.fft.ifft(full))
    strength = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope))))
    return float(hertz[np.argmax(np.where(hertz > 30, strength, 0))])


@pytest.mark.parametrize(
    ("speed_hz", "fault", "ratio"), [(25, "outer", 3.58479), (18, "outer", 3.58479), (25, "inner", 5.41521)]
)
def test_a_damaged_race_strikes_at_its_frequency(native: Path, speed_hz: float, fault: str, ratio: float) -> None:
    signal = dump(native, "--speed-hz", str(speed_hz), "--fault", fault, "--fault-from", "0")[:, 2]
    # The impacts slip: 2 %. The inner race's are also told by their side bands, a shaft turn away.
    wanted = [speed_hz * ratio + side * speed_hz for side in ((0,) if fault == "outer" else (-2, -1, 0, 1, 2))]
    assert min(abs(envelope_peak_hz(signal) - hertz) for hertz in wanted) < 0.02 * speed_hz * ratio


def test_the_fault_begins_when_told_and_noise_and_gain_are_what_they_say(native: Path) -> None:
    healthy, faulty = dump(native), dump(native, "--fault-from", "30")
    assert (healthy[:30_000] == faulty[:30_000]).all()
    assert (healthy[30_000:].std(axis=0) * 1.1 < faulty[30_000:].std(axis=0)).all()
    rms = healthy.std(axis=0)
    assert dump(native, "--gain", "2").std(axis=0) == pytest.approx(2 * rms, rel=0.03)
    assert dump(native, "--noise", "1").std(axis=0) == pytest.approx(rms * 2**0.5, rel=0.06)
    assert healthy[:, 2].mean() == pytest.approx(2048, abs=2)
    assert not (dump(native, "--seed", "2")[:100] == healthy[:100]).all()


@pytest.mark.parametrize(
    "options", [["--gain", "x"], ["--speed-hz", "4"], ["--wrong", "1"], ["--fault", "ball"], ["--samples"]]
)
def test_wrong_options_end_with_2(native: Path, options: list[str]) -> None:
    assert subprocess.run([native, *options], capture_output=True, timeout=60).returncode == 2

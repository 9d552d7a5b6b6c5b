"""Signals for the vibration model: the firmware's own C generator, built natively, cut into windows as the agent cuts them.

numpy and the agent's own features only, so that the tests measure with the very same functions. One generator for firmware, training and
tests: a healthy signal of another generator scores as if it were broken.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agent.windows.features import log_bands

FIRMWARE = Path(__file__).parents[2] / "firmware_bridge" / "firmware"
SCALE = np.float32(0.004788403)  # m/s² a step
LENGTH, HOP = 1024, 512  # samples at 1 kHz: windows of 1.024 s, a new one every 0.512 s
SETTLING = 2000  # samples before the first window


def build(folder: Path) -> Path:
    """The firmware as a program of this machine. FileNotFoundError names the tool that is absent."""
    for tool in ("make", "cc"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(f"no {tool} on this machine")
    subprocess.run(["make", "-s", "-C", str(FIRMWARE), "native", f"BUILD={folder}"], check=True, timeout=120)
    return folder / "native"


def windows(native: Path, count: int, *, seed: int, fault: str | None = None, **options: float) -> np.ndarray:
    """`count` windows, (count, 1024, 3) float32 in m/s². options: noise, gain, severity, speed_hz of the generator."""
    needed = SETTLING + LENGTH + (count - 1) * HOP
    command = [str(native), "--samples", str(needed), "--seed", str(seed)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", f"{value:g}"]
    if fault is not None:
        command += ["--fault", fault, "--fault-from", "0"]
    data = subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE).stdout
    samples = np.frombuffer(data, "<i2").reshape(-1, 3)[SETTLING:] * SCALE
    return np.lib.stride_tricks.sliding_window_view(samples, LENGTH, axis=0)[::HOP].transpose(0, 2, 1)


def features(cut: np.ndarray) -> np.ndarray:
    """(count, 1024, 3) → (count, 3, 64) float32, as a lane with `features = "log-bands"` computes them."""
    return np.stack([log_bands(window) for window in cut])


def scores(run: Callable[[np.ndarray], np.ndarray], normalised: np.ndarray) -> np.ndarray:
    """Anomaly score of each window: mean over bands of (reconstruction - normalised)², the greatest of the axes.

    normalised: (count, 3, 64); run: (64,) normalised → (64,) reconstruction.
    """
    rebuilt = np.stack([[run(axis) for axis in window] for window in normalised])
    return ((rebuilt - normalised) ** 2).mean(2).max(1)


def rms(cut: np.ndarray) -> np.ndarray:
    """The plainest baseline: RMS of the window without its mean, the greatest of the axes."""
    return cut.std(1).max(1)


def area_under_curve(healthy: np.ndarray, faulty: np.ndarray) -> float:
    """How often a faulty window scores above a healthy one (ROC AUC; equal ones count half)."""
    ordered = np.sort(healthy)
    below = np.searchsorted(ordered, faulty, "left") + np.searchsorted(ordered, faulty, "right")
    return float(below.mean() / 2 / len(healthy))

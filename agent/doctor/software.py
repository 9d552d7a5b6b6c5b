"""What is installed: the TFLite runtime, NumPy, OpenCV."""

import importlib
from importlib.metadata import PackageNotFoundError, version

from agent.doctor import Check

_OPENCV = (4, 8)
_SLOW = "it runs quantised models 10 to 30 times slower than ai-edge-litert (measured on x86-64)"


def runtime(wanted: str) -> Check:
    """wanted: `device.runtime`: auto, litert or tflite-runtime."""
    litert, old = (
        _imported("ai_edge_litert.interpreter", "ai-edge-litert"),
        _imported("tflite_runtime.interpreter", "tflite-runtime"),
    )
    facts = {"litert": litert[0], "tflite-runtime": old[0]}
    if wanted != "tflite-runtime" and litert[0] is not None:
        beside = f" (tflite-runtime {old[0]} is there, too, and not used)" if old[0] else ""
        return Check(name="runtime", state="ok", found=f"litert {litert[0]}{beside}", facts=facts)
    if wanted != "litert" and old[0] is not None:
        remedy = 'Take `runtime = "tflite-runtime"` out of [device]' if litert[0] else "pip install ai-edge-litert"
        return Check(
            name="runtime", state="warn", found=f"tflite-runtime {old[0]}: {_SLOW}", remedy=remedy, facts=facts
        )
    package = "tflite-runtime" if wanted == "tflite-runtime" else "ai-edge-litert"
    why = (old if wanted == "tflite-runtime" else litert)[1]
    return Check(
        name="runtime",
        state="fail",
        found=f"{package} cannot be loaded: {why}",
        remedy=f"pip install {package}",
        facts=facts,
    )


def numpy() -> Check:
    return _library("numpy", "numpy", (1, 26))


def opencv() -> Check:
    return _library("opencv", "cv2", _OPENCV)


def _library(name: str, module: str, least: tuple[int, int]) -> Check:
    try:
        found = str(importlib.import_module(module).__version__)
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        remedy = f"pip install --force-reinstall {'opencv-python-headless' if name == 'opencv' else name}"
        return Check(name=name, state="fail", found=f"cannot be loaded: {_line(error)}", remedy=remedy)
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < least:
        wanted = ".".join(map(str, least))
        return Check(
            name=name,
            state="warn",
            found=f"{found}, {wanted} or newer is tested",
            remedy=f"pip install --upgrade '{name}>={wanted}'",
        )
    return Check(name=name, state="ok", found=found)


def _imported(module: str, distribution: str) -> tuple[str | None, str]:
    """(its version or None, why it is not there)"""
    try:
        importlib.import_module(module)
        return version(distribution), ""
    except PackageNotFoundError:
        return "of unknown version", ""
    except Exception as error:  # noqa: BLE001 - an ImportError, or a wheel for another NumPy
        return None, _line(error)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

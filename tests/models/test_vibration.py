"""The vibration model on the firmware's own generator, built natively here."""

from pathlib import Path

import numpy as np
import pytest

from agent.inference import metadata
from models.training import signals

MODEL = Path(__file__).parents[2] / "models" / "vibration-int8.tflite"


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return signals.build(tmp_path_factory.mktemp("firmware"))
    except FileNotFoundError as error:
        pytest.skip(f"{error} (apt-get install --no-install-recommends make gcc libc6-dev)")


class Model:
    """Scores windows as the anomaly decoder does: see the card."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        content = MODEL.read_bytes()
        read = metadata.read(content)
        (normalisation,) = read.normalisation
        assert normalisation is not None
        assert read.score is not None
        self.limit = read.score
        self._mean, self._std = np.array(normalisation.mean, np.float32), np.array(normalisation.std, np.float32)
        self._interpreter = Interpreter(model_content=content)
        self._interpreter.allocate_tensors()
        self._into, self._out = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]

    def scores(self, cut: np.ndarray) -> np.ndarray:
        return signals.scores(self._rebuild, (signals.features(cut) - self._mean) / self._std)

    def _rebuild(self, row: np.ndarray) -> np.ndarray:
        (scale_in, zero_in), (scale_out, zero_out) = self._into["quantization"], self._out["quantization"]
        values = np.clip(np.rint(row / scale_in + zero_in), -128, 127).astype(np.int8)
        self._interpreter.set_tensor(self._into["index"], values[None])
        self._interpreter.invoke()
        return (self._interpreter.get_tensor(self._out["index"])[0].astype(np.float32) - zero_out) * scale_out


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.mark.parametrize(("noise", "least"), [(0, 0.99), (1, 0.9)])
@pytest.mark.parametrize("fault", ["outer", "inner"])
def test_a_damaged_bearing_is_told_from_a_healthy_one(
    native: Path, model: Model, noise: float, least: float, fault: str
) -> None:
    healthy = model.scores(signals.windows(native, 150, seed=501, noise=noise))
    faulty = model.scores(signals.windows(native, 150, seed=502, noise=noise, fault=fault))
    assert signals.area_under_curve(healthy, faulty) >= least


def test_the_default_score_parts_them(native: Path, model: Model) -> None:
    healthy = model.scores(signals.windows(native, 200, seed=503))
    faulty = model.scores(signals.windows(native, 200, seed=504, fault="outer"))
    assert (healthy >= model.limit).mean() <= 0.05
    assert (faulty >= model.limit).mean() >= 0.95


def test_another_machine_alarms_though_it_is_healthy(native: Path, model: Model) -> None:
    """The card says so; when this ends, the card has to change."""
    other = model.scores(signals.windows(native, 100, seed=505, speed_hz=30))
    assert (other >= model.limit).mean() >= 0.95


def test_area_under_curve() -> None:
    assert signals.area_under_curve(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert signals.area_under_curve(np.array([1.0, 3.0]), np.array([2.0, 2.0])) == 0.5
    assert signals.area_under_curve(np.array([1.0]), np.array([1.0])) == 0.5

"""Trains models/vibration-int8.tflite: an autoencoder that knows the healthy machine of the firmware's generator. See README.md beside this file.

64 log-bands → 32 → 8 → 32 → 64. What it cannot rebuild is not healthy. Prints the measurements that stand in the card.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import metadata
import numpy as np
import signals
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

SEED = 21
NOISES = (0, 1, 4)
SEVERITIES = (0.25, 0.5, 1.0)


def network() -> tf.keras.Model:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [layers.Input((64,)), layers.Dense(32, "relu"), layers.Dense(8), layers.Dense(32, "relu"), layers.Dense(64)]
    )


def quantised(model: tf.keras.Model, sample: np.ndarray) -> bytes:
    """int8 in and out; the scales come from the healthy sample."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in sample)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def runner(model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """(64,) normalised → (64,) reconstruction, through the int8 model."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    (scale_in, zero_in), (scale_out, zero_out) = into["quantization"], out["quantization"]

    def run(row: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(
            into["index"], np.clip(np.rint(row / scale_in + zero_in), -128, 127).astype(np.int8)[None]
        )
        interpreter.invoke()
        return (interpreter.get_tensor(out["index"])[0].astype(np.float32) - zero_out) * scale_out

    return run


def healthy_windows(native: Path, runs: int, seed: int) -> np.ndarray:
    """Healthy machines that differ a little: speed ± 2 %, gain ± 5 %; every other one in noise, up to 1.2 times its own RMS."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(runs):
        options = {
            "speed_hz": rng.uniform(24.5, 25.5),
            "gain": rng.uniform(0.95, 1.05),
            "noise": rng.uniform(0, 1.2) if index % 2 else rng.uniform(0, 0.1),
        }
        parts.append(signals.windows(native, 100, seed=1000 * seed + index, **options))
    return np.concatenate(parts)


class Measures:
    """The model's score of windows beside the plain ones. fitted: normalised healthy rows, (n, 64), for the Mahalanobis distance."""

    def __init__(
        self, run: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, std: np.ndarray, fitted: np.ndarray
    ) -> None:
        self._run, self._mean, self._std = run, mean, std
        self._center = fitted.mean(0)
        self._inverse = np.linalg.inv(np.cov(fitted.T) + 1e-3 * np.eye(64))

    def scores(self, cut: np.ndarray) -> np.ndarray:
        return signals.scores(self._run, (signals.features(cut) - self._mean) / self._std)

    def all(self, cut: np.ndarray) -> dict[str, np.ndarray]:
        """Each (windows,): the greatest of the axes."""
        rows = (signals.features(cut) - self._mean) / self._std
        away = rows - self._center
        return {
            "autoencoder int8": signals.scores(self._run, rows),
            "RMS": signals.rms(cut),
            "mean z²": (rows**2).mean(2).max(1),
            "Mahalanobis": np.einsum("nai,ij,naj->na", away, self._inverse, away).max(1),
        }


def print_measurements(native: Path, measures: Measures, limit: float) -> None:
    """The card's table: AUC of each measure, and how many windows the model finds above its limit."""
    for severity in SEVERITIES:
        for noise in NOISES:
            options = {"noise": noise, "severity": severity}
            healthy = measures.all(signals.windows(native, 400, seed=90, noise=noise))
            faulty = measures.all(
                np.concatenate(
                    [
                        signals.windows(native, 200, seed=91, fault="outer", **options),
                        signals.windows(native, 200, seed=92, fault="inner", **options),
                    ]
                )
            )
            areas = [f"{name} {signals.area_under_curve(healthy[name], faulty[name]):.3f}" for name in healthy]
            pair = [group["autoencoder int8"] for group in (healthy, faulty)]
            medians = ", ".join(f"{np.median(score):.2f}" for score in pair)
            above = ", ".join(f"{100 * (score >= limit).mean():.1f} %" for score in pair)
            print(
                f"severity {severity:g} noise {noise}x: {'; '.join(areas)}; medians {medians}; above the limit {above}"
            )
    for name, options in {"gain 2": {"gain": 2}, "30 Hz": {"speed_hz": 30}, "noise 0.3x": {"noise": 0.3}}.items():
        other = measures.scores(signals.windows(native, 200, seed=77, **options))
        print(
            f"healthy at {name}: median {np.median(other):.2f}, above the limit {100 * (other >= limit).mean():.1f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "vibration-int8.tflite")
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    with tempfile.TemporaryDirectory() as folder:
        native = signals.build(Path(folder))
        trained = signals.features(healthy_windows(native, 30, SEED)).reshape(-1, 64)
        mean, std = trained.mean(0), trained.std(0)
        rows = (trained - mean) / std
        model = network()
        model.compile(tf.keras.optimizers.Adam(2e-3), "mse")
        history = model.fit(rows, rows, batch_size=64, epochs=arguments.epochs, verbose=0)
        print(f"{len(rows)} rows, loss {history.history['loss'][-1]:.4f}")
        content = quantised(model, rows[::10])
        run = runner(content)
        measures = Measures(run, mean, std, rows)
        healthy = measures.scores(healthy_windows(native, 10, SEED + 1))
        limit = round(float(np.quantile(healthy, 0.99)), 2)
        print(f"healthy, unseen: median {np.median(healthy):.3f}, 99 % {limit}, greatest {healthy.max():.3f}")
        content = metadata.with_metadata(
            content,
            name="vibration",
            description="Rebuilds 64 log-bands of a healthy machine's vibration; the error is the anomaly score.",
            input_name="log_bands",
            output_name="log_bands",
            mean=[float(value) for value in mean],
            std=[float(value) for value in std],
            labels=(),
            extra={"decoder": "anomaly", "features": "log-bands", "score": limit, "length_s": 1.024, "hop_s": 0.512},
        )
        arguments.output.write_bytes(content)
        print(f"{arguments.output}: {len(content)} bytes")
        print_measurements(native, measures, limit)


if __name__ == "__main__":
    main()

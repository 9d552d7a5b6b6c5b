"""Trains models/view-int8.tflite: is this frame by day, at night, covered or blurred? See README.md beside this file.

Trained on pictures that the scikit-image and scikit-learn wheels ship and on drawn scenes; never on the held-out pictures.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import frames
import metadata
import numpy as np
import skimage
import sklearn.datasets
import tensorflow as tf

SEED = 20
SKIMAGE = (  # noqa: SIM905 - one a word
    "astronaut.png brick.png camera.png cell.png chelsea.png coffee.png coins.png color.png grass.png gravel.png ihc.png logo.png "
    "page.png retina.jpg rocket.jpg text.png"
).split()
SKLEARN = ("china.jpg", "flower.jpg")


def training_pictures() -> list[frames.Picture]:
    """The photographs of the two wheels; no network: `skimage.data` would fetch others."""
    skimage_folder = Path(skimage.__file__).parent / "data"
    sklearn_folder = Path(sklearn.datasets.__file__).parent / "images"
    paths = [skimage_folder / name for name in SKIMAGE] + [sklearn_folder / name for name in SKLEARN]
    return [frames.read(path) for path in paths]


def make_set(pictures: list[frames.Picture], count: int, drawn: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` frames, (count, 96, 96, 3) uint8, and their class indices; a share of `drawn` from scenes nobody photographed."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((count, frames.SIDE, frames.SIDE, 3), np.uint8)
    classes = np.arange(count) % len(frames.LABELS)
    for index in range(count):
        photographed = rng.random() >= drawn
        scene = frames.crop(pictures[int(rng.integers(len(pictures)))], rng) if photographed else frames.drawn(rng)
        pixels[index] = frames.frame(scene, frames.LABELS[classes[index]], rng)
    return pixels, classes


def network() -> tf.keras.Model:
    layers = tf.keras.layers
    pixels = layers.Input((frames.SIDE, frames.SIDE, 3))
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(pixels)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for width, stride in ((24, 2), (32, 1), (48, 2), (64, 2), (80, 2)):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Conv2D(width, 1, use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Dropout(0.15)(layers.GlobalAveragePooling2D()(x))
    return tf.keras.Model(pixels, layers.Dense(len(frames.LABELS), activation="softmax")(x))


def quantised(model: tf.keras.Model, sample: np.ndarray) -> bytes:
    """uint8 in and out: the input's range 0..1 becomes scale 1/255, zero point 0, so that raw pixels go in as they are."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ends = np.stack([np.zeros_like(sample[0]), np.full_like(sample[0], 255)])
    converter.representative_dataset = lambda: (
        [(pixels[None] / 255).astype(np.float32)] for pixels in np.concatenate([ends, sample])
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def accuracy(model: bytes, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Confusion matrix, rows: true class."""
    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    put, get = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    matrix = np.zeros((len(frames.LABELS),) * 2, int)
    for frame, true in zip(pixels, classes, strict=True):
        interpreter.set_tensor(put, frame[None])
        interpreter.invoke()
        matrix[true, int(interpreter.get_tensor(get)[0].argmax())] += 1
    return matrix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "view-int8.tflite")
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="pictures never trained on, to measure with"
    )
    parser.add_argument("--frames", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=14)
    arguments = parser.parse_args()
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    pixels, classes = make_set(training_pictures(), arguments.frames, 0.4, SEED)
    model = network()
    steps = arguments.epochs * (len(pixels) // 64)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pixels.astype(np.float32) / 255, classes, batch_size=64, epochs=arguments.epochs, verbose=2)
    content = metadata.with_metadata(
        quantised(model, pixels[:300]),
        name="view",
        description="Is a frame by day, at night, covered or blurred? uint8 96x96 RGB, raw pixels.",
        input_name="frame",
        output_name="view",
        mean=(0.0,),
        std=(255.0,),
        labels=frames.LABELS,
        extra={"decoder": "classification"},
    )
    arguments.output.write_bytes(content)
    print(f"{arguments.output}: {len(content)} bytes")
    if arguments.held_out:
        held_out = [frames.read(path) for path in sorted(arguments.held_out)]
        matrix = accuracy(content, *make_set(held_out, 1200, 0.0, SEED + 1))
        print(matrix, f"held-out accuracy {matrix.trace() / matrix.sum():.4f}")


if __name__ == "__main__":
    main()

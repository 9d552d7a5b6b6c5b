"""Reconstruction error → an anomaly, or nothing."""

from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import one_op

from agent.decoding import Options, Shape, Sure, anomaly
from agent.inference.model import Config
from agent.pipeline.models import open_model
from agent.problems import Problem
from agent.records import Frame
from agent.values import RelativePath


def shape(count: int) -> tuple[Shape, ...]:
    return (Shape(name="x", shape=(1, count), dtype="int8", scale=0.1, zero_point=0),)


def test_the_greatest_axis_decides() -> None:
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0), "m")
    given = np.zeros((3, 4), np.float32)
    rebuilt = np.array([[0, 0, 0, 0], [2, 0, 0, 1], [1, 0, 0, 0]], np.float32)  # mean squares 0, 1.25, 0.25
    found = decoder.decode_rows(given, rebuilt)
    assert found.labels == ("anomaly",)
    assert found.values.tolist() == [1.25]
    assert found.scores.tolist() == [pytest.approx(1.25 / 2.25)]


def test_below_the_threshold_nothing_is_found() -> None:
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0), "m")
    given = np.zeros((1, 4), np.float32)
    assert len(decoder.decode_rows(given, np.full((1, 4), 0.99, np.float32))) == 0
    at = decoder.decode_rows(given, np.ones((1, 4), np.float32))
    assert at.scores.tolist() == [0.5]


def test_who_asks_for_every_score_needs_no_threshold() -> None:
    given = np.zeros((1, 4), np.float32)
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(every=True), "m")
    found = decoder.decode_rows(given, np.full((1, 4), 0.5, np.float32))
    assert (found.labels, found.values.tolist(), found.scores.tolist()) == (("anomaly",), [0.25], [0])
    below = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0, every=True), "m")
    assert below.decode_rows(given, np.full((1, 4), 0.5, np.float32)).scores.tolist() == [pytest.approx(0.2)]
    with pytest.raises(Problem, match="from which score on"):
        anomaly.open_decoder(shape(4), shape(4), Options(score=0.0, every=True), "m")


def test_what_it_cannot_read() -> None:
    with pytest.raises(Problem, match="4 numbers in and 3 out"):
        anomaly.open_decoder(shape(4), shape(3), Options(score=1.0), "m")
    with pytest.raises(Problem, match="from which score"):
        anomaly.open_decoder(shape(4), shape(4), Options(), "m")
    assert anomaly.claims(shape(4), shape(4), Options()) is not None
    assert anomaly.claims(shape(4), shape(3), Options()) is None


def picture(height: int, width: int, channels: int) -> tuple[Shape, ...]:
    return (Shape(name="x", shape=(1, height, width, channels), dtype="float32", scale=0.0, zero_point=0),)


def test_a_rebuilt_picture_is_one_row() -> None:
    given = picture(4, 5, 3)
    decoder = anomaly.open_decoder(given, given, Options(score=0.1), "m")
    rebuilt = np.zeros((1, 60), np.float32)
    rebuilt[0, :6] = 2  # a patch
    found = decoder.decode_rows(np.zeros((1, 60), np.float32), rebuilt)
    assert found.values is not None
    assert found.values.tolist() == [pytest.approx(6 * 4 / 60)]


def test_pictures_are_claimed_but_never_surely() -> None:
    claim = anomaly.claims(picture(32, 32, 3), picture(32, 32, 3), Options())
    assert claim is not None
    assert claim.sure == Sure.POSSIBLE
    assert anomaly.claims(picture(32, 32, 3), picture(32, 32, 3), Options(labels=("pet", "ground", "edge"))) is None
    assert anomaly.claims(picture(32, 32, 3), picture(64, 64, 3), Options()) is None
    assert anomaly.claims(picture(32, 32, 3), picture(32, 32, 3), Options(task="segment")) is None


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_are_no_anomaly() -> None:
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0), "m")
    assert len(decoder.decode_rows(np.zeros((1, 4), np.float32), np.full((1, 4), np.nan, np.float32))) == 0


def test_a_picture_that_a_model_cannot_rebuild(tmp_path: Path) -> None:
    """relu(x) of pixels as -1..1: it gives bright ones back, and none below grey."""
    (tmp_path / "relu.tflite").write_bytes(one_op("RELU", (1, 24, 32, 3)))
    config = Config(path=RelativePath(tmp_path / "relu.tflite"), decoder="anomaly", score=0.3, mean=127.5, std=127.5)
    with open_model("view", config, where="lane.yard.model.view", kind="frame") as runner:
        assert len(runner.look(Frame(at_us=0, bgr=np.full((48, 64, 3), 255, np.uint8)))) == 0
        dark = np.full((48, 64, 3), 255, np.uint8)
        dark[:24] = 0
        found = runner.look(Frame(at_us=0, bgr=dark))
    assert found.labels == ("anomaly",)
    assert found.values is not None
    assert found.values[0] == pytest.approx(0.5, abs=0.05)

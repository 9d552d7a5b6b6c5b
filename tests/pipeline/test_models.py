"""A model table → a runner, on real models and pictures; what does not fit is one Problem."""

import hashlib
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
from peers.tiny_models import graph, model, one_op, operator, recurrent, tensor

from agent.catalogue.entries import entries
from agent.catalogue.fetch import cached
from agent.inference.model import Config
from agent.pipeline.models import file_digest, open_model
from agent.problems import Exit, Problem
from agent.records import Frame, SampleWindow
from agent.values import RelativePath

PROJECT = Path(__file__).parents[2]
WHERE = "lane.yard.model.view"


def frame(path: Path) -> Frame:
    return Frame(at_us=0, bgr=cv2.imread(str(path)))


def opened(path: Path, kind: str = "frame", **options: object):
    return open_model("view", Config(path=RelativePath(path), **options), where=WHERE, kind=kind)  # type: ignore[arg-type]


def problem_of(path: Path, kind: str = "frame", **options: object) -> Problem:
    with pytest.raises(Problem) as caught, opened(path, kind, **options):
        pass
    assert caught.value.code == Exit.MODEL
    assert caught.value.where.startswith(WHERE)
    assert caught.value.remedy
    return caught.value


def catalogue_path(name: str) -> Path:
    path = cached(entries()[name])
    if path is None:
        pytest.skip(f"not in the cache: edge-agent models fetch {name}")
    return path


@pytest.mark.parametrize(
    ("model", "picture", "label"),
    [
        ("mobilenet_v1_0.25_128_quant", "bird.bmp", "chickadee"),
        ("mobilenet_v1_0.25_128_quant", "cat.bmp", "Egyptian cat"),
        ("mobilenet_v1_0.25_128_quant", "parrot.jpg", "macaw"),
        ("mobilenet_v2_1.0_224_quant", "bird.bmp", "chickadee"),
        ("mobilenet_v2_1.0_224_quant", "cat.bmp", "Egyptian cat"),
        ("mobilenet_v2_1.0_224_quant", "parrot.jpg", "macaw"),
        ("mobilenet_v2_1.0_224_quant", "grace_hopper.bmp", "military uniform"),
        ("mobilenet_v2_1.0_224_inat_bird_quant", "bird.bmp", "Poecile atricapillus (Black-capped Chickadee)"),
    ],
)
def test_real_classifiers_name_real_pictures(testdata: Path, model: str, picture: str, label: str) -> None:
    path = testdata / "models" / f"{model}.tflite"
    with opened(path) as runner:
        found = runner.look(frame(testdata / "images" / picture))
        assert found.labels == (label,)
        assert runner.decoder == "classification"
        assert len(runner.labels) in (965, 1001)
        assert runner.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_frames_give_the_same_results_in_another_session(testdata: Path) -> None:
    path = testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    pictures = [frame(testdata / "images" / name) for name in ("bird.bmp", "cat.bmp", "parrot.jpg")]
    runs = []
    for _ in range(2):
        with opened(path, top=5) as runner:
            runs.append([(found.labels, found.scores.tobytes()) for found in map(runner.look, pictures)])
    assert runs[0] == runs[1]


def test_blazeface_finds_real_faces_and_no_cat(testdata: Path) -> None:
    with opened(catalogue_path("blazeface")) as runner:
        assert runner.decoder == "blazeface"
        two = runner.look(frame(testdata / "images" / "face.jpg"))
        one = runner.look(frame(testdata / "images" / "grace_hopper.bmp"))
        none = runner.look(frame(testdata / "images" / "cat.bmp"))
    assert two.labels == ("face", "face")
    width, height = 512, 355
    assert two.boxes is not None
    np.testing.assert_allclose(two.boxes[0] * [width, height, width, height], [254, 68, 356, 170], atol=3)
    assert one.labels == ("face",)
    assert none.labels == ()


def test_blazepose_finds_the_person_by_the_face(testdata: Path) -> None:
    with opened(catalogue_path("blazepose")) as runner:
        person = runner.look(frame(testdata / "images" / "squat.bmp"))
        assert runner.look(frame(testdata / "images" / "cat.bmp")).labels == ()
        assert runner.look(frame(testdata / "images" / "bird.bmp")).labels == ()
    assert person.labels == ("person",)
    assert person.scores[0] > 0.9
    assert person.keypoints is not None
    hip, face = person.keypoints[0, 0, :2] * [500, 610], person.keypoints[0, 4:6, :2] * [500, 610]
    np.testing.assert_allclose(hip, [174, 389], atol=8)
    np.testing.assert_allclose(face, [[194, 168], [315, 290]], atol=12)


def test_a_catalogue_model_by_name() -> None:
    catalogue_path("blazeface")
    config = Config(catalogue="blazeface")
    with open_model("faces", config, where=WHERE, kind="frame") as runner:
        assert (runner.name, runner.licence, runner.labels) == ("faces", "Apache-2.0", ("face",))
        assert file_digest(config) == runner.digest


def test_a_catalogue_model_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, said in (("blazeface", "models fetch blazeface"), ("blaze-face", "")):
        with pytest.raises(Problem) as caught, open_model("f", Config(catalogue=name), where=WHERE, kind="frame"):
            pass
        assert said in caught.value.remedy
        assert (caught.value.where, caught.value.code) == (f"{WHERE}.catalogue", Exit.MODEL)
    assert file_digest(Config(catalogue="blazeface")) is None


def window(features: np.ndarray) -> SampleWindow:
    return SampleWindow(at_us=0, samples=np.zeros((8, len(features)), np.float32), features=features)


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    """relu(x): it cannot rebuild what lies below 0. int8 with steps of 0.05; metadata: mean 1, std 2 a band."""
    spec = importlib.util.spec_from_file_location("m", PROJECT / "models" / "training" / "metadata.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    model = writer.with_metadata(
        one_op("RELU", (1, 4), dtype="int8", scale=0.05, zero_point=0),
        name="relu",
        description="",
        input_name="given",
        output_name="result",
        mean=[1.0] * 4,
        std=[2.0] * 4,
        labels=["anomaly"],
        extra={"decoder": "anomaly", "score": 0.5},
    )
    (tmp_path / "relu.tflite").write_bytes(model)
    return tmp_path / "relu.tflite"


def test_an_anomaly_model_runs_once_an_axis(autoencoder: Path) -> None:
    with opened(autoencoder, "window") as runner:
        assert runner.decoder == "anomaly"
        healthy = runner.look(window(np.full((3, 4), 3.0, np.float32)))  # normalised 1: rebuilt
        # Axis 1, band 2: (-3 - 1) / 2 = -2, rebuilt 0: 4 / 4 bands.
        worn = np.full((3, 4), 3.0, np.float32)
        worn[1, 2] = -3.0
        found = runner.look(window(worn))
    assert len(healthy) == 0
    assert found.labels == ("anomaly",)
    assert found.values is not None
    assert found.values[0] == pytest.approx(1.0, abs=0.01)


def test_the_config_s_score_wins(autoencoder: Path) -> None:
    worn = np.array([[3, 3, 3, -3]], np.float32)
    with opened(autoencoder, "window", score=1.5) as runner:
        assert len(runner.look(window(worn))) == 0


def test_our_vibration_model_knows_noise_from_its_machine() -> None:
    with opened(PROJECT / "models" / "vibration-int8.tflite", "window") as runner:
        assert runner.decoder == "anomaly"
        noise = runner.look(window(np.random.default_rng(1).normal(20, 5, (3, 64)).astype(np.float32)))
    assert noise.labels == ("anomaly",)


def test_a_window_of_another_size_names_both(autoencoder: Path) -> None:
    with opened(autoencoder, "window") as runner, pytest.raises(Problem) as caught:
        runner.look(window(np.zeros((3, 64), np.float32)))
    assert "1×4 int8 (4 numbers)" in caught.value.what
    assert "3×64 (192 numbers)" in caught.value.what
    assert caught.value.code == Exit.MODEL


def test_a_model_on_the_wrong_kind_of_lane(testdata: Path, autoencoder: Path) -> None:
    on_sensor = problem_of(testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite", "window")
    assert "1×128×128×3 uint8" in on_sensor.what
    on_camera = problem_of(autoencoder)
    assert "1×4 int8" in on_camera.what
    with opened(autoencoder, "window") as runner, pytest.raises(Problem, match="a Frame came"):
        runner.look(Frame(at_us=0, bgr=np.zeros((4, 4, 3), np.uint8)))


def test_files_that_are_no_model(testdata: Path, tmp_path: Path) -> None:
    whole = (testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    for name, content in (("cut", whole[:1000]), ("text", b"not a model" * 100), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        assert "\n" not in problem_of(tmp_path / name).what
    assert "No such file" in problem_of(tmp_path / "none.tflite").what


def test_a_wrong_digest_and_wrong_labels(testdata: Path, tmp_path: Path) -> None:
    path = testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    wrong = problem_of(path, sha256="0" * 64)
    assert "0" * 64 in wrong.what
    assert hashlib.sha256(path.read_bytes()).hexdigest() in wrong.what
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    labels = problem_of(path, labels=RelativePath(tmp_path / "labels.txt"))
    assert "2 labels for 1001 classes" in labels.what
    assert "there is no decoder" in problem_of(path, decoder="clasification").what


def test_a_model_that_no_decoder_knows_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "five.tflite"
    tensors = [tensor(name, (1, 3, 5, 7, 2)) for name in ("given", "one", "other")]
    relus = [operator("RELU", [0], [1]), operator("RELU", [0], [2])]
    path.write_bytes(model([graph(tensors, relus, inputs=[0], outputs=[1, 2])]))
    found = problem_of(path, kind="window")
    assert "1×3×5×7×2" in found.what
    assert f"{WHERE}.decoder" in found.remedy


def test_a_recurrent_model_remembers_until_it_is_reset(tmp_path: Path) -> None:
    path = tmp_path / "recurrent.tflite"
    path.write_bytes(recurrent())
    rng = np.random.default_rng(3)
    seen = [Frame(at_us=at, bgr=rng.integers(0, 256, (8, 8, 3), np.uint8)) for at in range(3)]
    with opened(path, decoder="raw") as runner:
        assert len(runner.session.inputs) == 1

        def answers() -> list[list[float]]:
            found = [runner.look(one).vectors for one in seen]
            return [vector.reshape(-1).tolist() for vector in found if vector is not None]

        first = answers()
        assert len(first) == 3
        again = answers()
        assert again != first
        runner.reset()
        assert answers() == first


def test_an_input_beside_the_picture_gets_what_the_config_says(tmp_path: Path) -> None:
    path = tmp_path / "two.tflite"
    tensors = [tensor("image", (1, 8, 8, 3)), tensor("rate", (1, 8, 8, 3)), tensor("sum", (1, 8, 8, 3))]
    path.write_bytes(model([graph(tensors, [operator("ADD", [0, 1], [2])], inputs=[0, 1], outputs=[2])]))
    frame = Frame(at_us=1, bgr=np.zeros((8, 8, 3), np.uint8))
    with opened(path, decoder="raw", inputs={"rate": 0.0}) as runner:
        zero = runner.look(frame).vectors
    with opened(path, decoder="raw", inputs={"rate": 2.5}) as runner:
        more = runner.look(frame).vectors
    assert zero is not None
    assert more is not None
    np.testing.assert_allclose(more, zero + 2.5)
    found = problem_of(path, decoder="raw")
    assert "2 inputs" in found.what
    assert f"{WHERE}.inputs" in found.remedy


def test_states_that_the_config_names_are_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "recurrent.tflite"
    path.write_bytes(recurrent())
    found = problem_of(path, decoder="raw", state={"c_uot": "c_in"})
    assert found.where == f"{WHERE}.state"
    assert "c_uot" in found.what
    assert "c_out" in str(found)


def test_a_size_that_the_file_does_not_have_is_refused(testdata: Path) -> None:
    path = testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    found = problem_of(path, input_px=(320, 240))
    assert found.where == f"{WHERE}.input_px"
    assert "128×128" in found.what
    with opened(path, input_px=(128, 128)) as runner:
        assert runner.decoder == "classification"

"""Privacy: whom a picture shows is hidden before anybody sees it, and a picture of which nobody knows is not shown at all."""

import numpy as np
import pytest
from peers.runners import found

from agent.events.privacy import CELLS, Config, Hiding, hide
from agent.records import Detections, Inference

BOX = (0.4, 0.4, 0.6, 0.6)


def inference(model: str, at_us: int, detections: Detections | None) -> dict[str, Inference]:
    return {model: Inference(model=model, at_us=at_us, detections=detections, took_ms=1.0)}


def hiding(blur: str = "persons", model: str | None = None, **labels: tuple[str, ...] | None) -> Hiding:
    return Hiding(Config(blur=blur, model=model), labels or {"view": ("person", "dog")})  # type: ignore[arg-type]


def noise(height: int, width: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_persons_are_hidden_a_tenth_beyond_their_boxes_and_others_are_not() -> None:
    hidden = hiding().take(0, inference("view", 0, found("person", "dog", box=BOX)))
    assert hidden.boxes is not None
    assert np.allclose(hidden.boxes, [[0.38, 0.38, 0.62, 0.62]])
    assert hidden.why is None


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({}, "the model view did not look at this picture"),
        (inference("other", 0, found("person")), "the model view did not look at this picture"),
        (inference("view", 0, None), "the model view failed"),
        (inference("view", 0, Detections(labels=("person",), scores=np.ones(1, np.float32))), "the model view gives no boxes"),
    ],
)  # fmt: skip
def test_without_detections_of_this_very_picture_there_is_none(results: dict[str, Inference], why: str) -> None:
    assert hiding().take(0, results) == (None, why)


def test_a_picture_in_which_nobody_is_may_be_shown() -> None:
    hidden = hiding().take(0, inference("view", 0, found()))
    assert hidden.boxes is not None
    assert len(hidden.boxes) == 0


def test_a_lane_whose_models_know_no_persons_shows_nothing() -> None:
    hidden = hiding(view=("day", "night")).take(0, inference("view", 0, found("day")))
    assert hidden == (None, "no model of this lane finds person")


def test_every_model_that_knows_persons_must_have_looked() -> None:
    two = hiding(near=("person",), far=("person",), view=("day",))
    near, far = inference("near", 0, found("person", box=BOX)), inference("far", 0, found("person"))
    assert two.take(0, near).why == "the model far did not look at this picture"
    both = two.take(0, {**near, **far})
    assert both.boxes is not None
    assert len(both.boxes) == 2


def test_whom_a_model_would_find_that_did_not_open_nobody_knows() -> None:
    near = inference("near", 0, found("person", box=BOX))
    assert hiding(near=("person",), far=None).take(0, near).why == "the model far did not look at this picture"
    assert hiding("persons", "near", near=("person",), far=None).take(0, near).boxes is not None


def test_of_the_named_model_of_faces_every_box_counts_whatever_its_label() -> None:
    named = hiding("faces", "faces")
    assert named.take(0, inference("view", 0, found("face"))).boxes is None
    hidden = named.take(0, inference("faces", 0, found("face", "", box=BOX)))
    assert hidden.boxes is not None
    assert len(hidden.boxes) == 2


def test_without_blur_nothing_is_needed() -> None:
    off = hiding("none")
    assert not off.on
    boxes = off.take(0, {}).boxes
    assert boxes is not None
    assert len(boxes) == 0


def test_whom_a_picture_lacks_is_hidden_where_he_was_ever_wider_until_he_is_lost() -> None:
    one = hiding()
    one.take(0, inference("view", 0, found("person", box=BOX)))
    sizes = []
    for at_us in (500_000, 1_000_000, 2_000_000):
        boxes = one.take(at_us, inference("view", at_us, found())).boxes
        assert boxes is not None
        assert len(boxes) == 1
        sizes.append(float(boxes[0, 2] - boxes[0, 0]))
    assert sizes == pytest.approx([0.2 * (1 + 2 * by) for by in (0.35, 0.6, 1.1)], abs=1e-5)
    gone = one.take(2_000_001, inference("view", 2_000_001, found())).boxes
    assert gone is not None
    assert len(gone) == 0


def test_who_was_found_again_is_hidden_once() -> None:
    one = hiding()
    one.take(0, inference("view", 0, found("person", box=BOX)))
    boxes = one.take(100_000, inference("view", 100_000, found("person", box=(0.42, 0.4, 0.62, 0.6)))).boxes
    assert boxes is not None
    assert len(boxes) == 1


def test_a_failed_picture_between_does_not_forget() -> None:
    one = hiding()
    one.take(0, inference("view", 0, found("person", box=BOX)))
    one.take(100_000, inference("view", 100_000, None))
    boxes = one.take(200_000, inference("view", 200_000, found())).boxes
    assert boxes is not None
    assert len(boxes) == 1


def test_a_hidden_box_has_at_most_its_cells_and_the_rest_is_as_it_was() -> None:
    pixels = noise(300, 300)
    picture = hide(pixels, np.array([[0.25, 0.1, 0.75, 0.9]], np.float32), CELLS["persons"])
    region = picture[30:270, 75:225].reshape(-1, 3)
    assert len(np.unique(region, axis=0)) <= 8 * 16
    assert (picture[:30] == pixels[:30]).all()
    assert (picture[:, :75] == pixels[:, :75]).all()
    assert (pixels == noise(300, 300)).all()


def test_nothing_but_the_cells_averages_is_left() -> None:
    """Two pictures whose cells have the same averages are one: what made them apart cannot be brought back."""
    pixels = np.full((64, 64, 3), 100, np.uint8)
    other = pixels.copy()
    other[::2, ::2] += 8
    other[1::2, 1::2] -= 8
    everything = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    assert (hide(pixels, everything, (8, 16)) == hide(other, everything, (8, 16))).all()


@pytest.mark.parametrize(
    "box",
    [(0.0, 0.0, 1.0, 1.0), (0.5, 0.5, 0.5001, 0.5001), (0.99, 0.99, 1.0, 1.0), (0.2, 0.2, 0.2, 0.9), (0.4, 0.4, 0.46, 0.44)],
)  # fmt: skip
def test_a_box_of_any_size_loses_half_its_lines_or_more(box: tuple[float, float, float, float]) -> None:
    pixels = noise(50, 70)
    picture = hide(pixels, np.array([box], np.float32), CELLS["faces"])
    left, top, right, bottom = (
        int(box[0] * 70),
        int(box[1] * 50),
        int(np.ceil(box[2] * 70)),
        int(np.ceil(box[3] * 50)),
    )
    region = picture[top:bottom, left:right].reshape(-1, 3)
    most = min(4, max(1, (right - left) // 2)) * min(4, max(1, (bottom - top) // 2))
    assert len(np.unique(region, axis=0)) <= most if region.size else True

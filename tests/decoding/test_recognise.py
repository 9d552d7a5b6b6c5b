"""Which decoder a model gets where the config names none."""

import pytest

from agent.decoding import Options, Shape
from agent.decoding._recognise import decoders, load, recognise
from agent.problems import Exit, Problem


def shapes(*sizes: tuple[int, ...], names: tuple[str, ...] = ()) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=names[i] if names else f"t{i}", shape=size, dtype="float32", scale=0.0, zero_point=0)
        for i, size in enumerate(sizes)
    )


IMAGE = shapes((1, 96, 96, 3))
OP = "TFLite_Detection_PostProcess"


@pytest.mark.parametrize(
    ("inputs", "outputs", "labels", "decoder"),
    [
        (IMAGE, shapes((1, 1001)), (), "classification"),
        (IMAGE, shapes((1, 1, 1, 5)), (), "classification"),
        (shapes((1, 40)), shapes((1, 3)), ("a", "b", "c"), "classification"),
        (IMAGE, shapes((1, 896, 16), (1, 896, 1)), (), "blazeface"),
        (IMAGE, shapes((1, 896, 1), (1, 896, 16)), (), "blazeface"),
        (IMAGE, shapes((1, 2254, 12), (1, 2254, 1)), (), "blazepose"),
        (IMAGE, shapes((), (), (), (), names=(OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")), (), "ssd"),
        (IMAGE, shapes((1, 10, 4), (1, 10), (1, 10), (1,)), (), "ssd"),
        (shapes((1, 64)), shapes((1, 64)), ("anomaly",), "anomaly"),
    ],
)
def test_by_shape(inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], labels: tuple[str, ...], decoder: str) -> None:
    assert recognise(inputs, outputs, Options(labels=labels), said=None, where="m").decoder == decoder


def test_the_model_s_own_word_is_taken_when_it_names_one() -> None:
    assert recognise(IMAGE, shapes((1, 5)), Options(), said="ssd", where="m").decoder == "ssd"
    assert recognise(IMAGE, shapes((1, 5)), Options(), said="nonsense", where="m").decoder == "classification"


def test_candidates_and_the_key_are_named() -> None:
    with pytest.raises(Problem) as caught:
        recognise(IMAGE, shapes((1, 84, 8400)), Options(), said=None, where="lane.a.model.b")
    assert caught.value.code == Exit.MODEL
    assert "1×84×8400" in caught.value.what
    assert "lane.a.model.b.decoder" in caught.value.remedy
    assert all(name in caught.value.remedy for name in decoders())


@pytest.mark.parametrize("name", decoders())
def test_every_decoder_keeps_the_room_s_contract(name: str) -> None:
    module = load(name, "m")
    assert module.__doc__
    assert module.claims(IMAGE, shapes((1, 84, 8400)), Options()) is None  # nobody claims what is not his
    assert module.WANTS.resize in ("stretch", "letterbox", "crop")
    with pytest.raises(Problem) as caught:
        module.open_decoder(IMAGE, shapes((3, 3, 3)), Options(score=1.0), "lane.a.model.b")
    assert caught.value.code == Exit.MODEL
    assert caught.value.where.startswith("lane.a.model.b")

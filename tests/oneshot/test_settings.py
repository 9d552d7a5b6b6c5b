"""Keys on the command line are typed and refused as in a config file."""

import argparse
from pathlib import Path

import pytest

from agent.inference.model import Config
from agent.oneshot.settings import add_model_arguments, model_config
from agent.problems import Exit, Problem, Problems


def read(*words: str) -> Config:
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return model_config(parser.parse_args(["view", *words]))


def test_a_path_or_a_name_of_the_catalogue(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    (tmp_path / "view").write_bytes(b"x")
    assert model_config(parser.parse_args([str(tmp_path / "view")])).path == str(tmp_path / "view")
    assert read().catalogue == "view"


def test_values_as_in_toml() -> None:
    config = read(
        "--set", "mean=127.5",
        "--set", "std = [58.4, 57.1, 57.4]",
        "--set", "resize=letterbox",
        "--set", 'color="bgr"',
        "--set", "background=true",
        "--set", "input_px=[320, 240]",
        "--set", 'state={ "out" = "in" }',
        "--score", "0.4",
        "--threads", "2",
    )  # fmt: skip
    assert config.mean == 127.5
    assert config.std == (58.4, 57.1, 57.4)
    assert (config.resize, config.color, config.background) == ("letterbox", "bgr", True)
    assert config.input_px == (320, 240)
    assert config.state == {"out": "in"}
    assert (config.score, config.threads) == (0.4, 2)


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    digits = "1" * 64
    assert read("--set", f"sha256={digits}").sha256 == digits
    assert read("--set", "signature=2").signature == "2"


@pytest.mark.parametrize(("given", "delegates"), [("gpu", ("gpu",)), ("gpu,cpu", ("gpu", "cpu")), ("auto", "auto")])
def test_delegates(given: str, delegates: object) -> None:
    assert read("--delegate", given).delegates == delegates


def test_a_file_of_options_comes_second(tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text('score = 0.3\niou = 0.5\nlabels = "names.txt"\n')
    config = read("--options", str(tmp_path / "o.toml"), "--score", "0.6")
    assert (config.score, config.iou) == (0.6, 0.5)
    assert config.labels == str(tmp_path / "names.txt"), "relative to the file that names it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "scor=0.5"], '--set scor: is no key of this table. Did you mean "score"?'),
        (["--set", "mean=high"], "--set mean: "),
        (["--set", "resize=squash"], '--set resize: cannot be "squash"'),
        (["--score", "x"], "--score: is a text"),
        (["--threads", "0"], "--threads: 0 is out of range"),
        (["--set", "std=0"], "--set std: cannot be 0. It must be greater than 0"),
        (["--set", "std=[58.4, 0, 57.4]"], "--set std: "),
        (["--delegate", "gpu,xnpack"], '--delegate: there is no delegate "xnpack". Did you mean "xnnpack"?'),
        (["--set", 'delegates=["npu"]'], '--set delegates: there is no delegate "npu". Did you mean "gpu"?'),
        (["--delegate", "auto,cpu"], '--delegate: "auto" is no delegate among others. Name it alone'),
        (["--set", "on=faces"], "--set on: has no use"),
        (["--set", "path=a.tflite"], "--set path: is said by MODEL"),
        (["--set", "score"], "--set: 'score' is no key=value"),
        (["--options", "nowhere.toml"], "nowhere.toml: cannot be read"),
    ],
)
def test_what_cannot_be(words: list[str], said: str) -> None:
    with pytest.raises((Problem, Problems)) as raised:
        read(*words)
    assert said in str(raised.value)
    assert raised.value.code == Exit.COMMAND_LINE


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text("top = -1\n")
    with pytest.raises(Problems) as raised:
        read("--options", str(tmp_path / "o.toml"), "--set", "iou=3")
    assert {problem.where for problem in raised.value.problems} == {"--set iou", f"{tmp_path / 'o.toml'} top"}

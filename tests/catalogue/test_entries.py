"""The catalogue file: what it pins, and that a mistake in it is named."""

from pathlib import Path

import pytest

from agent.catalogue.entries import CATALOGUE, FileSource, NpmSource, PypiSource, entries, find, read_entries
from agent.problems import Problem

PROJECT = Path(__file__).parents[2]
WELL_FORMED = """
version = 1
[entry.thing]
kind = "model"
task = "test"
file = "thing.tflite"
licence = "CC0-1.0"
[[entry.thing.source]]
kind = "https"
url = "https://models.example/thing.tflite"
sha256 = "{digest}"
""".format(digest="0" * 64)


def test_what_is_pinned() -> None:
    known = entries()
    blazeface, second = known["blazeface"].source
    assert isinstance(blazeface, PypiSource)
    assert (blazeface.package, blazeface.version) == ("mediapipe", "0.10.14")
    assert isinstance(second, NpmSource)
    assert known["blazeface"].digests == (
        "sha256:bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        "sha256:3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    )
    assert known["blazepose"].digests == ("sha256:9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",)
    assert known["grace-hopper"].digests == ("sha256:a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",)
    assert known["astronaut"].digests == ("sha256:88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",)
    assert known["ssd-mobilenet-v2-coco"].digests == ("git:28b6bdee3548170bb999ffcc7248b40d76f6b6b8",)
    assert known["coco-labels"].digests == ("git:e6e413857619e7e4e892769d5b134b803454fa28",)


def test_kinds_and_what_only_a_person_can_fetch() -> None:
    known = entries()
    assert {name for name, entry in known.items() if entry.by_hand} == {"ssd-mobilenet-v2-coco", "coco-labels"}
    assert {name for name, entry in known.items() if entry.shipped} == {"view", "vibration"}
    assert known["grace-hopper"].kind == known["astronaut"].kind == "picture"
    assert known["coco-labels"].kind == "labels"
    assert not any("AGPL" in entry.licence for entry in known.values())


def test_the_one_file_is_the_one_in_models() -> None:
    assert CATALOGUE.samefile(PROJECT / "models" / "catalogue.toml")
    for entry in entries().values():
        if entry.shipped:
            assert entry.shipped.samefile(PROJECT / "models" / entry.file)


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(Problem, match="Did you mean 'blazeface'"):
        find("blaseface", entries())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('kind = "https"', 'kind = "ftp"'),
        ("https://", "http://"),
        ('licence = "CC0-1.0"', ""),
        ("version = 1", "version = 2"),
        ('file = "thing.tflite"', 'file = "../thing.tflite"'),
        ("sha256", "sha1"),
        ("[entry.thing]", "[entry.thing"),
        (
            'kind = "https"\nurl = "https://models.example/thing.tflite"',
            'kind = "npm"\nversion = "1"\nmember = "a"\npackage = "--help"',
        ),
        ('kind = "https"\nurl = "https://models.example/thing.tflite"', 'kind = "file"\n'),
    ],
)
def test_a_mistake_is_a_problem(tmp_path: Path, right: str, wrong: str) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(WELL_FORMED)
    assert read_entries(path)["thing"].name == "thing"
    assert right in WELL_FORMED
    path.write_text(WELL_FORMED.replace(right, wrong))
    with pytest.raises(Problem, match=r"catalogue\.toml"):
        read_entries(path)


def test_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be read"):
        read_entries(tmp_path / "catalogue.toml")


def test_a_file_is_pinned_by_one_digest() -> None:
    with pytest.raises(ValueError, match="either `sha256` or `git_blob`"):
        FileSource(origin="a shelf")

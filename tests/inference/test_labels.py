"""Labels files as people have them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inference.labels import load_labels, parse_labels
from agent.problems import Exit, Problem

LABEL_MAP = """
item {
  name: "/m/01g317"
  id: 1
  display_name: "person"
}
item { id: 3 name: 'red car' }  # two is none
"""
DATA_YAML = """path: ../datasets/coco8
names:
  0: person
  1: "traffic light"

  3: cat
download: https://example.org/coco8.zip
"""


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat\ndog\n\n", ("cat", "dog")),
        ("cat\r\ndog\r\n", ("cat", "dog")),
        ("\ufeffcat\ndog", ("cat", "dog")),
        ("cat\n\ndog", ("cat", "", "dog")),
        ("cat\ndog\n\nand 255 marks what\nnobody labelled.\n", ("cat", "dog")),
        ("cat\ncat\n", ("cat", "cat")),
        ("0 cat\n2  traffic light\n", ("cat", "1", "traffic light")),
        ("0: cat\n1:dog\n", ("cat", "dog")),
        ("0\tcat\n\n1\tdog\n", ("cat", "dog")),
        ("0,cat\n1,dog\n", ("cat", "dog")),
        ('id,name\n0,"cat, black"\n1,dog\n', ("cat, black", "dog")),
        ("1 cat\n2 dog\n", ("0", "cat", "dog")),
        ("3 blind mice\nhouse", ("3 blind mice", "house")),
        ("20 km/h\n30 km/h\n50 km/h", ("20 km/h", "30 km/h", "50 km/h")),
        ("1 euro\n1 cent", ("1 euro", "1 cent")),
        ("0\n1\n2", ("0", "1", "2")),
        ('{"0": "cat", "2": "dog"}', ("cat", "1", "dog")),
        ("{0: 'cat', 1: \"dog's\"}", ("cat", "dog's")),
        ('{"cat": 0, "dog": 1}', ("cat", "dog")),
        ('["cat", "dog"]', ("cat", "dog")),
        ('{"names": {"0": "cat"}, "nc": 1}', ("cat",)),
        ('{"names": ["cat", "dog"]}', ("cat", "dog")),
        (LABEL_MAP, ("person", "1", "red car")),
        ("item { id: 0 name: 'background' } item { id: 1 name: 'cat' }", ("background", "cat")),
        (DATA_YAML, ("person", "traffic light", "2", "cat")),
        ("nc: 2\nnames: ['cat', \"dog\"]\n", ("cat", "dog")),
        ("names:\n- cat\n- 'dog'\nnc: 2\n", ("cat", "dog")),
        ("[unused]\ncat", ("[unused]", "cat")),
        ("", ()),
        (" \n\n", ()),
    ],
)
def test_forms(text: str, labels: tuple[str, ...]) -> None:
    assert parse_labels(text) == labels


NAMES = st.lists(st.text(st.characters(categories=("L",)), min_size=1, max_size=8), min_size=1, max_size=40)


@given(NAMES)
@settings(max_examples=60)
def test_every_form_of_the_same_names_says_the_same(names: list[str]) -> None:
    numbered = dict(enumerate(names))
    for text in (
        json.dumps(names),
        json.dumps(numbered),
        str(numbered),
        "\n".join(f"{number} {name}" for number, name in numbered.items()),
        "\r\n".join(f"{number}: {name}" for number, name in numbered.items()),
        "".join(f"item {{ id: {number + 1} name: '{name}' }}\n" for number, name in numbered.items()),
    ):
        assert parse_labels(text) == tuple(names), text


@given(st.text(max_size=200) | st.text("{}[]()'\",:0123456789 \nitemnadsx", max_size=200))
@settings(max_examples=300)
def test_no_text_raises(text: str) -> None:
    assert all(isinstance(label, str) for label in parse_labels(text))


def test_deep_nesting_is_a_label() -> None:
    assert parse_labels("[" * 50_000) == ("[" * 50_000,)


def test_publishers_files(testdata: Path) -> None:
    for name, count, last in (
        ("coco80_labels.txt", 80, "toothbrush"),
        ("imagenet_labels.txt", 1001, "toilet tissue, toilet paper, bathroom tissue"),
        ("pascal_voc_segmentation_labels.txt", 21, "tvmonitor"),
    ):
        labels = load_labels(testdata / "models" / name, where="m.labels")
        assert (len(labels), labels[-1]) == (count, last)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("labels.txt", b"\xff\xfe\x00", "UTF-8"),
        ("labels.txt", b"cat\0dog", "zero bytes"),
        ("labels.txt", b"", "is empty"),
        ("labels.txt", b"\n \n", "is empty"),
        ("labels.txt", b"a" * ((4 << 20) + 1), "more than 4 MiB"),
        ("labels.json", b'{"0": "cat"', "no JSON"),
        ("labels.json", b'{"0": ["cat"]}', "no JSON"),
    ],
)
def test_what_is_no_labels_file(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Problem, match=said) as caught:
        load_labels(tmp_path / name, where="m.labels")
    assert caught.value.code == Exit.MODEL
    assert str(tmp_path / name) in caught.value.what


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="No such file"):
        load_labels(tmp_path / "none.txt", where="m.labels")

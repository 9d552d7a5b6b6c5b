"""A shape drawn on the page goes into the config file: what else stands there stays, byte for byte."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.edit import Shape, edited, save, state, without
from agent.config.read import read
from agent.problems import Problem, Problems

TEXT = """\
# The north gate.
version = 1
[device]
site = "north-farm"   # since May
name = "gate-07"
data = "data"

[lane.yard.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1"
[lane.yard.model.faces]
path = "faces.tflite"   # the small one

# Where lorries stand.
[lane.yard.zone.dock]
# clockwise
polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]   # measured on the spot

# The second camera.
[lane.door.source]
kind = "camera"
url = "rtsp://10.0.0.8/stream1"
[lane.door.model.faces]
path = "faces.tflite"
"""
SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
SQUARE_TEXT = "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]"


def shape(name: str = "dock", lane: str = "yard", kind: Any = "zone", points: Any = SQUARE) -> Shape:
    return Shape(lane=lane, kind=kind, name=name, points=points)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(TEXT)
    return path


def saved(config: Path, one: Shape) -> str:
    save(config, one, seen=state(config))
    return config.read_text()


def test_a_zone_that_is_there_gets_new_points_and_nothing_else_changes(config: Path) -> None:
    assert saved(config, shape()) == TEXT.replace("[[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]", SQUARE_TEXT)
    assert (config.parent / "edge.toml.bak").read_text() == TEXT


def test_a_new_zone_stands_behind_its_lane(config: Path) -> None:
    behind = "polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]   # measured on the spot\n"
    assert saved(config, shape("gate")) == TEXT.replace(
        behind, f"{behind}[lane.yard.zone.gate]\npolygon = {SQUARE_TEXT}\n"
    )
    assert read(config).file.lane["yard"].zone["gate"].polygon == SQUARE


def test_a_mask_at_the_end_of_the_file_also_without_a_last_newline(config: Path) -> None:
    config.write_text(TEXT.rstrip("\n"))
    assert saved(config, shape("street", "door", "mask")) == f"{TEXT}[lane.door.mask.street]\npolygon = {SQUARE_TEXT}\n"


def test_a_line_has_two_ends(config: Path) -> None:
    text = saved(config, shape("entrance", "door", "line", ((0.2, 0.8), (0.8, 0.75))))
    assert text == f"{TEXT}[lane.door.line.entrance]\nfrom = [0.2, 0.8]\nto = [0.8, 0.75]\n"
    text = saved(config, shape("entrance", "door", "line", ((0.8, 0.75), (0.2, 0.8))))
    assert text == f"{TEXT}[lane.door.line.entrance]\nfrom = [0.8, 0.75]\nto = [0.2, 0.8]\n"


def test_the_text_of_a_line() -> None:
    content = edited(
        b'[lane.door.source]\nkind = "camera"\n', shape("entrance", "door", "line", ((0.2, 0.8), (0.8, 0.75)))
    )
    assert (
        content
        == b'[lane.door.source]\nkind = "camera"\n[lane.door.line.entrance]\nfrom = [0.2, 0.8]\nto = [0.8, 0.75]\n'
    )
    again = edited(content, shape("entrance", "door", "line", ((0.8, 0.75), (0.2, 0.8))))
    assert again.endswith(b"from = [0.8, 0.75]\nto = [0.2, 0.8]\n")


def test_comments_inside_the_old_points_are_kept_above_them(config: Path) -> None:
    config.write_text(
        TEXT.replace(
            "[[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]",
            "[\n  [0.1, 0.2],  # the post\n  [0.5, 0.2],\n  # the wall\n  [0.5, 0.9],\n]",
        )
    )
    assert f"# clockwise\n# the post\n# the wall\npolygon = {SQUARE_TEXT}   # measured" in saved(config, shape())


def test_ends_of_lines_stay_those_of_windows(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    save(config, shape("gate"), seen=state(config))
    content = config.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf# The north gate.\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b"[lane.yard.zone.gate]\r\npolygon = " in content


@pytest.mark.parametrize(
    "form",
    [
        "zone = {dock = {polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]}}",
        "zone.dock.polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]",
        '"zone".\'dock\'.polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]',
    ],
)  # fmt: skip
def test_other_ways_to_write_it(config: Path, form: str) -> None:
    head, _, rest = TEXT.partition("# Where lorries stand.")
    text = head + rest[rest.index("# The second") :]
    text = text.replace("[lane.yard.source]", f"[lane.yard]\n{form}  # by hand\n[lane.yard.source]")
    config.write_text(text)
    assert saved(config, shape()) == text.replace("[[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]", SQUARE_TEXT)


def test_a_form_that_cannot_take_a_second_zone_is_left_alone(config: Path) -> None:
    text = TEXT[: TEXT.index("# Where lorries")].replace(
        "[lane.yard.source]",
        "[lane.yard]\nzone = {dock = {polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]}}\n[lane.yard.source]",
    )
    config.write_text(text)
    with pytest.raises((Problem, Problems)):
        saved(config, shape("gate"))
    assert config.read_text() == text


def test_the_overlay_that_holds_the_lane_is_written(config: Path) -> None:
    head, second = TEXT[: TEXT.index("# The second")], TEXT[TEXT.index("# The second") :]
    config.write_text(head)
    (config.parent / "conf.d").mkdir()
    over = config.parent / "conf.d" / "20-door.toml"
    over.write_text(second)
    assert save(config, shape("gate", "door"), seen=state(config)) == over
    assert config.read_text() == head
    assert over.read_text() == f"{second}[lane.door.zone.gate]\npolygon = {SQUARE_TEXT}\n"


def test_a_zone_that_an_overlay_moved_is_moved_there(config: Path) -> None:
    (config.parent / "conf.d").mkdir()
    over = config.parent / "conf.d" / "site.toml"
    over.write_text("[lane.yard.zone.dock]\npolygon = [[0, 0], [1, 0], [1, 1]]\n")
    assert save(config, shape(), seen=state(config)) == over
    assert read(config).file.lane["yard"].zone["dock"].polygon == SQUARE


@pytest.mark.parametrize("what", ["edge.toml", "conf.d/new.toml"])
def test_what_was_changed_meanwhile_is_not_written_over(config: Path, what: str) -> None:
    seen = state(config)
    (config.parent / what).parent.mkdir(exist_ok=True)
    with (config.parent / what).open("a") as file:
        file.write("# by somebody else\n")
    with pytest.raises(Problem, match="changed meanwhile"):
        save(config, shape(), seen=seen)
    assert "# by somebody else" in (config.parent / what).read_text()


@pytest.mark.parametrize(
    "bad",
    [
        shape(points=((0.1, 0.1), (0.2, 0.2))),
        shape(points=((0.1, 0.1), (0.2, 0.2), (1.2, 0.3))),
        shape(points=((0.1, 0.1), (0.2, 0.2), (float("nan"), 0.3))),
        shape("North Gate"),
        shape("x]\n[mqtt"),
        shape(lane="nowhere"),
    ],
)
def test_what_would_be_a_mistake_is_refused_and_the_file_stays(config: Path, bad: Shape) -> None:
    with pytest.raises((Problem, Problems)):
        save(config, bad, seen=state(config))
    assert config.read_text() == TEXT
    assert not list(config.parent.glob("*.bak"))


def test_rights_stay_and_a_link_stays_a_link(config: Path) -> None:
    config.chmod(0o640)
    link = config.parent / "link.toml"
    link.symlink_to(config.name)
    save(link, shape(), seen=state(link))
    assert link.is_symlink()
    assert config.stat().st_mode & 0o777 == 0o640
    assert SQUARE_TEXT in config.read_text()
    assert sorted(path.name for path in config.parent.iterdir()) == ["edge.toml", "edge.toml.bak", "link.toml"]


@given(
    st.lists(st.sampled_from(["\n", "# a note\n", "\n# two\n\n"]), min_size=8, max_size=8),
    st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=3, max_size=7),
    st.sampled_from(["dock", "new"]),
    st.sampled_from(["yard", "door"]),
)
def test_wherever_notes_stand_all_lines_but_the_shape_s_stay(
    notes: list[str], points: list[tuple[float, float]], name: str, lane: str
) -> None:
    lines = TEXT.splitlines(keepends=True)
    for place, note in enumerate(notes):
        lines.insert(3 * place + 1, note)
    text = "".join(lines)
    after = edited(text.encode(), shape(name, lane, points=points)).decode()
    kept = [line for line in text.splitlines() if "polygon" not in line or lane == "door" or name == "new"]
    there = iter(after.splitlines())
    assert all(line in there for line in kept)
    wanted = [[round(x, 4), round(y, 4)] for x, y in points]
    assert tomllib.loads(after)["lane"][lane]["zone"][name]["polygon"] == wanted


def removed(config: Path, one: Shape) -> str:
    save(config, one, seen=state(config), remove=True)
    return config.read_text()


def test_a_zone_goes_with_its_lines_and_nothing_else(config: Path) -> None:
    old = (
        "[lane.yard.zone.dock]\n# clockwise\npolygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]   # measured on the spot\n"
    )
    assert removed(config, shape()) == TEXT.replace(old, "")
    assert "zone" not in read(config).effective["lane"]["yard"]


def test_what_was_added_and_taken_out_again_leaves_the_file_as_it_was(config: Path) -> None:
    for one in (shape("gate"), shape("street", "door", "mask")):
        saved(config, one)
        assert removed(config, one) == TEXT


def test_a_zone_that_a_rule_names_stays(config: Path) -> None:
    config.write_text(TEXT + '[rule.somebody]\nlane = "yard"\nlabel = "face"\nzone = "dock"\n')
    before = config.read_text()
    with pytest.raises(Problems, match=r"rule\.somebody\.zone"):
        removed(config, shape())
    assert config.read_text() == before


def test_a_zone_that_is_not_there_is_not_taken_out(config: Path) -> None:
    with pytest.raises(Problem, match="has no zone 'gate'"):
        removed(config, shape("gate"))


def test_a_zone_by_dotted_keys_goes_too_and_one_in_an_inline_table_stays() -> None:
    dotted = b"[lane.yard]\nzone.dock.polygon = [[0, 0], [1, 0], [1, 1]] # x\nsummaries = []\n"
    assert without(dotted, shape()) == b"[lane.yard]\nsummaries = []\n"
    inline = b"[lane.yard]\nzone = {dock = {polygon = [[0, 0], [1, 0], [1, 1]]}}\n"
    assert without(inline, shape()) == inline


def test_what_else_a_shape_says_stays(config: Path) -> None:
    config.write_text(TEXT.replace("# clockwise\n", 'anchor = "centre"  # of the lorry\n'))
    text = saved(config, shape())
    assert 'anchor = "centre"  # of the lorry\n' in text
    assert read(config).file.lane["yard"].zone["dock"].anchor == "centre"

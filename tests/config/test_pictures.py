"""What the config says of pictures: mistakes that would show people, or show nothing at all, and what `check` says is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.pictures import kept
from agent.config.read import read


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('[privacy]\nblur = "faces"\n', "privacy.model: is missing. Name the model that finds faces"),
        ('[privacy]\nblur = "persons"\nmodel = "face"\n', 'privacy.model: the lane yard has no model "face"'),
        ('[privacy]\nblur = "person"\n', 'privacy.blur: cannot be "person". Did you mean "persons"?'),
        ('[privacy]\nblur = "persons"\nlabels = []\n', "privacy.labels: has 0 items"),
        ('[lane.yard.privacy]\nblur = "faces"\n', "lane.yard.privacy.model: is missing"),
        ('[lane.pump.privacy]\nblur = "persons"\n', "lane.pump.privacy: has no use: a sensor gives no pictures"),
        ("[lane.pump.mask.x]\npolygon = [[0, 0], [1, 0], [1, 1]]\n", "lane.pump.mask: has no use"),
        ("[lane.yard.mask.x]\npolygon = [[0, 0], [1, 0]]\n", "lane.yard.mask.x.polygon: has 2 items"),
        ('[rule.worn]\nlane = "pump"\nlabel = "anomaly"\nsnapshot = true\n', "rule.worn.snapshot: the lane pump has no pictures"),
        ('[snapshots]\nquota = "many"\n', "snapshots.quota"),
        (
            '[lane.yard.model.eyes]\npath = "e.tflite"\non = "faces"\n[privacy]\nblur = "faces"\nmodel = "eyes"\n',
            'privacy.model: "eyes" looks only at parts of the picture',
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named(problems: Callable[..., list[str]], table: str, expected: str) -> None:
    (line,) = problems(("[mqtt]\n", f"{table}[mqtt]\n"))
    assert expected in line


def test_a_lane_with_a_table_of_its_own_is_not_judged_by_the_other(problems: Callable[..., list[str]]) -> None:
    assert problems(("[mqtt]\n", '[privacy]\nblur = "persons"\nmodel = "x"\n[lane.yard.privacy]\nblur = "none"\n[mqtt]\n')) == []  # fmt: skip


def test_check_says_what_is_kept_and_that_none_leaves(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write()
    assert list(kept(read(path).file)) == [
        "pictures none leaves this device: no message has a place for one, only a reference and a digest",
        "  kept     none: no rule says snapshot = true; `record` keeps what it is told to",
        "  yard     people are shown as they are (privacy.blur)",
    ]
    text = path.read_text().replace('label = "face"\n', 'label = "face"\nsnapshot = true\n')
    text += '[lane.yard.mask.window]\npolygon = [[0, 0], [1, 0], [1, 1]]\n[privacy]\nblur = "faces"\nmodel = "faces"\n'
    path.write_text(text)
    assert list(kept(read(path).file))[1:] == [
        f"  kept     snapshots of events of yard in {tmp_path}/data/snapshots, at most 200 MB, 30 days",
        "  yard     faces found by faces made of 4 x 4 cells; no picture where it did not look; black: window",
    ]

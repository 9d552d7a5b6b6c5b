"""A rule whose label no model gives would wait for ever: it is named when the models are open, with file and line."""

import re
from pathlib import Path

import pytest
from peers.troubled import troubled, write

from agent.events.rules import Config as Rule
from agent.pipeline.mute_rules import mute_rules

LABELS = {"faces": ("face",), "view": ("day", "night", "covered")}


def rule(label: str, *, lane: str = "yard", of: str | None = None) -> Rule:
    return Rule(lane=lane, label=label, model=of)


@pytest.mark.parametrize(
    ("one", "labels"),
    [
        (rule("face"), LABELS),
        (rule("night", of="view"), LABELS),
        (rule("cat", lane="shed"), LABELS),  # another lane's
        (rule("cat"), {**LABELS, "things": None}),  # a model that is not open may give it
        (rule("17"), {"things": ()}),  # one without labels gives numbers
        (rule("cat", of="gone"), LABELS),
    ],
)
def test_nothing_is_said_of_rules_that_may_fire(one: Rule, labels: dict[str, tuple[str, ...] | None]) -> None:
    assert list(mute_rules("yard", {"one": one}, labels)) == []


@pytest.mark.parametrize(
    ("one", "remedy"),
    [
        (rule("Face"), 'Did you mean "face"?'),
        (rule("nigth", of="view"), 'Did you mean "night"?'),
        (rule("face", of="view"), "Its labels: covered, day, night"),
    ],
)
def test_a_rule_that_cannot_fire_is_named(one: Rule, remedy: str) -> None:
    (found,) = mute_rules("yard", {"one": one}, LABELS)
    assert (found.where, found.remedy) == ("rule.one.label", remedy)
    assert f'"{one.label}"' in found.what


def test_a_thousand_labels_are_not_all_named() -> None:
    (found,) = mute_rules("yard", {"one": rule("cat")}, {"many": [f"{n:04}" for n in range(1000)]})
    assert found.remedy.endswith("0007, …")


def test_the_agent_warns_once_and_runs(tmp_path: Path) -> None:
    with troubled(write(tmp_path, '[rule.dark]\nlane = "yard"\nlabel = "nigth"\n')) as agent:
        agent.wait_until(lambda: agent.results("yard") > 0, "results")
        text = agent.text
    (line,) = [line for line in text.splitlines() if "rule.dark" in line]
    assert re.search(r' warning pipeline\.live_lane \S+\.toml:\d+ rule\.dark\.label: .*Did you mean "night"\?$', line)

"""Rules that can never fire: their label is none that a model of their lane gives. Seen only once the models are open."""

import difflib
from collections.abc import Collection, Iterator, Mapping

from agent.events.rules import Config as Rule
from agent.problems import Problem

_NAMED = 8  # a classifier may have a thousand


def mute_rules(lane: str, rules: Mapping[str, Rule], labels: Mapping[str, Collection[str] | None]) -> Iterator[Problem]:
    """labels: of every model of the lane; None or none: not known, and nothing is said of a rule that may mean that model."""
    for name, rule in rules.items():
        if rule.lane != lane:
            continue
        models = [rule.model] if rule.model is not None else list(labels)
        if not all(labels.get(model) for model in models):
            continue
        known = sorted({label for model in models for label in labels[model] or ()})
        if rule.label not in known:
            where = f"rule.{name}.label"
            what = f'no model of the lane {lane} gives "{rule.label}": no event will come of it'
            yield Problem(where=where, what=what, remedy=_remedy(rule.label, known))


def _remedy(label: str, known: list[str]) -> str:
    near = difflib.get_close_matches(label, known, n=1)
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"Its labels: {', '.join(known[:_NAMED])}{', …' if len(known) > _NAMED else ''}"

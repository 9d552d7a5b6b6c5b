"""What an item that never left adds up to, for its `lost` range: counts that the subscriber may add to its view, and the time they span.

Of a summary {"fr": inputs, "n": {label: results}, "w": [start, end]}; of an event {"evt": {rule: 1}, "w": [time, time]}, one for each start
(an end tells nothing that could be added); of a gap item {}: zero.
"""

from typing import Any

import msgspec

from agent.messages.times import parse, text_s
from agent.store.totals import SPAN


class _Inputs(msgspec.Struct):
    seen: int
    gated: int
    inf: int
    drop: int
    fail: int


class _Model(msgspec.Struct):
    n: dict[str, int]


class _Body(msgspec.Struct):
    k: str
    w: tuple[str, int] | None = None
    fr: _Inputs | None = None
    models: dict[str, _Model] = {}
    t: tuple[str, str | None] | None = None
    rule: str = ""
    phase: str = ""


_decode = msgspec.json.Decoder(_Body).decode


def totals(newest: bytes, sent: bytes | None) -> dict[str, Any] | None:
    """What the newest content adds to the newest one that was handed over. None: it is no body whose counts are known here."""
    try:
        body = _decode(newest)
        before = None if sent is None else _decode(sent)
    except msgspec.DecodeError:
        return None
    if body.k == "gap":
        return {}
    if body.k == "sum":
        return _of_summary(body, before)
    if body.k == "evt" and body.rule:
        if body.phase == "end" or before is not None:
            return {}
        return {"evt": {body.rule: 1}} | ({} if body.t is None else {SPAN: [body.t[0], body.t[0]]})
    return None


def _of_summary(body: _Body, before: _Body | None) -> dict[str, Any] | None:
    if body.fr is None or (before is not None and before.fr is None):
        return None
    inputs, labels = msgspec.to_builtins(body.fr), _labels(body)
    if before is not None:
        for key, value in msgspec.to_builtins(before.fr).items():
            inputs[key] -= value
        for label, count in _labels(before).items():
            labels[label] = labels.get(label, 0) - count
        labels = {label: count for label, count in labels.items() if count}
        if not labels and not any(inputs.values()):
            return {}
    found: dict[str, Any] = {"fr": inputs, "n": labels}
    if body.w is not None:
        start, seconds = body.w
        found[SPAN] = [start, text_s(parse(start) + seconds * 1_000_000)]
    return found


def _labels(body: _Body) -> dict[str, int]:
    found: dict[str, int] = {}
    for model in body.models.values():
        for label, count in model.n.items():
            found[label] = found.get(label, 0) + count
    return found

"""What one object does at one place: over a line, in and out of a zone, each with hysteresis. Plain state that can be written down and read back."""

import msgspec

from agent.events._geometry import Box, Point, anchor_of, beside, inside, meets, to_edge
from agent.events.settings import Line, Zone

# In margins: who is first seen nearer to a line than this might be on either side; who is beyond it by so much is over at once, by less at the
# second input in a row.
_DOUBT, _SURE = 1 / 3, 2.0


class Side(msgspec.Struct, kw_only=True):
    """Of a line. settled: +1 or -1, the side on which the object is known to be, 0: not known yet. last: where it was seen last.

    passed: how it last went over the straight line since it was settled: between the ends (True), past them (False). beyond: at the newest input
    it was on the other side by the margin.
    """

    settled: int = 0
    last: Point | None = None
    passed: bool = False
    beyond: bool = False
    passed_us: int = 0


class Stay(msgspec.Struct, kw_only=True):
    """Of a zone. since_us: when it entered, None: it is not in. may_us: first of the last inputs in a row at which it was on the other side. beyond: at the newest
    input it was outside by the margin.
    """

    since_us: int | None = None
    may_us: int | None = None
    beyond: bool = False


def cross(side: Side, line: Line, box: Box, at_us: int) -> tuple[str, int] | None:
    """("in" or "out", when), once the object is settled on the other side of the line."""
    point, unit = anchor_of(box, line.anchor), _unit(box)
    distance = beside(line.from_, line.to, point, unit)
    before, side.last = side.last, point
    if before is None:
        side.settled = _sign(distance) if abs(distance) >= line.margin * _DOUBT else 0
        return None
    if _sign(beside(line.from_, line.to, before, unit)) != _sign(distance):
        side.passed, side.passed_us = meets(line.from_, line.to, before, point), at_us
    before_that = side.beyond
    side.beyond = abs(distance) >= line.margin and _sign(distance) != side.settled
    if not side.beyond or not (before_that or abs(distance) >= line.margin * _SURE):
        return None
    was, side.settled, side.beyond = side.settled, _sign(distance), False
    if was == 0 or not side.passed:
        return None
    return ("in" if side.settled < 0 else "out"), side.passed_us


def stay(state: Stay, zone: Zone, box: Box, at_us: int) -> tuple[str, int, int] | None:
    """("entered" or "left", when, how long it was in), once that is sure: at the second input in a row inside, or at the first that is deep in;
    it has left when it is beyond the edge by the margin, at two inputs in a row or by far. When: of the first input at which it was so.
    """
    point = anchor_of(box, zone.anchor)
    within = inside(zone.polygon, *point)
    depth = to_edge(zone.polygon, point, _unit(box))
    far, before_that = depth >= zone.margin, state.beyond
    state.beyond = far and not within
    if within == (state.since_us is not None):
        state.may_us = None
        return None
    if state.since_us is None:
        first_us = state.may_us
        if first_us is None and not far:
            state.may_us = at_us
            return None
        state.since_us, state.may_us = at_us if first_us is None else first_us, None
        return "entered", state.since_us, 0
    state.may_us = at_us if state.may_us is None else state.may_us
    if not far or not (before_that or depth >= zone.margin * _SURE):
        return None
    left_us, since_us = state.may_us, state.since_us
    state.since_us = state.may_us = None
    return "left", left_us, left_us - since_us


def _unit(box: Box) -> Point:
    return max(box[2] - box[0], 1e-6), max(box[3] - box[1], 1e-6)


def _sign(number: float) -> int:
    return -1 if number < 0 else 1

"""Rules over several lanes: a hook that the store thread runs inside each group, before events become items.

Each part of such a rule is a rule of its lane, whose events are rows under the name RULE#PART. Where the times in which the parts hold overlap, the rule
holds: its start and end are rows of the rule's own. It follows from the rows' times alone, whatever order lanes hand them over in: so a replay gives the same.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from agent.records import Event
from agent.store.lane_rows import EventsJob
from agent.store.transaction import Hook, Transaction

# The newest so many rows of each part are looked at: lanes are not further apart than a group.
_NEWEST = 64
# (boot, boot time)
Moment = tuple[int, int]
Stretch = tuple[Moment, Moment | None]

_ROWS = "SELECT boot, at_us, phase FROM event WHERE rule = ? ORDER BY id DESC LIMIT ?"


class Combined(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over several lanes. lane: on whose stream its events go. parts: names of its parts."""

    lane: str
    severity: str
    label: str
    parts: tuple[str, ...]


def hook(rules: Mapping[str, Combined]) -> Hook:
    """The hook for `open_store`."""
    return Several(rules).combine


class Several:
    def __init__(self, rules: Mapping[str, Combined]) -> None:
        self._rules = dict(rules)
        self._newest: tuple[int, int, int] = (0, 0, 0)  # id, rule, at_us of the newest part row that was looked at

    def combine(self, transaction: Transaction) -> None:
        if not self._rules or not self._is_news(transaction):
            return
        for name, rule in self._rules.items():
            own = _stretches(transaction.connection, transaction.name("rule", name))
            told = dict(own)
            parts = [_stretches(transaction.connection, transaction.name("rule", part)) for part in rule.parts]
            for begin, end in overlaps(parts):
                if begin not in told:
                    if begin[0] != transaction.boot or begin < min(told, default=begin):
                        continue  # of an earlier boot, or older than what is remembered
                    self._enter(transaction, name, rule, "start", begin[1])
                if end is not None and told.get(begin) is None:
                    self._enter(transaction, name, rule, "end", end[1])

    def _is_news(self, transaction: Transaction) -> bool:
        """Whether there are new rows of parts; after a group that was undone they are looked at anew."""
        connection = transaction.connection
        number, rule, at_us = self._newest
        query = "SELECT 1 FROM event WHERE id = ? AND rule = ? AND at_us = ?"
        if number and connection.execute(query, (number, rule, at_us)).fetchone() is None:
            number = 0
        parts = [transaction.name("rule", part) for one in self._rules.values() for part in one.parts]
        row = connection.execute(
            f"SELECT id, rule, at_us FROM event WHERE id > ? AND rule IN ({', '.join('?' * len(parts))}) ORDER BY id DESC LIMIT 1",
            (number, *parts),
        ).fetchone()
        if row is not None:
            self._newest = row
        return row is not None

    @staticmethod
    def _enter(transaction: Transaction, name: str, rule: Combined, phase: str, at_us: int) -> None:
        event = Event(at_us=at_us, rule=name, severity=rule.severity, phase=phase, label=rule.label)
        EventsJob(rule.lane, [event])(transaction)


def overlaps(parts: Sequence[Sequence[Stretch]]) -> list[Stretch]:
    """When all parts hold, in order. An end that is not known yet is None."""
    found: list[Stretch] = []
    for begin in sorted({begin for begin, _ in chain.from_iterable(parts)}):
        holding = [next((one for one in part if _holds(one, begin)), None) for part in parts]
        if all(one is not None for one in holding):
            ends = [one[1] for one in holding if one is not None and one[1] is not None]
            found.append((begin, min(ends, default=None)))
    return found


def _holds(stretch: Stretch, at: Moment) -> bool:
    begin, end = stretch
    return begin <= at and (end is None or at < end)


def _stretches(connection: sqlite3.Connection, rule: int) -> list[Stretch]:
    """The newest times in which a rule held, by its events."""
    found: list[Stretch] = []
    for boot, at_us, phase in reversed(connection.execute(_ROWS, (rule, _NEWEST)).fetchall()):
        if phase == 0:
            found.append(((boot, at_us), None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], (boot, at_us))
    return found

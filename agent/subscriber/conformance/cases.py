"""The cases: what came, and what must be said of it. Expectations are written down here, not computed by a subscriber."""

import zlib
from typing import Any

import msgspec

from agent.messages import topics
from agent.subscriber.conformance.bodies import (
    DEVICE,
    E1,
    E2,
    E3,
    E4,
    STREAM,
    Message,
    back,
    entry,
    gap,
    ledger,
    live,
    start,
    status,
    window,
)

Missing = list[list[Any]]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """faces: minute → faces in the window that counts. missing: [epoch, stream, first, last]. received: epoch → numbers that came."""

    name: str
    messages: list[Message]
    state: str
    faces: dict[int, int]
    missing: Missing = []
    received: dict[str, int]

    @property
    def expected(self) -> dict[str, Any]:
        """What the command prints of the device."""
        return {
            "state": self.state,
            "view": {STREAM: {start(minute): {"seen": 10 * count, "n": {"face": count}} for minute, count in self.faces.items()}} if self.faces else {},
            "missing": self.missing,
            "received": {epoch: {STREAM: count} for epoch, count in self.received.items()},
        }  # fmt: skip


A, B, C = window(2, 1, 3), window(3, 2, 4), window(4, 3, 5)
ABC = {1: 3, 2: 4, 3: 5}
ALL = [*live(gap(), A, B, C), ledger(entry(4))]
# Of the second epoch, after a reboot.
SECOND = [gap(E2, 3, 5), window(2, 5, 7, epoch=E2)]
AFTER_BOOT = ledger(entry(2), epoch=E2, prev=E1, why="boot", older=[(E1, None, entry(4))])


def cases() -> list[Case]:
    return [*_numbers(), *_corrections(), *_epochs(), *_bytes(), *_said()]


def _numbers() -> list[Case]:
    three = {1: 3, 3: 5}
    rest = live(gap(), A, C)
    missing = [[E1, STREAM, 3, 3]]
    return [
        Case(name="everything came", messages=ALL, state="complete", faces=ABC, received={E1: 4}),
        Case(name="the ledger speaks of less than came", messages=[*live(gap(), A, B, C), ledger(entry(3))], state="complete", faces=ABC, received={E1: 4}),
        Case(name="a number is missing", messages=[*rest, ledger(entry(4))], state="incomplete", faces=three, missing=missing, received={E1: 3}),
        Case(name="the last numbers are missing", messages=[*live(gap(), A), ledger(entry(4))], state="incomplete", faces={1: 3},
             missing=[[E1, STREAM, 3, 4]], received={E1: 2}),
        Case(name="todo is not missing", messages=[*rest, ledger(entry(4, todo=[(3, 3)]))], state="incomplete", faces=three, received={E1: 3}),
        Case(name="held is not missing", messages=[*rest, ledger(entry(4, held=[(3, 3)]))], state="incomplete", faces=three, received={E1: 3}),
        Case(name="lost is not missing, and its totals are in no window", messages=[*rest, ledger(entry(4, lost=[(3, 3, "retention", {"n": {"face": 4}})]))],
             state="incomplete", faces=three, received={E1: 3}),
        Case(name="received wins over lost", messages=[*live(gap(), A, B, C), ledger(entry(4, lost=[(3, 3, "sent", None)]))], state="complete", faces=ABC,
             received={E1: 4}),
        Case(name="received wins over todo", messages=[*live(gap(), A, B, C), ledger(entry(4, todo=[(2, 3)]))], state="complete", faces=ABC, received={E1: 4}),
        Case(name="a folded range that covers what is absent", messages=[*live(gap(), A), ledger(entry(4, lost=[(3, 4, "retention", None, 2)]))],
             state="incomplete", faces={1: 3}, received={E1: 2}),
        Case(name="a folded range that counts fewer than are absent", messages=[*live(gap()), ledger(entry(4, lost=[(2, 4, "retention", None, 2)]))],
             state="incomplete", faces={}, missing=[[E1, STREAM, 2, 4]], received={E1: 1}),
        Case(name="the greatest ledger counts, not the last", messages=[*live(gap(), A, B), ledger(entry(4, todo=[(4, 4)]), n=7), ledger(entry(4), n=3)],
             state="incomplete", faces={1: 3, 2: 4}, received={E1: 3}),
    ]  # fmt: skip


def _corrections() -> list[Case]:
    newer, newest = window(5, 1, 30, of=2), window(6, 1, 31, of=2)
    moved = window(5, 8, 3, of=2)
    undated = window(2, None, 3)
    return [
        Case(name="a correction takes the place of what it corrects", messages=[*live(gap(), A, B, C, newer), ledger(entry(5))], state="complete",
             faces={1: 30, 2: 4, 3: 5}, received={E1: 5}),
        Case(name="the newest of several corrections counts", messages=[*live(gap(), A, B, C, newer, newest), ledger(entry(6))], state="complete",
             faces={1: 31, 2: 4, 3: 5}, received={E1: 6}),
        Case(name="a correction counts without what it corrects", messages=[*live(gap(), B, C, newer), ledger(entry(5))], state="incomplete",
             faces={1: 30, 2: 4, 3: 5}, missing=[[E1, STREAM, 2, 2]], received={E1: 4}),
        Case(name="a correction moves a window", messages=[*live(gap(), A, B, C, moved), ledger(entry(5))], state="complete", faces={8: 3, 2: 4, 3: 5},
             received={E1: 5}),
        Case(name="a window without a time is in no window", messages=[*live(gap(), undated, B, C), ledger(entry(4))], state="complete", faces={2: 4, 3: 5},
             received={E1: 4}),
        Case(name="its correction knows the time", messages=[*live(gap(), undated, B, C, window(5, 1, 3, of=2)), ledger(entry(5))], state="complete",
             faces=ABC, received={E1: 5}),
        Case(name="two windows of one minute add up", messages=[*live(gap(), A, B, window(4, 2, 6)), ledger(entry(4))], state="complete", faces={1: 3, 2: 10},
             received={E1: 4}),
        Case(name="two contents of one number count in nothing", messages=[*live(gap(), A, window(2, 1, 9), B, C), ledger(entry(4))], state="incomplete",
             faces={2: 4, 3: 5}, received={E1: 4}),
        Case(name="a conflict falls back to what was corrected", messages=[*live(gap(), A, B, C, newer, window(5, 1, 99, of=2)), ledger(entry(5))],
             state="incomplete", faces=ABC, received={E1: 5}),
    ]  # fmt: skip


def _epochs() -> list[Case]:
    first = live(gap(), A, B, C)
    carried = window(2, 4, 8, epoch=E2, carry=(E1, 4))
    rival = [gap(E3, 3, 5), window(2, 4, 2, epoch=E3, carry=(E1, 4))]
    fork = ledger(entry(2), epoch=E3, prev=E1, why="restore", minute=40, older=[(E1, None, entry(4))])
    issued = window(5, 4, 9)
    after_carry = ledger(entry(2), epoch=E2, prev=E1, why="boot", older=[(E1, None, entry(4))])
    return [
        Case(name="a second epoch", messages=[*first, *live(*SECOND), AFTER_BOOT], state="complete", faces={**ABC, 5: 7}, received={E1: 4, E2: 2}),
        Case(name="the tail of an older epoch is missing", messages=[*live(gap(), A, B), *live(*SECOND), AFTER_BOOT], state="incomplete",
             faces={1: 3, 2: 4, 5: 7}, missing=[[E1, STREAM, 4, 4]], received={E1: 3, E2: 2}),
        Case(name="the newest epoch that names an older one is right about it",
             messages=[*live(gap(), A), ledger(entry(4, todo=[(3, 4)])), *live(*SECOND),
                       ledger(entry(2), epoch=E2, prev=E1, why="boot", older=[(E1, None, entry(4, lost=[(3, 4, "retention", {})]))])],
             state="incomplete", faces={1: 3, 5: 7}, received={E1: 2, E2: 2}),
        Case(name="a carried window counts", messages=[*first, *live(gap(E2, 3, 5), carried), after_carry], state="complete", faces={**ABC, 4: 8},
             received={E1: 4, E2: 2}),
        Case(name="a carried window does not count when the old epoch has issued it",
             messages=[*first, *live(issued, gap(E2, 3, 5), carried), ledger(entry(2), epoch=E2, prev=E1, why="boot", older=[(E1, None, entry(5))])],
             state="complete", faces={**ABC, 4: 9}, received={E1: 5, E2: 2}),
        Case(name="of several carried from one, the fullest counts", messages=[*first, *live(gap(E2, 3, 5), carried, *rival), after_carry, fork],
             state="incomplete", faces={**ABC, 4: 8}, received={E1: 4, E2: 2, E3: 2}),
        Case(name="an epoch of no known chain is never complete", messages=[*ALL, *live(gap(E4, None, 9), window(2, 9, 2, epoch=E4))], state="incomplete",
             faces={**ABC, 9: 2}, received={E1: 4, E4: 2}),
        Case(name="two epochs after one", messages=[*first, *live(*SECOND), AFTER_BOOT, *live(gap(E3, 3, 6), window(2, 6, 1, epoch=E3)), fork],
             state="incomplete", faces={**ABC, 5: 7, 6: 1}, received={E1: 4, E2: 2, E3: 2}),
    ]  # fmt: skip


def _bytes() -> list[Case]:
    bad = (topics.back(DEVICE, STREAM), A + b"\n{not json\n" + B)
    bomb = (topics.back(DEVICE, STREAM), zlib.compress(b" " * (2 << 20)))
    wrong = (topics.live(DEVICE, "summary/other/m1"), window(9, 9, 9))
    later = window(5, 4, 1)[:-1] + b',"new_key":{"a":[1,2]}}'
    kind = b'{"v":1,"d":"farm/gate","k":"new","epoch":"%s","st":"%s","seq":5,"of":5}' % (E1.encode(), STREAM.encode())
    foreign = [("edge/v1/farm/gate/cmd/ping", b"{}"), ("home/lamp", b"on")]
    return [
        Case(name="a batch", messages=[*back(gap(), A, B, C), ledger(entry(4))], state="complete", faces=ABC, received={E1: 4}),
        Case(name="a plain batch", messages=[*back(gap(), A, B, C, compress=False), ledger(entry(4))], state="complete", faces=ABC, received={E1: 4}),
        Case(name="the same items alone and in batches", messages=[*live(gap(), B), *back(A, B, C), *back(C, gap()), ledger(entry(4))], state="complete",
             faces=ABC, received={E1: 4}),
        Case(name="a line that cannot be read, between two that can", messages=[*live(gap(), C), bad, ledger(entry(4))], state="complete", faces=ABC,
             received={E1: 4}),
        Case(name="a batch that unpacks to 2 MB", messages=[*ALL, bomb], state="complete", faces=ABC, received={E1: 4}),
        Case(name="an item on another stream's topic", messages=[*ALL, wrong], state="complete", faces=ABC, received={E1: 4}),
        Case(name="keys that are not known yet", messages=[*live(gap(), A, B, C, later), ledger(entry(5))], state="complete", faces={**ABC, 4: 1},
             received={E1: 5}),
        Case(name="an item of a kind that is not known yet", messages=[*live(gap(), A, B, C, kind), ledger(entry(5))], state="complete", faces=ABC,
             received={E1: 5}),
        Case(name="messages that are none of these", messages=[*foreign, *ALL], state="complete", faces=ABC, received={E1: 4}),
    ]  # fmt: skip


def _said() -> list[Case]:
    return [
        Case(name="no ledger", messages=live(gap(), A, B, C), state="unknown", faces=ABC, received={E1: 4}),
        Case(name="the connection was lost", messages=[*ALL, status("online", 4), status("lost", 4)], state="unknown", faces=ABC, received={E1: 4}),
        Case(name="a late will of an earlier session", messages=[*ALL, status("lost", 3), status("online", 4)], state="complete", faces=ABC, received={E1: 4}),
        Case(name="it ended in good order", messages=[*ALL, status("online", 4), status("offline", 4)], state="complete", faces=ABC, received={E1: 4}),
        Case(name="rows that have no time yet", messages=[*live(gap(), A, B, C), ledger(entry(4), undated={"yard": (7, 3)})], state="incomplete", faces=ABC,
             received={E1: 4}),
        Case(name="nothing but a ledger", messages=[ledger(entry(2))], state="incomplete", faces={}, missing=[[E1, STREAM, 1, 2]], received={}),
    ]  # fmt: skip

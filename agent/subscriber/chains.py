"""Which epochs belong together: each names its parent, so a device's epochs form a chain; where they do not, something happened.

The newest epoch of a device is the one that is nobody's ancestor; of several (a store restored from an image, a clone, a new card) the
one whose own messages are the latest. The others are orphans: nobody can say any more what became of their last numbers.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from agent.messages import times


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """One device. epochs: newest first, `epochs[0]` runs. ends: the oldest names no parent, so nothing older is unknown.

    orphans: epochs seen under this device that no chain holds. moved_to: the device whose chain goes on from here, else "".
    """

    device: str
    epochs: tuple[str, ...]
    ends: bool
    orphans: tuple[str, ...]
    moved_to: str


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """forks: parent → its children, two or more. shared: epoch → the devices that claim to run it, two or more."""

    devices: tuple[Chain, ...]
    parents: dict[str, str]
    forks: dict[str, tuple[str, ...]]
    shared: dict[str, tuple[str, ...]]

    def depth(self, epoch: str) -> int:
        return len(_walk(epoch, self.parents)) - 1


def read(connection: sqlite3.Connection) -> Chains:
    parents: dict[str, str] = {}
    children: dict[str, set[str]] = defaultdict(set)
    for epoch, prev in connection.execute("SELECT epoch, max(prev) FROM link GROUP BY epoch"):
        parents[epoch] = prev
        if prev:
            children[prev].add(epoch)
    owners: dict[str, set[str]] = defaultdict(set)  # epoch → devices that ran it
    seen: dict[str, set[str]] = defaultdict(set)  # device → epochs
    for epoch, device, own in connection.execute("SELECT epoch, device, own FROM root"):
        seen[device].add(epoch)
        if own:
            owners[epoch].add(device)
    latest = _latest(connection)
    ancestors = {epoch for leaf in owners for epoch in _walk(leaf, parents)[1:]}
    newest: dict[str, str] = {}
    for epoch in sorted(owners, key=lambda one: (latest.get(one, 0), one)):
        if epoch not in ancestors:
            newest.update(dict.fromkeys(owners[epoch], epoch))
    walked = {device: tuple(_walk(epoch, parents)) for device, epoch in newest.items()}
    held = {epoch: device for device, epochs in sorted(walked.items()) for epoch in epochs}
    devices = []
    for (device,) in connection.execute("SELECT device FROM device ORDER BY device"):
        epochs = walked.get(device, ())
        lost = tuple(sorted(epoch for epoch in seen[device] if epoch not in held))
        moved_to = "" if epochs else next((held[epoch] for epoch in sorted(seen[device]) if epoch in held), "")
        ends = bool(epochs) and parents.get(epochs[-1]) == ""
        devices.append(Chain(device=device, epochs=epochs, ends=ends, orphans=lost, moved_to=moved_to))
    return Chains(
        devices=tuple(devices),
        parents=parents,
        forks={prev: tuple(sorted(several)) for prev, several in sorted(children.items()) if len(several) > 1},
        shared={epoch: tuple(sorted(several)) for epoch, several in sorted(owners.items()) if len(several) > 1},
    )


def _walk(epoch: str, parents: Mapping[str, str]) -> list[str]:
    """The epoch and its ancestors, newest first; a circle, which no device makes, is cut."""
    found = [epoch]
    while (prev := parents.get(found[-1], "")) and prev not in found:
        found.append(prev)
    return found


def _latest(connection: sqlite3.Connection) -> dict[str, int]:
    """The device's own time of the newest status, birth or ledger of an epoch, in microseconds."""
    result: dict[str, int] = {}
    for table in ("ledger", "status", "birth"):
        for epoch, at in connection.execute(f"SELECT epoch, at FROM {table}"):
            result[epoch] = max(result.get(epoch, 0), times.parse(at))
    return result

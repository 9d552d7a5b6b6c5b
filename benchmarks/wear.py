"""Bytes that reach the disk: for a result stored, and in a day, by `max_loss_s`. Part of `benchmarks.store`.

A result: from the opening of an empty store to its end, all in one file again, the log's first growth included.
A day: the bytes of one commit in the long run, checkpoints and minute items included, times the commits of a day. A file system writes
its own books every 5 s besides; what that costs a commit is measured with a sync after each one, and counted as often as it happens.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.store.transaction import Job
from benchmarks.figures import Figure, at_most, known
from benchmarks.lane_load import busy_second, commit, idle_second, load, open_loaded
from benchmarks.loop_disk import LoopDisk, loop_disk

# Results a transaction, and the most bytes that each may cost.
SIZES = {100: 230.0, 1000: 100.0}
_RESULTS = 120_000
# What a lane does in a second.
LANES: dict[str, Callable[[int], Job]] = {
    "an idle lane": idle_second,
    "a lane of 10 results/s": partial(busy_second, inputs=5),
}
# Ticks a commit, by `max_loss_s`. A lane has a tick a second: more often than that nothing is committed.
LOSSES_S = {0.2: 1, 1.0: 1, 5.0: 5, 60.0: 60}
_DAY_S = 86_400
_JOURNAL_S = 5.0
# So many pages that the log comes round: after that it is overwritten and no longer grows, and a checkpoint is among what is measured.
_ROUND = 1_100
_SYNCED = 100


def figures(*, quick: bool) -> Iterator[Figure]:
    """NoDisk where nothing can be mounted."""
    for size, most in SIZES.items():
        value = round(bytes_a_result(size, _RESULTS // size), 1)
        yield at_most(f"bytes to the disk a result, {size} a commit", value, "B", target=most)
    for name, second in LANES.items():
        measured: dict[int, tuple[float, float]] = {}
        for loss_s, ticks in LOSSES_S.items():
            if ticks not in measured:
                measured[ticks] = commit_bytes(second, ticks, _ROUND // (3 if quick else 1))
            lone, synced = measured[ticks]
            a_day = (lone + max(0.0, synced - lone) * min(1.0, ticks / _JOURNAL_S)) * _DAY_S / ticks
            yield known(f"bytes to the disk of {name}, max_loss_s {loss_s:g}", round(a_day / 1e6), "MB/day")


def bytes_a_result(size: int, groups: int) -> float:
    prepared = load(size, groups)
    with _disk() as disk:
        begun = disk.written_bytes()
        with open_loaded(disk.folder / "data") as store:
            for jobs in prepared.groups:
                commit(store, jobs)
        disk.sync()
        return (disk.written_bytes() - begun) / prepared.results


def commit_bytes(second: Callable[[int], Job], ticks: int, commits: int) -> tuple[float, float]:
    """Of a commit of so many ticks: as it is, and with the file system's books after each."""
    at_us = 10**11
    with _disk() as disk, open_loaded(disk.folder / "data") as store:

        def run(times: int, *, synced: bool = False) -> float:
            nonlocal at_us
            disk.sync()
            begun = disk.written_bytes()
            for _ in range(times):
                jobs = [second(at_us + 1_000_000 * number) for number in range(1, ticks + 1)]
                at_us += 1_000_000 * ticks
                commit(store, jobs)
                if synced:
                    disk.sync()
            disk.sync()
            return (disk.written_bytes() - begun) / times

        run(_ROUND // ticks + 300)
        return run(commits), run(_SYNCED, synced=True)


@contextmanager
def _disk() -> Iterator[LoopDisk]:
    with (
        tempfile.TemporaryDirectory() as folder,
        loop_disk(Path(folder), megabytes=256) as disk,
    ):
        disk.sync()
        yield disk

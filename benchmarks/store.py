"""Results stored a second, their ticks, events, summaries and items included, against raw sqlite3 `executemany` of as many result rows; how soon an
event is on the medium; what a lane's second costs the lane; and the bytes that reach the disk (wear.py).

Ours and raw write ahead and sync every commit (WAL, synchronous=FULL) with the same number of results a transaction and the same page size, on
the same disk, in turns. Ours is given records (lane_load.py) from another thread, which waits for each commit; raw is given rows that are made.
The bytes are those of a loop device with ext4, the file system's own included: they need root.
`--json`: a line a figure. `--quick`: under 50 s.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from agent.store.connection import connect_to_write
from agent.store.schema import TABLES
from benchmarks import wear
from benchmarks.figures import Figure, at_least, at_most, known, parser, say, skipped
from benchmarks.lane_load import (
    WAIT_S,
    busy_second,
    commit,
    event_second,
    idle_second,
    load,
    open_loaded,
)
from benchmarks.loop_disk import NoDisk

# Results a transaction; the target for each, as a share of raw.
SIZES = {30: 0.6, 100: 0.6, 1000: 0.6}
_FIRST_US = 10**11
# What a commit of two seconds writes.
_PAGES_BYTES = 16_384


def main() -> None:
    arguments_of = parser(__doc__)
    arguments_of.add_argument("--folder", type=Path, help="a folder on the disk that is to be measured")
    arguments = arguments_of.parse_args()
    rounds = 3 if arguments.quick else 9
    for size, target in SIZES.items():
        groups = max(10, (6_000 if arguments.quick else 30_000) // size)
        ours, raw = [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                raw.append(raw_rate(Path(folder), size, groups))
                ours.append(store_rate(Path(folder) / "data", size, groups))
        ratio = statistics.median(one / other for one, other in zip(ours, raw, strict=True))
        rate, base = round(statistics.median(ours)), round(statistics.median(raw))
        say(
            known(f"results stored, {size} a commit", rate, "/s", baseline=base),
            as_json=arguments.json,
        )
        say(
            at_least(
                f"share of raw executemany, {size} a commit",
                round(ratio, 3),
                "ratio",
                baseline=1.0,
                target=target,
            ),
            as_json=arguments.json,
        )
    for figure in (
        *event_delays(arguments.folder, 100 if arguments.quick else 400),
        submit_cost(arguments.folder),
    ):
        say(figure, as_json=arguments.json)
    try:
        for figure in wear.figures(quick=arguments.quick):
            say(figure, as_json=arguments.json)
    except NoDisk as reason:
        skipped(f"bytes to the disk: {reason}")


def store_rate(folder: Path, size: int, groups: int) -> float:
    prepared = load(size, groups)
    with open_loaded(folder) as store:
        begun = time.perf_counter()
        for jobs in prepared.groups:
            commit(store, jobs)
        took_s = time.perf_counter() - begun
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (prepared.results,)
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (prepared.events,)
    return prepared.results / took_s


def raw_rate(folder: Path, size: int, groups: int) -> float:
    with closing(connect_to_write(folder / "raw.sqlite")) as connection:  # with the pragmas of the store
        connection.executescript(TABLES)
        row = (1, 10**11, 1, 2, 3, 9100, 1000, 2000, 5000, 9000, None, None, None)
        prepared = [[(group * size + place + 1, *row) for place in range(size)] for group in range(groups)]
        begun = time.perf_counter()
        for rows in prepared:
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            connection.execute("COMMIT")
        return size * groups / (time.perf_counter() - begun)


def event_delays(where: Path | None, rounds: int) -> Sequence[Figure]:
    """From the submission of a second with an event to the answer that it is on the medium, while `max_loss_s` is a minute and two seconds of the
    lane wait already; less the time of one `fdatasync` of a few pages beside it.
    """
    delays_ms = []
    with (
        tempfile.TemporaryDirectory(dir=where) as folder,
        open_loaded(Path(folder) / "data") as store,
    ):
        file = os.open(Path(folder) / "beside", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for number in range(rounds):
                at_us = _FIRST_US + 3_000_000 * number
                for passed_us in (1_000_000, 2_000_000):
                    store.submit(busy_second(at_us + passed_us))
                begun = time.perf_counter()
                store.submit(event_second(at_us + 2_500_000), ends_group=True).wait(WAIT_S)
                answered = time.perf_counter()
                os.pwrite(file, os.urandom(_PAGES_BYTES), 0)
                os.fdatasync(file)
                delays_ms.append(1000 * max(0.0, 2 * answered - begun - time.perf_counter()))
        finally:
            os.close(file)
    delays_ms.sort()
    return (
        known(
            "an event to the medium, median, less one fsync",
            round(delays_ms[len(delays_ms) // 2], 2),
            "ms",
        ),
        at_most(
            "an event to the medium, 95 of 100, less one fsync",
            round(delays_ms[len(delays_ms) * 95 // 100], 2),
            "ms",
            target=50.0,
        ),
    )


def submit_cost(where: Path | None) -> Figure:
    """CPU of the lane's thread for handing over the job of a second."""
    jobs = 200  # fewer than the queue has places
    with (
        tempfile.TemporaryDirectory(dir=where) as folder,
        open_loaded(Path(folder) / "data") as store,
    ):
        costs = []
        for turn in range(20):
            at_us = _FIRST_US + 1_000_000 * jobs * turn
            prepared = [idle_second(at_us + 1_000_000 * number) for number in range(jobs)]
            begun = time.thread_time()
            for job in prepared:
                store.submit(job)
            costs.append(time.thread_time() - begun)
            store.submit(idle_second(at_us + 1_000_000 * jobs), ends_group=True).wait(WAIT_S)
    return known(
        "handing a second to the store, of the lane's CPU",
        round(statistics.median(costs) / jobs * 1e6, 1),
        "us",
    )


if __name__ == "__main__":
    main()

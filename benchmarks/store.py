"""Results stored a second, their ticks and items included, against raw sqlite3 `executemany` of the same result rows.

Both write ahead and sync every commit (WAL, synchronous=FULL) with the same number of results a transaction, on the same disk, in turns.
`--json`: a line a figure. `--quick`: under 50 s.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from agent.clock import SystemClock
from agent.records import Detections, Inference, LaneSecond, Tick
from agent.store import items
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.schema import TABLES
from agent.store.settings import Config
from agent.store.transaction import Job, Transaction
from agent.store.writer import open_store
from agent.values import Bytes
from benchmarks.figures import at_least, known, parser, say

# Results a transaction; the target for each, as a share of raw.
SIZES = {30: 0.5, 100: 0.5, 1000: 0.5}
# Results a lane's second: 25 inputs with two faces each.
SECOND = 50
WAIT_S = 60.0


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
        say(known(f"results stored, {size} a commit", rate, "/s", baseline=base), as_json=arguments.json)
        say(
            at_least(
                f"share of raw executemany, {size} a commit", round(ratio, 3), "ratio", baseline=1.0, target=target
            ),
            as_json=arguments.json,
        )


def seconds(size: int, groups: int) -> Iterator[list[Job]]:
    """Per group the jobs of lanes' seconds that hold `size` results together."""
    at_us = 10**9
    boxes = np.array([[0.1, 0.2, 0.5, 0.9], [0.3, 0.2, 0.4, 0.8]], np.float32)
    found = Detections(labels=("face", "face"), scores=np.array([0.91, 0.83], np.float32), boxes=boxes)
    for _ in range(groups):
        jobs = []
        for first in range(0, size, SECOND):
            inputs = min(SECOND, size - first) // 2
            at_us += 1_000_000
            jobs.append(
                lane_second_job(
                    LaneSecond(
                        lane="yard", tick=Tick(at_us=at_us, alive_us=1_000_000, dropped=0), seen=inputs, gated=0, inferred=inputs, failed=0,
                        inferences=tuple(
                            Inference(model="faces", at_us=at_us - 1_000_000 + 20_000 * place, detections=found, took_ms=12.0)
                            for place in range(inputs)
                        ),
                        events=(), models={"faces": (inputs, 0)}, measured={}, latencies={"faces": {62: inputs}},
                    )
                )
            )  # fmt: skip
        yield jobs


def store_rate(folder: Path, size: int, groups: int) -> float:
    prepared = list(seconds(size, groups))

    def hook(transaction: Transaction) -> None:
        if transaction.last_id:
            items.append(transaction, "summary/yard/m1", lambda number: b'{"seq":%d}' % number + b" " * 800)

    clock = SystemClock()
    with open_store(
        folder,
        clock=clock,
        device="bench/one",
        settings=Config(keep_free=Bytes(0)),
        hooks=[hook],
        grains={"yard": [60]},
    ) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(WAIT_S)
        begun = time.perf_counter()
        for jobs in prepared:
            for job in jobs[:-1]:
                store.submit(job)
            store.submit(jobs[-1], ends_group=True).wait(WAIT_S)
        took_s = time.perf_counter() - begun
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (size * groups,)
    return size * groups / took_s


def raw_rate(folder: Path, size: int, groups: int) -> float:
    with closing(sqlite3.connect(folder / "raw.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(TABLES)
        row = (1, 10**9, 1, 2, 3, 9100, 1000, 2000, 5000, 9000, None, None, None)
        prepared = [[(group * size + place + 1, *row) for place in range(size)] for group in range(groups)]
        begun = time.perf_counter()
        for rows in prepared:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        return size * groups / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()

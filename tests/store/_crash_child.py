"""What tests/store/test_crash.py kills: two lanes and a hook that makes items, as fast as the store takes them.

`python _crash_child.py FOLDER REPORT [PAUSE_S]`, with the project on PYTHONPATH: REPORT gets a line after each commit returned. PAUSE_S: between two
seconds of a lane.
"""

import itertools
import os
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np

from agent.clock import SystemClock
from agent.records import Detections, Inference, LaneSecond, Tick
from agent.store import items
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Committed, open_store
from agent.values import Bytes


def main(folder: Path, report: Path, pause_s: float) -> None:
    clock = SystemClock()
    file = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(committed: Committed) -> None:
        os.write(file, msgspec.json.encode(committed) + b"\n")

    def hook(transaction: Transaction) -> None:
        for stream in ("event/yard", "summary/pump/m1"):
            # A body that no other run makes: a number given twice would be seen.
            items.append(transaction, stream, lambda number: b"%d %s" % (number, os.urandom(16).hex().encode()))

    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(
        folder, clock=clock, device="s/n", settings=settings, hooks=[hook], report=tell, grains={"yard": [60]}
    ) as store:
        store.submit(clock_job(clock.reading()))

        never = threading.Event()

        def lane(name: str) -> None:
            for number in itertools.count():
                found = Detections(
                    labels=("face",), scores=np.array([0.5], np.float32), values=np.array([float(number)])
                )
                count = number % 3
                inferences = tuple(
                    Inference(model="faces", at_us=clock.boot_us(), detections=found, took_ms=1.0) for _ in range(count)
                )
                second = LaneSecond(
                    lane=name, tick=Tick(at_us=clock.boot_us(), alive_us=1, dropped=0), seen=count, gated=0, inferred=count, failed=0,
                    inferences=inferences, events=(), models={"faces": (count, 0)}, measured={}, latencies={},
                )  # fmt: skip
                store.submit(lane_second_job(second), ends_group=number % 50 == 0)
                clock.wait(never, pause_s)

        other = threading.Thread(target=lane, args=("pump",), daemon=True)
        other.start()
        lane("yard")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)

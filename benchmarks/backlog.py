"""Memory of the agent's store and sync with a backlog of a million items, against the same with none.

Each is a process of its own that opens the store, and the sync to a real Mosquitto; RSS is read when the link has not been there for 5 s, and its
greatest value once the link is there and 10 s of the backlog have gone. The items are minute summaries of 100 lanes, one of them with half of all.
`--json`: a line a figure. `--quick`: 100,000 items, under 50 s. Needs mosquitto (apt).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.messages import times
from agent.store import items
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.values import Bytes
from benchmarks.brokers import CLOCK, NoBrokerError, broker, free_port, syncing, until
from benchmarks.figures import at_most, known, parser, say, skipped

DEVICE = "bench/one"
LANES = 100
TARGET_MB = 10.0
_AT_ONCE = 10_000
_DEAD_S, _DRAIN_S = 5.0, 10.0
_LIMIT_S = 600.0


def main() -> int:
    arguments_of = parser(__doc__)
    arguments_of.add_argument("--measure", nargs=2, metavar=("FOLDER", "PORT"), help="the child: prints what it takes")
    arguments = arguments_of.parse_args()
    if arguments.measure:
        folder, port = arguments.measure
        print(json.dumps(measured(Path(folder), int(port))))
        return 0
    count = 100_000 if arguments.quick else 1_000_000
    try:
        with tempfile.TemporaryDirectory() as folder:
            few, many = Path(folder) / "few", Path(folder) / "many"
            fill(few, LANES)
            fill(many, count)
            none, full = child(few), child(many)
    except NoBrokerError as reason:
        skipped(str(reason))
        return 0
    for what, place in (("the link is dead", 0), ("it drains, greatest", 1)):
        say(
            known(
                f"RSS with {count:,} items waiting, {what}", round(full[place], 1), "MB", baseline=round(none[place], 1)
            ),
            as_json=arguments.json,
        )
        more = round(full[place] - none[place], 1)
        say(
            at_most(f"more than with {LANES}, {what}", more, "MB", baseline=0.0, target=TARGET_MB),
            as_json=arguments.json,
        )
    say(known(f"drained of {count:,} in {_DRAIN_S:.0f} s", full[2], "items"), as_json=arguments.json)
    return 0


def fill(folder: Path, count: int) -> None:
    """Items of `count` closed minutes, the newest an hour ago: nothing of them is news."""
    with opened(folder) as store:
        now_us = CLOCK.boot_us() + CLOCK.reading().utc_offset_us
        made = 0

        def job(transaction: Transaction) -> None:
            for place in range(made, min(made + _AT_ONCE, count)):
                lane = 0 if place % 2 and count > LANES else place % LANES
                text = times.text_s((now_us // 60_000_000 - 60 - (count - place) // LANES) * 60_000_000)
                items.append(
                    transaction,
                    f"summary/lane{lane}/m1",
                    lambda seq, lane=lane, text=text: body(transaction, lane, seq, text),
                )

        while made < count:
            store.submit(job, ends_group=True).wait(_LIMIT_S)
            made += _AT_ONCE


def body(transaction: Transaction, lane: int, seq: int, text: str) -> bytes:
    some = [seq * 7919 * place % 997 for place in range(1, 9)]
    return json.dumps(
        {
            "v": 1, "d": DEVICE, "k": "sum", "epoch": transaction.epoch_text, "st": f"summary/lane{lane}/m1", "seq": seq, "of": seq, "rev": 0,
            "w": [text, 60], "at": text, "tq": {"s": "ntp", "e": 35}, "boot": 1, "cfg": "sha256:" + "ab12" * 16, "cover": 1.0,
            "fr": dict(zip(("seen", "gated", "inf", "drop", "fail"), some, strict=False)),
            "models": {"faces": {"sha": "sha256:" + "4f1c" * 16, "inf": some[5], "n": {"face": some[6]}, "uniq": {},
                                 "lat": {"p50": 14.6, "p95": 21.2, "sk": {"g": 0.02, "b": [[118, some[7]], [119, some[3]]]}}}},
        },
        separators=(",", ":"),
    ).encode()  # fmt: skip


def opened(folder: Path):  # type: ignore[no-untyped-def]
    return open_store(folder, clock=CLOCK, device=DEVICE, settings=Config(keep_free=Bytes(0)))


def child(folder: Path) -> tuple[float, float, int]:
    """RSS in MB with a dead link, its greatest with a broker that is there, and how many items went."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.backlog", "--measure", str(folder), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has seen enough of the dead link
        with broker(port):
            answer = process.stdout.readline()
        process.wait(_LIMIT_S)
    dead, greatest, drained = json.loads(answer)
    return dead, greatest, drained


def measured(folder: Path, port: int) -> tuple[float, float, int]:
    with opened(folder) as store:
        return _measured(store, port)


def _measured(store: Store, port: int) -> tuple[float, float, int]:
    with syncing(store, port, device=DEVICE, reconnect_max_s=1.0) as sync:
        time.sleep(_DEAD_S)
        dead = _rss_mb()
        print(flush=True)
        until(lambda: sync.state.connected, "a connection")
        greatest, end = 0.0, time.monotonic() + _DRAIN_S
        while time.monotonic() < end:
            greatest = max(greatest, _rss_mb())
            time.sleep(0.05)
        return dead, greatest, sync.state.items


def _rss_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())

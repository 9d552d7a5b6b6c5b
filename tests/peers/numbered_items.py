"""Items in a store as the hooks would make them: real bodies, numbered and stored in one transaction; and a birth.

append_summaries(store, "yard", 30)             # stream summary/yard/m1, windows one after another up to now
append_events(store, "yard", 2)
numbers(store)                                  # {(epoch text, stream): {seq: (state, body)}}
partition(ledger, store)                        # asserts that each number is exactly one of acknowledged, todo, held, lost
"""

from collections.abc import Callable

from agent.clock import SystemClock
from agent.messages import birth as births
from agent.messages import envelope, event, ledger, summary, times
from agent.store import items
from agent.store.transaction import Transaction
from agent.store.writer import Store

DEVICE = "north-farm/gate-07"
CONFIG_DIGEST = "sha256:00"
LIMIT_S = 20.0


def utc_us() -> int:
    reading = SystemClock().reading()
    return reading.at_us + reading.utc_offset_us


def append_summaries(
    store: Store, lane: str, count: int, *, grain_s: int = 60, end_us: int | None = None, seen: int = 100
) -> None:
    """`count` windows, the last one ended at end_us (default: at the last full grain)."""
    step_us = grain_s * 1_000_000
    last_us = (utc_us() if end_us is None else end_us) // step_us * step_us
    stream = envelope.summary_stream(lane, grain_s)

    def job(transaction: Transaction) -> None:
        for place in range(count):
            items.append(
                transaction,
                stream,
                summary_body(transaction, stream, last_us - (count - place) * step_us, grain_s, seen),
            )

    store.submit(job, ends_group=True).wait(LIMIT_S)


def append_events(store: Store, lane: str, count: int) -> None:
    stream = envelope.event_stream(lane)

    def job(transaction: Transaction) -> None:
        for _ in range(count):
            items.append(transaction, stream, event_body(transaction, stream, utc_us()))

    store.submit(job, ends_group=True).wait(LIMIT_S)


def summary_body(
    transaction: Transaction, stream: str, start_us: int, grain_s: int, seen: int = 100
) -> Callable[[int], bytes]:
    device, epoch, boot = transaction.device, transaction.epoch_text, transaction.boot

    def make(seq: int) -> bytes:
        return envelope.encode(
            summary.Summary(
                d=device, epoch=epoch, st=stream, seq=seq, of=seq, at=times.text_ms(start_us + grain_s * 1_000_000),
                tq=envelope.Quality(s="ntp", e=3), boot=boot, w=(times.text_s(start_us), grain_s), cfg=CONFIG_DIGEST, cover=1.0,
                fr=summary.Inputs(seen=seen, gated=seen - 30, inf=28, drop=1, fail=1),
                models={
                    "faces": summary.ModelCounts(
                        sha="sha256:4f1c", inf=28, n={"face": seq % 7}, uniq={},
                        lat=summary.Latency(p50=14.6, p95=21.2, sk=summary.Sketch(g=0.02, b=[(118, 3), (119, 25)])),
                    )
                },
                cost=summary.Cost(j=None, tx=None, rx=None, alt=None),
            )
        )  # fmt: skip

    return make


def event_body(transaction: Transaction, stream: str, at_us: int) -> Callable[[int], bytes]:
    device, epoch, boot = transaction.device, transaction.epoch_text, transaction.boot

    def make(seq: int) -> bytes:
        return envelope.encode(
            event.Event(
                d=device, epoch=epoch, st=stream, seq=seq, of=seq, at=times.text_ms(at_us), tq=envelope.Quality(s="ntp", e=3),
                boot=boot, t=(times.text_ms(at_us), None), rule="person-at-dock", sev="warn", phase="start", track=None,
                model="faces", label="face", score=0.9, box=None, zone=None, media=None,
            )
        )  # fmt: skip

    return make


def birth(store: Store, device: str = DEVICE) -> births.Birth:
    return births.Birth(
        d=device, epoch=store.epoch_text, prev=None, why="new", boot=store.boot, at=times.text_ms(utc_us()), agent="0", os=None,
        hw=births.Hardware(model=None, machine="x86_64", ram_mb=None, cores=None), cfg=CONFIG_DIGEST,
        tq=envelope.Quality(s="ntp", e=3), lanes={}, streams={}, cmds={"resend": 1},
    )  # fmt: skip


def numbers(store: Store) -> dict[tuple[str, str], dict[int, tuple[int, bytes]]]:
    """What the store holds: (epoch, stream) → number → (state, bytes)."""
    found: dict[tuple[str, str], dict[int, tuple[int, bytes]]] = {}
    with store.read() as connection:
        for epoch, stream, seq, state, body in connection.execute(
            "SELECT epoch.text, name.text, seq, state, body FROM item JOIN epoch ON epoch.id = item.epoch JOIN name ON name.id = stream"
        ):
            found.setdefault((epoch, stream), {})[seq] = (state, body)
    return found


def partition(body: ledger.Ledger) -> None:
    """Asserts that no number is in two of todo, held, lost, and none is outside 1..hi."""
    entries = [body.streams, *(older.streams for older in body.older)]
    for streams in entries:
        for name, entry in streams.items():
            seen: set[int] = set()
            ranges = [(one[0], one[1]) for one in (*entry.todo, *entry.held)] + [
                (one.first, one.last) for one in entry.lost
            ]
            for first, last in ranges:
                assert 1 <= first <= last <= entry.hi, (name, entry)
                numbers_ = set(range(first, last + 1))
                assert not numbers_ & seen, (name, entry)
                seen |= numbers_


def unacknowledged(body: ledger.Ledger) -> int:
    """How many numbers are todo, held or lost."""
    return sum(
        one[1] - one[0] + 1
        for streams in [body.streams, *(older.streams for older in body.older)]
        for entry in streams.values()
        for one in (*entry.todo, *entry.held, *((lost.first, lost.last) for lost in entry.lost))
    )

"""Closing a window costs one pass over its rows. The limits are many times what is measured: they find a query that reads too much, not a
slow machine. m1 of 6,000 rows takes 4 ms here, h1 of 360,000 rows 0.1 s."""

import time

from peers.store_by_hand import StoreByHand

from agent.messages.times import parse
from agent.store.transaction import Transaction
from agent.summaries import content, rollup

S = 1_000_000
T0 = parse("2026-11-24T03:00:00Z")


def filled(seconds: int, rows_a_second: int) -> StoreByHand:
    store = StoreByHand({"yard": (60, 3600)}, list)
    store.learn(T0)
    store.commit()

    def fill(transaction: Transaction) -> None:
        lane, model = transaction.name("lane", "yard"), transaction.name("model", "faces")
        labels = [transaction.name("label", label) for label in ("face", "cat", "dog")]
        results, ticks = [], []
        for number in range(1, seconds + 1):
            ids = transaction.next_ids(rows_a_second)
            results += [
                (one, 1, number * S, lane, model, labels[one % 3], 9000, 1, 2, 3, 4, None, None, None) for one in ids
            ]
            counts, measured = (
                f'{{"m":{{"faces":[{rows_a_second},0]}},"s":{{}}}}',
                f'{{"faces":[[28,{rows_a_second - 10}],[30,10]]}}',
            )
            ticks.append(
                (transaction.next_id(), 1, number * S, lane, S, rows_a_second, 0, rows_a_second, 0, 0, counts, measured)
            )
        transaction.connection.executemany(
            "INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", results
        )
        transaction.connection.executemany("INSERT INTO tick VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ticks)

    store.job(fill)
    store.commit()
    return store


def test_an_hour_of_100_rows_a_second() -> None:
    store = filled(3_600, 100)
    lane = store.transaction.name("lane", "yard")
    ids = store.connection.execute("SELECT id FROM tick ORDER BY id").fetchall()
    begun = time.perf_counter()
    hour = content.read(store.connection, str, lane, 0, ids[0][0], ids[-1][0])
    hour_s = time.perf_counter() - begun
    begun = time.perf_counter()
    minute = content.read(store.connection, str, lane, ids[59][0], ids[60][0], ids[119][0])
    minute_s = time.perf_counter() - begun
    assert sum(sum(labels.values()) for labels in hour.labels.values()) == hour.seen == 360_000
    assert sum(sum(labels.values()) for labels in minute.labels.values()) == minute.seen == 6_000
    assert minute_s < 0.1, f"a minute took {minute_s * 1000:.1f} ms"
    assert hour_s < 3.0, f"an hour took {hour_s * 1000:.1f} ms"


def test_a_group_in_an_open_hour_reads_only_its_own_ticks() -> None:
    """Counted in steps of SQLite's machine, so that no machine's speed matters."""
    store = filled(3_030, 10)
    store.make_hooks = lambda: [rollup.hook("sha256:cc")]
    store.start()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store.connection.set_progress_handler(count, 100)
    store.commit()
    store.connection.set_progress_handler(None, 0)
    assert steps < 10

"""A store with a long history: many boots, many lanes, and thousands of single numbers that are lost, with totals. No ledger of it is small.

long_history(tmp_path, boots=80)
"""

import random
from pathlib import Path

from peers.manual_clock import ManualClock
from peers.numbered_items import DEVICE, append_summaries

from agent.store.lost import lose
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

LANES = 12
LIMIT_S = 60.0


def long_history(folder: Path, boots: int, seed: int = 5) -> None:
    rng, settings = random.Random(seed), Config(max_loss_s=0.2, keep_free=Bytes(0))
    for boot in range(boots):
        clock = ManualClock(boot_us=10**9, boot=f"boot-{boot}")
        with open_store(folder, clock=clock, device=DEVICE, settings=settings) as store:
            for lane in range(LANES):
                append_summaries(store, f"lane-with-a-long-name-{lane}", 12, grain_s=60)
            store.submit(lambda transaction: _lose_some(transaction, rng), ends_group=True).wait(LIMIT_S)


def _lose_some(transaction: Transaction, rng: random.Random) -> None:
    rows = transaction.connection.execute(
        "SELECT id, stream, seq FROM item WHERE epoch = ? AND state < 2", (transaction.epoch,)
    ).fetchall()
    for number, stream, seq in rows:
        if rng.random() < 0.4:
            transaction.connection.execute("DELETE FROM item WHERE id = ?", (number,))
            lose(transaction, transaction.epoch, stream, seq, seq, "retention", '{"fr":{"seen":100},"n":{"person":3}}')

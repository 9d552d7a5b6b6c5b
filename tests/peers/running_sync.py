"""A store and a sync on it, as `run` opens them.

with opened_store(tmp_path) as store, syncing(store, broker.url) as sync: ...
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers.numbered_items import CONFIG_DIGEST, DEVICE, birth

from agent.clock import Clock, SystemClock
from agent.store.settings import Config as StoreConfig
from agent.store.writer import Store, open_store
from agent.sync.settings import Budget, Config
from agent.sync.states import Needs
from agent.sync.sync import Sync, open_sync
from agent.values import Bytes


@contextmanager
def opened_store(folder: Path, device: str = DEVICE, clock: Clock | None = None) -> Iterator[Store]:
    settings = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(folder, clock=clock or SystemClock(), device=device, settings=settings) as store:
        yield store


@contextmanager
def syncing(
    store: Store, url: str, *, ledger_s: float = 900.0, device: str = DEVICE, compress: bool = True, spread: float = 0.0,
    clock: Clock | None = None, budget: Budget | None = None, needs: Needs | None = None, **more: object,
) -> Iterator[Sync]:  # fmt: skip
    settings = Config(url=url, **{"reconnect_max_s": 1.0, **more})  # type: ignore[arg-type]
    with open_sync(
        store, settings, device=device, birth=lambda: birth(store, device), config_digest=CONFIG_DIGEST, clock=clock or SystemClock(),
        stop=threading.Event(), rng=random.Random(1), ledger_s=ledger_s, compress=compress, spread=spread, budget=budget, needs=needs,
    ) as sync:  # fmt: skip
        yield sync

"""How long a device waits between attempts at a broker that is not there: drawn at random below a bound that doubles up to the config's."""

import random
import socket
import threading
from pathlib import Path

from peers.numbered_items import CONFIG_DIGEST, DEVICE, birth
from peers.running_sync import opened_store

from agent.clock import SystemClock
from agent.sync.settings import Config
from agent.sync.sync import open_sync

LIMIT_S = 20.0
TRIES = 40
LONGEST_S = 64.0


class Hurried(SystemClock):
    """Writes down the waits between attempts and hardly waits. Shorter ones are those for the name look-up."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.enough = threading.Event()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if threading.current_thread().name == "sync" and seconds > 0.05:
            self.waits_s.append(seconds)
            if len(self.waits_s) >= TRIES:
                self.enough.set()
        return event.wait(min(seconds, 0.01))


def test_waits_grow_to_their_bound_and_are_drawn_at_random(tmp_path: Path) -> None:
    clock = Hurried()
    with socket.socket() as nobody, opened_store(tmp_path) as store:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        settings = Config(url=f"mqtt://127.0.0.1:{nobody.getsockname()[1]}", reconnect_max_s=LONGEST_S)
        with open_sync(
            store, settings, device=DEVICE, birth=lambda: birth(store), config_digest=CONFIG_DIGEST, clock=clock,
            stop=threading.Event(), rng=random.Random(1),
        ):  # fmt: skip
            assert clock.enough.wait(LIMIT_S)
    waits_s = clock.waits_s[:TRIES]
    assert all(wait_s <= 2.0 ** (place + 2) for place, wait_s in enumerate(waits_s[:4])), waits_s
    later_s = waits_s[10:]
    assert max(later_s) <= LONGEST_S
    assert max(later_s) > LONGEST_S * 0.75
    assert min(later_s) < LONGEST_S * 0.5, "devices that lost their broker together come back together"

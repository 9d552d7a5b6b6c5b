"""How often `state.json` is written: each writing is flash wear, and `status` must still hear of what changes."""

import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

from peers.manual_clock import ManualClock

from agent.pipeline.state_file import StateFile
from agent.pipeline.supervisor import LaneState
from agent.store.settings import Config
from agent.store.writer import Store, open_store
from agent.values import Bytes


def lanes(state: str) -> dict[str, LaneState]:
    return {
        "yard": LaneState(
            state=state, problem=None, input_at_us=None, restarts=0, models={}, refused_models=()
        )
    }  # fmt: skip


def written(store: Store) -> Any:
    return json.loads((store.folder / "state.json").read_bytes())


def test_what_changes_all_the_time_is_written_ten_times_at_once_then_every_5_s_and_the_last_word_at_once(
    tmp_path: Path,
) -> None:
    clock, stop = ManualClock(boot_us=5_000_000), threading.Event()
    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(tmp_path, clock=clock, device="test/gate-07", settings=settings) as store:
        file, times = StateFile(store, clock, stop), set[int]()
        for turn in range(1_000):  # 100 s of a lane that is another at each look
            file.tell(lanes("running" if turn % 2 else "failed"))
            times.add(written(store)["at_us"])
            clock.advance(0.1)
        assert len(times) == 10 + 19
        assert max(later - earlier for earlier, later in pairwise(sorted(times))) == 5_000_000
        assert not file.has_changed()  # the supervisor has told it; it is written when its time has come
        clock.advance(5.0)
        assert file.has_changed()
        file.tell(lanes("running"))
        assert written(store)["lanes"]["yard"]["state"] == "running"
        assert not file.has_changed()
        for _ in range(9):
            file.tell(lanes("running"))
        stop.set()
        file.tell(lanes("stopped"))
        assert written(store)["lanes"]["yard"]["state"] == "stopped"


def test_a_fault_and_the_first_input_that_is_not_stored_are_news(tmp_path: Path) -> None:
    clock = ManualClock(boot_us=5_000_000)
    settings = Config(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(tmp_path, clock=clock, device="test/gate-07", settings=settings) as store:
        file = StateFile(store, clock, threading.Event())
        file.tell(lanes("running"))
        assert not file.has_changed()
        store.progress.faults["lane yard"] = "it does not fit"
        assert file.has_changed()
        file.tell(lanes("running"))
        assert written(store)["faults"] == {"lane yard": "it does not fit"}
        store.progress.unstored["yard"] = 3
        assert file.has_changed()
        file.tell(lanes("running"))
        store.progress.unstored["yard"] = 4
        assert not file.has_changed()

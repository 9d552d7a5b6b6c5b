"""The birth message's content: who the device is and what runs on it, as configured and as opened."""

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.config.read import Loaded
from agent.messages import birth as message
from agent.messages.commands import COMMANDS
from agent.messages.envelope import Quality, summary_stream
from agent.messages.times import text_ms
from agent.pipeline import build
from agent.pipeline.live_lane import LiveLane
from agent.pipeline.supervisor import LaneState
from agent.store import reader
from agent.store.writer import Store
from agent.summaries import result_items
from agent.version import VERSION


def make_birth(
    loaded: Loaded, store: Store, clock: Clock, states: Mapping[str, LaneState], lane: Callable[[str], LiveLane]
) -> message.Birth:
    """As of now: what changes, such as a delegate that was got later, changes its digest."""
    reading = clock.reading()
    with store.read() as connection:
        running = reader.epochs(connection, 1)[0]
    return message.Birth(
        d=loaded.device,
        epoch=running.text,
        prev=running.prev,
        why=running.why,
        boot=running.boot,
        at=text_ms(reading.at_us + reading.utc_offset_us),
        agent=VERSION,
        os=_system(),
        hw=message.Hardware(model=_board(), machine=platform.machine(), ram_mb=_memory_mb(), cores=os.cpu_count()),
        cfg=loaded.digest,
        tq=Quality(s=reading.source, e=reading.error_ms),  # type: ignore[arg-type]  # the clock has these words
        lanes=_lanes(loaded, states, lane),
        streams=_streams(loaded),
        cmds=COMMANDS,
    )


def _lanes(loaded: Loaded, states: Mapping[str, LaneState], lane: Callable[[str], LiveLane]) -> dict[str, message.Lane]:
    return {
        name: message.Lane(
            source=config.source.kind,
            models={model: _model(loaded, name, model, states[name], lane(name)) for model in config.model},
        )
        for name, config in loaded.file.lane.items()
    }


def _streams(loaded: Loaded) -> dict[str, message.StreamInfo]:
    """Every stream that this config makes."""
    found: dict[str, message.StreamInfo] = {}
    for name, grains in build.grains(loaded.file).items():
        for grain_s in grains:
            found[summary_stream(name, grain_s)] = message.StreamInfo(grain=grain_s, schema="summary", units={})
    if loaded.file.sync.results:
        for name in loaded.file.lane:
            found[result_items.stream_of(name)] = message.StreamInfo(grain=None, schema="results", units={})
    for rule in loaded.file.rule.values():
        found[f"event/{rule.lane}"] = message.StreamInfo(grain=None, schema="event", units={})
    return found


def _system() -> str | None:
    """The operating system's own name for itself."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _model(loaded: Loaded, lane: str, model: str, state: LaneState, live: LiveLane) -> message.Model:
    config = loaded.file.lane[lane].model[model]
    asked = ["auto"] if config.delegates == "auto" else list(config.delegates)
    runner = live.runners.get(model)
    got = state.models.get(model)
    if runner is None or got is None:
        return message.Model(
            sha=None,
            decoder=config.decoder,
            labels=[],
            licence=None,
            asked=asked,
            got=None,
            why=_why(state),
        )
    return message.Model(
        sha=f"sha256:{runner.digest}",
        decoder=runner.decoder,
        labels=list(runner.labels),
        licence=runner.licence,
        asked=asked,
        got=got.delegate,
        why=got.degraded or _not_first(asked[0], got.delegate, runner.choice),
    )


def _not_first(asked: str, got: str, choice: Any) -> str | None:
    """Why the delegate that was asked for first does not run the model; None: it does, or nobody asked for one."""
    if asked in (got, "auto"):
        return None
    refused = choice.refused.get(asked) if choice is not None else None
    return f"{asked}: {refused}" if refused else f"{asked} is not to be had here"


def _why(state: LaneState) -> str | None:
    return state.refused_models[0] if state.refused_models else state.problem


def _board() -> str | None:
    """The board's name, where the device tree or the firmware has one."""
    for path in ("/proc/device-tree/model", "/sys/class/dmi/id/product_name"):
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
        except OSError:
            continue
    return None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    except (ValueError, OSError):
        return None

"""All checks, in the order in which they are told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor import Check, delegates, machine, models, software
from agent.sync import settings as sync_settings

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.config.file import Device, File
    from agent.inference.model import Delegate
    from agent.problems import Problem


def checks(config: Path | None, clock: "Clock") -> Iterator[Check]:
    """config: None: the machine alone. One at a time: models take a while."""
    from agent.config.file import Device
    from agent.config.read import examine

    loaded, problems = examine(config, on_this_machine=True) if config is not None else (None, [])
    file = loaded.file if loaded is not None else None
    device = file.device if file is not None and isinstance(file.device, Device) else None
    yield software.runtime(str(device.runtime) if device is not None else "auto")
    yield software.numpy()
    yield software.opencv()
    yield machine.cpu()
    yield from delegates.delegates(*_delegates(file, problems), _cache(device.data) if device is not None else None)
    yield machine.clock(clock)
    yield machine.catalogue()
    if config is None:
        what = "none is named: only the machine was looked at"
        yield Check(name="config", state="absent", found=what, remedy="edge-agent doctor CONFIG")
        return
    for problem in problems:
        yield Check(name="config", state="fail", found=f"{problem.where}: {problem.what}", remedy=problem.remedy)
    if not problems:
        yield Check(name="config", state="ok", found=f"{config}: no problem")
    if file is not None and device is not None:
        yield from _configured(file, device, problems)


def _delegates(file: "File | None", problems: "list[Problem]") -> "tuple[dict[str, Delegate], set[str]]":
    """(the `[delegate]` tables, the names that models ask for)"""
    from agent.config.file import Lane
    from agent.inference.model import Config

    if file is None:
        return {}, set()
    libraries = file.delegate if isinstance(file.delegate, dict) and not _wrong("delegate", problems) else {}
    lanes = (
        [lane for lane in (file.lane or {}).values() if isinstance(lane, Lane)] if isinstance(file.lane, dict) else []
    )
    models_of = [model for lane in lanes if isinstance(lane.model, dict) for model in lane.model.values()]
    named = {
        name
        for model in models_of
        if isinstance(model, Config) and isinstance(model.delegates, tuple)
        for name in model.delegates
    }
    return libraries, named


def _wrong(key: str, problems: "list[Problem]") -> bool:
    """Whether a problem is about that key, or about one in that table."""
    return any(f"{key}." in problem.where or problem.where.endswith(key) for problem in problems)


def _configured(file: "File", device: "Device", problems: "list[Problem]") -> Iterator[Check]:
    """Of a config with problems, what those do not touch."""
    from agent.pipeline.models import Machine
    from agent.store import settings as store_settings

    def skipped(key: str) -> bool:
        return _wrong(key, problems)

    libraries, _ = _delegates(file, problems)
    if isinstance(device.data, str) and isinstance(file.store, store_settings.Config) and not skipped("device.data"):
        yield machine.data_folder(Path(device.data), int(file.store.keep_free))
    how = Machine(runtime=device.runtime, libraries=libraries, cache=_cache(device.data))
    if isinstance(file.lane, dict):
        yield from models.models(file.lane, how, skipped)
    if isinstance(file.mqtt, sync_settings.Config):
        yield Check(name="broker", state="ok", found=f"{file.mqtt.url}, not contacted")
    elif file.mqtt is None:
        yield Check(name="broker", state="absent", found="the config has no [mqtt]: nothing is sent")


def _cache(data: object) -> Path | None:
    """Where `run` remembers what it measured; None before it ran, so that this command makes no folder."""
    folder = Path(data) / "cache" if isinstance(data, str) else None
    return folder if folder is not None and folder.is_dir() and os.access(folder, os.W_OK) else None

"""What the config needs of this machine: model files by presence and digest, certificates, the data folder. Opens no device and no network.

Only `edge-agent check` looks: `run` meets the same things lane by lane, and what is wrong with one lane does not keep the others from running.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from agent.catalogue import entries, fetch
from agent.config.file import File, Lane
from agent.config.walk import Key, Walk, did_you_mean, shown
from agent.inference import model
from agent.problems import Problem
from agent.sync import settings as sync_settings

_TFLITE = b"TFL3"  # the flatbuffer's file identifier, at byte 4: tensorflow/compiler/mlir/lite/schema/schema.fbs


def check(file: File, walk: Walk) -> None:
    """Notes in `walk` what is not there, or not as the config says."""
    _data(file, walk)
    for name, lane in file.lane.items() if isinstance(file.lane, dict) else ():
        if isinstance(lane, Lane):
            _cores(lane, ("lane", name, "cores"), walk)
            _source(getattr(lane.source, "config", None), ("lane", name, "source"), walk)
            for title, one in lane.model.items() if isinstance(lane.model, dict) else ():
                if isinstance(one, model.Config):
                    _model(one, ("lane", name, "model", title), walk)
    if isinstance(file.mqtt, sync_settings.Config):
        for key in ("ca_file", "cert_file", "key_file"):
            _readable(getattr(file.mqtt, key), ("mqtt", key), "Put it there.", walk)


def model_file(one: model.Config) -> Path | None:
    """Where the model's file lies: its path, or the catalogue's copy; None when that is not fetched, or not known."""
    if isinstance(one.path, str):
        return Path(one.path)
    entry = _models().get(one.catalogue) if one.catalogue else None
    return fetch.cached(entry) if entry is not None else None


def digest_of(path: Path) -> str:
    """SHA-256 in hexadecimal digits; OSError when it cannot be read."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _data(file: File, walk: Walk) -> None:
    data = getattr(file.device, "data", None)
    if not isinstance(data, str):
        return
    folder = next(path for path in (Path(data), *Path(data).parents) if path.exists())
    if not folder.is_dir():
        walk.note(("device", "data"), f"{folder} is no folder", "Name a folder; it is made if it is not there.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        walk.note(
            ("device", "data"),
            f"{folder} cannot be written by this user",
            "Name another folder, or give this one to the agent's user.",
        )


def _cores(lane: Lane, key: Key, walk: Walk) -> None:
    here = os.sched_getaffinity(0)
    for index, core in enumerate(lane.cores if isinstance(lane.cores, tuple) else ()):
        if isinstance(core, int) and core not in here:
            walk.note((*key, index), f"this machine has no core {core}", f"It has {', '.join(map(str, sorted(here)))}.")


def _source(source: Any, key: Key, walk: Walk) -> None:
    """A file or folder to read from; a device may be plugged in later, so it is not looked for."""
    for name in ("url", "path"):
        place = getattr(source, name, None)
        if isinstance(place, str) and "://" not in place and not place.startswith("/dev/") and not Path(place).exists():
            walk.note((*key, name), f"there is no {place}", "Name a file or folder that is there.")


def _model(one: model.Config, key: Key, walk: Walk) -> None:
    if isinstance(one.path, str) and one.catalogue is None:
        if _readable(one.path, (*key, "path"), "Copy the model there, or name another file.", walk):
            _form(Path(one.path), (*key, "path"), walk)
            _digest(Path(one.path), one, key, walk)
    elif isinstance(one.catalogue, str) and one.path is None:
        _catalogue(one, one.catalogue, key, walk)
    if isinstance(one.labels, str):
        _readable(one.labels, (*key, "labels"), "Put the labels there, one a line.", walk)


def _form(path: Path, key: Key, walk: Walk) -> None:
    """What anybody can see without the runtime: a page saved in place of a model, a file cut to nothing, a model of another kind."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != _TFLITE:
        walk.note(key, f"{path} is no TFLite model", "Copy the model there again, or name another file.")


def _catalogue(one: model.Config, name: str, key: Key, walk: Walk) -> None:
    try:
        known = _models()
        cached = fetch.cached(known[name]) if name in known else None
    except Problem as problem:
        walk.note((*key, "catalogue"), f"{problem.where}: {problem.what}", f"{problem.remedy}.")
        return
    if name not in known:
        walk.note((*key, "catalogue"), f"the catalogue has no model {shown(name)}", did_you_mean(name, known, "Models"))
    elif cached is None:
        walk.note((*key, "catalogue"), f"{name} is not on this machine yet", f"edge-agent models fetch {name}")
    else:
        _digest(cached, one, key, walk)


def _digest(path: Path, one: model.Config, key: Key, walk: Walk) -> None:
    if isinstance(one.sha256, str) and (found := digest_of(path)) != one.sha256:
        walk.note(
            (*key, "sha256"),
            f"{path} is another file: its sha256 is {found}",
            "Put the right file there, or write this digest if you trust it.",
        )


def _readable(place: Any, key: Key, remedy: str, walk: Walk) -> bool:
    if not isinstance(place, str):
        return False
    if not Path(place).is_file():
        walk.note(key, f"there is no file {place}", remedy)
    elif not os.access(place, os.R_OK):
        walk.note(key, f"{place} cannot be read by this user", "Let the agent's user read it.")
    else:
        return True
    return False


def _models() -> dict[str, entries.Entry]:
    return {name: entry for name, entry in entries.entries().items() if entry.kind == "model"}

"""What the config says of pictures, as a whole: whether privacy can be held, and what `check` says is kept where."""

from collections.abc import Iterator
from typing import Any

import msgspec

from agent.config.file import File, Lane
from agent.config.walk import Key, Walk, did_you_mean, shown
from agent.events import privacy, rules


def check(file: File, lanes: dict[str, Any], walk: Walk) -> None:
    """Notes in `walk` what does not fit together."""
    cameras = {name: lane for name, lane in lanes.items() if isinstance(lane, Lane) and lane.window is None}
    for name, lane in lanes.items():
        if isinstance(lane, Lane) and lane.window is not None:
            for key in ("mask", "privacy"):
                if getattr(lane, key):
                    walk.note(("lane", name, key), "has no use: a sensor gives no pictures", "Take the table out.")
        elif isinstance(lane, Lane) and isinstance(lane.privacy, privacy.Config):
            _privacy(lane.privacy, {name: lane}, ("lane", name, "privacy"), walk)
    if isinstance(file.privacy, privacy.Config):
        others = {name: lane for name, lane in cameras.items() if lane.privacy is None}
        _privacy(file.privacy, others, ("privacy",), walk)
    for name, rule in file.rule.items() if isinstance(file.rule, dict) else ():
        if isinstance(rule, rules.Config) and rule.snapshot is True and rule.lane in lanes and rule.lane not in cameras:
            walk.note(("rule", name, "snapshot"), f"the lane {rule.lane} has no pictures", "Take it out.")


def _privacy(table: privacy.Config, lanes: dict[str, Lane], key: Key, walk: Walk) -> None:
    """lanes: those that it holds for."""
    if table.blur == "faces" and table.model is None:
        walk.note((*key, "model"), "is missing", "Name the model that finds faces: all of its boxes are hidden.")
    if table.blur not in ("persons", "faces") or not isinstance(table.model, str):
        return
    for name, lane in lanes.items():
        models = lane.model if isinstance(lane.model, dict) else {}
        if table.model not in models:
            what = f"the lane {name} has no model {shown(table.model)}: none of its pictures could be shown or kept"
            remedy = (
                did_you_mean(table.model, models, "Its models") + f" A lane may have its own [lane.{name}.privacy]."
            )
            walk.note((*key, "model"), what, remedy)
        elif getattr(models[table.model], "on", "input") != "input":
            walk.note(
                (*key, "model"),
                f"{shown(table.model)} looks only at parts of the picture",
                "Name one that looks at the whole picture: who is elsewhere would be seen.",
            )


def shapes(lane: Lane) -> dict[str, dict[str, list[Any]]]:
    """zone, line, mask → name → points (x, y in 0..1); of a line its two ends."""
    lines = {name: msgspec.to_builtins(line) for name, line in getattr(lane, "line", {}).items()}
    return {
        "zone": {name: list(zone.polygon) for name, zone in lane.zone.items()},
        "line": {name: [line["from"], line["to"]] for name, line in lines.items()},
        "mask": {name: list(mask.polygon) for name, mask in lane.mask.items()},
    }


def kept(file: File) -> Iterator[str]:
    """For `check`: what of pictures is kept where, and that none leaves."""
    cameras = {name: lane for name, lane in file.lane.items() if lane.window is None}
    if not cameras:
        return
    snapshots = sorted({rule.lane for rule in file.rule.values() if rule.snapshot})
    yield (
        "pictures none leaves this device: no message has a place for one, only a reference and a digest"
        if file.mqtt is not None
        else "pictures none leaves this device: nothing is sent"
    )
    if snapshots:
        days = "" if file.snapshots.keep_days is None else f", {file.snapshots.keep_days:g} days"
        yield f"  kept     snapshots of events of {', '.join(snapshots)} in {file.device.data}/snapshots, at most {file.snapshots.quota / 1e6:g} MB{days}"
    else:
        yield "  kept     none: no rule says snapshot = true; `record` keeps what it is told to"
    for name, lane in cameras.items():
        own = lane.privacy if lane.privacy is not None else file.privacy
        words = {
            "none": "people are shown as they are (privacy.blur)",
            "persons": f"{' and '.join(own.labels)} made of 8 x 16 cells; no picture where nobody knows who is in it",
            "faces": f"faces found by {own.model} made of 4 x 4 cells; no picture where it did not look",
        }
        masks = f"; black: {', '.join(lane.mask)}" if lane.mask else ""
        yield f"  {name:8} {words[own.blur]}{masks}"

"""Say from the store alone how the device is doing: lanes, link, backlog, disk. Exit 1 when a lane is blind.

A lane is blind when no second of the last 20 s (and `max_loss_s`) is stored in which its source was open; one whose source has ended is not.
Works with and without a running agent, and without a network.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.config.read import Loaded

# Where the config is looked for when it is not named.
CONFIGS = (Path("edge-agent.toml"), Path("/etc/edge-agent/edge-agent.toml"))
BLIND_S = 20.0
# Why rows were removed, where the store's word does not say it.
_REMOVED = {
    "sent": "their summaries are acknowledged",
    "retention": "at max_bytes",
    "disk_full": "near keep_free",
    "age": "older than max_age",
    "undated": "without a time",
    "open": "their windows were open",
}
# What is the matter with the camera's picture, for people.
_PICTURE = {
    "black": "the picture is black",
    "white": "the picture is white",
    "covered": "something covers the lens",
    "frozen": "the picture is frozen",
    "defocused": "the picture is out of focus",
    "moved": "the camera was moved",
    "night": "the camera is in night vision",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", type=Path, nargs="?", help=f"the config file (left out: {' or '.join(map(str, CONFIGS))})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    import json

    from agent.clock import SystemClock
    from agent.config.read import read
    from agent.problems import Exit, Problem

    path = arguments.config or next((one for one in CONFIGS if one.exists()), None)
    if path is None:
        raise Problem(
            where="status",
            what="no config file is named",
            remedy="Name it: `edge-agent status CONFIG`",
            code=Exit.COMMAND_LINE,
        )
    found = collect(read(path), SystemClock())
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else describe(found))
    return Exit.NO if any(lane["blind"] for lane in found["lanes"].values()) else Exit.DONE


def collect(loaded: "Loaded", clock: "Clock") -> dict[str, Any]:
    """Everything that `--json` prints. Problem (STORE) when there is no store."""
    import msgspec

    from agent.store import folder, reader, vitals
    from agent.store.connection import connect_to_read

    where = Path(loaded.file.device.data)
    connection = connect_to_read(where / folder.DATABASE)
    try:
        connection.execute("BEGIN")
        device = vitals.device(connection)
        lanes = vitals.lanes(connection, list(loaded.file.lane), clock)
        undated = reader.undated(connection)
        space = vitals.space(connection, where / folder.DATABASE)
    finally:
        connection.close()
    holder, state = folder.lock_holder(where), _state(where, clock)
    blind_s = BLIND_S + loaded.file.store.max_loss_s
    free = folder.free_bytes(where)
    return {
        "device": device.device,
        "running": holder,
        "epoch": device.epoch,
        "boot": device.boot,
        "time_source": device.time_source,
        "lanes": {
            name: _lane(msgspec.to_builtins(one), state.get("lanes", {}).get(name) or {}, holder is not None, blind_s)
            for name, one in lanes.items()
        },
        "undated": {lane: list(pair) for lane, pair in undated.items()},
        "backlog": device.backlog,
        "broker": None if loaded.file.mqtt is None else loaded.file.mqtt.url,
        "link": _with_age(state.get("link"), state),
        "faults": state.get("faults", {}),
        "state_age_s": state.get("age_s"),
        "store": {
            **msgspec.to_builtins(space),
            "max_bytes": loaded.file.store.max_bytes and int(loaded.file.store.max_bytes),
        },
        "free_bytes": free,
        "keep_free_bytes": int(loaded.file.store.keep_free),
        "storing_results": free >= loaded.file.store.keep_free,
        "unstored": state.get("unstored", {}),
        "snapshots": state.get("snapshots"),
    }


def _lane(vitals: dict[str, Any], told: dict[str, Any], running: bool, blind_s: float) -> dict[str, Any]:
    """told: what the running agent said of the lane."""
    ended = told.get("state") == "ended"
    blind = not ended and (vitals["alive_s"] is None or vitals["alive_s"] > blind_s)
    state = "ended" if ended else "blind" if blind and running else "stopped" if blind else told.get("state", "running")
    if not running and not ended:
        state = "stopped"
    models = {name: model.get("delegate") for name, model in (told.get("models") or {}).items()}
    problems = [told.get("problem"), *(told.get("refused_models") or [])]
    for model in (told.get("models") or {}).values():
        problems += [model.get("problem"), model.get("degraded")]
    return {
        **vitals,
        "state": state,
        "blind": blind,
        "picture": list(told.get("picture") or ()),
        "problems": list(dict.fromkeys(problem for problem in problems if problem)),
        "delegates": models,
    }


def _state(where: Path, clock: "Clock") -> dict[str, Any]:
    """What `run` wrote beside the store, with its age; of this boot only. Nothing depends on it."""
    import json

    try:
        state = json.loads((where / "state.json").read_bytes())
        if state["boot"] != clock.boot_id():
            return {}
        return {**state, "age_s": round((clock.boot_us() - state["at_us"]) / 1e6, 1)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _with_age(link: Any, state: dict[str, Any]) -> Any:
    """since_s: for how long it has been connected, or not."""
    if not isinstance(link, dict) or "since_us" not in link:
        return link
    return {**link, "since_s": round((state["at_us"] - link["since_us"]) / 1e6 + state["age_s"], 1)}


def describe(found: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{found['device']}  {found['running'] or 'the agent is not running'}",
        f"boot {found['boot']}, epoch {found['epoch'][:8]}, time from {found['time_source'] or 'nowhere yet'}",
        "",
        f"{'lane':16} {'state':9} {'input':>9} {'result':>9} {'inputs /min':>12} {'/h':>8} {'results /min':>13} {'/h':>8}",
    ]
    for name, lane in found["lanes"].items():
        lines.append(
            f"{name:16} {lane['state']:9} {_age(lane['input_s']):>9} {_age(lane['result_s']):>9} {lane['inputs_minute']:>12} {lane['inputs_hour']:>8}"
            f" {lane['results_minute']:>13} {lane['results_hour']:>8}"
        )
        notes = [f"{model} on {delegate}" for model, delegate in lane["delegates"].items()]
        notes += [f"{lane[key]} {word} in the last hour" for key, word in
                  (("failed_hour", "failed"), ("dropped_hour", "dropped"), ("unstored_hour", "not stored")) if lane[key]]  # fmt: skip
        notes += [_PICTURE.get(one, one) for one in lane["picture"]]
        notes += lane["problems"]
        lines += [f"  {note}" for note in notes]
    lines += ["", f"link: {_link_line(found)}"]
    if isinstance(found["link"], dict):
        lines += [f"  note: {remark}" for remark in found["link"].get("remarks") or ()]
    if isinstance(found["link"], dict) and found["link"].get("budget"):
        lines.append(f"data: {_budget(found['link']['budget'])}")
    lines.append("backlog: " + (", ".join(f"{stream} {count}" for stream, count in found["backlog"].items()) or "none"))
    if found["undated"]:
        lines.append("without a time: " + ", ".join(f"{lane} {ticks} ticks, {results} results" for lane, (ticks, results) in found["undated"].items()))  # fmt: skip
    disk = f"disk: {found['free_bytes'] / 1e6:.0f} MB free"
    if not found["storing_results"]:
        disk += f", below keep_free ({found['keep_free_bytes'] / 1e6:.0f} MB): results are not stored"
    lines.append(disk)
    lines += _store(found["store"])
    if found["snapshots"]:
        lines.append(_snapshots(found["snapshots"]))
    if found["unstored"]:
        lines.append(
            "not stored since the start: " + ", ".join(f"{lane} {count}" for lane, count in found["unstored"].items())
        )
    lines += [f"fault: {place}: {what}" for place, what in found["faults"].items()]
    return "\n".join(lines)


def _store(told: dict[str, Any]) -> list[str]:
    """Its size, and what went to keep it so."""
    size = f"store: {(told['live_bytes'] + told['log_bytes']) / 1e6:.1f} MB"
    if told["max_bytes"]:
        size += f" of {told['max_bytes'] / 1e6:.1f} MB"
    lines = [size]
    for lane, reasons in told["removed"].items():
        counts = (
            f"{rows['results']} results ({_REMOVED.get(why, why)})" for why, rows in reasons.items() if rows["results"]
        )
        if text := ", ".join(counts):
            lines.append(f"  removed of {lane}: {text}")
    if told["lost"]:
        lines.append("  items gone: " + ", ".join(f"{count} ({why})" for why, count in told["lost"].items()))
    return lines


def _snapshots(told: dict[str, int]) -> str:
    words = f"snapshots: {told['files']}, {told['bytes'] / 1e6:.1f} MB"
    left = [(told["hidden"], "not made, for nobody knew who is in them"), (told["failed"], "failed"), (told["dropped"], "too many at once")]  # fmt: skip
    return "; ".join([words, *(f"{count} {what}" for count, what in left if count)])


def _budget(told: dict[str, Any]) -> str:
    """The state of the data budget, and why."""
    words = f"{told['used'] / 1e6:.2f} of {told['month'] / 1e6:.2f} MB used this month, {told['today'] / 1e6:.2f} MB today ({told['how']}); "
    words += str(told["state"])
    if told["state"] != "full" and told["why"]:
        words += f": {told['why']}"
    return words + (f"; nothing is sent until {told['until']}" if told.get("until") else "")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def _link_line(found: dict[str, Any]) -> str:
    """A file that a dead agent left behind must not read as a link that is up."""
    if found["broker"] is None and found["link"] is None:
        return "none: the config has no [mqtt], nothing is sent"
    if found["link"] is None:
        return "not known" if found["running"] else "none: the agent is not running"
    told = f"{_link(found['link'])}{_when(found['state_age_s'])}"
    return told if found["running"] else f"none: the agent is not running; last said: {told}"


def _link(link: Any) -> str:
    if not isinstance(link, dict):
        return str(link)
    words = f"{'connected to' if link.get('connected') else 'not connected to'} {link.get('broker')}"
    words += f" for {_age(link.get('since_s'))}"
    counts = [
        f"{link[key]} {word}"
        for key, word in (
            ("items", "items acknowledged"),
            ("resent", "sent again"),
            ("unheard", "messages that nobody subscribed to"),
            ("refused", "messages refused"),
            ("too_large", "too large for the broker"),
            ("corrupt", "corrupt on the disk"),
        )
        if link.get(key)
    ]
    return "; ".join([words, *([link["problem"].rstrip(".")] if link.get("problem") else []), *counts])


def _when(age_s: float | None) -> str:
    return "" if age_s is None else f" ({_age(age_s)} ago)"

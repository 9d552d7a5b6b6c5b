"""Name everything that is wrong with a config: file, line, key, what, and what to do. When nothing is, say what the config comes to,
and what it will send in a month.

Opens no device and no network; model files are looked for and their digests compared.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.config.file import File, Lane
    from agent.config.read import Loaded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file; conf.d/*.toml beside it is laid over it")
    parser.add_argument("--json", action="store_true", help="the problems as a JSON list on stdout")


def run(arguments: argparse.Namespace) -> int:
    from agent.config.read import examine
    from agent.problems import Exit, Problems

    loaded, problems = examine(arguments.config, on_this_machine=True)
    if arguments.json:
        import msgspec

        plain = [{"where": problem.where, "what": problem.what, "remedy": problem.remedy} for problem in problems]
        print(msgspec.json.format(msgspec.json.encode(plain)).decode())
        return int(Exit.CONFIG if problems else Exit.DONE)
    if problems or loaded is None:
        raise Problems(problems)
    print("\n".join(_summary(loaded)))
    return int(Exit.DONE)


def _summary(loaded: "Loaded") -> Iterator[str]:
    """What the config comes to on this machine, and on its link. Secrets by where they come from."""
    from agent.cli import _cost
    from agent.config.forecast import forecast
    from agent.config.pictures import kept

    file = loaded.file
    yield f"{loaded.path}: good"
    yield f"device   {loaded.device}"
    yield f"config   {loaded.digest}"
    yield f"data     {file.device.data}, keeps {file.store.keep_free / 1e6:g} MB free, commits within {file.store.max_loss_s:g} s"
    for name, lane in file.lane.items():
        yield f"lane     {name}: {', '.join(lane.summaries)}"
        yield from _lane(lane)
    for name, rule in file.rule.items():
        seen = f"{rule.label} in {rule.lane}" + (f", zone {rule.zone}" if rule.zone else "")
        yield f"rule     {name}: {seen}, for {rule.for_s:g} s, {rule.severity}"
    yield _broker(file)
    yield from kept(file)
    if (cost := forecast(file)) is not None:
        yield from _cost.lines(cost)


def _lane(lane: "Lane") -> Iterator[str]:
    from agent.config.machine import digest_of, model_file
    from agent.config.redact import redacted

    source = lane.source.config
    place = next((getattr(source, key) for key in ("url", "path", "port") if hasattr(source, key)), "")
    yield f"  source   {lane.source.kind} {redacted(str(place))}{_login(source)}"
    if lane.window is not None:
        yield f"  window   {lane.window.length_s:g} s, a new one every {lane.window.hop_s:g} s, features {lane.window.features}"
    if lane.gate is not None:
        yield f"  gate     {lane.gate.kind}"
    for name, model in lane.model.items():
        path = model_file(model)
        found = f"{path} sha256:{digest_of(path)}" if path is not None else "not there"
        yield f"  model    {name}: {found}, decoder {model.decoder or 'not named: to be found in the model when it runs'}"


def _broker(file: "File") -> str:
    if file.mqtt is None:
        return "broker   none: nothing is sent"
    files = [
        f"{key} {getattr(file.mqtt, key)}" for key in ("ca_file", "cert_file", "key_file") if getattr(file.mqtt, key)
    ]
    return ", ".join([f"broker   {file.mqtt.url}{_login(file.mqtt)}", *files])


def _login(table: Any) -> str:
    user = f", user {table.user}" if getattr(table, "user", None) else ""
    if getattr(table, "password_file", None):
        return f"{user}, password from the file {table.password_file}"
    if getattr(table, "password_env", None):
        return f"{user}, password from the variable {table.password_env}"
    return user

"""MODEL and its options on the command line → the Config that a `[lane.X.model.Y]` table would give. Typed and refused as in a config file."""

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.inference.model import DELEGATES, Config
from agent.problems import Exit, Problem, Problems

# Keys of the table that mean something only in a lane.
_OF_A_LANE = {
    "on": "one model runs here, there is no earlier one",
    "margin": "one model runs here, on whole inputs",
    "regions": "one model runs here, on whole inputs",
    "whole_s": "one model runs here, on whole inputs",
}
_NAMED = ("path", "catalogue")


def add_model_arguments(parser: argparse.ArgumentParser, *, one_run: bool = True) -> None:
    """one_run: one delegate and one count of threads, which the command line names."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite file, or the name of a model of the catalogue")
    parser.add_argument("--decoder", metavar="D", help="how the outputs are read (left out: recognised)")
    parser.add_argument("--labels", metavar="F", help="a file of labels (left out: the model's own)")
    if one_run:
        parser.add_argument(
            "--delegate",
            metavar="D",
            help="what runs it: auto, gpu, edgetpu, xnnpack, cpu; or several, in order: gpu,cpu",
        )
        parser.add_argument("--threads", metavar="N", help="threads of one run")
    parser.add_argument("--score", metavar="S", help="least score of a result")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any key of a [lane.X.model.Y] table, the value as in TOML (a text may go without quotes); may be given again",
    )
    parser.add_argument(
        "--options", type=Path, metavar="FILE", help="a TOML file with the same keys; the command line comes before it"
    )


def model_config(arguments: argparse.Namespace) -> Config:
    """Problem or Problems: no such model (Exit.MODEL), keys and values that cannot be (Exit.COMMAND_LINE), all at once."""
    table: dict[str, Any] = {}
    origins: dict[str, str] = {}
    folders: dict[str, Path] = {}
    if arguments.options is not None:
        for key, value in _read_options(arguments.options).items():
            table[key], origins[key], folders[key] = value, str(arguments.options), arguments.options.parent
    texts: dict[str, str] = {}
    for setting in arguments.settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise Problem(
                where="--set",
                what=f"{setting!r} is no key=value",
                remedy="Write it as --set resize=letterbox",
                code=Exit.COMMAND_LINE,
            )
        texts[key.strip()], origins[key.strip()] = text.strip(), f"--set {key.strip()}"
    for key in ("decoder", "labels", "threads", "score"):
        if getattr(arguments, key, None) is not None:
            texts[key], origins[key] = getattr(arguments, key), f"--{key}"
    for key, text in texts.items():
        folders.pop(key, None)
        table[key] = _value(key, text)
    if getattr(arguments, "delegate", None) is not None:
        names = [name.strip() for name in arguments.delegate.split(",")]
        table["delegates"], origins["delegates"] = ("auto" if names == ["auto"] else names), "--delegate"
    config = _typed(table, origins, folders)
    return msgspec.structs.replace(config, **named_model(arguments.model))


def named_model(name: str) -> dict[str, Any]:
    """`path` or `catalogue`, whichever MODEL is. Problem (Exit.MODEL): neither."""
    from agent.catalogue.entries import entries
    from agent.values import RelativePath

    if Path(name).is_file():
        return {"path": RelativePath(Path(name).absolute())}
    models = [entry.name for entry in entries().values() if entry.kind == "model"]
    if name in models:
        return {"catalogue": name}
    if Path(name).exists():
        what, remedy = f"{name} is no file", "Name a .tflite file"
    elif "/" in name or name.endswith(".tflite"):
        what, remedy = f"there is no file {name}", "Name a .tflite file, or a model of `edge-agent models list`"
    else:
        import difflib

        near = difflib.get_close_matches(name, models, n=1)
        what = f"there is no file {name}, and no model of that name in the catalogue"
        remedy = f"Did you mean {near[0]}?" if near else f"The catalogue has {', '.join(models)}"
    raise Problem(where="MODEL", what=what, remedy=remedy, code=Exit.MODEL)


def _read_options(path: Path) -> dict[str, Any]:
    """The keys at the top of the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what, remedy = f"cannot be read: {error.strerror}", "Name a TOML file with keys of a [lane.X.model.Y] table"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        what, remedy = f"is no TOML: {error}", "Put the line right"
    raise Problem(where=str(path), what=what, remedy=remedy, code=Exit.COMMAND_LINE)


def _value(key: str, text: str) -> Any:
    """The text as TOML where the key takes what it then is; else the text itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text
    return text if not isinstance(value, str) and not _fits({key: value}) and _fits({key: text}) else value


def _fits(table: Mapping[str, Any]) -> bool:
    from agent.config.walk import Walk

    walk = Walk(lambda _: Path(), {})
    walk.take(msgspec.inspect.type_info(Config), table, ())
    return not walk.findings


def _typed(table: dict[str, Any], origins: Mapping[str, str], folders: Mapping[str, Path]) -> Config:
    from agent.config.walk import Walk, did_you_mean, shown

    walk = Walk(lambda key: folders.get(str(key[0]), Path()), {})
    config: Config = walk.take(msgspec.inspect.type_info(Config), table, ())
    for key in _NAMED:
        if key in table:
            walk.note((key,), "is said by MODEL", "Take it out")
    for key, why in _OF_A_LANE.items():
        if key in table:
            walk.note((key,), f"has no use: {why}", "Take it out")
    for name in config.delegates if isinstance(config.delegates, tuple) else ():
        if isinstance(name, str) and name not in DELEGATES:
            what, remedy = f"there is no delegate {shown(name)}", did_you_mean(name, [*DELEGATES], "Delegates")
            if name == "auto":
                what, remedy = '"auto" is no delegate among others', "Name it alone, or leave it out"
            walk.note(("delegates",), what, remedy)
    if walk.findings:
        raise Problems([_problem(finding, origins) for finding in walk.findings])
    return config


def _problem(finding: Any, origins: Mapping[str, str]) -> Problem:
    """`--set mean: …`, `options.toml mean: …`"""
    origin = origins.get(str(finding.key[0]), "")
    inner = ".".join(map(str, finding.key[1:]))
    key = str(finding.key[0])
    where = origin if origin.startswith("--") else f"{origin} {key}"
    return Problem(
        where=f"{where}.{inner}" if inner else where,
        what=finding.what,
        remedy=finding.remedy.rstrip("."),
        code=Exit.COMMAND_LINE,
    )

"""A config as TOML again, for a recording: what the lanes need, without the broker and without whoever may look at the camera."""

from collections.abc import Mapping
from typing import Any

import msgspec


def recorded_toml(effective: Mapping[str, Any], digests: Mapping[str, Mapping[str, str]]) -> str:
    """effective: `Loaded.effective`. digests: lane → model → sha256, written to each model so that a replay runs the same file or none."""
    body = {key: value for key, value in effective.items() if key not in ("mqtt", "lane")}
    body["lane"] = {name: _lane(lane, digests.get(name, {})) for name, lane in effective["lane"].items()}
    return toml(body)


def toml(tables: Mapping[str, Any]) -> str:
    """Tables of texts, numbers, truths and lists as TOML."""
    return "\n".join(_table((), tables)).strip() + "\n"


def _lane(lane: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    source = {key: value for key, value in lane["source"].items() if key != "user"}
    models = {
        name: {**model, **({"sha256": digests[name]} if name in digests else {})}
        for name, model in lane["model"].items()
    }
    return {**lane, "source": source, "model": models}


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    lines = [f"{key} = {_value(item)}" for key, item in table.items() if not isinstance(item, dict)]
    if path and lines:
        lines = ["", f"[{'.'.join(path)}]", *lines]
    for key, item in table.items():
        if isinstance(item, dict):
            lines += _table((*path, key), item)
    return lines


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    # JSON's texts, numbers and truths are TOML's, but for DEL, which TOML wants escaped.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")

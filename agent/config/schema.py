"""What is generated from the config's types: docs/schemas/config.json (JSON Schema 2020-12), docs/reference/config.md, docs/reference/commands.md.

python -m agent.config.schema --write    writes the three
python -m agent.config.schema --check    exit 1 when one of them is not what the types say
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from agent.config import kinds
from agent.config.file import File
from agent.config.reference import commands_page, config_page, duration_text, is_secret, size_text
from agent.values import Bytes, Duration, RelativePath

_CUSTOM: dict[type, dict[str, Any]] = {
    Bytes: {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(B|kB|MB|GB|TB)\s*$"},
    Duration: {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(s|min|h|d)\s*$"},
    RelativePath: {"type": "string", "minLength": 1},
}
_RANGES = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def json_schema() -> dict[str, Any]:
    """The schema of a config file, each `source` and `gate` by its kind; secrets are no keys of it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "edge-agent config file"}
    return {**head, **_schema(inspect.type_info(File))}


def _schema(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.Metadata):
        room = (kind.extra or {}).get("room")
        return {**(_by_kind(room) if room else _schema(kind.type)), **(kind.extra_json_schema or {})}
    if isinstance(kind, inspect.UnionType):
        options = [_schema(option) for option in kind.types if not isinstance(option, inspect.NoneType)]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if isinstance(kind, inspect.StructType):
        return _object(kind)
    if isinstance(kind, inspect.DictType):
        names = {"propertyNames": _schema(kind.key_type)}
        least = {"minProperties": kind.min_length} if kind.min_length else {}
        return {"type": "object", **names, "additionalProperties": _schema(kind.value_type), **least}
    if isinstance(kind, inspect.VarTupleType):
        least = {"minItems": kind.min_length} if kind.min_length else {}
        return {"type": "array", "items": _schema(kind.item_type), **least}
    if isinstance(kind, inspect.TupleType):
        count = len(kind.item_types)
        return {
            "type": "array",
            "prefixItems": [_schema(item) for item in kind.item_types],
            "minItems": count,
            "maxItems": count,
        }
    if isinstance(kind, inspect.CustomType):
        return _CUSTOM[kind.cls]
    return _leaf(kind)


def _leaf(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.LiteralType):
        return {"enum": list(kind.values)}
    if isinstance(kind, inspect.BoolType):
        return {"type": "boolean"}
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        ranges = {word: limit for key, word in _RANGES.items() if (limit := getattr(kind, key)) is not None}
        return {"type": "integer" if isinstance(kind, inspect.IntType) else "number", **ranges}
    if isinstance(kind, inspect.StrType):
        limits = {"pattern": kind.pattern, "minLength": kind.min_length}
        return {"type": "string", **{key: limit for key, limit in limits.items() if limit is not None}}
    raise NotImplementedError(kind)


def _by_kind(room: str) -> dict[str, Any]:
    options = []
    for kind in kinds.kinds(room):
        struct = inspect.type_info(kinds.load(room, kind).Config)
        assert isinstance(struct, inspect.StructType)
        options.append(_object(struct, kind))
    return {"oneOf": options}


def _object(struct: inspect.StructType, kind: str | None = None) -> dict[str, Any]:
    fields = [field for field in struct.fields if not is_secret(field.type)]
    properties = {"kind": {"const": kind}} if kind else {}
    properties |= {field.encode_name: {**_schema(field.type), **_default(field)} for field in fields}
    needed = [*(["kind"] if kind else []), *(field.encode_name for field in fields if field.required)]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _default(field: inspect.Field) -> dict[str, Any]:
    value = field.default
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct):
        return {}
    if isinstance(value, Bytes):
        return {"default": size_text(value)}
    if isinstance(value, Duration):
        return {"default": duration_text(value)}
    return {"default": list(value) if isinstance(value, tuple) else value}


def pages() -> dict[Path, str]:
    """Where in the project each generated file lies, and its text."""
    return {
        Path("docs/schemas/config.json"): json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        Path("docs/reference/config.md"): config_page(),
        Path("docs/reference/commands.md"): commands_page(),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Writes or checks what is generated from the config's types.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--write", action="store_true")
    which.add_argument("--check", action="store_true")
    parser.add_argument("--project", type=Path, default=Path())
    options = parser.parse_args(arguments)
    stale = []
    for path, text in pages().items():
        place = options.project / path
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if options.write:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stderr.write(f"{path} {'is written' if options.write else 'is stale: run make docs'}\n")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())

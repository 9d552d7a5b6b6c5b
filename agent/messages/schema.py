"""The contract for other languages: JSON Schema 2020-12 a body and AsyncAPI 3, made from the types.

python -m agent.messages.schema --write    writes docs/schemas/messages/*.json and docs/schemas/asyncapi.json
python -m agent.messages.schema --check    exit 1 and the names of the files that are not what the types say
"""

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.messages.audit import Audit
from agent.messages.birth import Birth
from agent.messages.commands import MAX_EXPIRY_S, Answer, LedgerRequest, Request, ResendRequest
from agent.messages.event import Event
from agent.messages.health import Health
from agent.messages.ledger import Ledger
from agent.messages.results import Results
from agent.messages.status import Status
from agent.messages.summary import Gap, Summary

BODIES: dict[str, type[msgspec.Struct]] = {
    "status": Status,
    "birth": Birth,
    "ledger": Ledger,
    "summary": Summary,
    "gap": Gap,
    "event": Event,
    "audit": Audit,
    "health": Health,
    "results": Results,
    "request": Request,
    "ledgerRequest": LedgerRequest,
    "resend": ResendRequest,
    "answer": Answer,
}
ROOT = "edge/v1/{site}/{device}"
# channel: (address below the device, bodies, retained, expiry in seconds or None, who sends, what)
CHANNELS: dict[str, tuple[str, tuple[str, ...], bool, int | None, str, str]] = {
    "status": ("status", ("status",), True, None, "device", "Online, held, offline or lost (last will)."),
    "birth": ("birth", ("birth",), True, None, "device", "Who the device is and what runs on it."),
    "ledger": ("ledger", ("ledger",), True, None, "device", "What became of every number."),
    "liveSummary": (
        "live/summary/{lane}/{grain}",
        ("summary", "gap"),
        False,
        86_400,
        "device",
        "Windows as they close; several at once as a batch.",
    ),
    "liveEvent": ("live/event/{lane}", ("event",), False, 86_400, "device", "Events as they happen."),
    "backSummary": (
        "back/summary/{lane}/{grain}",
        ("summary", "gap"),
        False,
        None,
        "device",
        "Late and resent windows, usually as batches (NDJSON, zlib).",
    ),
    "backEvent": ("back/event/{lane}", ("event",), False, None, "device", "Late and resent events, as batches."),
    "liveHealth": ("live/health", ("health",), False, 86_400, "device", "How the device itself does."),
    "backHealth": ("back/health", ("health",), False, None, "device", "Late and resent health items, as batches."),
    "liveAudit": ("live/audit", ("audit",), False, 86_400, "device", "Each request and what came of it."),
    "backAudit": ("back/audit", ("audit",), False, None, "device", "Late and resent audit items, as batches."),
    "backResult": (
        "back/result/{lane}",
        ("results",),
        False,
        None,
        "device",
        "Single results as columns, as batches; where the config asks for it.",
    ),
    "commandPing": ("cmd/ping", ("request",), False, MAX_EXPIRY_S, "subscriber", "Is it there?"),
    "commandStatus": ("cmd/status", ("request",), False, MAX_EXPIRY_S, "subscriber", "How does it do?"),
    "commandBirth": ("cmd/birth", ("request",), False, MAX_EXPIRY_S, "subscriber", "Birth again."),
    "commandLedger": (
        "cmd/ledger",
        ("ledgerRequest",),
        False,
        MAX_EXPIRY_S,
        "subscriber",
        "The ledger again, and whole.",
    ),
    "commandResend": ("cmd/resend", ("resend",), False, MAX_EXPIRY_S, "subscriber", "Asks for numbers again."),
    "answers": ("ans/{caller}", ("answer",), False, 3_600, "device", "Answers to commands."),
}
_PARAMETERS = {
    "site": "Site, a name.",
    "device": "Device, a name.",
    "lane": "Lane, a name.",
    "grain": "m1, h1, d1 or s and a number of seconds.",
    "caller": "Who asked, a name.",
}


def json_schema(name: str) -> dict[str, Any]:
    """One body as JSON Schema 2020-12 that stands alone. All keys are required but those that may be absent."""
    (_,), components = msgspec.json.schema_components([BODIES[name]], ref_template="#/$defs/{name}")
    for schema in components.values():
        _require_written_keys(schema)
    top = components.pop(BODIES[name].__name__)
    result = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"edge-agent/v1/{name}.json", **top}
    return result | ({"$defs": components} if components else {})


def _require_written_keys(schema: dict[str, Any]) -> None:
    """A key with a default is written all the same; only those that msgspec may leave out have neither default nor `required`."""
    if "description" in schema:
        schema["description"] = inspect.cleandoc(schema["description"])
    required = set(schema.get("required", []))
    properties: dict[str, Any] = schema.get("properties", {})
    for key, described in properties.items():
        if "default" in described:
            del described["default"]
            required.add(key)
    if required:
        schema["required"] = [key for key in properties if key in required]


def async_api() -> dict[str, Any]:
    """Channels, messages and who sends them, as AsyncAPI 3.0 with the MQTT binding."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for name, (address, bodies, retained, expiry_s, sender, what) in CHANNELS.items():
        full = f"{ROOT}/{address}"
        channels[name] = {
            "address": full,
            "description": what,
            "parameters": {key: {"description": text} for key, text in _PARAMETERS.items() if f"{{{key}}}" in full},
            "messages": {body: {"$ref": f"#/components/messages/{body}"} for body in bodies},
        }
        binding: dict[str, Any] = {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}
        if expiry_s is not None:
            binding["messageExpiryInterval"] = expiry_s
        operations[f"{sender}Sends{name[0].upper()}{name[1:]}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": {"mqtt": binding},
        }
    messages = {
        name: {"contentType": "application/json", "payload": {"$ref": f"messages/{name}.json"}} for name in BODIES
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge-agent",
            "version": "1",
            "description": "Rules and algorithm: docs/contract.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def files() -> dict[str, str]:
    """Path below docs/schemas → text."""
    texts = {f"messages/{name}.json": json_schema(name) for name in BODIES} | {"asyncapi.json": async_api()}
    return {path: json.dumps(body, indent=1, ensure_ascii=False) + "\n" for path, body in texts.items()}


def stale(folder: Path) -> list[Path]:
    """Files under docs/schemas that are missing or not what the types say."""
    return [
        folder / path
        for path, text in files().items()
        if not (folder / path).is_file() or (folder / path).read_text() != text
    ]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.messages.schema", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/schemas"))
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument("--write", action="store_true")
    act.add_argument("--check", action="store_true")
    chosen = parser.parse_args(words)
    if chosen.write:
        for path, text in files().items():
            (chosen.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (chosen.folder / path).write_text(text)
        return 0
    old = stale(chosen.folder)
    for missing in old:
        sys.stderr.write(f"{missing}: not what the types say; run python -m agent.messages.schema --write\n")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())

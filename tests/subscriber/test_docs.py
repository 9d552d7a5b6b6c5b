"""What docs/subscribing.md and docs/contract.md show is what runs."""

import json
import random
import re
from pathlib import Path

import jsonschema
from peers.device_model import DeviceModel

from agent.messages import schema
from agent.messages.envelope import decode
from agent.subscriber.view import open_view

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_sql_examples_run(tmp_path: Path) -> None:
    device = DeviceModel(random.Random(1))
    for _ in range(5):
        device.result()
        device.next_window()
    device.send(most=99)
    device.publish_ledger()
    blocks = re.findall(r"```sql\n(.*?)```", (DOCS / "subscribing.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    with open_view(tmp_path / "v.sqlite", start=1) as view:
        view.take(device.out, 0.0)
        for block in blocks:
            for statement in filter(str.strip, block.split(";\n")):
                view.connection.execute(statement).fetchall()


def test_the_bodies_in_the_contract_have_the_keys_of_the_types() -> None:
    text = (DOCS / "contract.md").read_text()
    block = re.search(r"```jsonc\n(.*?)```", text, re.DOTALL)
    assert block is not None
    bodies = re.split(r"^// (\w[\w/]*).*$", block[1], flags=re.MULTILINE)[1:]
    names = {"cmd/resend": "resend"}
    shown = {names.get(name, name): body for name, body in zip(bodies[::2], bodies[1::2], strict=True)}
    assert set(shown) == {"status", "summary", "gap", "event", "audit", "health", "results", "ledger", "resend"}
    for name, body in shown.items():
        full = re.sub(r'"(d|epoch|prev|at)":"[^"]*…"', _filled, body).replace('"tq":{…}', '"tq":{"s":"ntp","e":1}')
        full = full.replace('"d":"…"', '"d":"a/b"').replace('"at":"…"', '"at":"2026-11-24T03:00:05.000Z"')
        parsed = json.loads(full)
        decode(full.encode(), schema.BODIES[name])
        described = schema.json_schema(name)
        jsonschema.Draft202012Validator(described).validate(parsed)
        required = described["required"]
        assert [key for key in parsed if key in required] == required, name


def test_the_asyncapi_document_refers_to_what_is_there() -> None:
    """AsyncAPI 3.0: each operation has its channel, each channel its messages, each message its schema, and all examples are of it."""
    document = json.loads((DOCS / "schemas" / "asyncapi.json").read_text())
    assert document["asyncapi"].startswith("3.")
    seen = set()

    def found(reference: str) -> object:
        place: object = document
        for word in reference.removeprefix("#/").split("/"):
            place = place[word.replace("~1", "/").replace("~0", "~")]  # type: ignore[index]
        return place

    def walk(part: object) -> None:
        if isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str):
                seen.add(reference)
                if reference.startswith("#/"):
                    assert found(reference) is not None
                else:
                    assert (DOCS / "schemas" / reference.partition("#")[0]).exists(), reference
            for one in part.values():
                walk(one)
        elif isinstance(part, list):
            for one in part:
                walk(one)

    walk(document)
    assert len(seen) > 10
    for channel in document["channels"].values():
        assert channel["address"].startswith("edge/v1/{site}/{device}/")
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", {}))
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")


def _filled(match: re.Match[str]) -> str:
    value = {"d": "a/b", "at": "2026-11-24T03:00:05.000Z"}.get(match[1], "0" * 32)
    return f'"{match[1]}":"{value}"'


def test_the_python_example_runs(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (DOCS / "subscribing.md").read_text(), re.DOTALL)
    assert block is not None
    code = block[1].replace('"fleet.sqlite"', repr(str(tmp_path / "fleet.sqlite")))
    exec(compile(code, "subscribing.md", "exec"), {})

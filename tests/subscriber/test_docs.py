"""What docs/subscribing.md and docs/contract.md show is what runs."""

import json
import random
import re
from pathlib import Path

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
        required = schema.json_schema(name)["required"]
        assert [key for key in parsed if key in required] == required, name


def _filled(match: re.Match[str]) -> str:
    value = {"d": "a/b", "at": "2026-11-24T03:00:05.000Z"}.get(match[1], "0" * 32)
    return f'"{match[1]}":"{value}"'


def test_the_python_example_runs(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (DOCS / "subscribing.md").read_text(), re.DOTALL)
    assert block is not None
    code = block[1].replace('"fleet.sqlite"', repr(str(tmp_path / "fleet.sqlite")))
    exec(compile(code, "subscribing.md", "exec"), {})

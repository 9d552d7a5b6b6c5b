"""Runs a command over every case in several orders, and compares."""

import base64
import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.subscriber.conformance.bodies import DEVICE, Message
from agent.subscriber.conformance.cases import Case, cases


class Unusable(Exception):
    """The command cannot be run, or prints no JSON object."""


def judge(command: Sequence[str], limit_s: float, say: Callable[[str], None]) -> tuple[int, int]:
    """(cases and orders that do not hold, all). say: one line of what failed, and how. Unusable: the command."""
    failed = count = 0
    for case in cases():
        for order, messages in orders(case):
            count += 1
            found = _run(command, messages, limit_s)
            wrong = list(differences(case.expected, found.get("devices", {}).get(DEVICE, {})))
            if wrong:
                failed += 1
                say(f"{case.name} ({order}): {'; '.join(wrong)}")
    return failed, count


def orders(case: Case) -> Iterator[tuple[str, list[Message]]]:
    """The same set of messages, five times."""
    rng, given = random.Random(case.name), case.messages
    yield "in order", list(given)
    yield "backwards", given[::-1]
    yield "shuffled", rng.sample(given, len(given))
    yield "each twice", [*given, *given]
    yield "some again, much later", [*given, *rng.sample(given, (len(given) + 1) // 2)]


def differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    for key, value in expected.items():
        if found.get(key) != value:
            yield f"{key} should be {json.dumps(value)}, is {json.dumps(found.get(key))}"


def _run(command: Sequence[str], messages: Sequence[Message], limit_s: float) -> dict[str, Any]:
    lines = "".join(
        json.dumps({"topic": topic, "payload": base64.b64encode(payload).decode()}) + "\n"
        for topic, payload in messages
    )
    try:
        done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=limit_s, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(
            f"{command[0]}: cannot be run: {error}. Give a command that reads lines and prints one JSON object."
        ) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = (done.stderr or done.stdout)[-300:]
        raise Unusable(f"{command[0]}: ended with {done.returncode} and printed no JSON object. {said}")
    return found

"""The conformance test: the subscriber of this package holds every case in every order, and one with a flaw does not."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.subscriber.conformance import run
from agent.subscriber.conformance.bodies import DEVICE, NOW_S, Message
from agent.subscriber.conformance.cases import Case, cases
from agent.subscriber.conformance.reference import described
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import View, open_view

LONG = os.environ.get("EDGE_AGENT_LONG") == "1"
PROJECT = Path(__file__).parent.parent.parent
Step = Callable[[View, Message], None]


def take(view: View, message: Message) -> None:
    view.take([message], NOW_S)


def held(case: Case, folder: Path, step: Step = take, at_the_end: str = "") -> list[str]:
    """The orders in which the case does not hold."""
    failed = []
    for place, (order, messages) in enumerate(run.orders(case)):
        with open_view(folder / f"{place}.sqlite", start=1) as view:
            view.connection.execute("PRAGMA synchronous = OFF")
            for message in messages:
                step(view, message)
            view.connection.executescript(at_the_end)
            found = {one.device: described(view, one) for one in verdicts(view.connection, NOW_S)}
        if list(run.differences(case.expected, found.get(DEVICE, {}))):
            failed.append(order)
        (folder / f"{place}.sqlite").unlink()
    return failed


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_reference_holds(case: Case, tmp_path: Path) -> None:
    assert held(case, tmp_path) == []


def last_ledger_wins(view: View, message: Message) -> None:
    if message[0].endswith("/ledger"):
        view.connection.executescript("DELETE FROM ledger; DELETE FROM entry;")
    take(view, message)


def a_bad_line_takes_its_batch_with_it(view: View, message: Message) -> None:
    if b"{not json" not in message[1]:
        take(view, message)


def drops_what_it_does_not_know(view: View, message: Message) -> None:
    if b'"k":"new"' not in message[1]:
        take(view, message)


FLAWS: dict[str, tuple[Step, str, str]] = {
    "counts every content": (take, "DROP VIEW winning; CREATE VIEW winning AS SELECT * FROM item;", "a correction takes the place"),
    "knows no conflict": (take, "DELETE FROM conflict;", "two contents of one number"),
    "carried windows always count": (take, "DROP VIEW counted; CREATE VIEW counted AS SELECT * FROM winning WHERE kind = 'sum';", "a carried window does not"),
    "asks for what is still there": (take, "UPDATE entry SET body = json_set(body, '$.todo', json('[]'));", "todo is not missing"),
    "asks for what is held": (take, "UPDATE entry SET body = json_set(body, '$.held', json('[]'));", "held is not missing"),
    "asks for what is lost": (take, "UPDATE entry SET body = json_set(body, '$.lost', json('[]'));", "lost is not missing"),
    "believes the last ledger": (last_ledger_wins, "", "the greatest ledger counts"),
    "sees no orphans": (take, "DELETE FROM root WHERE own = 0;", "an epoch of no known chain"),
    "stops at a bad line": (a_bad_line_takes_its_batch_with_it, "", "a line that cannot be read"),
    "drops what is new": (drops_what_it_does_not_know, "", "of a kind that is not known yet"),
    "ignores the will": (take, "DELETE FROM status;", "the connection was lost"),
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_subscriber_with_a_flaw_does_not(flaw: str, tmp_path: Path) -> None:
    step, at_the_end, words = FLAWS[flaw]
    (case,) = [one for one in cases() if words in one.name]
    assert held(case, tmp_path, step, at_the_end)


def judged(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "agent.subscriber.conformance", "--", *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=PROJECT, check=False)


def test_a_command_that_says_nothing_of_devices_fails_each_case() -> None:
    done = judged("sh", "-c", """cat >/dev/null; echo '{"devices": {}}'""")
    assert done.returncode == 1
    found = re.search(r"(\d+) of (\d+) held", done.stdout)
    assert found is not None
    assert found[1] == "0"
    assert "everything came (in order): state should be" in done.stdout


def test_a_command_that_cannot_be_used_is_named() -> None:
    for command in (["no-such-command-here"], ["false"], ["sh", "-c", "cat >/dev/null; echo hello"]):
        done = judged(*command)
        assert done.returncode == 2
        assert command[0] in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(not LONG, reason="long run: set EDGE_AGENT_LONG=1")
def test_the_reference_as_a_command() -> None:
    done = judged(sys.executable, "-m", "agent.subscriber.conformance.reference")
    assert done.returncode == 0, done.stdout

"""Brokers that refuse: the link says why, once, and tries again; lanes store as before, and what they stored goes out once the broker agrees."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from peers.agents import files, opened, store_path
from peers.certificates import Authority
from peers.mosquitto import mosquitto
from peers.scripted_broker import connack, scripted_broker
from peers.troubled import Troubled, check_one_problem, problems, status, troubled, write

PASSWORD = "correct-horse-9"
# (its keys of [mqtt], how often it was connected to)
Made = Callable[[Path], AbstractContextManager[tuple[str, Callable[[], int]]]]


@contextmanager
def wrong_password(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    with mosquitto(folder, users={"gate-07": "another word"}) as broker:
        yield f'url = "{broker.url}"', lambda: broker.log.count("New connection")


@contextmanager
def wrong_name(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    ca = Authority(folder / "ca")
    with mosquitto(folder, tls=(ca.file, *ca.issue("broker", names=["DNS:broker.example.com"]))) as broker:
        yield f'url = "{broker.url}"\nca_file = "{ca.file}"', lambda: broker.log.count("New connection")


@contextmanager
def unknown_ca(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    ca, other = Authority(folder / "ca"), Authority(folder / "other")
    with mosquitto(folder, tls=(ca.file, *ca.issue("broker", names=["DNS:localhost"]))) as broker:
        yield f'url = "{broker.url}"\nca_file = "{other.file}"', lambda: broker.log.count("New connection")


@contextmanager
def wrong_client_id(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    del folder
    with scripted_broker(connack(0x85)) as broker:
        yield f'url = "{broker.url}"', lambda: len(broker.connects)


@contextmanager
def hangs_up(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Takes each connection and ends it without a word, as Mosquitto does where two devices have one name."""
    del folder
    with scripted_broker(connack(), close_after=True) as broker:
        yield f'url = "{broker.url}"', lambda: len(broker.connects)


# case: the broker, the key that is to blame, what is wrong, remedy
BAD: dict[str, tuple[Made, str, str, str]] = {
    "password": (wrong_password, "user", "does not authorise this device (0x87", "Correct `user` and `password_file`"),
    "tls-name": (wrong_name, "url", 'is for another name than "localhost"', "Use the name that stands in the"),
    "ca": (unknown_ca, "ca_file", "is signed by a CA that is not trusted here", "Set `ca_file` to the certificate"),
    "client-id": (
        wrong_client_id, "url", "refuses this device's client id (0x85", "Allow the client id `site.device`",
    ),
}  # fmt: skip


class Refused(NamedTuple):
    agent: Troubled
    attempts: Callable[[], int]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Refused]]:
    """An agent and its broker for each case, all at once."""
    with ExitStack() as stack:
        agents = {}
        for case, made in {**{case: one[0] for case, one in BAD.items()}, "hangs-up": hangs_up}.items():
            folder = tmp_path_factory.mktemp(case)
            settings, attempts = stack.enter_context(made(folder))
            agents[case] = Refused(stack.enter_context(troubled(with_broker(folder, settings))), attempts)
        yield agents


@pytest.mark.parametrize("case", BAD)
def test_a_broker_that_refuses_is_named_once_and_tried_again(refused: dict[str, Refused], case: str) -> None:
    _, key, what, remedy = BAD[case]
    agent, attempts = refused[case]
    agent.wait_until(lambda: what in problem(agent), what)
    agent.wait_until(lambda: attempts() > 2, "more attempts")
    agent.check_goes_on("yard")
    code, found, text = status(agent.config)
    assert what in problem(agent)
    assert (code, found["link"]["connected"]) == (0, False), "no lane is blind"
    assert f"link: not connected to {found['link']['broker']} for " in text
    assert what in text
    assert remedy in text
    assert found["lanes"]["yard"]["problems"] == []
    check_one_problem(agent.text, f"mqtt.{key}", what, remedy)
    check_secret(agent, text)


def test_a_broker_that_hangs_up_at_once_is_not_told_at_each_attempt(refused: dict[str, Refused]) -> None:
    agent, attempts = refused["hangs-up"]
    agent.wait_until(lambda: attempts() > 6, "more attempts")
    agent.check_goes_on("yard")
    *first, last = problems(agent.text, "mqtt.url")
    assert 1 <= len(first) <= 2  # the system has several words for it
    assert all(" ended: it broke (" in line or " ended: the other side closed it" in line for line in first)
    assert "perhaps another client uses this device's client id" in last
    assert "Give each device its own name" in last


def test_what_was_stored_meanwhile_is_sent_when_the_broker_comes(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        broker.kill()
        with troubled(with_broker(tmp_path, f'url = "{broker.url}"')) as agent:
            agent.wait_until(lambda: "nobody listens at 127.0.0.1" in problem(agent), "the problem")
            agent.wait_until(lambda: items(agent, state=0) > 0, "items")
            broker.start()
            agent.wait_until(lambda: agent.state["link"]["connected"], "the connection")
            agent.wait_until(lambda: items(agent, state=2) > 0, "items acknowledged")
            text = status(agent.config)[2]
    assert f"link: connected to 127.0.0.1:{broker.port} for " in text
    check_one_problem(agent.text, "mqtt.url", "nobody listens at", "Start the broker or correct the port")
    check_secret(agent, text)


def with_broker(folder: Path, settings: str) -> Path:
    """A config with these keys of [mqtt], a user and a password."""
    word = folder / "word"
    word.write_text(PASSWORD + "\n")
    word.chmod(0o600)
    login = 'user = "gate-07"\npassword_file = "word"\nreconnect_max_s = 1.0\n'
    return write(folder, f"[mqtt]\n{settings}\n{login}")


def problem(agent: Troubled) -> str:
    return (agent.state.get("link") or {}).get("problem") or ""


def items(agent: Troubled, *, state: int) -> int:
    with opened(store_path(agent.config)) as connection:
        count: int = connection.execute("SELECT count(*) FROM item WHERE state = ?", (state,)).fetchone()[0]
    return count


def check_secret(agent: Troubled, *texts: str) -> None:
    """It stands in no log, no status, no file that the agent writes."""
    for text in (agent.text, str(agent.state), *texts):
        assert PASSWORD not in text
    for path in files(agent.config.parent / "data"):
        assert PASSWORD.encode() not in path.read_bytes(), path

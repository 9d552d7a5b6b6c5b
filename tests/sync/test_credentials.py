"""Certificates that end soon, passwords and certificates that are replaced, brokers that speak MQTT 3.1.1 only: at a real Mosquitto."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.certificates import Authority
from peers.listener import listener
from peers.mosquitto import mosquitto
from peers.numbered_items import append_events, append_summaries, numbers
from peers.running_sync import opened_store, syncing

from agent.messages import envelope, status
from agent.sync.credentials import Watch, certificate_problem, not_after, password
from agent.sync.settings import Config
from agent.values import RelativePath, Secret

DAY_S = 86_400


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def path(file: Path) -> RelativePath:
    return RelativePath(str(file))


@pytest.mark.parametrize(
    ("days", "said"), [(-1, "expired on"), (5, "in 4 days"), (29, "in 28 days"), (31, None), (9_000, None)]
)
def test_a_certificate_that_ends_soon_is_told(tmp_path: Path, days: int, said: str | None) -> None:
    certificate, key = Authority(tmp_path / "ca").issue("gate", names=["DNS:gate"], days=days)
    assert abs(not_after(certificate.read_text()) - time.time() - days * DAY_S) < 120
    settings = Config(url="mqtts://localhost", cert_file=path(certificate), key_file=path(key))
    problem = certificate_problem(settings, time.time())
    assert (None if said is None else said) == (
        None if problem is None else said if said in problem.what else problem.what
    )
    if problem is not None:
        assert problem.where == "mqtt.cert_file"
        assert str(certificate) in problem.remedy


def test_what_is_no_certificate_is_another_s_word(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("hello")
    for file in (tmp_path / "x.pem", tmp_path / "none.pem"):
        assert certificate_problem(Config(url="mqtts://localhost", cert_file=path(file)), 0.0) is None
    assert certificate_problem(Config(url="mqtts://localhost"), 0.0) is None
    with pytest.raises(ValueError, match="no certificate"):
        not_after("hello")


def test_a_password_is_read_anew_and_a_half_written_file_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("first\n")
    settings = Config(url="mqtts://localhost", user="gate", password_file=path(file), password=Secret("first"))
    watch = Watch(settings)
    assert not watch.changed()
    file.write_text("second\n")
    assert not watch.changed(), "two looks must agree"
    assert watch.changed()
    found = password(settings)
    assert found is not None
    assert found.reveal() == "second"
    watch.begin()
    assert not watch.changed()
    file.unlink()
    assert not watch.changed()
    assert not watch.changed(), "it is being replaced"
    assert password(settings) == Secret("first")


def test_a_certificate_that_is_replaced_is_taken_up_while_the_link_stands(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    good = ca.issue("broker", names=["DNS:localhost"])
    first, later = (ca.issue(f"gate{days}", names=["DNS:gate"], days=days) for days in (5, 200))
    certificate, key = tmp_path / "gate.pem", tmp_path / "gate.key"

    def install(pair: tuple[Path, Path]) -> None:
        key.write_bytes(pair[1].read_bytes())
        certificate.write_bytes(pair[0].read_bytes())

    install(first)
    folder = tmp_path / "broker"
    folder.mkdir()
    with (
        mosquitto(folder, tls=(ca.file, *good), listener_options=["require_certificate true"]) as broker,
        opened_store(tmp_path / "store") as store,
    ):
        more = {"ca_file": path(ca.file), "cert_file": path(certificate), "key_file": path(key)}
        with syncing(store, broker.url, **more) as sync:
            until(lambda: sync.state.connected and "in 4 days" in (sync.state.problem or ""))
            certificate.write_text("half of it")
            time.sleep(12.0)
            assert sync.state.connects == 1, "what cannot be used ends no link"
            install(later)
            until(lambda: sync.state.connects == 2 and sync.state.connected)
            until(lambda: sync.state.problem is None)
            append_events(store, "yard", 3)
            until(lambda: sync.state.items == 3)


def test_a_password_that_was_changed_heals_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("old")
    with opened_store(tmp_path / "store") as store:
        (tmp_path / "b").mkdir()
        with mosquitto(tmp_path / "b", users={"gate": "new"}) as broker:
            more = {"user": "gate", "password_file": path(file), "password": Secret("old"), "reconnect_max_s": 60.0}
            with syncing(store, broker.url, **more) as sync:
                until(lambda: "password" in (sync.state.problem or ""))
                file.write_text("new")
                until(lambda: sync.state.connected)


def test_a_broker_of_mqtt_3_1_1(tmp_path: Path) -> None:
    """What is stored arrives, the session is kept, the will is published, status ends right."""
    with (
        mosquitto(tmp_path) as broker,
        listener(broker.port, "edge/v1/#") as heard,
        opened_store(tmp_path / "store") as store,
    ):
        append_summaries(store, "yard", 40)
        append_events(store, "yard", 3)
        with syncing(store, broker.url, protocol="3.1.1") as sync:
            until(lambda: sync.state.items == 43)
            heard.wait(lambda: len(heard.items()) == 43)
            assert heard.ledgers()
        assert all(state == 2 for rows in numbers(store).values() for state, _ in rows.values())
        heard.wait(lambda: envelope.decode(heard.payloads("status")[-1], status.Status).s == "offline")

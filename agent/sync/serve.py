"""What is said on one connection: status, birth and ledger first, then items, answers to requests, and the orderly end."""

import logging
from collections.abc import Callable
from contextlib import suppress

import msgspec

from agent.clock import Clock
from agent.messages import times, topics
from agent.messages.birth import Birth
from agent.messages.commands import COMMANDS
from agent.messages.envelope import encode
from agent.messages.status import Status
from agent.store import items, kept, reader
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import kinds, refusals, states
from agent.sync.allowance import Allowance, Unlimited
from agent.sync.births import Births
from agent.sync.connection import Connection
from agent.sync.held import Held
from agent.sync.ledger import Ledgers
from agent.sync.requests import Requests
from agent.sync.says import Said, Says
from agent.sync.sender import Sender
from agent.sync.session import Message

# How long the thread sleeps at most; what was committed meanwhile goes out then. A PUBACK, a request and `close` wake it at once.
STEP_S = 0.1
LEDGER_S = 900.0
STATUS_AGAIN_S = 5.0

log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks in one session. session: durable before CONNECT. connected_utc_us: of the connect; the will carries it too."""

    device: str
    epoch: str
    boot: int
    session: int
    config_digest: str
    connected_utc_us: int
    undated: dict[str, tuple[int, int]]

    def status(
        self, state: str, at_utc_us: int | None = None, why: str | None = None, until: str | None = None
    ) -> bytes:
        at_us = self.connected_utc_us if at_utc_us is None else at_utc_us
        return encode(
            Status(
                d=self.device, s=state, epoch=self.epoch, boot=self.boot, sess=self.session, at=times.text_ms(at_us),  # type: ignore[arg-type]
                cfg=self.config_digest, undated=self.undated, why=why, until=until,
            )
        )  # fmt: skip


def draw_identity(store: Store, device: str, config_digest: str, clock: Clock, timeout_s: float) -> Identity:
    """A new session number on the medium. Problem, TimeoutError: the store did not give it."""
    drawn: list[tuple[int, str, int]] = []

    def draw(transaction: Transaction) -> None:
        drawn.append((items.draw_session(transaction), transaction.epoch_text, transaction.boot))

    store.submit(draw, ends_group=True, timeout_s=timeout_s).wait(timeout_s)
    session, epoch, boot = drawn[-1]
    with store.read() as connection:
        undated = reader.undated(connection)
    return Identity(
        device=device, epoch=epoch, boot=boot, session=session, config_digest=config_digest, connected_utc_us=utc_us(clock), undated=undated
    )  # fmt: skip


def utc_us(clock: Clock) -> int:
    """UTC as the system has it; right of the store it is only information."""
    reading = clock.reading()
    return max(0, reading.at_us + reading.utc_offset_us)


class Service:
    """One accepted connection until it ends. `step` raises Problem when the link is lost."""

    def __init__(
        self, store: Store, connection: Connection, sender: Sender, ledgers: Ledgers, identity: Identity, birth: Callable[[], Birth],
        requests: Requests, clock: Clock, *, ledger_s: float = LEDGER_S, store_limit_s: float = 5.0, budget: Allowance | None = None,
        tls: bool = False,
    ) -> None:  # fmt: skip
        self._store = store
        self._budget = budget if budget is not None else Unlimited()
        self._state = self._budget.state
        self._held = Held(store, clock, sender.streams, self._budget.room, store_limit_s=store_limit_s)
        self._connection = connection
        self._sender = sender
        self._ledgers = ledgers
        self._identity = identity
        self._births = Births(birth, clock, longest_s=ledger_s)
        self._clock = clock
        self._ledger_us = round(ledger_s * 1e6)
        self._store_limit_s = store_limit_s
        self._online = identity.status("online")
        self._says = Says(connection, self._budget, clock, tls=tls)
        self._ledger_due_us = 0
        self._status_us = clock.boot_us() - round(STATUS_AGAIN_S * 1e6)  # the first time at once
        self._status_due = False
        self._requests = requests
        self._resends = False
        self._commits = 0
        device = identity.device
        # What the data budget keeps back is kept back before the first ledger says so.
        self._held.step(self._state)
        self._say(topics.status(device), self._online, sure=True)
        self._look_at_birth(sure=True)
        self._say_ledger(sure=True)
        commands = [topics.commands(device)]
        if not connection.limits.wildcards:
            commands = [topics.command(device, name) for name in COMMANDS]
        connection.subscribe([*commands, topics.status(device)])
        for asked in requests.carry_on():
            self._resend(asked)

    def step(self, limit_s: float = STEP_S) -> None:
        """Sends what may go, takes what came, waits at most this long."""
        now_us = self._clock.boot_us()
        commits = self._store.wait_for_commit(0.0, self._commits)
        if commits != self._commits:
            self._commits = commits
            self._sender.refresh()
        self._periodic(now_us)
        self._held.step(self._budget.state)
        self._says.flush()
        pause_s = self._sender.pump()
        self._sender.write_acknowledged()
        self._connection.poll(min(limit_s, pause_s))
        self._take()

    def end(self, send_until_us: int, end_us: int) -> None:
        """Sends items until the first moment at most, then ledger, offline and DISCONNECT until the second."""
        self._sender.hurry()
        while self._clock.boot_us() < send_until_us:
            self.step(min(STEP_S, self._left_s(send_until_us)))
            if self._sender.idle and not self._says.waits:
                break
        self.last_words(self._identity.status("offline", utc_us(self._clock)), end_us)

    def last_words(self, status: bytes, end_us: int) -> None:
        """A ledger, this status, and DISCONNECT, until that moment at most."""
        ticket = self._sender.write_acknowledged(all_of_them=True)
        with suppress(TimeoutError):
            if ticket is not None:
                ticket.wait(self._left_s(end_us) / 2)
        self._says.clear()
        with suppress(TimeoutError):  # a slow store must not turn an orderly end into a lost link
            self._say_ledger(limit_s=self._left_s(end_us) / 2, sure=True)
        self._say(topics.status(self._identity.device), status, sure=True)
        while self._says.busy and self._clock.boot_us() < end_us:
            self._says.flush()
            self._connection.poll(min(STEP_S, self._left_s(end_us)))
            self._take()
        self._connection.disconnect()

    def _left_s(self, until_us: int) -> float:
        return max(0.01, (until_us - self._clock.boot_us()) / 1e6)

    def _periodic(self, now_us: int) -> None:
        if self._budget.room(kinds.CONTROL) > 0:
            self._look_at_birth()
        state, self._state = self._state, self._budget.state
        if self._sender.take_lost() or state != self._state:
            self._say_ledger()
        elif now_us >= self._ledger_due_us:
            self._ledger_due_us = now_us + self._ledger_every_us
            if self._ledgers.changed():
                self._say_ledger()
        if self._status_due and now_us - self._status_us >= STATUS_AGAIN_S * 1e6:
            self._status_due, self._status_us = False, now_us
            self._say(topics.status(self._identity.device), self._online)
        for topic in self._says.due_again():
            self._say_again(topic)
        if self._resends and self._sender.resent:
            self._resends = False
            self._requests.sent()
        while self._requests.waiting and not self._sender.resending:
            self._answer(self._requests.waiting.popleft())

    @property
    def ails(self) -> str | None:
        """What does not go as it should although the link is there."""
        told = self._sender.ails or self._says.ails
        for topic, code in self._connection.refused_topics.items():
            return told or refusals.subscription(topic, code)
        return told

    @property
    def _ledger_every_us(self) -> int:
        return max(self._ledger_us, round(states.LEDGER_S[self._budget.state] * 1e6))

    def _look_at_birth(self, *, sure: bool = False) -> None:
        payload = self._births.take()
        if payload is not None:
            self._say(topics.birth(self._identity.device), payload, sure=sure)
            # For the road by file, which is written without a running agent too.
            self._store.submit(
                lambda transaction: kept.write(transaction, kept.BIRTH, payload.decode()), timeout_s=self._store_limit_s
            )

    def _say_ledger(self, limit_s: float | None = None, *, sure: bool = False) -> None:
        topic = topics.ledger(self._identity.device)
        limit_s = self._store_limit_s if limit_s is None else limit_s
        self._ledger_due_us = self._clock.boot_us() + self._ledger_every_us
        payload = self._ledgers.make(self._connection.payload_limit(topic), limit_s)
        self._budget.said_ledger(len(payload))
        self._say(topic, payload, sure=sure, kind=kinds.LEDGER)

    def _say(self, topic: str, payload: bytes, *, sure: bool = False, kind: str = kinds.CONTROL) -> None:
        self._says.say(Said(topic=topic, payload=payload, sure=sure, kind=kind))

    def _say_again(self, topic: str) -> None:
        """The broker refused it."""
        device = self._identity.device
        if topic == topics.status(device):
            self._say(topic, self._online)
        elif topic == topics.birth(device):
            self._births.again()
        else:
            self._say_ledger()

    def _accepted(self, topic: str) -> None:
        if topic == topics.ledger(self._identity.device):
            self._ledgers.confirmed()

    def _take(self) -> None:
        while self._connection.acknowledged:
            mark = self._connection.acknowledged.popleft()
            if not self._says.take(mark, self._accepted):
                self._sender.acknowledge(mark)
        while self._connection.received:
            self._receive(self._connection.received.popleft())

    def _receive(self, message: Message) -> None:
        if message.topic == topics.status(self._identity.device):
            # A late will of an earlier session, or another device with this name: what holds now is said again.
            if message.payload != self._online:
                self._status_due = True
            return
        self._answer(message)

    def _answer(self, message: Message) -> None:
        outcome = self._requests.take(message, busy=self._sender.resending)
        if outcome is None:
            return
        if outcome.effect.resend:
            self._resend(list(outcome.effect.resend))
        if outcome.effect.birth:
            self._births.again()
        if outcome.effect.ledger:
            self._say_ledger()
        if outcome.topic is not None:
            self._says.say(
                Said(topic=outcome.topic, payload=outcome.payload, retain=False, expiry_s=3600, correlation=outcome.correlation)
            )  # fmt: skip

    def _resend(self, asked: list[items.Item]) -> None:
        self._resends = True
        self._sender.resend(asked)

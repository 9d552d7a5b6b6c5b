"""`cmd/…`: who may ask, that it happens once, and who is answered. What a request does is in commands.py.

Once     (caller, id) and the answer are stored in the transaction that starts the effect, with an audit item. The same request again, over a
         kill too, gets the same bytes and does nothing; another one under the same id is refused. A resend that was accepted before a kill
         is carried on: what is left of it stands with the answer.
Refused  retained, unexpiring, unknown or not allowed requests: answered, logged, audited, and not stored, for they have no effect.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.messages import commands as messages
from agent.messages import times, topics
from agent.messages.audit import STREAM, Audit
from agent.messages.envelope import Quality, Unreadable, encode
from agent.store import commands as answered
from agent.store import items
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import commands
from agent.sync import settings as sync_settings
from agent.sync.commands import Effect, Room
from agent.sync.session import Message

# Requests that may wait while one is carried out.
WAITING = 8
# A caller that asks more often is answered "busy": it would use up the data plan.
MOST_A_MINUTE = 300
_MINUTE_US = 60_000_000
_PLENTY = 1 << 30
# Of one caller, command and outcome there is one audit item a minute; the next one tells how many there were since.
_AUDIT_US = 60_000_000

log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """topic None: nobody is to be answered."""

    topic: str | None
    payload: bytes
    correlation: bytes | None
    effect: Effect


class _Who(msgspec.Struct):
    id: str = ""
    caller: str = ""
    exp: str = ""


class Requests:
    """Of one running agent, over its connections. says: what `status` shows. room: bytes that the budget leaves for a resend."""

    def __init__(
        self, store: Store, device: str, clock: Clock, *, allowed: sync_settings.Commands | None = None,
        says: Callable[[], dict[str, Any]] = dict, room: Callable[[], int] = lambda: _PLENTY, store_limit_s: float = 5.0,
    ) -> None:  # fmt: skip
        self._store, self._device, self._clock = store, device, clock
        self._allowed = allowed
        self._says, self._room = says, room
        self._limit_s = store_limit_s
        self.waiting: deque[Message] = deque()
        self._begun_us: dict[str, deque[int]] = {}
        self._folded: dict[tuple[str, str, str], tuple[int, int]] = {}  # → (boot time of the last item, requests since)
        self._open: list[tuple[str, str]] = []  # (caller, id) whose resend is on its way

    def carry_on(self) -> list[list[items.Item]]:
        """On a new connection: what was accepted and not sent to its end, each of one stream of one epoch."""
        with self._store.read() as connection:
            rows = answered.unfinished(connection)
            found = [(caller, number, commands.carried_on(work, connection)) for caller, number, work in rows]
        self._open = [(caller, number) for caller, number, _ in found]
        return [some for _, _, some in found if some]

    def sent(self) -> None:
        """Everything that was to be sent again is with the broker."""
        done, self._open = self._open, []
        if done:

            def finish(transaction: Transaction) -> None:
                for caller, number in done:
                    answered.finish(transaction, caller, number)

            self._store.submit(finish, timeout_s=self._limit_s)

    def take(self, message: Message, *, busy: bool = False) -> Outcome | None:
        """What becomes of a request; None: it waits. busy: an earlier one is still carried out."""
        name = _name(message)
        refused = self._refusal(message, name)
        if refused is not None:
            return self._told(message, name, refused)
        who = _who(message)
        digest = hashlib.sha256(message.payload).digest()
        with self._store.read() as connection:
            before = answered.find(connection, who.caller, who.id)
        if before is not None and before.request == digest:
            return Outcome(
                topic=_topic(message, self._device, who), payload=before.answer, correlation=message.correlation, effect=Effect("ok", "again")
            )  # fmt: skip
        if before is not None:
            return self._told(message, name, Effect("refused", f"{name}: this id was used for another request"))
        if self._too_often(who.caller):
            return self._told(message, name, Effect("busy", f"more than {MOST_A_MINUTE} requests a minute"))
        if busy and name == "resend":
            if len(self.waiting) < WAITING:
                self.waiting.append(message)
                return None
            return self._told(message, name, Effect("busy", "earlier requests are still being answered"))
        return self._carried_out(message, name, who, digest)

    def _refusal(self, message: Message, name: str) -> Effect | None:
        if message.retained:
            return Effect("refused", f"{name}: retained requests are refused")
        expiry_s = message.expiry_s if message.expiry_s is not None else self._expiry_s(message)
        if expiry_s is None or expiry_s > messages.MAX_EXPIRY_S:
            return Effect("refused", f"{name}: a request must expire within {messages.MAX_EXPIRY_S} s")
        if expiry_s <= 0:
            return Effect("expired", f"{name}: it was meant until {_who(message).exp}")
        if name not in messages.COMMANDS:
            return Effect("refused", f'unknown command "{name[:64]}"; known: {", ".join(messages.COMMANDS)}')
        try:
            who = msgspec.json.decode(message.payload, type=_Who)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Effect("invalid", f"{name}: {error}")
        if not 1 <= len(who.id) <= 64 or not 1 <= len(who.caller) <= 128:
            return Effect("invalid", f"{name}: a request needs an id of 1 to 64 and a caller of 1 to 128 characters")
        if self._allowed is not None:
            may = next((one.commands for one in self._allowed.allow if one.caller == who.caller), ())
            if name not in may:
                return Effect("refused", f"{name}: not allowed to this caller by the device's config")
        return None

    def _expiry_s(self, message: Message) -> float | None:
        """Seconds that are left by the body's own word, None without one."""
        try:
            until_us = times.parse(_who(message).exp)
        except ValueError:
            return None
        reading = self._clock.reading()
        return (until_us - reading.at_us - reading.utc_offset_us) / 1e6

    def _carried_out(self, message: Message, name: str, who: _Who, digest: bytes) -> Outcome:
        try:
            effect = self._effect(message, name)
        except Unreadable as error:
            return self._told(message, name, Effect("invalid", f"{name}: {error}"))
        answer = _answer(who, effect)

        def enter(transaction: Transaction) -> None:
            answered.enter(transaction, who.caller, who.id, name, answered.Answered(digest, answer, effect.work))
            self._audit(transaction, name, who, effect)

        self._store.submit(enter, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        if effect.work is not None:
            self._open.append((who.caller, who.id))
        log.info(fact("request", command=name, caller=who.caller[:64], code=effect.code, answer=effect.msg))
        return Outcome(
            topic=_topic(message, self._device, who), payload=answer, correlation=message.correlation, effect=effect
        )

    def _effect(self, message: Message, name: str) -> Effect:
        if name == "ping":
            return commands.ping()
        if name == "status":
            return commands.status(message.payload, self._says)
        if name == "birth":
            return commands.birth(message.payload)
        with self._store.read() as connection:
            if name == "ledger":
                return commands.ledger(message.payload, connection)
            return commands.resend(message.payload, connection, Room(self._room()))

    def _told(self, message: Message, name: str, effect: Effect) -> Outcome:
        """An answer without an effect."""
        who = _who(message)
        log.info(fact("request", command=name[:64], caller=who.caller[:64], code=effect.code, answer=effect.msg))
        if not self._too_often(who.caller, audit=True):
            self._store.submit(
                lambda transaction: self._audit(transaction, name[:64], who, effect), timeout_s=self._limit_s
            )
        return Outcome(
            topic=_topic(message, self._device, who),
            payload=_answer(who, effect),
            correlation=message.correlation,
            effect=effect,
        )

    def _too_often(self, caller: str, *, audit: bool = False) -> bool:
        now_us = self._clock.boot_us()
        if len(self._begun_us) > 256:  # callers are named by themselves
            self._begun_us.clear()
        begun = self._begun_us.setdefault(f"{'audit ' if audit else ''}{caller[:128]}", deque(maxlen=MOST_A_MINUTE))
        if len(begun) == MOST_A_MINUTE and now_us - begun[0] < _MINUTE_US:
            return True
        begun.append(now_us)
        return False

    def _audit(self, transaction: Transaction, name: str, who: _Who, effect: Effect) -> None:
        count, key = 1, (name, who.caller[:128], effect.code)
        told_us, since = self._folded.get(key, (-_AUDIT_US, 0))
        if transaction.now_us - told_us < _AUDIT_US:
            self._folded[key] = told_us, since + 1
            return
        count += since
        if len(self._folded) > 256:
            self._folded.clear()
        self._folded[key] = transaction.now_us, 0
        reading = self._clock.reading()
        now = times.text_ms(max(0, reading.at_us + reading.utc_offset_us))
        items.append(
            transaction,
            STREAM,
            lambda number: encode(
                Audit(
                    d=transaction.device, epoch=transaction.epoch_text, st=STREAM, seq=number, of=number, at=now, boot=transaction.boot,
                    tq=Quality(s=reading.source, e=reading.error_ms), t=now, who=who.caller[:128], cmd=name,  # type: ignore[arg-type]
                    id=who.id[:64], code=effect.code, msg=effect.msg, count=count,
                )
            ),
        )  # fmt: skip


def _name(message: Message) -> str:
    parsed = topics.parse(message.topic)
    return parsed.rest if parsed is not None and parsed.branch == "cmd" else message.topic


def _who(message: Message) -> _Who:
    try:
        return msgspec.json.decode(message.payload, type=_Who)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Who()


def _answer(who: _Who, effect: Effect) -> bytes:
    return encode(messages.Answer(id=who.id[:64], code=effect.code, msg=effect.msg, data=effect.data))  # type: ignore[arg-type]


def _topic(message: Message, device: str, who: _Who) -> str | None:
    """Where the caller wants it, unless that would let a request write where only the device itself speaks."""
    topic = message.response_topic
    if topic is None and topics.is_name(who.caller):
        return topics.answer(device, who.caller)
    if not topic or topic.startswith("$") or "+" in topic or "#" in topic or "\0" in topic:
        return None
    own = topics.root(device) + "/"
    if topic.startswith(own) and not topic.startswith(own + "ans/"):
        return None
    return topic

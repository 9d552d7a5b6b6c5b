"""Takes messages from an MQTT 5 broker into the view, and asks devices for what is missing. Blocks the caller's thread until told to stop.

QoS 1 with acknowledgements by hand: up to 20 messages, or what comes within 20 ms, are one transaction, acknowledged after its commit. The
session is kept for a day, and everything is subscribed again at every connect: a broker that lost its data is no special case.
"""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.messages import times, topics
from agent.messages.commands import ResendRequest
from agent.messages.envelope import encode
from agent.subscriber import asks, workers
from agent.subscriber.broker import Broker, Client, refused
from agent.subscriber.errors import SubscriberError
from agent.subscriber.state import client_id
from agent.subscriber.view import View

GROUP_MESSAGES = 20
GROUP_S = 0.02
SESSION_EXPIRY_S = 86_400
RECEIVE_MAXIMUM = 200
ASK_EXPIRY_S = 600
KEEPALIVE_S = 30
CONNACK_LIMIT_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_IDLE_S = 0.1  # also how late a stop is seen


class Clock(Protocol):
    def utc_s(self) -> float:
        """Seconds since 1970."""

    def steady_s(self) -> float:
        """Seconds that never step."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """site, name: one device, one site, or all. ask_after_s: how long a number may be missing before it is asked for (2 × keepalive of the
    devices); caller: who asks, a name. for_s: when to stop, else never. share: the group of workers of which each item goes to one; place: which
    of them this is.
    """

    site: str | None = None
    name: str | None = None
    ask_after_s: float = 60.0
    caller: str = "subscriber"
    for_s: float | None = None
    share: str | None = None
    place: int | None = None


def receive(
    view: View,
    broker: Broker,
    settings: Settings,
    *,
    clock: Clock,
    stop: threading.Event,
    log: Callable[[str], None] = lambda _: None,
    until: Callable[[], bool] | None = None,
    look: Callable[[], None] | None = None,
) -> None:
    """Until `stop` is set, `for_s` is over, or `until()` is true; it is asked when a ledger has come in this connection, then after
    commits, at most once a second. log: one line a fact. look: called once a second or so while connected.

    SubscriberError when the broker refuses this subscriber (password, certificate, rights) at the first connect, or never answered.
    """
    end_s = None if settings.for_s is None else clock.steady_s() + settings.for_s
    pause_s = FIRST_PAUSE_S
    connected_once = False
    problem: SubscriberError | None = None
    while not stop.is_set() and (end_s is None or clock.steady_s() < end_s):
        link = _Link(view, broker, settings, clock, stop, end_s, until, log, look)
        try:
            link.run()
            return
        except _Lost as lost:
            if lost.final and not connected_once and not link.connected:
                raise lost.problem from None
            problem = lost.problem
        finally:
            link.close()
        if link.connected:
            connected_once, pause_s = True, FIRST_PAUSE_S
        log(f"{problem} (again in {pause_s:.1f} s)")
        stop.wait(pause_s if end_s is None else min(pause_s, max(0.0, end_s - clock.steady_s())))
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
    if not connected_once and problem is not None:
        raise problem


def _properties(kind: int) -> Any:
    return Properties(kind)  # type: ignore[no-untyped-call]


class _Lost(Exception):
    """The connection ended. final: trying again the same way will not help."""

    def __init__(self, problem: SubscriberError, *, final: bool = False) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.final = final


class _Link:
    """One connection: a fresh client each time, so that nothing of an old connection is acknowledged on the new one."""

    def __init__(
        self,
        view: View,
        broker: Broker,
        settings: Settings,
        clock: Clock,
        stop: threading.Event,
        end_s: float | None,
        until: Callable[[], bool] | None,
        log: Callable[[str], None],
        look: Callable[[], None] | None,
    ) -> None:
        self._log, self._look = log, look
        self._view, self._broker, self._settings = view, broker, settings
        self._clock, self._stop, self._end_s, self._until = clock, stop, end_s, until
        self.connected = False
        self._refusal: _Lost | None = None
        self._pending: list[mqtt.MQTTMessage] = []
        self._changed = self._heard = False
        self._may_ask = True
        self._looked_s = self._asked_s = self._shown_s = -1e9
        self._client = self._new_client()

    def _new_client(self) -> Client:
        client = Client(self._broker, client_id(self._view.connection, self._settings.place))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def run(self) -> None:
        """Returns when it is time to stop; _Lost when the connection ends before."""
        try:
            self._client.open(KEEPALIVE_S, session_expiry_s=SESSION_EXPIRY_S, receive_maximum=RECEIVE_MAXIMUM)
        except (OSError, ValueError) as error:
            problem, final = refused(self._broker, error)
            raise _Lost(problem, final=final) from None
        started_s = self._clock.steady_s()
        while not self._over():
            self._turn()
            if not self.connected and self._clock.steady_s() - started_s > CONNACK_LIMIT_S:
                raise _Lost(
                    self._broker.problem(
                        "no answer to CONNECT", f"Is it a broker of MQTT {self._broker.protocol} that listens there?"
                    )
                )
        self._commit()

    def _over(self) -> bool:
        if self._stop.is_set() or (self._end_s is not None and self._clock.steady_s() >= self._end_s):
            return True
        now_s = self._clock.steady_s()
        if not self._changed or now_s - self._looked_s < 1.0 or self._pending:
            return False
        self._looked_s, self._changed = now_s, False
        return self._until is not None and self._until()

    def _turn(self) -> None:
        """One group of messages, or one idle moment."""
        first_s = self._clock.steady_s()
        while True:
            wait_s = max(0.0, first_s + GROUP_S - self._clock.steady_s()) if self._pending else _IDLE_S
            before = len(self._pending)
            code = self._client.loop(timeout=wait_s)
            if self._refusal is not None:
                raise self._refusal
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                # What is pending was not acknowledged: the broker sends it again.
                raise _Lost(
                    self._broker.problem(f"the connection ended: {mqtt.error_string(code)}", "It is tried again")
                )
            if not before:
                first_s = self._clock.steady_s()
            full = len(self._pending) >= GROUP_MESSAGES or self._clock.steady_s() - first_s >= GROUP_S
            if not self._pending or full or len(self._pending) == before:
                break
        self._commit()
        self._ask()
        if self._look is not None and self._clock.steady_s() - self._shown_s >= 1.0:
            self._shown_s = self._clock.steady_s()
            self._look()

    def _commit(self) -> None:
        group, self._pending = self._pending, []
        if not group:
            return
        taken = self._view.take([(one.topic, bytes(one.payload)) for one in group], self._clock.utc_s())
        self._may_ask = True
        # What an earlier run knew proves nothing: first a ledger must be heard again.
        self._changed = self._changed or self._heard or bool(taken.ledgers)
        self._heard = self._heard or bool(taken.ledgers)
        for one in group:
            if one.qos:
                self._client.ack(one.mid, one.qos)

    def _ask(self) -> None:
        """At most once a second; what is due was written down before it is sent, so a crash never asks without end."""
        if not self.connected or not self._may_ask or self._clock.steady_s() - self._asked_s < 1.0:
            return
        self._asked_s = self._clock.steady_s()
        place = self._settings.place
        if place is not None and not workers.may_ask(self._view.connection, place, self._clock.utc_s()):
            return
        for device, request in asks.due(
            self._view.connection,
            self._clock.utc_s(),
            age_s=self._settings.ask_after_s,
            caller=self._settings.caller,
            new_id=lambda: secrets.token_hex(16),
        ):
            self._publish(device, request)
        # A new reason to ask comes with a message, or with time while something is being asked for.
        self._may_ask = asks.outstanding(self._view.connection)

    def _publish(self, device: str, request: asks.Asked) -> None:
        properties = None  # MQTT 3.1.1 knows none: the answer comes to the caller's own topic
        if self._client.protocol == mqtt.MQTTv5:
            properties = _properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = ASK_EXPIRY_S
            properties.ResponseTopic = topics.answer(device, self._settings.caller)
            properties.CorrelationData = request.id.encode()
            properties.ContentType = "application/json"
        # Said in the body too: a bridge or a broker of MQTT 3.1.1 loses the properties.
        exp = times.text_ms(round((self._clock.utc_s() + ASK_EXPIRY_S) * 1e6))
        payload = encode(msgspec.structs.replace(request, exp=exp))
        name = "resend" if isinstance(request, ResendRequest) else "ledger"
        self._client.publish(topics.command(device, name), payload, qos=1, properties=properties)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.on_disconnect = None

    # ---- callbacks, all inside loop()

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            problem, final = refused(self._broker, code)
            self._refusal = _Lost(problem, final=final)
            return
        client.subscribe([(topic, 1) for topic in self._topics()])

    def _topics(self) -> list[str]:
        chosen = self._settings
        own = f"{topics.ROOT}/{chosen.site or '+'}/{chosen.name or '+'}/ans/{chosen.caller}"
        return [*topics.subscriptions(chosen.site, chosen.name, chosen.share), own]

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        bad = next((code for code in codes if code.is_failure), None)
        if bad is not None:
            problem = self._broker.problem(
                f"it refuses the subscription: {bad}",
                "Give this user the right to read edge/v1/#, or narrow --site and --device",
            )
            self._refusal = _Lost(problem, final=True)
            return
        self.connected = True
        self._looked_s = self._clock.steady_s()  # the retained ledgers come first
        self._log(f"{self._broker.address}: subscribed")

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._pending.append(message)

"""What a broker's CONNACK allows (MQTT 5, 3.2.2.3), and what of it a person should know. paho applies none of it but the keepalive.

MQTT 3.1.1 tells nothing: there the broker is taken for one of the narrow ones.
"""

from paho.mqtt.properties import Properties

from agent.problems import Problem
from agent.sync.address import Address
from agent.sync.client import SESSION_EXPIRY_S
from agent.sync.session import Limits

# Of a broker that names no maximum because its MQTT has no word for it: what managed brokers take.
UNTOLD_PACKET_BYTES = 131_072
_MOST_MESSAGES = 65_535


class RetainRefusedError(Problem):
    """The broker refuses a connection for its retained will, and would take one whose will is not."""

    @classmethod
    def of(cls, problem: Problem) -> "RetainRefusedError":
        return cls(where=problem.where, what=problem.what, remedy=problem.remedy)


def read(properties: Properties | None, *, keepalive_s: int, mqtt5: bool, retains: bool = True) -> Limits:
    """mqtt5: else 3.1.1. retains: False when the broker has refused a retained will before."""

    def value(name: str, default: int) -> int:
        return int(getattr(properties, name, default))

    packet_bytes = value("MaximumPacketSize", 0) or (None if mqtt5 else UNTOLD_PACKET_BYTES)
    return Limits(
        messages=value("ReceiveMaximum", _MOST_MESSAGES),
        packet_bytes=packet_bytes,
        topic_aliases=value("TopicAliasMaximum", 0),
        keepalive_s=keepalive_s,
        session_expiry_s=value("SessionExpiryInterval", SESSION_EXPIRY_S),
        qos=value("MaximumQoS", 1),
        retains=value("RetainAvailable", int(retains or not mqtt5)) == 1,
        wildcards=value("WildcardSubscriptionAvailable", 1) == 1,
    )


def problem(limits: Limits, address: Address, where: str = "mqtt") -> Problem | None:
    """Why this broker cannot be used at all."""
    if limits.qos >= 1:
        return None
    return Problem(
        where=f"{where}.url",
        what=f"{address} takes QoS 0 only: it would acknowledge nothing, and what is lost would never be known",
        remedy="Allow QoS 1 at the broker.",
    )


def remarks(limits: Limits, address: Address, where: str = "mqtt") -> list[str]:
    """What works less well with this broker, and what to do."""
    found = []
    if limits.session_expiry_s == 0:
        found.append(
            f"{where}.url: {address} keeps no session: requests that come while the link is down are lost. "
            "Let the broker keep sessions for a day"
        )
    if not limits.retains:
        found.append(
            f"{where}.url: {address} retains nothing: a subscriber that comes later must ask by cmd/birth and cmd/ledger. "
            "Allow retained messages at the broker"
        )
    return found

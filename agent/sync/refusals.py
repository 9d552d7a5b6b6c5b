"""What a broker's reason codes mean to the person in front of the device (MQTT 5, 2.4 and 4.13)."""

from agent.problems import Problem
from agent.sync.address import Address

TAKEN_OVER = 0x8E
NO_SUBSCRIBER = 0x10
FAILURE = 0x80
NO_RETAIN = 0x9A

_CONNACK: dict[int, tuple[str, str, str]] = {
    # code: (key, what {0} does, remedy)
    0x84: (
        "protocol",
        "{0} does not speak this version of MQTT",
        'Set `protocol = "3.1.1"`, or use a broker that speaks MQTT 5, such as Mosquitto 1.6 or newer.',
    ),
    0x85: (
        "url",
        "{0} refuses this device's client id",
        "Allow the client id `site.device` at the broker, or rename the device.",
    ),
    0x86: ("password_file", "{0} refuses user or password", "Correct `user` and `password_file`."),
    0x87: (
        "user",
        "{0} does not authorise this device",
        "Correct `user` and `password_file`, or the broker's access rules.",
    ),
    0x88: ("url", "{0} is not available", "It is tried again."),
    0x89: ("url", "{0} is too busy", "It is tried again, less often."),
    0x8A: ("url", "{0} has banned this device", "Lift the ban at the broker."),
    0x8C: ("user", "{0} wants another way to authenticate", "Allow user and password, or certificates, at the broker."),
    0x97: ("url", "{0} says that this device's quota is used up", "Raise the quota at the broker."),
    NO_RETAIN: ("url", "{0} takes no retained messages", "Allow retained messages at the broker."),
    0x9B: (
        "url",
        "{0} takes no messages of QoS 1",
        "Allow QoS 1 at the broker: without it nothing is ever acknowledged.",
    ),
    0x9C: ("url", "{0} says: use another server", "Set `url` to the other server."),
    0x9D: ("url", "{0} says: the server has moved", "Set `url` to the new server."),
    0x9F: ("url", "{0} says that this device connects too often", "It is tried again, less often."),
}
_DISCONNECT: dict[int, tuple[str, str]] = {
    0x87: ("{0} no longer authorises this device", "Look at the broker's access rules for this device."),
    0x89: ("{0} is too busy", "A new connection is tried."),
    0x8B: ("{0} is shutting down", "A new connection is tried."),
    0x8D: ("{0} heard nothing in time (keepalive)", "A new connection is tried; look at the network."),
    TAKEN_OVER: (
        "another client connected to {0} with this device's client id and took the session over",
        "Give each device its own name: two share one, or this card was copied.",
    ),
    0x93: ("{0} says that its receive maximum was exceeded", "Set `window` lower."),
    0x95: ("{0} refuses a packet as too large", "Raise the broker's maximum packet size."),
    0x96: (
        "{0} says that messages come too fast",
        "Raise the broker's limit of messages a second, or set `window` lower.",
    ),
    0x97: ("{0} says that this device's quota is used up", "Raise the quota at the broker."),
    0x98: ("{0} was told to end this connection", "Ask who looks after the broker."),
    0x9C: ("{0} says: use another server", "Set `url` to the other server."),
    0x9D: ("{0} says: the server has moved", "Set `url` to the new server."),
    0x9F: ("{0} says that this device connects too often", "It is tried again, less often."),
}
# Of a PUBACK: why a message was not taken, and what to do.
_PUBACK: dict[int, tuple[str, str]] = {
    0x83: ("for a reason of its own", "Look into its log"),
    0x87: ("because this device may not publish there", "Let it write to its own branch, `edge/v1/{site}/{device}/#`"),
    0x90: ("because of its topic", "Allow topics of eight levels below `edge/`"),
    0x97: ("because this device's quota is used up", "Raise the quota at the broker"),
    0x99: ("because of its payload", "Let the broker take any bytes as payload"),
}


def words(properties: object) -> str:
    """The broker's own words in a CONNACK or DISCONNECT, if it sent any."""
    text = str(getattr(properties, "ReasonString", ""))
    return "".join(character for character in text[:120] if character.isprintable())


def connack(code: int, text: str, address: Address, where: str) -> Problem:
    """A connection that was refused. text: the broker's own words."""
    key, what, remedy = _CONNACK.get(code, ("url", "{0} refuses the connection", "Look into the broker's log."))
    return Problem(where=f"{where}.{key}", what=_said(what.format(address), code, text), remedy=remedy)


def disconnect(code: int, text: str, address: Address, where: str) -> Problem:
    """A connection that the broker ended with a reason."""
    what, remedy = _DISCONNECT.get(code, ("{0} ended the connection", "Look into the broker's log."))
    return Problem(where=f"{where}.url", what=_said(what.format(address), code, text), remedy=remedy)


def taken_over_silently(address: Address, where: str, times: int) -> Problem:
    """Mosquitto 2.0 ends the older of two sessions with one client id without a word: all that shows is that each new one dies at once."""
    return Problem(
        where=f"{where}.url",
        what=f"{address} ended {times} connections in a row, each within seconds of accepting them: perhaps another client uses this device's client id",
        remedy="Give each device its own name; otherwise look into the broker's log.",
    )


def message(topic: str, code: int) -> str:
    """A PUBACK with a reason to refuse."""
    why, remedy = _PUBACK.get(code, ("", "Look into its log"))
    return f"the broker refuses {topic} {why + ' ' if why else ''}(0x{code:02X}). {remedy}; it is sent again"


def subscription(topic: str, code: int) -> str:
    """A SUBACK with a reason to refuse."""
    return f"the broker does not let this device subscribe to {topic} (0x{code:02X}): no request reaches it. Correct the broker's access rules"


def _said(what: str, code: int, text: str) -> str:
    return f"{what} (0x{code:02X}{', ' + text if text else ''})"

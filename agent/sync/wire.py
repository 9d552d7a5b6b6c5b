"""What a message costs on the link, as a SIM counts it: headers, TCP/IP, TLS records, the acknowledgement, both directions.

Linux sends 12 bytes of timestamps with each segment, so a segment costs 52 bytes over IPv4 (40 without them); 72 over IPv6.
"""

SEGMENT_BYTES = 52
SEGMENT_IPV6_BYTES = 72
# Payload of one segment: Ethernet's 1,500 less the headers and what mobile tunnels take.
SEGMENT_PAYLOAD_BYTES = 1_400
TLS_RECORD_BYTES = 29  # TLS 1.2; 22 in TLS 1.3
HANDSHAKE_BYTES = 6_500
# PUBLISH beside topic and payload: fixed header 3, length of the topic 2, packet id 2, properties 1, expiry 5, alias 3.
PUBLISH_BYTES = 16
PUBACK_BYTES = 4
# A name's question and answer over UDP, for IPv4 and IPv6.
LOOKUP_BYTES = 400
# SYN, SYN-ACK, ACK with their options.
_OPEN_BYTES = 60 + 60 + 52
# FIN and its acknowledgement, both ways.
CLOSE_BYTES = 4 * SEGMENT_BYTES
# CONNECT with a will, CONNACK, SUBSCRIBE, SUBACK, DISCONNECT, the device's own retained status coming back.
SESSION_BYTES = 1_500


def message_bytes(payload: int, topic: int, *, tls: bool, aliased: bool = False) -> int:
    """A PUBLISH, its PUBACK, and the TCP acknowledgement of that. payload, topic: lengths. aliased: the topic goes as a number."""
    size = payload + PUBLISH_BYTES + (0 if aliased else topic)
    out = size + max(1, -(-size // SEGMENT_PAYLOAD_BYTES)) * SEGMENT_BYTES
    # Long messages are acknowledged every second segment before the PUBACK comes.
    acks = SEGMENT_BYTES * max(0, (size // SEGMENT_PAYLOAD_BYTES) // 2)
    back = PUBACK_BYTES + SEGMENT_BYTES + SEGMENT_BYTES
    records = (1 + size // 16_384 + 1) * TLS_RECORD_BYTES if tls else 0
    return out + acks + back + records


def ping_bytes(*, tls: bool) -> int:
    """PINGREQ, PINGRESP, and the TCP acknowledgement."""
    return 2 + 2 + 3 * SEGMENT_BYTES + (2 * TLS_RECORD_BYTES if tls else 0)


def connect_bytes(*, tls: bool) -> int:
    """TCP, TLS and MQTT until items may go; status, birth and ledger are counted for themselves."""
    return LOOKUP_BYTES + _OPEN_BYTES + CLOSE_BYTES + SESSION_BYTES + (HANDSHAKE_BYTES if tls else 0)

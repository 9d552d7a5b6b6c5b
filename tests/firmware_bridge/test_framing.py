"""Frames: golden vectors, COBS against its definition, damage of every kind."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.framing import LONGEST, Packet, Receiver, cobs_decode, cobs_encode, encode

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


def packet_of(vector: dict[str, Any]) -> Packet:
    body = bytes.fromhex(vector["body"])
    return Packet(**{name: vector[name] for name in ("type", "stream", "sequence", "tick")}, body=body)


def counts(receiver: Receiver) -> dict[str, int]:
    return {name: value for name, value in vars(receiver).items() if not name.startswith("_")}


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_golden_vectors(vector: dict[str, Any]) -> None:
    assert encode(packet_of(vector)).hex() == vector["frame"]
    assert Receiver().feed(bytes.fromhex(vector["frame"])) == [packet_of(vector)]


def reference_cobs(data: bytes) -> bytes:
    return b"".join(bytes([len(part) + 1]) + part for part in data.split(b"\0"))


@given(st.binary(max_size=253))
def test_cobs_follows_its_definition_and_comes_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert encoded == reference_cobs(data)
    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@given(st.binary(max_size=254).filter(lambda data: 0 not in data))
def test_whatever_decodes_is_its_own_encoding(data: bytes) -> None:
    decoded = cobs_decode(data)
    assert decoded is None or cobs_encode(decoded) == data


@given(
    st.lists(st.binary(max_size=243), max_size=6),
    st.lists(st.integers(1, 300), min_size=1, max_size=20),
)
def test_packets_come_back_however_the_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    packets = [Packet(type=9, stream=3, sequence=n, tick=n << 20, body=body) for n, body in enumerate(bodies)]
    line = b"".join(map(encode, packets))
    receiver, seen, at = Receiver(), [], 0
    while at < len(line):
        size = cuts[len(seen) % len(cuts)]
        seen += receiver.feed(line[at : at + size])
        at += size
    assert seen == packets
    assert counts(receiver) == {"good": len(packets), "bad_crc": 0, "bad_cobs": 0, "too_long": 0, "skipped": 0}


@given(st.binary(max_size=3000))
def test_garbage_never_raises_and_a_frame_after_it_is_found(garbage: bytes) -> None:
    receiver = Receiver()
    receiver.feed(garbage)
    good = Packet(type=1, stream=0, sequence=1, tick=1, body=b"good")
    assert receiver.feed(b"\0" + encode(good))[-1] == good


def test_damage_is_counted_by_kind() -> None:
    frame = encode(Packet(type=1, stream=0, sequence=1, tick=1, body=b"\x01\x02\x03\x04"))
    receiver = Receiver()
    receiver.feed(frame)
    flipped = bytearray(frame)
    flipped[-3] ^= 0x10
    receiver.feed(bytes(flipped))
    receiver.feed(b"\x05\x01\0")  # a block that ends before it should
    receiver.feed(b"\x01\0")  # an empty frame is none
    receiver.feed(b"\x55" * (LONGEST + 1) + b"\0")
    receiver.feed(b"\x55" * 100_000)  # no delimiter for long: held in no memory
    receiver.feed(b"\x55\0" + frame)
    assert counts(receiver) == {"good": 2, "bad_crc": 2, "bad_cobs": 1, "too_long": 2, "skipped": 0}
    assert len(receiver._rest) == 0


def test_a_cut_first_frame_is_no_damage() -> None:
    frame = encode(Packet(type=1, stream=0, sequence=1, tick=1, body=b"body"))
    receiver = Receiver()
    assert len(receiver.feed(frame[5:] + frame)) == 1
    assert counts(receiver) == {"good": 1, "bad_crc": 0, "bad_cobs": 0, "too_long": 0, "skipped": 1}


def test_one_or_two_flipped_bits_are_always_found() -> None:
    dice = random.Random(5)
    frame = encode(Packet(type=1, stream=0, sequence=1, tick=1, body=dice.randbytes(120)))
    receiver = Receiver()
    receiver.feed(frame)
    for _ in range(3000):
        damaged = bytearray(frame[:-1])
        for place in dice.sample(range(len(damaged) * 8), dice.choice((1, 2))):
            damaged[place // 8] ^= 1 << place % 8
        receiver.feed(bytes(damaged) + b"\0")
    assert receiver.good == 1


def test_too_long_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="a frame of 254 bytes"):
        encode(Packet(type=1, stream=0, sequence=0, tick=0, body=bytes(244)))

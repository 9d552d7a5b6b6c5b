"""What the host asks, and when."""

import msgspec
import pytest
from peers.link_device import DESCRIPTION, LinkDevice

from firmware_bridge import packets
from firmware_bridge.errors import LinkError
from firmware_bridge.framing import Receiver
from firmware_bridge.requests import Requests

MS = 1_000_000


def asked(request: bytes | None) -> tuple[int, int, int] | None:
    """(type, sequence, offset or cookie)"""
    if request is None:
        return None
    (packet,) = Receiver().feed(request)
    return packet.type, packet.sequence, int.from_bytes(packet.body, "little")


def describe(requests: Requests, device: LinkDevice, now_ns: int) -> int:
    """Until described; how many requests that took."""
    for count in range(20):
        if requests.description is not None:
            return count
        request = requests.due(now_ns)
        assert request is not None
        device.receive(request)
        requests.take(Receiver().feed(device.transmit()), now_ns)
    raise AssertionError("not described")


def test_describes_piece_by_piece_then_asks_the_time_every_second() -> None:
    requests, device = Requests(), LinkDevice()
    assert describe(requests, device, 0) == -(-len(DESCRIPTION) // 64)
    assert requests.description is not None
    assert requests.description.streams[0].name == "vibration"
    times = []
    for ms in range(0, 3500, 10):
        request = requests.due(ms * MS)
        if request is not None:
            times.append(ms)
            assert requests.awaiting_clock
            device.receive(request)
            requests.take(Receiver().feed(device.transmit()), ms * MS)
            assert not requests.awaiting_clock
    assert times == [0, 1000, 2000, 3000]


def test_repeats_after_200_ms_with_another_cookie() -> None:
    requests, device = Requests(), LinkDevice()
    seen = [asked(requests.due(ms * MS)) for ms in range(0, 500, 50)]
    assert [request for request in seen if request] == [(2, 0, 0), (2, 1, 0), (2, 2, 0)]
    describe(requests, device, 600 * MS)
    seen = [asked(requests.due(ms * MS)) for ms in range(600, 1100, 50)]
    clocks = [request for request in seen if request]
    assert [kind for kind, _, _ in clocks] == [packets.CLOCK] * 3
    assert len({cookie for _, _, cookie in clocks}) == 3


def test_an_answer_to_an_older_question_leaves_the_newer_one_open() -> None:
    requests, device = Requests(), LinkDevice()
    describe(requests, device, 0)
    device.receive(requests.due(0) or b"")
    late = device.transmit()
    assert requests.due(200 * MS)
    requests.take(Receiver().feed(late), 210 * MS)
    assert requests.awaiting_clock


def test_asks_again_what_a_device_is_that_started_anew() -> None:
    requests = Requests()
    describe(requests, LinkDevice(session=1), 0)
    requests.take(Receiver().feed(LinkDevice(session=2).transmit()), 0)
    assert requests.description is None
    assert asked(requests.due(0))[::2] == (packets.DESCRIBE, 0)  # type: ignore[index]


def test_the_first_frame_alone_has_number_0() -> None:
    requests = Requests()
    numbers = [asked(requests.due(n * 200 * MS))[1] for n in range(65_540)]  # type: ignore[index]
    assert numbers[:3] == [0, 1, 2]
    assert numbers[65_534:] == [65_534, 65_535, 1, 2, 3, 4]


def stream(**changes: object) -> bytes:
    description = msgspec.json.decode(DESCRIPTION)
    description["streams"][0].update(changes)
    return msgspec.json.encode(description)


@pytest.mark.parametrize(
    ("description", "what"),
    [
        (b"not json at all, but long enough", "does not fit the link: JSON is malformed"),
        (b'["v"]', "does not fit"),
        (b'{"v":2}', "speaks version 2 of the link, this side 1"),
        (b'{"v":1,"fw":"x"}', "missing required field `tick_hz`"),
        (stream(axes=0), r">= 1 - at `\$.streams\[0\].axes"),
        (stream(name="Not A Name"), r"streams\[0\].name"),
        (stream(type="int24"), "Invalid enum value 'int24'"),
        (stream(rate_hz=0), "rate_hz"),
    ],
)
def test_a_description_that_does_not_fit(description: bytes, what: str) -> None:
    with pytest.raises(LinkError, match=what) as caught:
        describe(Requests("/dev/ttyUSB0"), LinkDevice(description=description), 0)
    assert caught.value.where == "/dev/ttyUSB0"


def test_a_description_may_hold_keys_from_the_future() -> None:
    requests = Requests()
    describe(requests, LinkDevice(description=stream(colour="red")), 0)
    assert requests.description is not None


def test_another_version_of_the_link() -> None:
    with pytest.raises(LinkError, match="speaks version 2"):
        Requests().take(Receiver().feed(LinkDevice(version=2).transmit()), 0)


@pytest.mark.parametrize("total", [0, 5000])
def test_a_description_of_impossible_length_is_asked_for_again(total: int) -> None:
    requests = Requests()
    device = LinkDevice()
    assert requests.due(0)
    piece = packets.Describe(offset=0, total=total, data=b"x" * 64).to_bytes()
    device.transmit()
    device._own(packets.DESCRIBE, piece)
    requests.take(Receiver().feed(device.transmit()), 0)
    assert requests.description is None

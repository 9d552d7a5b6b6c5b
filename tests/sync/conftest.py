"""A Mosquitto for each test: what one leaves retained must not reach the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.mosquitto import Broker, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Its queues have no end, so that a slow machine loses nothing."""
    with mosquitto(tmp_path, options=["max_queued_messages 0"]) as running:
        yield running

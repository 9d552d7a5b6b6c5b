"""What all tests share: where the real models and pictures lie."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))  # `from peers.manual_clock import ManualClock`
# How long an example takes says how busy the machine is, nothing of the code: speed is measured in benchmarks/.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def testdata() -> Path:
    """The folder of real models, images and a clip; skips the test where it is absent."""
    folder = Path(os.environ.get("EDGE_AGENT_TESTDATA", PROJECT.parent / "shared" / "testdata"))
    if not folder.is_dir():
        pytest.skip(f"no test data: EDGE_AGENT_TESTDATA or {folder}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("EDGE_AGENT_LONG") == "1":
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long run: set EDGE_AGENT_LONG=1"))

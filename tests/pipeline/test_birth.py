"""What the birth message says of a model that does not run where it was asked to."""

import pytest

from agent.inference.remembered import Choice
from agent.pipeline.birth import _not_first


@pytest.mark.parametrize(
    ("asked", "got", "choice", "said"),
    [
        ("xnnpack", "xnnpack", None, None),
        ("auto", "gpu", Choice(delegate="gpu"), None),
        ("gpu", "gpu", Choice(delegate="gpu"), None),
        ("gpu", "xnnpack", None, "gpu is not to be had here"),
        ("gpu", "xnnpack", Choice(delegate="xnnpack", refused={"gpu": "no driver"}), "gpu: no driver"),
        ("edgetpu", "gpu", Choice(delegate="gpu", refused={"edgetpu": "no Coral"}), "edgetpu: no Coral"),
    ],
)
def test_why_not_the_first(asked: str, got: str, choice: Choice | None, said: str | None) -> None:
    assert _not_first(asked, got, choice) == said

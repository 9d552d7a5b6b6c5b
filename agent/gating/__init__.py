"""Gating: is this input worth a model's time?

Takes   a Frame or SampleWindow, in the lane's order; the config of its kind (a file here with `Config`).
Gives   True (look) or False (gated). A pure function of the records it has seen: it asks no clock.
Threads the lane thread.
Fails   never: a gate that cannot decide lets the input pass.
Add one a file with `Config`, `open_gate(config) -> Gate`.
"""

from typing import Protocol

from agent.records import Frame, SampleWindow


class Gate(Protocol):
    def take(self, record: Frame | SampleWindow) -> bool: ...

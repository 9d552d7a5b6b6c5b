"""Units of sensor readings: told by the device, kept as names in the store (kind `unit`, "lane/reading/unit"), so that summaries of rows have
them also before the device has answered again.
"""

from collections.abc import Callable, Iterable

from agent.store.transaction import Transaction

KIND = "unit"


class Units:
    """known: lane → reading → unit, as the summaries want it. `learn` is called by lanes, and is cheap when nothing is new."""

    def __init__(self, submit: Callable[[Callable[[Transaction], None]], object] | None = None) -> None:
        self.known: dict[str, dict[str, str]] = {}
        self.submit = submit

    def load(self, texts: Iterable[str]) -> None:
        """What the store holds, in the order in which it was entered."""
        for text in texts:
            lane, reading, unit = text.split("/", 2)
            self.known.setdefault(lane, {})[reading] = unit

    def learn(self, lane: str, units: Iterable[tuple[str, str]]) -> None:
        of_lane = self.known.setdefault(lane, {})
        for reading, unit in units:
            if of_lane.get(reading) != unit:
                of_lane[reading] = unit
                if self.submit is not None:
                    self.submit(_enter(f"{lane}/{reading}/{unit}"))


def _enter(text: str) -> Callable[[Transaction], None]:
    def job(transaction: Transaction) -> None:
        transaction.name(KIND, text)

    return job

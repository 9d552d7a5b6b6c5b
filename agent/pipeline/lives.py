"""The objects that lanes follow, for a lane that starts again: those of the store at the agent's start, and from then on those of its newest tick."""

from collections.abc import Mapping

from agent.records import LaneSecond, Live


class Lives:
    def __init__(self, found: Mapping[str, Live]) -> None:
        self._found = dict(found)

    def note(self, second: LaneSecond) -> None:
        if second.live:
            self._found[second.lane] = Live(state=second.live, same_boot=True)
        elif second.live is not None:
            self._found.pop(second.lane, None)

    def lane(self, name: str) -> Live | None:
        return self._found.get(name)

    def head(self) -> dict[str, list[str]]:
        """As a recording's head says it: lane → state, and whether boot time has gone on since."""
        return {
            name: [live.state.decode(), "same boot" if live.same_boot else "earlier boot"]
            for name, live in self._found.items()
        }


def from_head(said: Mapping[str, list[str]]) -> Lives:
    return Lives(
        {
            name: Live(state=state.encode(), same_boot=boot == "same boot")
            for name, (state, boot) in said.items()
        }
    )  # fmt: skip

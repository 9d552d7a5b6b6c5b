"""A worker of a shared subscription in a process of its own, that dies by SIGKILL after a commit and before its acknowledgement.

python -m peers.subscriber_worker URL STATE GROUP ASK_AFTER_S DIES_AFTER      # commits; 0: it lives
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agent.subscriber.broker import broker
from agent.subscriber.receive import Settings, receive
from agent.subscriber.state import open_state
from agent.subscriber.view import Taken, View
from agent.subscriber.workers import take_place


class WallClock:
    def utc_s(self) -> float:
        return time.time()

    def steady_s(self) -> float:
        return time.monotonic()


class Mortal(View):
    """dies_after: commits; 0: never."""

    dies_after = 0

    def take(self, messages: Sequence[tuple[str, bytes]], now_s: float) -> Taken:
        taken = super().take(messages, now_s)
        self.dies_after -= 1
        if self.dies_after == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return taken


def main(url: str, state: str, group: str, ask_after_s: str, dies_after: str) -> None:
    with take_place(Path(state)) as place, open_state(Path(state), shared=True) as connection:
        view = Mortal(connection, 1)
        view.dies_after = int(dies_after)
        settings = Settings(share=group, place=place, ask_after_s=float(ask_after_s))
        receive(view, broker(url), settings, clock=WallClock(), stop=threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])

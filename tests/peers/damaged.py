"""Model files that are cut off or have flipped bits, and what a trial says of them.

for problem in tried(damaged(content, 30, seed=1)):
    print(problem or "it runs")
"""

import random
from collections.abc import Iterable, Iterator

from agent.inference._child_messages import Load
from agent.inference.child import Child
from agent.inference.trial import try_model
from agent.problems import Problem

_CUT_SHARE = 0.25


def damaged(whole: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """One in four is cut off anywhere, the others have 1, 4, 16 or 64 flipped bits; half of those flips are in the first eighth or the last,
    where the graph is, not the weights.
    """
    chance = random.Random(seed)
    for _ in range(count):
        if chance.random() < _CUT_SHARE:
            yield whole[: chance.randrange(len(whole))]
            continue
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 4, 16, 64))):
            place = chance.randrange(len(whole))
            if chance.random() < 0.5:
                place = place // 8 if chance.random() < 0.5 else len(whole) - 1 - place // 8
            changed[place] ^= 1 << chance.randrange(8)
        yield bytes(changed)


def tried(models: Iterable[bytes]) -> Iterator[str | None]:
    """For each: the problem's text, None: it runs. In one child, and the next when that died."""
    child = Child("trial", where="m")
    load = Load(delegate="xnnpack")
    try:
        for model in models:
            try:
                try_model(model, load, child, where="m")
            except Problem as problem:
                yield str(problem)
            else:
                yield None
            if not child.alive:
                child.close()
                child = Child("trial", where="m")
    finally:
        child.close()

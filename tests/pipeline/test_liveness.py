from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.liveness import Liveness

SECOND = 1_000_000


def test_a_record_keeps_the_source_alive_for_the_stall_time() -> None:
    live = Liveness(2.0, 0)
    live.arrived(0)
    assert live.take(1 * SECOND) == SECOND
    assert live.take(3 * SECOND) == SECOND  # until 2 s only
    assert live.take(4 * SECOND) == 0
    live.arrived(4 * SECOND + 500_000)
    assert live.take(5 * SECOND) == 500_000


def test_a_closed_source_is_not_alive() -> None:
    live = Liveness(5.0, 0)
    live.arrived(100_000)
    live.closed(300_000)
    assert live.take(SECOND) == 200_000


@given(st.lists(st.tuples(st.sampled_from(["arrived", "closed", "take"]), st.integers(1, 3 * SECOND)), max_size=60))
def test_never_more_alive_than_time_has_passed(steps: list[tuple[str, int]]) -> None:
    live, now, total, taken = Liveness(1.0, 0), 0, 0, 0
    for what, passed in steps:
        now += passed
        if what == "take":
            alive = live.take(now)
            assert 0 <= alive <= now - taken
            total, taken = total + alive, now
        else:
            getattr(live, what)(now)
    assert total <= now

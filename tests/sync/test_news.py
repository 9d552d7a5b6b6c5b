"""What goes on `live/`: by the item's own time, in all the forms that bodies have it in."""

import pytest

from agent.messages.times import parse
from agent.sync.news import is_news

NOW_US = parse("2026-11-24T03:02:30Z")
M1 = "summary/yard/m1"


@pytest.mark.parametrize(
    ("stream", "body", "expected"),
    [
        (M1, '{"at":"2026-11-24T03:02:00.000Z","w":["2026-11-24T03:00:00Z",60]}', True),
        (M1, '{"at":"2026-11-24T03:02:00.000Z","w":["2026-11-24T02:59:00Z",60]}', False),
        (M1, '{"at":"2026-11-24T03:02:00.000Z","w":null,"mono":[0,60000000]}', False),
        (M1, '{"at":"2026-11-24T03:02:00.000Z","w":["2026-11-24T02:40:00.250Z",60],"mono":[0,60000000]}', False),
        ("summary/yard/h1", '{"at":"2026-11-24T03:02:00.000Z","w":["2026-11-24T01:40:00.250Z",3600],"mono":[0,1]}', True),
        (M1, '{"at":"2026-11-24T03:02:00.000Z","gap":[null,"2026-11-24T03:00:00.000Z"]}', True),
        (M1, '{"at":"2026-11-24T03:02:00.000Z","gap":[null,null],"mono":[null,0]}', False),
        ("event/yard", '{"at":"2026-11-24T03:02:00.000Z","t":["2026-11-23T03:03:00.000Z",null]}', True),
        ("event/yard", '{"at":"2026-11-24T03:02:00.000Z","t":["2026-11-23T03:00:00.000Z",null]}', False),
        ("event/yard", '{"at":"2026-11-24T03:02:00.000Z","t":null,"mono":[600000,null]}', False),
        ("audit", '{"at":"2026-11-24T03:02:00.000Z","t":"2026-11-24T03:02:00.000Z"}', True),
        ("result/yard", '{"at":"2026-11-24T03:02:00.000Z","t":["2026-11-24T03:02:00.000Z","2026-11-24T03:02:00.000Z"]}', False),
    ],
)  # fmt: skip
def test_news_is_told_by_the_items_own_time(stream: str, body: str, expected: bool) -> None:
    assert is_news(body.encode(), stream, NOW_US) is expected
    assert not is_news(body.encode(), stream, None)

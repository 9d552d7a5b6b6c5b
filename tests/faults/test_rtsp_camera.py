"""RTSP cameras under the real agent: read, frozen, gone, back, and frozen again while the agent stops."""

import time
from contextlib import ExitStack
from pathlib import Path

from peers.agents import files, opened, store_path
from peers.rtsp_server import RtspServer
from peers.troubled import camera, problems, troubled, write

PASSWORD = "correct-horse-9"
# Cameras whose frames may be long in coming: their reads last longer than the stop does.
PATIENT = ("gate", "hall", "roof")
LANES = ("door", *PATIENT)
STOP_LIMIT_S = 4.0


def test_rtsp_cameras_from_start_to_stop(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(PASSWORD)
    (tmp_path / "word").chmod(0o600)
    login = {"user": "viewer", "password": PASSWORD, "rate_hz": 30.0}
    settings = f'user = "viewer"\npassword_file = "{tmp_path}/word"\nstall_s = '
    with ExitStack() as cameras, RtspServer(**login) as first:
        tables = [camera(lane, first.url, f"{settings}30.0") for lane in PATIENT]
        config = write(tmp_path, camera("door", first.url, f"{settings}1.0"), *tables)
        with troubled(config) as agent:
            agent.wait_until(lambda: min(map(agent.results, LANES)) > 3, "results of each")
            first.freeze()
            agent.wait_for_problem("door", "gave no new frame for 1 s")
            agent.check_goes_on("yard")
            first.kill()
            second = cameras.enter_context(RtspServer(**login, port=first.port))
            before = {lane: agent.results(lane) for lane in LANES}
            agent.wait_until(lambda: all(agent.results(lane) > before[lane] for lane in LANES), "more results of each")
            agent.wait_until(lambda: agent.lane("door")["problem"] is None, "the end of the problem")
            second.freeze()
            began_s = time.monotonic()
        assert time.monotonic() - began_s < STOP_LIMIT_S, "it waited for every camera in turn"
    said = problems(agent.text, "lane.door.source.url")
    assert "gave no new frame for 1 s" in said[0]
    assert agent.text.count("lane.door.source.url: gives records again") == 1
    check_stored(config)
    assert PASSWORD not in agent.text
    for path in files(tmp_path / "data"):
        assert PASSWORD.encode() not in path.read_bytes(), path


def check_stored(config: Path) -> None:
    """Results in the order of their times; the time in which the camera was frozen is said to be blind."""
    with opened(store_path(config)) as connection:
        rows = connection.execute("SELECT id, utc, label FROM results WHERE lane = 'door' ORDER BY id").fetchall()
        alive_s, ticks = connection.execute("SELECT sum(alive_s), count(*) FROM ticks WHERE lane = 'door'").fetchone()
    times = [utc for _, utc, _ in rows]
    assert times == sorted(times)
    assert len(set(times)) == len(times), "a frame was given twice"
    assert all(label for _, _, label in rows)
    assert 0 < alive_s < ticks - 1

"""Show what a lane sees, on a local page: its newest picture with boxes, zones and lines; draw zones, lines and masks into the config.

People are hidden as [privacy] says. The page is on this machine alone, unless --lan opens it to the site's network; it ends by itself.
"""

import argparse
import sys
from pathlib import Path

from agent.cli._seconds import seconds
from agent.cli._signals import stop_on_signals
from agent.clock import SystemClock

_PORT = 8377
_FOR_S = 1800.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file")
    parser.add_argument("lane", nargs="?", help="which lane is shown first (left out: the first with pictures)")
    parser.add_argument(
        "--port", type=int, default=_PORT, metavar="N", help=f"the page's port (default {_PORT}; 0: any)"
    )
    parser.add_argument(
        "--lan",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="open it to the site's network, at this address of the machine (left out: its first private one); each printed address opens one browser",
    )
    parser.add_argument(
        "--for",
        dest="for_s",
        type=seconds,
        default=_FOR_S,
        metavar="S",
        help="end after so many seconds (default 1800)",
    )


def run(arguments: argparse.Namespace) -> int:
    import secrets

    from agent.config.read import read
    from agent.log import configure
    from agent.pipeline.look_pages import LookPages, open_agent
    from agent.problems import Exit, Problem
    from agent.web.access import Access
    from agent.web.network import private_address
    from agent.web.server import serving

    configure("warning")
    loaded = read(arguments.config)
    cameras = [name for name, lane in loaded.file.lane.items() if lane.window is None]
    if not cameras or arguments.lane not in (None, *cameras):
        raise Problem(
            where="look",
            what=f"{arguments.lane} is no lane with pictures" if cameras else "no lane of this config has pictures",
            remedy=f"It has: {', '.join(cameras)}" if cameras else "Add one with a camera",
            code=Exit.COMMAND_LINE,
        )
    lan = arguments.lan is not None
    address = (arguments.lan or private_address()) if lan else "127.0.0.1"
    clock = SystemClock()

    def access(port: int) -> Access:
        names = [address] if lan else [address, "localhost"]
        return Access(
            [f"{name}:{port}" for name in names],
            draw=lambda: secrets.token_urlsafe(24),
            one_time=lan,
            told=lambda token: _tell(f"http://{address}:{port}/?token={token}", lan=lan),
        )

    with stop_on_signals() as stop, open_agent(loaded, clock, stop) as folder:
        pages = LookPages(loaded, folder, arguments.lane or cameras[0])
        with serving(address, arguments.port, pages, access):
            _print(f"It ends by itself in {arguments.for_s / 60:g} min; Ctrl-C ends it sooner.")
            clock.wait(stop, arguments.for_s)
            stop.set()
    return Exit.DONE


def _tell(url: str, *, lan: bool) -> None:
    """The address, and with --lan a picture of it for a telephone's camera. In one piece: the next one may come while this is printed."""
    if not lan:
        _print(url)
        return
    import io

    import segno

    code = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(code, compact=True)
    _print(f"{url}\n{code.getvalue()}This address opens one browser; the next one is printed then.")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

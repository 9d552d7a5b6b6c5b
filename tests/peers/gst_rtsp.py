"""Run by the SYSTEM's python3, which has gi: an RTSP server with H.264, by GStreamer. tests/peers/h264_server.py starts it.

Each picture tells when it was made and which one it is: two rows of 16 cells, black or white, the newest 16 bits of CLOCK_BOOTTIME in ms and of
the picture's number. Below them a grey wall, with a square that wanders when --moving is set. The number goes on over clients.
Prints its port, then `open` for each client's stream that begins.
"""

import argparse
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CELLS, CELL_ROWS = 16, 16


def words() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--basic", action="store_true")
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--group", type=int, default=25, help="pictures from one keyframe to the next")
    parser.add_argument("--bitrate", type=int, default=2000, help="kbit/s")
    parser.add_argument("--moving", action="store_true")
    parser.add_argument(
        "--file", help="an .mp4 with H.264 (H.265 when its name says so) in place of the pictures, once a client"
    )
    return parser.parse_args()


class Pictures:
    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.number = 0
        self.chroma = bytes([128]) * (given.width * given.height // 2)
        self.below = given.height - 2 * CELL_ROWS
        self.wall = [
            bytes(64 + (x // 8 * 37 + y // 8 * 53) % 96 for x in range(given.width)) for y in range(self.below)
        ]

    def next(self) -> bytes:
        given, width = self.given, self.given.width
        clock_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        rows = [self.bits(clock_ms) * CELL_ROWS, self.bits(self.number) * CELL_ROWS]
        wall = list(self.wall)
        if given.moving:
            left, top = self.number * 4 % (width - 40), self.number * 2 % (self.below - 40)
            for y in range(top, top + 40):
                wall[y] = wall[y][:left] + bytes([235]) * 40 + wall[y][left + 40 :]
        self.number += 1
        return b"".join([*rows, *wall, self.chroma])

    def bits(self, value: int) -> bytes:
        cell = self.given.width // CELLS
        row = b"".join(bytes([235 if value >> bit & 1 else 16]) * cell for bit in reversed(range(CELLS)))
        return row.ljust(self.given.width, b"\x10")


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__()
        self.given, self.pictures = given, Pictures(given)
        caps = f"video/x-raw,format=I420,width={given.width},height={given.height},framerate={round(given.rate * 1000)}/1000"
        if given.file:
            form = "h265" if "h265" in given.file else "h264"
            self.set_launch(f"( filesrc location={given.file} ! qtdemux ! {form}parse config-interval=-1 ! rtp{form}pay name=pay0 pt=96 config-interval=-1 )")  # fmt: skip
        else:
            self.set_launch(
                f"( appsrc name=pictures is-live=true format=time do-timestamp=true max-buffers=2 block=true caps={caps} ! "
                f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={given.group} bitrate={given.bitrate} threads=1 ! "
                "rtph264pay name=pay0 pt=96 config-interval=-1 )"
            )
            self.set_shared(True)
        self.connect("media-configure", self.configured)

    def configured(self, _factory: object, media: GstRtspServer.RTSPMedia) -> None:
        print("open", flush=True)
        media.set_reusable(False)
        if self.given.file:
            return
        source, over = media.get_element().get_child_by_name("pictures"), threading.Event()
        media.connect("unprepared", lambda _media: over.set())
        threading.Thread(target=self.feed, args=(source, over), daemon=True).start()

    def feed(self, source: Gst.Element, over: threading.Event) -> None:
        due_s = time.monotonic()
        while not over.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + 1 / self.given.rate, time.monotonic() - 0.1)
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(self.pictures.next())) != Gst.FlowReturn.OK:
                return


def protect(server: GstRtspServer.RTSPServer, factory: Factory, given: argparse.Namespace) -> None:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if given.basic:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(given.user, given.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(given.user, given.password, token)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


def end_with_the_test() -> None:
    sys.stdin.read()  # until who started this is gone
    os._exit(0)


def main() -> None:
    given = words()
    Gst.init(None)
    server, factory = GstRtspServer.RTSPServer(), Factory(given)
    server.set_address("127.0.0.1")
    server.set_service(given.port)
    if given.user is not None:
        protect(server, factory, given)
    server.get_mount_points().add_factory("/stream1", factory)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    print(server.get_bound_port(), flush=True)
    threading.Thread(target=end_with_the_test, daemon=True).start()
    GLib.MainLoop().run()


main()

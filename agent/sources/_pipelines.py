"""GStreamer pipelines: one's own (`gstreamer:…`, in which {user} and {password} are filled in), and ready-made ones for Jetson boards (`jetson-csi:0`, `jetson-rtsp://host/path`).

The Jetson pipelines are those of NVIDIA's documentation (L4T, Accelerated GStreamer); none was run on a board.
"""

from agent.values import Secret

FORMS = ("gstreamer:", "jetson-csi:", "jetson-rtsp://")
# Colour for OpenCV, and only the newest picture.
_END = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def pipeline(
    url: str, *, user: str | None, password: Secret | None, width: int | None, height: int | None, rate_hz: float | None
) -> str:
    """What to hand to GStreamer: it is a secret. ValueError: a camera number that is none."""
    if url.startswith("jetson-csi:"):
        number = int(url.removeprefix("jetson-csi:"))
        size = f"width={width or 1280},height={height or 720},framerate={_rate(rate_hz or 30.0)}"
        return f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),{size} ! nvvidconv ! video/x-raw,format=BGRx ! {_END}"
    if url.startswith("jetson-rtsp://"):
        login = "" if user is None else f" user-id={_quoted(user)}"
        login += "" if password is None or user is None else f" user-pw={_quoted(password.reveal())}"
        return (
            f"rtspsrc location={_quoted(url.removeprefix('jetson-'))}{login} latency=100 protocols=tcp ! rtph264depay ! h264parse ! "
            f"nvv4l2decoder ! nvvidconv ! video/x-raw,format=BGRx ! {_END}"
        )
    own = url.removeprefix("gstreamer:").strip()
    own = own.replace("{user}", _quoted(user or ""))
    own = own.replace("{password}", _quoted(password.reveal() if password is not None else ""))
    return own if "appsink" in own else f"{own} ! {_END}"


def _rate(rate_hz: float) -> str:
    return f"{rate_hz:.0f}/1" if rate_hz == round(rate_hz) else f"{round(rate_hz * 1000)}/1000"


def _quoted(text: str) -> str:
    """As gst-launch reads it back."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

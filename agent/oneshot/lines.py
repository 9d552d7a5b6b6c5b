"""What a model found on one input: as a JSON object (docs/models.md lists its keys), and as one line for people."""

from typing import TYPE_CHECKING, Any

from agent.oneshot.inputs import Given
from agent.pipeline.runner import Runner, Times
from agent.records import Detections, Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of a point; below it, it is a guess (`drawing.py` leaves it out, too).
SEEN = 0.2
# A line names at most so many results.
_NAMED = 8


def as_object(given: Given, runner: Runner, found: Detections, times: Times, *, model: str) -> dict[str, Any]:
    """Keys that do not apply are absent."""
    line: dict[str, Any] = {"input": _readable(given.name)}
    if given.number is not None:
        line["frame" if given.time_s is not None else "item"] = given.number
    if given.time_s is not None:
        line["time_s"] = round(given.time_s, 6)
    line |= {"model": model, "sha256": runner.digest, "runtime": runner.runtime, "delegate": runner.delegate}
    if runner.degraded is not None:
        line["degraded"] = runner.degraded
    line["decoder"] = runner.decoder
    size_px = frame_px(given)
    if size_px is not None:
        line["frame_px"] = list(size_px)
    line["ms"] = {
        "preprocess": round(times.preprocess_ms, 3),
        "invoke": round(times.invoke_ms, 3),
        "decode": round(times.decode_ms, 3),
    }
    return line | _results(runner, found, size_px or (1, 1))


def _readable(name: str) -> str:
    """A file's name may hold bytes that are no text."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def frame_px(given: Given) -> tuple[int, int] | None:
    """Width, height; None for a window."""
    if not isinstance(given.record, Frame):
        return None
    height, width = given.record.pixels.shape[:2]
    return width, height


def _results(runner: Runner, found: Detections, size_px: tuple[int, int]) -> dict[str, Any]:
    names = runner.reader.keypoint_names
    each = [_one(found, place, names, size_px) for place in range(len(found))]
    values = [] if found.values is None else [round(float(value), 6) for value in found.values]
    match runner.gives:
        case "detections":
            return {"detections": each}
        case "classes":
            return {"classes": [_only(one, "label", "index", "score") for one in each]}
        case "keypoints":
            return {"keypoints": each[0]["keypoints"] if each else []}
        case "areas":
            return {"areas": [_only(one, "label", "index", "ratio") for one in each]}
        case "anomaly":
            return {"anomaly": {"score": values[0] if values else 0.0, "threshold": runner.reader.least}}
        case "values":
            plain = [str(index) for index in range(len(runner.labels))]
            named = {} if list(runner.labels) == plain and len(values) == len(plain) else {"labels": list(found.labels)}
            return {"values": values} | named
        case "vector":
            return {"vector": [] if found.vectors is None or not len(found.vectors) else found.vectors[0].tolist()}


def _only(one: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: one[key] for key in keys if key in one}


def _one(found: Detections, place: int, names: tuple[str, ...], size_px: tuple[int, int]) -> dict[str, Any]:
    one: dict[str, Any] = {"label": found.labels[place]}
    if found.indexes:
        one["index"] = int(found.indexes[place])
    one["score"] = round(float(found.scores[place]), 4)
    if found.boxes is not None:
        box = found.boxes[place]
        one["box_px"] = box_px(box, size_px)
        one["box"] = [round(float(edge), 5) for edge in box]
    if found.values is not None:
        one["ratio"] = round(float(found.values[place]), 5)
    if found.keypoints is not None:
        one["keypoints"] = [_point(point, index, names) for index, point in enumerate(found.keypoints[place])]
    return one


def box_px(box: "NDArray[np.float32]", size_px: tuple[int, int]) -> list[int]:
    """0..1 → whole pixels of the frame: x0, y0, x1, y1."""
    return [round(float(edge) * size) for edge, size in zip(box, size_px * 2, strict=True)]


def _point(point: "NDArray[np.float32]", index: int, names: tuple[str, ...]) -> dict[str, Any]:
    """x and y as shares of the frame; a point may be guessed beside it."""
    x, y, score = (round(float(value), 4) for value in point)
    named = {"name": names[index]} if index < len(names) else {}
    return {**named, "x": x, "y": y, "score": score}


def as_text(line: dict[str, Any], labels: tuple[str, ...]) -> str:
    """`yard.jpg: person 0.87 [50 398 245 905], person 0.85 [...]; 27.7 ms`. labels: of a person's or a window's result."""
    name = line["input"]
    if "frame" in line or "item" in line:
        name += f" {line.get('frame', line.get('item'))}"
    took = sum(line["ms"].values())
    return f"{name}: {_said(line, labels)}; {took:.1f} ms"


def _said(line: dict[str, Any], labels: tuple[str, ...]) -> str:
    if "detections" in line:
        return _listed([_detection(one) for one in line["detections"]])
    if "classes" in line:
        return _listed([f"{one['label']} {one['score']:.2f}" for one in line["classes"]])
    if "areas" in line:
        return _listed([f"{one['label']} {one['ratio']:.1%}" for one in line["areas"]])
    if "keypoints" in line:
        return _points(line["keypoints"], line["frame_px"], labels)
    if "anomaly" in line:
        score, least = line["anomaly"]["score"], line["anomaly"]["threshold"]
        side = f"{'at least' if score >= least else 'below'} {least:g}" if least is not None else "no threshold given"
        return f"anomaly {score:.4g} ({side})"
    if "values" in line:
        names = line.get("labels") or [""] * len(line["values"])
        return _listed([f"{name} {value:.6g}".strip() for name, value in zip(names, line["values"], strict=True)])
    vector = line["vector"]
    return f"{len(vector)} numbers: {' '.join(f'{value:.4g}' for value in vector[:_NAMED])}{' …' if len(vector) > _NAMED else ''}"


def _detection(one: dict[str, Any]) -> str:
    text = f"{one['label']} {one['score']:.2f}"
    if "box_px" in one:
        text += f" [{' '.join(map(str, one['box_px']))}]"
    if "ratio" in one:
        text += f" {one['ratio']:.1%}"
    if one.get("keypoints"):
        text += f" {sum(point['score'] >= SEEN for point in one['keypoints'])} of {len(one['keypoints'])} points"
    return text


def _points(points: list[dict[str, Any]], size_px: list[int], labels: tuple[str, ...]) -> str:
    if not points:
        return f"no {labels[0] if labels else 'one'}"
    seen = [point for point in points if point["score"] >= SEEN]
    places = [
        f"{point.get('name', 'point')} ({point['x'] * size_px[0]:.0f} {point['y'] * size_px[1]:.0f}) {point['score']:.2f}"
        for point in seen
    ]
    return f"{len(seen)} of {len(points)} points: {_listed(places)}"


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return (", ".join(texts[:_NAMED]) or "nothing") + more

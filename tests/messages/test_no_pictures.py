"""Nothing with pixels leaves: what travels has no type for a picture, and the code that sends cannot come by one."""

import ast
import inspect as python_inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

import agent.messages
from agent.messages import event

PROJECT = Path(__file__).parent.parent.parent
OUTBOUND = ("messages", "sync", "summaries", "subscriber")
# Whoever names one of these can hold a picture.
PICTURES = {"numpy", "cv2", "PIL", "agent.events.snapshots", "agent.events.privacy", "agent.pipeline.showing", "agent.web"}  # fmt: skip
# Of the records that flow along a lane, what is made of words and numbers alone.
WITHOUT_PIXELS = {"Event", "Tick"}
# Free places of answers and ledgers: JSON, which msgspec refuses bytes no more than base64 of a few; what fills them is listed below.
FREE = {("Answer", "data"), ("Lost", "totals")}


def structs() -> list[type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(agent.messages.__path__):
        names = vars(import_module(f"agent.messages.{module.name}"))
        for value in names.values():
            if python_inspect.isclass(value) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct:
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return list(found.values())


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The type and all types in it."""
    yield kind
    if isinstance(kind, inspect.Metadata):
        yield from parts(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for option in kind.types:
            yield from parts(option)
    elif isinstance(kind, inspect.DictType):
        yield from parts(kind.key_type)
        yield from parts(kind.value_type)
    elif isinstance(kind, inspect.TupleType):
        for item in kind.item_types:
            yield from parts(item)
    elif isinstance(kind, inspect.CollectionType):
        yield from parts(kind.item_type)


MAY_HOLD_BYTES = (inspect.BytesType, inspect.ByteArrayType, inspect.MemoryViewType, inspect.RawType, inspect.CustomType, inspect.ExtType)  # fmt: skip


@pytest.mark.parametrize("struct", structs(), ids=lambda struct: struct.__name__)
def test_no_message_has_a_field_for_bytes(struct: type[msgspec.Struct]) -> None:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    for field in kind.fields:
        for part in parts(field.type):
            assert not isinstance(part, MAY_HOLD_BYTES), f"{struct.__name__}.{field.name}"
            if isinstance(part, inspect.AnyType):
                assert (struct.__name__, field.name) in FREE, f"{struct.__name__}.{field.name} takes anything"


def test_every_message_was_looked_at() -> None:
    assert {"Event", "Media", "Summary", "Status", "Birth", "Health", "Ledger", "Results"} <= {
        struct.__name__ for struct in structs()
    }


def test_of_a_picture_travel_its_name_digest_and_size() -> None:
    assert event.Media.__struct_fields__ == ("ref", "digest", "bytes")


def sources() -> list[Path]:
    return [path for room in OUTBOUND for path in sorted((PROJECT / "agent" / room).rglob("*.py"))]


def names_of_pictures(text: str) -> set[str]:
    """What a module imports that can hold a picture."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {
            module for module in modules if any(module == one or module.startswith(f"{one}.") for one in PICTURES)
        }
        found |= {
            module
            for module in modules
            if module.startswith("agent.records.") and module.rsplit(".", 1)[1] not in WITHOUT_PIXELS
        }
        found |= {module for module in modules if module == "agent.records" and isinstance(node, ast.Import)}
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_sends_names_nothing_that_holds_a_picture(path: Path) -> None:
    assert names_of_pictures(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np",
        "def f():\n    import cv2",
        "from agent.records import Event, Frame",
        "import agent.records",
        "from agent.events.snapshots import Snapshots",
        "from agent import web",
    ],
)
def test_a_file_that_named_one_would_be_found(line: str) -> None:
    assert names_of_pictures(line)

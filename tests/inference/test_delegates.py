"""The choice of a delegate: an order, or measured; what is refused and why; what is remembered and when it is measured again."""

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import one_op

from agent.inference import Session, Tensor, delegates, measure
from agent.inference._child_messages import Load
from agent.inference.fallback import FallbackSession
from agent.inference.model import Delegate
from agent.inference.remembered import Choice, Remembered, Timing
from agent.inference.session import Wanted, open_session
from agent.problems import Problem

MODEL = one_op("RELU", (1, 8, 8, 4))
QUANTISED = one_op("RELU", (1, 8, 8, 4), dtype="int8", scale=0.05)


def choice(wanted: Wanted, model: bytes = MODEL) -> Choice:
    with open_session(model, hashlib.sha256(model).hexdigest(), wanted, where="m") as session:
        found: Choice = session.choice  # type: ignore[attr-defined]
        assert session.delegate == found.delegate
        session.run()
        return found


def npu(library: Path, **options: str | int) -> Delegate:
    return Delegate(library=str(library), options=options)


def test_nothing_is_measured_where_there_is_nothing_but_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VK_ICD_FILENAMES", raising=False)
    candidates, refused = delegates.candidates(Wanted(), Load(delegate="xnnpack"))
    if len(candidates) > 1:
        pytest.skip("this machine has a GPU or an Edge TPU")
    choice(Wanted())
    began = time.monotonic()
    assert choice(Wanted()) == Choice(delegate="xnnpack", found=("xnnpack",), refused=refused)
    assert time.monotonic() - began < 0.1


def test_the_first_of_an_order_that_works_is_taken(stub_library: Path, tmp_path: Path) -> None:
    wanted = Wanted(
        delegates=("none", "away", "broken", "liar", "npu", "gpu", "xnnpack"),
        libraries={
            "away": npu(tmp_path / "away.so"),
            "broken": npu(stub_library, how="crash", at="prepare"),
            "liar": npu(stub_library, how="wrong"),
            "npu": npu(stub_library),
        },
    )
    found = choice(wanted)
    assert found.delegate == "npu"
    assert found.refused.keys() >= {"none", "away", "broken", "liar"}
    assert found.refused["none"] == "there is no such delegate (Write a [delegate.none] table, or name another)"
    assert found.refused["away"].startswith(f"{tmp_path}/away.so is not installed (Install the vendor's delegate")
    assert found.refused["broken"] == "its process died of SIGABRT (stub: crashing at prepare)"
    assert found.refused["liar"].startswith("100% of result are further from the CPU's than ")
    assert found.measured["npu"].p95_ms >= found.measured["npu"].p50_ms > 0


def test_the_cpu_ends_an_order(stub_library: Path) -> None:
    assert choice(Wanted(delegates=("cpu", "npu"), libraries={"npu": npu(stub_library)})).delegate == "cpu"
    refused = choice(Wanted(delegates=("npu", "xnnpack"), libraries={"npu": npu(stub_library, how="none")})).refused
    assert refused == {"npu": f"{stub_library} takes no op of this model"}


def test_an_order_of_which_nothing_works_is_one_problem(stub_library: Path) -> None:
    wanted = Wanted(
        delegates=("npu", "other"),
        libraries={"npu": npu(stub_library, how="fail", at="create"), "other": npu("libother.so")},
    )
    with pytest.raises(Problem) as caught:
        choice(wanted)
    assert str(caught.value) == (
        "m.delegates: no delegate runs this model: other: libother.so is not installed (Install the vendor's delegate, or correct "
        f"delegate.other.library); npu: {stub_library} made no delegate: stub: no device found. "
        'Add "xnnpack" to delegates, the CPU'
    )


def test_auto_takes_the_fastest(stub_library: Path) -> None:
    """The CPU needs microseconds for this model, a child more; slow and slower are told apart."""
    found = choice(Wanted(libraries={"npu": npu(stub_library, slow=5), "slow": npu(stub_library, slow=200)}))
    assert found.delegate == "xnnpack"
    assert found.refused["npu"].startswith("slower: p50 ")
    assert found.refused["npu"].endswith(" on xnnpack")
    assert found.refused["slow"].startswith("slower: a run took 20")
    assert found.boot is None


def test_auto_refuses_what_hangs_and_remembers_that_for_this_boot(
    stub_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegates, "LOAD_LIMIT_S", 1.0)
    wanted = Wanted(libraries={"npu": npu(stub_library, how="hang", at="prepare")}, cache=tmp_path)
    found = choice(wanted)
    assert found.refused["npu"] == "it did not answer within 1 s"
    assert found.boot is not None
    began = time.monotonic()
    assert choice(wanted).remembered
    assert time.monotonic() - began < 0.5
    _edit(tmp_path, lambda entry: entry.update(boot="another"))
    assert not choice(wanted).remembered


def _edit(folder: Path, change: object) -> None:
    file = json.loads((folder / "delegates.json").read_text())
    for entry in file["choices"].values():
        change(entry)  # type: ignore[operator]
    (folder / "delegates.json").write_text(json.dumps(file))


def test_a_choice_is_remembered_until_something_changes(stub_library: Path, tmp_path: Path) -> None:
    def remembered(model: bytes = MODEL, threads: int = 1, **options: int) -> bool:
        libraries = {"npu": npu(stub_library, **options)}
        wanted = Wanted(delegates=("npu", "cpu"), libraries=libraries, threads=threads, cache=tmp_path)
        return choice(wanted, model).remembered

    assert not remembered()
    assert remembered()
    assert not remembered(threads=2)
    assert not remembered(after=7)
    assert not remembered(one_op("RELU", (1, 4)))
    assert remembered()


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"choices": 1}', b"\xff" * 50, b'{"passed": {"a": 1}, "choi'])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, damaged: bytes) -> None:
    remembered = Remembered(tmp_path)
    remembered.add_choice("key", Choice(delegate="gpu"))
    assert remembered.choice("key", "boot") == Choice(delegate="gpu", remembered=True)
    (tmp_path / "delegates.json").write_bytes(damaged)
    assert remembered.choice("key", "boot") is None
    assert not remembered.passed("a")
    remembered.add_choice("key", Choice(delegate="cpu"))
    assert remembered.choice("key", "boot") == Choice(delegate="cpu", remembered=True)
    assert [path.name for path in tmp_path.iterdir()] == ["delegates.json"]


def test_what_can_never_run_is_remembered_for_good(stub_library: Path) -> None:
    found = choice(Wanted(delegates=("npu", "cpu"), libraries={"npu": npu(stub_library, how="none")}))
    assert (found.delegate, found.boot) == ("cpu", None)
    found = choice(Wanted(delegates=("npu", "cpu"), libraries={"npu": npu(stub_library, how="fail", at="create")}))
    assert found.boot is not None


def test_a_remembered_delegate_that_no_longer_works_is_measured_again(stub_library: Path, tmp_path: Path) -> None:
    flag = tmp_path / "unplugged"
    options = {"how": "fail", "at": "create", "flag": str(flag)}
    wanted = Wanted(delegates=("npu", "cpu"), libraries={"npu": npu(stub_library, **options)}, cache=tmp_path)
    assert choice(wanted).delegate == "npu"
    flag.touch()
    found = choice(wanted)
    assert (found.delegate, found.remembered) == ("cpu", False)
    assert "stub: no device found" in found.refused["npu"]


def test_a_folder_that_cannot_be_written_only_costs_time(stub_library: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wanted = Wanted(delegates=("npu",), libraries={"npu": npu(stub_library)}, cache=tmp_path / "file" / "cache")
    assert choice(wanted).delegate == "npu"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_in_an_order_and_against_the_cpu() -> None:
    model = (Path(__file__).parents[2] / "models" / "view-int8.tflite").read_bytes()
    digest = hashlib.sha256(model).hexdigest()
    with open_session(model, digest, Wanted(delegates=("gpu", "xnnpack")), where="m") as session:
        assert isinstance(session, FallbackSession)
        assert (session.delegate, session.degraded) == ("gpu", None)
        session.run()
    found = choice(Wanted(), model)
    assert found.delegate == "xnnpack"
    assert found.refused["gpu"].startswith("slower: ")


def test_a_gpu_that_does_not_answer_says_what_to_install(
    gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken_icd.json"
    broken.write_text('{"file_format_version": "1.0.0", "ICD": {"library_path": "/none.so", "api_version": "1.0.5"}}')
    monkeypatch.setenv("VK_ICD_FILENAMES", str(broken))
    model = one_op("RELU", (1, 8))
    with pytest.raises(Problem) as caught:
        choice(Wanted(delegates=("gpu",)), model)
    assert str(caught.value) == (
        "m.delegates: no delegate runs this model: gpu: no Vulkan driver answered: install mesa-vulkan-drivers, or the vendor's "
        'driver. Add "xnnpack" to delegates, the CPU'
    )


def tensor(dtype: str, scale: float = 0.0) -> Tensor:
    return Tensor(name="out", shape=(1000,), dtype=dtype, scale=scale, zero_point=0)


def test_what_counts_as_the_same_answer() -> None:
    real, levels = tensor("float32"), tensor("uint8", 0.1)
    reference = np.linspace(-5, 5, 1000, dtype=np.float32)
    assert measure.difference(real, reference, reference.astype(np.float16).astype(np.float32)) is None
    assert measure.difference(real, reference, reference + 0.4) is None
    assert "100% of out are further" in str(measure.difference(real, reference, reference + 0.6))
    few = reference.copy()
    few[:15] = 9
    assert measure.difference(real, reference, few) is None
    few[:25] = 9
    assert "2% of out" in str(measure.difference(real, reference, few))
    assert "no numbers" in str(measure.difference(real, reference, np.full_like(reference, np.nan)))
    assert "has the shape 999" in str(measure.difference(real, reference, reference[1:]))
    steps = np.arange(1000).astype(np.uint8) % 40
    assert measure.difference(levels, steps, steps + np.uint8(4)) is None
    assert measure.difference(levels, steps, steps + np.uint8(5)) is not None
    classes = np.arange(1000, dtype=np.int64) % 20
    other = classes.copy()
    other[:40] += 1
    assert measure.difference(tensor("int64"), classes, other) is None
    other[:60] += 1
    assert "6% of out differ" in str(measure.difference(tensor("int64"), classes, other))


@pytest.mark.parametrize("content", ["smooth", "noise"])
@pytest.mark.parametrize(
    ("dtype", "scale", "low", "high"),
    [("float32", 0, 0, 1), ("uint8", 0, 0, 255), ("int8", 0.1, -128, 127), ("int32", 0, 0, 1), ("bool", 0, 0, 1)],
)
def test_what_models_are_tried_with(content: str, dtype: str, scale: float, low: int, high: int) -> None:
    made = measure.made(content, (1, 32, 32, 3), tensor(dtype, scale))
    assert made.dtype == dtype
    assert low <= made.min()
    assert made.max() <= high
    assert float(made.max()) - float(made.min()) > 0.7 * (high - low)
    assert np.array_equal(made, measure.made(content, (1, 32, 32, 3), tensor(dtype, scale)))


class _Timed:
    """A session whose runs take the milliseconds that it is given."""

    def __init__(self, took_ms: list[float]) -> None:
        self.took_ms, self.now_ms, self.runs = took_ms, 0.0, 0

    def run(self) -> list[object]:
        self.now_ms += self.took_ms[min(self.runs, len(self.took_ms) - 1)]
        self.runs += 1
        return []


def timed(*took_ms: float) -> tuple[float, float, int]:
    session = _Timed(list(took_ms))
    found = measure.timed(_as_session(session), lambda: session.now_ms)
    return found.p50_ms, found.p95_ms, session.runs


def _as_session(session: object) -> Session:
    return session  # type: ignore[return-value]


def test_times_are_nearest_ranks_of_as_many_runs_as_are_worth_it() -> None:
    assert timed(*range(1, 31)) == (15, 29, 30)
    assert timed(300) == (300, 300, 7)
    assert timed(3000) == (3000, 3000, 2)


def test_a_run_may_take_ten_times_what_was_measured() -> None:
    assert delegates.limit_s(Timing(p50_ms=1, p95_ms=2)) == 0.5
    assert delegates.limit_s(Timing(p50_ms=100, p95_ms=200)) == 2.0

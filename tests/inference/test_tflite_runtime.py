"""The older runtime: a run of a real model where it is importable, and (long) in an environment made of the extra's pins."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from agent.inference.interpreter import open_session
from agent.problems import Problem

PROJECT = Path(__file__).parents[2]
_LOOK = """
import sys
import cv2
from pathlib import Path
from agent.inference.model import Config
from agent.pipeline.models import Machine, open_model
from agent.records import Frame
from agent.values import RelativePath
folder = Path(sys.argv[1])
config = Config(path=RelativePath(folder / "models" / "mobilenet_v1_0.25_128_quant.tflite"))
with open_model("m", config, machine=Machine(runtime="tflite-runtime"), where="m", kind="frame") as runner:
    found = runner.look(Frame(at_us=0, bgr=cv2.imread(str(folder / "images" / "parrot.jpg"))))
    print(runner.runtime, found.labels)
"""


@pytest.mark.skipif(importlib.util.find_spec("tflite_runtime") is None, reason="tflite-runtime is not installed here")
def test_runs_a_model_and_survives_a_damaged_one(testdata: Path) -> None:
    model = (testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    with open_session(model, runtime="tflite-runtime", where="m") as session:
        assert session.runtime.startswith("tflite-runtime 2.")
        assert session.run()[0].shape == (1, 1001)
    with pytest.raises(Problem), open_session(model[:200_000], runtime="tflite-runtime", where="m"):
        pass


@pytest.mark.long
def test_the_extra_installs_and_runs_a_model(testdata: Path, tmp_path: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime 2.14 has wheels up to Python 3.11")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    python = tmp_path / "venv" / "bin" / "python"
    # Without ai-edge-litert: what is left must be enough to run a model.
    wanted = ["tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless<4.12", "msgspec"]
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, timeout=300, check=False
    )
    if installed.returncode != 0:
        pytest.skip(f"pip cannot install the extra here: {installed.stderr.strip().splitlines()[-1][:200]}")
    look = subprocess.run(
        [python, "-c", _LOOK, testdata], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
    )
    assert look.stdout.strip() == "tflite-runtime 2.14.0 ('macaw',)"
    broken = (testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()[:200_000]
    (tmp_path / "broken.tflite").write_bytes(broken)
    refuse = (
        "import sys; from pathlib import Path; from agent.inference.interpreter import open_session; from agent.problems import Problem\n"
        "try:\n  with open_session(Path(sys.argv[1]).read_bytes(), runtime='tflite-runtime', where='m'): print('ran')\n"
        "except Problem as problem: print('refused', int(problem.code))\n"
    )
    ran = subprocess.run(
        [python, "-c", refuse, tmp_path / "broken.tflite"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.strip() == "refused 3"

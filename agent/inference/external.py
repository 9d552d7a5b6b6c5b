"""External delegates: a vendor's shared library that takes over ops of a model (external_delegate_interface.h). For child processes only.

edgetpu is one of them: libedgetpu.so.1, without options.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.inference import Session, interpreter
from agent.inference._child_messages import Load, Unfit
from agent.inference._refusals import first_line
from agent.inference.interpreter import SignatureSession, bind, model_problem
from agent.problems import Problem


@contextmanager
def open_session(load: Load, model: bytes) -> Iterator[tuple[Session, str]]:
    """Gives the session, and what else there is to know. Problem: the library is not to be had, refuses, or takes no op of the model."""
    assert load.library is not None
    runtime, module = interpreter.find_runtime(load.runtime, "")
    delegate = _library(module, load)
    try:
        loaded = module.Interpreter(model_content=model, num_threads=load.threads, experimental_delegates=[delegate])
        taken = _delegated(loaded)
        session = bind(loaded, runtime, load.delegate, signature=load.signature, input_px=load.input_px, where="")
        listed = not isinstance(session, SignatureSession)
        if listed and not taken:
            raise Unfit(
                where="",
                what=f"{load.library} takes no op of this model",
                remedy="Convert the model as the vendor says, or run it on the CPU",
            )
    except Problem:
        raise
    except Exception as error:  # noqa: BLE001 - ValueError, RuntimeError, UnicodeDecodeError…
        raise model_problem("", error) from None
    try:
        # XNNPACK takes what is left over, but only at allocation.
        partly = "some of its ops run on the CPU" if _delegated(loaded) > taken else ""
        yield session, partly if listed else "how many of the signature's ops it runs is not known"
    finally:
        session.close()


def _delegated(loaded: Any) -> int:
    """How many parts of the file's first graph delegates run so far; of others LiteRT does not tell."""
    details = loaded._get_ops_details()
    return sum(str(detail["op_name"]) == "DELEGATE" for detail in details)


def _library(module: Any, load: Load) -> Any:
    class Delegate(module.Delegate):  # type: ignore[misc]
        """LiteRT's own hands a null pointer to the library when that made none, and the library dies of it."""

        def __del__(self) -> None:
            if getattr(self, "_delegate_ptr", None):
                super().__del__()

    try:
        return Delegate(load.library, dict(load.options))
    except (ValueError, OSError, AttributeError) as error:
        if isinstance(error, AttributeError):
            what = f"{load.library} is no TFLite delegate: it has no tflite_plugin_create_delegate"
        elif isinstance(error, OSError):
            what = f"{load.library} cannot be loaded: {first_line(error)}"
        else:
            what = f"{load.library} made no delegate" + (f": {first_line(error)}" if str(error) else "")
        raise Problem(
            where="", what=what, remedy="Install the vendor's runtime, check the device and the options"
        ) from None

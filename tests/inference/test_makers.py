"""Which op computes an output."""

from peers.graph_models import TensorSpec, graph_model

from agent.inference.makers import maker
from agent.inference.model_graph import graph_of

_SIZE = (1, 4)


def model(*nodes: str) -> bytes:
    """given → one op after another → out, called `answer` in the signature."""
    names = ["given", *(f"t{place}" for place in range(1, len(nodes))), "out"]
    tensors = [TensorSpec(name, _SIZE) for name in names]
    steps = [(node, [place], [place + 1]) for place, node in enumerate(nodes)]
    last = len(nodes)
    signature = ("serve", {"x": 0}, {"answer": last})
    return graph_model(tensors, steps, inputs=[0], outputs=[last], signatures=[signature])


def test_the_last_op() -> None:
    assert maker(graph_of(model("RELU", "SOFTMAX")), "out") == "SOFTMAX"
    assert maker(graph_of(model("SOFTMAX", "RELU")), "out") == "RELU"


def test_what_only_converts_or_reshapes_is_passed_over() -> None:
    assert maker(graph_of(model("LOGISTIC", "RESHAPE", "DEQUANTIZE")), "out") == "LOGISTIC"


def test_by_the_name_in_a_signature() -> None:
    assert maker(graph_of(model("SOFTMAX")), "answer") == "SOFTMAX"


def test_what_nothing_computes_and_what_there_is_not() -> None:
    graph = graph_of(model("RESHAPE"))
    assert maker(graph, "out") == ""
    assert maker(graph, "nobody") == ""
    assert maker(graph_of(b""), "out") == ""

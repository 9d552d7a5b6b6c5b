"""Which op computes an output: a softmax says that its numbers are probabilities of classes, which names and shapes only suggest."""

from agent.inference.model_graph import Graph, Subgraph

_MOST_STEPS = 6
# They leave what a number means.
_KEEPS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE", "CAST", "TRANSPOSE")


def maker(graph: Graph, name: str) -> str:
    """The op (`SOFTMAX`) that computes the output of that name, in a signature or in the graph, whatever only reshapes or converts it after.

    "": there is none of that name, or it is an input or a constant. Never raises.
    """
    try:
        for one in graph.signatures:
            if name in one.outputs:
                return _maker(graph.subgraphs[one.subgraph], one.outputs[name])
        main = graph.subgraphs[0]
        named = [tensor for tensor in main.outputs if main.tensors[tensor].name == name]
        return _maker(main, named[0]) if len(named) == 1 else ""
    except IndexError:
        return ""


def _maker(subgraph: Subgraph, tensor: int) -> str:
    nodes = {output: node for node in subgraph.nodes for output in node.outputs}
    for _ in range(_MOST_STEPS):
        node = nodes.get(tensor)
        if node is None:
            return ""
        if node.operator not in _KEEPS:
            return node.operator
        tensor = node.inputs[0]
    return ""

"""Nodes in an order of their own, named by kind and position, and functions by content: equal models, equal bytes.

Keras and TensorFlow count layers and functions through the process and sort by these names: the same model, built a
second time, would differ from the first, and its bundle in its digest.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def canonical(graph: Any, interface: Mapping[str, str]) -> None:
    """Sort and rename, in place, everything but the interface; what the interface does not need is dropped.

    Args:
        graph: a GraphDef.
        interface: nodes with names of their own, old to new, in the order that they shall have.
    """
    nodes = _inputs_first({node.name: node for node in graph.node}, interface)
    del graph.node[:]
    graph.node.extend(nodes)
    library = {function.signature.name: function for function in graph.library.function}
    names: dict[str, str] = {}
    renamed = [_renamed_function(library[name], names) for name in _callees_first(graph.node, library, {})]
    _rename_nodes(graph.node, {**_by_position(graph.node), **interface}, names)
    del graph.library.function[:]
    graph.library.function.extend({function.signature.name: function for function in renamed}.values())


def callees(nodes: Iterable[Any]) -> Iterator[Any]:
    """The references to functions in these nodes, in an order that depends on nothing but their content."""
    for node in nodes:
        for _, value in sorted(node.attr.items()):
            if value.HasField("func"):
                yield value.func
            yield from value.list.func


def _inputs_first(nodes: Mapping[str, Any], roots: Iterable[str]) -> list[Any]:
    """Copies of the roots and all that they need, each after its inputs. Without recursion: backbones are deep."""
    done: dict[str, Any] = {}
    waiting = list(roots)[::-1]
    while waiting:
        node = nodes[waiting[-1]]
        missing = [name for name in map(_node_name, node.input) if name not in done]
        if missing:
            waiting.extend(reversed(missing))
        else:
            done.setdefault(waiting.pop(), node)
    return [type(node).FromString(node.SerializeToString()) for node in done.values()]


def _node_name(source: str) -> str:
    return source.removeprefix("^").partition(":")[0]


def _callees_first(nodes: Iterable[Any], library: Mapping[str, Any], seen: dict[str, None]) -> dict[str, None]:
    for reference in callees(nodes):
        if reference.name not in seen:
            _callees_first(library[reference.name].node_def, library, seen)
            seen[reference.name] = None
    return seen


def _renamed_function(function: Any, names: dict[str, str]) -> Any:
    """A renamed copy; `names` knows what it calls, and learns its own new name."""
    copy = type(function)()
    copy.CopyFrom(function)
    arguments = _numbered("argument", [argument.name for argument in copy.signature.input_arg])
    results = _numbered("result", [argument.name for argument in copy.signature.output_arg])
    inner = _by_position(copy.node_def) | arguments
    _rename_nodes(copy.node_def, inner, names)
    for argument in copy.signature.input_arg:
        argument.name = arguments[argument.name]
    for argument in copy.signature.output_arg:
        argument.name = results[argument.name]
    _replace(copy.ret, {results[name]: _renamed(source, inner) for name, source in function.ret.items()})
    # Side effects that must happen; an allowed graph has none, only their empty markers.
    _replace(copy.control_ret, {})
    del copy.signature.control_output[:]
    # TensorFlow keeps one library for the whole process: functions of two graphs may share a name only if equal.
    copy.signature.name = "function"
    content = hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()
    copy.signature.name = names[function.signature.name] = f"function_{content[:16]}"
    return copy


def _replace(mapping: Any, values: Mapping[str, str]) -> None:
    mapping.clear()
    mapping.update(values)


def _by_position(nodes: Iterable[Any]) -> dict[str, str]:
    return {node.name: f"{node.op}_{position}" for position, node in enumerate(nodes)}


def _numbered(word: str, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{word}_{position}" for position, name in enumerate(names)}


def _rename_nodes(nodes: Iterable[Any], names: Mapping[str, str], functions: Mapping[str, str]) -> None:
    for node in nodes:
        node.name = names[node.name]
        node.input[:] = [_renamed(source, names) for source in node.input]
        for reference in callees([node]):
            reference.name = functions[reference.name]


def _renamed(source: str, names: Mapping[str, str]) -> str:
    """`^name`, `name`, `name:1` or, inside a function, `name:output:1`, with the name replaced."""
    control = "^" if source.startswith("^") else ""
    _, separator, place = source.partition(":")
    return f"{control}{names[_node_name(source)]}{separator}{place}"

"""Pytrees: through `jax.tree_util` where JAX is imported, by an own walk where it is not.

The own walk knows the containers that JAX registers by itself (dict, OrderedDict, defaultdict, list, tuple,
namedtuple, None) and names leaves as `jax.tree_util.keystr` does, so that two ends agree on key paths even when
one of them runs without JAX.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from ._errors import LayoutError
from ._jax_seen import jax_if_imported

TREE_DEPTH_MAX = 200
"""How deep containers may nest."""
TREE_NODES_MAX = 1 << 20
"""How many may lie at one depth: containers that refer to each other make as many as they like out of few."""


class TreeDef(Protocol):
    """The shape of a tree without its leaves."""

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves."""

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What stands in another tree where this one has its leaves.

        **Raises:** `LayoutError` if the other tree has another structure.
        """


def flatten(tree: Any) -> tuple[list[str], list[Any], TreeDef]:
    """Key paths, leaves and structure of a tree. A bare leaf has the key path `""`."""
    _check_depth(tree)
    jax = jax_if_imported()
    if jax is not None:
        paths, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
        return [jax.tree_util.keystr(path) for path, _ in paths], [leaf for _, leaf in paths], _JaxTree(jax, treedef)
    node = _describe(tree, "")
    keys = [key for key, _ in _leaves(node, "", tree)]
    return keys, [leaf for _, leaf in _leaves(node, "", tree)], _OwnTree(node)


def flatten_leaves(tree: Any) -> tuple[list[Any], TreeDef]:
    """Leaves and structure of a tree of JAX, which has a hash unless its metadata has none."""
    jax = jax_if_imported()
    assert jax is not None
    leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=is_leaf)
    return leaves, _JaxTree(jax, treedef)


def structure(tree: Any) -> str:
    """The containers of a tree of JAX and the key paths of its leaves, in words that are equal in all processes."""
    jax = jax_if_imported()
    assert jax is not None
    keys, _, _ = flatten(tree)
    words: list[str] = []

    def walk(treedef: Any) -> None:
        node = treedef.node_data()
        words.append("leaf" if node is None else f"{node[0].__module__}.{node[0].__qualname__}")
        children = treedef.children()
        words.append(str(len(children)))
        for child in children:
            walk(child)

    walk(jax.tree_util.tree_structure(tree, is_leaf=is_leaf))
    return "\n".join([*words, *keys])


def _check_depth(tree: Any) -> None:
    """Refuse what nests so deep that a walk over it, ours or JAX's, runs out of stack. Takes none itself."""
    here = [tree]
    for _ in range(TREE_DEPTH_MAX):
        below: list[Any] = []
        for node in here:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, (list, tuple)):
                below.extend(node)
        if not below:
            return
        if len(below) > TREE_NODES_MAX:
            raise LayoutError(f"The tree has more than {TREE_NODES_MAX} nodes at one depth. State fewer tensors.")
        here = below
    raise LayoutError(f"The tree nests deeper than {TREE_DEPTH_MAX} containers. Flatten it before you state it.")


def broadcast_prefix(prefix: Any, tree: Any, is_prefix_leaf: Callable[[Any], bool], what: str = "layout") -> list[Any]:
    """The leaves of a prefix tree, each repeated for every leaf of the tree that it stands over.

    `what` is how messages call such a leaf.

    **Raises:** `LayoutError` if the prefix has another structure.
    """
    jax = jax_if_imported()
    if jax is not None:
        found: list[Any] = []

        def over(leaf: Any, subtree: Any) -> None:
            found.extend([leaf] * len(jax.tree_util.tree_leaves(subtree, is_leaf=is_leaf)))

        try:
            jax.tree_util.tree_map(over, prefix, tree, is_leaf=is_prefix_leaf)
        except ValueError as error:
            raise LayoutError(
                f"The tree of {what}s is no prefix of the tree of tensors: {error}. "
                f"Give one {what} for a subtree, or one for each of its leaves."
            ) from None
        return found
    return list(_broadcast(prefix, tree, is_prefix_leaf, "", what))


def is_leaf(value: Any) -> bool:
    """Whether a value stands for a tensor.

    A container with `.shape` and `.dtype` of its own is taken apart if JAX takes it apart into tensors, as it does
    with modules' boxed parameters, named and quantised arrays. It is a leaf if it only describes one.
    """
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return False
    jax = jax_if_imported()
    if jax is None or isinstance(value, jax.Array):
        return True
    parts = jax.tree_util.tree_leaves(value, is_leaf=lambda part: part is not value)
    return (len(parts) == 1 and parts[0] is value) or not any(map(_holds_tensor, parts))


def _holds_tensor(part: Any) -> bool:
    jax = jax_if_imported()
    assert jax is not None
    return any(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in jax.tree_util.tree_leaves(part))


class _JaxTree:
    def __init__(self, jax: Any, treedef: Any) -> None:
        self._jax = jax
        self._treedef = treedef

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _JaxTree) and bool(self._treedef == other._treedef)

    def __hash__(self) -> int:
        return hash(self._treedef)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        return self._jax.tree_util.tree_unflatten(self._treedef, leaves)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        try:
            return list(self._treedef.flatten_up_to(tree))
        except (ValueError, TypeError, KeyError) as error:
            raise LayoutError(f"The tree differs from the one that the channel states: {error}.") from None


class _OwnTree:
    def __init__(self, node: _Node) -> None:
        self._node = node

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        return _build(self._node, iter(leaves))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        if self._node.build is None:
            return [tree]
        values: list[Any] = []
        if _collect(self._node, tree, values):
            return values
        return [leaf for _, leaf in _leaves(self._node, "", tree)]


class _Node:
    """A container: how to name its children, read them and put them together. A leaf has no `build`."""

    __slots__ = ("build", "children", "flat", "getters", "keys", "kind", "names")

    def __init__(
        self,
        kind: type | None,
        names: list[tuple[str, Any]],
        children: list[_Node],
        build: Callable[[list[Any]], Any] | None,
    ) -> None:
        self.kind = kind
        self.names = names  # (key path entry, how to get the child)
        self.children = children
        self.build = build
        self.getters = [getter for _, getter in names]
        self.keys = frozenset(self.getters) if kind is not None and issubclass(kind, dict) else None
        self.flat = all(child.build is None for child in children)


def _describe(tree: Any, path: str) -> _Node:
    parts = _open(tree)
    if parts is None:
        return _Node(None, [], [], None)
    names, values, build = parts
    children = [_describe(value, path + name) for (name, _), value in zip(names, values, strict=True)]
    return _Node(type(tree), names, children, build)


def _open(tree: Any) -> tuple[list[tuple[str, Any]], list[Any], Callable[[list[Any]], Any]] | None:
    """The parts of a container, or `None` for a leaf."""
    if tree is None:
        return [], [], lambda _: None
    if is_leaf(tree):
        return None
    if isinstance(tree, dict) and type(tree) in (dict, OrderedDict, defaultdict):
        keys = list(tree) if type(tree) is OrderedDict else _sorted(tree)
        return [(f"[{key!r}]", key) for key in keys], [tree[key] for key in keys], _dict_builder(tree, keys)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        cls: Any = type(tree)
        return [(f".{name}", i) for i, name in enumerate(cls._fields)], list(tree), lambda values: cls(*values)
    if type(tree) in (list, tuple):
        kind: Any = type(tree)
        return [(f"[{i}]", i) for i in range(len(tree))], list(tree), lambda values: kind(values)
    return None


def _sorted(tree: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(tree)
    except TypeError:
        raise LayoutError(f"The keys of a dict in a tree must compare with each other, got {list(tree)}.") from None


def _dict_builder(tree: dict[Any, Any], keys: list[Any]) -> Callable[[list[Any]], Any]:
    if isinstance(tree, defaultdict):
        factory = tree.default_factory
        return lambda values: defaultdict(factory, zip(keys, values, strict=True))
    kind = type(tree)
    return lambda values: kind(zip(keys, values, strict=True))


def _leaves(node: _Node, path: str, tree: Any) -> Iterator[tuple[str, Any]]:
    if node.build is None:
        yield path, tree
        return
    parts = _open(tree)
    if parts is None or type(tree) is not node.kind or {n for n, _ in parts[0]} != {n for n, _ in node.names}:
        kind = getattr(node.kind, "__name__", "?")
        raise LayoutError(
            f"At {path or 'its root'} the channel states a {kind} with {[name for name, _ in node.names]}, "
            f"got {type(tree).__name__}. Pass a tree of the same structure."
        )
    held: Any = tree
    for (name, getter), child in zip(node.names, node.children, strict=True):
        yield from _leaves(child, path + name, held[getter])


def _collect(node: _Node, tree: Any, values: list[Any]) -> bool:
    """Add the leaves of a tree; whether it has the structure. Costs little, and names nothing."""
    if node.build is None:
        values.append(tree)
        return True
    if type(tree) is not node.kind:
        return False
    if tree is None:
        return True
    parts: Any = tree
    if parts.keys() != node.keys if node.keys is not None else len(parts) != len(node.getters):
        return False
    held = [parts[getter] for getter in node.getters]
    if node.flat:
        values += held
        return True
    return all(_collect(child, value, values) for child, value in zip(node.children, held, strict=True))


def _build(node: _Node, leaves: Iterator[Any]) -> Any:
    if node.build is None:
        return next(leaves)
    if node.flat:
        return node.build(list(islice(leaves, len(node.children))))
    return node.build([_build(child, leaves) for child in node.children])


def _broadcast(prefix: Any, tree: Any, is_prefix_leaf: Callable[[Any], bool], path: str, what: str) -> Iterator[Any]:
    if is_prefix_leaf(prefix):
        yield from [prefix] * len(list(_leaves(_describe(tree, path), path, tree)))
        return
    upper, lower = _open(prefix), _open(tree)
    if upper is None or lower is None or type(prefix) is not type(tree) or len(upper[0]) != len(lower[0]):
        raise LayoutError(
            f"The tree of {what}s is no prefix of the tree of tensors at {path or 'its root'}: "
            f"{type(prefix).__name__} over {type(tree).__name__}. "
            f"Give one {what} for a subtree, or one for each of its leaves."
        )
    theirs = {name: value for (name, _), value in zip(upper[0], upper[1], strict=True)}
    for (name, _), value in zip(lower[0], lower[1], strict=True):
        if name not in theirs:
            raise LayoutError(f"The tree of {what}s has nothing for {path}{name}. Add a {what} for it.")
        yield from _broadcast(theirs[name], value, is_prefix_leaf, path + name, what)

"""Which attributes of its names a cell reads."""

import ast
from functools import lru_cache

#: Sources whose attributes are remembered: those of cells that follow objects that change often.
_REMEMBERED = 256


@lru_cache(_REMEMBERED)
def attribute_reads(source: str) -> frozenset[tuple[str, str]]:
    """Return each name of which `source` reads an attribute, as in `name.attribute`, with that attribute.

    None for a source that is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
    )

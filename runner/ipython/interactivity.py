"""Which expressions of a cell show their value, where the user has configured the shell differently.

By default the engine shows the value of the last expression. `InteractiveShell.ast_node_interactivity` may
ask for all expressions, for the target of a last assignment, or for none.
"""

import ast
from typing import Any

#: The attribute of the shell that displays a value.
SHOW = "show_value"


def show_expressions(tree: ast.Module, interactivity: str) -> ast.Module:
    """Return `tree`, changed so that the engine shows what `interactivity` asks for."""
    body = tree.body
    if not body:
        return tree
    last = body[-1]
    if interactivity == "none" and isinstance(last, ast.Expr):
        body.append(ast.Pass())
    elif interactivity == "last_expr_or_assign":
        target = _target(last)
        if target is not None:
            body.append(ast.copy_location(ast.Expr(ast.Name(target, ast.Load())), last))
    elif interactivity in ("all", "last"):
        first = len(body) - 1 if interactivity == "last" else 0
        keep = body[-1:] if isinstance(last, ast.Expr) else []
        walk = _Shown()
        shown = [walk.visit(statement) for statement in body[first : len(body) - len(keep)]]
        tree.body = [*body[:first], *shown, *keep]
    return ast.fix_missing_locations(tree)


def _target(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[*_, ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
        case _:
            return None


class _Shown(ast.NodeTransformer):
    """Makes every expression statement show its value, except those in functions and classes."""

    def visit_FunctionDef(self, node: Any) -> Any:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        shell = ast.Call(ast.Name("get_ipython", ast.Load()), [], [])
        call = ast.Call(ast.Attribute(shell, SHOW, ast.Load()), [node.value], [])
        return ast.copy_location(ast.Expr(call), node)

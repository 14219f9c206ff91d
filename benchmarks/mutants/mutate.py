"""The mutants of a source file, Python or Lua."""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RELATIONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file: `path` below the root of the project, and the text `after` in place of `[start, end)`.

    `code` is the text of the line, without its indentation: it names the place after a change elsewhere in the file.
    """

    path: str
    line: int
    code: str
    start: int
    end: int
    before: str
    after: str

    @property
    def key(self) -> tuple[str, ...]:
        """(path, code, before, after), by which `explained.toml` names the mutant."""
        return self.path, self.code, _one_line(self.before), _one_line(self.after)

    def apply(self, text: str) -> str:
        """Return the text of the file with the change."""
        return text[: self.start] + self.after + text[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {_one_line(self.before)} -> {_one_line(self.after)}"


def mutants(root: Path, path: str) -> list[Mutant]:
    """Return every mutant of the file, in the order of its text."""
    text = (root / path).read_text("utf-8")
    all_mutants = _lua(path, text) if path.endswith(".lua") else _python(path, text)
    return sorted(all_mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.after))


def _mutant(path: str, text: str, span: tuple[int, int], after: str) -> Mutant:
    start, end = span
    line = text.count("\n", 0, start)
    return Mutant(path, line + 1, text.split("\n")[line].strip(), start, end, text[start:end], after)


def _one_line(code: str) -> str:
    return " ".join(code.split())


# ---------------------------------------------------------------- Python


def _python(path: str, text: str) -> Iterator[Mutant]:
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node, changed in _changes(ast.parse(text)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
        after = ast.unparse(changed)
        if isinstance(node, ast.expr):
            after = f"({after})"
        yield _mutant(path, text, (start, end), after)


def _changes(tree: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, ast.AST]]:
    """Yield each node with its replacement. Annotations, f-strings and docstrings have none."""
    for name, field in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "keywords" if isinstance(tree, ast.ClassDef) else ""):
            continue
        for node in field if isinstance(field, list) else [field]:
            if isinstance(node, ast.JoinedStr) or not isinstance(node, ast.AST):
                continue
            yield from _of_node(tree, name, node)
            yield from _changes(node)


def _of_node(parent: ast.AST, field: str, node: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, ast.AST]]:
    match node:
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                yield node, _with(node, ops=[*ops[:index], RELATIONS[type(operator)](), *ops[index + 1 :]])
        case ast.BoolOp(op=ast.And()):
            yield node, _with(node, op=ast.Or())
        case ast.BoolOp(op=ast.Or()):
            yield node, _with(node, op=ast.And())
        case ast.BinOp(op=operator) if type(operator) in ARITHMETIC:
            yield node, _with(node, op=ARITHMETIC[type(operator)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, operand
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield node, ast.Constant(value + 1)
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign():
            yield node, ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield node, ast.Pass()
    is_condition = field == "test" and isinstance(parent, ast.If | ast.IfExp | ast.While)
    is_filter = field == "ifs" and isinstance(parent, ast.comprehension)
    if (is_condition or is_filter) and isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.BoolOp):
        yield node, ast.UnaryOp(ast.Not(), node)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


# ---------------------------------------------------------------- Lua

SWAPS = {
    "==": "~=", "~=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "and": "or", "or": "and", "+": "-", "-": "+",
    "not": "", "true": "false", "false": "true",
}  # fmt: skip
TOKEN = re.compile(r"==|~=|<=|>=|(?<!-)-(?!-)|[<>+]|\b(?:and|or|not|true|false)\b|(?<![\w.'])\d+(?![\w.'])")
OPAQUE = re.compile(r"--[^\n]*|'(?:[^'\\\n]|\\.)*'")
STATEMENT = re.compile(r"^[ ]+(?:call|put|drop|remember|collect|table\.insert|[a-z_]+)\([^\n]*\)$", re.MULTILINE)


def _lua(path: str, text: str) -> Iterator[Mutant]:
    code = OPAQUE.sub(lambda match: " " * len(match.group()), text)
    for match in TOKEN.finditer(code):
        token = match.group()
        after = SWAPS[token] if token in SWAPS else str(int(token) + 1)
        yield _mutant(path, text, match.span(), after)
    for match in STATEMENT.finditer(text):
        if not match.group().lstrip().startswith(("return", "local", "if", "for", "while", "command")):
            yield _mutant(path, text, match.span(), "")

"""A condition as an analyst writes it (SQL) -> a typed tree, or a named refusal. Only what is listed here passes.

The text never reaches polars or DuckDB: sqlglot reads it, this module copies what it knows into `rules.tree`, and
`rules.compile` makes column expressions from that. Lengths, tokens and depth are capped before anything is built.

>>> from rules.tree import canonical
>>> canonical(parse("metric = 'cod' AND value>100", {"metric": "text", "value": "number"}))
"(and (= metric 'cod') (> value 100))"
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from rules.errors import SqlError, meant
from rules.tree import Node, Type

MAX_LENGTH: Final = 4_000
MAX_TOKENS: Final = 800
MAX_DEPTH: Final = 40
MAX_PATTERN: Final = 200
MAX_TEXT: Final = 1_000_000
MAX_INTEGER: Final = 2**53
_FULL_WIDTH: Final = "，；（）“”‘’＝＞＜。！"

_COMPARE: Final[dict[type, str]] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_ARITHMETIC: Final[dict[type, str]] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_CASTS: Final[dict[exp.DType, Type]] = {
    exp.DType.DOUBLE: "number",
    exp.DType.FLOAT: "number",
    exp.DType.BIGINT: "number",
    exp.DType.INT: "number",
    exp.DType.TEXT: "text",
    exp.DType.VARCHAR: "text",
    exp.DType.BOOLEAN: "bool",
}
_WHOLE: Final = frozenset({exp.DType.BIGINT, exp.DType.INT})

# name -> (types of the arguments, type of the result)
_FUNCTIONS: Final[dict[str, tuple[tuple[Type, ...], Type]]] = {
    "abs": (("number",), "number"),
    "floor": (("number",), "number"),
    "ceil": (("number",), "number"),
    "lower": (("text",), "text"),
    "upper": (("text",), "text"),
    "trim": (("text",), "text"),
    "length": (("text",), "number"),
    "starts_with": (("text", "text"), "bool"),
    "hour": (("number",), "number"),
    "minute": (("number",), "number"),
    "weekday": (("number",), "number"),
    "day": (("number",), "number"),
    "month": (("number",), "number"),
    "year": (("number",), "number"),
    "minutes_between": (("number", "number"), "number"),
    "hours_between": (("number", "number"), "number"),
    "days_between": (("number", "number"), "number"),
}
_CLASSES: Final[dict[type, str]] = {
    exp.Abs: "abs",
    exp.Floor: "floor",
    exp.Ceil: "ceil",
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Trim: "trim",
    exp.Length: "length",
    exp.StartsWith: "starts_with",
    exp.Hour: "hour",
    exp.Minute: "minute",
    exp.Day: "day",
    exp.Month: "month",
    exp.Year: "year",
}
# Arguments that the parser sets by itself and that change nothing here.
_MARKS: Final[dict[type, frozenset[str]]] = {
    exp.Div: frozenset({"typed", "safe"}),
    exp.TryCast: frozenset({"safe"}),
    exp.Cast: frozenset({"safe"}),
}


def parse(text: str, types: Mapping[str, Type], want: Type = "bool") -> Node:
    """The typed tree of a condition over the named columns. Raises SqlError."""
    _guard(text)
    try:
        statements = sqlglot.parse(text)
        if len(statements) != 1 or statements[0] is None:
            raise SqlError("write one condition")
        node = _Reader(types).read(statements[0], 0)
    except SqlglotError as error:
        raise SqlError(f"cannot be read as SQL: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise SqlError("nested too deeply") from error
    if node.type != want:
        raise SqlError(f"must be a {want}, but is a {node.type}")
    return node


def _guard(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise SqlError(f"longer than {MAX_LENGTH} characters")
    if not text.strip():
        raise SqlError("is empty")
    try:
        tokens: list[Token] = sqlglot.tokenize(text)
    except SqlglotError as error:
        raise SqlError(f"cannot be read as SQL: {str(error).splitlines()[0]}") from error
    if len(tokens) > MAX_TOKENS:
        raise SqlError(f"longer than {MAX_TOKENS} words")
    depth = 0
    for token in tokens:
        if token.comments:
            raise SqlError("comments are not allowed inside a condition", token.start)
        if token.token_type is not TokenType.STRING and any(c in token.text for c in _FULL_WIDTH):
            raise SqlError("full-width punctuation outside quotes", token.start)
        if token.token_type is TokenType.SEMICOLON:
            raise SqlError("write one condition, without ';'", token.start)
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth > MAX_DEPTH:
            raise SqlError("nested too deeply", token.start)


class _Reader:
    """Copies known classes of the parser's tree; anything else is refused by name."""

    def __init__(self, types: Mapping[str, Type]) -> None:
        self._types = types
        self._readers: dict[type, Callable[[Any, int], Node]] = {
            exp.Paren: lambda e, d: self.read(e.this, d),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda e, d: Node("literal", "bool", (bool(e.this),)),
            exp.Null: lambda e, d: Node("literal", "null", (None,)),
            exp.And: lambda e, d: self._chain("and", e, d),
            exp.Or: lambda e, d: self._chain("or", e, d),
            exp.Not: lambda e, d: Node("not", "bool", (self._typed(e.this, "bool", d),)),
            exp.Neg: self._negative,
            exp.Is: self._is,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Like: lambda e, d: self._like("like", e, d),
            exp.ILike: lambda e, d: self._like("ilike", e, d),
            exp.Case: self._case,
            exp.Coalesce: lambda e, d: self._same("coalesce", [e.this, *e.expressions], d),
            exp.Round: self._round,
            exp.Substring: self._substring,
            exp.Cast: self._cast,
            exp.TryCast: self._cast,
            exp.Anonymous: lambda e, d: self._function(str(e.this).lower(), e.expressions, e, d),
        }
        self._readers |= dict.fromkeys(_COMPARE, self._compare)
        self._readers |= dict.fromkeys(_ARITHMETIC, self._arithmetic)
        self._readers |= dict.fromkeys(_CLASSES, self._known_function)

    def read(self, node: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise SqlError("nested too deeply", _place(node))
        reader = self._readers.get(type(node))
        if reader is None:
            hint = "; name it under features" if isinstance(node, exp.AggFunc) else ""
            raise SqlError(f"{type(node).__name__.upper()} is not allowed in a condition{hint}", _place(node))
        return reader(node, depth + 1)

    def _typed(self, node: Any, want: Type, depth: int) -> Node:
        read = self.read(node, depth)
        if read.type != want:
            raise SqlError(f"a {want} is needed here, but '{_text(node)}' is a {read.type}", _place(node))
        return read

    def _only(self, node: Any, *known: str) -> None:
        """Refuse arguments beyond the known ones: they would change the meaning without being compiled."""
        marks = _MARKS.get(type(node), frozenset())
        extra = [k for k, v in node.args.items() if v and k not in known and k not in marks]
        if extra:
            raise SqlError(f"{type(node).__name__.upper()} with '{extra[0]}' is not allowed", _place(node))

    def _column(self, node: Any, depth: int) -> Node:
        self._only(node, "this")
        name = node.name
        if name not in self._types:
            quoted = "; texts take single quotes" if node.this.args.get("quoted") else ""
            raise SqlError(f"unknown column '{name}'{quoted or meant(name, self._types)}", _place(node))
        return Node("column", self._types[name], (name,))

    def _literal(self, node: Any, depth: int) -> Node:
        if node.is_string:
            return Node("literal", "text", (str(node.this),))
        try:
            value = float(node.this)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise SqlError(f"'{str(node.this)[:20]}' is not a number that can be used", _place(node))
        whole = value.is_integer() and abs(value) <= MAX_INTEGER
        return Node("literal", "number", (int(value) if whole else value,))

    def _chain(self, op: str, node: Any, depth: int) -> Node:
        """AND / OR chains become one flat node, so that a long list of conditions is not deep."""
        parts: list[Node] = []
        open_ = [node]
        while open_:
            top = open_.pop()
            inner = top.unnest()
            if type(inner) is type(node):
                self._only(inner, "this", "expression")
                open_ += [inner.expression, inner.this]
            else:
                parts.append(self._typed(inner, "bool", depth))
        return Node(op, "bool", tuple(parts))

    def _negative(self, node: Any, depth: int) -> Node:
        inner = self._typed(node.this, "number", depth)
        if inner.op == "literal":
            return Node("literal", "number", (-inner.args[0],))
        return Node("-", "number", (Node("literal", "number", (0,)), inner))

    def _compare(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "expression")
        left, right = self.read(node.this, depth), self.read(node.expression, depth)
        if "null" in (left.type, right.type):
            raise SqlError("a comparison with NULL is never true; write IS NULL or IS NOT NULL", _place(node))
        if left.type != right.type:
            raise SqlError(f"'{_text(node)}' compares a {left.type} with a {right.type}", _place(node))
        return Node(_COMPARE[type(node)], "bool", (left, right))

    def _arithmetic(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "expression")
        parts = (self._typed(node.this, "number", depth), self._typed(node.expression, "number", depth))
        return Node(_ARITHMETIC[type(node)], "number", parts)

    def _is(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "expression")
        if isinstance(node.expression, exp.Null):
            return Node("is-null", "bool", (self.read(node.this, depth),))
        if isinstance(node.expression, exp.Boolean):
            return Node(
                "is-true" if node.expression.this else "is-false", "bool", (self._typed(node.this, "bool", depth),)
            )
        raise SqlError("IS takes NULL, NOT NULL, TRUE or FALSE", _place(node))

    def _between(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "low", "high")
        value, low, high = (self.read(node.args[k], depth) for k in ("this", "low", "high"))
        if not value.type == low.type == high.type or value.type == "null":
            raise SqlError(f"'{_text(node)}' compares a {value.type} with a {low.type} and a {high.type}", _place(node))
        return Node("between", "bool", (value, low, high))

    def _in(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "expressions", "field")
        value = self.read(node.this, depth)
        source = node.args.get("field")
        if source is not None:
            return self._in_list(value, source)
        items = [self.read(item, depth) for item in node.expressions]
        if not items or any(i.op != "literal" or i.type != value.type for i in items):
            raise SqlError(f"IN takes a bracket of {value.type} values written out, or list('name')", _place(node))
        return Node("in", "bool", (value, tuple(sorted({i.args[0] for i in items}))))

    def _in_list(self, value: Node, source: Any) -> Node:
        name = source.expressions[0] if isinstance(source, exp.List) and len(source.expressions) == 1 else None
        if not isinstance(name, exp.Literal) or not name.is_string or value.type != "text":
            raise SqlError("IN takes a bracket of values, or list('name') of texts", _place(source))
        return Node("in-list", "bool", (value, str(name.this)))

    def _like(self, op: str, node: Any, depth: int) -> Node:
        self._only(node, "this", "expression", "negate")
        value, pattern = self._typed(node.this, "text", depth), node.expression
        if not isinstance(pattern, exp.Literal) or not pattern.is_string or len(pattern.this) > MAX_PATTERN:
            raise SqlError(f"{op.upper()} takes a pattern in quotes of at most {MAX_PATTERN} characters", _place(node))
        found = Node(op, "bool", (value, str(pattern.this)))
        return Node("not", "bool", (found,)) if node.args.get("negate") else found

    def _case(self, node: Any, depth: int) -> Node:
        self._only(node, "ifs", "default")
        for branch in node.args["ifs"]:
            self._only(branch, "this", "true")
        tests = [self._typed(branch.this, "bool", depth) for branch in node.args["ifs"]]
        otherwise = node.args.get("default") or exp.Null()
        values = self._same("case", [*(b.args["true"] for b in node.args["ifs"]), otherwise], depth)
        return Node("case", values.type, (*tests, *values.args))

    def _same(self, op: str, nodes: list[Any], depth: int) -> Node:
        """An operation whose arguments share one type (NULL aside), which is its own."""
        parts = tuple(self.read(node, depth) for node in nodes)
        types = {part.type for part in parts} - {"null"}
        if len(types) != 1:
            raise SqlError(f"the values of {op.upper()} must be of one type", _place(nodes[0]))
        return Node(op, types.pop(), parts)

    def _round(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "decimals")
        digits = _whole(node.args.get("decimals"), 0, 9, 0)
        return Node("round", "number", (self._typed(node.this, "number", depth), digits))

    def _substring(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "start", "length")
        start = _whole(node.args.get("start"), 1, MAX_TEXT, 1)
        length = _whole(node.args.get("length"), 0, MAX_TEXT, MAX_TEXT)
        return Node("substr", "text", (self._typed(node.this, "text", depth), start, length))

    def _cast(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "to")
        to = node.args["to"]
        if to.this not in _CASTS or to.expressions or to.args.get("nested"):
            raise SqlError("CAST takes DOUBLE, BIGINT, TEXT or BOOLEAN", _place(node))
        inner = self.read(node.this, depth)
        if inner.type == "null":
            raise SqlError("CAST of NULL is NULL", _place(node))
        gives = _CASTS[to.this]
        return Node("to-whole" if to.this in _WHOLE else f"to-{gives}", gives, (inner,))

    def _known_function(self, node: Any, depth: int) -> Node:
        self._only(node, "this", "expression")
        arguments = [node.args[key] for key in ("this", "expression") if node.args.get(key) is not None]
        return self._function(_CLASSES[type(node)], arguments, node, depth)

    def _function(self, name: str, arguments: list[Any], node: Any, depth: int) -> Node:
        known = _FUNCTIONS.get(name)
        if known is None:
            raise SqlError(f"unknown function '{name[:40]}'{meant(name[:40], _FUNCTIONS)}", _place(node))
        takes, gives = known
        if len(arguments) != len(takes):
            raise SqlError(f"{name} takes {len(takes)} argument(s)", _place(node))
        return Node(name, gives, tuple(self._typed(a, t, depth) for a, t in zip(arguments, takes, strict=True)))


def _whole(node: Any, low: int, high: int, default: int) -> int:
    if node is None:
        return default
    if not isinstance(node, exp.Literal) or node.is_string or not str(node.this).isdigit():
        raise SqlError("a whole number written out is needed here", _place(node))
    if not low <= int(str(node.this)[:18]) <= high:
        raise SqlError(f"the number must be {low} to {high}", _place(node))
    return int(node.this)


def _place(node: Any) -> int:
    """Where in the text the node (or the first named thing in it) stands."""
    for part in node.walk() if isinstance(node, exp.Expr) else ():
        if "start" in part.meta:
            return int(part.meta["start"])
    return 0


def _text(node: Any) -> str:
    return str(node.sql())[:60]

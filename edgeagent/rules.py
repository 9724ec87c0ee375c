"""Conditions over the readings of one device: what an alarm type, a doubt or a derived flag says in its `when`.

    source = battery and battery.time > 0        output.load > limit        alarms has overload
    mode in [auto, test]        not reachable     bad(temperature)           absent(battery.time)     unknown(alarms)

The truth has three values to the outside: True, False and None. None means that a needed reading is bad: it neither
raises nor clears. Inside there is a fourth, "absent", None to the outside: the device has no such object. An `or`
passes over an absent side: a witness that does not exist says nothing against another. An `and` with one is absent.

A comparison by order is relaxed by `slack` while its alarm is held (hysteresis); `not` turns the slack round. `bad(x)`
is true when the device itself says that x is broken, never for silence, `absent(x)` when it has no x, `unknown(x)`
whenever x has no (whole) value, so that a witness that cannot be read need not silence another one. On the right of =
and != a name is an enum word; on the right of an order it is a point.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from edgeagent import checks
from edgeagent.readings import PARTIAL, UNKNOWN_ENUM, Missing, Quality, Reading

_ABSENT: Final = "absent"
Truth = checks.Truth
_GONE: Final = frozenset({Missing.ABSENT.value, Missing.NULL.value, "not-fitted"})
_SILENT: Final = frozenset({missing.value for missing in Missing if missing.silent} | {"stale"})
_ORDER: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class RuleError(ValueError):
    """A condition that cannot be read; the message names the word it fell over."""


@dataclass(frozen=True, slots=True)
class _Scope:
    readings: Mapping[str, Reading]
    limit: float | None
    slack: float

    def turned(self) -> _Scope:
        return _Scope(self.readings, self.limit, -self.slack)


@dataclass(frozen=True, slots=True)
class _Compare:
    """`point op right` where right is a number, an enum word, "limit" or, for an order, another point."""

    point: str
    op: str
    right: float | str | bool

    def truth(self, scope: _Scope) -> Truth:
        reading = scope.readings.get(self.point)
        if (gap := _gap(reading)) is not True:
            return gap
        assert reading is not None  # noqa: S101 - _gap said so
        left = reading.value
        if self.op in ("=", "!="):
            return (left == self.right) is (self.op == "=")
        right = self._number(scope)
        if not isinstance(right, float) or not isinstance(left, (int, float)):
            return None if isinstance(right, float) else right
        slack = scope.slack if self.op.startswith("<") else -scope.slack
        return _ORDER[self.op](float(left), right + slack)

    def _number(self, scope: _Scope) -> float | Truth:
        if self.right == "limit":
            return None if scope.limit is None else float(scope.limit)
        if not isinstance(self.right, str):
            return float(self.right)
        other = scope.readings.get(self.right)
        if (gap := _gap(other)) is not True:
            return gap
        return float(other.value) if other is not None and isinstance(other.value, (int, float)) else None


@dataclass(frozen=True, slots=True)
class _In:
    point: str
    words: tuple[float | str | bool, ...]

    def truth(self, scope: _Scope) -> Truth:
        reading = scope.readings.get(self.point)
        if (gap := _gap(reading)) is not True:
            return gap
        return reading is not None and reading.value in self.words


@dataclass(frozen=True, slots=True)
class _Has:
    """`point has member`, also for members with a grade: "overload.warning"."""

    point: str
    member: str

    def truth(self, scope: _Scope) -> Truth:
        reading = scope.readings.get(self.point)
        if (gap := _gap(reading)) is not True:
            return gap
        members = reading.value if reading is not None else None
        if not isinstance(members, frozenset):
            return None
        grade = self.member + "."
        if self.member in members or any(member.startswith(grade) for member in members):
            return True
        return None if reading is not None and reading.reason == PARTIAL else False


@dataclass(frozen=True, slots=True)
class _Flag:
    point: str

    def truth(self, scope: _Scope) -> Truth:
        reading = scope.readings.get(self.point)
        if (gap := _gap(reading)) is not True:
            return gap
        return reading is not None and reading.value is True


@dataclass(frozen=True, slots=True)
class _Asks:
    """`bad(point)`, `absent(point)` or `unknown(point)`: a question about the reading, not about its value."""

    word: str
    point: str

    def truth(self, scope: _Scope) -> Truth:
        reading = scope.readings.get(self.point)
        if reading is None:
            return self.word != "bad"
        if self.word == "unknown":
            return _gap(reading) is not True or reading.reason == PARTIAL
        if reading.quality is not Quality.BAD:
            return False
        if reading.reason in _SILENT:
            return None
        return (reading.reason in _GONE) is (self.word == "absent")


@dataclass(frozen=True, slots=True)
class _Not:
    side: _Node

    def truth(self, scope: _Scope) -> Truth:
        truth = self.side.truth(scope.turned() if scope.slack else scope)
        return not truth if isinstance(truth, bool) else truth


@dataclass(frozen=True, slots=True)
class _Both:
    sides: tuple[_Node, ...]

    def truth(self, scope: _Scope) -> Truth:
        result: Truth = True
        for side in self.sides:
            truth = side.truth(scope)
            if truth is False:
                return False
            if truth is not True and result is not _ABSENT:
                result = truth
        return result


@dataclass(frozen=True, slots=True)
class _Either:
    sides: tuple[_Node, ...]

    def truth(self, scope: _Scope) -> Truth:
        result: Truth = _ABSENT
        for side in self.sides:
            truth = side.truth(scope)
            if truth is True:
                return True
            if truth is None or (truth is False and result is _ABSENT):
                result = truth
        return result


_Node: TypeAlias = _Compare | _In | _Has | _Flag | _Asks | _Not | _Both | _Either


def _gap(reading: Reading | None) -> Truth:
    """Return True when the reading has a value that means something, else what its lack means."""
    if reading is None:
        return _ABSENT
    if reading.value is None:
        return _ABSENT if reading.reason in _GONE else None
    return None if reading.reason == UNKNOWN_ENUM else True


class Condition:
    """A parsed condition: its text as written, its tree, its `points`. No dataclass: its text is written down."""

    __slots__ = ("_check", "points", "root", "text")

    def __init__(self, text: str, root: _Node) -> None:
        self.text, self.root = text, root
        self.points = frozenset(point for node in _walk(root) for point in _points(node))
        self._check = _compiled(root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self.text == other.text and self.root == other.root

    def __hash__(self) -> int:
        return hash((self.text, self.root))

    def holds(self, readings: Mapping[str, Reading], limit: float | None = None, slack: float = 0.0) -> bool | None:
        """Evaluate. `limit` stands for the word "limit"; `slack` (point's unit) relaxes every order."""
        truth = self._check(readings, limit, slack)
        return truth if isinstance(truth, bool) else None

    def silent(self, readings: Mapping[str, Reading]) -> bool:
        """Tell whether the device lacks what the condition asks for: not unknown for now, but never to be known."""
        return self.root.truth(_Scope(readings, None, 0.0)) is _ABSENT

    @property
    def compares(self) -> Iterator[tuple[str, str, float | str | bool]]:
        """All (point, operator, right side) of it; each word of an `in` is one."""
        for node in _walk(self.root):
            if isinstance(node, _Has):
                yield node.point, "has", node.member
            elif isinstance(node, _In):
                yield from ((node.point, "in", word) for word in node.words)
            elif isinstance(node, _Compare):
                yield node.point, node.op, node.right

    @property
    def uses_limit(self) -> bool:
        """Tell whether the word "limit" stands in it."""
        return any(right == "limit" for _, op, right in self.compares if op not in ("has", "in"))

    @property
    def words(self) -> frozenset[tuple[str, str]]:
        """All (point, enum word or set member) pairs that it compares with."""
        return frozenset((id, word) for id, op, word in self.compares if op not in _ORDER and isinstance(word, str))

    def renamed(self, names: Mapping[str, str]) -> Condition:
        """Return the same condition on other points: {"door": "door.front"}."""
        return Condition(self.text, _renamed(self.root, names))


def _compiled(node: _Node) -> checks.Check:
    match node:
        case _Not():
            return checks.negation(_compiled(node.side))
        case _Both() | _Either():
            made = checks.both if isinstance(node, _Both) else checks.either
            return made(tuple(map(_compiled, node.sides)), _ABSENT)
        case _Flag():
            return checks.flag(node.point, _gap)
        case _In():
            return checks.within(node.point, node.words, _gap)
        case _Compare(op="=" | "!="):
            return checks.constant(node.point, node.right, equal=node.op == "=", gap=_gap)
        case _Has():
            return checks.has(node.point, node.member, _gap)
        case _Compare(right=right) if right == "limit" or not isinstance(right, str):
            bound = None if isinstance(right, str) else float(right)
            return checks.order(node.point, _ORDER[node.op], bound, 1 if node.op[0] == "<" else -1, _gap)
    return lambda readings, limit, slack: node.truth(_Scope(readings, limit, slack))


def _renamed(node: _Node, names: Mapping[str, str]) -> _Node:
    if isinstance(node, _Not):
        return _Not(_renamed(node.side, names))
    if isinstance(node, (_Both, _Either)):
        return replace(node, sides=tuple(_renamed(side, names) for side in node.sides))
    if isinstance(node, _Compare) and node.op in _ORDER and isinstance(node.right, str):
        node = replace(node, right=names.get(node.right, node.right))
    return replace(node, point=names.get(node.point, node.point))


def _points(node: _Node) -> tuple[str, ...]:
    if isinstance(node, (_Not, _Both, _Either)):
        return ()
    if isinstance(node, _Compare) and node.op in _ORDER and isinstance(node.right, str) and node.right != "limit":
        return (node.point, node.right)
    return (node.point,)


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for side in node.sides if isinstance(node, (_Both, _Either)) else (node.side,) if isinstance(node, _Not) else ():
        yield from _walk(side)


_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w.-])|(?P<name>[A-Za-z][\w-]*(?:\.[\w-]+)*)|(?P<op><=|>=|!=|==|[=<>()\[\],]))"
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "has"})
_NESTED: Final = 100
"""Parentheses and negations in one condition at most: nobody reads more, and each costs depth."""


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        RuleError: naming the place it fell over.
    """
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise RuleError(f'cannot read "{text[at:].strip()}" in "{text}"')
        tokens.append("=" if match.group("op") == "==" else match.group().strip())
        at = match.end()
    if tokens.count("(") + tokens.count("not") > _NESTED:
        raise RuleError(f'too many parentheses and negations in "{text}"')
    root = (parser := _Parser(tokens, text)).either()
    if parser.tokens:
        raise RuleError(f'"{parser.tokens[0]}" is too much in "{text}"')
    return Condition(" ".join(text.split()), root)


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, tokens: list[str], text: str) -> None:
        self.tokens = tokens
        self._text = text

    def either(self) -> _Node:
        sides = [self._both()]
        while self._take("or"):
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else _Either(tuple(sides))

    def _both(self) -> _Node:
        sides = [self._not()]
        while self._take("and"):
            sides.append(self._not())
        return sides[0] if len(sides) == 1 else _Both(tuple(sides))

    def _not(self) -> _Node:
        if self._take("not"):
            return _Not(self._not())
        if self._take("("):
            inner = self.either()
            self._need(")")
            return inner
        return self._test()

    def _test(self) -> _Node:
        point = self._name("a point")
        if point in ("bad", "absent", "unknown") and self._take("("):
            asked = self._name("a point")
            self._need(")")
            return _Asks(point, asked)
        if self._take("has"):
            return _Has(point, self._name("an alarm id"))
        if self._take("in"):
            self._need("[")
            words = [self._right()]
            while self._take(","):
                words.append(self._right())
            self._need("]")
            return _In(point, tuple(words))
        if self.tokens and self.tokens[0] in ("=", "!=", *_ORDER):
            return _Compare(point, self.tokens.pop(0), self._right())
        return _Flag(point)

    def _right(self) -> float | str | bool:
        token = self._next("a number or a word")
        if token in ("true", "false"):
            return token == "true"
        if token[0].isdigit() or token[0] == "-":
            return float(token)
        if not token[0].isalpha() or token in _WORDS:
            raise RuleError(f'a number or a word is missing before "{token}" in "{self._text}"')
        return token

    def _name(self, what: str) -> str:
        token = self._next(what)
        if not token[0].isalpha() or token in _WORDS:
            raise RuleError(f'{what} is missing before "{token}" in "{self._text}"')
        return token

    def _next(self, what: str) -> str:
        if not self.tokens:
            raise RuleError(f'{what} is missing at the end of "{self._text}"')
        return self.tokens.pop(0)

    def _take(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False

    def _need(self, token: str) -> None:
        found = self._next(f'"{token}"')
        if found != token:
            raise RuleError(f'"{token}" is missing before "{found}" in "{self._text}"')

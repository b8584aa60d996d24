"""The operations on properties: a table with the meaning of each operator.

The source of all rules is docs/flows.md, "Operations". A missing value satisfies an operation only if the operator is
IS_UNKNOWN or IS_BLANK, or if ``includeObjectsWithNoValueSet`` is true. A value that cannot be read as the operation's
type satisfies none of its operators, not even negative ones, because it cannot be compared.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct, field

from enrollment.domain import values
from enrollment.domain.operators.urls import UrlPart, as_compared, equal_form
from enrollment.domain.values import SEPARATOR, Instant, Value, date_of, fold

Test = Callable[[Any, Any], bool]
Read = Callable[[Value], Any]
Parts = Callable[[Any], Iterable[Hashable]]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


# The reading of a property without a value.
MISSING = _Missing()

# Characters of an operand. Values of events and records are not longer, so a longer operand could not match.
MAX_TEXT = 8 * 1024

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class InvalidOperand(ValueError):
    """An operand has a wrong type or value.

    ``key`` is its JSON path inside the operation, ``found`` its value, and ``expected`` a phrase for a message.
    """

    def __init__(self, key: str, found: object, expected: str) -> None:
        super().__init__(f"{key}: expected {expected}")
        self.key = key
        self.found = found
        self.expected = expected


class Lookup(Struct, frozen=True, eq=False):
    """A hash lookup that is equivalent to an operator's test.

    The operator holds if and only if one of the ``parts`` of the reading is among the ``wanted`` parts of the operand.
    """

    parts: Parts
    wanted: Parts


class OperationType(Struct, frozen=True, eq=False):
    """A row of the table.

    ``keys``: the keys of the operands in the flow JSON. ``operand``: converts them; raises InvalidOperand. ``read``:
    converts a property's value; None: it cannot be read. ``tests``: a function of both for each operator.
    ``on_events``: the operators that triggers may use. ``history``: the operators on the record's history, which events
    do not have. ``lookups``: for operators that the trigger index can look up.
    """

    name: str
    keys: tuple[str, ...]
    operand: Callable[[Mapping[str, Any]], Any]
    read: Read
    tests: Mapping[str, Test]
    on_events: frozenset[str]
    history: frozenset[str] = frozenset()
    lookups: Mapping[str, Lookup] = field(default_factory=dict)


class ComparesByMeaning(Struct, frozen=True, eq=False):
    """Operations with the same meaning are equal, whatever notation the flows use, so that each is evaluated once."""

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """Return all attributes that determine the meaning of the operation, without those of its notation."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, ComparesByMeaning)
        return self.identity() == other.identity()

    def __ne__(self, other: object) -> bool:
        # Struct defines __ne__ by identity, so it must be overridden too.
        return not self == other

    def __hash__(self) -> int:
        return hash(self.identity())


class Operation(ComparesByMeaning, frozen=True, eq=False):
    """An operator with its operands, converted for the test. Create it with ``operation`` or ``operation_of``.

    ``given``: the operation as the flow JSON has it. ``include_missing``: ``includeObjectsWithNoValueSet``.
    """

    type: OperationType
    operator: str
    operand: Any
    include_missing: bool
    given: Mapping[str, Any]
    # Precomputed, because each event needs them.
    test: Test
    accepts_missing: bool

    def identity(self) -> tuple[object, ...]:
        return self.type, self.operator, self.operand, self.include_missing

    def holds(self, value: Value) -> bool:
        """Whether a property with this value satisfies the operation."""
        return self.accepts(MISSING if values.is_missing(value) else self.type.read(value))

    def accepts(self, reading: Any) -> bool:
        """As ``holds``, for a value that is converted. ``reading``: MISSING, or the result of the type's ``read``."""
        if reading is MISSING:
            return self.accepts_missing
        return reading is not None and self.test(reading, self.operand)


ACCEPT_MISSING = frozenset({"IS_UNKNOWN", "IS_BLANK"})


def operation(document: Mapping[str, Any], url_part: UrlPart | None = None) -> Operation:
    """Read an operation of the flow JSON. Raises InvalidOperand.

    The operation type and the operator must be in OPERATION_TYPES. ``url_part``: the part of a URL that the property
    holds; None: it holds none.
    """
    name, include_missing = document["operationType"], document.get("includeObjectsWithNoValueSet") is True
    kind = OPERATION_TYPES[name] if url_part is None else URL_OPERATION_TYPES[url_part].get(name, OPERATION_TYPES[name])
    return operation_of(kind, document["operator"], document, include_missing)


def operation_of(kind: OperationType, operator: str, document: Mapping[str, Any], include_missing: bool) -> Operation:
    """Return an operation with this operator and the operands of ``document``. Raises InvalidOperand."""
    return Operation(
        type=kind,
        operator=operator,
        operand=kind.operand(document),
        include_missing=include_missing,
        given=MappingProxyType(dict(document)),
        test=kind.tests[operator],
        accepts_missing=include_missing or operator in ACCEPT_MISSING,
    )


# Operands ------------------------------------------------------------------------------------------------------


class Text(NamedTuple):
    """An operand of STRING. ``written``: the form that CONTAINS, STARTS_WITH and ENDS_WITH compare. ``equal``: the form
    that equality compares."""

    written: str
    equal: str


class Texts(NamedTuple):
    """An operand of MULTISTRING, with the two forms of each value as in ``Text``."""

    written: tuple[str, ...]
    equal: tuple[str, ...]


def _value(document: Mapping[str, Any]) -> str:
    value = document.get("value")
    if not isinstance(value, str | int | float) or value == "" or len(values.as_text(value)) > MAX_TEXT:
        raise InvalidOperand("value", value, f"a text of 1 to {MAX_TEXT} characters")
    return values.as_text(value)


def _values(document: Mapping[str, Any]) -> list[str]:
    operands = document.get("values")
    if not isinstance(operands, list) or not operands:
        raise InvalidOperand("values", operands, "a list with at least one value")
    for value in operands:
        if not isinstance(value, str | int | float) or value == "" or len(values.as_text(value)) > MAX_TEXT:
            raise InvalidOperand("values", value, f"texts of 1 to {MAX_TEXT} characters")
    return [values.as_text(value) for value in operands]


def _options(document: Mapping[str, Any]) -> tuple[str, ...]:
    operands = _values(document)
    for value in operands:
        if not value.strip():
            raise InvalidOperand("values", value, f"texts of 1 to {MAX_TEXT} characters, not only blanks")
    return tuple(dict.fromkeys(fold(value.strip()) for value in operands))


def text_operand(text: str) -> Text:
    """Return the operand of STRING for a text."""
    folded = fold(text)
    return Text(folded, folded.strip())


def _number(key: str) -> Callable[[Mapping[str, Any]], Decimal]:
    def read(document: Mapping[str, Any]) -> Decimal:
        operand = document.get(key)
        number = values.read_number(operand) if isinstance(operand, str | int | float) else None
        if number is None:
            raise InvalidOperand(key, operand, "a number, for example 5")
        return number

    return read


def _instant(key: str) -> Callable[[Mapping[str, Any]], Instant]:
    def read(document: Mapping[str, Any]) -> Instant:
        operand = document.get(key)
        instant = values.read_given_time(operand) if isinstance(operand, str | int | float) else None
        if instant is None:
            raise InvalidOperand(key, operand, values.GIVEN_TIMES)
        return instant

    return read


def _range(read: Callable[[str], Callable[[Mapping[str, Any]], Any]]) -> Callable[[Mapping[str, Any]], tuple[Any, Any]]:
    lower, upper = read("lowerBound"), read("upperBound")

    def bounds(document: Mapping[str, Any]) -> tuple[Any, Any]:
        low, high = lower(document), upper(document)
        if low > high:
            raise InvalidOperand("lowerBound", document["lowerBound"], "a lower bound that is not above upperBound")
        return low, high

    return bounds


def _bool(document: Mapping[str, Any]) -> bool:
    operand = document.get("value")
    value = values.read_bool(operand) if isinstance(operand, str | int | float) else None
    if value is None:
        raise InvalidOperand("value", operand, "true or false")
    return value


def _date(document: Mapping[str, Any]) -> date:
    year, month, day = document.get("year"), document.get("month"), document.get("day")
    if month not in MONTHS:
        raise InvalidOperand("month", month, f"one of {', '.join(MONTHS)}")
    for key, number in (("year", year), ("day", day)):
        if isinstance(number, bool) or not isinstance(number, int):
            raise InvalidOperand(key, number, "an integer")
    assert isinstance(year, int)
    assert isinstance(day, int)
    try:
        return date(year, MONTHS.index(str(month)) + 1, day)
    except (ValueError, OverflowError):
        raise InvalidOperand("day", day, f"a day of {month} {year}") from None


def _nothing(document: Mapping[str, Any]) -> None:
    return None


# Lookups: the parts of a reading and of an operand -------------------------------------------------------------------


def _alone(value: Hashable) -> tuple[Hashable]:
    return (value,)


def _each(items: Iterable[Hashable]) -> Iterable[Hashable]:
    return items


_NO_LOOKUPS: Mapping[str, Lookup] = MappingProxyType({})
_EQUAL = MappingProxyType({"IS_EQUAL_TO": Lookup(_alone, _alone)})
_EQUAL_DAY = MappingProxyType({"EQUAL": Lookup(_alone, _alone)})
_ANY_OF = MappingProxyType({"IS_ANY_OF": Lookup(_each, _each)})


# Tests: (what was read of the property, operand) ------------------------------------------------------------------


def _negated(tests: Mapping[str, tuple[str, Test]]) -> dict[str, Test]:
    """Add to each positive operator its negative one as the opposite, so that exactly one of them holds for a value."""
    both: dict[str, Test] = {}
    for positive, (negative, test) in tests.items():
        both[positive] = test
        both[negative] = _opposite(test)
    return both


def _opposite(test: Test) -> Test:
    return lambda reading, operand: not test(reading, operand)


_NUMBER: dict[str, Test] = {
    **_negated({"IS_EQUAL_TO": ("IS_NOT_EQUAL_TO", lambda number, operand: number == operand)}),
    "IS_GREATER_THAN": lambda number, operand: number > operand,
    "IS_GREATER_THAN_OR_EQUAL_TO": lambda number, operand: number >= operand,
    "IS_LESS_THAN": lambda number, operand: number < operand,
    "IS_LESS_THAN_OR_EQUAL_TO": lambda number, operand: number <= operand,
}

_BETWEEN = _negated({"IS_BETWEEN": ("IS_NOT_BETWEEN", lambda reading, bounds: bounds[0] <= reading <= bounds[1])})

_BOOL = _negated({"IS_EQUAL_TO": ("IS_NOT_EQUAL_TO", lambda value, operand: value is operand)})

_ENUMERATION = _negated(
    {
        "IS_ANY_OF": ("IS_NONE_OF", lambda held, operands: not held.isdisjoint(operands)),
        "IS_EXACTLY": ("IS_NOT_EXACTLY", lambda held, operands: held == set(operands)),
        "CONTAINS_ALL": ("DOES_NOT_CONTAIN_ALL", lambda held, operands: held.issuperset(operands)),
    }
)

_DATETIME: dict[str, Test] = {
    "IS_EQUAL_TO": lambda instant, operand: instant == operand,
    "IS_BEFORE": lambda instant, operand: instant < operand,
    "IS_AFTER": lambda instant, operand: instant > operand,
    "IS_BEFORE_DATE": lambda instant, operand: date_of(instant) < date_of(operand),
    "IS_AFTER_DATE": lambda instant, operand: date_of(instant) > date_of(operand),
}

_DATE: dict[str, Test] = {
    "EQUAL": lambda day, operand: day == operand,
    "BEFORE": lambda day, operand: day < operand,
    "AFTER": lambda day, operand: day > operand,
}

_ALL_PROPERTY: dict[str, Test] = {
    "IS_KNOWN": lambda value, operand: True,
    "IS_NOT_BLANK": lambda value, operand: True,
    "IS_UNKNOWN": lambda value, operand: False,
    "IS_BLANK": lambda value, operand: False,
}

_EVER_EQUAL = frozenset({"HAS_EVER_BEEN_EQUAL_TO", "HAS_NEVER_BEEN_EQUAL_TO"})


def _type(
    name: str,
    keys: tuple[str, ...],
    operand: Callable[[Mapping[str, Any]], Any],
    read: Read,
    tests: Mapping[str, Test],
    *,
    history: frozenset[str] = frozenset(),
    on_events: frozenset[str] | None = None,
    lookups: Mapping[str, Lookup] = _NO_LOOKUPS,
) -> OperationType:
    return OperationType(
        name, keys, operand, read, MappingProxyType(dict(tests)), on_events or frozenset(tests), history, lookups
    )


def _text_types(read: Read, prepare: Callable[[str], str], equal: Callable[[str], str]) -> Iterable[OperationType]:
    """STRING and MULTISTRING, which follow one rule. ``prepare`` brings the text of an operand to what ``read`` returns
    of a value, and ``equal`` both to the form in which equality compares them."""

    def text(given: Mapping[str, Any]) -> Text:
        written = prepare(_value(given))
        return Text(written, equal(written))

    def texts(given: Mapping[str, Any]) -> Texts:
        written = tuple(dict.fromkeys(map(prepare, _values(given))))
        return Texts(written, tuple(dict.fromkeys(map(equal, written))))

    def form(reading: str) -> tuple[str]:
        return (equal(reading),)

    def separate(reading: str) -> set[str]:
        return {equal(part) for part in reading.split(SEPARATOR) if part.strip()}

    def single(operand: Text) -> tuple[str]:
        return (operand.equal,)

    def each(operand: Texts) -> tuple[str, ...]:
        return operand.equal

    string: dict[str, Test] = {
        **_negated(
            {
                "IS_EQUAL_TO": ("IS_NOT_EQUAL_TO", lambda text, operand: equal(text) == operand.equal),
                "CONTAINS": ("DOES_NOT_CONTAIN", lambda text, operand: operand.written in text),
            }
        ),
        "STARTS_WITH": lambda text, operand: text.startswith(operand.written),
        "ENDS_WITH": lambda text, operand: text.endswith(operand.written),
    }
    # Positive: any of the values; negative: none of them.
    multistring: dict[str, Test] = {
        **_negated(
            {
                "IS_EQUAL_TO": ("IS_NOT_EQUAL_TO", lambda text, operand: equal(text) in operand.equal),
                "CONTAINS": (
                    "DOES_NOT_CONTAIN",
                    lambda text, operand: any(single in text for single in operand.written),
                ),
                # "Exactly" compares each value in the property as a whole, not parts of the text.
                "CONTAINS_EXACTLY": (
                    "DOES_NOT_CONTAIN_EXACTLY",
                    lambda text, operand: not separate(text).isdisjoint(operand.equal),
                ),
            }
        ),
        "STARTS_WITH": lambda text, operand: text.startswith(operand.written),
        "ENDS_WITH": lambda text, operand: text.endswith(operand.written),
    }
    return (
        _type(
            "STRING",
            ("value",),
            text,
            read,
            string,
            history=_EVER_EQUAL | {"HAS_EVER_CONTAINED", "HAS_NEVER_CONTAINED"},
            lookups={"IS_EQUAL_TO": Lookup(form, single)},
        ),
        _type(
            "MULTISTRING",
            ("values",),
            texts,
            read,
            multistring,
            history=_EVER_EQUAL,
            lookups={"IS_EQUAL_TO": Lookup(form, each), "CONTAINS_EXACTLY": Lookup(separate, each)},
        ),
    )


def _enumeration(read: Read, options: Callable[[Mapping[str, Any]], tuple[str, ...]]) -> OperationType:
    return _type(
        "ENUMERATION",
        ("values",),
        options,
        read,
        _ENUMERATION,
        history=frozenset(
            f"HAS_{ever}_{form}"
            for ever in ("EVER", "NEVER")
            for form in ("BEEN_ANY_OF", "BEEN_EXACTLY", "CONTAINED_ALL")
        ),
        on_events=frozenset({"IS_ANY_OF", "IS_NONE_OF"}),
        lookups=_ANY_OF,
    )


OPERATION_TYPES: Mapping[str, OperationType] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            _type("ALL_PROPERTY", (), _nothing, lambda value: value, _ALL_PROPERTY),
            *_text_types(values.read_text, fold, str.strip),
            _type(
                "NUMBER",
                ("value",),
                _number("value"),
                values.read_number,
                _NUMBER,
                history=_EVER_EQUAL,
                lookups=_EQUAL,
            ),
            _type("NUMBER_RANGED", ("lowerBound", "upperBound"), _range(_number), values.read_number, _BETWEEN),
            _type("BOOL", ("value",), _bool, values.read_bool, _BOOL, history=_EVER_EQUAL, lookups=_EQUAL),
            _enumeration(values.read_options, _options),
            _type("DATETIME", ("timestamp",), _instant("timestamp"), values.read_instant, _DATETIME, lookups=_EQUAL),
            _type("DATE", ("year", "month", "day"), _date, values.read_date, _DATE, lookups=_EQUAL_DAY),
            _type("RANGED_DATE", ("lowerBound", "upperBound"), _range(_instant), values.read_instant, _BETWEEN),
        )
    }
)


def _url_types(part: UrlPart) -> Mapping[str, OperationType]:
    """Return the operation types that compare text, for a property that holds this part of a URL."""
    equal = equal_form(part)

    def prepare(text: str) -> str:
        return as_compared(part, text)

    def read(value: Value) -> str:
        return as_compared(part, values.as_text(value))

    def forms(texts: Iterable[str]) -> Iterable[str]:
        return (equal(prepare(text)) for text in texts if text.strip())

    def read_options(value: Value) -> frozenset[str]:
        return frozenset(forms(value if isinstance(value, list) else values.as_text(value).split(SEPARATOR)))

    def options(document: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(forms(_options(document))))

    types = (*_text_types(read, prepare, equal), _enumeration(read_options, options))
    return MappingProxyType({kind.name: kind for kind in types})


URL_OPERATION_TYPES: Mapping[UrlPart, Mapping[str, OperationType]] = MappingProxyType(
    {part: _url_types(part) for part in UrlPart}
)

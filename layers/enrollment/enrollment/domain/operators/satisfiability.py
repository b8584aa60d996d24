"""Find operations that no value of a property can satisfy together.

The operators themselves are evaluated on candidate values, so this module has no second definition of their meaning.
The candidates represent all values: for each kind of operation, a value that is not a candidate gives the same results
as a candidate. Where that is not known, the answer is that the operations can hold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise, product
from types import MappingProxyType
from typing import Any

from enrollment.domain.operators.property_operators import ACCEPT_MISSING, OPERATION_TYPES, Operation
from enrollment.domain.values import EPOCH, LATEST, SEPARATOR, Value, date_of

DAY_MS = 24 * 3600 * 1000

# They bound the time of a check. Beyond them, the answer is that the operations can hold. MAX_COMPARISONS: candidates
# multiplied by operands.
MAX_CANDIDATES = 3_000
MAX_COMPARISONS = 300_000
MAX_DIGITS = 12

_Accepts = Callable[[Operation], bool]


def can_hold(operations: Sequence[Operation], *, is_single: bool = False) -> bool:
    """Whether a value, or a missing value, can satisfy all operations on a property. True if this is not known.

    ``is_single``: the property never has several options at once.
    """
    if all(operation.accepts_missing for operation in operations):
        return True
    if any(operation.operator in ACCEPT_MISSING for operation in operations):
        return False  # one needs a missing value, and another rejects it
    kinds: dict[str, list[Operation]] = {}
    for operation in operations:
        kinds.setdefault(_KINDS.get(operation.type.name, ""), []).append(operation)
    # A value of one kind can be read as another: "5" is a text and a number. So each kind is examined for itself.
    if is_single and all(operation.type.name == "ENUMERATION" for operation in kinds.get("text", [])):
        kinds["option"] = kinds.pop("text", [])
    return all(_some_value_holds(kind, same_kind) for kind, same_kind in kinds.items() if same_kind)


def _some_value_holds(kind: str, operations: Sequence[Operation]) -> bool:
    candidates = _CANDIDATES[kind](operations) if kind in _CANDIDATES else None
    if candidates is None or len(candidates) * sum(map(_size, operations)) > MAX_COMPARISONS:
        return True
    return any(all(accepts(operation) for operation in operations) for accepts in candidates)


def _size(operation: Operation) -> int:
    """The number of texts in the operand of a text operation; 1 for other operations."""
    if operation.type.name == "ENUMERATION":
        return len(operation.operand)
    return len(operation.operand.equal) if operation.type.name == "MULTISTRING" else 1


def _accepting_value(value: Value) -> _Accepts:
    return lambda operation: operation.holds(value)


# Numbers and times: the results change only at the operands -----------------------------------------------------------


def _numbers(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    """The operands, a number between each two, one below and one above all."""
    points = sorted({point for operation in operations for point in _operands(operation.operand)})
    if any(len(point.as_tuple().digits) > MAX_DIGITS or abs(point.adjusted()) > MAX_DIGITS for point in points):
        return None  # the numbers between them might not be exact
    between = [(low + high) / 2 for low, high in pairwise(points)]
    return [_accepting_reading(number) for number in (points[0] - 1, *points, *between, points[-1] + 1)]


def _accepting_reading(reading: Decimal) -> _Accepts:
    return lambda operation: operation.accepts(reading)


def _times(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    """The instants at which a result can change, and their neighbors: operands, and the ends of their days in UTC."""
    changes: set[int] = set()
    for operation in operations:
        for operand in _operands(operation.operand):
            day = date_of(operand) if isinstance(operand, int) else operand
            start = (day - EPOCH.date()).days * DAY_MS
            changes |= {start, start + DAY_MS}
            changes |= {operand} if isinstance(operand, int) else set()
    instants = sorted({change + step for change in changes for step in (-1, 0, 1)})
    return [_accepting_value(instant) for instant in instants if abs(instant) <= LATEST]


def _operands(operand: Any) -> tuple[Any, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _bools(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    return [_accepting_value("true"), _accepting_value("false")]


# Texts --------------------------------------------------------------------------------------------------------------

# Operators that compare the text as it is written, not in the form of equality.
_AS_WRITTEN = frozenset({"CONTAINS", "DOES_NOT_CONTAIN", "STARTS_WITH", "ENDS_WITH"})


def _texts(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    equality = next((operation for operation in operations if operation.operator == "IS_EQUAL_TO"), None)
    if equality is not None:
        return _equal_texts(equality, operations)
    if all(operation.type.name == "ENUMERATION" for operation in operations):
        return _sets_of_options(operations)
    if any(operation.type.name == "ENUMERATION" for operation in operations):
        return None
    return _composed_texts(operations)


def _equal_texts(equality: Operation, operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    """The operands of an equality, if no other text gives other results."""
    as_written = [operation for operation in operations if operation.operator in _AS_WRITTEN]
    # Texts with blanks at the ends, and several notations of a URL, are equal to the operand.
    is_plain = all(operation.type is OPERATION_TYPES[operation.type.name] for operation in operations)
    texts = [text for operation in as_written for text in _texts_of(operation, written=True)]
    if as_written and not (is_plain and all(text == text.strip() for text in texts)):
        return None
    # A blank operand equals a value of blanks. An empty value would be missing.
    return [_accepting_value(text or " ") for text in _texts_of(equality, written=False)]


_OTHER_OPTION = "\ue000"


def _single_options(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    named = dict.fromkeys(option for operation in operations for option in operation.operand)
    return [_accepting_value([option]) for option in (*named, _OTHER_OPTION)]


def _sets_of_options(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    """Sets of options, with and without an option that no operation names.

    Options that the same operations name are interchangeable. An operation depends only on whether the property has
    none of them, some, or all.
    """
    named_by: dict[str, list[int]] = {}
    for index, operation in enumerate(operations):
        for option in operation.operand:
            named_by.setdefault(option, []).append(index)
    groups: dict[tuple[int, ...], list[str]] = {}
    for option, indexes in named_by.items():
        groups.setdefault(tuple(indexes), []).append(option)
    choices = [[[], options[:1], options] if len(options) > 1 else [[], options] for options in groups.values()]
    if len(choices) > 8 or 2 * 3 ** len(choices) > MAX_CANDIDATES:
        return None
    return [
        _accepting_value([*(option for part in chosen for option in part), *more])
        for chosen in product(*choices)
        for more in ([], [_OTHER_OPTION])
    ]


def _composed_texts(operations: Sequence[Operation]) -> Sequence[_Accepts] | None:
    """For each choice of the operands, the text that has them and nothing else that an operand names."""
    by_operator: dict[str, list[Sequence[str]]] = {}
    for operation in operations:
        by_operator.setdefault(operation.operator, []).append(_texts_of(operation, written=True))
    every_text = [text for texts in by_operator.values() for operands in texts for text in operands]
    exact = by_operator.get("CONTAINS_EXACTLY", [])
    forbidden = [text for operands in by_operator.get("DOES_NOT_CONTAIN", []) for text in operands]
    if exact and any(SEPARATOR in text for text in forbidden):
        return None
    starts, parts, ends = (by_operator.get(name, []) for name in ("STARTS_WITH", "CONTAINS", "ENDS_WITH"))
    lengths = [len(operands) for operands in (*starts, *parts, *ends, *exact)]
    if _product(lengths) > MAX_CANDIDATES:
        return None
    filler = next(chr(code) for code in range(0xE000, 0xF8FF) if not any(chr(code) in text for text in every_text))
    return [
        _accepting_value(_compose(filler, *chosen))
        for chosen in product(product(*starts), product(*parts), product(*ends), product(*exact))
    ]


def _compose(
    filler: str, starts: Sequence[str], parts: Sequence[str], ends: Sequence[str], exact: Sequence[str]
) -> str:
    first = max(starts, key=len, default="") + filler.join(("", *parts, ""))
    last = filler + max(ends, key=len, default="")
    return SEPARATOR.join((first, *exact, last)) if exact else first + last


def _product(lengths: Iterable[int]) -> int:
    result = 1
    for length in lengths:
        result *= length
    return result


def _texts_of(operation: Operation, *, written: bool) -> Sequence[str]:
    """The texts of the operand, as written or in the form of equality."""
    texts = operation.operand.written if written else operation.operand.equal
    return (texts,) if isinstance(texts, str) else tuple(texts)


_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "ALL_PROPERTY": "any",
        **dict.fromkeys(("NUMBER", "NUMBER_RANGED"), "number"),
        **dict.fromkeys(("DATETIME", "DATE", "RANGED_DATE"), "time"),
        "BOOL": "bool",
        **dict.fromkeys(("STRING", "MULTISTRING", "ENUMERATION"), "text"),
    }
)

_CANDIDATES: Mapping[str, Callable[[Sequence[Operation]], Sequence[_Accepts] | None]] = MappingProxyType(
    {"number": _numbers, "time": _times, "bool": _bools, "text": _texts, "option": _single_options}
)

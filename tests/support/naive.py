"""A second evaluator of criteria, written from docs/flows.md alone. It reads the flow's JSON and a plain history of the
record, value by value, and shares no code with the product's evaluator."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

Story = Mapping[str, Sequence[tuple[int, Any]]]
"""By property, pairs of (time of change, value) in any order. All times are different."""


class Naive:
    def __init__(self, story: Story, lists: Story, at: int, zone: str) -> None:
        self.history = {
            name_of(name): [value for when, value in sorted(changes, key=lambda change: change[0]) if when <= at]
            for name, changes in story.items()
        }
        self.times = {
            name_of(name): [when for when, _ in sorted(changes, key=lambda change: change[0]) if when <= at]
            for name, changes in story.items()
        }
        self.lists = {
            name_of(name)
            for name, changes in lists.items()
            if [change for change in sorted(changes) if change[0] <= at][-1:]
            and [change for change in sorted(changes) if change[0] <= at][-1][1]
        }
        self.at, self.zone = at, ZoneInfo(zone)

    def passes(self, branch: Mapping[str, Any]) -> bool:
        if branch["filterBranchType"] == "OR":
            return any(self.passes(filter_branch) for filter_branch in branch["filterBranches"])
        return all(self.filter(filter_) for filter_ in branch["filters"])

    def filter(self, filter_: Mapping[str, Any]) -> bool:
        if filter_["filterType"] == "IN_LIST":
            return (name_of(filter_["listId"]) in self.lists) == (filter_["operator"] == "IN_LIST")
        return self.operation(name_of(filter_["property"]), filter_["operation"])

    def value(self, name: str) -> Any:
        history = self.history.get(name, [])
        return history[-1] if history else None

    def operation(self, name: str, operands: Mapping[str, Any]) -> bool:
        kind, operator = operands["operationType"], operands["operator"]
        include = operands.get("includeObjectsWithNoValueSet", False)
        if operator.startswith("HAS_"):
            values = [value for value in self.history.get(name, []) if value not in (None, "", [])]
            if not values:
                return include
            never = operator.startswith("HAS_NEVER_")
            positive = {
                "BEEN_EQUAL_TO": "IS_EQUAL_TO", "CONTAINED": "CONTAINS", "BEEN_ANY_OF": "IS_ANY_OF",
                "BEEN_EXACTLY": "IS_EXACTLY", "CONTAINED_ALL": "CONTAINS_ALL",
            }[operator[len("HAS_NEVER_" if never else "HAS_EVER_"):]]  # fmt: skip
            return never != any(self.test(kind, positive, value, operands) for value in values)
        value = self.value(name)
        if value in (None, "", []):
            return include or operator in ("IS_UNKNOWN", "IS_BLANK")
        if kind == "ROLLING_PROPERTY_UPDATED":
            recent = self.day(self.since(name)) > self.today() - timedelta(days=operands["numberOfDays"])
            return recent == (operator == "UPDATED_IN_LAST_X_DAYS")
        if kind == "COMPARATIVE_PROPERTY_UPDATED":
            if self.value(name_of(operands["comparisonPropertyName"])) in (None, "", []):
                return False
            mine, theirs = self.since(name), self.since(name_of(operands["comparisonPropertyName"]))
            return mine < theirs if operator == "IS_BEFORE" else mine > theirs
        if kind in ("COMPARATIVE_STRING", "COMPARATIVE_DATE"):
            other = self.value(name_of(operands["comparisonPropertyName"]))
            other = operands.get("defaultComparisonValue") if other in (None, "", []) else other
            if other in (None, "", []):
                return False
            if kind == "COMPARATIVE_STRING":
                return self.test("STRING", operator, value, {"value": other})
            return self.test("DATETIME", operator, value, {"timestamp": moment(other)})
        return self.test(kind, operator, value, operands)

    def since(self, name: str) -> int:
        """Return the time since which the value is the current one."""
        written = ["" if value is None else written_as(value) for value in self.history[name]]
        first = max((number + 1 for number, value in enumerate(written) if value != written[-1]), default=0)
        return self.times[name][first]

    def today(self) -> date:
        return self.day(self.at)

    def day(self, instant: int) -> date:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).astimezone(self.zone).date()

    def test(self, kind: str, operator: str, value: Any, operands: Mapping[str, Any]) -> bool:
        if kind == "ALL_PROPERTY":
            return operator in ("IS_KNOWN", "IS_NOT_BLANK")
        if kind in ("STRING", "MULTISTRING"):
            wanted = (
                [text(operand) for operand in operands["values"]]
                if kind == "MULTISTRING"
                else [text(operands["value"])]
            )
            found, parts = text(value), [part.strip() for part in text(value).split(";") if part.strip()]
            answers = {
                "IS_EQUAL_TO": any(found.strip() == operand.strip() for operand in wanted),
                "CONTAINS": any(operand in found for operand in wanted),
                "STARTS_WITH": any(found.startswith(operand) for operand in wanted),
                "ENDS_WITH": any(found.endswith(operand) for operand in wanted),
                "CONTAINS_EXACTLY": any(operand.strip() in parts for operand in wanted),
            }
            negatives = {
                "IS_NOT_EQUAL_TO": "IS_EQUAL_TO", "DOES_NOT_CONTAIN": "CONTAINS",
                "DOES_NOT_CONTAIN_EXACTLY": "CONTAINS_EXACTLY",
            }  # fmt: skip
            return not answers[negatives[operator]] if operator in negatives else answers[operator]
        if kind in ("NUMBER", "NUMBER_RANGED"):
            number = numeral(value)
            if number is None:
                return False
            if kind == "NUMBER_RANGED":
                between = Decimal(str(operands["lowerBound"])) <= number <= Decimal(str(operands["upperBound"]))
                return between == (operator == "IS_BETWEEN")
            other = Decimal(str(operands["value"]))
            return {
                "IS_EQUAL_TO": number == other, "IS_NOT_EQUAL_TO": number != other,
                "IS_GREATER_THAN": number > other, "IS_GREATER_THAN_OR_EQUAL_TO": number >= other,
                "IS_LESS_THAN": number < other, "IS_LESS_THAN_OR_EQUAL_TO": number <= other,
            }[operator]  # fmt: skip
        if kind == "BOOL":
            truth, wanted_truth = truth_of(value), truth_of(operands["value"])
            return truth is not None and (truth == wanted_truth) == (operator == "IS_EQUAL_TO")
        if kind == "ENUMERATION":
            held = {part.strip() for part in text(value).split(";") if part.strip()}
            wanted_options = {text(operand) for operand in operands["values"]}
            positive, answer = {
                "IS_ANY_OF": (True, bool(held & wanted_options)), "IS_NONE_OF": (False, bool(held & wanted_options)),
                "IS_EXACTLY": (True, held == wanted_options), "IS_NOT_EXACTLY": (False, held == wanted_options),
                "CONTAINS_ALL": (True, wanted_options <= held),
                "DOES_NOT_CONTAIN_ALL": (False, wanted_options <= held),
            }[operator]  # fmt: skip
            return answer == positive
        instant = moment(value)
        if instant is None:
            return False
        if kind == "DATETIME":
            other_instant = operands["timestamp"]
            if other_instant is None:
                return False
            days = [
                (datetime(1970, 1, 1) + timedelta(milliseconds=since_epoch)).date()
                for since_epoch in (instant, other_instant)
            ]
            return {
                "IS_EQUAL_TO": instant == other_instant, "IS_BEFORE": instant < other_instant,
                "IS_AFTER": instant > other_instant, "IS_BEFORE_DATE": days[0] < days[1],
                "IS_AFTER_DATE": days[0] > days[1],
            }[operator]  # fmt: skip
        if kind == "RANGED_DATE":
            return (operands["lowerBound"] <= instant <= operands["upperBound"]) == (operator == "IS_BETWEEN")
        day = self.day(instant)
        if instant % 86_400_000 == 0:
            day = (datetime(1970, 1, 1) + timedelta(milliseconds=instant)).date()
        if kind == "ROLLING_DATE_RANGE":
            days_ago = (self.today() - day).days
            return {
                "IS_LESS_THAN_X_DAYS_AGO": 0 <= days_ago < operands["numberOfDays"],
                "IS_MORE_THAN_X_DAYS_AGO": days_ago > operands["numberOfDays"],
                "IS_LESS_THAN_X_DAYS_FROM_NOW": 0 <= -days_ago < operands["numberOfDays"],
                "IS_MORE_THAN_X_DAYS_FROM_NOW": -days_ago > operands["numberOfDays"],
            }[operator]
        assert kind == "CALENDAR_DATE"
        mine, now = unit_number(day, operands["timeUnit"]), unit_number(self.today(), operands["timeUnit"])
        is_whole_day = instant % 86_400_000 == 0
        has_been = day < self.today() or instant <= self.at or (is_whole_day and day == self.today())
        count = operands.get("timeUnitCount", 1)
        return {
            "IN_THIS_TIME_UNIT": mine == now,
            "IN_THIS_TIME_UNIT_SO_FAR": mine == now and has_been,
            "IN_LAST_TIME_UNIT": now - count <= mine < now,
            "IN_LAST_TIME_UNIT_SO_FAR": now - count <= mine <= now and has_been,
            "IN_NEXT_TIME_UNIT": now < mine <= now + count,
        }[operator]


def unit_number(day: date, unit: str) -> int:
    """Return the number of the calendar unit, so that adjacent units differ by one."""
    return {
        "DAY": day.toordinal(),
        "WEEK": (day.toordinal() - 1) // 7,
        "MONTH": day.year * 12 + day.month,
        "QUARTER": day.year * 4 + (day.month - 1) // 3,
        "YEAR": day.year,
    }[unit]


def name_of(written: Any) -> str:
    return text(written).strip()


def written_as(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def text(value: Any) -> str:
    written = written_as(value)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", written).casefold())


def truth_of(value: Any) -> bool | None:
    written = text(value).strip()
    if written in ("true", "yes", "1", "on"):
        return True
    return False if written in ("false", "no", "0", "off") else None


def numeral(value: Any) -> Decimal | None:
    if isinstance(value, bool | list):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def moment(value: Any) -> int | None:
    if isinstance(value, bool | list):
        return None
    written = str(value).strip()
    if written.lstrip("-").isdigit():
        return int(written)
    if isinstance(value, float):
        return int(value) if value == int(value) else None
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

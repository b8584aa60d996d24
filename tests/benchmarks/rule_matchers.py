"""Published rule matchers, on rules that all of them can express: one of several ids, a text, a number. Each matcher is
used as its documentation describes, in the fastest way that we found, and must find the same flows as the index."""

import json
import random
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.property_operators import operation
from tests.benchmarks.workload import COUNTRIES

EVENT_TYPE = "calls.ended"
FLOWS = 1_000
EVENTS = 2_000
RUNS = 5

PlainEvent = Mapping[str, str | int]
Matcher = Callable[[PlainEvent], Collection[str]]


@dataclass(frozen=True)
class Rule:
    """``country``, ``seconds``: None means any value. The number of seconds must be exceeded."""

    id: str
    forms: Sequence[str]
    country: str | None
    seconds: int | None

    def joined(self, either: str, also: str) -> str:
        """Return the rule as an expression in the syntax of most matchers. ``either``: the template of "the form is one
        of a list"."""
        parts = [either.format(json.dumps(self.forms))]
        parts += [f'country == "{self.country}"'] if self.country else []
        parts += [f"seconds > {self.seconds}"] if self.seconds is not None else []
        return also.join(parts)


@dataclass(frozen=True)
class Measured:
    name: str
    way: str
    microseconds: float


def measure() -> Sequence[Measured]:
    rules, events = _rules_and_events()
    flows = [_flow(rule) for rule in rules]
    index = TriggerIndex(EVENT_TYPE, flows)

    def evaluate_each(event: PlainEvent) -> Collection[str]:
        return [flow.id for flow in flows if any(group.failure(event) is None for group in flow.groups)]

    matchers: Sequence[tuple[str, str, Matcher]] = [
        ("the index", "index", lambda event: [satisfied.flow.id for satisfied in index.matching(event)]),
        ("naive evaluation", "each flow is evaluated", evaluate_each),
        *((f"{name} {version(name)}", way, make(rules)) for name, way, make in OTHERS),
    ]
    expected = [sorted(evaluate_each(event)) for event in events]
    for name, _, matches in matchers:
        for event, ids in zip(events[:200], expected, strict=False):
            assert sorted(matches(event)) == ids, f"{name} finds others"
    return [Measured(name, way, _microseconds(matches, events)) for name, way, matches in matchers]


def _microseconds(matches: Matcher, events: Sequence[PlainEvent]) -> float:
    """Return the median of several runs. Slow matchers get fewer events."""
    started = time.process_time()
    for event in events[:20]:
        matches(event)
    few = events[: max(20, min(len(events), int(20 / max(time.process_time() - started, 1e-6))))]
    runs = []
    for _ in range(RUNS):
        started = time.process_time()
        for event in few:
            matches(event)
        runs.append((time.process_time() - started) / len(few) * 1e6)
    return statistics.median(runs)


def _rules_and_events() -> tuple[Sequence[Rule], Sequence[PlainEvent]]:
    dice = random.Random("rules")
    forms = [f"form-{dice.getrandbits(64):016x}" for _ in range(round(FLOWS * 0.25))]
    rules = [
        Rule(
            str(number),
            dice.sample(forms, dice.choices((1, 2, 3), (70, 20, 10))[0]),
            dice.choice(COUNTRIES) if dice.random() < 0.2 else None,
            dice.choice((30, 60, 300)) if dice.random() < 0.4 else None,
        )
        for number in range(FLOWS)
    ]
    events = [
        {"form": dice.choice(forms), "country": dice.choice(COUNTRIES), "seconds": dice.randrange(3_600)}
        for _ in range(EVENTS)
    ]
    return rules, events


def _flow(rule: Rule) -> Flow:
    conditions = [("form", {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": list(rule.forms)})]
    if rule.country:
        conditions.append(("country", {"operationType": "STRING", "operator": "IS_EQUAL_TO", "value": rule.country}))
    if rule.seconds is not None:
        conditions.append(
            ("seconds", {"operationType": "NUMBER", "operator": "IS_GREATER_THAN", "value": rule.seconds})
        )
    group = TriggerGroup(
        0, EVENT_TYPE, None, tuple(PropertyFilter(name, operation(operands)) for name, operands in conditions)
    )
    return Flow("acme", rule.id, "", "0-1", "1", True, 0, 0, True, (group,))


def _durable_rules(rules: Sequence[Rule]) -> Matcher:
    from durable.engine import MessageNotHandledException
    from durable.lang import assert_fact, m, retract_fact, ruleset, when_all

    found: list[str] = []

    def satisfied(rule_id: str) -> Callable[[object], None]:
        return lambda _: found.append(rule_id)

    with ruleset("flows"):
        for rule in rules:
            condition = m.form == rule.forms[0]
            for form in rule.forms[1:]:
                condition = condition | (m.form == form)
            if rule.country:
                condition = condition & (m.country == rule.country)
            if rule.seconds is not None:
                condition = condition & (m.seconds > rule.seconds)
            when_all(condition)(satisfied(rule.id))

    def matches(event: PlainEvent) -> Collection[str]:
        found.clear()
        # A fact, because the first rule that an event satisfies consumes the event.
        try:
            assert_fact("flows", event)
        except MessageNotHandledException:
            return []
        retract_fact("flows", event)
        return found

    return matches


def _common_expression_language(rules: Sequence[Rule]) -> Matcher:
    import cel

    programs = [(rule.id, cel.compile(rule.joined("form in {}", " && ")).execute) for rule in rules]

    def matches(event: PlainEvent) -> Collection[str]:
        context = cel.Context(variables=dict(event))
        return [rule_id for rule_id, execute in programs if execute(context)]

    return matches


def _zen_expressions(rules: Sequence[Rule]) -> Matcher:
    import zen

    expressions = [(rule.id, zen.compile_expression(rule.joined("form in {}", " and ")).evaluate) for rule in rules]
    return lambda event: [rule_id for rule_id, evaluate in expressions if evaluate(event)]


def _zen_table(rules: Sequence[Rule]) -> Matcher:
    import zen

    rows = [
        {
            "_id": rule.id,
            "form": ", ".join(json.dumps(form) for form in rule.forms),
            "country": json.dumps(rule.country) if rule.country else "",
            "seconds": f"> {rule.seconds}" if rule.seconds is not None else "",
            "flow": json.dumps(rule.id),
        }
        for rule in rules
    ]
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": name, "name": name, "field": name} for name in ("form", "country", "seconds")],
        "outputs": [{"id": "flow", "name": "flow", "field": "flow"}],
        "rules": rows,
    }
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "table", "type": "decisionTableNode", "name": "table", "content": table},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    edges = [
        {"id": f"{source}-{target}", "type": "edge", "sourceId": source, "targetId": target}
        for source, target in (("in", "table"), ("table", "out"))
    ]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    return lambda event: [result["flow"] for result in decision.evaluate(event)["result"]]


def _clipspy(rules: Sequence[Rule]) -> Matcher:
    import clips

    environment = clips.Environment()
    environment.build("(deftemplate event (slot form) (slot country) (slot seconds))")
    found: list[str] = []
    environment.define_function(found.append, name="found")
    for rule in rules:
        slots = [f"(form {'|'.join(json.dumps(form) for form in rule.forms)})"]
        slots += [f'(country "{rule.country}")'] if rule.country else []
        slots += [f"(seconds ?s&:(> ?s {rule.seconds}))"] if rule.seconds is not None else []
        environment.build(f'(defrule flow-{rule.id} (event {" ".join(slots)}) => (found "{rule.id}"))')
    template = environment.find_template("event")

    def matches(event: PlainEvent) -> Collection[str]:
        found.clear()
        fact = template.assert_fact(**event)
        environment.run()
        fact.retract()
        return found

    return matches


def _rule_engine(rules: Sequence[Rule]) -> Matcher:
    import rule_engine

    made = [(rule.id, rule_engine.Rule(rule.joined("form in {}", " and ")).matches) for rule in rules]
    return lambda event: [rule_id for rule_id, holds in made if holds(event)]


# The name of the package, its method, and a function that builds its matcher from the rules.
OTHERS: Sequence[tuple[str, str, Callable[[Sequence[Rule]], Matcher]]] = (
    ("durable-rules", "Rete network, C", _durable_rules),
    ("common-expression-language", "each compiled expression, Rust", _common_expression_language),
    ("zen-engine", "each compiled expression, Rust", _zen_expressions),
    ("zen-engine", "decision table, Rust", _zen_table),
    ("clipspy", "Rete network, C", _clipspy),
    ("rule-engine", "each compiled rule, Python", _rule_engine),
)

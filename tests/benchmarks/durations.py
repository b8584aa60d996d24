"""The duration of a function for an event, from measured CPU time and assumed waiting times."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from enroll.local.deployment import load_template
from tests.benchmarks.counts import Kind

TEMPLATE = load_template(Path(__file__).parents[2] / "template.yaml")
MEMORY_MB: int = TEMPLATE["Globals"]["Function"]["MemorySize"]

# With this much memory a function has one full processor, by AWS's documentation; with less memory a part of it.
MB_OF_A_PROCESSOR = 1769

# Milliseconds, assumed: by its documentation DynamoDB answers "in single-digit milliseconds", the others take somewhat
# longer. These are not measured: the dashboard of a deployment shows the real durations.
WAITS: Mapping[str, float] = {"DynamoDB": 5, "SQS": 10, "EventBridge": 15}
SERVICES = {"SendMessageBatch": "SQS", "SendMessage": "SQS", "PutEvents": "EventBridge"}


def processor_share(memory_mb: int = MEMORY_MB) -> float:
    return min(memory_mb / MB_OF_A_PROCESSOR, 1)


def waits_ms(calls: Mapping[str, int]) -> float:
    """Return the waiting time of calls that are made one after the other."""
    return sum(count * WAITS[SERVICES.get(call, "DynamoDB")] for call, count in calls.items())


def duration_ms(kind: Kind) -> float:
    return kind.cpu_ms / processor_share() + waits_ms(kind.calls)


def batch_ms(kinds: Sequence[Kind]) -> float:
    """Return the duration of events that one processor handles at the same time."""
    return sum(kind.cpu_ms for kind in kinds) / processor_share() + max(waits_ms(kind.calls) for kind in kinds)

"""Fair queues of SQS, which MiniStack lacks. `embedded_aws.py` installs them.

The group of a message is its tenant. According to AWS's documentation, a group is noisy if it has more than a tenth of
all messages in flight, and at least 30. Messages of other groups are delivered first, then those of the noisy group
with the fewest messages in flight. AWS says that its thresholds are approximate. It also considers the processing time
of consumers, which is not emulated.

This file runs in MiniStack's environment: it imports nothing of this project.
"""

import json
import time
from collections import Counter
from typing import Any

from ministack.services import eventbridge, lambda_svc, sqs

NOISY_SHARE = 0.1
NOISY_MESSAGES = 30

_collect = sqs._collect_msgs
_dispatch = eventbridge._dispatch_to_sqs
_concurrency = lambda_svc._sqs_esm_concurrency


def noisy(messages: list[dict[str, Any]], now: float) -> dict[str, int]:
    """Return the noisy groups with their numbers of messages in flight. `now`: epoch seconds."""
    in_flight = Counter(
        message.get("group_id") for message in messages if message["receipt_handle"] and message["visible_at"] > now
    )
    least = max(NOISY_MESSAGES, NOISY_SHARE * in_flight.total())
    return {group: count for group, count in in_flight.items() if group is not None and count >= least}


def collect(queue: dict[str, Any], most: int, visibility_timeout: int) -> Any:
    """Return the next messages of a queue. The caller has the lock of all queues."""
    if not queue["is_fifo"] and (noisy_groups := noisy(queue["messages"], time.time())):
        queue["messages"].sort(key=lambda message: noisy_groups.get(message.get("group_id"), 0))
    return _collect(queue, most, visibility_timeout)


def dispatch(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
    """Send the event of a rule to a queue, with its group.

    Takes the lock of the queues: without it, MiniStack loses messages that are sent during a deletion.
    """
    with sqs._queues_lock:
        _dispatch(spec, payload, parameters)
        queue, path = sqs._queue_by_arn(str(spec)), (parameters or {}).get("MessageGroupId", "")
        if queue and not queue["is_fifo"] and path:
            queue["messages"][-1]["group_id"] = value_at(path, json.loads(payload))


def value_at(path: str, event: Any) -> str | None:
    """Return the text at a JSON path of EventBridge, or None. Text that is not a path is the value itself."""
    if not path.startswith("$."):
        return path
    for key in path.split(".")[1:]:
        event = event.get(key) if isinstance(event, dict) else None
    return event if isinstance(event, str) else None


def concurrency(mapping: dict[str, Any], *rest: Any) -> Any:
    """Return how many batches of a mapping run at once. Template parameters arrive as text and become numbers here."""
    scaling = {name: int(value) for name, value in mapping.get("ScalingConfig", {}).items()}
    return _concurrency({**mapping, "ScalingConfig": scaling}, *rest)


def install() -> None:
    sqs._collect_msgs = collect
    eventbridge._dispatch_to_sqs = dispatch
    lambda_svc._sqs_esm_concurrency = concurrency

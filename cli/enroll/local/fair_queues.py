"""The fair queues of SQS, which MiniStack does not have; `embedded_aws.py` installs them.

A message's group is its tenant. By AWS's documentation one that has more than a tenth of all messages in flight, and at
least 30, is noisy; while it is, the messages of the others are handed out first, and of several noisy ones those of the
one with the fewest in flight. AWS says that its thresholds are approximate, and looks at the time that consumers take
as well, which is not done here.

Runs in MiniStack's own environment: it imports nothing of this project.
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
    """The noisy groups, with how many messages of each are in flight."""
    in_flight = Counter(one.get("group_id") for one in messages if one["receipt_handle"] and one["visible_at"] > now)
    least = max(NOISY_MESSAGES, NOISY_SHARE * in_flight.total())
    return {group: count for group, count in in_flight.items() if group is not None and count >= least}


def collect(queue: dict[str, Any], most: int, visibility_timeout: int) -> Any:
    """The next messages of a queue. Called under the lock of all queues."""
    if not queue["is_fifo"] and (loud := noisy(queue["messages"], time.time())):
        queue["messages"].sort(key=lambda one: loud.get(one.get("group_id"), 0))
    return _collect(queue, most, visibility_timeout)


def dispatch(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
    """A rule's event to a queue, with its group. Under the lock, without which MiniStack loses what is sent while it
    deletes."""
    with sqs._queues_lock:
        _dispatch(spec, payload, parameters)
        queue, path = sqs._queue_by_arn(str(spec)), (parameters or {}).get("MessageGroupId", "")
        if queue and not queue["is_fifo"] and path:
            queue["messages"][-1]["group_id"] = value_at(path, json.loads(payload))


def value_at(path: str, event: Any) -> str | None:
    """Of a JSON path as EventBridge takes it; what is no path is the value itself."""
    if not path.startswith("$."):
        return path
    for key in path.split(".")[1:]:
        event = event.get(key) if isinstance(event, dict) else None
    return event if isinstance(event, str) else None


def concurrency(mapping: dict[str, Any], *rest: Any) -> Any:
    """Batches of a mapping at once. A number that is a parameter of a template comes to it as a text."""
    scaling = {name: int(value) for name, value in mapping.get("ScalingConfig", {}).items()}
    return _concurrency({**mapping, "ScalingConfig": scaling}, *rest)


def install() -> None:
    sqs._collect_msgs = collect
    eventbridge._dispatch_to_sqs = dispatch
    lambda_svc._sqs_esm_concurrency = concurrency

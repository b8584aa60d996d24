"""Rate limits of flows in DynamoDB. Conditional updates move a number, the horizon (``domain.flows.rate_limit``)."""

from enrollment.adapters.backoff import attempts
from enrollment.adapters.dynamodb.schema import RATE_LIMIT
from enrollment.adapters.dynamodb.tables import Expression, Tables
from enrollment.application.ports import Throttled
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant


class DynamoRateLimits:
    """The port RateLimits (``application.ports``)."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.enrollments

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        """Reserve the next entry of a flow, and return its time, which is ``now`` or later. Raises Throttled."""
        now_us = now * 1_000
        # The partition key has four parts and that of a record three, so it cannot be the key of an enrollment. A
        # flow has a horizon for each rate limit that it has had, because a horizon has no meaning for another limit.
        key = (join(RATE_LIMIT, portal_id, flow_id, ""), join(str(limit.count), str(limit.period)))
        is_past = "attribute_not_exists(horizon) OR horizon <= :now"
        for attempt in attempts():
            # A horizon in the future advances; one in the past restarts. Another thread can move it between the two
            # updates, so that both conditions are false.
            for update, condition in (
                (Expression("ADD horizon :pace", pace=limit.pace), Expression("horizon > :now", now=now_us)),
                (Expression("SET horizon = :start", start=now_us + limit.pace), Expression(is_past, now=now_us)),
            ):
                updated = self._table.update(*key, update, condition)
                if updated is not None:
                    return max(now, limit.enters_at(updated["horizon"]))
            attempt.wait()
        raise Throttled(f"flow {flow_id}: concurrent enrollments used every attempt to reserve one; retrying is safe")

"""Rate limits of flows in DynamoDB: one number a flow, moved by conditional updates (``domain.flows.rate_limit``)."""

from enrollment.adapters.backoff import attempts
from enrollment.adapters.dynamodb.tables import Expression, Tables
from enrollment.application.ports import Throttled
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant

LIMIT = "rate-limit"


class DynamoRateLimits:
    def __init__(self, tables: Tables) -> None:
        self._table = tables.enrollments

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        moment = now * 1_000
        # Four parts, as no record has: no flow's limit is ever a record's enrollment. A horizon for each limit that the
        # flow has had, for it means nothing to another.
        key = (join(LIMIT, portal_id, flow_id, ""), join(str(limit.count), str(limit.period)))
        passed = "attribute_not_exists(horizon) OR horizon <= :moment"
        for attempt in attempts():
            # Either the horizon lies ahead and moves on, or it has passed and begins anew. Between the two it may have
            # been moved by others.
            for move, condition in (
                (Expression("ADD horizon :pace", pace=limit.pace), Expression("horizon > :moment", moment=moment)),
                (Expression("SET horizon = :start", start=moment + limit.pace), Expression(passed, moment=moment)),
            ):
                moved = self._table.update(*key, move, condition)
                if moved is not None:
                    return max(now, limit.enters_at(moved["horizon"]))
            attempt.wait()
        raise Throttled(f"flow {flow_id}: others were entering at the same time all the time")

"""Rate limits of flows in DynamoDB: one number a flow, moved by conditional updates (``domain.rate_limits``)."""

from pynamodb.exceptions import UpdateError

from enrollment.adapters.backoff import attempts
from enrollment.adapters.tables import Tables
from enrollment.domain.identifiers import join
from enrollment.domain.rate_limits import RateLimit
from enrollment.domain.values import Instant
from enrollment.ports import Throttled

LIMIT = "rate-limit"


class DynamoRateLimits:
    def __init__(self, tables: Tables) -> None:
        self._items = tables.rate_limits

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        model, moment = self._items, now * 1_000
        # Four parts, as no record has: no flow's limit is ever a record's enrollment. A horizon for each limit that the
        # flow has had, for it means nothing to another.
        item = model(join(LIMIT, portal_id, flow_id, ""), join(str(limit.count), str(limit.period)))
        for attempt in attempts():
            # Either the horizon lies ahead and moves on, or it has passed and begins anew. Between the two it may have
            # been moved by others.
            for action, condition in (
                (model.horizon.add(limit.pace), model.horizon > moment),
                (model.horizon.set(moment + limit.pace), model.horizon.does_not_exist() | (model.horizon <= moment)),
            ):
                try:
                    item.update(actions=[action], condition=condition)
                except UpdateError as error:
                    if error.cause_response_code != "ConditionalCheckFailedException":
                        raise
                else:
                    return max(now, limit.enters_at(int(item.horizon)))
            attempt.wait()
        raise Throttled(f"flow {flow_id}: others were entering at the same time all the time")

"""Enroll records in a flow on behalf of a caller (docs/enrollments.md, "Manual enrollment").

The enrollment is claimed, published and confirmed like one by an event. If a request is repeated with its idempotency
key, it continues where it stopped and has the same answer.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.enrollment_claims import EnrollmentClaims, enrolled
from enrollment.application.enrollment_publisher import EnrollmentPublisher, NotDelivered
from enrollment.application.flow_authoring import UnknownFlow, require_existing
from enrollment.application.ports import DecisionLog, FlowRepository, Records
from enrollment.application.record_facts import RecordFacts
from enrollment.application.requested_enrollments import explain_request
from enrollment.domain.enrollment.decision_steps import FlowContext
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import (
    StoredEnrollment,
    TriggerEvent,
    direct_cause,
)
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.enrollment.manual_steps import MANUAL_STEPS
from enrollment.domain.events.event import Event
from enrollment.domain.events.manual import manual_event
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant


class FlowIsOff(Exception):
    """The flow is turned off, so it takes no enrollments."""


class EnrollmentsNotPublished(Exception):
    """The enrollments are stored, but the queue or the bus did not accept them yet."""


class ManualRequest(Struct, frozen=True):
    """``object_ids``: records of the flow's object type, each once. ``idempotency_key``: of the whole request; each
    record has its own enrollment under it. ``caller``: who asks. ``chain``: the flows that led to the request.
    ``object_type_id``: the type that the flow must have; None: any."""

    portal_id: str
    flow_id: str
    object_ids: Sequence[str]
    idempotency_key: str
    caller: str
    chain: tuple[str, ...] = ()
    object_type_id: str | None = None


class ManualEnrollment(Struct, frozen=True):
    """``read_flow`` raises InvalidFlow for a flow that is on and cannot run."""

    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]
    records: Records
    evaluator: CriteriaEvaluator
    claims: EnrollmentClaims
    publisher: EnrollmentPublisher
    decision_log: DecisionLog

    def enroll(self, request: ManualRequest, now: Instant) -> Sequence[tuple[Event, Decision]]:
        """Decide each record in the order of the request, and publish its enrollment. Return the decisions.

        A repeated request has the decisions ENROLLED of the first one. Rejections are not stored: they are decided
        again. Raises UnknownFlow, FlowIsOff, EnrollmentsNotPublished, Throttled, and the errors of AWS.
        """
        flow, facts = self._prepare(request, now)
        decisions: list[tuple[Event, Decision]] = []
        unpublished: list[tuple[Event, StoredEnrollment]] = []
        try:
            for fact in facts:
                decision, stored = self.claims.claim(FlowContext(flow, fact), MANUAL_STEPS, _cause_of)
                self.decision_log.log_decisions(fact.event, [decision], {})
                if stored is not None and not stored.is_confirmed:
                    unpublished.append((fact.event, stored))
                decisions.append((fact.event, _answer(flow, decision, stored)))
        finally:
            # Also if a later record fails: what is claimed is published.
            self._publish(request, unpublished)
        return decisions

    def simulate(self, request: ManualRequest, now: Instant) -> Sequence[tuple[Event, Explanation]]:
        """Return the decisions that ``enroll`` would make, with the result of every filter. Nothing is stored or sent.
        Raises UnknownFlow, FlowIsOff, Throttled, and the errors of AWS."""
        flow, facts = self._prepare(request, now)
        return [(fact.event, explain_request(flow, fact, MANUAL_STEPS, self.evaluator)) for fact in facts]

    def _prepare(self, request: ManualRequest, now: Instant) -> tuple[Flow, Sequence[RecordFacts]]:
        """Return the flow, and the facts about each record of the request."""
        revision = require_existing(self.flow_repository.get(request.portal_id, request.flow_id), request.flow_id)
        # The record need not meet the enrollment criteria.
        flow = replace(self.read_flow(revision), criteria=None, entry=None)
        if request.object_type_id not in (None, flow.object_type_id):
            raise UnknownFlow(f"no flow {request.flow_id} for records of type {request.object_type_id} in this portal")
        keys = [RecordKey(request.portal_id, flow.object_type_id, object_id) for object_id in request.object_ids]
        records = self.records.get_many(keys)
        facts = [
            RecordFacts(
                manual_event(key, request.idempotency_key, caller=request.caller, chain=request.chain, now=now),
                records.get(key),
                self.evaluator,
                self.claims.enrollments,
            )
            for key in keys
        ]
        if not flow.is_enabled and any(fact.existing(flow).for_event is None for fact in facts):
            raise FlowIsOff(f"flow {flow.id} is off. Turn it on to enroll records in it")
        return flow, facts

    def _publish(self, request: ManualRequest, unpublished: Sequence[tuple[Event, StoredEnrollment]]) -> None:
        """Publish the enrollments that are due, and schedule those that the flow's rate limit delays."""
        now = self.claims.clock()
        try:
            # Scheduled first, so that an error of the queue or of the bus cannot prevent it.
            for event, stored in unpublished:
                if stored.publish_at > now:
                    self.publisher.publish(event, [stored])
            # With the stored chain, also if a repeated request names another one.
            self.publisher.publish_unconfirmed([stored for _, stored in unpublished])
        except NotDelivered as error:
            raise EnrollmentsNotPublished(
                f"{len(error.enrollment_ids)} of {len(request.object_ids)} enrollments are stored, but not published "
                f"yet. Repeat the request with the Idempotency-Key {request.idempotency_key!r}, or wait: they are "
                "published within 10 minutes"
            ) from error


def _cause_of(context: FlowContext) -> TriggerEvent:
    return direct_cause(context.facts.event)


def _answer(flow: Flow, decision: Decision, stored: StoredEnrollment | None) -> Decision:
    """Return the decision ENROLLED of the first request if this one repeats it."""
    if decision.code is not Code.DUPLICATE_EVENT or stored is None:
        return decision
    return replace(enrolled(flow, stored), flow_revision_id=stored.enrollment.flow_revision_id)

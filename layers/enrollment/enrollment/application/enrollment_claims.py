"""Claim an enrollment by one conditional write, unless a step rejects the record
(docs/decisions/0002-claim-publish-confirm.md)."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.ports import Clock, ConcurrentModification, Enrollments, NewId, RateLimits
from enrollment.domain.enrollment.decision_steps import FlowContext, Step
from enrollment.domain.enrollment.decisions import Code, Decision, decide
from enrollment.domain.enrollment.enrollments import StoredEnrollment, TriggerEvent, enroll
from enrollment.domain.events.causes import change_key
from enrollment.domain.flows.flow import Flow
from enrollment.domain.values import Instant, iso

# A write that another one has overtaken is attempted this often. Each lost attempt means that another made progress.
ATTEMPTS = 12


class EnrollmentClaims(Struct, frozen=True):
    """Claims enrollments by events and by callers."""

    enrollments: Enrollments
    rate_limits: RateLimits
    clock: Clock
    new_id: NewId

    def claim(
        self, context: FlowContext, steps: Sequence[Step], cause_of: Callable[[FlowContext], TriggerEvent]
    ) -> tuple[Decision, StoredEnrollment | None]:
        """Enroll the record in the flow unless a step rejects it. Return the decision, and the enrollment that this
        cause made, now or earlier.

        ``cause_of``: is called after all steps have passed. Raises ConcurrentModification.
        """
        facts, flow = context.facts, context.flow
        enrollment_id: str | None = None
        due_at: Instant | None = None
        for _ in range(ATTEMPTS):
            rejection = context.rejection(steps)
            if rejection is not None:
                stored = context.existing.for_event
                if stored is not None and stored.enrollment.id == enrollment_id:
                    # The response to our own write was lost, and the client repeated the write.
                    return enrolled(flow, stored), stored
                return rejection, stored
            key, now = facts.event.record_key, self.clock()
            assert key is not None
            if enrollment_id is None:
                enrollment_id, due_at = self.new_id(now), self._due_at(flow, now)
            enrollment = enroll(
                flow,
                cause_of(context),
                key,
                enrolled_before=context.existing.first is not None,
                enrollment_id=enrollment_id,
                now=now,
            )
            if self.enrollments.claim(enrollment, due_at, facts.event.chain):
                stored = StoredEnrollment(enrollment, due_at=due_at, chain=facts.event.chain)
                return enrolled(flow, stored), stored
            # Another cause, or another delivery of this one, wrote between our read and our write.
            entry = context.entry
            changes = {} if entry is None else {flow.id: entry.name(is_first=not entry.re_enrolls)}
            is_by_event = entry is None or not entry.is_of_later_change
            cause_key = facts.event.cause_key if is_by_event else change_key(changes[flow.id])
            existing = self.enrollments.find(key, cause_key, [flow.id], changes)
            context = context.with_existing(existing[flow.id])
        raise ConcurrentModification(
            f"flow {flow.id}: the enrollment by event {facts.event.id} could not be claimed in {ATTEMPTS} attempts; "
            "retrying is safe"
        )

    def _due_at(self, flow: Flow, now: Instant) -> Instant | None:
        """When the flow's rate limit lets the record enter. None: at once."""
        if flow.rate_limit is None:
            return None
        enters_at = self.rate_limits.take(flow.portal_id, flow.id, flow.rate_limit, now)
        return enters_at if enters_at > now else None


def enrolled(flow: Flow, stored: StoredEnrollment) -> Decision:
    """Return the decision ENROLLED for an enrollment."""
    reason = "the record enters the flow"
    if stored.due_at is not None:
        reason = f"{reason}; the flow's limit delays it until {iso(stored.due_at)}"
    return replace(decide(flow, Code.ENROLLED, reason, stored.enrollment.id), due_at=stored.due_at)

"""Whether a change enrolls its record in a filter-based flow: the record starts to meet the flow's criteria, or a
re-enrollment trigger occurs while it meets them."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from enrollment.domain.criteria.criteria import first_failure, needs
from enrollment.domain.criteria.transitions import Mentions, Transition, starts_to_meet
from enrollment.domain.enrollment.decisions import Code, Decision, decide
from enrollment.domain.events.moments import as_of
from enrollment.domain.flows.flow import EntryCriteria, Flow, TriggerGroup
from enrollment.domain.flows.re_enrollment import ChangeTrigger, PropertyChange, ReEnrollmentTrigger
from enrollment.domain.flows.record_change import RecordChange
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant, as_text, is_missing, iso, read_name

# Earlier changes at which criteria are evaluated to find since when they hold. Bounds the work of a reason.
MAX_EARLIER_CHANGES = 50


class Entry(Struct, frozen=True, eq=False):
    """The result for one change and one flow.

    ``group``: the compiled group that the change satisfies. ``own``: the transition by the event's own change.
    ``entered``: the first transition at which the record starts to meet the criteria, of the event's own change and the
    later ones; None: there is none. ``re_enrolls``: a re-enrollment trigger occurs by the event's own change, and the
    criteria hold. ``entered_again``: the transitions after ``entered`` at which that is so. Their events were decided
    when the flow had not enrolled the record yet. ``is_of_later_change``: ``own`` is one of these.
    """

    group: TriggerGroup
    own: Transition
    entered: Transition | None
    re_enrolls: bool
    entered_again: tuple[Transition, ...] = ()
    is_of_later_change: bool = False

    def transition(self, *, is_first: bool) -> Transition:
        """Return the transition that enrolls the record. ``is_first``: the flow has not enrolled the record before."""
        return self.entered if is_first and self.entered is not None else self.own

    def name(self, *, is_first: bool) -> str:
        """Return the name of the change that enrolls the record, as ``transition``."""
        return cause_name(self.transition(is_first=is_first).at)


def cause_name(at: Instant) -> str:
    """Return the name of a change as the cause of an enrollment in a filter-based flow. All changes of a millisecond
    have the same name, because they are one change. A time that is known to the second is the second's first
    millisecond."""
    return f"at:{iso(at)}"


def entry_of(
    flow: Flow,
    group: TriggerGroup,
    change: RecordChange,
    transitions: Sequence[Transition],
    since: Instant | None,
) -> Entry:
    """Return whether a change enrolls its record. ``transitions``: of the event's own change, then of the later ones.
    ``since``: earlier changes do not count; None: all count."""
    entry, own = flow.entry, transitions[0]
    assert entry is not None
    counts_from = since if since is not None else own.at
    re_enrolls = (
        own.latest >= counts_from
        and any(_occurs(trigger, change, own) for trigger in entry.re_enrollment)
        and entry.criteria.holds(own.after)
    )
    entered = starts_to_meet(entry.criteria, transitions, counts_from)
    later = () if entered is None else tuple(each for each in transitions if each.at > entered.at)
    entered_again = tuple(each for each in later if entry.criteria.holds(each.after) and _occurs_at(entry, each))
    return Entry(group, own, entered, re_enrolls, entered_again)


def _occurs_at(entry: EntryCriteria, later: Transition) -> bool:
    """Whether a re-enrollment trigger occurs at a later change that is stored."""
    return any(
        any(trigger.occurs(change) for change in _property_changes(trigger.mentions, later))
        if isinstance(trigger, ChangeTrigger)
        else trigger.occurs(later)
        for trigger in entry.re_enrollment
    )


def _property_changes(mentioned: Mentions, later: Transition) -> Iterator[PropertyChange]:
    record = later.after.record
    for name in record.properties if mentioned.any_change else mentioned.properties:
        if any(change.changed_at == later.at for change in record.changes_of([name], [])):
            previous = None if later.before is None else later.before.value(name)
            yield PropertyChange(name, later.after.value(name), previous)


def _occurs(trigger: ReEnrollmentTrigger, change: RecordChange, own: Transition) -> bool:
    if isinstance(trigger, ChangeTrigger):
        return any(trigger.occurs(_property_change(name, change, own)) for name in change.names)
    return trigger.occurs(own)


def _property_change(name: str, change: RecordChange, own: Transition) -> PropertyChange:
    properties = change.event.properties
    previous = None if own.before is None else own.before.value(name)
    # A previous value that the source sent takes precedence.
    if not is_missing(properties.get("hs_previous_value")) and read_name(as_text(properties.get("hs_name"))) == name:
        previous = properties["hs_previous_value"]
    return PropertyChange(name, own.after.value(name), previous)


def entry_rejection(flow: Flow, entry: Entry) -> Decision | None:
    """Return NOT_MATCHED or MET_BEFORE if the change does not enroll the record, whether or not it was enrolled before.
    None: it may."""
    assert flow.entry is not None
    if entry.entered is not None or entry.re_enrolls:
        return None
    if flow.entry.criteria.holds(entry.own.after):
        return met_before(flow, entry)
    failure = first_failure(flow.entry.criteria.result(entry.own.after))
    assert failure is not None
    reason = f"the record does not meet the enrollment criteria on {failure.property}"
    if failure.because is not None:
        reason = f"{reason}: {failure.because}"
    return Decision(Code.NOT_MATCHED, flow.id, flow.revision_id, reason, filter=failure)


def met_before(flow: Flow, entry: Entry) -> Decision:
    """Return MET_BEFORE, with the time since when the record meets the criteria, as far as its history reaches."""
    assert flow.entry is not None
    since = _met_since(flow.entry, entry.own)
    reason = "the record met the enrollment criteria before this change"
    return decide(flow, Code.MET_BEFORE, reason if since is None else f"{reason}, since {since}")


def _met_since(entry: EntryCriteria, own: Transition) -> str | None:
    """Return since when the record meets the criteria, for a reason. None: it is not known."""
    if own.before is None or any(needs(entry.criteria)):
        return None
    record = own.before.record
    mentioned = entry.mentions
    times = {change.changed_at for change in record.changes_of(mentioned.properties, mentioned.lists)}
    earlier = sorted(at for at in times if record.created_at < at < own.at)[-MAX_EARLIER_CHANGES:]
    for at in reversed(earlier):
        if not entry.criteria.holds(RecordSnapshot(record, at - 1, own.before.zone, moment=as_of(at - 1))):
            return iso(at)
    if len(earlier) == MAX_EARLIER_CHANGES or any(record.earlier_properties.get(n) for n in mentioned.properties):
        return f"{iso(earlier[0])} or earlier" if earlier else None
    return iso(record.created_at)

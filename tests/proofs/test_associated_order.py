"""Filter-based flows about associated records, in random orders of arrival, against a second, naive evaluator.

A story has changes of contacts, of their companies and of their associations, which arrive late or twice. The messages
about the contacts of a changed company are processed later, in any order, twice, or again after an error. A backfill
evaluates contacts between the other steps. The flow is edited and turned off and on, and may have a rate limit. After
each step, the naive evaluator (``Naive``), which keeps all changes in a list, must have enrolled the same contacts by
the same changes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enrollment.application.backfills import BackfillRequest
from enrollment.application.run_worker import PageResult
from enrollment.domain.enrollment.runs import Run, RunStatus
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso, read_instant
from enrollment.serialization.redeliveries import read_redelivery
from tests.support import scenario
from tests.support.fakes import World, store, switch

START = read_instant(scenario.START) or 0
PORTAL = scenario.PORTAL
HOUR = 3_600_000
CONTACTS = ("1", "2")
COMPANIES = ("7", "8")
TO_COMPANY, TO_CONTACT = AssociationType("HUBSPOT_DEFINED", 279), AssociationType("HUBSPOT_DEFINED", 280)
RE_ENROLLS_BY_CITY = [[["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_KNOWN"]]]
BACKFILL = -1
"""In place of the time of a change: a backfill has enrolled the contact."""


# Stories -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flow:
    """``is_in``: an associated company must meet the criteria, or none may. ``has_name``: the company is named Acme;
    otherwise the criteria are about the existence of an associated company. ``has_city``: the contact's city is
    Dublin."""

    is_in: bool
    has_name: bool
    has_city: bool
    re_enrolls: bool
    has_limit: bool

    @property
    def criteria(self) -> tuple[bool, bool, bool]:
        return self.is_in, self.has_name, self.has_city

    def document(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]] if self.has_city else []}
        if self.re_enrolls:
            fields |= {"re_enroll": True, "re_enroll_when": RE_ENROLLS_BY_CITY}
        if self.has_limit:
            fields["limit"] = {"count": 1, "period": "SECOND"}
        fields["company" if self.is_in else "no_company"] = [["name", "IS_EQUAL_TO", "Acme"]] if self.has_name else []
        return scenario.flow(fields)


@dataclass(frozen=True)
class Change:
    """A change of a record at ``at``, in milliseconds since START. ``name``: ``city``, ``name``, or the ID of the
    company with which the contact ``record`` is associated from then on, or is not (``value`` ADDED or REMOVED)."""

    id: str
    at: int
    record: str
    name: str
    value: str

    @property
    def is_of_company(self) -> bool:
        return self.record in COMPANIES

    def envelope(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": self.id, "at": iso(START + self.at)}
        if self.name in COMPANIES:
            company = {"hs_to_object_type_id": "0-2", "hs_to_object_id": self.name}
            properties = {"hs_association_change": self.value, **company}
            return scenario.event({"crm.association_changed": self.record, **fields, "properties": properties})
        fields |= {"object": "company"} if self.is_of_company else {}
        properties = {"hs_name": self.name, "hs_value": self.value}
        return scenario.event({"crm.property_changed": self.record, **fields, "properties": properties})


CHANGES = st.one_of(
    st.tuples(st.sampled_from(CONTACTS), st.just("city"), st.sampled_from(["Dublin", "Dublin", "Cork"])),
    st.tuples(st.sampled_from(COMPANIES), st.just("name"), st.sampled_from(["Acme", "Acme", "Apex"])),
    st.tuples(st.sampled_from(CONTACTS), st.sampled_from(COMPANIES), st.sampled_from(["ADDED", "ADDED", "REMOVED"])),
)
FLOWS = st.builds(Flow, *[st.booleans() for _ in range(5)])
STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("change"), CHANGES, st.sampled_from([0, 0, 1, 10, 30, 70])) for _ in range(5)],
        st.tuples(st.just("repeat"), st.integers(0, 20), st.none()),
        *[
            st.tuples(st.just("contacts"), st.integers(0, 20), st.sampled_from(["once", "twice", "after an error"]))
            for _ in range(3)
        ],
        *[st.tuples(st.just("backfill"), st.none(), st.none()) for _ in range(2)],
        st.tuples(st.just("edit"), FLOWS, st.none()),
        st.tuples(st.sampled_from(["off", "on"]), st.none(), st.none()),
    ),
    min_size=8,
    max_size=24,
)


# The naive evaluator -------------------------------------------------------------------------------------------------


@dataclass
class Naive:
    """``since``: when the criteria came into force, or the flow was turned on. ``enrolled``: by contact, the events
    that enrolled it, by the times of the decisive changes."""

    flow: Flow
    criteria_since: int
    enabled_at: int
    is_on: bool = True
    changes: list[Change] = field(default_factory=list)
    enrolled: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def since(self) -> int:
        return max(self.criteria_since, self.enabled_at)

    def edit(self, flow: Flow, now: int) -> None:
        if flow.criteria != self.flow.criteria:
            self.criteria_since = now
        self.flow = flow
        self.turn_on(now)

    def turn_on(self, now: int) -> None:
        if not self.is_on:
            self.is_on, self.enabled_at = True, now

    def value(self, record: str, name: str, at: float) -> str | None:
        values = [(one.at, one.value) for one in self.changes if (one.record, one.name) == (record, name)]
        return max(((when, value) for when, value in values if when <= at), default=(0, None))[1]

    def holds(self, contact: str, at: float) -> bool:
        companies = [company for company in COMPANIES if self.value(contact, company, at) == "ADDED"]
        met = [each for each in companies if not self.flow.has_name or self.value(each, "name", at) == "Acme"]
        has_city = not self.flow.has_city or self.value(contact, "city", at) == "Dublin"
        return has_city and bool(met) == self.flow.is_in

    def store(self, change: Change) -> None:
        if change not in self.changes:
            self.changes.append(change)

    def arrive(self, change: Change) -> None:
        """The event of a contact."""
        if change.name != "city" or self.flow.has_city or self.flow.re_enrolls:
            self._decide(change.record, change)

    def concerns_contacts(self, change: Change) -> bool:
        """Whether a change of a company is sent to its contacts."""
        has_changed = self.value(change.record, "name", change.at - 0.5) != self.value(change.record, "name", change.at)
        return self.is_on and self.flow.has_name and has_changed

    def arrive_at_contacts(self, change: Change) -> None:
        """Each contact that is associated with the company at the change or later."""
        for contact in CONTACTS:
            later = [one.at for one in self.changes if (one.record, one.name) == (contact, change.record)]
            instants = [change.at, *(at for at in later if at > change.at)]
            if self.flow.has_name and any(self.value(contact, change.record, at) == "ADDED" for at in instants):
                self._decide(contact, change)

    def backfill(self, contact: str, run_id: str, now: int) -> None:
        if contact not in self.enrolled and self.holds(contact, now):
            self.enrolled[contact] = {BACKFILL: f"backfill:{run_id}"}

    def _decide(self, contact: str, change: Change) -> None:
        if not self.is_on:
            return
        enrolled = self.enrolled.get(contact)
        instants = [change.at, *sorted(one.at for one in self.changes if one.at > change.at)]
        if enrolled is None:
            starts = [at for at in instants if self.holds(contact, at) and not self.holds(contact, at - 0.5)]
            entered = next((at for at in starts if at >= self.since), None)
            if entered is not None:
                again = [at for at in instants if at > entered and self._re_enrolls(contact, at)]
                self.enrolled[contact] = dict.fromkeys([entered, *again], change.id)
        elif (
            next(iter(enrolled.values())) != change.id
            and change.at >= self.since
            and change.record == contact
            and self._re_enrolls(contact, change.at)
        ):
            enrolled.setdefault(change.at, change.id)

    def _re_enrolls(self, contact: str, at: int) -> bool:
        city_before, city = self.value(contact, "city", at - 0.5), self.value(contact, "city", at)
        return self.flow.re_enrolls and city_before != city and self.holds(contact, at)


# Both ----------------------------------------------------------------------------------------------------------------


class Play:
    """A story that is played on the product and on the naive evaluator."""

    def __init__(self, flow: Flow) -> None:
        self.world = World()
        self.world.put_flow(flow.document(), at=START - 5000)
        self.naive = Naive(flow, -5000, -5000)
        self.now = 1000
        self.changes: list[Change] = []
        # Messages about the contacts of a company, with the change of the company.
        self.pending: list[tuple[Change, str]] = []
        self.run: Run | None = None
        self.pages: Iterator[PageResult] = iter(())
        for key in (*(self.key(contact) for contact in CONTACTS), *(self.key(company) for company in COMPANIES)):
            self.world.put_record(key, Record(key, START - 4000))

    @staticmethod
    def key(record: str) -> RecordKey:
        return RecordKey(PORTAL, "0-2" if record in COMPANIES else "0-1", record)

    def step(self, kind: str, subject: Any, how: Any) -> None:
        # Even times are those of steps, so that no two changes have the same time.
        self.now += 2
        self.world.now = START + self.now
        match kind:
            case "change":
                self._change(*subject, lateness=how)
            case "repeat" if self.changes:
                self._deliver(self.changes[subject % len(self.changes)])
            case "contacts" if self.pending:
                self._process(*self.pending.pop(subject % len(self.pending)), how)
            case "backfill":
                self._backfill_page()
            case "edit":
                store(self.world.authoring, PORTAL, subject.document(), self.world.now)
                self.naive.edit(subject, self.now)
            case "off" | "on":
                switch(self.world.authoring, PORTAL, "1", self.world.now, on=kind == "on")
                if kind == "on":
                    self.naive.turn_on(self.now)
                self.naive.is_on = kind == "on"

    def _change(self, record: str, name: str, value: str, lateness: int) -> None:
        taken = {change.at for change in self.changes}
        at = next(at for at in range(self.now - lateness, 0, -1) if at not in taken)
        change = Change(f"e{len(self.changes)}", at, record, name, value)
        self.changes.append(change)
        if name in COMPANIES:
            for source, target, kind in ((record, name, TO_COMPANY), (name, record, TO_CONTACT)):
                there = self.world.associations.get(self.key(source), self.key(target))
                changed = associated(there, [kind], START + at, holds=value == "ADDED")
                self.world.associations.save([changed])
        self.naive.store(change)
        self._deliver(change)

    def _deliver(self, change: Change) -> None:
        self.world.deliver(change.envelope())
        sent, self.world.redeliveries.changes = self.world.redeliveries.changes, []
        if change.is_of_company:
            assert len(sent) == self.naive.concerns_contacts(change), "a message for a change that concerns contacts"
            self.pending += [(change, text) for text in sent]
        else:
            assert sent == []
            self.naive.arrive(change)

    def _process(self, change: Change, text: str, how: str) -> None:
        message = read_redelivery(text)
        assert isinstance(message, AssociatedChange)
        if how == "after an error":
            self.world.queue.refuses = 1
            try:
                self.world.associated_changes.process(message)
            except* Exception:
                # The queue delivers the message again.
                pass
            self.world.queue.refuses = 0
        for _ in range(2 if how == "twice" else 1):
            self.world.associated_changes.process(message)
        self.naive.arrive_at_contacts(change)

    def _backfill_page(self) -> None:
        """Evaluate one page of a backfill: the first step starts it, and later ones continue it."""
        if self.run is None:
            if not self.naive.is_on:
                return
            request = BackfillRequest(PORTAL, "1", False, "ada", confirm=len(CONTACTS))
            self.run = self.world.backfills.start(request, self.world.now)
            self.pages = self.world.run_worker.work(self.world.now + HOUR)
        result = next((page for page in self.pages if page.page is not None and page.page.counts), None)
        if result is None:
            self._end_backfill()
            return
        for key in self.world.listing.page(PORTAL, "0-1", result.shard.number, 100):
            self.naive.backfill(key.object_id, self.run.id, self.now)

    def _end_backfill(self) -> None:
        """All contacts are evaluated, or the flow was turned off or edited."""
        assert self.run is not None
        run = self.world.runs.runs[self.run.id]
        if run.status is RunStatus.DONE:
            assert sum(self.world.backfills.progress(run).counts.values()) == len(CONTACTS)
        elif not run.is_finished:
            self.world.backfills.cancel(PORTAL, "1", run.id, self.world.now)
        list(self.world.run_worker.work(self.world.now + HOUR))
        self.run = None

    def enrolled(self) -> Mapping[str, Mapping[int, str]]:
        enrolled: dict[str, dict[int, str]] = {}
        for stored in self.world.enrollments.items.values():
            cause = stored.enrollment.cause
            at = BACKFILL if cause.event_id.startswith("backfill:") else cause.occurred_at - START
            enrolled.setdefault(stored.enrollment.record_key.object_id, {})[at] = cause.event_id
        return enrolled

    def finish(self) -> None:
        """Publish what a rate limit has delayed."""
        self.world.pass_time(self.world.now + HOUR)
        messages = [message.id for message in self.world.queue.messages]
        assert Counter(messages).keys() == {one.enrollment.id for one in self.world.enrollments.items.values()}


@pytest.mark.verify
def test_contacts_of_companies_enroll_as_a_naive_evaluator_decides_in_every_order(prove: bool) -> None:
    examples = 10_000 if prove else 300
    counts = Counter[str]()

    # The same stories each time, unless it runs at full length.
    @settings(max_examples=examples, derandomize=not prove, suppress_health_check=list(HealthCheck))
    @given(FLOWS, STEPS)
    def run(flow: Flow, steps: Sequence[tuple[str, Any, Any]]) -> None:
        story = Play(flow)
        for step in steps:
            story.step(*step)
            assert story.enrolled() == story.naive.enrolled, (flow, story.changes)
        story.finish()
        counts["stories"] += 1
        counts["enrollments"] += sum(len(causes) for causes in story.naive.enrolled.values())
        counts["by backfills"] += sum(BACKFILL in causes for causes in story.naive.enrolled.values())

    run()
    print(f"\n{dict(counts)}")
    assert counts["enrollments"] > counts["stories"] // 10
    assert counts["by backfills"] > counts["stories"] // 100

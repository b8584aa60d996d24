"""The stories that the proofs play. Each story is data; a new one is an entry of STORIES.

A story is one event, or one request to the API, in a prepared portal. Its flows, records and events are written as in
tests/scenarios. Portals get their names when they are played.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enrollment.domain.records.associations import AssociationType
from enrollment.domain.values import iso, iso_second
from enrollment.entrypoints.bootstrap import now
from tests.support.scenario import flow, property_filter

# The time of all events: a second ago, so that later changes of a story are later than the time at which they were
# sent.
NOW = now() - 1000
BEFORE = iso(NOW - 60_000)
DAY = 86_400_000

TO_COMPANY, TO_CONTACT = AssociationType("HUBSPOT_DEFINED", 279), AssociationType("HUBSPOT_DEFINED", 280)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Redelivery:
    """An event that is due to be delivered again for all flows of the story. The tolerance is over."""

    event: Mapping[str, Any]


@dataclass(frozen=True)
class Associated:
    """The message about associated records that a delivery of the event has sent."""

    event: Mapping[str, Any]


@dataclass(frozen=True)
class Unconfirmed:
    """The scheduled run that finds the unconfirmed enrollments of a delivery, whose process ended before its first call
    of ``left_before``."""

    event: Mapping[str, Any]
    left_before: str


@dataclass(frozen=True)
class Sweep:
    """The scheduled run that sends what a delivery of the event has scheduled for later, when all of it is due."""

    event: Mapping[str, Any]


@dataclass(frozen=True)
class Backfill:
    """The scheduled run that evaluates the records of the story for a flow, in pages of PAGE_RECORDS."""

    flow_id: str
    is_dry_run: bool = False


PAGE_RECORDS = 2


@dataclass(frozen=True)
class Story:
    """``enrolls``: ids of the flows that it enrolls in when undisturbed, including earlier enrollments.

    ``records``: by "<type>/<id>", the properties and memberships (``in <list>``) of the existing records; ``pairs`` of
    them are associated. ``before``: events that were delivered earlier, redeliveries, and backfills and requests that
    were started. ``between``: an author's change of a flow after a disturbed first delivery. ``chooses_ids``: the
    request creates a record or a flow with a new id, so a repeated request creates another one. In the path of a
    request, ``{run}`` is the ID of the backfill that was started.
    """

    name: str
    acts: Mapping[str, Any] | Request | Redelivery | Associated | Unconfirmed | Sweep | Backfill
    flows: Sequence[Mapping[str, Any]] = ()
    enrolls: Sequence[str] = ()
    records: Mapping[str, Mapping[str, Any]] | None = None
    pairs: Sequence[tuple[str, str]] = ()
    before: Sequence[Mapping[str, Any] | Redelivery | Backfill | Request] = ()
    between: Mapping[str, Any] | None = None
    chooses_ids: bool = False

    @property
    def subjects(self) -> set[str]:
        """Return the records that its events are about, as "<type>/<id>"."""
        acts = [act for act in (self.acts, *self.before) if not isinstance(act, Request | Backfill)]
        events = [act.event if isinstance(act, Redelivery | Associated | Unconfirmed | Sweep) else act for act in acts]
        return {f"{event.get('object', 'contact')}/{event[next(iter(event))]}" for event in events}


ADA = {"contact/101": {"city": "Dublin"}}
SUBMITTED = {"forms.submitted": "101", "id": "e1", "properties": {"hs_form_id": "f-1"}}
EARLIER = {"forms.submitted": "101", "id": "e0", "at": BEFORE}
ONCE = flow({"id": 1, "event": "forms.submitted"})
AGAIN = flow({"id": 2, "event": "forms.submitted", "re_enroll": True})
OF_CITY = {"event": "crm.property_changed", "where": [["hs_name", "IS_ANY_OF", ["city"]]]}
TO_CORK = {"crm.property_changed": "101", "id": "c1", "properties": {"hs_name": "city", "hs_value": "Cork"}}
VIEWED = {"sales_documents.viewed": "101", "id": "v1", "properties": {"hs_document_id": "d-1"}}
FIRST_VIEW = flow({"id": 1, "event": "sales_documents.viewed", "re_enroll": True})
TO_LIST = {
    "lists.membership_changed": "101",
    "id": "m",
    "properties": {"hs_list_id": "42", "hs_membership_change": "ADDED"},
}
OF_LIST = flow({"id": 3, "lists": [["IN_LIST", "42"]]})
# Created a minute before, and perhaps delivered after later events.
TO_BE_IN_CORK = flow(
    {
        "id": 5,
        "filters": [["city", "IS_EQUAL_TO", "Cork"]],
        "re_enroll": True,
        "re_enroll_when": [[["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_KNOWN"]]],
    }
)
TO_BE_LISTED = flow({"id": 6, "filters": [["city", "IS_KNOWN"], ["IN_LIST", "42"]]})

# A company and two contacts.
STAFF = {"company/7": {"name": "Apex"}, "contact/101": {"city": "Dublin"}, "contact/102": {}}
STAFF_OF = [("contact/101", "company/7"), ("contact/102", "company/7")]
RENAMED = {
    "crm.property_changed": "7",
    "object": "company",
    "id": "n1",
    "properties": {"hs_name": "name", "hs_value": "Acme"},
}
OF_ACME = flow({"id": 7, "filters": [], "company": [["name", "IS_EQUAL_TO", "Acme"]]})

# Two records enter by a backfill. The first is enrolled by an earlier event.
CONTACTS = {
    **ADA,
    "contact/201": {"city": "Cork"},
    "contact/202": {"city": "Cork", "in 13": True},
    "contact/203": {"city": "Cork"},
}
TO_BE_IN_CORK_ONCE = {**flow({"id": 5, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}), "suppressionListIds": [13]}

BACKFILLS = "/enrollment/v1/flows/5/backfills"
PAUSES = Request("POST", f"{BACKFILLS}/{{run}}/pause")
RESUMES = Request("POST", f"{BACKFILLS}/{{run}}/resume")
CANCELS = Request("POST", f"{BACKFILLS}/{{run}}/cancel")
ENROLL_EXISTING = f"?enrollExisting=true&confirm={len(CONTACTS)}"


def _starts_backfill(*, dry_run: bool) -> Request:
    """Return a request with an idempotency key, so that repeating it starts one backfill."""
    body = {"dryRun": True} if dry_run else {"dryRun": False, "confirm": len(CONTACTS), "recordsPerSecond": 50}
    return Request("POST", BACKFILLS, body, {"Idempotency-Key": "k1"})


CREATED = {"crm.object_created": "101", "id": "o1", "at": BEFORE, "record": {"city": "Dublin"}}
IN_CORK = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]})
# Known to the second, with a snapshot.
SECOND = iso_second(NOW)
ROUGH = {**SUBMITTED, "at": SECOND, "record": {"city": "Cork"}}
# In the same second, by its time.
TO_BRAY = {
    "crm.property_changed": "101",
    "id": "c2",
    "at": iso(NOW - NOW % 1000 + 1),
    "properties": {"hs_name": "city", "hs_value": "Bray"},
}
OF_CHANGES = [flow({"id": 1, "event": "crm.property_changed", "re_enroll": True}), flow({"id": 2, **OF_CITY})]


def _all_of(*filters: Any, branches: Sequence[Any] = ()) -> dict[str, Any]:
    return {"filterBranchType": "AND", "filters": list(filters), "filterBranches": list(branches)}


def _refined(document: Mapping[str, Any], criteria: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "enrollmentCriteria": {**document["enrollmentCriteria"], "refinementCriteria": criteria}}


LATE = {
    "id": 1,
    "event": "forms.submitted",
    "criteria": [["city", "IS_EQUAL_TO", "Cork"]],
    "tolerance": 5,
    "re_enroll": True,
}
LIMITED = flow({"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "HOUR"}})

# The third of three enrollments is delayed by two minutes.
ONE_A_MINUTE = flow({"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "MINUTE"}})

OF_A_LARGE_COMPANY = _all_of(
    branches=[
        {
            "filterBranchType": "ASSOCIATION",
            "objectTypeId": "0-2",
            "associationTypeId": 279,
            "associationCategory": "HUBSPOT_DEFINED",
            "operator": "IN_LIST",
            "filterBranches": [],
            "filters": [property_filter(["size", "IS_GREATER_THAN", 10])],
        }
    ]
)

BY_HAND = {
    "id": "5",
    "type": "CONTACT_FLOW",
    "isEnabled": True,
    "enrollmentCriteria": {"type": "MANUAL", "shouldReEnroll": True},
}


def _enrolls_by_hand(flow_id: str, *object_ids: str, **body: Any) -> Request:
    """Return a request with an idempotency key, so that repeating it enrolls once."""
    records = [{"objectId": object_id} for object_id in object_ids]
    whole = {"inputs": records} if len(records) > 1 else records[0]
    path = f"/enrollment/v1/flows/{flow_id}/enrollments"
    return Request("POST", path, {**whole, **body}, {"Idempotency-Key": "k1"})


STORIES = (
    Story("once", SUBMITTED, [ONCE], ["1"], ADA),
    Story("once, enrolled before", SUBMITTED, [ONCE], ["1"], ADA, before=[EARLIER]),
    Story("every time, the first", SUBMITTED, [AGAIN], ["2"], ADA),
    Story("every time, once more", SUBMITTED, [AGAIN], ["2", "2"], ADA, before=[EARLIER]),
    Story(
        "more flows than a batch holds",
        SUBMITTED,
        [flow({"id": 10 + n, "event": "forms.submitted", "re_enroll": n % 2 == 0}) for n in range(12)],
        [str(10 + n) for n in range(12)],
        ADA,
    ),
    Story("no flow", SUBMITTED, [flow({"id": 1, "event": "calls.ended"})], [], ADA),
    Story(
        "criteria refuse one of two",
        SUBMITTED,
        [flow({"id": 3, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}), ONCE],
        ["1"],
        ADA,
    ),
    Story(
        "announced to another flow",
        SUBMITTED,
        [ONCE, flow({"id": 2, "event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", ["1"]]]})],
        ["1", "2"],
        ADA,
    ),
    Story(
        "led to by other flows",
        {"workflows.enrolled": "101", "id": "w1", "properties": {"hs_flow_id": "8"}, "chain": ["8", "3"]},
        [flow({"id": n, "event": "workflows.enrolled", "re_enroll": True}) for n in (3, 4)],
        ["4"],
        ADA,
    ),
    Story("a property changed", TO_CORK, [flow({"id": 1, **OF_CITY, "re_enroll": True})], ["1"], ADA),
    Story("a change to meet criteria", TO_CORK, [TO_BE_IN_CORK, TO_BE_LISTED], ["5"], ADA),
    Story(
        "a snapshot to meet criteria",
        {"calls.ended": "101", "id": "k1", "record": {"city": "Cork"}},
        [TO_BE_IN_CORK, flow({"id": 2, "event": "calls.ended"})],
        ["2", "5"],
        ADA,
    ),
    Story(
        "a late change to meet criteria at a later one",
        {**TO_CORK, "at": BEFORE},
        [flow({"id": 5, "filters": [["city", "IS_EQUAL_TO", "Cork"], ["IN_LIST", "42"]]})],
        ["5"],
        ADA,
        before=[TO_LIST],
    ),
    Story(
        "a change that enrolls in a filter-based flow again",
        {**TO_CORK, "id": "c2", "at": iso(NOW + 2)},
        [TO_BE_IN_CORK],
        ["5", "5"],
        ADA,
        before=[
            TO_CORK,
            {**TO_CORK, "id": "c3", "at": iso(NOW + 1), "properties": {"hs_name": "city", "hs_value": "Bray"}},
        ],
    ),
    Story(
        "a late change that enrolls first, and again by a later one",
        {**TO_CORK, "at": BEFORE},
        [
            flow(
                {
                    "id": 5,
                    "filters": [["city", "IS_EQUAL_TO", "Cork"]],
                    "re_enroll": True,
                    "re_enroll_when": [[["hs_name", "IS_ANY_OF", ["age"]], ["hs_value", "IS_KNOWN"]]],
                }
            )
        ],
        ["5", "5"],
        ADA,
        before=[{**TO_CORK, "id": "c2", "properties": {"hs_name": "age", "hs_value": 3}}],
    ),
    Story("a company's change that concerns its contacts", RENAMED, [OF_ACME], ["7", "7"], STAFF, STAFF_OF),
    Story("the contacts of a company that changed", Associated(RENAMED), [OF_ACME], ["7", "7"], STAFF, STAFF_OF),
    Story(
        "more contacts than a message holds",
        Associated(RENAMED),
        [flow({"id": 7, "filters": [["city", "IS_EQUAL_TO", "Dublin"]], "company": [["name", "IS_EQUAL_TO", "Acme"]]})],
        ["7"],
        {**STAFF, **{f"contact/{number}": {"city": "Cork"} for number in range(300, 330)}},
        [*STAFF_OF, *((f"contact/{number}", "company/7") for number in range(300, 330))],
    ),
    Story("a list's member", TO_LIST, [OF_LIST], ["3"], ADA),
    Story("a snapshot that creates the record", {**SUBMITTED, "record": {"city": "Cork"}}, [ONCE, AGAIN], ["1", "2"]),
    Story(
        "a record created",
        {"crm.object_created": "101", "id": "o1", "record": {"city": "Cork"}},
        [flow({"id": 1, "event": "crm.object_created", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]})],
        ["1"],
    ),
    Story("the first view of a document", VIEWED, [FIRST_VIEW], ["1"], ADA),
    Story(
        "a later view of a document", VIEWED, [FIRST_VIEW], ["1"], ADA, before=[{**VIEWED, "id": "v0", "at": BEFORE}]
    ),
    Story("an event that waits for its record", SUBMITTED, [ONCE, flow({**LATE, "id": 2}), OF_LIST], []),
    Story("a creation that an event waits for", CREATED, [ONCE, AGAIN], ["1", "2"], before=[SUBMITTED]),
    Story(
        "a creation that is followed by a wait for data",
        CREATED,
        [ONCE, flow({**LATE, "id": 2})],
        ["1"],
        before=[SUBMITTED],
    ),
    Story("an event whose record never came", Redelivery(SUBMITTED), [ONCE], before=[SUBMITTED]),
    Story("a creation after a rejection", CREATED, [ONCE], ["1"], before=[SUBMITTED, Redelivery(SUBMITTED)]),
    Story("a change before its record's creation", TO_CORK, [flow({"id": 2, **OF_CITY})], [], before=[TO_LIST]),
    Story("a membership before its record's creation", TO_LIST, [OF_LIST], [], before=[TO_CORK]),
    Story(
        "a creation after its record's changes",
        CREATED,
        [flow({"id": 1, "event": "crm.object_created"}), flow({"id": 2, **OF_CITY}), OF_LIST],
        ["1", "2", "3"],
        before=[TO_LIST, TO_CORK],
    ),
    Story(
        "what arrived before the creation counts",
        {**SUBMITTED, "id": "e2", "at": iso(NOW + 1)},
        [IN_CORK, flow({"id": 2, "event": "forms.submitted", "suppressed_by": ["42"]})],
        ["1"],
        before=[TO_LIST, TO_CORK, CREATED],
    ),
    Story("known to the second, with a snapshot", ROUGH, [IN_CORK], ["1"], ADA, before=[TO_BRAY]),
    Story("known to the second, delivered again", ROUGH, [IN_CORK], ["1"], ADA, before=[ROUGH]),
    Story("known to the second, delivered again after a change", ROUGH, [IN_CORK], ["1"], ADA, before=[ROUGH, TO_BRAY]),
    Story(
        "a change of the second of an event, after it",
        {**SUBMITTED, "at": SECOND},
        [IN_CORK],
        [],
        ADA,
        before=[{**SUBMITTED, "at": SECOND}, {**TO_BRAY, "properties": {"hs_name": "city", "hs_value": "Cork"}}],
    ),
    Story(
        "known to the second, older than the history",
        {**SUBMITTED, "at": iso_second(NOW - 40 * DAY), "sent": iso(NOW)},
        [ONCE],
        ["1"],
        ADA,
    ),
    Story(
        "a copy of an event that was sent earlier",
        {**SUBMITTED, "at": BEFORE, "sent": BEFORE},
        [AGAIN],
        ["2"],
        ADA,
        before=[{**SUBMITTED, "at": BEFORE, "sent": iso(NOW)}],
    ),
    Story(
        "an associated record",
        SUBMITTED,
        [_refined(ONCE, OF_A_LARGE_COMPANY)],
        ["1"],
        {**ADA, "company/7": {"size": 50}, "company/8": {"size": 5}},
        pairs=[("contact/101", "company/7"), ("contact/101", "company/8")],
    ),
    Story(
        "suppressed, at its goal, and neither",
        SUBMITTED,
        [
            {**flow({"id": 3, "event": "forms.submitted"}), "suppressionListIds": [13]},
            {
                **flow({"id": 4, "event": "forms.submitted"}),
                "goalFilterBranch": _all_of(property_filter(["won", "IS_KNOWN"])),
            },
            ONCE,
        ],
        ["1"],
        {"contact/101": {"in 13": True, "won": "yes"}},
    ),
    Story("an invalid event", {**SUBMITTED, "object": "nonsense"}, [ONCE], [], ADA),
    Story("turned off meanwhile", SUBMITTED, [ONCE], ["1"], ADA, between={"turn_off": "1"}),
    Story("deleted meanwhile", SUBMITTED, [AGAIN], ["2"], ADA, between={"delete": "2"}),
    Story(
        "changed meanwhile",
        SUBMITTED,
        [ONCE],
        ["1"],
        ADA,
        between={"put": flow({"id": 1, "event": "calls.ended"})},
    ),
    Story(
        "re-enrollment switched on meanwhile",
        SUBMITTED,
        [ONCE],
        ["1"],
        ADA,
        before=[EARLIER],
        between={"put": {**AGAIN, "id": "1"}},
    ),
    Story("an event that waits", SUBMITTED, [flow(LATE), flow({**LATE, "id": 2, "tolerance": 7})], [], ADA),
    Story("a change that an event waits for", TO_CORK, [flow(LATE)], ["1"], ADA, before=[SUBMITTED]),
    Story(
        "an event that waited in vain",
        Redelivery(SUBMITTED),
        [flow(LATE), ONCE | {"id": "2"}],
        ["2"],
        ADA,
        before=[SUBMITTED],
    ),
    Story(
        "a late change after a rejection",
        {**TO_CORK, "at": iso(NOW + 60_000)},
        [flow(LATE), flow({**LATE, "id": 2, "criteria": [["city", "IS_EQUAL_TO", "Bray"]]})],
        ["1"],
        ADA,
        before=[SUBMITTED, Redelivery(SUBMITTED)],
    ),
    Story(
        "a change after a rejection and beyond the tolerance",
        {**TO_CORK, "at": iso(NOW + 400_000)},
        [flow(LATE)],
        [],
        ADA,
        before=[SUBMITTED, Redelivery(SUBMITTED)],
    ),
    Story("beyond a flow's limit", SUBMITTED, [LIMITED], ["1", "1"], ADA, before=[EARLIER]),
    Story(
        "what a flow's limit delayed", Redelivery(SUBMITTED), [LIMITED], ["1", "1"], ADA, before=[EARLIER, SUBMITTED]
    ),
    Story(
        "what was claimed and not published",
        Unconfirmed({**SUBMITTED, "chain": ["8"]}, "SendMessageBatch"),
        [
            ONCE,
            AGAIN,
            flow({"id": 8, "event": "workflows.enrolled"}),
            flow({"id": 9, "event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", ["1"]]]}),
        ],
        ["1", "2", "9"],
        ADA,
    ),
    Story("what was published and not announced", Unconfirmed(SUBMITTED, "PutEvents"), [ONCE, AGAIN], ["1", "2"], ADA),
    Story("what was announced and not confirmed", Unconfirmed(SUBMITTED, "UpdateItem"), [ONCE], ["1"], ADA),
    Story(
        "what is due after it waited",
        Sweep(SUBMITTED),
        [flow(LATE), flow({**LATE, "id": 2, "tolerance": 6}), flow({**LATE, "id": 3})],
        [],
        ADA,
    ),
    Story(
        "what a rate limit delayed, and is due",
        Sweep(SUBMITTED),
        [ONE_A_MINUTE],
        ["1", "1", "1"],
        ADA,
        before=[EARLIER, {**EARLIER, "id": "e00"}],
    ),
    Story("a backfill", Backfill("5"), [TO_BE_IN_CORK_ONCE], ["5", "5", "5"], CONTACTS, before=[TO_CORK]),
    Story(
        "a dry run of a backfill",
        Backfill("5", is_dry_run=True),
        [TO_BE_IN_CORK_ONCE],
        ["5"],
        CONTACTS,
        before=[TO_CORK],
    ),
    Story(
        "a request that creates",
        Request("POST", "/crm/v3/objects/contacts", {"properties": {"city": "Cork"}, "occurredAt": NOW}),
        [flow({"id": 1, "event": "crm.object_created"})],
        ["1"],
        chooses_ids=True,
    ),
    Story(
        "a request that changes",
        Request("PATCH", "/crm/v3/objects/contacts/101", {"properties": {"city": "Cork", "age": 3}, "occurredAt": NOW}),
        OF_CHANGES,
        ["1", "1", "2"],
        ADA,
    ),
    Story(
        "a request that changes more than one call holds",
        Request(
            "PATCH",
            "/crm/v3/objects/contacts/101",
            {"properties": {f"p{n:02}": n for n in range(12)}, "occurredAt": NOW},
        ),
        [
            flow(
                {
                    "id": 1,
                    "event": "crm.property_changed",
                    "re_enroll": True,
                    "criteria": [["p00", "IS_KNOWN"], ["p11", "IS_KNOWN"]],
                }
            )
        ],
        ["1"] * 12,
        ADA,
    ),
    Story(
        "a request of many records",
        Request(
            "POST",
            "/crm/v3/objects/contacts/batch/upsert",
            {
                "inputs": [
                    {"id": record_id, "properties": {"city": "Cork"}, "occurredAt": NOW}
                    for record_id in ("101", "102", "103")
                ]
            },
        ),
        [*OF_CHANGES, flow({"id": 3, "event": "crm.object_created"})],
        ["1", "2", "3", "3"],
        ADA,
    ),
    Story(
        "a request that changes a list",
        Request("PUT", f"/crm/v3/lists/42/memberships/add?occurredAt={NOW}", ["101", "102"]),
        [flow({"id": 1, "lists": [["IN_LIST", "42"]]})],
        ["1", "1"],
        {**ADA, "contact/102": {}},
    ),
    Story("a request that enrolls", _enrolls_by_hand("5", "101"), [BY_HAND], ["5"], ADA),
    Story(
        "a request that enrolls in a flow of events, once more",
        _enrolls_by_hand("2", "101", chain=["8"]),
        [AGAIN, flow({"id": 9, "event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", ["2"]]]})],
        ["2", "2", "9"],
        ADA,
        before=[EARLIER],
    ),
    Story(
        "a request that enrolls many records",
        _enrolls_by_hand("5", "101", "102", "103"),
        [{**BY_HAND, "suppressionListIds": [13]}],
        ["5", "5"],
        {**ADA, "contact/102": {"in 13": True}, "contact/103": {}},
    ),
    Story("a request beyond a flow's limit", _enrolls_by_hand("1", "101"), [LIMITED], ["1", "1"], ADA, [], [EARLIER]),
    Story("a request that starts a backfill", _starts_backfill(dry_run=False), [TO_BE_IN_CORK_ONCE], [], CONTACTS),
    Story("a request that starts a dry run", _starts_backfill(dry_run=True), [TO_BE_IN_CORK_ONCE], [], CONTACTS),
    Story("a request that pauses a backfill", PAUSES, [TO_BE_IN_CORK_ONCE], [], CONTACTS, before=[Backfill("5")]),
    Story(
        "a request that resumes a backfill",
        RESUMES,
        [TO_BE_IN_CORK_ONCE],
        [],
        CONTACTS,
        before=[Backfill("5"), PAUSES],
    ),
    Story("a request that cancels a backfill", CANCELS, [TO_BE_IN_CORK_ONCE], [], CONTACTS, before=[Backfill("5")]),
    Story(
        "a request that turns a flow on and starts a backfill",
        Request("PUT", f"/automation/v4/flows/5{ENROLL_EXISTING}", {**TO_BE_IN_CORK_ONCE, "revisionId": "1"}),
        [{**TO_BE_IN_CORK_ONCE, "isEnabled": False}],
        [],
        CONTACTS,
    ),
    Story(
        "a request that puts a new flow and starts a backfill",
        Request("PUT", f"/automation/v4/flows/5{ENROLL_EXISTING}", TO_BE_IN_CORK_ONCE),
        records=CONTACTS,
    ),
    Story(
        "a request that creates a flow and starts a backfill",
        Request("POST", f"/automation/v4/flows{ENROLL_EXISTING}", TO_BE_IN_CORK_ONCE),
        records=CONTACTS,
        chooses_ids=True,
    ),
    Story("a request that deletes", Request("DELETE", "/crm/v3/objects/contacts/101"), records=ADA),
    Story(
        "a request that associates",
        Request("PUT", f"/crm/v4/objects/contacts/101/associations/default/companies/7?occurredAt={NOW}"),
        records={**ADA, "company/7": {}},
    ),
)

"""JSON Schemas of the API's requests and responses. Unknown keys are allowed everywhere. Those of a flow are stored and
returned."""

from collections.abc import Mapping
from typing import Any

from enrollment.application.event_outcome import Status
from enrollment.application.unprocessed_events import MAX_COUNTED
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.enrollment_counts import DAYS
from enrollment.domain.enrollment.runs import MAX_RECORDS_PER_SECOND, RunKind, RunStatus
from enrollment.domain.flows.rate_limit import PERIODS
from enrollment.domain.operators.record_properties import RecordPropertyType
from enrollment.domain.records.associations import CATEGORIES
from enrollment.domain.records.email import MAX_EMAIL
from enrollment.entrypoints.http_api.endpoint import Schema
from enrollment.serialization.backfills import MAX_CONFIRMED
from enrollment.serialization.event_fields import MAX_CHAIN_PARTS, MAX_NAME, MAX_PROPERTIES, MAX_VALUE_BYTES
from enrollment.serialization.explanations import MAX_EXPLAINED_EVENTS, MAX_PREVIEWED_EVENTS
from enrollment.serialization.flow_documents import MAX_SUMMARIES
from enrollment.serialization.flow_schemas import FLOW_KEYS, FLOW_SCHEMAS
from enrollment.serialization.flows import MAX_RATE
from enrollment.serialization.requests import CONTACT_ID_PROPERTIES, MAX_ID, MAX_INPUTS
from enrollment.serialization.schemas import TIMES, enrollment_schema


def _object(properties: Mapping[str, Schema], *optional: str, description: str | None = None) -> Schema:
    schema: dict[str, Any] = {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": dict(properties),
    }
    return schema if description is None else {"description": description, **schema}


def _list(items: Schema, **rules: Any) -> Schema:
    return {"type": "array", "items": items, **rules}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _page(name: str) -> Schema:
    paging = _object({"next": _object({"after": _TEXT})}, description="Absent on the last page.")
    return _object({"results": _list(_ref(name)), "paging": paging}, "paging")


def _batch(name: str) -> Schema:
    return _object(
        {
            "status": {"const": "COMPLETE"},
            "results": _list(_ref(name)),
            "startedAt": _MOMENT,
            "completedAt": _MOMENT,
            "numErrors": {"type": "integer", "minimum": 1},
            "errors": _list(_ref("BatchError")),
        },
        "numErrors",
        "errors",
    )


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_TOLERANCE: Schema = {"type": "number", "minimum": 0, "maximum": 30, "description": "Minutes."}
_RECORD_TOLERANCE: Schema = {"type": "number", "minimum": 0, "maximum": 1800, "description": "Seconds."}
_SOURCES: Schema = {
    "description": "EventBridge sources from which events are accepted. Empty: every source. The stack's own source is "
    "always accepted.",
    "type": "array",
    "maxItems": 50,
    "items": {"type": "string", "minLength": 1, "maxLength": 256},
}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
# HubSpot's clients write IDs as strings or as numbers.
_ID_OR_EMAIL: Schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_EMAIL}, {"type": "integer"}]}
_INPUT_ID: Schema = {"anyOf": [_ID, {"type": "integer"}]}
_OBJECT_TYPE: Schema = {"type": "string", "pattern": "^[02]-[0-9]{1,16}$"}
_VALUE: Schema = {
    "description": f"A string of at most {MAX_VALUE_BYTES} bytes, a number, a boolean, null, or a list of strings.",
    "anyOf": [
        {"type": "string", "maxLength": MAX_VALUE_BYTES},
        {"type": ["number", "boolean", "null"]},
        {"type": "array", "items": {"type": "string"}},
    ],
}
_PROPERTIES: Schema = {
    "type": "object",
    "maxProperties": MAX_PROPERTIES,
    "propertyNames": {"minLength": 1, "maxLength": MAX_NAME},
    "additionalProperties": _VALUE,
}
_OCCURRED_AT: Schema = {
    "description": "When the change occurred: ISO-8601 with a time zone, epoch seconds, or epoch milliseconds. Now if "
    "absent.",
    "anyOf": [*TIMES, {"type": "null"}],
}
_RECORD: dict[str, Schema] = {
    "id": _TEXT,
    "properties": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    "propertiesWithHistory": {
        "type": "object",
        "additionalProperties": _list(_object({"value": _TEXT, "timestamp": _MOMENT, "sourceType": _TEXT})),
    },
    "createdAt": _MOMENT,
    "updatedAt": _MOMENT,
    "archived": {"const": False},
}
_FLOW_KEYS: dict[str, Schema] = {
    "name": {"type": ["string", "null"], "maxLength": 1000},
    "type": {"enum": ["CONTACT_FLOW", "PLATFORM_FLOW"]},
    "objectTypeId": {"type": "string", "description": "0-1 in a CONTACT_FLOW, any other ID in a PLATFORM_FLOW."},
    "isEnabled": _FLAG,
    **FLOW_KEYS,
    "criteriaTolerance": {"anyOf": [_TOLERANCE, {"type": "null"}]},
    "recordTolerance": {"anyOf": [_RECORD_TOLERANCE, {"type": "null"}]},
    "enrollmentRateLimit": _nullable(
        _object({"count": {"type": "integer", "minimum": 1, "maximum": MAX_RATE}, "period": {"enum": list(PERIODS)}})
    ),
}
_FAULT: dict[str, Schema] = {"reason": _TEXT, "field": _TEXT, "message": _TEXT}
_EVENT_WARNINGS: Schema = {
    "description": "Keys and properties of the event that are ignored, if there are any. They are probably misspelled.",
    **_list(_TEXT),
}
_EXPLAINED_EVENT: dict[str, Schema] = {
    "event": _ref("EventOccurrence"),
    "warnings": _EVENT_WARNINGS,
    "decisions": _list(_ref("Account")),
}
_WARNINGS: Schema = {"description": "Valid settings that are probably not intended.", **_list(_TEXT)}
_SENTENCES: Schema = {"description": "The flow in plain sentences.", **_list(_TEXT)}
_CHANGED_BY: Schema = {
    "description": "Who stored the revision: the ARN of an IAM identity, or a token's subject. Null: not known.",
    "type": ["string", "null"],
}
_ENROLLMENT_TYPE: Schema = {"enum": ["EVENT_BASED", "LIST_BASED", "MANUAL"]}
_FLOW_SUMMARY: dict[str, Schema] = {
    "id": _TEXT,
    "name": {"type": ["string", "null"]},
    "uuid": {},
    "type": _FLOW_KEYS["type"],
    "flowType": {},
    "objectTypeId": _TEXT,
    "revisionId": _TEXT,
    "isEnabled": _FLAG,
    "createdAt": _MOMENT,
    "updatedAt": _MOMENT,
    "enrollmentType": _ENROLLMENT_TYPE,
    "enabledAt": _nullable(_MOMENT),
}
_FLOW_REVISION: dict[str, Schema] = {
    "flowId": _TEXT,
    "revisionId": _TEXT,
    "name": {"type": ["string", "null"]},
    "enrollmentType": {"enum": ["EVENT_BASED", "LIST_BASED", "MANUAL", None]},
    "isEnabled": _FLAG,
    "isDeleted": _FLAG,
    "updatedAt": _MOMENT,
    "changedBy": _CHANGED_BY,
    "explanation": {**_SENTENCES, "description": "Empty: it is a deletion, or this version cannot read it."},
}

_DECISION: dict[str, Schema] = {
    "code": {"enum": [str(code) for code in Code]},
    "flowId": _TEXT,
    "flowRevisionId": _TEXT,
    "because": _TEXT,
    "portalId": _TEXT,
    "objectTypeId": _OBJECT_TYPE,
    "objectId": {"type": ["string", "null"]},
    "eventId": _TEXT,
    "eventType": _TEXT,
    "enrollmentId": _TEXT,
    "dueAt": _MOMENT,
    "groups": _list(
        _object(
            {"groupIndex": {"type": "integer"}, "property": _TEXT, "found": _VALUE, "operation": {"type": "object"}}
        )
    ),
    "filter": _ref("FailedFilter"),
}
_SOMETIMES = ("enrollmentId", "dueAt", "groups", "filter")
_MANUAL: dict[str, Schema] = {
    "chain": {
        "description": "The IDs of the flows that led to the request, if a consumer acts for a flow.",
        "anyOf": [_list(_ID, maxItems=MAX_CHAIN_PARTS), {"type": "null"}],
    },
    "override": {"type": ["boolean", "null"], "description": "true is not supported yet."},
}
_OF_FILTER_BASED = ("enrollmentCriteria", "enrollmentCriteriaBefore")
_RESULT: Schema = _nullable({"anyOf": [_ref("BranchResult"), _ref("FilterResult")]})
_EXPLANATION: dict[str, Schema] = {
    "flowName": _TEXT,
    "failedConditions": {**_list(_TEXT), "description": "The conditions that failed, in words, with the value found."},
    "triggerGroups": _list(_ref("GroupResult")),
    "recordAsOf": {**_nullable(_MOMENT), "description": "The time for which the criteria evaluate the record."},
    "suppression": _RESULT,
    "goal": _RESULT,
    "refinementCriteria": _RESULT,
    "enrollmentCriteria": {
        **_RESULT,
        "description": "Of a filter-based flow: its criteria for the record after the change.",
    },
    "enrollmentCriteriaBefore": {
        **_RESULT,
        "description": "Of a filter-based flow: its criteria for the record just before the change.",
    },
}

_TEST_RESULT: dict[str, Schema] = {
    "objectTypeId": _TEXT,
    "objectId": {"type": ["string", "null"]},
    "passed": _FLAG,
    "refinementCriteria": _nullable(_ref("BranchResult")),
    "enrollmentCriteria": _nullable(_ref("BranchResult")),
    "suppression": _nullable(_ref("BranchResult")),
    "goal": _nullable(_ref("BranchResult")),
}
_NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
_UNPROCESSED: dict[str, Schema] = {
    "id": {"type": "string", "description": "The ID of the message in the queue."},
    "reason": _TEXT,
    "message": _TEXT,
    "field": {**_NULLABLE_TEXT, "description": "The path of the first wrong value in the event."},
    "eventId": _NULLABLE_TEXT,
    "eventType": _NULLABLE_TEXT,
    "objectTypeId": _nullable(_OBJECT_TYPE),
    "objectId": _NULLABLE_TEXT,
    "occurredAt": _nullable(_MOMENT),
    "keptSince": {**_MOMENT, "description": "When the queue received the event. It keeps events for 14 days."},
    "isTruncated": {"type": "boolean", "description": "Whether the message has only a part of the event."},
}

SCHEMAS: dict[str, Schema] = {
    # Flows
    "FlowInput": _object(
        _FLOW_KEYS,
        *(key for key in _FLOW_KEYS if key != "type"),
        description="HubSpot's Automation v4 flow. Every key is stored and returned unchanged.",
    ),
    "FlowChange": _object(
        _FLOW_KEYS
        | {
            "revisionId": {
                "type": ["string", "integer", "null"],
                "description": "The revision that the change is based on. If absent, the flow is created.",
            }
        },
        *(key for key in (*_FLOW_KEYS, "revisionId") if key != "type"),
        description="HubSpot's Automation v4 flow. Every key is stored and returned unchanged.",
    ),
    "Flow": _object(
        {
            "id": _TEXT,
            "revisionId": _TEXT,
            "createdAt": _MOMENT,
            "updatedAt": _MOMENT,
            "crmObjectCreationStatus": {"const": "COMPLETE"},
        }
        | _FLOW_KEYS
        | {"objectTypeId": _TEXT, "warnings": _WARNINGS},
        "name",
        *FLOW_KEYS,
        "criteriaTolerance",
        "recordTolerance",
        "enrollmentRateLimit",
        "warnings",
        description="HubSpot's Automation v4 flow. `warnings` is in the response to a write only, if there are any.",
    ),
    **FLOW_SCHEMAS,
    "FlowSummary": _object(_FLOW_SUMMARY, "name", "uuid"),
    "FlowPage": _page("FlowSummary"),
    "FlowOverviewPage": _page("FlowOverview"),
    "FlowOverview": _object(
        _FLOW_SUMMARY
        | {
            "changedBy": _CHANGED_BY,
            "canRun": {"type": "boolean", "description": "False: this version cannot read the flow."},
            "eventTypes": {
                "description": "The events of the trigger groups. Empty for filter-based and manual flows.",
                **_list(_TEXT),
            },
            "categories": {"description": "The categories of `eventTypes`.", **_list(_TEXT)},
            "explanation": _SENTENCES,
            "warnings": _WARNINGS,
        },
        "name",
        "uuid",
    ),
    "RelistedFlow": _object({"flowId": _TEXT, "flowRevisionId": _TEXT, "name": {"type": ["string", "null"]}}),
    "RelistedFlowPage": _page("RelistedFlow"),
    "FlowActivityQuery": _object({"flowIds": _list(_INPUT_ID, minItems=1, maxItems=MAX_SUMMARIES)}),
    "FlowActivityBatch": _batch("FlowActivity"),
    "FlowActivity": _object(
        {
            "flowId": _TEXT,
            "enrolled": _object(
                {
                    "last24h": _COUNT,
                    "days": {
                        "description": "Enrollments on each of the last days, the current day last.",
                        **_list(_COUNT, minItems=DAYS, maxItems=DAYS),
                    },
                    "since": {**_MOMENT, "description": "When the first of the days began."},
                    "isExact": {"type": "boolean", "description": "False: there are many, and numbers are estimated."},
                }
            ),
            "lastEnrollment": {"description": "Null: there is none.", **_nullable(_ref("Enrollment"))},
            "lastDecision": {
                "description": "On the newest event that can trigger the flow. Null: none is stored, or this version "
                "cannot read the flow.",
                **_nullable(_ref("LastDecision")),
            },
        }
    ),
    "LastDecision": _object(
        {
            "code": _nullable(_DECISION["code"]),
            "because": _TEXT,
            "flowRevisionId": {"type": ["string", "null"], "description": "The revision when the event was sent."},
            "eventId": _TEXT,
            "eventType": _TEXT,
            "occurredAt": _MOMENT,
            "objectTypeId": _OBJECT_TYPE,
            "objectId": {"type": ["string", "null"]},
            "notes": _list(_TEXT),
        }
    ),
    "FlowRevisionPage": _page("FlowRevisionSummary"),
    "FlowRevisionSummary": _object(_FLOW_REVISION),
    "FlowRevision": _object(
        _FLOW_REVISION | {"flow": {"description": "Null: the revision is a deletion.", **_nullable(_ref("Flow"))}}
    ),
    "FlowIds": _object(
        {
            "inputs": _list(
                _object({"flowId": _INPUT_ID, "type": {"const": "FLOW_ID"}}, "type"), minItems=1, maxItems=MAX_INPUTS
            )
        }
    ),
    "FlowBatch": _batch("Flow"),
    "FlowCheck": _object({"explanation": _SENTENCES, "warnings": _WARNINGS}),
    "EnrollmentTestInput": {
        "description": "The ID of a stored record, or the properties of a record.",
        "oneOf": [_object({"objectId": _INPUT_ID}), _object({"properties": _PROPERTIES})],
    },
    "DraftTestInput": {
        "description": "A draft, and the ID of a stored record or the properties of a record.",
        "oneOf": [
            _object({"flow": _ref("FlowInput"), "objectId": _INPUT_ID}),
            _object({"flow": _ref("FlowInput"), "properties": _PROPERTIES}),
        ],
    },
    "EnrollmentTest": _object({"flowId": _TEXT, "flowRevisionId": _TEXT, **_TEST_RESULT}, "enrollmentCriteria"),
    "DraftTest": _object({"flowId": _TEXT, **_TEST_RESULT}, "enrollmentCriteria"),
    "BranchResult": _object(
        {
            "filterBranchType": {"enum": ["AND", "OR", "NOT_ALL", "NOT_ANY"]},
            "filters": _list(_ref("FilterResult")),
            "filterBranches": _list(_ref("BranchResult")),
            "passed": _FLAG,
        }
    ),
    "FilterResult": _object(
        {
            "property": _TEXT,
            "operation": {"type": "object"},
            "expected": {"type": "string", "description": "The operation in words."},
            "found": _VALUE,
            "passed": _FLAG,
            "because": {"type": "string", "description": "Why the value could not be compared, if so."},
            "associated": {
                **_list(_ref("AssociatedFailure")),
                "description": "The first associated records because of which the filter fails.",
            },
        },
        "because",
        "associated",
    ),
    "AssociatedFailure": _object(
        {
            "record": {"type": "string", "description": "The object type ID and the ID, for example 0-2/900."},
            "failure": {
                **_nullable(_ref("FailedFilter")),
                "description": "The first filter that fails. null: the record meets all filters.",
            },
        }
    ),
    # The event history
    "EventOccurrence": _object(
        {
            "objectType": _TEXT,
            "objectId": _TEXT,
            "eventType": _TEXT,
            "eventTypeId": {"type": ["string", "null"]},
            "occurredAt": _MOMENT,
            "sentAt": {**_MOMENT, "description": "When the bus received the event."},
            "source": {"type": "string", "description": "The EventBridge source of the event."},
            "id": _TEXT,
            "properties": {"type": "object", "additionalProperties": _TEXT},
        },
        description="HubSpot's unified event, with `eventTypeId`, `sentAt` and `source`.",
    ),
    "EventPage": _object(
        {
            "results": _list(_ref("EventOccurrence")),
            "paging": _object({"next": _object({"after": _TEXT})}, description="Absent on the last page."),
            "since": {**_MOMENT, "description": "The time from which events are kept."},
        },
        "paging",
    ),
    "Occurred": _object(
        {
            "occurred": _FLAG,
            "count": {"type": "integer", "minimum": 0},
            "first": _nullable(_ref("EventOccurrence")),
            "last": _nullable(_ref("EventOccurrence")),
            "since": {**_MOMENT, "description": "The beginning of the search."},
            "isComplete": _FLAG,
        }
    ),
    "EventValues": _object(
        {
            "eventType": _TEXT,
            "property": _TEXT,
            "values": {
                "description": "The most frequent first.",
                **_list(_object({"value": _TEXT, "events": {"type": "integer", "minimum": 1}})),
            },
            "eventsRead": {**_COUNT, "description": "The number of events in which the values were counted."},
            "since": {**_MOMENT, "description": "The time from which events are kept."},
        }
    ),
    "EventCount": _object(
        {
            "eventType": _TEXT,
            "days": {"type": "integer", "minimum": 1},
            "since": {**_MOMENT, "description": "The earliest time of the events that are counted."},
            "count": _COUNT,
            "isExact": {"type": "boolean", "description": "False: there are more events than were counted."},
        }
    ),
    # Decisions and their explanations
    "SimulationInput": _object(
        {
            "event": {"description": "As EventBridge delivers it, valid or not: see docs/events.md."},
            "flows": _nullable(_list(_ref("FlowInput"), minItems=1, maxItems=MAX_INPUTS)),
            "record": _nullable(_ref("InlineRecord")),
        },
        "flows",
        "record",
    ),
    "InlineRecord": _object(
        {
            "properties": _PROPERTIES,
            "lists": _nullable(_list(_INPUT_ID, maxItems=MAX_INPUTS)),
            "createdAt": _OCCURRED_AT,
        },
        "properties",
        "lists",
        "createdAt",
        description="A record whose values all apply since createdAt. If that is absent, they apply since long ago.",
    ),
    "Simulation": _object(
        {
            "eventId": {"type": ["string", "null"]},
            "decisions": _list(_ref("Explanation")),
            "unprocessed": _object(
                _FAULT | {"faults": {"description": "All faults, if there are several.", **_list(_object(_FAULT))}},
                "faults",
            ),
            "warnings": _EVENT_WARNINGS,
        },
        "decisions",
        "unprocessed",
        "warnings",
    ),
    "Explanation": _object(_DECISION | _EXPLANATION, *_SOMETIMES, *_OF_FILTER_BASED),
    "PreviewInput": _object(
        {
            "flow": _ref("FlowInput"),
            "compareWith": {
                "description": "A saved revision of the draft's flow. The draft then needs the ID of the flow.",
                **_nullable(_object({"revisionId": _INPUT_ID})),
            },
            "occurredAfter": {
                "description": "Only events that occurred then or later.",
                "anyOf": [*TIMES, {"type": "null"}],
            },
            "objectId": {"description": "Only the events of this record.", **_nullable(_INPUT_ID)},
            "details": {
                "type": "boolean",
                "default": False,
                "description": "Return the result of every filter of the draft.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PREVIEWED_EVENTS,
                "default": MAX_INPUTS,
                "description": f"The number of events that are read. With `details` at most {MAX_EXPLAINED_EVENTS}.",
            },
            "after": {"type": ["string", "null"], "description": "`paging.next.after` of the previous page."},
        },
        *("compareWith", "occurredAfter", "objectId", "details", "limit", "after"),
    ),
    "PreviewPage": _object(
        {
            "results": _list(_ref("PreviewedEvent")),
            "paging": _object({"next": _object({"after": _TEXT})}, description="Absent on the last page."),
            "isOnce": {"type": "boolean", "description": "Whether a record enters the flow only once."},
            "since": {**_MOMENT, "description": "The earliest time of the events that are read."},
            "eventsRead": {**_COUNT, "description": "The events of the page, also those without a decision."},
            "comparedIsOnce": {"type": "boolean", "description": "`isOnce` of the compared revision."},
            "comparedRevisionId": _TEXT,
            "comparedIsEnabled": {"type": "boolean", "description": "Whether the compared revision is turned on."},
        },
        *("paging", "comparedIsOnce", "comparedRevisionId", "comparedIsEnabled"),
    ),
    "PreviewedEvent": _object(
        _DECISION
        | _EXPLANATION
        | {
            "code": {**_nullable(_DECISION["code"]), "description": "Null: the event does not trigger the draft."},
            "occurredAt": _MOMENT,
            "compared": {
                "description": "The decision of the compared revision. Null: the event does not trigger it.",
                **_nullable(_ref("ImpactOutcome")),
            },
        },
        *_SOMETIMES,
        *(key for key in _EXPLANATION if key != "failedConditions"),
        "compared",
        description="The results of the filters are there with `details`, and `compared` with `compareWith`.",
    ),
    "ImpactInput": _object(
        {
            "flow": _ref("FlowInput"),
            "since": {"type": ["string", "integer", "null"], "description": "Only events that occurred then or later."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_INPUTS, "default": MAX_INPUTS},
            "after": {"type": ["string", "null"], "description": "`paging.next.after` of the previous page."},
        },
        "since",
        "limit",
        "after",
    ),
    "ImpactPage": _object(
        {
            "results": _list(
                _object(
                    {
                        "eventId": _TEXT,
                        "eventType": _TEXT,
                        "occurredAt": _MOMENT,
                        "objectTypeId": _OBJECT_TYPE,
                        "objectId": _TEXT,
                        "draft": _nullable(_ref("ImpactOutcome")),
                        "saved": _nullable(_ref("ImpactOutcome")),
                    }
                )
            ),
            "paging": _object({"next": _object({"after": _TEXT})}, description="Absent on the last page."),
            "since": {**_MOMENT, "description": "The earliest time of the events that are compared."},
            "draftIsOnce": {"type": "boolean", "description": "Whether a record enters the draft only once."},
            "savedIsOnce": {"type": ["boolean", "null"], "description": "The same for the saved revision."},
            "savedRevisionId": {"type": ["string", "null"], "description": "Null: the flow is not saved."},
            "savedIsEnabled": {"type": ["boolean", "null"], "description": "Whether the saved revision is on now."},
        },
        "paging",
    ),
    "ImpactOutcome": _object(
        {
            "code": _DECISION["code"],
            "because": _TEXT,
            "failedConditions": _EXPLANATION["failedConditions"],
        }
    ),
    "AccountPage": _object(
        {
            "results": _list(_ref("ExplainedEvent")),
            "paging": _object({"next": _object({"after": _TEXT})}, description="Absent on the last page."),
            "since": {**_MOMENT, "description": "The time from which events are kept."},
            "eventTypes": {**_list(_TEXT), "description": "The types of events that trigger the flow of `flowId`."},
            "requested": {
                **_list(_ref("ExplainedEvent")),
                "description": "Manual enrollments and those by backfills, newest first. Requests that enrolled no "
                "record are not stored.",
            },
            "backfills": _ref("RecordBackfills"),
        },
        "paging",
        "eventTypes",
        "requested",
        "backfills",
    ),
    "RecordBackfills": _object(
        {
            "runs": _list(
                _object(
                    {
                        "runId": _TEXT,
                        "status": {"enum": [status.value for status in RunStatus]},
                        "isDryRun": _FLAG,
                        "startedAt": _MOMENT,
                        "isEnrolled": {**_FLAG, "description": "Whether the run enrolled the record."},
                        "because": _TEXT,
                    }
                )
            ),
            "now": {
                **_nullable(_object({"code": _DECISION["code"], "because": _TEXT, "failedConditions": _list(_TEXT)})),
                "description": "What a backfill would decide on the record as it is now. null if the flow takes none.",
            },
        },
        description="The latest runs of the flow of `flowId`. A run keeps counts, and no decision on a record.",
    ),
    "Activity": _object(
        {
            "results": _list(_ref("RecentEvent")),
            "more": {"type": "integer", "minimum": 0, "description": "The number of further events."},
            "isTruncated": {"type": "boolean", "description": "Whether there are more events than were counted."},
            "since": {**_MOMENT, "description": "The earliest time that was searched."},
            "minutes": {
                "description": "The number of events by minute, newest first. Minutes without events are left out.",
                **_list(_object({"start": _MOMENT, "events": {"type": "integer", "minimum": 1}})),
            },
            "eventTypes": {**_list(_TEXT), "description": "The event types that were searched."},
            "omittedEventTypes": {**_list(_TEXT), "description": "Types that trigger the flow and were not searched."},
        }
    ),
    "RecentEvent": _object(
        _EXPLAINED_EVENT,
        "warnings",
        "decisions",
        description="`decisions` is absent if the request does not ask for it.",
    ),
    "Outcome": _object(
        {
            "eventId": _TEXT,
            "status": {"enum": [status.value for status in Status]},
            "results": _list(
                _object(
                    _EXPLAINED_EVENT
                    | {
                        "status": {"enum": [status.value for status in Status if status is not Status.UNKNOWN]},
                        "waitingUntil": {**_MOMENT, "description": "When the last deferred decision becomes final."},
                    },
                    "warnings",
                    "waitingUntil",
                )
            ),
            "since": {**_MOMENT, "description": "The time from which events are kept."},
        }
    ),
    "ExplainedEvent": _object(
        _EXPLAINED_EVENT,
        "warnings",
    ),
    "Account": _object(
        _DECISION
        | _EXPLANATION
        | {
            "code": _nullable(_DECISION["code"]),
            "flowRevisionId": {"type": ["string", "null"], "description": "The revision when the event was sent."},
            "currentFlowRevisionId": _TEXT,
            "enrollment": _nullable(_ref("Enrollment")),
            "notes": {**_list(_TEXT), "description": "Limits of the explanation, and related facts."},
            "isComplete": {
                "type": "boolean",
                "description": "False: data that the explanation needs is no longer stored. A note says which.",
            },
        },
        *_SOMETIMES,
        *_OF_FILTER_BASED,
        *("portalId", "objectTypeId", "objectId", "eventId", "eventType"),
    ),
    "FailedFilter": _object(
        {
            "property": _TEXT,
            "found": _VALUE,
            "operation": {"type": "object"},
            "expected": {"type": "string", "description": "The operation in words."},
            "associated": _list(_ref("AssociatedFailure")),
        },
        "expected",
        "associated",
    ),
    # Manual enrollments
    "ManualEnrollmentInput": {
        "description": "A record of the flow's object type, or a batch.",
        "oneOf": [
            _object({"objectId": _INPUT_ID, **_MANUAL}, *_MANUAL),
            _object(
                {"inputs": _list(_object({"objectId": _INPUT_ID}), minItems=1, maxItems=MAX_INPUTS), **_MANUAL},
                *_MANUAL,
            ),
        ],
    },
    "EnrollmentSimulation": _object({"results": _list(_ref("Explanation"))}),
    "EnrollmentDecision": _object(_DECISION, *_SOMETIMES),
    "ManualEnrollment": {
        "description": "The decision on the record, or those on the records of a batch, each once.",
        "anyOf": [_ref("EnrollmentDecision"), _batch("EnrollmentDecision")],
    },
    "GroupResult": _object(
        {
            "groupIndex": {"type": "integer"},
            "eventType": _TEXT,
            "isConcerned": {"type": "boolean", "description": "Whether the event has the group's event type."},
            "filters": _list(_ref("FilterResult")),
            "passed": _FLAG,
        }
    ),
    # The catalog
    "EventTypes": _object({"results": _list(_ref("EventType"))}),
    "EventType": _object(
        {
            "eventType": _TEXT,
            "category": _TEXT,
            "label": _TEXT,
            "eventTypeIds": _list(_TEXT),
            "flowTypes": _list({"enum": ["CONTACT_FLOW", "PLATFORM_FLOW"]}),
            "objectTypes": _TEXT,
            "writtenIn": {"enum": ["eventFilterBranches", "listMembershipFilterBranches"]},
            "properties": _list(
                _object(
                    {
                        "name": _TEXT,
                        "label": _TEXT,
                        "type": {"enum": ["STRING", "ENUMERATION", "NUMBER", "BOOL", "DATETIME", "ANY"]},
                        "options": _list(_TEXT),
                        "operations": _list(
                            _object({"operationType": _TEXT, "operators": _list(_TEXT), "operands": _list(_TEXT)})
                        ),
                    }
                )
            ),
        }
    ),
    "Portal": _object(
        {
            "portalId": _TEXT,
            "caller": _TEXT,
            "scopes": _list(_TEXT),
            "timeZone": _TEXT,
            "criteriaTolerance": _TOLERANCE,
            "recordTolerance": _RECORD_TOLERANCE,
            "allowedSources": _SOURCES,
            "stack": {"type": "string", "description": "The name of the CloudFormation stack."},
            "region": {"type": "string", "description": "The AWS region of the stack."},
            "isLocal": {"type": "boolean", "description": "Whether this is the local run, on an emulated AWS."},
            "historyDays": {
                "type": "integer",
                "minimum": 0,
                "description": "How many days events are stored. 0: they are not.",
            },
            "historyLength": {
                "type": "integer",
                "minimum": 0,
                "description": "How many earlier values each property of a record keeps.",
            },
            "features": {
                "description": "Optional functions that are on. `eventHistory`: events are stored. `findEventsById`: "
                "an event is found by its ID alone.",
                **_list(_TEXT),
            },
        }
    ),
    "PortalInput": _object(
        {
            "timeZone": {"type": "string", "description": "An IANA time zone, for example Europe/Dublin."},
            "criteriaTolerance": _TOLERANCE,
            "recordTolerance": _RECORD_TOLERANCE,
            "allowedSources": _SOURCES,
        },
        "timeZone",
        "criteriaTolerance",
        "recordTolerance",
        "allowedSources",
    ),
    # Records
    "RecordInput": _object({"properties": _PROPERTIES, "occurredAt": _OCCURRED_AT}, "properties", "occurredAt"),
    "Record": _object(_RECORD, "propertiesWithHistory"),
    "RecordIds": _object(
        {
            "inputs": _list(_object({"id": _ID_OR_EMAIL}), minItems=1, maxItems=MAX_INPUTS),
            "idProperty": {"enum": [*CONTACT_ID_PROPERTIES, None], "description": "`email` is for contacts only."},
            "properties": _nullable(_list(_TEXT)),
            "propertiesWithHistory": _nullable(_list(_TEXT)),
        },
        "idProperty",
        "properties",
        "propertiesWithHistory",
    ),
    "RecordBatch": _batch("Record"),
    "Inputs": _object({"inputs": _list(_object({"id": _INPUT_ID}), minItems=1, maxItems=MAX_INPUTS)}),
    "WholeRecordBatch": _batch("WholeRecord"),
    "EnrollmentsQuery": _object(
        {
            "objectId": _INPUT_ID,
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_INPUTS, "default": 20},
            "after": _nullable(_TEXT),
        },
        "limit",
        "after",
    ),
    "Upserts": _object(
        {
            "inputs": _list(
                _object(
                    {"id": _INPUT_ID, "properties": _PROPERTIES, "occurredAt": _OCCURRED_AT}, "properties", "occurredAt"
                ),
                minItems=1,
                maxItems=MAX_INPUTS,
            )
        }
    ),
    "UpsertedRecord": _object(_RECORD | {"new": _FLAG}, "propertiesWithHistory"),
    "UpsertedBatch": _batch("UpsertedRecord"),
    "WholeRecord": _object(
        {
            "portalId": _TEXT,
            "objectTypeId": _OBJECT_TYPE,
            "objectId": _TEXT,
            "createdAt": _MOMENT,
            "properties": {
                "type": "object",
                "additionalProperties": _object({"value": _VALUE, "changedAt": _MOMENT}),
            },
            "lists": _list(_object({"listId": _TEXT, "isMember": _FLAG, "changedAt": _MOMENT})),
        }
    ),
    "Ids": _list(_INPUT_ID, minItems=1, maxItems=MAX_INPUTS),
    "MembershipsInput": _object(
        {
            "recordIdsToAdd": _list(_INPUT_ID, maxItems=MAX_INPUTS),
            "recordIdsToRemove": _list(_INPUT_ID, maxItems=MAX_INPUTS),
        },
        "recordIdsToAdd",
        "recordIdsToRemove",
    ),
    "MembershipChanges": _object(
        {"recordsIdsAdded": _list(_TEXT), "recordIdsRemoved": _list(_TEXT), "recordIdsMissing": _list(_TEXT)}
    ),
    "AssociationTypes": _list(
        _object(
            {
                "associationCategory": {"enum": list(CATEGORIES)},
                "associationTypeId": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
            }
        ),
        minItems=1,
        maxItems=50,
    ),
    "Association": _object(
        {
            "toObjectId": _TEXT,
            "associationTypes": _list(
                _object(
                    {"category": {"enum": list(CATEGORIES)}, "typeId": {"type": "integer"}, "label": {"type": "null"}}
                )
            ),
        }
    ),
    "AssociationPage": _page("Association"),
    "LabelsBetweenRecords": _object(
        {
            "fromObjectTypeId": _TEXT,
            "fromObjectId": _TEXT,
            "toObjectTypeId": _TEXT,
            "toObjectId": _TEXT,
            "labels": _list(_TEXT),
        }
    ),
    "AssociatedRecords": _object(
        {
            "from": _object({"id": _TEXT}),
            "to": _object({"id": _TEXT}),
            "associationSpec": _object({"associationCategory": _TEXT, "associationTypeId": {"type": "integer"}}),
        }
    ),
    "AssociatedBatch": _batch("AssociatedRecords"),
    # Properties of records
    "RecordProperties": _object({"results": _list(_ref("RecordProperty"))}),
    "RecordProperty": _object(
        {
            "name": _TEXT,
            "label": _TEXT,
            "type": {"enum": [str(known) for known in RecordPropertyType]},
            "fieldType": {"type": "string", "description": "HubSpot's form field for the type."},
            "options": {
                "description": "The values that HubSpot documents. Empty if the account defines them.",
                **_list(
                    _object({"label": _TEXT, "value": _TEXT, "displayOrder": {"type": "integer"}, "hidden": _FLAG})
                ),
            },
            "hubspotDefined": {"const": True},
            "archived": {"const": False},
            "operations": {
                "description": "The operations that suit the type, the most usual first.",
                **_list(
                    _object(
                        {
                            "operationType": _TEXT,
                            "operators": _list(_TEXT),
                            "operands": _list(_TEXT),
                            "optionalOperands": _list(_TEXT),
                        }
                    )
                ),
            },
        },
        description="A property in the shape of HubSpot's properties API, with `operations`.",
    ),
    # Enrollments
    "EnrollmentPage": _page("Enrollment"),
    # Backfills
    "BackfillInput": _object(
        {
            "dryRun": _FLAG,
            "recordsPerSecond": _nullable({"type": "integer", "minimum": 1, "maximum": MAX_RECORDS_PER_SECOND}),
            "dryRunId": _nullable(_INPUT_ID),
            "confirm": _nullable({"type": "integer", "minimum": 0, "maximum": MAX_CONFIRMED}),
        },
        "recordsPerSecond",
        "dryRunId",
        "confirm",
    ),
    "BackfillPage": _page("Backfill"),
    "Backfill": _object(
        {
            "id": _TEXT,
            "kind": {"enum": [kind.value for kind in RunKind]},
            "flowId": _TEXT,
            "flowRevisionId": _TEXT,
            "objectTypeId": _TEXT,
            "isDryRun": _FLAG,
            "status": {"enum": [status.value for status in RunStatus]},
            "because": {"type": "string", "description": "Why it was paused, cancelled or failed. Empty: on request."},
            "recordsPerSecond": _nullable({"type": "integer", "minimum": 1}),
            "records": {"type": "integer", "minimum": 0, "description": "Records of the type at the start."},
            "evaluated": {"type": "integer", "minimum": 0},
            "decisions": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
            "startedBy": _TEXT,
            "startedAt": _MOMENT,
            "endedAt": _nullable(_MOMENT),
        }
    ),
    # Replays
    "ReplayInput": _object(
        {
            "flowIds": _nullable(_list(_INPUT_ID, minItems=1, maxItems=MAX_INPUTS)),
            "eventTypes": _nullable(_list(_TEXT, minItems=1, maxItems=MAX_INPUTS)),
            "isDryRun": _FLAG,
        },
        "flowIds",
        "eventTypes",
    ),
    "Replay": _object(
        {
            "name": _TEXT,
            "portalId": _TEXT,
            "flowIds": _nullable(_list(_TEXT)),
            "eventTypes": _list(_TEXT),
            "isDryRun": _FLAG,
            "createdAt": _MOMENT,
            "expiresAt": _MOMENT,
        }
    ),
    "ReplayCounts": _page("ReplayCount"),
    "ReplayCount": _object(
        {
            "flowId": _TEXT,
            "events": {"type": "integer", "minimum": 1},
            "decisions": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        }
    ),
    # Unprocessed events
    "UnprocessedPage": _object(
        {
            "results": _list(_ref("UnprocessedSummary")),
            "paging": _object({"next": _object({"after": _TEXT})}, description="Absent on the last page."),
            "isComplete": {"type": "boolean", "description": "Whether all messages of the queue were read."},
        },
        "paging",
    ),
    "UnprocessedCount": _object(
        {
            "count": {"type": "integer", "minimum": 0, "maximum": MAX_COUNTED},
            "isExact": {"type": "boolean", "description": "Whether there are no more."},
        }
    ),
    "UnprocessedSummary": _object(_UNPROCESSED),
    "UnprocessedEvent": _object(
        _UNPROCESSED
        | {
            "event": {
                "description": "The event as EventBridge delivered it, valid or not. A text if JSON cannot hold it: it "
                "is nested too deeply, or has a number that is too large."
            },
            "truncated": {"description": "The size, the beginning and the place of an event that is too large."},
        },
        "truncated",
    ),
    # Errors
    "Error": _object(
        {
            "status": {"const": "error"},
            "message": _TEXT,
            "correlationId": _TEXT,
            "category": _TEXT,
            "errors": _list(_ref("ErrorDetail")),
        },
        "errors",
        description="HubSpot's error envelope.",
    ),
    "ErrorDetail": _object(
        {
            "message": _TEXT,
            "in": {"type": "string", "description": "The JSON path or the name of the parameter."},
            "code": {"type": "string", "description": "A stable code, for programs."},
            "context": {"type": "object", "additionalProperties": _list(_TEXT)},
        }
    ),
    "BatchError": _object(
        {
            "status": {"const": "error"},
            "category": _TEXT,
            "message": _TEXT,
            "context": _object({"ids": _list(_TEXT)}),
            "errors": _list(_ref("ErrorDetail")),
        },
        "errors",
    ),
}


def _enrollment() -> Schema:
    whole = enrollment_schema()
    text = {key: whole[key] for key in ("type", "description")}
    due = {**_MOMENT, "description": "When it is published, if the flow's rate limit delays it."}
    properties = whole["properties"] | {"isPublished": _FLAG, "isAnnounced": _FLAG, "dueAt": due}
    trigger = dict(properties["trigger"])
    trigger["properties"] = trigger["properties"] | {"properties": {"type": "object", "additionalProperties": _VALUE}}
    return (
        text
        | {"required": [*whole["required"], "isPublished", "isAnnounced"]}
        | {"properties": properties | {"trigger": trigger}}
    )


SCHEMAS["Enrollment"] = _enrollment()

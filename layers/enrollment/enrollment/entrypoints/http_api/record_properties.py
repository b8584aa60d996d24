"""Serve `/crm/v3/properties/{objectType}`: the properties of records that an editor of criteria offers."""

from enrollment.catalog.record_property_definitions import DEFAULT_DEFINITIONS
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Reply, Request, Services
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.record_properties import write_record_property
from enrollment.serialization.requests import read_object_type
from enrollment.serialization.validation_errors import format_value, suggestion


def list_record_properties(services: Services, request: Request) -> Reply:
    """List HubSpot's default properties of an object type, in the order of their labels."""
    definitions = DEFAULT_DEFINITIONS.get(read_object_type(request.path["objectType"]), {})
    return Reply(200, {"results": [write_record_property(known) for known in definitions.values()]})


def get_record_property(services: Services, request: Request) -> Reply:
    """Return a default property of an object type. Raises RouteNotFound."""
    object_type_id = read_object_type(request.path["objectType"])
    definitions, name = DEFAULT_DEFINITIONS.get(object_type_id, {}), request.path["propertyName"]
    known = definitions.get(name.lower())
    if known is None:
        raise RouteNotFound(
            f"no default property {format_value(name)} of {object_type_id}{suggestion(name.lower(), definitions)}"
        )
    return Reply(200, write_record_property(known))


_CONTACTS = {"objectType": "contacts"}

ENDPOINTS = (
    Endpoint(
        "listRecordProperties",
        "GET",
        "/crm/v3/properties/{objectType}",
        "List the default properties of an object type, with their operators",
        list_record_properties,
        {200: "RecordProperties"},
        description="Returns HubSpot's default properties of contacts, companies, deals and tickets, in the shape of "
        "HubSpot's properties API. `operations` has what an editor offers for the type of the property. Records may "
        "have other properties, and criteria may use them too. For other object types the list is empty.",
        example=Example(path=_CONTACTS),
    ),
    Endpoint(
        "readRecordProperty",
        "GET",
        "/crm/v3/properties/{objectType}/{propertyName}",
        "Get a default property of an object type",
        get_record_property,
        {200: "RecordProperty"},
        example=Example(path={**_CONTACTS, "propertyName": "lifecyclestage"}),
    ),
)

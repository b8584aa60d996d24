"""HubSpot's default properties with their types, labels and options. A property without an entry is a text, and its
label is its name in words."""

from collections.abc import Mapping
from types import MappingProxyType

from enrollment.catalog.record_properties import DEFAULT_PROPERTIES
from enrollment.domain.operators.record_properties import RecordProperty, RecordPropertyType

_NUMBERS = frozenset(
    {
        "amount", "amount_in_home_currency", "days_to_close", "founded_year", "hs_acv", "hs_analytics_num_page_views",
        "hs_analytics_num_visits", "hs_arr", "hs_closed_amount", "hs_deal_stage_probability", "hs_email_bounce",
        "hs_email_click", "hs_email_delivered", "hs_email_open", "hs_forecast_amount", "hs_forecast_probability",
        "hs_mrr", "hs_num_child_companies", "hs_num_open_deals", "hs_parent_company_id", "hs_projected_amount",
        "hs_tcv", "hubspotscore", "num_associated_contacts", "num_associated_deals", "num_contacted_notes",
        "num_conversion_events", "num_notes", "num_unique_conversion_events", "numberofemployees",
        "recent_deal_amount", "time_to_close", "time_to_first_agent_reply", "total_revenue", "associatedcompanyid",
        "hs_object_id",
    }
)  # fmt: skip

_DATETIMES = frozenset(
    {
        "closed_date", "closedate", "createdate", "first_agent_reply_date", "first_contact_createdate",
        "first_conversion_date", "first_deal_created_date", "hs_analytics_first_timestamp",
        "hs_analytics_last_timestamp", "hs_createdate", "hs_email_last_click_date", "hs_email_last_open_date",
        "hs_email_last_send_date", "hs_lastmodifieddate", "hubspot_owner_assigneddate", "last_reply_date",
        "lastmodifieddate", "notes_last_contacted", "notes_last_updated", "notes_next_activity_date",
        "recent_conversion_date", "recent_deal_close_date",
    }
)  # fmt: skip

_BOOLS = frozenset(
    {
        "hs_email_optout", "hs_is_closed", "hs_is_closed_won", "hs_sequences_is_enrolled", "hs_target_account",
        "is_public",
    }
)  # fmt: skip

_ENUMERATIONS = frozenset(
    {
        "deal_currency_code", "hs_ideal_customer_profile", "hs_ip_timezone", "hs_language",
        "hs_legal_basis", "hs_object_source", "hs_persona", "hs_pipeline", "hs_pipeline_stage", "hs_resolution",
        "hs_timezone", "hubspot_owner_id", "hubspot_team_id", "pipeline", "source_type", "web_technologies",
    }
)  # fmt: skip

_PHONES = frozenset({"mobilephone", "phone"})

# The labels that differ from the name in words.
_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "about_us": "About us", "address2": "Street address 2", "address": "Street address",
        "amount_in_home_currency": "Amount in company currency", "annualrevenue": "Annual revenue",
        "associatedcompanyid": "Primary associated company ID", "closedate": "Close date", "company": "Company name",
        "content": "Ticket description", "country": "Country/region", "createdate": "Create date",
        "dealname": "Deal name", "dealstage": "Deal stage", "dealtype": "Deal type", "deal_currency_code": "Currency",
        "domain": "Company domain name", "fax": "Fax number", "firstname": "First name",
        "founded_year": "Year founded", "hs_acv": "Annual contract value", "hs_analytics_num_page_views":
        "Number of pageviews", "hs_analytics_num_visits": "Number of sessions",
        "hs_analytics_first_timestamp": "Time first seen", "hs_analytics_last_timestamp": "Time of last session",
        "hs_analytics_source": "Original source", "hs_analytics_source_data_1": "Original source drill-down 1",
        "hs_analytics_source_data_2": "Original source drill-down 2", "hs_arr": "Annual recurring revenue",
        "hs_createdate": "Object create date/time", "hs_email_bounce": "Marketing emails bounced",
        "hs_email_click": "Marketing emails clicked", "hs_email_delivered": "Marketing emails delivered",
        "hs_email_open": "Marketing emails opened", "hs_email_optout": "Unsubscribed from all email",
        "hs_is_closed": "Is deal closed?", "hs_is_closed_won": "Is closed won",
        "hs_lastmodifieddate": "Object last modified date/time", "hs_language": "Preferred language",
        "hs_legal_basis": "Legal basis for processing contact's data",
        "hs_marketable_status": "Marketing contact status", "hs_mrr": "Monthly recurring revenue",
        "hs_object_id": "Record ID", "hs_object_source": "Record source", "hs_parent_company_id": "Parent company",
        "hs_sequences_is_enrolled": "Currently in sequence", "hs_tcv": "Total contract value",
        "hs_ticket_category": "Category", "hs_ticket_priority": "Priority", "hs_priority": "Priority",
        "hubspot_owner_assigneddate": "Owner assigned date", "hubspot_owner_id": "Owner",
        "hubspot_team_id": "HubSpot team", "hubspotscore": "HubSpot score", "ip_city": "IP city",
        "ip_country": "IP country", "ip_state": "IP state/region", "hs_ip_timezone": "IP timezone",
        "jobtitle": "Job title", "lastmodifieddate": "Last modified date", "lastname": "Last name",
        "lifecyclestage": "Lifecycle stage", "mobilephone": "Mobile phone number", "name": "Name",
        "notes_last_contacted": "Last contacted", "notes_last_updated": "Last activity date",
        "notes_next_activity_date": "Next activity date", "num_associated_contacts": "Number of associated contacts",
        "num_associated_deals": "Number of associated deals", "num_contacted_notes": "Number of times contacted",
        "num_conversion_events": "Number of form submissions", "num_notes": "Number of sales activities",
        "num_unique_conversion_events": "Number of unique forms submitted", "numberofemployees":
        "Number of employees", "numemployees": "Number of employees", "phone": "Phone number",
        "state": "State/region", "subject": "Ticket name", "timezone": "Time zone", "twitterhandle": "Twitter handle",
        "website": "Website URL", "zip": "Postal code",
    }
)  # fmt: skip

_SOURCES = (
    ("ORGANIC_SEARCH", "Organic search"), ("PAID_SEARCH", "Paid search"), ("EMAIL_MARKETING", "Email marketing"),
    ("SOCIAL_MEDIA", "Organic social"), ("REFERRALS", "Referrals"), ("OTHER_CAMPAIGNS", "Other campaigns"),
    ("DIRECT_TRAFFIC", "Direct traffic"), ("OFFLINE", "Offline sources"), ("PAID_SOCIAL", "Paid social"),
    ("AI_REFERRALS", "AI referrals"),
)  # fmt: skip
_PRIORITIES = (("LOW", "Low"), ("MEDIUM", "Medium"), ("HIGH", "High"))
_OPTIONS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "dealstage": (
            ("appointmentscheduled", "Appointment scheduled"), ("qualifiedtobuy", "Qualified to buy"),
            ("presentationscheduled", "Presentation scheduled"), ("decisionmakerboughtin", "Decision maker bought-in"),
            ("contractsent", "Contract sent"), ("closedwon", "Closed won"), ("closedlost", "Closed lost"),
        ),
        "dealtype": (("newbusiness", "New business"), ("existingbusiness", "Existing business")),
        "hs_analytics_source": _SOURCES,
        "hs_lead_status": (
            ("NEW", "New"), ("OPEN", "Open"), ("IN_PROGRESS", "In progress"), ("OPEN_DEAL", "Open deal"),
            ("UNQUALIFIED", "Unqualified"), ("ATTEMPTED_TO_CONTACT", "Attempted to contact"),
            ("CONNECTED", "Connected"), ("BAD_TIMING", "Bad timing"),
        ),
        "hs_marketable_status": (("true", "Marketing contact"), ("false", "Non-marketing contact")),
        "hs_priority": (("low", "Low"), ("medium", "Medium"), ("high", "High")),
        "hs_ticket_category": (
            ("PRODUCT_ISSUE", "Product issue"), ("BILLING_ISSUE", "Billing issue"),
            ("FEATURE_REQUEST", "Feature request"), ("GENERAL_INQUIRY", "General inquiry"),
        ),
        "hs_ticket_priority": (*_PRIORITIES, ("URGENT", "Urgent")),
        "lifecyclestage": (
            ("subscriber", "Subscriber"), ("lead", "Lead"), ("marketingqualifiedlead", "Marketing qualified lead"),
            ("salesqualifiedlead", "Sales qualified lead"), ("opportunity", "Opportunity"), ("customer", "Customer"),
            ("evangelist", "Evangelist"), ("other", "Other"),
        ),
        "type": (
            ("PROSPECT", "Prospect"), ("PARTNER", "Partner"), ("RESELLER", "Reseller"), ("VENDOR", "Vendor"),
            ("OTHER", "Other"),
        ),
    }
)  # fmt: skip


def _property(name: str, object_type_id: str) -> RecordProperty:
    label = _LABELS.get(name) or name.removeprefix("hs_").replace("_", " ").capitalize()
    options = _OPTIONS.get(name, ())
    return RecordProperty(name, label, _type(name, object_type_id, has_options=bool(options)), options)


def _type(name: str, object_type_id: str, *, has_options: bool) -> RecordPropertyType:
    # A contact's annual revenue is a text in HubSpot, and a company's is a number.
    if name in _NUMBERS or (name == "annualrevenue" and object_type_id == "0-2"):
        return RecordPropertyType.NUMBER
    if name in _DATETIMES:
        return RecordPropertyType.DATETIME
    if name in _BOOLS:
        return RecordPropertyType.BOOL
    if has_options or name in _ENUMERATIONS:
        return RecordPropertyType.ENUMERATION
    return RecordPropertyType.PHONE_NUMBER if name in _PHONES else RecordPropertyType.STRING


# By object type ID and name, in the order of the labels.
DEFAULT_DEFINITIONS: Mapping[str, Mapping[str, RecordProperty]] = MappingProxyType(
    {
        object_type_id: {
            known.name: known
            for known in sorted(
                (_property(name, object_type_id) for name in names), key=lambda each: (each.label.lower(), each.name)
            )
        }
        for object_type_id, names in DEFAULT_PROPERTIES.items()
    }
)

"""HubSpot's default properties of the standard objects, by their internal names, to detect misspelt properties.

Records may have other properties. Every account has these, and most criteria use them.
"""

from collections.abc import Mapping
from types import MappingProxyType

_EVERY = (
    "createdate", "hs_createdate", "hs_lastmodifieddate", "hs_object_id", "hs_object_source", "hubspot_owner_id",
    "hubspot_team_id", "hubspot_owner_assigneddate",
)  # fmt: skip

_CONTACT = (
    "address", "annualrevenue", "associatedcompanyid", "city", "closedate", "company", "company_size", "country",
    "date_of_birth", "days_to_close", "degree", "email", "fax", "field_of_study", "first_conversion_date",
    "first_conversion_event_name", "first_deal_created_date", "firstname", "gender", "graduation_date",
    "hs_analytics_source", "hs_analytics_source_data_1", "hs_analytics_source_data_2", "hs_analytics_num_page_views",
    "hs_analytics_num_visits", "hs_analytics_first_timestamp", "hs_analytics_last_timestamp", "hs_email_bounce",
    "hs_email_click", "hs_email_delivered", "hs_email_domain", "hs_email_last_click_date", "hs_email_last_open_date",
    "hs_email_last_send_date", "hs_email_open", "hs_email_optout", "hs_ip_timezone", "hs_language", "hs_lead_status",
    "hs_legal_basis", "hs_marketable_status", "hs_persona", "hs_sequences_is_enrolled", "hs_timezone",
    "hubspotscore", "industry", "ip_city", "ip_country", "ip_state", "job_function", "jobtitle", "lastmodifieddate",
    "lastname", "lifecyclestage", "marital_status", "message", "mobilephone", "notes_last_contacted",
    "notes_last_updated", "notes_next_activity_date", "num_associated_deals", "num_conversion_events", "num_notes",
    "num_unique_conversion_events", "numemployees", "phone", "recent_conversion_date",
    "recent_conversion_event_name", "recent_deal_amount", "recent_deal_close_date", "relationship_status",
    "salutation", "school", "seniority", "start_date", "state", "total_revenue", "twitterhandle", "website",
    "work_email", "zip",
)  # fmt: skip

_COMPANY = (
    "about_us", "address", "address2", "annualrevenue", "city", "closedate", "country", "days_to_close",
    "description", "domain", "facebook_company_page", "founded_year", "first_contact_createdate",
    "first_deal_created_date", "hs_analytics_source", "hs_ideal_customer_profile", "hs_lead_status",
    "hs_num_child_companies", "hs_num_open_deals", "hs_parent_company_id", "hs_target_account", "industry",
    "is_public", "lifecyclestage", "linkedin_company_page", "name", "notes_last_contacted", "notes_last_updated",
    "num_associated_contacts", "num_associated_deals", "numberofemployees", "phone", "recent_deal_amount",
    "recent_deal_close_date", "state", "timezone", "total_money_raised", "total_revenue", "twitterhandle", "type",
    "web_technologies", "website", "zip",
)  # fmt: skip

_DEAL = (
    "amount", "amount_in_home_currency", "closed_lost_reason", "closed_won_reason", "closedate", "days_to_close",
    "dealname", "dealstage", "dealtype", "deal_currency_code", "description", "hs_acv", "hs_analytics_source",
    "hs_arr", "hs_closed_amount", "hs_deal_stage_probability", "hs_forecast_amount", "hs_forecast_probability",
    "hs_is_closed", "hs_is_closed_won", "hs_mrr", "hs_next_step", "hs_priority", "hs_projected_amount", "hs_tcv",
    "notes_last_contacted", "notes_last_updated", "num_associated_contacts", "num_contacted_notes", "num_notes",
    "pipeline",
)  # fmt: skip

_TICKET = (
    "closed_date", "content", "first_agent_reply_date", "hs_pipeline", "hs_pipeline_stage", "hs_resolution",
    "hs_ticket_category", "hs_ticket_priority", "last_reply_date", "source_type", "subject", "time_to_close",
    "time_to_first_agent_reply",
)  # fmt: skip

DEFAULT_PROPERTIES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        object_type: frozenset((*_EVERY, *names))
        for object_type, names in (("0-1", _CONTACT), ("0-2", _COMPANY), ("0-3", _DEAL), ("0-5", _TICKET))
    }
)

"""Portals of any size and their traffic: event types by Zipf's law; ids, URLs and properties as sources send them.

The number of distinct ids grows with the flows, as it does where people make a flow for each form, page or campaign. So
an event of the selective mix satisfies about four flows, however many flows there are.
"""

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.property_operators import operation
from enrollment.domain.values import Properties, Value

MATCHES = 4
EVENTS = 20_000

PATHS = (
    *("pricing", "blog", "products", "docs", "careers", "contact", "demo", "case-studies", "webinars", "login"),
    *("enterprise", "integrations", "partners", "events", "legal", "about", "features", "security", "signup", "help"),
)
DOMAINS = ("www.acme.example", "shop.acme.example", "go.acme.example", "blog.acme.example")
COUNTRIES = ("united states", "germany", "france", "india", "brazil", "ireland", "japan", "canada", "spain", "kenya")
SOURCES = ("google", "newsletter", "linkedin", "facebook", "partner", "direct", "bing", "webinar")


class Mix(StrEnum):
    SELECTIVE = "selective"
    UNREFINED = "30 % unrefined"
    NO_MATCH = "none matches"
    TEXT_ONLY = "text only"
    """No group has a refinement that can be looked up: the worst case for the index."""


Draw = Callable[[random.Random], Value]


def choice(*options: Value) -> Draw:
    return lambda dice: dice.choice(options)


def number(low: int, high: int) -> Draw:
    return lambda dice: dice.randint(low, high)


@dataclass(frozen=True, slots=True)
class Kind:
    """An event type: the id by which flows distinguish its events, its other properties, and the refinements that flows
    add, each with its approximate share of the events."""

    event_type: str
    id_property: str
    properties: Mapping[str, Draw]
    further: Sequence[tuple[str, str, str, Callable[[random.Random], Mapping[str, Any]]]]
    url: bool = False


def one_of(*options: str) -> Callable[[random.Random], Mapping[str, Any]]:
    return lambda dice: {"value": dice.choice(options)}


def some(*options: str) -> Callable[[random.Random], Mapping[str, Any]]:
    return lambda dice: {"values": dice.sample(options, dice.randint(max(1, len(options) // 2), len(options)))}


def nothing(dice: random.Random) -> Mapping[str, Any]:
    return {}


_ON_URLS = (
    ("hs_url", "STRING", "CONTAINS", one_of("acme", "https://", "?utm_", *(f"/{path}" for path in PATHS[:4]))),
    ("hs_url", "STRING", "DOES_NOT_CONTAIN", one_of(*(f"/{path}" for path in PATHS))),
    ("hs_url", "MULTISTRING", "STARTS_WITH", lambda dice: {"values": [f"https://{domain}" for domain in DOMAINS[:3]]}),
    ("hs_utm_source", "MULTISTRING", "IS_EQUAL_TO", some(*SOURCES)),
    ("hs_utm_campaign", "ALL_PROPERTY", "IS_KNOWN", nothing),
)
_EMAILS: Mapping[str, Draw] = {
    "hs_email_meta_content_id": number(10**10, 10**11),
    "hs_email_subject": choice("Your weekly report", "Don't miss our webinar", "Schöne Grüße aus Köln", "Welcome!"),
    "hs_email_type": choice("BATCH_EMAIL", "AUTOMATED_EMAIL", "SINGLE_SEND_API", "BLOG_EMAIL"),
}
_ON_EMAILS = (
    ("hs_email_type", "ENUMERATION", "IS_ANY_OF", some("BATCH_EMAIL", "AUTOMATED_EMAIL", "BLOG_EMAIL")),
    ("hs_email_subject", "STRING", "DOES_NOT_CONTAIN", one_of("unsubscribe", "report", "webinar")),
)
_SITE: Mapping[str, Draw] = {
    "hs_utm_source": choice(None, *SOURCES),
    "hs_utm_medium": choice("cpc", "email", "social", None),
    "hs_utm_campaign": choice(None, "spring-2026", "product-launch", "retargeting", "brand"),
    "hs_referrer": choice(None, "https://www.google.com/", "https://www.linkedin.com/feed/"),
}
KINDS = (
    Kind(
        "website.page_visited",
        "hs_page_id",
        {
            **_SITE,
            "hs_page_title": choice("Pricing | Acme", "Blog | Acme", "Über uns | Acme", "Docs | Acme"),
            "hs_page_content_type": choice("STANDARD_PAGE", "LANDING_PAGE", "BLOG_POST"),
            "hs_device_type": choice("DESKTOP", "MOBILE", "TABLET"),
            "hs_browser": choice("Chrome", "Safari", "Firefox"),
            "hs_country": choice(*(country.title() for country in COUNTRIES)),
        },
        (
            *_ON_URLS,
            ("hs_country", "MULTISTRING", "IS_EQUAL_TO", some(*COUNTRIES)),
            ("hs_device_type", "ENUMERATION", "IS_NONE_OF", some("TABLET")),
        ),
        url=True,
    ),
    Kind("email.opened", "hs_email_campaign_id", _EMAILS, _ON_EMAILS),
    Kind(
        "forms.submitted",
        "hs_form_id",
        {**_SITE, "hs_form_type": choice("HUBSPOT", "CAPTURED", "MEETING"), "hs_page_id": number(10**10, 10**11)},
        (*_ON_URLS, ("hs_form_type", "ENUMERATION", "IS_ANY_OF", some("HUBSPOT", "CAPTURED", "MEETING"))),
        url=True,
    ),
    Kind("email.link_clicked", "hs_email_campaign_id", _EMAILS, _ON_EMAILS),
    Kind(
        "crm.property_changed",
        "hs_name",
        {"hs_value": choice("lead", "customer", "1200", "true"), "hs_previous_value": choice(None, "lead", "0")},
        (
            ("hs_value", "MULTISTRING", "IS_EQUAL_TO", some("lead", "customer", "1200", "true")),
            ("hs_previous_value", "ALL_PROPERTY", "IS_UNKNOWN", nothing),
            ("hs_value", "NUMBER", "IS_GREATER_THAN", lambda dice: {"value": dice.choice([10, 100, 1000])}),
        ),
    ),
    Kind(
        "ads.interaction",
        "hs_ad_campaign_id",
        {
            "hs_ad_network": choice("FACEBOOK", "GOOGLE", "LINKEDIN"),
            "hs_interaction_type": choice("CLICK", "LEAD"),
            "hs_ad_id": number(10**14, 10**15),
            "hs_utm_source": choice(*SOURCES),
        },
        (("hs_ad_network", "ENUMERATION", "IS_ANY_OF", some("FACEBOOK", "GOOGLE", "LINKEDIN")),),
    ),
    Kind(
        "lists.membership_changed",
        "hs_list_id",
        {"hs_membership_change": choice("ADDED", "REMOVED")},
        (("hs_membership_change", "ENUMERATION", "IS_ANY_OF", some("ADDED", "REMOVED")),),
    ),
    Kind(
        "calls.ended",
        "hs_call_disposition",
        {
            "hs_call_direction": choice("INBOUND", "OUTBOUND"),
            "hs_call_duration": number(0, 3_600_000),
            "hs_call_title": choice("Call with Ada", "Discovery", "Follow-up"),
            "hs_logged_manually": choice("true", "false"),
        },
        (
            ("hs_call_duration", "NUMBER", "IS_GREATER_THAN", lambda dice: {"value": dice.randint(0, 30) * 60_000}),
            ("hs_call_duration", "NUMBER_RANGED", "IS_BETWEEN", lambda dice: {"lowerBound": 0, "upperBound": 10**6}),
            ("hs_logged_manually", "BOOL", "IS_EQUAL_TO", lambda dice: {"value": dice.random() < 0.5}),
            ("hs_call_direction", "ENUMERATION", "IS_ANY_OF", some("INBOUND", "OUTBOUND")),
        ),
    ),
    Kind(
        "meetings.booked",
        "hs_meeting_id",
        {
            "hs_meeting_outcome": choice("SCHEDULED", "RESCHEDULED", None),
            "hs_meeting_start_time": number(1_790_000_000_000, 1_800_000_000_000),
        },
        (("hs_meeting_start_time", "DATETIME", "IS_AFTER", lambda dice: {"timestamp": 1_793_000_000_000}),),
    ),
    Kind(
        "sales_documents.viewed",
        "hs_document_id",
        {"hs_user_id": number(1, 50), "hs_document_name": choice("Proposal.pdf", "Price list", "Contract")},
        (("hs_document_name", "STRING", "ENDS_WITH", one_of(".pdf", "list")),),
    ),
)


@dataclass(frozen=True, slots=True)
class Workload:
    """``flows`` by event type. A flow with groups of two types is in both."""

    mix: Mix
    size: int
    flows: Mapping[str, Sequence[Flow]]
    events: Sequence[tuple[str, Properties]]

    @property
    def all_flows(self) -> Sequence[Flow]:
        return list({flow.id: flow for flows in self.flows.values() for flow in flows}.values())


def workload(mix: Mix, size: int, events: int = EVENTS) -> Workload:
    dice = random.Random(f"{mix} {size}")
    weights = [1 / rank for rank in range(1, len(KINDS) + 1)]
    ids = {
        kind.event_type: [
            _id(kind, dice) for _ in range(max(2, round(size * weight / sum(weights) * _ASKED / MATCHES)))
        ]
        for kind, weight in zip(KINDS, weights, strict=True)
    }
    flows = [_flow(str(100_000_000 + n), mix, ids, weights, dice) for n in range(size)]
    by_type = {kind.event_type: [flow for flow in flows if kind.event_type in flow.event_types] for kind in KINDS}
    # Values that no flow names have the same length and kind.
    sent = (
        {kind.event_type: [_id(kind, dice) for _ in ids[kind.event_type]] for kind in KINDS}
        if mix is Mix.NO_MATCH
        else ids
    )
    kinds = dice.choices(KINDS, weights, k=events)
    return Workload(
        mix, size, by_type, [(kind.event_type, _properties(kind, sent[kind.event_type], dice)) for kind in kinds]
    )


# The average number of values that the groups of a flow name, and the share of these whose other refinements hold.
_ASKED = 1.3


def _flow(
    flow_id: str, mix: Mix, ids: Mapping[str, Sequence[str]], weights: Sequence[float], dice: random.Random
) -> Flow:
    count = dice.choices((1, 2, 3), (80, 15, 5))[0]
    kinds = dice.choices(KINDS, weights, k=count)
    groups = tuple(
        TriggerGroup(n, kind.event_type, None, _filters(kind, mix, ids[kind.event_type], dice))
        for n, kind in enumerate(kinds)
    )
    return Flow("acme", flow_id, f"Flow {flow_id}", "0-1", "1", True, 0, 0, True, groups)


def _filters(kind: Kind, mix: Mix, ids: Sequence[str], dice: random.Random) -> tuple[PropertyFilter, ...]:
    if mix is Mix.UNREFINED and dice.random() < 0.3:
        return ()
    wanted_ids = dice.sample(ids, min(len(ids), dice.choices((1, 2, 3), (70, 20, 10))[0]))
    chosen = dice.sample(kind.further, min(len(kind.further), dice.choices((0, 1, 2), (40, 40, 20))[0]))
    if mix is Mix.TEXT_ONLY:
        return (_filter(kind.id_property, "STRING", "CONTAINS", {"value": wanted_ids[0][2:]}),)
    if kind.url and dice.random() < 0.2:
        found = [_filter("hs_base_url", "STRING", "IS_EQUAL_TO", {"value": _page_of(wanted_ids[0])})]
    else:
        found = [_filter(kind.id_property, "ENUMERATION", "IS_ANY_OF", {"values": wanted_ids})]
    found += [_filter(name, type_name, operator, operands(dice)) for name, type_name, operator, operands in chosen]
    dice.shuffle(found)
    return tuple(found)


def _filter(name: str, type_name: str, operator: str, operands: Mapping[str, Any]) -> PropertyFilter:
    document = {"operationType": type_name, "operator": operator, "includeObjectsWithNoValueSet": False}
    return PropertyFilter(name, operation(document | dict(operands)))


def _id(kind: Kind, dice: random.Random) -> str:
    if kind.id_property in ("hs_form_id", "hs_call_disposition"):
        digits = f"{dice.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if kind.id_property == "hs_name":
        return f"{dice.choice(SOURCES)}_score_{dice.randrange(10**6)}"
    return str(dice.randrange(10**9, 10**11))


def _page_of(page_id: str) -> str:
    """Return the URL of the visited page, or of the page with the form."""
    number = zlib.crc32(page_id.encode())
    return f"https://{DOMAINS[number % len(DOMAINS)]}/{PATHS[number % len(PATHS)]}/{number}"


def _properties(kind: Kind, ids: Sequence[str], dice: random.Random) -> Properties:
    chosen = dice.choice(ids)
    found: dict[str, Value] = {kind.id_property: chosen}
    found.update((name, value) for name, draw in kind.properties.items() if (value := draw(dice)) is not None)
    if kind.url:
        base = _page_of(chosen)
        domain, path = base.removeprefix("https://").split("/", 1)
        query = f"utm_source={dice.choice(SOURCES)}" if dice.random() < 0.5 else ""
        found |= {
            "hs_url": f"{base}?{query}" if query else base,
            "hs_base_url": base,
            "hs_url_domain": domain,
            "hs_url_path": f"/{path}",
            "hs_query_params": query or None,
        }
    return found

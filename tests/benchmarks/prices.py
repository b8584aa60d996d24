"""List prices of AWS in US East (N. Virginia), and costs that others publish.

Read on 2026-11-25 in copies of public pages; the date of each copy is next to it. Most figures of AWS's own pages are
missing in such copies, so pages that quote them are cited instead. Free tiers are not deducted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

REGION = "us-east-1"
READ_ON = "2026-11-25"


@dataclass(frozen=True)
class Price:
    """``usd`` is the price of ``per`` of ``unit``."""

    usd: float
    per: float
    unit: str
    page: str
    source: str

    @property
    def of_one(self) -> float:
        return self.usd / self.per


MILLION = 1e6

PRICES: Mapping[str, Price] = {
    "Lambda, requests": Price(
        0.20,
        MILLION,
        "million requests",
        "aws.amazon.com/lambda/pricing",
        "AWS's own page, of managed instances (2026-09-20)",
    ),
    "Lambda, GB-seconds": Price(
        0.0000133334,
        1,
        "GB-second (arm64)",
        "aws.amazon.com/lambda/pricing",
        "cloudchipr.com (2024), artillery 2.0.28",
    ),
    "DynamoDB, reads": Price(
        0.125, MILLION, "million read units", "aws.amazon.com/dynamodb/pricing/on-demand", "airbyte.com (2025-07-21)"
    ),
    "DynamoDB, writes": Price(
        0.625, MILLION, "million write units", "aws.amazon.com/dynamodb/pricing/on-demand", "airbyte.com (2025-07-21)"
    ),
    "storage, tables": Price(
        0.25, 1, "GB-month", "aws.amazon.com/dynamodb/pricing/on-demand", "not confirmed by a stored page"
    ),
    "storage, backup of tables": Price(
        0.20,
        1,
        "GB-month, point in time",
        "aws.amazon.com/dynamodb/pricing/on-demand",
        "not confirmed by a stored page",
    ),
    "EventBridge, events": Price(
        1.00,
        MILLION,
        "million events of up to 64 KB",
        "aws.amazon.com/eventbridge/pricing",
        "cloudburn.io (2026-03), wring.co",
    ),
    "EventBridge, archiving": Price(
        0.10, 1, "GB archived", "aws.amazon.com/eventbridge/pricing", "cloudburn.io (2026-03)"
    ),
    "storage, archive": Price(
        0.023, 1, "GB-month", "aws.amazon.com/eventbridge/pricing", "cloudburn.io (2026-03); factualminds.com has 0.10"
    ),
    "SQS, standard": Price(
        0.40,
        MILLION,
        "million requests of up to 64 KB",
        "aws.amazon.com/sqs/pricing",
        "cloudburn.io (2026-03), factualminds.com (2026-06)",
    ),
    "SQS, FIFO": Price(
        0.50,
        MILLION,
        "million requests of up to 64 KB",
        "aws.amazon.com/sqs/pricing",
        "cloudburn.io (2026-03), factualminds.com (2026-06)",
    ),
    "CloudWatch, logs": Price(
        0.50, 1, "GB ingested", "aws.amazon.com/cloudwatch/pricing", "factualminds.com (2026-06)"
    ),
    "X-Ray, traces": Price(5.00, MILLION, "million traces", "aws.amazon.com/xray/pricing", "AWS's own page"),
}

# Monthly prices that do not depend on the traffic.
METRIC_MONTH = Price(0.30, 1, "custom metric", "aws.amazon.com/cloudwatch/pricing", "signoz.io (2026-02)")
ALARM_MONTH = Price(0.10, 1, "metric of an alarm", "aws.amazon.com/cloudwatch/pricing", "c3x.dev")
DASHBOARD_MONTH = Price(3.00, 1, "dashboard", "aws.amazon.com/cloudwatch/pricing", "factualminds.com (2026-06)")


@dataclass(frozen=True)
class Elsewhere:
    service: str
    price: str
    bound_to: str
    source: str


ELSEWHERE = (
    Elsewhere(
        "HubSpot Marketing Hub Professional",
        "$890 a month ($800 promotional), and $3,000 once",
        "3 seats, 2,000 marketing contacts; workflows are in it, events are not priced",
        "hubspot.com/pricing/marketing as of 2026-08-13 (api-evangelist/hubspot)",
    ),
    Elsewhere(
        "HubSpot Marketing Hub Enterprise",
        "$3,600 a month, and $7,000 once",
        "5 seats, 10,000 marketing contacts; custom events, at most 30 million a month (HubSpot's API reference)",
        "hubspot.com/pricing/marketing as of 2026-08-13 (api-evangelist/hubspot)",
    ),
    Elsewhere(
        "Customer.io, beyond a plan",
        "$9 for 1,000 profiles a month; $0.12 for 1,000 messages",
        "profiles and messages; events are not priced",
        "customer.io/pricing as of 2026-06-20 (api-evangelist/customer-io), customer.io/docs/journeys/how-we-bill",
    ),
    Elsewhere(
        "Zapier, beyond a plan",
        "1.25 × the plan's price of a task, up to 3 × its tasks",
        "each action that succeeds is a task; no stored page has the price of a plan for a million",
        "help.zapier.com, how pay-per-task billing works",
    ),
    Elsewhere(
        "AWS Step Functions, Standard",
        "$25 for a million state transitions",
        "steps; an execution that reads, decides and writes takes three or more",
        "aws.amazon.com/step-functions/pricing ($0.025 for 1,000, us-east-1)",
    ),
)

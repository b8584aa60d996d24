"""The PynamoDB models are the schema: template.yaml declares their tables, and the event path writes the same items."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pynamodb.indexes import Index, LocalSecondaryIndex

from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.deferred_events import DynamoDeferredEvents
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.model_store import ModelStore
from enrollment.adapters.dynamodb.models import MODELS, Item
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.replays import DynamoReplays
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.flow_authoring import FlowAuthoring

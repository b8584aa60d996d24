"""A Lambda function that starts the workflow of each enrollment, in the order of each record.

consumer.yaml deploys it. docs/consumers.md describes it.
"""

import json
import os
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

# Longer than a message can wait: 14 days in the enrollments queue, and 14 in its dead-letter queue.
REMEMBERED_SECONDS = 60 * 24 * 60 * 60

# If a message fails, later messages of its record in the batch are not processed. Other records are.
processor = SqsFifoPartialProcessor(skip_group_on_error=True)
started = DynamoDBPersistenceLayer(table_name=os.environ["STARTED_TABLE"])
config = IdempotencyConfig(
    event_key_jmespath="enrollmentId", raise_on_no_idempotency_key=True, expires_after_seconds=REMEMBERED_SECONDS
)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process a batch. Return the messages that failed, so that SQS delivers them again."""
    # With the context, a start that an invocation did not finish is tried again after the function's timeout.
    config.register_lambda_context(context)
    return process_partial_response(event, process, processor, context)


def process(record: SQSRecord) -> None:
    enrollment = json.loads(record.body)
    # `enroll doctor` checks a deployment with an enrollment of this portal.
    if enrollment["portalId"] != "enroll-doctor":
        start_once(enrollment=enrollment)


@idempotent_function(data_keyword_argument="enrollment", persistence_store=started, config=config)
def start_once(enrollment: dict[str, Any]) -> None:
    start_workflow(enrollment)


def start_workflow(enrollment: dict[str, Any]) -> None:
    """Replace this with the call to your workflow engine. An exception delivers the message again."""
    print(f"flow {enrollment['flowId']} starts for {enrollment['objectTypeId']}/{enrollment['objectId']}")  # noqa: T201

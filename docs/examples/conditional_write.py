"""Create the workflow run of an enrollment once, in the consumer's own DynamoDB table (docs/consumers.md)."""

from typing import Any

from botocore.exceptions import ClientError


def create_run(table: Any, enrollment: dict[str, Any]) -> bool:
    """Return whether this call created the run. ``table`` is a boto3 Table with the partition key enrollmentId."""
    run = {
        "enrollmentId": enrollment["enrollmentId"],
        "flowId": enrollment["flowId"],
        "record": f"{enrollment['objectTypeId']}/{enrollment['objectId']}",
        "state": "WAITING",
    }
    try:
        table.put_item(Item=run, ConditionExpression="attribute_not_exists(enrollmentId)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True

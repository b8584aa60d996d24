"""Finds contacts by their email in a sparse index. An entry has the key of the record only."""

from collections.abc import Sequence

from enrollment.adapters.dynamodb.records import email_key
from enrollment.adapters.dynamodb.schema import BY_EMAIL, EMAIL_KEY, PARTITION_KEY
from enrollment.adapters.dynamodb.tables import Expression, Tables
from enrollment.domain.identifiers import RecordKey, split


class DynamoRecordEmails:
    """The port RecordEmails (``application.ports``). The index is up to a second behind the writes."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def with_email(self, portal_id: str, email: str, limit: int) -> Sequence[RecordKey]:
        """Return the keys of at most ``limit`` contacts, with one request."""
        condition = Expression(f"{EMAIL_KEY} = :email", email=email_key(portal_id, email))
        pages = self._table.pages(condition, IndexName=BY_EMAIL, ConsistentRead=False, Limit=limit)
        return [RecordKey(*split(entry[PARTITION_KEY])) for entry in next(pages)]

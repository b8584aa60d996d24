"""Decide the records that a change of an associated record concerns (docs/decisions/0023-associated-records.md).

``EventProcessor`` sends one message for each object type. It is divided into messages of RECORDS_IN_MESSAGE records,
which are decided independently. Each message can be delivered again: a record that it has enrolled is a
DUPLICATE_EVENT.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import Records
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, with_co_changed_properties

# Records that are decided for one message. A batch of ten messages, each of which enrolls all of its records, ends
# within the timeout of the function.
RECORDS_IN_MESSAGE = 25

# Associations that are read for one message. The others follow with another message.
MAX_ASSOCIATIONS = 5_000

# Messages that follow each other directly. Lambda stops a chain of about 16 invocations that start each other through a
# queue, so the next message is sent by the timer, which starts a new chain.
MAX_MESSAGES_IN_CHAIN = 10


class AssociatedChangeProcessor(Struct, frozen=True):
    """Processes the changes that ``EventProcessor`` sends for associated records."""

    processor: EventProcessor

    def process(self, change: AssociatedChange) -> None:
        """Decide the records of a change, or send a message for each part of them.

        Errors are collected and raised together at the end, so that the other records are still decided and the message
        is delivered again. Raises ExceptionGroup, Throttled, and the errors of AWS.
        """
        if change.object_ids is not None:
            self._decide(change, change.object_ids)
            return
        key = change.event.record_key
        if key is None:
            return
        associations = self.processor.evaluator.associations.all_of(
            key, change.object_type_id, MAX_ASSOCIATIONS, change.after
        )
        object_ids = [
            association.other.object_id
            for association in associations
            if association.held_from(change.event.occurred_at)
        ]
        has_more = len(associations) == MAX_ASSOCIATIONS
        if len(object_ids) <= RECORDS_IN_MESSAGE and not has_more:
            self._decide(change, object_ids)
            return
        messages = [replace(change, object_ids=tuple(page), after="") for page in _pages(object_ids)]
        redeliveries = self.processor.deferrals.redeliveries
        following = replace(change, after=associations[-1].other.object_id, messages_before=change.messages_before + 1)
        is_by_timer = has_more and following.messages_before % MAX_MESSAGES_IN_CHAIN == 0
        if has_more and not is_by_timer:
            messages.append(following)
        redeliveries.send(messages)
        if is_by_timer:
            # Last, because each delivery that fails after it would leave another chain of messages.
            redeliveries.send_by_timer(following)

    def _decide(self, change: AssociatedChange, object_ids: Sequence[str]) -> None:
        scope = ProcessingScope(change.flow_ids, Delivery.REPLAY if change.is_replay else Delivery.FIRST)
        evaluator = self.processor.evaluator.shared()
        if change.event.changed_with:
            evaluator = replace(evaluator, records=_RecordsWithChange(evaluator.records, change.event))
        # The change was sent before the flows are read, so they are read once for all records.
        processor = replace(self.processor, evaluator=evaluator, flows=self.processor.flows.of_batch())
        errors: list[Exception] = []
        for object_id in object_ids:
            try:
                processor.process(change.event_about(object_id), scope)
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"event {change.event.id}: associated records could not be decided", errors)


def _pages(object_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(object_ids), RECORDS_IN_MESSAGE):
        yield object_ids[start : start + RECORDS_IN_MESSAGE]


class _RecordsWithChange(Struct, frozen=True):
    """Records in which the record of an event has the properties that changed together with it. Each of these has its
    own event, which may not have stored it yet."""

    records: Records
    event: Event

    def get(self, key: RecordKey) -> Record | None:
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return {
            key: with_co_changed_properties(record, self.event) if key == self.event.record_key else record
            for key, record in self.records.get_many(keys).items()
        }

    def save(self, record: Record) -> Record:
        return self.records.save(record)

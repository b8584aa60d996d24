"""Create, change, associate and delete records on behalf of API clients.

Each change is first published on the bus, as the events that any producer would send for it, and then stored. If the
process stops between the two, the handlers of the events store the same change, because an event carries the data of
its record. If the change were stored first, its events could be lost, and no flow would be triggered.

Each event carries only its own part of the change. Parts whose events the bus does not accept are not stored, so a
repeated request finds them missing and sends them again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.ports import (
    Associations,
    ConcurrentModification,
    EventPublisher,
    RecordEmails,
    Records,
)
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated, inverse
from enrollment.domain.records.change_events import OutboundEvent, association_events, change_events
from enrollment.domain.records.email import email_of, normalized_email
from enrollment.domain.records.record import HISTORY_LENGTH, Record, RecordUpdate, apply_change, deleted
from enrollment.domain.values import Instant, iso

# A write that another one has overtaken is attempted this often. Each lost attempt means that another made progress.
# The number is high because the change is on the bus already when the write fails.
ATTEMPTS = 50

# Association types between two records, including removed ones. The limit keeps them within one DynamoDB item.
MAX_ASSOCIATION_TYPES = 200


# Contacts with one email that an error names. Emails are meant to be unique. A look-up reads one more, so that the
# error can say that there are more.
MAX_CONTACTS_WITH_ONE_EMAIL = 10


class UnknownRecord(LookupError):
    """The record does not exist, or was deleted."""


class DeletedRecord(UnknownRecord):
    """The record was deleted at ``deleted_at``, and does not exist since."""

    def __init__(self, label: str, deleted_at: Instant) -> None:
        super().__init__(f"record {label} was deleted on {iso(deleted_at)}; it does not exist in this portal")
        self.deleted_at = deleted_at


class AmbiguousEmail(Exception):
    """Several contacts have the email. ``object_ids``: their IDs, or MAX_CONTACTS_WITH_ONE_EMAIL of them."""

    def __init__(self, email: str, object_ids: Sequence[str]) -> None:
        shown = tuple(object_ids[:MAX_CONTACTS_WITH_ONE_EMAIL])
        number = f"{len(shown)}" if len(shown) == len(object_ids) else f"More than {len(shown)}"
        ids = ", ".join(shown) if len(shown) == len(object_ids) else f"{', '.join(shown)} and others"
        super().__init__(f"{number} contacts have the email {email}: {ids}. Use the ID of the contact")
        self.object_ids = shown


class EventsNotAccepted(Exception):
    """The bus did not accept all events of a change, after retries. Repeat the whole request: the parts that are stored
    already have no effect then, and the others are sent again."""


class RecordAlreadyExists(Exception):
    """A record with this ID exists, so it cannot be created."""


class StaleChange(Exception):
    """The change occurred before the record was deleted, so it has no effect."""


ChangeError = InvalidEvent | EventsNotAccepted | StaleChange | UnknownRecord | ConcurrentModification
"""Why a change was not made, or not as a whole."""


class RecordChange(Struct, frozen=True):
    """A record after a change. ``was``: the record before the change; None: nothing was stored of it."""

    record: Record
    was: Record | None

    @property
    def is_new(self) -> bool:
        """Whether the change created the record."""
        return self.was is None or not self.was.exists


class _PlannedChange(Struct, frozen=True):
    """A change that passed all checks, with the events that announce it. ``stored``: the record before it."""

    key: RecordKey
    change: RecordUpdate
    stored: Record | None
    events: Sequence[OutboundEvent]


class RecordService(Struct, frozen=True):
    """The use cases on records. ``check`` raises InvalidEvent for an event that the handlers of the bus would reject.
    ``history_length``: the number of earlier values that are stored of each property."""

    records: Records
    associations: Associations
    producer: EventPublisher
    check: Callable[[OutboundEvent], None]
    emails: RecordEmails
    history_length: int = HISTORY_LENGTH

    def get(self, key: RecordKey) -> Record:
        """Return a record. Raises UnknownRecord, or DeletedRecord if it was deleted."""
        return _require_existing(self.records.get(key), key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Return the records that exist, by key."""
        return {key: record for key, record in self.records.get_many(keys).items() if record.exists}

    def find_contacts(self, portal_id: str, emails: Sequence[str]) -> Mapping[str, Record | AmbiguousEmail]:
        """Return the contacts by their email, compared without case. Emails that no contact has are missing from the
        result. Each email costs a query, and its contacts are read once for all emails."""
        normalized = {email: normalized_email(email) for email in emails}
        keys = {
            email: self.emails.with_email(portal_id, email, MAX_CONTACTS_WITH_ONE_EMAIL + 1)
            for email in dict.fromkeys(filter(None, normalized.values()))
        }
        records = self.get_many(list(dict.fromkeys(key for found in keys.values() for key in found)))
        contacts: dict[str, Record | AmbiguousEmail] = {}
        for email, known in normalized.items():
            # The index can be behind: the email that is stored counts.
            current = [key for key in keys.get(known or "", ()) if key in records and email_of(records[key]) == known]
            if len(current) > 1:
                contacts[email] = AmbiguousEmail(email, sorted(key.object_id for key in current))
            elif current:
                contacts[email] = records[current[0]]
        return contacts

    def find_contact(self, portal_id: str, email: str) -> Record:
        """Return the contact with an email, compared without case. Raises UnknownRecord and AmbiguousEmail."""
        contact = self.find_contacts(portal_id, [email]).get(email)
        if contact is None:
            raise UnknownRecord(f"no contact with the email {email} in this portal")
        if isinstance(contact, AmbiguousEmail):
            raise contact
        return contact

    def create(self, key: RecordKey, change: RecordUpdate) -> RecordChange:
        """Create a record. Raises RecordAlreadyExists if the ID is in use or was deleted, and the errors of
        ``change``."""
        stored = self.records.get(key)
        if stored is not None and (stored.exists or stored.is_deleted):
            raise RecordAlreadyExists(
                f"the ID of record {_label(key)} is in use or was used before; update the record, or use another ID"
            )
        return self.change(key, change)

    def change(self, key: RecordKey, change: RecordUpdate) -> RecordChange:
        """Change a record, or create it if ``change.creates``.

        Raises UnknownRecord if it does not exist and is not to be created, and InvalidEvent if the change breaks a
        rule. Also raises EventsNotAccepted, StaleChange, and ConcurrentModification if others changed the record during
        every attempt.
        """
        outcome = self.change_many([(key, change)])[0]
        if isinstance(outcome, RecordChange):
            return outcome
        raise outcome

    def change_many(
        self, changes: Sequence[tuple[RecordKey, RecordUpdate]], *, all_or_none: bool = False
    ) -> Sequence[RecordChange | ChangeError]:
        """Change records that are all different. Return the result of each change, in order.

        ``all_or_none``: raise the first error that the checks find, except UnknownRecord, before anything is changed.
        Errors of the bus and of the store appear later, and are returned in any case.
        """
        stored = self.records.get_many([key for key, _ in changes])
        plans: list[_PlannedChange] = []
        outcomes: dict[RecordKey, RecordChange | ChangeError] = {}
        for key, change in changes:
            try:
                plans.append(self._plan(stored.get(key), key, change))
            except (InvalidEvent, StaleChange, UnknownRecord) as error:
                if all_or_none and not isinstance(error, UnknownRecord):
                    raise
                outcomes[key] = error
        events = [event for plan in plans for event in plan.events]
        accepted_ids = self.producer.publish(events) if events else frozenset()
        for plan in plans:
            outcomes[plan.key] = self._store_accepted(plan, accepted_ids)
        return [outcomes[key] for key, _ in changes]

    def delete(self, key: RecordKey, now: Instant) -> None:
        """Delete a record, with every change that is stored for it. Do nothing if nothing is stored. Raises
        ConcurrentModification if others changed it during every attempt."""
        for _ in range(ATTEMPTS):
            stored = self.records.get(key)
            if stored is None or (stored.is_deleted and not stored.changes):
                return
            # A change can have a time in the future: the clock of its source may be ahead of ours, and a time that is
            # known to the second only counts until the second ends. The deletion must follow every change.
            changes = [dated.changed_at for dated in stored.changes]
            at = max([now, *changes, *([stored.created_at] if stored.exists else [])])
            try:
                self.records.save(deleted(stored, at))
                return
            except ConcurrentModification:
                continue
        raise ConcurrentModification(
            f"record {_label(key)} changed {ATTEMPTS} times while it was deleted; retrying is safe"
        )

    def associate(
        self, record: RecordKey, other: RecordKey, kinds: Sequence[AssociationType], at: Instant
    ) -> Association:
        """Add association types, and the inverse of each type that has a known inverse. Return the association from the
        view of ``record``.

        The events are published after the association is stored, because they only announce it. A repeated call
        publishes the same events again, so that none is missing after a failure.

        Raises UnknownRecord, InvalidEvent if there are more than MAX_ASSOCIATION_TYPES, EventsNotAccepted, and
        ConcurrentModification if others changed it during every attempt.
        """
        stored = self.records.get_many([record, other])
        for key in (record, other):
            _require_existing(stored.get(key), key)
        there, back = self._set_types(record, other, kinds, at, holds=True)
        self._announce(there, kinds, back, _inverse_types(record, other, kinds))
        return there

    def dissociate(self, record: RecordKey, other: RecordKey, at: Instant) -> None:
        """Remove every association type between two records, in both directions. Publishes events as ``associate``
        does. Raises EventsNotAccepted, and ConcurrentModification if others changed it during every attempt."""
        there, back = self.associations.get(record, other), self.associations.get(other, record)
        kinds = {*there.held, *_inverse_types(other, record, back.held)}
        if kinds or back.held:
            there, back = self._set_types(record, other, sorted(kinds), at, holds=False, also=back.held)
        # Types that an earlier call removed are announced again, with the same IDs.
        self._announce(there, _removed(there), back, _removed(back))

    def _announce(
        self,
        there: Association,
        kinds: Sequence[AssociationType],
        back: Association,
        back_kinds: Sequence[AssociationType],
    ) -> None:
        """Publish the last change of association types, from the view of both records. Raises EventsNotAccepted."""
        events = [*association_events(there, kinds), *association_events(back, back_kinds)]
        unique = {event.id: event for event in events}
        accepted = self.producer.publish(list(unique.values())) if unique else frozenset()
        if rejected := unique.keys() - accepted:
            raise EventsNotAccepted(
                f"record {_label(there.record)}: the association is stored, and the event bus did not accept "
                f"{len(rejected)} of its {len(unique)} events; repeat the request, which is safe"
            )

    def associated(
        self, record: RecordKey, object_type_id: str, limit: int, after: str = ""
    ) -> tuple[Sequence[tuple[RecordKey, Sequence[AssociationType]]], str | None]:
        """Return a page of the associated records with their current types, and the ``after`` of the next page (None:
        this is the last page).

        A page can have fewer than ``limit`` records although it is not the last, because deleted records are left out.
        Types that were set before one of the two records was deleted do not count. Raises UnknownRecord.
        """
        source = self.get(record)
        associations = self.associations.of(record, object_type_id, limit + 1, after)
        page = associations[:limit]
        next_after = page[-1].other.object_id if len(associations) > limit else None
        records = self.records.get_many([association.other for association in page])
        current_types = []
        for association in page:
            other = records.get(association.other)
            if other is not None and other.exists:
                last_deletion = max(source.deleted_at or -1, other.deleted_at or -1)
                current_types.append((association.other, association.held_since(last_deletion)))
        return [(key, kinds) for key, kinds in current_types if kinds], next_after

    def _plan(self, stored: Record | None, key: RecordKey, change: RecordUpdate) -> _PlannedChange:
        """Make and check the events of a change. Raises InvalidEvent, StaleChange and UnknownRecord."""
        after = _changed_record(stored, key, change, (), self.history_length)
        events = list(change_events(stored, after, change))
        for event in events:
            self.check(event)
        return _PlannedChange(key, change, stored, events)

    def _store_accepted(self, plan: _PlannedChange, accepted_ids: frozenset[str]) -> RecordChange | ChangeError:
        """Store the parts of a change whose events the bus has accepted."""
        rejected = [event for event in plan.events if event.id not in accepted_ids]
        try:
            record = self._store(plan, _without_rejected(plan.change, rejected))
        except (InvalidEvent, StaleChange, UnknownRecord, ConcurrentModification) as error:
            return _events_not_accepted(plan, rejected) if rejected else error
        return _events_not_accepted(plan, rejected) if rejected else RecordChange(record, plan.stored)

    def _store(self, plan: _PlannedChange, change: RecordUpdate) -> Record:
        """Store a change, and read the record again whenever another change overtakes it."""
        for attempt in range(ATTEMPTS):
            current = plan.stored if attempt == 0 else self.records.get(plan.key)
            after = _changed_record(current, plan.key, change, plan.events, self.history_length)
            if after is current:
                return after
            try:
                return self.records.save(after)
            except ConcurrentModification:
                continue
        raise ConcurrentModification(
            f"record {_label(plan.key)} changed {ATTEMPTS} times while a change was stored; retrying is safe"
        )

    def _set_types(
        self,
        record: RecordKey,
        other: RecordKey,
        kinds: Sequence[AssociationType],
        at: Instant,
        *,
        holds: bool,
        also: Sequence[AssociationType] = (),
    ) -> tuple[Association, Association]:
        """Add (``holds``) or remove types from the view of both records. ``also``: further types from the view of
        ``other``. Return the association from the views of ``record`` and of ``other``."""
        back_kinds = sorted({*_inverse_types(record, other, kinds), *also})
        for _ in range(ATTEMPTS):
            there, back = self.associations.get(record, other), self.associations.get(other, record)
            after = associated(there, kinds, at, holds=holds)
            after_back = associated(back, back_kinds, at, holds=holds)
            if record == other:
                # A record that is associated with itself has one item for both views.
                after, after_back = associated(after, back_kinds, at, holds=holds), back
            if holds:
                _check_type_count(after, after_back)
            changes = [new for new, old in ((after, there), (after_back, back)) if new is not old]
            if not changes:
                return after, after_back
            try:
                self.associations.save(changes)
                return after, after_back
            except ConcurrentModification:
                continue
        raise ConcurrentModification(
            f"the association of record {_label(record)} with {_label(other)} changed {ATTEMPTS} times while it was "
            "updated; retrying is safe"
        )


def _changed_record(
    stored: Record | None, key: RecordKey, change: RecordUpdate, events: Sequence[OutboundEvent], history_length: int
) -> Record:
    """Return the record after a change. ``events``: those that announce the change. Each part is stored with the ID of
    its event, so that the handler of the event does not make the same change again."""
    after = stored
    if change.creates or (stored is not None and stored.exists):
        for part in _split_by_event(change, events):
            after = apply_change(after, key, part, history_length)
    if after is not None and after.is_deleted and change.creates:
        raise StaleChange(
            f"record {_label(key)} was deleted after the change occurred, so the change has no effect; a later change "
            "can create the record again"
        )
    return _require_existing(after, key)


def _split_by_event(change: RecordUpdate, events: Sequence[OutboundEvent]) -> Iterator[RecordUpdate]:
    """Split a change into parts, each with the ID of the event that announces it, or without one if there is none."""
    ids = {
        (event.event_type, event.properties.get("hs_name") or event.properties.get("hs_list_id")): event.id
        for event in events
    }
    created = ids.get(("crm.object_created", None), "")
    announced = {name for name in change.properties if ("crm.property_changed", name) in ids}
    together = {name: value for name, value in change.properties.items() if name not in announced}
    yield replace(change, properties=together, memberships={}, event_id=created)
    for name in announced:
        event_id = ids["crm.property_changed", name]
        yield replace(change, properties={name: change.properties[name]}, memberships={}, event_id=event_id)
    for list_id, is_member in change.memberships.items():
        event_id = ids.get(("lists.membership_changed", list_id), "")
        yield replace(change, properties={}, memberships={list_id: is_member}, event_id=event_id)


def _without_rejected(change: RecordUpdate, rejected: Sequence[OutboundEvent]) -> RecordUpdate:
    """Return the part of a change that remains if the bus rejects some of its events."""
    names = {event.properties.get("hs_name") for event in rejected}
    lists = {event.properties.get("hs_list_id") for event in rejected}
    is_created = not any(event.event_type == "crm.object_created" for event in rejected)
    properties = {name: value for name, value in change.properties.items() if name not in names}
    return replace(
        change,
        properties=properties if is_created else {},
        memberships={list_id: is_member for list_id, is_member in change.memberships.items() if list_id not in lists},
        creates=change.creates and is_created,
    )


def _check_type_count(*associations: Association) -> None:
    """Raises InvalidEvent if two records would have more types than can be stored."""
    count = max(len(association.types) for association in associations)
    if count > MAX_ASSOCIATION_TYPES:
        message = (
            f"$: expected at most {MAX_ASSOCIATION_TYPES} association types between two records, including removed "
            f"ones; found {count}"
        )
        raise InvalidEvent("TOO_MANY_TYPES", "$", message)


def _events_not_accepted(plan: _PlannedChange, rejected: Sequence[OutboundEvent]) -> EventsNotAccepted:
    return EventsNotAccepted(
        f"record {_label(plan.key)}: the event bus did not accept {len(rejected)} of the {len(plan.events)} events of "
        "the change, so this part is not stored; repeat the whole request, which is safe"
    )


def _require_existing(stored: Record | None, key: RecordKey) -> Record:
    if stored is not None and stored.is_deleted and stored.deleted_at is not None:
        raise DeletedRecord(_label(key), stored.deleted_at)
    if stored is None or not stored.exists:
        raise UnknownRecord(f"no record {_label(key)} in this portal")
    return stored


def _removed(association: Association) -> Sequence[AssociationType]:
    """The types that were set once and are not set now, sorted."""
    return sorted(kind for kind, state in association.types.items() if state.value is not True)


def _inverse_types(record: RecordKey, other: RecordKey, kinds: Sequence[AssociationType]) -> Sequence[AssociationType]:
    """The types from the view of ``other``. Types without a known inverse are left out."""
    inverses = (inverse(record.object_type_id, other.object_type_id, kind) for kind in kinds)
    return [kind for kind in inverses if kind is not None]


def _label(key: RecordKey) -> str:
    """How messages name a record: ``0-1/101``."""
    return f"{key.object_type_id}/{key.object_id}"

"""The email of a contact, by which the API finds it."""

from enrollment.domain.records.record import Record
from enrollment.domain.values import Value, fold

CONTACT = "0-1"
EMAIL = "email"

# The longest address of RFC 5321. A longer text is no email, and could be longer than a key of the table.
MAX_EMAIL = 254


def normalized_email(value: Value) -> str | None:
    """Return an email in the form in which emails are compared: without case and without spaces at both ends. None: the
    value is no email. Only an `@` and the length are checked, as much as finding it needs."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if "@" not in text or len(text) > MAX_EMAIL:
        return None
    folded = fold(text)
    return folded if len(folded) <= MAX_EMAIL else None


def email_of(record: Record) -> str | None:
    """Return the normalized email of a contact that exists. None for every other record, and without an email."""
    if record.key.object_type_id != CONTACT or not record.exists or EMAIL not in record.properties:
        return None
    return normalized_email(record.properties[EMAIL].value)

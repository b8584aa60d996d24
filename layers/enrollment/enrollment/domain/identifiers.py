"""Keys made of IDs that users choose, IDs that are generated here, and the IDs of object types."""

from msgspec import Struct


def join(*parts: str) -> str:
    """Return a key of these parts: ``a/b`` and ``c`` give ``a%2Fb/c``. Different parts never give the same key."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def split(key: str) -> list[str]:
    """Return the parts of a key that ``join`` made."""
    return [part.replace("%2F", "/").replace("%25", "%") for part in key.split("/")]


# Crockford's, without the letters that look like others.
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(timestamp_ms: int, randomness: bytes) -> str:
    """Return a ULID: 26 characters that sort by time. ``timestamp_ms`` has 48 bits, ``randomness`` 10 bytes."""
    number = timestamp_ms << 80 | int.from_bytes(randomness, "big")
    return "".join([_BASE32[number >> shift & 31] for shift in range(125, -1, -5)])


class RecordKey(Struct, frozen=True):
    """The identity of a record. Its text is a key of DynamoDB and a group of the FIFO queue."""

    portal_id: str
    object_type_id: str
    object_id: str

    def __str__(self) -> str:
        return join(self.portal_id, self.object_type_id, self.object_id)


# HubSpot's names of the standard object types. Custom objects are 2-<n>.
OBJECT_TYPE_IDS = {
    "contact": "0-1",
    "company": "0-2",
    "deal": "0-3",
    "ticket": "0-5",
    "product": "0-7",
    "line_item": "0-8",
    "quote": "0-14",
    "communication": "0-18",
    "email": "0-49",
    "meeting": "0-47",
    "call": "0-48",
    "note": "0-46",
    "task": "0-27",
    "invoice": "0-53",
    "subscription": "0-69",
    "payment": "0-101",
    "order": "0-123",
    "lead": "0-136",
    "cart": "0-142",
    "service": "0-162",
    "course": "0-410",
    "listing": "0-420",
    "appointment": "0-421",
}


def object_type_id(name: str) -> str | None:
    """Return the ID of an object type by its name or its ID, in any case; None if the text is neither.
    Every ``0-<n>`` and ``2-<n>`` is accepted, with or without a name in OBJECT_TYPE_IDS."""
    lowered = name.lower()
    if lowered in OBJECT_TYPE_IDS:
        return OBJECT_TYPE_IDS[lowered]
    kind, dash, number = lowered.partition("-")
    is_number = number.isascii() and number.isdigit() and len(number) <= 16 and str(int(number)) == number
    if dash and kind in ("0", "2") and is_number:
        return lowered
    return None


def any_object_type_id(name: str) -> str | None:
    """Return the ID of an object type as ``object_type_id`` does, also by the plural of its name, as in HubSpot's
    paths: ``contacts``, ``companies``."""
    type_id = object_type_id(name)
    if type_id is not None:
        return type_id
    plural = name.lower()
    return OBJECT_TYPE_IDS.get(f"{plural[:-3]}y" if plural.endswith("ies") else plural.removesuffix("s"))

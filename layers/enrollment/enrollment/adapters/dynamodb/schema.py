"""Names of tables, keys, indexes and index attributes that the event path and the PynamoDB models (``models``) share.

This module does not import PynamoDB, so the functions that handle events can import it.
"""

# Names of the tables in template.yaml. A deployed table has its own name (``Config``).
FLOWS_TABLE = "FlowsTable"
RECORDS_TABLE = "RecordsTable"
ENROLLMENTS_TABLE = "EnrollmentsTable"

PARTITION_KEY = "pk"
SORT_KEY = "sk"
# Seconds since 1970. DynamoDB deletes the item after this time.
TIME_TO_LIVE = "expiresAt"

# Indexes of the records table, and the attributes of their keys.
BY_EVENT_TYPE = "by-event-type"
TYPE_SHARD = "typeShard"
BY_EVENT_ID = "by-event-id"
EVENT_KEY = "eventKey"
BY_EMAIL = "by-email"
EMAIL_KEY = "emailKey"
# Indexes of the enrollments table, and the attributes of their keys.
BY_FLOW = "by-flow"
FLOW_SHARD = "flowShard"
BY_ID = "by-id"
ENROLLMENT_ID = "enrollmentId"
BY_TIME = "by-time"
ENROLLED_AT = "enrolledAt"
UNCONFIRMED = "unconfirmed"
UNCONFIRMED_SHARD = "unconfirmedShard"
PUBLISH_AT = "publishAt"

# First parts of partition keys in the flows table.
FLOWS = "flows"
REVISIONS = "revisions"
CANDIDATES = "candidates"
PORTALS = "portals"
REPLAYS = "replays"
RUNS = "runs"
RUN_SHARDS = "run-shards"
ACTIVE_RUNS = "active-runs"

# Sort keys in the flows table. "#" sorts before every flow.
CANDIDATES_VERSION = "#version"
CANDIDATE_PREFIX = "flow/"
SETTINGS = "settings"
ORDER = "order"

# Sort keys in the records table, or their first parts.
RECORD = "record"
ASSOCIATED = "associated"
WAITING = "waiting"
EVENT = "event"

# First part of partition keys with two parts.
DUE = "due"

# First parts of partition keys with four parts. The keys of records have three.
REPLAY = "replay"
RATE_LIMIT = "rate-limit"

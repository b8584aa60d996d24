"""Responses that AWS can give instead: faults that replace single HTTP requests below botocore, so that its retries and
those of the adapters are the same as in production.

The errors of each service are those of its documentation. A call that timed out may or may not have taken effect. Any
part of a batch can be refused.
"""

import json
import random
from binascii import crc32
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from tests.proofs.processes import Call, Forward, Interference, name_of, parts_of

Answer = Callable[[AWSPreparedRequest, Forward], AWSResponse]


@dataclass(frozen=True)
class Fault:
    name: str
    answer: Answer


ERRORS: Mapping[str, Sequence[tuple[int, str]]] = {
    "DynamoDB": [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (400, "ExpiredTokenException"),
        (400, "ResourceNotFoundException"),
    ],
    "AmazonSQS": [
        (400, "RequestThrottled"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (403, "ExpiredToken"),
        (400, "QueueDoesNotExist"),
    ],
    "AWSEvents": [
        (400, "ThrottlingException"),
        (500, "InternalException"),
        (503, "ServiceUnavailable"),
        (400, "ExpiredTokenException"),
        (400, "ResourceNotFoundException"),
    ],
}
CONFLICT = (400, "TransactionConflictException")
CANCELLED = (400, "TransactionCanceledException")

# All subsets of up to this many parts are tried. For more parts: the single parts, all but one, all, and some at
# random.
ALL_SUBSETS = 3
RANDOM_SUBSETS = 4


def fail(at: int, fault: Fault, *, lasts: bool) -> Interference:
    """Answer the call with this number with the fault. ``lasts``: every later call of the same operation to the same
    resource gets the fault too."""
    failing: tuple[str, str] | None = None

    def interfere(number: int, call: Call, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        nonlocal failing
        if number == at:
            failing = (call.operation, call.resource)
        is_hit = number == at or (lasts and failing == (call.operation, call.resource))
        return fault.answer(request, forward) if is_hit else forward(request)

    return interfere


def faults_of(call: Call) -> Iterator[Fault]:
    """Yield all faults that are possible for such a call."""
    for status, code in ERRORS[call.service]:
        yield Fault(code, _error(status, code))
    if call.operation in ("PutItem", "UpdateItem"):
        yield Fault(CONFLICT[1], _error(*CONFLICT))
    if call.operation == "TransactWriteItems":
        for reason in ("ThrottlingError", "TransactionConflict"):
            reasons = [{"Code": reason, "Message": reason}, {"Code": "None"}]
            yield Fault(f"cancelled for {reason}", _error(*CANCELLED, CancellationReasons=reasons))
    for is_done in (True, False):
        done = "done" if is_done else "not done"
        yield Fault(f"timed out, {done}", _lost(is_done, lambda url: ReadTimeoutError(endpoint_url=url)))
        yield Fault(f"connection reset, {done}", _lost(is_done, lambda url: ConnectionClosedError(endpoint_url=url)))
    yield Fault("answer cut off", _cut_off)
    for chosen in _subsets(len(call.parts)):
        yield Fault(f"refused {len(chosen)} of {len(call.parts)}", Refusing(chosen))


def _error(status: int, code: str, **more: Any) -> Answer:
    def answer(request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        return _response(request, status, {"__type": f"com.amazonaws#{code}", "message": code, **more})

    return answer


def _lost(is_done: bool, error: Callable[[str], Exception]) -> Answer:
    def answer(request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        if is_done:
            forward(request)
        raise error(request.url)

    return answer


def _cut_off(request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
    """DynamoDB sends the checksum of its response."""
    whole = forward(request)
    headers = HeadersDict(whole.headers)
    if request.headers["X-Amz-Target"].decode().startswith("DynamoDB"):
        headers["x-amz-crc32"] = str(crc32(whole.content))
    return _raw(request, whole.status_code, headers, whole.content[: len(whole.content) // 2])


@dataclass
class Refusing:
    """Refuses parts of a batch, by their positions in the first call, and refuses the same parts in all later calls."""

    places: Sequence[int]
    names: set[str] = field(default_factory=set)

    def __call__(self, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        body = json.loads(request.body)
        parts = parts_of(operation, body)
        self.names = self.names or {name_of(parts[place]) for place in self.places}
        refused = [part for part in parts if name_of(part) in self.names]
        taken = [part for part in parts if name_of(part) not in self.names]
        answer = json.loads(forward(_with(request, operation, body, taken)).content) if taken else {}
        return _response(request, 200, _PARTIAL[operation](answer, body, parts, refused))


def _with(request: AWSPreparedRequest, operation: str, body: Mapping[str, Any], parts: Sequence[Any]) -> Any:
    if operation == "BatchGetItem":
        ((table, table_request),) = body["RequestItems"].items()
        fewer = {**body, "RequestItems": {table: {**table_request, "Keys": parts}}}
    elif operation == "BatchWriteItem":
        ((table, _),) = body["RequestItems"].items()
        fewer = {**body, "RequestItems": {table: parts}}
    elif operation == "BatchExecuteStatement":
        fewer = {**body, "Statements": parts}
    else:
        fewer = {**body, "Entries": parts}
    content = json.dumps(fewer).encode()
    headers = HeadersDict(request.headers)
    headers["Content-Length"] = str(len(content))
    return AWSPreparedRequest(request.method, request.url, headers, content, request.stream_output)


def _batch_get_item(answer: Any, body: Any, parts: Sequence[Any], refused: Sequence[Any]) -> Any:
    ((table, table_request),) = body["RequestItems"].items()
    return {"Responses": {table: []}, **answer, "UnprocessedKeys": {table: {**table_request, "Keys": refused}}}


def _batch_write_item(answer: Any, body: Any, parts: Sequence[Any], refused: Sequence[Any]) -> Any:
    ((table, _),) = body["RequestItems"].items()
    return {**answer, "UnprocessedItems": {table: refused}}


def _batch_execute_statement(answer: Any, body: Any, parts: Sequence[Any], refused: Sequence[Any]) -> Any:
    taken = iter(answer.get("Responses", []))
    failed = {"Error": {"Code": "ProvisionedThroughputExceeded", "Message": "refused"}}
    return {"Responses": [failed if part in refused else next(taken) for part in parts]}


def _send_message_batch(answer: Any, body: Any, parts: Sequence[Any], refused: Sequence[Any]) -> Any:
    failed = [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in refused]
    return {"Successful": [], **answer, "Failed": failed}


def _put_events(answer: Any, body: Any, parts: Sequence[Any], refused: Sequence[Any]) -> Any:
    taken = iter(answer.get("Entries", []))
    failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "refused"}
    return {"FailedEntryCount": len(refused), "Entries": [failed if part in refused else next(taken) for part in parts]}


_PARTIAL: Mapping[str, Callable[[Any, Any, Sequence[Any], Sequence[Any]], Any]] = {
    "BatchGetItem": _batch_get_item,
    "BatchWriteItem": _batch_write_item,
    "BatchExecuteStatement": _batch_execute_statement,
    "SendMessageBatch": _send_message_batch,
    "PutEvents": _put_events,
}


def _subsets(count: int) -> list[tuple[int, ...]]:
    """Return subsets of the positions, without the empty set."""
    places = range(count)
    if count <= ALL_SUBSETS:
        return [combination for size in places for combination in combinations(places, size + 1)]
    chance = random.Random(count)
    drawn = [tuple(sorted(chance.sample(places, chance.randint(2, count - 2)))) for _ in range(RANDOM_SUBSETS)]
    return [*combinations(places, 1), *combinations(places, count - 1), tuple(places), *dict.fromkeys(drawn)]


def _response(request: AWSPreparedRequest, status: int, body: Any) -> AWSResponse:
    return _raw(request, status, HeadersDict({"Content-Type": "application/x-amz-json-1.0"}), json.dumps(body).encode())


def _raw(request: AWSPreparedRequest, status: int, headers: HeadersDict, content: bytes) -> AWSResponse:
    response = AWSResponse(request.url, status, headers, None)
    response._content = content
    return response

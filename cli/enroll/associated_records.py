"""Show the associated records because of which a filter fails, from the API or from the logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def found_associated(failure: Mapping[str, Any]) -> list[str]:
    """Return the number of associated records in words, then a text for each record that is known.

    Raises KeyError, TypeError or AttributeError if another version wrote the failure in another form.
    """
    from enrollment.domain.describe import associated_conditions, associated_records
    from enrollment.domain.operators.filters import AssociatedFailure, Failure

    def read(document: Mapping[str, Any]) -> AssociatedFailure:
        reason = document["failure"]
        if reason is not None:
            reason = Failure(str(reason["property"]), reason["operation"], reason["found"])
        return AssociatedFailure(str(document["record"]), reason)

    associated: Sequence[AssociatedFailure] = [read(document) for document in failure.get("associated", [])]
    number = failure["found"]
    return [associated_records(number), *associated_conditions(number, associated)]

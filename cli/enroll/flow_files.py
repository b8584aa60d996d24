"""Read flow files, check each flow, and report the flows that Enroll cannot run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enroll.files import InvalidFile, load_objects
from enroll.output import FAILED, console
from enrollment.domain.flows.flow import revised
from enrollment.serialization.flows import InvalidFlow, cannot_run, read_new_flow
from enrollment.serialization.validation_errors import ValidationError, format_value


@dataclass(frozen=True)
class CheckedFlow:
    """A flow of a file. ``id``: empty if the file has none. ``document``: empty if the file cannot be read.
    ``faults``: why the flow cannot run as it is. ``is_storable``: it can be stored, turned off if it has faults."""

    path: Path
    id: str
    document: Mapping[str, Any]
    faults: Sequence[ValidationError]
    is_storable: bool

    @property
    def kind(self) -> str:
        """The type of its enrollment criteria, for example EVENT_BASED. Empty if it is not readable."""
        criteria = self.document.get("enrollmentCriteria", {})
        kind = criteria.get("type") if isinstance(criteria, Mapping) else None
        if kind is None and self.is_storable:
            return "MANUAL"
        return kind if isinstance(kind, str) else ""

    @property
    def is_turned_off(self) -> bool:
        """Whether the file says that the flow is on, and it is stored turned off."""
        return self.is_storable and bool(self.faults) and self.document.get("isEnabled") is True

    @property
    def document_to_store(self) -> Mapping[str, Any]:
        """The document, turned off if Enroll cannot run it."""
        return {**self.document, "isEnabled": False} if self.is_turned_off else self.document

    @property
    def lines(self) -> Sequence[str]:
        """The faults, each with the file and the flow."""
        flow = f"flow {self.id}: " if self.id else ""
        return [f"{self.path}: {flow}{_line(fault)}" for fault in self.faults]

    def report(self) -> dict[str, Any]:
        """Return the keys that the report adds to the flow's row."""
        reasons = [{"path": fault.path, "code": fault.code, "message": fault.message} for fault in self.faults]
        return {"file": str(self.path), "kind": self.kind, "isTurnedOff": self.is_turned_off, "reasons": reasons}

    def row(self) -> dict[str, Any]:
        """Return the row of a flow that is not stored."""
        stored = {"id": self.id or None, "name": self.document.get("name"), "revisionId": None, "isEnabled": None}
        return stored | {"outcome": "not stored", "warnings": []} | self.report()


def check_files(paths: Sequence[Path], portal: str) -> list[CheckedFlow]:
    """Read and check the flows in files and folders. A file that cannot be read is an entry without a document."""
    documents, unreadable = load_flows(paths)
    flows = [
        _unstorable(invalid.path, "", {}, ValidationError("", "UNREADABLE", invalid.message)) for invalid in unreadable
    ]
    count_by_id = Counter(str(document.get("id")) for _, document in documents)
    for path, document in documents:
        raw_id = document.get("id")
        if not isinstance(raw_id, str | int) or isinstance(raw_id, bool):
            message = f"expected the flow's ID, for example 1001; got {format_value(raw_id)}"
            flows.append(_unstorable(path, "", document, ValidationError("$.id", "INVALID_ID", message)))
            continue
        flow_id = str(raw_id)
        if count_by_id[flow_id] > 1:
            # Nothing says which of them is meant.
            message = f"expected each ID once; got {flow_id} {count_by_id[flow_id]} times"
            flows.append(_unstorable(path, flow_id, document, ValidationError("$.id", "GIVEN_TWICE", message)))
            continue
        flows.append(check_flow(path, flow_id, document, portal))
    return flows


def load_flows(paths: Sequence[Path]) -> tuple[list[tuple[Path, dict[str, Any]]], list[InvalidFile]]:
    """Return the flows in files and folders, and the files that cannot be read."""
    documents: list[tuple[Path, dict[str, Any]]] = []
    faults: list[InvalidFile] = []
    for path in paths:
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            try:
                documents += [(file, document) for document in load_objects(file)]
            except InvalidFile as invalid:
                faults.append(invalid)
    return documents, faults


def exit_code_of(flows: Sequence[CheckedFlow]) -> int:
    """Return FAILED if flows were turned off or not stored, and 0 otherwise."""
    return FAILED if any(flow.is_turned_off or not flow.is_storable for flow in flows) else 0


def print_report(flows: Sequence[CheckedFlow]) -> None:
    """Print the flows that cannot run, each with its reasons and what to change, and a summary line."""
    off = [flow for flow in flows if flow.is_storable and flow.faults]
    not_stored = [flow for flow in flows if not flow.is_storable]
    for title, group in (("Stored, but they cannot run and are off:", off), ("Not stored:", not_stored)):
        if group:
            console.print(title, style="bold")
        for flow in group:
            console.print(f"  {_title(flow)}")
            for fault in flow.faults:
                console.print(f"    {_line(fault)}", style="yellow" if flow.is_storable else "red")
    if off or not_stored:
        stored = len(flows) - len(off) - len(not_stored)
        counts = f"{stored} stored as they are, {len(off)} stored turned off, {len(not_stored)} not stored"
        console.print(f"{len(flows)} flows: {counts}.")


def _line(fault: ValidationError) -> str:
    """Return a fault as one line. A file that cannot be read has no JSON path."""
    return str(fault) if fault.path else fault.message


def _title(flow: CheckedFlow) -> str:
    name = flow.document.get("name")
    words = [
        flow.id or str(flow.path),
        *([name] if isinstance(name, str) else []),
        *([f"({flow.kind})"] * bool(flow.kind)),
    ]
    return " ".join(words)


def check_flow(path: Path, flow_id: str, document: Mapping[str, Any], portal: str) -> CheckedFlow:
    """Check a flow as it is written in its file."""
    try:
        read_new_flow(revised(None, portal, flow_id, document, 0))
    except InvalidFlow as invalid:
        return CheckedFlow(path, flow_id, document, invalid.faults, all(map(cannot_run, invalid.faults)))
    return CheckedFlow(path, flow_id, document, (), True)


def _unstorable(path: Path, flow_id: str, document: Mapping[str, Any], fault: ValidationError) -> CheckedFlow:
    return CheckedFlow(path, flow_id, document, (fault,), False)

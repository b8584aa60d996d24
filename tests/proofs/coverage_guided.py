"""A coverage-guided fuzzer (libFuzzer, by atheris): it sees which lines of the package an input runs, and continues
from inputs that run new lines. It starts from the samples and uses the words of the catalog.

    python -m tests.proofs.coverage_guided event|flow|body <folder of seeds> [libFuzzer's options]

It ends with a count, or with the input that made a target fail. Add that input to found.json.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["enrollment"]):
    from enrollment.catalog import EVENT_TYPES
    from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
    from enrollment.domain.operators.property_operators import OPERATION_TYPES
    from tests.proofs.targets import Events, Tried, read_any_body, read_any_flow

# The inputs that are JSON, between two lines with the results. Most inputs of a fuzzer are not JSON.
REPORTED = 10_000

ROOT = Path(__file__).parents[2]


def seeds(name: str) -> Iterator[bytes]:
    for case in json.loads((ROOT / "tests" / "proofs" / "found.json").read_text(encoding="utf-8")):
        if case["target"] == name:
            yield json.dumps(case["input"]).encode()
    folder = ROOT / ("cli/enroll/demo/flows" if name == "flow" else "events")
    for path in sorted(folder.rglob("*.json")):
        if "schemas" not in path.parts:
            document = json.loads(path.read_text(encoding="utf-8"))
            yield json.dumps(document["detail"] if name == "body" and "detail" in document else document).encode()


def words() -> Iterator[str]:
    for event_type in EVENT_TYPES.values():
        yield event_type.name
        yield from (property_.name for property_ in event_type.properties)
    for name, row in RECORD_OPERATION_TYPES.items():
        yield from (name, *row.operators)
    for row in OPERATION_TYPES.values():
        yield from row.keys


def main() -> None:
    _, name, folder, *options = sys.argv
    events = Events()
    targets: dict[str, Callable[[Any], str]] = {
        "event": lambda document: events(document, _category(document)),
        "flow": read_any_flow,
        "body": read_any_body,
    }
    corpus, dictionary = Path(folder) / name, Path(folder) / "words"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(set(words()))), encoding="utf-8")
    tried = Tried()

    def one_input(data: bytes) -> None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return
        tried.run(targets[name], document)
        if tried.count % REPORTED == 0:
            print(f"{name}: {tried}", flush=True)

    atheris.Setup([sys.argv[0], str(corpus), f"-dict={dictionary}", f"-artifact_prefix={folder}/", *options], one_input)
    atheris.Fuzz()


def _category(envelope: Any) -> str:
    name = envelope.get("detail-type") if isinstance(envelope, dict) else None
    return EVENT_TYPES[name].category if isinstance(name, str) and name in EVENT_TYPES else "forms"


if __name__ == "__main__":
    main()

"""template.yaml as data, and functions that find its parts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enroll.local.deployment import load_template
from templates.write_categories import logical_name

ROOT = Path(__file__).parents[2]


TEMPLATE = load_template(ROOT / "template.yaml")


RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


ROUTE = load_template(ROOT / "templates" / "routes" / "category.yaml")


DEFAULTS = TEMPLATE["Globals"]["Function"]


def of_type(resource_type: str, template: dict[str, Any] = TEMPLATE) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of a type, by logical id."""
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == resource_type
    }


def logical(category: str, suffix: str) -> str:
    """Return a logical ID of a category's resource. Fail if the template does not have the category."""
    assert f"{logical_name(category)}Function" in RESOURCES, (
        f"template.yaml has no blocks for the category {category}: run `make categories`"
    )
    return logical_name(category) + suffix


FUNCTIONS = of_type("AWS::Serverless::Function")


def values_of(value: Any, key: str) -> Iterator[Any]:
    """Yield every value of the key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from values_of(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from values_of(inner, key)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

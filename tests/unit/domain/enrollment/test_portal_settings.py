"""The sources whose events a portal accepts."""

import pytest
from msgspec.structs import replace

from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.events.event import OWN_SOURCE, InvalidEvent
from enrollment.serialization.envelopes import read_routed_event
from tests.support.scenario import event

EVENT = read_routed_event(event({"forms.submitted": "101", "id": "e1", "source": "acme.web"}))


@pytest.mark.parametrize(
    ("allowed", "source"),
    [((), "acme.web"), (("acme.crm", "acme.web"), "acme.web"), (("acme.crm",), OWN_SOURCE)],
)
def test_a_source_that_the_portal_allows_is_accepted(allowed: tuple[str, ...], source: str) -> None:
    PortalSettings(allowed_sources=allowed).check_source(replace(EVENT, source=source))


def test_another_source_is_rejected_with_an_example_of_an_allowed_one() -> None:
    with pytest.raises(InvalidEvent) as rejected:
        PortalSettings(allowed_sources=("acme.crm",)).check_source(EVENT)
    assert (rejected.value.reason, rejected.value.field) == ("SOURCE_NOT_ALLOWED", "source")
    assert rejected.value.message == (
        "source: expected one of the 1 sources that the portal allows, for example 'acme.crm'; got 'acme.web'. "
        "To allow this source, use `enroll portal set --allow-source`"
    )


def test_long_names_of_sources_are_cut_in_the_message() -> None:
    with pytest.raises(InvalidEvent) as rejected:
        PortalSettings(allowed_sources=("a" * 100, "b")).check_source(replace(EVENT, source="c" * 100))
    assert f"'{'a' * 80}'; got '{'c' * 80}'" in rejected.value.message

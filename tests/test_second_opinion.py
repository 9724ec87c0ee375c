"""Network UPS Tools as a second opinion: whoever differs has to say why (docs/second-opinion.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import second_opinion
from tests.field import needs_captures, needs_snmpsim
from tests.nut import needs_nut
from tests.second_opinion import Line, View, document, known

pytestmark = [pytest.mark.slow, needs_captures, needs_snmpsim, needs_nut]
DOCUMENT = Path(__file__).parent.parent / "docs" / "second-opinion.md"
VIEWS, DIFFERENCES = known()


@pytest.fixture(scope="module")
def shown() -> Mapping[str, list[Line]]:
    return second_opinion.compare(VIEWS)


@pytest.mark.parametrize("view", VIEWS, ids=[view.id for view in VIEWS])
def test_nut_and_we_read_the_same_or_the_difference_is_explained(view: View, shown: Mapping[str, list[Line]]) -> None:
    lines = shown[view.id]
    assert lines, "NUT could not read it"
    apart = {line.field: (line.nut, line.ours) for line in lines if not line.same}
    explained = {field: (each.nut, each.ours) for (id, field), each in DIFFERENCES.items() if id == view.id}
    assert apart == explained  # an explained difference that is gone, or has other values, is none either


def test_every_explained_difference_is_of_a_view_that_is_read() -> None:
    assert {view for view, _ in DIFFERENCES} <= {view.id for view in VIEWS}


def test_every_difference_has_its_reason(shown: Mapping[str, list[Line]]) -> None:
    assert all(len(each.why) > 20 for each in DIFFERENCES.values())
    assert "unexplained" not in document(shown, DIFFERENCES)


def test_the_comparison_sees_another_number_and_another_state() -> None:
    view = View("eatonups", "pw")
    lines = list(
        second_opinion.lines(view, {"battery.charge": "94", "battery.voltage": "78", "ups.status": "OB DISCHRG"})
    )
    assert lines == [
        Line(view.id, "battery.charge", "94", "100", same=False),
        Line(view.id, "battery.voltage", "78", "78", same=True),
        Line(view.id, "ups.status", "OB", "OL", same=False),
    ]
    assert document({view.id: lines}, {}).count("unexplained") == 2


def test_the_document_is_the_one_that_the_command_writes(shown: Mapping[str, list[Line]]) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(shown, DIFFERENCES), "run: make second-opinion"

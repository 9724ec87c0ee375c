"""The rig of the benchmarks still works: a few devices for a few seconds, and no figure fails by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import picture, report
from tests.benchmarks.agent import agent, upses
from tests.benchmarks.bench import Bench, alternating, told_by_agent
from tests.benchmarks.ear import Ear
from tests.benchmarks.figures import MET, SHORT, TOLD, absent, row
from tests.benchmarks.site import COMPILER, MISSING, SimulatedSite
from tests.broker import needs_mosquitto

DEVICES = 4


@needs_mosquitto
@pytest.mark.skipif(COMPILER is None, reason=MISSING)
def test_a_small_site_is_polled_and_its_faults_are_heard(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seconds=1.0, rounds=1)
    plan = alternating(range(DEVICES))
    with (
        SimulatedSite(tmp_path, "snmp", DEVICES) as site,
        bench.broker() as broker,
        agent(bench.place() / "site", broker, upses(site, interval=0.5)) as it,
        Ear(broker, *it.topics(range(DEVICES))) as ear,
    ):
        cost = bench.cost("agent", it.process, site, 0.5, settle=0.2)
        heard = bench.faults("faults", site, ear, plan, told=told_by_agent, lasting=0.2, patience=1.5)
    assert cost.devices == DEVICES
    assert cost.poll > 0
    assert heard.lost == 0
    assert all(0 < answer <= fault for answer, fault in zip(heard.answer, heard.fault, strict=True))


def test_figures_are_laid_out_with_what_they_promise(tmp_path: Path) -> None:
    rows = [
        row("polls", "agent, CPU a poll", "us", [30.0, 20.0, 25.0], 40.0),
        row("polls", "agent / other", "", [0.9], 0.75),
        row("polls", "other, CPU a poll", "us", [50.0]),
        absent("polls", "third", "not here (Debian: third)", 1.0),
    ]
    assert [each.verdict for each in rows] == [MET, SHORT, TOLD, "not here (Debian: third)"]
    assert "25.0 (20.0 to 30.0) us" in report.table(rows)
    assert "1 goals met, 1 fall short" in report.table(rows)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.insert(page, report.markdown(rows, "two cores"))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| agent / other | 0.900 | ≤ 0.75 | **short** |" in text
    assert picture.draw(rows).count("<rect") == 1 + 4

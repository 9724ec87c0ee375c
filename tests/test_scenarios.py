"""Each shipped scenario, played on a site of real drivers with people who do their part: what it expects must come."""

from __future__ import annotations

from typing import Final

import pytest

from edgeagent import resources
from edgeagent.config import Site
from edgeagent.drill import End
from tests.rehearsed import Played, load_site

SHIPPED: Final = sorted(path.stem for path in (resources.examples() / "drills").glob("*.toml"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return load_site(tmp_path_factory.mktemp("scene") / "site")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_comes_to_its_expected_outcome(site: Site, name: str) -> None:
    scene = Played(site, site.drills.scenarios[name])
    drill = scene.play()
    assert not scene.failures()
    wrong = {line: verdict for line, verdict in scene.verdicts().items() if verdict not in ("met", "held")}
    assert not wrong, "\n".join(scene.story())
    assert drill.end in (End.COMPLETED, End.TIME)

"""Walks of real cards, which nobody here made: what the drivers read in them is what the devices showed."""

from __future__ import annotations

from typing import Final

import pytest

from edgeagent.phases import PHASES
from tests.truth import NAMES, marks, needs_captures, read, recognised, table, walk

pytestmark = [pytest.mark.disable_socket, needs_captures]

FAMILIES: Final = {
    "abbups_abbups": "abb-powerscale",
    "algcom-dc-ups": "algcom-dc-ups",
    "apc-mgeups_galaxy7000": "eaton-mge",
    "apc_smart1500": "apc-powernet",
    "apc_smtl1000-nmc3": "apc-powernet",
    "apc_sua1500rmi2u": "apc-powernet",
    "apc_symmetralx": "apc-powernet",
    "bke_bke": "bke-dc-ups",
    "centreon-ups-apc-battery-low": "apc-powernet",
    "centreon-ups-apc-galaxy": "apc-powernet",
    "compas_usv": "alpha-compas",
    "cyberpower": "cyberpower",
    "dell-ups_tower1000w": "dell",
    "deltaups": "delta",
    "deltaups_mini-snmp": "delta",
    "eaton-93e-80": "eaton-mge",
    "eaton-mgeups_5px": "eaton-mge",
    "eatonups": "eaton-xups",
    "eatonupsm2_9px": "eaton-xups",
    "generex-ups_cs141": "rfc1628",
    "huawei-smu": "huawei-smu",
    "huaweiups_ups2000": "huawei-ups2000",
    "ingrasys-power-switch": "santak-webpower",
    "liebert_apm": "liebert-gp",
    "marathonups": "rfc1628",
    "netagent2": "ppc-3phase",
    "netmanplus_204": "riello",
    "orvaldi-ups": "orvaldi",
    "poweralert_ups": "tripplite",
    "powerwalker": "eppc",
    "socomec-ups": "socomec-netvision",
    "vertiv-ita2": "vertiv-ita2",
    "webpower-smart2": "santak-webpower",
}


def test_every_walk_has_its_family() -> None:
    assert sorted(FAMILIES) == NAMES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_card_is_recognised(name: str) -> None:
    assert [driver.id for driver in recognised(walk(name))][:1] == [f"ups/{FAMILIES[name]}"]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_read_is_what_the_device_showed(name: str) -> None:
    found = read(walk(name))
    assert found is not None
    assert [mark for mark in marks(found.as_json(), name) if not mark.right] == []


def test_the_table_of_all_walks_has_no_wrong_field() -> None:
    rows, wrong = table()
    assert rows.row_count == len(FAMILIES)
    assert wrong == 0


def test_rows_of_phases_that_a_unit_does_not_have_are_dropped() -> None:
    found = read(walk("netmanplus_204"))
    assert found is not None
    for id in ("input.voltage", "output.voltage", "output.load"):
        assert [found.readings[f"{id}.{phase}"].reason for phase in PHASES] == [None, "not-fitted", "not-fitted"]
        assert found.readings[id].same(found.readings[f"{id}.l1"])

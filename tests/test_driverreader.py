"""Driver files: each mistake in what identifies, varies, falls back or lists alarms is told where it stands."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent.catalog import Catalog
from edgeagent.driverfiles import load
from edgeagent.items import Identify, Item, Variant
from tests.test_driverfiles import folder, mistakes

SNMP = """\
driver = "pump/net"
protocol = "snmp"
text = { en = "Pump card", zh = "水泵卡" }
source = "MIB"
evidence = "manual"
models = ["P1", "P2"]
base = "1.3.6.1.4.1.5"
[[identify]]
rank = 20
sys_object_ids = ["1.3.6.1.4.1.5"]
requires = ["1.0", "1.3.6.1.2.1.33.1.0"]
[[identify]]
texts = { "2.0" = "(?i)pump" }
unless = { "3.0" = "tower" }
between = { "4.0" = [[1, 5], [7, 9]] }
absent = ["5.0"]
[points]
"flow"   = { oid = "1.0", valid = [0, 900], unverified = true }
"alarms" = { walk = "8", below = "9", total = "7.0", map = { 1 = "dry", "4.2" = "" } }
[[variants]]
sys_object_ids = ["1.3.6.1.4.1.5.2"]
texts = { "2.0" = "^v2" }
between = { "1.0" = [700, 900] }
scale = { "flow" = 0.1 }
omit = ["mode"]
"""
BUS = """\
driver = "pump/bus"
protocol = "modbus"
text = { en = "Pump bus", zh = "水泵总线" }
source = "manual"
evidence = "manual"
fallback = "pump/one"
without = ["mode"]
units = { last = 4, holding = 10, coil = 3 }
[identify]
rank = 20
texts = { "h20+3" = "PMP" }
[points]
"flow"   = { holding = 2, type = "u32" }
"runs"   = { holding = 9, bit = 0, bit_step = 1, step = 0 }
"alarms" = [{ holding = 5, decode = "bitmap", map = { 0 = "dry", other = "" } }, { coil = 3, alarm = "dry" }]
"""
FILES = {"pump/net.toml": SNMP, "pump/bus.toml": BUS}


def catalog(tmp_path: Path) -> Catalog:
    return load([folder(tmp_path, **FILES)])


# What the files say.


def test_a_device_may_show_what_it_is_in_several_ways(tmp_path: Path) -> None:
    driver = catalog(tmp_path).drivers["pump/net"]
    base = "1.3.6.1.4.1.5"
    assert driver.identify == (
        Identify(20, ("1.3.6.1.4.1.5",), requires=(f"{base}.1.0", "1.3.6.1.2.1.33.1.0")),
        Identify(
            texts={(f"{base}.2.0",): "(?i)pump"}, unless={(f"{base}.3.0",): "tower"},
            between={f"{base}.4.0": ((1, 5), (7, 9))}, absent=(f"{base}.5.0",),
        ),
    )  # fmt: skip
    assert driver.variants == (
        Variant(
            "pump/net", ("1.3.6.1.4.1.5.2",), {(f"{base}.2.0",): "^v2"}, {f"{base}.1.0": ((700, 900),)},
            {"flow": 0.1}, frozenset({"mode"}),
        ),
    )  # fmt: skip
    assert (driver.evidence, driver.models) == ("manual", ("P1", "P2"))


def test_a_source_says_what_is_valid_and_who_confirms_it(tmp_path: Path) -> None:
    flow, alarms = catalog(tmp_path).drivers["pump/net"].items
    assert (flow.valid, flow.unverified, flow.driver) == ((0, 900), True, "pump/net")
    assert alarms.code == "rows"
    assert (alarms.walk, alarms.below, alarms.addresses) == (
        "1.3.6.1.4.1.5.8",
        "1.3.6.1.4.1.5.9",
        ("1.3.6.1.4.1.5.7.0",),
    )
    assert alarms.enum == {1: "dry", "4.2": ""}
    assert alarms.unverified is False


def test_a_whole_file_may_be_unverified(tmp_path: Path) -> None:
    text = SNMP.replace('source = "MIB"', 'source = "MIB"\nunverified = true')
    driver = load([folder(tmp_path, **{"pump/net.toml": text})]).drivers["pump/net"]
    assert all(item.unverified for item in driver.items)


def test_behind_its_own_sources_come_those_of_its_fallback(tmp_path: Path) -> None:
    drivers = catalog(tmp_path).drivers
    bus, one = drivers["pump/bus"], drivers["pump/one"]
    assert [(item.point, item.driver) for item in bus.items] == [
        ("flow", "pump/bus"), ("runs", "pump/bus"), ("alarms", "pump/bus"), ("alarms", "pump/bus"),
        ("flow", "pump/one"), ("runs", "pump/one"), ("alarms", "pump/one"), ("alarms", "pump/one"),
    ]  # fmt: skip
    assert bus.variants == one.variants
    assert bus.identify == (Identify(20, texts={("h20", "h21", "h22"): "PMP"}),)
    assert bus.channels == {}


ALONE = BUS.replace("pump/bus", "pump/three").replace('fallback = "pump/one"\nwithout = ["mode"]\n', "")
"""A driver that another one can fall back on."""


def test_identity_falls_back_too(tmp_path: Path) -> None:
    model = '[identity]\nmodel = {{ holding = {}, type = "text", count = 2 }}\n[identify]'
    own = BUS.replace("pump/one", "pump/three").replace('"mode"', '"runs"').replace("[identify]", model.format(30))
    other = ALONE.replace("[identify]", model.format(40))
    bus = load([folder(tmp_path, **{"pump/bus.toml": own, "pump/three.toml": other})]).drivers["pump/bus"]
    assert [item.addresses for item in bus.identity] == [("h30", "h31"), ("h40", "h41")]
    assert [item.point for item in bus.items if item.driver == "pump/three"] == ["flow", "alarms", "alarms"]


def test_units_lie_as_far_apart_as_their_table_or_their_row_says(tmp_path: Path) -> None:
    bus = catalog(tmp_path).drivers["pump/bus"]
    assert bus.last_unit == 4
    assert [(item.step, item.bit_step) for item in bus.items if item.driver == "pump/bus"] == [
        (10, 0),
        (0, 1),
        (10, 0),
        (3, 0),
    ]
    assert bus.of_unit(4).gets[:5] == ("h42", "h43", "h9", "h45", "c15")
    assert bus.of_unit(4).items[1].bits == (4, 4)
    assert bus.of_unit(4).items[4] == bus.items[4]  # the fallback's lie still


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param('"mode" = { holding = 1, enum = { 0x1F = "off", -1 = "auto", AUTO = "auto" } }', {31: "off", -1: "auto", "AUTO": "auto"}, id="numbers in any spelling, and words"),
        pytest.param('"alarms" = { holding = 1, type = "u64", decode = "bitmap", map = { 0 = "dry", 63 = "" } }', {0: "dry", 63: ""}, id="bits"),
        pytest.param('"alarms" = { holding = 1, decode = "number-list", map = { 7 = "dry" } }', {7: "dry"}, id="lists of numbers"),
        pytest.param('"alarms" = { holding = 1, decode = "flag-string", map = { 1 = "dry", 64 = "" } }', {1: "dry", 64: ""}, id="places"),
    ],
)  # fmt: skip
def test_raw_numbers_are_numbers(tmp_path: Path, entry: str, expected: dict[int | str, str]) -> None:
    text = BUS[: BUS.index("[points]")].replace('"mode"', '"runs"') + "[points]\n" + entry + "\n"
    item: Item = load([folder(tmp_path, **{"pump/bus.toml": text})]).drivers["pump/bus"].items[0]
    assert item.enum == expected


def test_sentinels_of_text_are_found_in_text_too(tmp_path: Path) -> None:
    entry = '"flow" = { holding = 2, type = "text", count = 2, sentinels = { -1 = "not-fitted", "--" = "gone" } }'
    text = BUS[: BUS.index("[points]")] + "[points]\n" + entry + "\n"
    item = load([folder(tmp_path, **{"pump/bus.toml": text})]).drivers["pump/bus"].items[0]
    assert item.sentinels == {-1: "not-fitted", "-1": "not-fitted", "--": "gone"}


# What is wrong.

NET, RTU = "pump/net.toml", "pump/bus.toml"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        # what identifies
        pytest.param(NET, '["1.0", ', '["1.x", ', ['11: identify.0.requires: "1.3.6.1.4.1.5.1.x" is not an OID'], id="requires"),
        pytest.param(NET, '"2.0" = "(?i)pump"', '"2" = "("', ["13: identify.1.texts.2: not a regular expression: missing ), unterminated subpattern at position 0"], id="a regular expression"),
        pytest.param(NET, '"3.0" = "tower"', '"3" = "*"', ["14: identify.1.unless.3: not a regular expression: nothing to repeat at position 0"], id="one that must not match"),
        pytest.param(NET, '"2.0" = "(?i)pump"', '"2.o" = "pump"', ['13: identify.1.texts."2.o": "1.3.6.1.4.1.5.2.o" is not an OID'], id="place of a text"),
        pytest.param(NET, '"3.0" = "tower"', 'x = "tower"', ['14: identify.1.unless.x: "1.3.6.1.4.1.5.x" is not an OID'], id="place of a text that must not match"),
        pytest.param(NET, '"4.0" = [[1', '"4." = [[1', ['15: identify.1.between."4.": "1.3.6.1.4.1.5.4." is not an OID'], id="place of a number"),
        pytest.param(NET, '["5.0"]', '["h5"]', ['16: identify.1.absent: "1.3.6.1.4.1.5.h5" is not an OID'], id="place of what is absent"),
        pytest.param(NET, "[[1, 5], [7, 9]]", "[[1, 5], [7]]", ['15: identify.1.between."4.0".1.1: is missing'], id="half a range"),
        pytest.param(NET, "[[1, 5], [7, 9]]", '"1 to 5"', ['15: identify.1.between."4.0": input should be a valid tuple'], id="a range in words"),
        pytest.param(NET, "rank = 20", 'rank = "high"', ['9: identify.0.rank: "high" is no number'], id="rank"),
        pytest.param(NET, "unless =", "unles =", ['14: identify.1.unles: unknown key, did you mean "unless"?'], id="unknown key of identify"),
        pytest.param(RTU, '"h20+3"', '"x20+3"', ['11: identify.texts."x20+3": an address is h, i, c or d and a number, such as h768'], id="registers of a text"),
        pytest.param(RTU, "rank = 20", 'requires = ["3.0"]', ["10: identify.requires: an address is h, i, c or d and a number, such as h768"], id="an OID on a bus"),
        pytest.param(RTU, "rank = 20", "between = { h123456 = [1, 2] }", ["10: identify.between.h123456: an address is h, i, c or d and a number, such as h768"], id="too long an address"),
        pytest.param(RTU, "rank = 20", "absent = [5]", ["10: identify.absent.0: input should be a valid string"], id="a bare number"),
        # variants
        pytest.param(NET, 'sys_object_ids = ["1.3.6.1.4.1.5.2"]\ntexts = { "2.0" = "^v2" }\nbetween = { "1.0" = [700, 900] }\n', "", ["20: variants.0: needs sys_object_ids, texts or between"], id="a variant without evidence"),
        pytest.param(NET, '"^v2"', '"^v2("', ['22: variants.0.texts."2.0": not a regular expression: missing ), unterminated subpattern at position 3'], id="text of a variant"),
        pytest.param(NET, '"1.0" = [700', '"i1" = [700', ['23: variants.0.between.i1: "1.3.6.1.4.1.5.i1" is not an OID'], id="number of a variant"),
        pytest.param(NET, '["mode"]', '["mod"]', ['25: variants.0.omit.mod: unknown point, did you mean "mode"?'], id="what a variant lacks"),
        pytest.param(NET, "omit =", "omits =", ['25: variants.0.omits: unknown key, did you mean "omit"?'], id="unknown key of a variant"),
        # fallback
        pytest.param(RTU, '"pump/one"', '"pump/on"', ['6: fallback: needs a driver of this kind that stands alone, did you mean "pump/one"?'], id="no such driver"),
        pytest.param(RTU, '"pump/one"', '"pump/bus"', ['6: fallback: needs a driver of this kind that stands alone, did you mean "pump/one"?'], id="the driver itself"),
        pytest.param(RTU, '["mode"]', '["mod"]', ['7: without: pump/one has no "mod", did you mean "mode"?'], id="nothing like it"),
        pytest.param(RTU, '["mode"]', '["flow", "flwo"]', ['7: without: pump/one has no "flwo", did you mean "flow"?'], id="one of several"),
        # sources
        pytest.param(NET, "[0, 900]", "[0]", ["18: points.flow.valid.1: is missing"], id="half of valid"),
        pytest.param(NET, "[0, 900]", "900", ["18: points.flow.valid: input should be a valid tuple"], id="valid without a range"),
        pytest.param(NET, 'walk = "8"', 'walk = "8x"', ['19: points.alarms: "1.3.6.1.4.1.5.8x" is not an OID'], id="walk"),
        pytest.param(NET, 'below = "9"', 'below = "n"', ['19: points.alarms: "1.3.6.1.4.1.5.n" is not an OID'], id="below"),
        pytest.param(NET, 'total = "7.0"', 'total = "seven"', ['19: points.alarms: "1.3.6.1.4.1.5.seven" is not an OID'], id="total"),
        pytest.param(NET, '"4.2" = ""', '"4.2" = "dri"', ['19: points.alarms: "dri" is neither an alarm nor a condition of pump, did you mean "dry"?'], id="alarm of a row"),
        pytest.param(NET, 'oid = "1.0", ', 'field = "Q1", ', ['18: points.flow.field: "Q1" does not fit: question:place, as I:0'], id="shape of a field"),
        pytest.param(NET, 'oid = "1.0", ', 'field = "Q1:0", ', ["18: points.flow: has no place that snmp can read"], id="a field of another protocol"),
        pytest.param(NET, 'oid = "1.0", ', 'oid = "1.0", host = "cpu", ', ["18: points.flow: needs exactly one place: oid, holding, input, coil, discrete, field, host, service, ami or when"], id="two places"),
        pytest.param(RTU, "map = { 0 =", "map = { -1 =", ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0"], id="a negative bit"),
        pytest.param(RTU, "map = { 0 =", "map = { 64 =", ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0"], id="bit 64"),
        pytest.param(RTU, "map = { 0 =", "map = { one =", ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0"], id="a bit in words"),
        pytest.param(RTU, 'decode = "bitmap", map = { 0 = "dry", other = "" }', 'decode = "bitmap"', ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0"], id="a bitmap without a map"),
        pytest.param(RTU, 'map = { 0 = "dry", other = "" }', 'map = [["dry"]]', ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0", "15: points.alarms.0: map is a table of raw number = alarm here"], id="rows of names for bits"),
        pytest.param(RTU, 'decode = "bitmap", map = { 0 = "dry", other = "" }', 'decode = "flag-string", map = { 0 = "dry", 1 = "" }', ["15: points.alarms.0: a flag-string needs map = { place = alarm }, its places counted from 1 to 64"], id="place 0"),
        pytest.param(RTU, 'decode = "bitmap", map = { 0 = "dry", other = "" }', 'decode = "flag-string", map = { 65 = "dry" }', ["15: points.alarms.0: a flag-string needs map = { place = alarm }, its places counted from 1 to 64"], id="place 65"),
        pytest.param(RTU, '"bitmap"', '"bitmask"', ['15: points.alarms.0: unknown decoder "bitmask", did you mean "bitmap"?'], id="decoder"),
        pytest.param(RTU, "bit = 0,", "bit = 16,", ["14: points.runs: bits are the lowest and the highest of 0 to 15"], id="bit of a register"),
        pytest.param(RTU, "bit = 0,", "bit = 64,", ["14: points.runs.bit: input should be less than or equal to 63"], id="bit of any number"),
        pytest.param(RTU, "bit_step = 1", "bit_step = 17", ["14: points.runs.bit_step: input should be less than or equal to 16"], id="step of bits"),
        pytest.param(RTU, "step = 0 }", "step = -1 }", ["14: points.runs.step: input should be greater than or equal to 0"], id="step backwards"),
        # the file
        pytest.param(NET, 'evidence = "manual"', 'evidence = "captur"', ['5: evidence: "captur" is not known, did you mean "capture"?'], id="evidence"),
        pytest.param(NET, '["P1", "P2"]', '"P1"', ["6: models: input should be a valid tuple"], id="models"),
        pytest.param(NET, "[700, 900]", "[900, 700]", ['23: variants.0.between."1.0": a range is its lowest and its highest number'], id="a range the other way round"),
        pytest.param(NET, 'scale = { "flow" = 0.1 }', 'scale = { "flow" = 0 }', ["24: variants.0.scale.flow: may not be 0; omit leaves a point out"], id="a variant that scales to nothing"),
        pytest.param(NET, '["1.3.6.1.4.1.5.2"]', '["acme"]', ['21: variants.0.sys_object_ids: "acme" is not an OID'], id="an object id that is none"),
        pytest.param(NET, "valid = [0, 900]", "valid = [900, 0]", ["18: points.flow: valid is the lowest and the highest raw number"], id="valid the other way round"),
        pytest.param(NET, 'walk = "8", ', 'oid = "8", ', ["19: points.alarms: below and total go with walk"], id="a table without its walk"),
        pytest.param(RTU, 'texts = { "h20+3" = "PMP" }', "", ["9: identify: names nothing that a device is known by, such as requires, equals or texts"], id="nothing to know it by"),
        pytest.param(RTU, '"h20+3"', '"h20+x"', ['11: identify.texts."h20+x": a text over several registers is an address and how many, such as h1307+16'], id="how many registers"),
        pytest.param(RTU, "{ coil = 3, alarm", '{ walk = "3", alarm', ["15: points.alarms.1: has no table that modbus could walk"], id="a walk on a bus"),
        pytest.param(RTU, '{ 0 = "dry", other = "" }', '{ 16 = "dry", other = "" }', ["15: points.alarms.0: a bitmap needs map = { bit = alarm }, its bits counted from 0"], id="a bit beyond the register"),
        pytest.param(RTU, 'decode = "bitmap", map = { 0 = "dry", other = "" } }', 'decode = "number-list" }', ["15: points.alarms.0: a number-list needs map = { number = alarm }"], id="a list without its map"),
        pytest.param(RTU, "last = 4", "last = 0", ["8: units.last: input should be greater than or equal to 1"], id="no units"),
        pytest.param(RTU, "last = 4, ", "", ["8: units.last: is missing"], id="units without an end"),
        pytest.param(RTU, "coil = 3 }", "coils = 3 }", ['8: units.coils: unknown key, did you mean "coil"?'], id="table of units"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, file: str, old: str, new: str, told: list[str]) -> None:
    assert FILES[file].count(old) == 1
    root = folder(tmp_path, **{**FILES, file: FILES[file].replace(old, new)})
    assert mistakes(root) == [f"drivers/{file}:{line}" for line in told]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [('"pump/one"', '"pump/net"', 6), ('fallback = "pump/one"\n', "", 1)],
    ids=["a driver of another protocol", "nothing to leave out of"],
)
def test_a_fallback_must_be_one_that_can_be_read(tmp_path: Path, old: str, new: str, line: int) -> None:
    told = mistakes(folder(tmp_path, **{**FILES, RTU: BUS.replace(old, new)}))
    assert [text.partition(" that stands")[0] for text in told] == [
        f"drivers/pump/bus.toml:{line}: fallback: needs a driver of this kind"
    ]


def test_a_chain_of_fallbacks_is_a_mistake(tmp_path: Path) -> None:
    last = BUS.replace('"pump/bus"', '"pump/last"').replace("pump/one", "pump/bus")
    assert mistakes(folder(tmp_path, **FILES, **{"pump/last.toml": last})) == [
        'drivers/pump/last.toml:6: fallback: needs a driver of this kind that stands alone, did you mean "pump/one"?',
    ]


def test_a_driver_of_another_kind_is_no_fallback(tmp_path: Path) -> None:
    root = folder(tmp_path, **FILES)
    (root / "fan").mkdir()
    kind = (root / "pump/kind.toml").read_text(encoding="utf-8").replace('"pump"', '"fan"')
    (root / "fan/kind.toml").write_text(kind, encoding="utf-8")
    (root / "fan/bus.toml").write_text(BUS.replace('"pump/bus"', '"fan/bus"'), encoding="utf-8")
    assert mistakes(root) == [
        "drivers/fan/bus.toml:6: fallback: needs a driver of this kind that stands alone (known: none)"
    ]


def test_a_phase_of_a_point_may_be_left_out_of_a_fallback(tmp_path: Path) -> None:
    one = ALONE.replace('"flow"   =', '"flow.l1" = { holding = 50 }\n"flow.l2" =')
    bus = BUS.replace("pump/one", "pump/three").replace('"mode"', '"flow.l1"')
    driver = load([folder(tmp_path, **{"pump/three.toml": one, "pump/bus.toml": bus})]).drivers["pump/bus"]
    assert [item.point for item in driver.items if item.driver == "pump/three"] == [
        "flow.l2",
        "runs",
        "alarms",
        "alarms",
    ]
    whole = BUS.replace("pump/one", "pump/three").replace('"mode"', '"flow"')
    (tmp_path / "drivers/pump/bus.toml").write_text(whole, encoding="utf-8")
    driver = load([tmp_path / "drivers"]).drivers["pump/bus"]
    assert [item.point for item in driver.items if item.driver == "pump/three"] == ["runs", "alarms", "alarms"]

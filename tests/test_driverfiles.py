"""The drivers folder: what is wrong in it is told with file, line, key and the nearest word, all at once."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent.catalog import Catalog, PointType, Severity
from edgeagent.driverfiles import load
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers

DEVICE = """\
[points]
"reachable" = { type = "flag", text = { en = "Answers", zh = "通信" } }
[alarms.unreachable]
when = "not reachable"
severity = "minor"
event_type = "communications"
probable_cause = "lossOfSignal"
text = { en = "{name} is silent", zh = "{name} 中断" }
advice = { en = "Look.", zh = "查看。" }
"""
KIND = """\
kind = "pump"
text = { en = "Pump", zh = "水泵" }
conditions = ["testing"]
[points]
"flow"   = { type = "number", unit = "L", range = [0, 9], phases = true, aggregate = "sum", doubt = "flow = 0", text = { en = "Flow", zh = "流量" } }
"mode"   = { type = "enum", values = ["off", "auto"], sample = "auto", text = { en = "Mode", zh = "模式" } }
"runs"   = { type = "flag", many = true, text = { en = "Runs", zh = "运行" } }
"alarms" = { type = "set", text = { en = "Alarms", zh = "告警" } }
[alarms.unreachable]
severity = "major"
[alarms.dry]
when = "flow < limit and mode = auto or alarms has dry"
levels = [{ severity = "minor", limit = 2 }, { severity = "major", limit = 1, when = "flow < limit" }]
event_type = "equipment"
probable_cause = "pumpFailure"
text = { en = "{name}: {value} {unit} (limit {limit})", zh = "{name} {value}" }
advice = { en = "Look.", zh = "查看。" }
[alarms.other]
each = "alarms"
severity = "minor"
event_type = "equipment"
probable_cause = "pumpFailure"
text = { en = "{name} {qualifier}", zh = "{name} {qualifier}" }
advice = { en = "Look.", zh = "查看。" }
"""
DRIVER = """\
driver = "pump/one"
protocol = "modbus"
text = { en = "Pump One", zh = "一号泵" }
source = "manual"
[identify]
rank = 3
equals = { h0 = 7 }
[points]
"flow"   = { input = 3, type = "s16", scale = 0.1 }
"mode"   = { holding = 1, bits = [2, 3], enum = { 0 = "off", 1 = "auto" } }
"runs"   = { when = "flow > 1 and mode = auto" }
"alarms" = [{ holding = 5, map = { 1 = "dry", 2 = "testing", 3 = "" } }, { discrete = 4, alarm = "dry" }]
[channels]
contact = { discrete = 10, count = 4 }
[[variants]]
sys_object_ids = ["1.3.6.1.4.1.9"]
scale = { "flow" = 10 }
"""
FILES = {"device.toml": DEVICE, "pump/kind.toml": KIND, "pump/one.toml": DRIVER}


def folder(tmp_path: Path, **changed: str) -> Path:
    """Write the three files, some of them changed, into a drivers folder."""
    root = tmp_path / "drivers"
    (root / "pump").mkdir(parents=True)
    for name, text in {**FILES, **changed}.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def mistakes(*folders: Path) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        load(folders)
    return str(caught.value).splitlines()


def test_a_folder_becomes_kinds_and_drivers(tmp_path: Path) -> None:
    catalog = load([folder(tmp_path)])
    kind, driver = catalog.kinds["pump"], catalog.drivers["pump/one"]
    assert set(kind.points) == {"reachable", "flow", "mode", "runs", "alarms"}
    assert kind.alarms["unreachable"].levels[0].severity is Severity.MAJOR  # the kind's word over the device's
    assert kind.alarms["unreachable"].probable_cause == "lossOfSignal"  # which else stays
    assert [(level.severity, level.limit, level.when.text) for level in kind.alarms["dry"].levels] == [
        (Severity.MINOR, 2, "flow < limit and mode = auto or alarms has dry"),
        (Severity.MAJOR, 1, "flow < limit"),
    ]
    assert driver.gets == ("i3", "h1", "h5", "d4")
    assert driver.points == {"flow", "mode", "runs", "alarms"}
    assert driver.identify[0].equals == {"h0": {7}}
    assert driver.channels["contact"].address(4) == "d13"
    assert kind.points["flow"].type is PointType.NUMBER


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        # the device's file
        pytest.param("device.toml", "not reachable", "not reachabl", ['drivers/device.toml:4: alarms.unreachable.when: unknown point "reachabl", did you mean "reachable"?'], id="device, told once and in its own file"),
        pytest.param("device.toml", '"minor"', '"mino"', ['drivers/device.toml:5: alarms.unreachable.severity: "mino" is not known, did you mean "minor"?'], id="device severity"),
        pytest.param("device.toml", DEVICE, "points = 5", ["drivers/device.toml:1: points: input should be a valid dictionary"], id="device shape"),
        pytest.param("device.toml", DEVICE, "points =", ["drivers/device.toml:1: Invalid value"], id="device syntax"),
        # kinds
        pytest.param("pump/kind.toml", '"pump"', '"pumps"', ["drivers/pump/kind.toml:1: kind: the folder is pump; make both the same"], id="kind and folder"),
        pytest.param("pump/kind.toml", "conditions", "condition", ['drivers/pump/kind.toml:3: condition: unknown key, did you mean "conditions"?'], id="unknown key"),
        pytest.param("pump/kind.toml", 'unit = "L", ', "", ["drivers/pump/kind.toml:5: points.flow: a number needs its UCUM unit"], id="no unit"),
        pytest.param("pump/kind.toml", 'unit = "L"', 'unit = "Volt"', ['drivers/pump/kind.toml:5: points.flow.unit: unknown UCUM unit "Volt" (known: %, V, A, W, VA, Hz, Cel, K, min, s, ms, h, d, L, kPa, bar, r/min, kW.h, By, 1, lx, [ppm], dB, Mbit/s)'], id="unknown unit"),
        pytest.param("pump/kind.toml", "[0, 9]", "[9, 0]", ["drivers/pump/kind.toml:5: points.flow.range: its low end is not below its high end"], id="range"),
        pytest.param("pump/kind.toml", '"flow = 0"', '"flo = 0"', ['drivers/pump/kind.toml:5: points.flow.doubt: unknown point "flo", did you mean "flow"?'], id="doubt"),
        pytest.param("pump/kind.toml", "[points]\n", '[points]\n"gear" = { type = "enum", text = { en = "G", zh = "G" } }\n', ["drivers/pump/kind.toml:5: points.gear: an enum needs its values"], id="no values"),
        pytest.param("pump/kind.toml", 'sample = "auto"', 'sample = "auo"', ['drivers/pump/kind.toml:6: points.mode.sample: "auo" is no value, did you mean "auto"?'], id="sample"),
        pytest.param("pump/kind.toml", '"flag"', '"falg"', ['drivers/pump/kind.toml:7: points.runs.type: "falg" is not known, did you mean "flag"?'], id="type"),
        pytest.param("pump/kind.toml", "[alarms.dry]", '[alarms."Dry!"]', ['drivers/pump/kind.toml:11: alarms."Dry!": an alarm id is lower-case words joined by dots and hyphens', 'drivers/pump/kind.toml:12: alarms."Dry!".when: "dry" is no value of alarms, did you mean "Dry!"?', 'drivers/pump/one.toml:12: points.alarms.0: "dry" is neither an alarm nor a condition of pump, did you mean "Dry!"?', 'drivers/pump/one.toml:12: points.alarms.1: "dry" is neither an alarm nor a condition of pump, did you mean "Dry!"?'], id="alarm id, and all that named it"),
        pytest.param("pump/kind.toml", "mode = auto", "mode = manual", ['drivers/pump/kind.toml:12: alarms.dry.when: "manual" is no value of mode (known: off, auto)'], id="enum word in a condition"),
        pytest.param("pump/kind.toml", "has dry", "has dri", ['drivers/pump/kind.toml:12: alarms.dry.when: "dri" is no value of alarms, did you mean "dry"?'], id="member in a condition"),
        pytest.param("pump/kind.toml", "mode = auto or", "mode = auto oder", ['drivers/pump/kind.toml:12: alarms.dry.when: "oder" is too much in "flow < limit and mode = auto oder alarms has dry"'], id="syntax of a condition"),
        pytest.param("pump/kind.toml", ", limit = 2", "", ["drivers/pump/kind.toml:12: alarms.dry.when: compares with limit but no limit is given"], id="no limit"),
        pytest.param("pump/kind.toml", '"minor", limit = 2', '"critical", limit = 2', ["drivers/pump/kind.toml:13: alarms.dry.levels: stand from the lowest severity to the highest, each once"], id="order of levels"),
        pytest.param("pump/kind.toml", "[alarms.dry]\n", '[alarms.dry]\nseverity = "minor"\n', ["drivers/pump/kind.toml:11: alarms.dry: severity and limit stand in the levels where there are levels"], id="severity twice"),
        pytest.param("pump/kind.toml", 'each = "alarms"\nseverity = "minor"', 'each = "alarms"', ["drivers/pump/kind.toml:18: alarms.other: needs a severity or levels"], id="no severity"),
        pytest.param("pump/kind.toml", 'each = "alarms"', 'each = "flow"', ['drivers/pump/kind.toml:19: alarms.other.each: "flow" is not a set point of this kind'], id="each of no set"),
        pytest.param("pump/kind.toml", '"pumpFailure"\ntext = { en = "{name}:', '"pumpFailur"\ntext = { en = "{name}:', ['drivers/pump/kind.toml:15: alarms.dry.probable_cause: unknown X.733 probable cause "pumpFailur", did you mean "pumpFailure"?'], id="probable cause"),
        pytest.param("pump/kind.toml", "(limit {limit})", "(limit {limt})", ['drivers/pump/kind.toml:16: alarms.dry.text: unknown placeholder "{limt}", did you mean "limit"?'], id="placeholder"),
        pytest.param("pump/kind.toml", "(limit {limit})", "(limit {limit)", ["drivers/pump/kind.toml:16: alarms.dry.text: expected '}' before end of string"], id="brace"),
        pytest.param("pump/kind.toml", ', zh = "水泵"', "", ["drivers/pump/kind.toml:2: text.zh: is missing"], id="one language"),
        pytest.param("pump/kind.toml", "[points]", "[points", ["drivers/pump/kind.toml:4: Expected ']' at the end of a table declaration (column 8)"], id="kind syntax, and no word on its drivers"),
        # drivers
        pytest.param("pump/one.toml", '"pump/one"', '"pump/two"', ["drivers/pump/one.toml:1: driver: the file is pump/one.toml; make both the same"], id="driver and file"),
        pytest.param("pump/one.toml", '"pump/one"', '"pum/one"', ['drivers/pump/one.toml:1: driver: unknown kind "pum", did you mean "pump"?'], id="unknown kind"),
        pytest.param("pump/one.toml", '"modbus"', '"modbuss"', ['drivers/pump/one.toml:2: protocol: "modbuss" is not known, did you mean "modbus"?'], id="protocol"),
        pytest.param("pump/one.toml", 'source = "manual"\n', "", ["drivers/pump/one.toml:1: source: is missing"], id="no source"),
        pytest.param("pump/one.toml", "h0 = 7", "x0 = 7", ["drivers/pump/one.toml:7: identify.equals.x0: an address is h, i, c or d and a number, such as h768"], id="address to identify by"),
        pytest.param("pump/one.toml", "rank = 3", 'sys_descr = "["', ["drivers/pump/one.toml:6: identify.sys_descr: not a regular expression: unterminated character set at position 0"], id="regular expression"),
        pytest.param("pump/one.toml", '"flow"   =', '"flwo"   =', ['drivers/pump/one.toml:9: points.flwo: unknown point, did you mean "flow"?'], id="unknown point"),
        pytest.param("pump/one.toml", "scale = 0.1", "scal = 0.1", ['drivers/pump/one.toml:9: points.flow.scal: unknown key, did you mean "scale"?'], id="unknown key of a point"),
        pytest.param("pump/one.toml", "scale = 0.1", "scale = 0", ["drivers/pump/one.toml:9: points.flow: scale may not be 0"], id="scale"),
        pytest.param("pump/one.toml", '"s16"', '"s17"', ['drivers/pump/one.toml:9: points.flow.type: "s17" is not known, did you mean "s16"?'], id="register type"),
        pytest.param("pump/one.toml", "input = 3", "input = 30001000", ["drivers/pump/one.toml:9: points.flow.input: input should be less than or equal to 65535"], id="register number"),
        pytest.param("pump/one.toml", "input = 3, ", "", ["drivers/pump/one.toml:9: points.flow: needs exactly one place: oid, holding, input, coil, discrete, field, host, service, ami or when"], id="no place"),
        pytest.param("pump/one.toml", "input = 3", "input = 3, holding = 3", ["drivers/pump/one.toml:9: points.flow: needs exactly one place: oid, holding, input, coil, discrete, field, host, service, ami or when"], id="two places"),
        pytest.param("pump/one.toml", "input = 3", 'oid = "1.3.6.1.4.1"', ["drivers/pump/one.toml:9: points.flow: has no place that modbus can read"], id="place of another protocol"),
        pytest.param("pump/one.toml", "[2, 3]", "[3, 2]", ["drivers/pump/one.toml:10: points.mode: bits are the lowest and the highest of 0 to 15"], id="order of bits"),
        pytest.param("pump/one.toml", "[2, 3]", "[2, 16]", ["drivers/pump/one.toml:10: points.mode: bits are the lowest and the highest of 0 to 15"], id="bits beyond the register"),
        pytest.param("pump/one.toml", '1 = "auto"', '1 = "auot"', ['drivers/pump/one.toml:10: points.mode: "auot" is no value of mode, did you mean "auto"?'], id="enum word"),
        pytest.param("pump/one.toml", ', enum = { 0 = "off", 1 = "auto" }', "", ['drivers/pump/one.toml:10: points.mode: an enum needs its raw numbers: enum = { 1 = "off" }'], id="no enum"),
        pytest.param("pump/one.toml", "flow > 1", "flaw > 1", ['drivers/pump/one.toml:11: points.runs: unknown point "flaw", did you mean "flow"?'], id="derived from an unknown point"),
        pytest.param("pump/one.toml", '"flow"   = { input = 3, type = "s16", scale = 0.1 }', '"flow" = { when = "runs" }', ["drivers/pump/one.toml:9: points.flow: only a flag can be derived with when"], id="derived number"),
        pytest.param("pump/one.toml", 'alarm = "dry"', 'alarm = "dyr"', ['drivers/pump/one.toml:12: points.alarms.1: "dyr" is neither an alarm nor a condition of pump, did you mean "dry"?'], id="alarm of a flag"),
        pytest.param("pump/one.toml", '1 = "dry", 2', '1 = "dyr", 2', ['drivers/pump/one.toml:12: points.alarms.0: "dyr" is neither an alarm nor a condition of pump, did you mean "dry"?'], id="alarm in a map"),
        pytest.param("pump/one.toml", '{ discrete = 4, alarm = "dry" }', "{ discrete = 4 }", ["drivers/pump/one.toml:12: points.alarms.1: a set needs walk, map, decode or alarm"], id="set without a meaning"),
        pytest.param("pump/one.toml", 'alarm = "dry" }', 'decode = "flag-strin", map = { 1 = "dry" } }', ['drivers/pump/one.toml:12: points.alarms.1: unknown decoder "flag-strin", did you mean "flag-string"?'], id="decoder"),
        pytest.param("pump/one.toml", 'alarm = "dry" }', 'decode = "flag-string", map = { x = "dry" } }', ["drivers/pump/one.toml:12: points.alarms.1: a flag-string needs map = { place = alarm }, its places counted from 1 to 64"], id="places of a flag string"),
        pytest.param("pump/one.toml", 'alarm = "dry" }', 'decode = "gencomm-alarms", map = [["dry", "", ""]] }', ["drivers/pump/one.toml:12: points.alarms.1: count = 1 registers need as many rows of four names"], id="names of a register"),
        pytest.param("pump/one.toml", "discrete = 10, ", "", ["drivers/pump/one.toml:14: channels.contact: needs either coil or discrete"], id="channel"),
        pytest.param("pump/one.toml", '"flow" = 10', '"flo" = 10', ['drivers/pump/one.toml:17: variants.0.scale.flo: unknown point, did you mean "flow"?'], id="scale of a variant"),
        pytest.param("pump/one.toml", "[identify]", 'sentinels = "gencom"\n[identify]', ['drivers/pump/one.toml:5: sentinels: unknown family "gencom", did you mean "gencomm"?'], id="sentinel family"),
        pytest.param("pump/one.toml", "[identify]", "[identity]\nmodle = { holding = 1 }\n[identify]", ['drivers/pump/one.toml:6: identity.modle: unknown key, did you mean "model"?'], id="identity"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, file: str, old: str, new: str, told: list[str]) -> None:
    assert old in FILES[file]
    assert mistakes(folder(tmp_path, **{file: FILES[file].replace(old, new, 1)})) == told


def test_an_oid_must_be_one(tmp_path: Path) -> None:
    root = folder(tmp_path)
    text = 'driver = "pump/snmp"\nprotocol = "snmp"\ntext = { en = "S", zh = "S" }\nsource = "MIB"\nbase = "1.3.6.1.4.1.5"\n'
    (root / "pump/snmp.toml").write_text(text + '[points]\n"flow" = { oid = "1.a" }\n"mode" = { holding = 1, enum = { 1 = "off" } }\n')  # fmt: skip
    assert mistakes(root) == [
        'drivers/pump/snmp.toml:7: points.flow: "1.3.6.1.4.1.5.1.a" is not an OID',
        "drivers/pump/snmp.toml:8: points.mode: has no place that snmp can read",
    ]


def test_many_mistakes_in_many_files_are_told_in_one_run(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        **{
            "pump/kind.toml": KIND.replace('unit = "L"', 'unit = "Liter"').replace("(limit {limit})", "{where}"),
            "pump/one.toml": DRIVER.replace('"s16"', '"s99"').replace('"flow" = 10', '"flow" = "ten"'),
            "pump/two.toml": "driver = ",
            "pump/three.toml": DRIVER.replace("pump/one", "pump/three")
            .replace('"runs"', '"rnus"')
            .replace('"mode"', '"mood"'),
        },
    )
    assert [line.partition(" (known")[0] for line in mistakes(root)] == [
        'drivers/pump/kind.toml:5: points.flow.unit: unknown UCUM unit "Liter"',
        'drivers/pump/kind.toml:16: alarms.dry.text: unknown placeholder "{where}"',
        'drivers/pump/one.toml:9: points.flow.type: "s99" is not known',
        'drivers/pump/one.toml:17: variants.0.scale.flow: "ten" is no number',
        'drivers/pump/three.toml:10: points.mood: unknown point, did you mean "mode"?',
        'drivers/pump/three.toml:11: points.rnus: unknown point, did you mean "runs"?',
        "drivers/pump/two.toml:1: Invalid value",
    ]  # fmt: skip


def test_one_driver_id_stands_in_one_file(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "pump").mkdir(parents=True)
    (own / "pump/one.toml").write_text(DRIVER, encoding="utf-8")
    assert mistakes(folder(tmp_path), own) == [
        'own/pump/one.toml:1: driver: "pump/one" stands in drivers/pump/one.toml already'
    ]


def test_a_device_is_added_by_one_file_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    shipped = load([drivers()])
    (tmp_path / "ups").mkdir()
    (tmp_path / "ups/new-model.toml").write_text(
        'driver = "ups/new-model"\n'
        'protocol = "modbus"\n'
        'text = { en = "New model", zh = "新型号" }\n'
        'source = "manual, edition 1, table 4"\n'
        "[points]\n"
        '"battery.charge" = { holding = 100 }\n'
        '"source" = { holding = 101, enum = { 0 = "normal", 1 = "battery" } }\n',
        encoding="utf-8",
    )
    catalog = load([drivers(), tmp_path])
    assert set(catalog.drivers) - set(shipped.drivers) == {"ups/new-model"}
    assert catalog.drivers["ups/new-model"].kind is catalog.kinds["ups"]
    assert catalog.drivers["ups/new-model"].points == {"battery.charge", "source"}


def test_a_kind_is_added_by_one_folder(tmp_path: Path) -> None:
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump/kind.toml").write_text(KIND, encoding="utf-8")
    (tmp_path / "pump/one.toml").write_text(DRIVER, encoding="utf-8")
    catalog: Catalog = load([drivers(), tmp_path])
    assert catalog.drivers["pump/one"].kind.alarms["profile-mismatch"].levels  # what every device has


def test_a_kind_of_the_catalogue_is_not_replaced_in_passing(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "pump").mkdir(parents=True)
    (own / "pump" / "kind.toml").write_text(FILES["pump/kind.toml"], encoding="utf-8")
    told = mistakes(folder(tmp_path), own)
    assert told == ['own/pump/kind.toml:1: kind: "pump" stands in drivers/pump/kind.toml already']


def test_a_wanted_driver_comes_with_the_one_behind_it_and_no_other() -> None:
    lean, whole = load([drivers()], frozenset({"port/alcatel"})), load([drivers()])
    assert set(lean.drivers) == {"port/alcatel", "port/if-mib"}
    assert lean.drivers["port/alcatel"] == whole.drivers["port/alcatel"]
    assert lean.kinds == whole.kinds


def test_who_wants_a_driver_that_is_not_there_is_shown_all(tmp_path: Path) -> None:
    assert set(load([folder(tmp_path)], frozenset({"pump/onne"})).drivers) == {"pump/one"}


def test_a_mistake_in_a_driver_that_nobody_wants_stops_nobody(tmp_path: Path) -> None:
    own = folder(tmp_path)
    (own / "pump/broken.toml").write_text("driver = 1", encoding="utf-8")
    assert set(load([own], frozenset({"pump/one"})).drivers) == {"pump/one"}
    with pytest.raises(Mistakes):
        load([own])

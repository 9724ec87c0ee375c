"""A vendor's list of pCO variables becomes a driver file that the loader takes and that reads what the list says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.carel import Layout, ListError, driver_from
from edgeagent.catalog import Driver
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.probe import Found
from edgeagent.readings import UNVERIFIED, Answers, Quality
from edgeagent.resources import drivers

pytestmark = pytest.mark.disable_socket

LIST = """\
name,type,index,address,point,alarm,scale,values,invert
System on,D,1,,running,,,,
Generic alarm compressor 1,D,28,,,compressor-fault,,,
Generic alarm compressor 2,D,29,,,compressor-fault,,,
Flow switch,digital,32,,,airflow-loss,,,yes
Room temperature,A,1,,return.temperature,,,,
Outlet temperature,analog,2,1002,supply.temperature,,0.1,,
Unit status,integer,3,5003,state,,,0=off 1=on 2=standby,
Operating hours of compressor 1,D,42,,,,,,
"""


def driver(text: str, folder: Path, name: str = "airsys", layout: Layout | None = None) -> Driver:
    """Load what a list gives beside the shipped drivers, as the site's own."""
    (folder / "hvac").mkdir()
    (folder / f"hvac/{name}.toml").write_text(driver_from(text, name, layout), encoding="utf-8")
    return load([drivers(), folder]).drivers[f"hvac/{name}"]


def test_a_list_becomes_a_driver_of_the_site(tmp_path: Path) -> None:
    airsys = driver(LIST, tmp_path)
    image = {"c1": 1, "c28": 0, "c29": 1, "c32": 1, "h1": 241, "h1002": 65516, "h5003": 1}
    assert set(airsys.gets) == set(image)
    readings = decode(airsys, image, 0.0)
    assert {point: reading.value for point, reading in readings.items()} == {
        "running": True,
        "alarms": frozenset({"compressor-fault"}),
        "return.temperature": 24.1,
        "supply.temperature": -2,
        "state": "on",
    }
    assert Found(airsys, {}, readings).alarms == ["hvac.compressor-fault"]
    broken: Answers = {**image, "c32": 0}
    assert decode(airsys, broken, 0.0)["alarms"].value == frozenset({"compressor-fault", "airflow-loss"})


def test_an_address_that_is_only_assumed_makes_the_reading_uncertain(tmp_path: Path) -> None:
    readings = decode(driver(LIST, tmp_path), {"c1": 1, "h1": 241, "h1002": 160}, 0.0)
    assert readings["return.temperature"].reason == UNVERIFIED
    assert readings["supply.temperature"].quality is Quality.GOOD
    assert readings["running"].quality is Quality.GOOD


def test_a_variable_without_a_meaning_stands_as_a_comment_to_be_filled_in() -> None:
    text = driver_from(LIST, "hvac/airsys")
    assert "# coil 42  Operating hours of compressor 1\n" in text
    assert '{ coil = 28, alarm = "compressor-fault" },  # Generic alarm compressor 1\n' in text


@pytest.mark.parametrize(
    "text",
    [
        "Type;Index;Point;Scale\n D ; 1;running;\n# a note\n\nANALOG;5;setpoint;0,1\n",
        "\ufefftype\tindex\tpoint\tscale\r\nd\t1\trunning\t\r\na\t5\tsetpoint\t0.1\r\n",
        'type,index,point,scale,"with, comma"\n"D","0x1",running,,x\nAnalogue,5,setpoint\n',
    ],
    ids=["semicolons and a decimal comma", "tabs from a spreadsheet", "quotes and short lines"],
)
def test_lists_are_taken_as_vendors_write_them(text: str, tmp_path: Path) -> None:
    assert set(driver(text, tmp_path).gets) == {"c1", "h5"}


def test_columns_and_the_begin_of_each_list_can_be_named(tmp_path: Path) -> None:
    layout = Layout({"name": "Beschreibung", "type": "Typ", "index": "Nr"}, digital=-1, analog=-1, integer=127)
    text = "Nr,Typ,Beschreibung,point\n1,D,Ein,running\n2,A,Raum,return.temperature\n3,I,Soll,setpoint\n"
    assert set(driver(text, tmp_path, layout=layout).gets) == {"c0", "h1", "h130"}


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["the list is empty"]),
        ("# nothing\n\n", ["the list is empty"]),
        ("name,typ,index\n", ['line 1: there is no column "type", did you mean "typ"?']),
        ("type,point\n", ['line 1: there is no column "index"']),
        ("type,index,point\nQ,1,running\n", ['line 2: "Q" is no type']),
        ("type,index,point\nD,one,running\n", ['line 2: index "one" is not a whole number']),
        ("type,index,point\nD,70000,running\n", ["line 2: the address 70000 does not exist in Modbus"]),
        ("type,index,point\nI,7,setpoint\n", ["line 2: the address of integer variables depends on the program"]),
        ("type,index,point,scale\nA,7,setpoint,ten\n", ['line 2: scale "ten" is not a number']),
        ("type,index,point,scale\nA,7,setpoint,0\n", ["line 2: a scale of 0 leaves nothing"]),
        ("type,index,point,alarm\nD,7,fan,fan-fault\n", ["line 2: has both a point and an alarm; keep one"]),
        ("type,index,point,values\nD,7,state,on is 1\n", ['line 2: values are written 0=off 1=on, not "on is 1"']),
        ("type,index,point,values\nD,7,state,on=1\n", ['line 2: values: "on" is not a whole number']),
        ("type,index,point,invert\nD,7,fan,maybe\n", ['line 2: invert is yes or no, not "maybe"']),
        ("type,index\nD,7\n", ["no line has a point or an alarm"]),
        ("type,index,point\nD,x,fan\n\nA,y,fan\n", ['line 2: index "x"', 'line 4: index "y"']),
    ],
)
def test_a_list_that_cannot_be_read_says_all_that_is_wrong_with_it(text: str, mistakes: list[str]) -> None:
    with pytest.raises(ListError) as error:
        driver_from(text, "airsys")
    said = str(error.value).splitlines()
    assert len(said) == len(mistakes)
    for line, mistake in zip(said, mistakes, strict=True):
        assert line.startswith(mistake)


@pytest.mark.parametrize("name", ["Airsys", "hvac/airsys/1", "空调", "", "hvac/"])
def test_a_name_that_is_none_for_a_driver_is_refused(name: str) -> None:
    with pytest.raises(ListError, match="is no name for a driver"):
        driver_from(LIST, name)


@given(st.text(), st.text(min_size=1))
def test_whatever_the_vendor_calls_a_variable_the_file_stays_toml(name: str, point: str) -> None:
    cells = [cell.replace('"', '""').replace("\n", " ") for cell in (name, point)]
    text = f'name,type,index,point\n"{cells[0]}",D,1,"{cells[1]}"\n'
    try:
        written = driver_from(text, "airsys")
    except ListError:
        return
    assert tomllib.loads(written)["points"]


@given(st.text())
def test_no_text_at_all_is_an_accident(text: str) -> None:
    try:
        written = driver_from(text, "airsys")
    except ListError:
        return
    assert tomllib.loads(written)

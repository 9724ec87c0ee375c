"""How a site goes from the process that reads it to the agent: whole, sealed, and from nobody else."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent import handover, resources
from edgeagent.catalog import AlarmType, Driver, Text
from edgeagent.config import Site
from edgeagent.handover import pack, read_again, unpack
from edgeagent.items import Item
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.rules import Condition
from edgeagent.sitefiles import load
from tests.broker import until
from tests.rig import Daemon, device, invoke, write_site
from tests.test_checks import readings

DEMO: Final = load(Path(__file__).parent.parent / "config", resources.drivers())
"""The shipped site, with every driver that there is."""
HANDED: Final = unpack(pack(DEMO))


DEAD: Final = device("ups", "ups/rfc1628", "snmp://127.0.0.1:9?version=2c&community=kept", interval=5)


def inside(thing: object, seen: dict[int, object]) -> Iterator[tuple[str, object]]:
    """Yield all that is in a thing with the way that leads to it; what holds others once, however many ways do."""
    waiting = [("", thing)]
    while waiting:
        way, one = waiting.pop()
        if one != () and (is_dataclass(one) or isinstance(one, (Condition, Mapping, tuple, list))):
            if id(one) in seen:
                continue
            seen[id(one)] = one
        yield way, one
        if isinstance(one, Condition):
            waiting += [(f"{way}.root", one.root), (f"{way}.points", one.points)]
        elif is_dataclass(one):
            waiting += [(f"{way}.{field.name}", getattr(one, field.name)) for field in fields(one)]
        elif isinstance(one, Mapping):
            waiting += [(f"{way}[{key!r}]", value) for key, value in one.items()]
        elif isinstance(one, (tuple, list)):
            waiting += [(f"{way}[{place}]", value) for place, value in enumerate(one)]


def conditions(site: Site) -> dict[str, Condition]:
    return {way: one for way, one in inside(site, {}) if isinstance(one, Condition)}


BEFORE: Final = conditions(DEMO)
AFTER: Final = conditions(HANDED)


def test_a_site_is_handed_over_as_it_is() -> None:
    assert HANDED == DEMO
    assert HANDED.catalog.drivers.keys() == DEMO.catalog.drivers.keys()
    before, after = dict(inside(DEMO, {})), dict(inside(HANDED, {}))
    assert before.keys() == after.keys(), "what one object was is one again, what two were are two"
    assert {way: type(one) for way, one in before.items()} == {way: type(one) for way, one in after.items()}
    unequal = [way for way, one in before.items() if one != after[way]]
    assert not unequal, "down to what equality passes over, as the addresses of a driver"


def test_what_many_share_is_shared_after_it_too(tmp_path: Path) -> None:
    limit = {"on-battery": {"on_delay": 0}}
    many = [device(f"ups-{n}", "ups/rfc1628", f"snmp://127.0.0.{n}", limit) for n in range(1, 9)]
    site = unpack(pack(load(write_site(tmp_path / "site", 1, *many), resources.drivers(), whole=False)))
    devices = list(site.devices.values())
    assert len({id(each.driver) for each in devices}) == 1
    assert len({id(each.alarms) for each in devices}) == 1
    assert devices[0].driver is site.catalog.drivers["ups/rfc1628"]
    assert devices[0].driver.kind is site.catalog.kinds["ups"]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_condition_judges_as_it_did(data: st.DataObject) -> None:
    way = data.draw(st.sampled_from(sorted(BEFORE)))
    before, after = BEFORE[way], AFTER[way]
    view = data.draw(readings(before))
    limit = data.draw(st.none() | st.floats(-300, 300))
    slack = data.draw(st.sampled_from([0.0, 0.5, 10.0]))
    assert after.holds(view, limit, slack) is before.holds(view, limit, slack)
    assert after.silent(view) is before.silent(view)


def test_there_are_conditions_of_every_place_in_what_was_compared() -> None:
    places = {type(one) for _, one in inside(DEMO, {})}
    assert {AlarmType, Driver, Item, Text, Condition} <= places
    assert len(BEFORE) > 200


def test_mistakes_are_handed_over_too() -> None:
    mistakes = Mistakes([Mistake("site.toml", 3, "devices.a.url", "a host is missing"), Mistake("b.toml", 0, "", "x")])
    with pytest.raises(Mistakes) as told:
        unpack(pack(mistakes))
    assert told.value.found == mistakes.found


SEALED: Final = pack(DEMO)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Traceback (most recent call last):\n", id="words"),
        pytest.param(pickle.dumps(DEMO.id), id="a pickle without our seal"),
        pytest.param(SEALED[:-1], id="cut short"),
        pytest.param(SEALED + b"\n", id="a line behind it"),
        pytest.param(b"hello\n" + SEALED, id="a line before it"),
        pytest.param(SEALED.replace(b"edgeagent 0", b"edgeagent 9", 1), id="another version"),
        pytest.param(SEALED[:200] + bytes([SEALED[200] ^ 1]) + SEALED[201:], id="one bit another"),
    ],
)
def test_what_is_not_whole_and_ours_is_never_unpickled(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle, "loads", lambda _: pytest.fail("it was unpickled"))
    with pytest.raises(ValueError, match="no site"):
        unpack(said)


# A child reads again.


def read_by(monkeypatch: pytest.MonkeyPatch, code: str, within: float = 60.0) -> str:
    """Let this code stand for the child; return what is told of it."""
    monkeypatch.setattr(handover, "_program", lambda: [sys.executable, "-c", code])
    with pytest.raises(Mistakes) as told:
        asyncio.run(read_again(within))
    (mistake,) = told.value.found
    return str(mistake)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        pytest.param("raise SystemExit(3)", "ended with 3", id="it fails"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "ended with -9", id="it is killed"),
        pytest.param("print('all is well')", "it is no site", id="it says something else"),
        pytest.param("", "it is no site", id="it says nothing"),
    ],
)
def test_a_child_that_cannot_read_is_a_mistake(monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    assert why in read_by(monkeypatch, code)


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "pid"
    code = f"import os, pathlib, signal\npathlib.Path({str(own)!r}).write_text(str(os.getpid()))\nsignal.pause()"
    assert "still being read after 2 s" in read_by(monkeypatch, code, 2.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(own.read_text()), 0)


def test_a_program_that_is_gone_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_program", lambda: ["/nonexistent/python"])
    with pytest.raises(Mistakes, match="No such file"):
        asyncio.run(read_again())


def test_the_child_reads_what_the_command_names_and_tells_mistakes_with_their_places(tmp_path: Path) -> None:
    folder = write_site(tmp_path / "site", 1, DEAD)

    def told() -> bytes:
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(folder)]

        async def ask() -> bytes:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(handover, "_program", lambda: command)
                return await handover._told(60)

        return asyncio.run(ask())

    assert unpack(told()) == load(folder, resources.drivers(), whole=False)
    (folder / "more.toml").write_text("[devices.x]\nurl = 7\n")
    with pytest.raises(Mistakes) as wrong:
        unpack(told())
    assert {(mistake.file, mistake.line) for mistake in wrong.value.found} == {
        (str(folder / "more.toml"), 1),
        (str(folder / "more.toml"), 2),
    }


# The process that read becomes the agent.


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(write_site(tmp_path / "site", 1, DEAD)) as daemon:
        yield daemon


def test_the_agent_holds_neither_what_reads_files_nor_the_site_in_a_file(agent: Daemon) -> None:
    proc = Path("/proc", str(agent.pid))
    assert "pydantic" not in (proc / "maps").read_text()
    assert "msgspec" in (proc / "maps").read_text(), "the names of libraries stand there"
    opened = {str(each.readlink()) for each in (proc / "fd").iterdir()}
    assert not any("memfd" in name for name in opened)
    assert (proc / "cmdline").read_bytes().split(b"\0")[1:4] == [b"-m", b"edgeagent", b"run"]
    assert agent.stop() == 0


def test_what_runs_for_good_imports_nothing_that_reads() -> None:
    code = "import sys, edgeagent.__main__, edgeagent.daemon; print(*sorted(sys.modules))"
    loaded = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
        .stdout.decode()
        .split()
    )
    assert "edgeagent.agent" in loaded
    assert not {"pydantic", "typer", "rich", "tomllib", "edgeagent.tomlfile", "edgeagent.sitefiles"} & set(loaded)


def test_an_agent_that_is_told_to_stop_while_its_files_are_read_ends_at_once(agent: Daemon) -> None:
    os.mkfifo(agent.folder / "slow.toml")  # nobody ever writes there: who reads it waits for good
    agent.reload()
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    (child,) = until(lambda: children.read_text().split())
    reading = Path("/proc", child, "cmdline")
    assert b"run" in until(reading.read_bytes)
    assert agent.stop(10.0) == 0
    until(lambda: not reading.exists() or not reading.read_bytes())


def refused(*_: object) -> int:
    raise PermissionError(1, "not permitted")


@pytest.mark.parametrize("why", ["no file in memory", "a program of yesterday"])
def test_where_the_program_cannot_start_anew_the_agent_runs_where_it_is(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, str]] = []

    def run(site: Site, level: str) -> int:
        ran.append((site.id, level))
        return 7

    monkeypatch.setattr("edgeagent.daemon.run", run)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it was started again"))
    if why == "no file in memory":
        monkeypatch.setattr(os, "memfd_create", refused)
    else:
        monkeypatch.setenv("EDGEAGENT_SITE", f"{os.getpid()}:9:info")
    assert invoke("run", "--config", write_site(tmp_path / "site", 1, DEAD)).exit_code == 7
    assert ran == [("test", "info")]


def test_an_environment_that_was_left_over_from_another_process_is_not_believed(tmp_path: Path) -> None:
    with Daemon(write_site(tmp_path / "site", 1, DEAD), EDGEAGENT_SITE="1:5:info") as daemon:
        assert "pydantic" not in Path(f"/proc/{daemon.pid}/maps").read_text()

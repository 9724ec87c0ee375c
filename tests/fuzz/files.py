"""What people write: URLs, conditions, the site's and a seat's file, drivers, procedures, scenarios, captures.

What is wrong in a file is `Mistakes` and nothing else, each with the file and a line that the file has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

from edgeagent import captures, driverfiles, procedurefiles, resources, rules, scenariofiles, seatconfig, sitefiles
from edgeagent.endpoint import EndpointError, parse
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.procedure import Procedure
from edgeagent.readings import Missing
from tests.fuzz import targets
from tests.fuzz.shared import catalog, folder

EXAMPLES: Final = resources.examples()
URLS: Final = (
    "snmp://192.0.2.7:161?version=2c&community=floor", "snmp://watch@192.0.2.7?version=3&auth=SHA-256&priv=AES-128",
    "modbus://plant.example:502?unit=10", "modbus+rtu:///dev/serial/by-id/x?baud=9600&parity=N&stopbits=1&unit=1",
    "modbus+tls://192.0.2.8:802?unit=10&ca=ca.pem", "serial:///dev/ttyUSB0?baud=2400&protocol=megatec", "host://",
    "seat://a017?service=crm", "service+http://crm.example:80/path?status=200&text=%E5%B0%B1%E7%BB%AA&query=a%3Db",
    "service+dns://192.0.2.53?name=crm.example", "service+sip://desk@192.0.2.60:5060", "icmp://[2001:db8::1]",
    "ami+tls://edge@pbx.example:5039?endpoint=1017&ca=/etc/ssl/site.pem", "service+tcp://192.0.2.9:443",
)  # fmt: skip


@contextmanager
def mistakes_only(root: Path) -> Iterator[None]:
    """See that what is wrong is said of a line that there is in a file below this folder."""
    found: tuple[Mistake, ...] = ()
    try:
        yield
    except Mistakes as error:
        targets.explained(error)
        found = error.found
    for mistake in found:
        assert mistake.text, mistake
        path = next((path for path in (Path(mistake.file), root.parent / mistake.file) if path.exists()), None)
        assert path is not None, mistake
        # Read as the parser reads it: a carriage return alone ends a line too.
        lines = path.read_text(encoding="utf-8", errors="replace").count("\n") + 1 if path.is_file() else 0
        assert 0 <= mistake.line <= lines, mistake


# Words.


def build_url() -> targets.Run:
    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            endpoint = parse(text)
        except EndpointError as error:
            targets.explained(error)
            return
        said = str(endpoint)
        assert endpoint.medium
        assert endpoint.protocol
        assert isinstance(endpoint.on_loopback, bool)
        for key, secret in endpoint.secrets.items():
            assert len(secret) < 6 or secret not in said, key
        if endpoint.protocol == "modbus":
            assert 0 <= endpoint.unit <= 255

    return run


def seeds_url() -> list[bytes]:
    return [url.encode() for url in URLS]


def build_condition() -> targets.Run:
    def run(data: bytes) -> None:
        try:
            found = rules.parse(data.decode("utf-8", "replace"))
        except rules.RuleError as error:
            targets.explained(error)
            return
        assert found.holds({}) in (None, True, False)
        found.silent({})
        assert isinstance(found.uses_limit, bool)
        again = rules.parse(found.text)
        assert again.root == found.root
        assert found.renamed({point: f"{point}.l1" for point in found.points}).points is not None
        assert found.words is not None

    return run


def seeds_condition() -> list[bytes]:
    found = {
        level.when.text for kind in catalog().kinds.values() for alarm in kind.alarms.values() for level in alarm.levels
    }
    return [text.encode() for text in sorted(found)]


# Files.


def build_site() -> targets.Run:
    root = folder()
    known = catalog()
    procedures = procedurefiles.load((EXAMPLES / sitefiles.PROCEDURES,), known)
    site = root / "site.toml"

    def run(data: bytes) -> None:
        site.write_bytes(data)
        # What has a target of its own is read once: all of it each time would leave no time for the site.
        with (
            patch.object(driverfiles, "load", lambda folders: known),
            patch.object(procedurefiles, "load", lambda folders, catalog, nodes: procedures),
            patch.object(scenariofiles, "load", lambda *rest: {}),
            mistakes_only(root),
        ):
            sitefiles.load(root, resources.drivers())

    return run


SMALL: Final = """\
[site]
id = "site-a"
name = { en = "Site A", zh = "甲站" }
[feed]
broker = ["mqtts://broker.example:8883", "mqtt://192.0.2.1"]
username = "edge"
password_secret = "mqtt"
[agent]
state = "state"
[traps]
port = 1162
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[power.mains]
kind = "mains"
name = { en = "Mains", zh = "市电" }
[network.core]
name = { en = "Core", zh = "核心" }
fed_by = ["ups-a"]
[devices.ups-a]
url = "snmp://192.0.2.7?version=2c&community=floor"
driver = "ups/rfc1628"
name = { en = "UPS A", zh = "甲 UPS" }
fed_by = ["mains"]
interval = 2
alarms.load-high.limit = 80
[seats.row-a]
range = "a001..a003"
area = "hall"
connected_by = ["core"]
[[waivers]]
what = "snmp-v2c-routed"
who = "Li Wei"
why = "old cards"
until = "2027-06-30"
[shifts.day]
leader = "Li Wei"
"""


def seeds_site() -> list[bytes]:
    return [SMALL.encode(), SMALL.partition("[seats")[0].encode(), *(table.encode() for table in SMALL.split("\n["))]


def build_seat_file() -> targets.Run:
    root = folder()
    file = root / "seat.toml"

    def run(data: bytes) -> None:
        file.write_bytes(data)
        with mistakes_only(root):
            seatconfig.load(file)

    return run


def seeds_seat_file() -> list[bytes]:
    whole = (EXAMPLES / "seat/seat.toml").read_bytes()
    bare = b"\n".join(line for line in whole.split(b"\n") if line and not line.startswith(b"#"))
    more = (
        b'\n[softphone]\nprocesses = ["softphone.exe"]\n[headsets]\nask = ["jabra"]\n'
        b'[services]\ncrm = "service+https://crm.example/"\n'
    )
    return [whole, bare, b'[seat]\nid = "a017"\nsite = "s"\n[broker]\nurl = "mqtts://b.example"\n' + more]


def build_driver() -> targets.Run:
    """Read one driver in each of two kinds: the first line names which."""
    root = folder()
    for path in (resources.drivers() / "device.toml", *resources.drivers().glob("*/kind.toml")):
        if path.name == "device.toml" or path.parent.name in ("ups", "hvac"):
            to = root / path.relative_to(resources.drivers())
            to.parent.mkdir(exist_ok=True)
            to.write_bytes(path.read_bytes())
    files = {b"ups": root / "ups/own.toml", b"hvac": root / "hvac/own.toml", b"kind": root / "ups/kind.toml"}
    kind = files[b"kind"].read_bytes()

    def run(data: bytes) -> None:
        which, _, text = data.partition(b"\n")
        files.get(which, files[b"ups"]).write_bytes(text)
        try:
            with mistakes_only(root):
                driverfiles.load([root])
        finally:
            for file in (files[b"ups"], files[b"hvac"]):
                file.unlink(missing_ok=True)
            files[b"kind"].write_bytes(kind)

    return run


def seeds_driver() -> list[bytes]:
    found = []
    for kind in ("ups", "hvac"):
        for path in sorted((resources.drivers() / kind).glob("*.toml"), key=lambda path: path.stat().st_size)[:4]:
            text = path.read_text(encoding="utf-8").replace(f'"{kind}/{path.stem}"', f'"{kind}/own"', 1)
            found.append(f"{kind}\n{text}".encode() if path.name != "kind.toml" else f"kind\n{text}".encode())
    return found


def build_procedure() -> targets.Run:
    root = folder()
    known = catalog()

    def run(data: bytes) -> None:
        (root / "own.toml").write_bytes(data)
        with mistakes_only(root):
            procedurefiles.load((root,), known)

    return run


def seeds_procedure() -> list[bytes]:
    return own(EXAMPLES / sitefiles.PROCEDURES, "procedure")


def build_scenario() -> targets.Run:
    root = folder()
    known = catalog()
    procedures: dict[str, Procedure] = dict(procedurefiles.load((EXAMPLES / sitefiles.PROCEDURES,), known))

    def run(data: bytes) -> None:
        (root / "own.toml").write_bytes(data)
        with mistakes_only(root):
            scenariofiles.load((root,), known, procedures)

    return run


def seeds_scenario() -> list[bytes]:
    return own(EXAMPLES / sitefiles.DRILLS, "scenario")


def own(where: Path, key: str) -> list[bytes]:
    """Read all files of a folder, each as if it were called own.toml."""
    return [
        path.read_text(encoding="utf-8").replace(f'{key} = "{path.stem}"', f'{key} = "own"', 1).encode()
        for path in sorted(where.glob("*.toml"))
    ]


def build_capture() -> targets.Run:
    """Read a capture; what was understood is written again and read as the same."""
    root = folder()

    def run(data: bytes) -> None:
        snmp, text = data[:1] >= b"\x80", data[1:]
        file = root / ("own.snmprec" if snmp else "own.rec")
        file.write_bytes(text)
        with mistakes_only(root):
            found = captures.load(file)
            spell = captures.object_line if snmp else None
            lines = [
                spell(address, tag, raw) if spell else captures.answer_line(address, raw)
                for address, (tag, raw) in found.objects.items()
            ]  # fmt: skip
            assert all(line.count("\n") <= 1 for line in lines)
            found.answers(found.objects, ["1.3.6.1"])
            if all(lines) and not snmp:
                file.write_text("".join(lines), encoding="utf-8")
                again = captures.load(file)
                assert again.objects.keys() == found.objects.keys()

    return run


def seeds_capture() -> list[bytes]:
    rows = (
        captures.object_line("1.3.6.1.2.1.1.1.0", 4, b"UPS"),
        captures.object_line("1.3.6.1.2.1.1.2.0", 6, "1.3.6.1.4.1"),
        captures.object_line("1.3.6.1.2.1.33.1.2.4.0", 2, 97),
        captures.object_line("1.3.6.1.2.1.4.20.1.1", 64, b"\xc0\0\2\7"),
        captures.object_line("1.3.6.1.2.1.1.3.0", 67, 4711),
        captures.object_line("1.3.6.1.2.1.2.2.1.6.1", 4, b"\0\x1b\xff"),
    )
    answers = (
        ("h1024", 2345), ("c0", 1), ("i7", Missing.ABSENT), ("Q1:0", b"228.0"), ("cpu.percent", 12.5), ("online", True),
    )  # fmt: skip
    rec = [captures.answer_line(address, raw) for address, raw in answers]
    texts: Sequence[str] = ("# ups/rfc1628\n" + "".join(rows), *rows)
    return [b"\xff" + text.encode() for text in texts] + [b"\0" + "".join(rec).encode()]


TARGETS: Final = (
    targets.Target("url", build_url, seeds_url, ("edgeagent.endpoint",), 256),
    targets.Target("condition", build_condition, seeds_condition, ("edgeagent.rules",), 512),
    targets.Target(
        "site", build_site, seeds_site,
        ("edgeagent.config", "edgeagent.tomlfile", "edgeagent.treefiles", "edgeagent.brokerfile", "edgeagent.waivers"),
        4096,
    ),
    targets.Target("seat-file", build_seat_file, seeds_seat_file, ("edgeagent.seatconfig", "edgeagent.tomlfile"), 2048),
    targets.Target(
        "driver", build_driver, seeds_driver,
        ("edgeagent.driverfiles", "edgeagent.driverreader", "edgeagent.driverentries", "edgeagent.kindfiles"), 16384,
    ),
    targets.Target("procedure", build_procedure, seeds_procedure, ("edgeagent.procedurefiles",), 16384),
    targets.Target(
        "scenario", build_scenario, seeds_scenario, ("edgeagent.scenariofiles", "edgeagent.injectwords"), 8192
    ),
    targets.Target("capture", build_capture, seeds_capture, ("edgeagent.captures",)),
)  # fmt: skip

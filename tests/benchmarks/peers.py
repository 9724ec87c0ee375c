"""The tools that people use today, as Debian ships them, each with a configuration of its own in a temporary folder.

Nothing is fetched here: a program that is not there leaves its row empty, and the row says which package it is in.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.process import Process
from tests.benchmarks.site import OIDS, REGISTERS, SimulatedSite, address
from tests.broker import free_port, until

_PATH: Final = os.pathsep.join(("/lib/nut", "/usr/libexec/nut", os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
"""NUT's own first: Debian's upsd elsewhere is a script that looks at the system's configuration."""
_LIBRARIES: Final = ("/usr/lib/collectd", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
PACKAGES: Final = {
    "collectd": "collectd-core libsnmp40 libmosquitto1 libmodbus5",
    "snmp-ups": "nut-snmp",
    "upsd": "nut-server",
    "prometheus-snmp-exporter": "prometheus-snmp-exporter",
    "snmpd": "snmpd",
}


def missing(*programs: str) -> str:
    """Say which Debian packages the programs that are not here come in; "" when all are here."""
    packages = [PACKAGES[name] for name in programs if shutil.which(name, path=_PATH) is None]
    if "collectd" in programs and not packages:
        wanted = ("libmodbus.so.5", "libmosquitto.so.1", "libnetsnmp.so.40")
        there = {path.name for folder in _LIBRARIES for path in Path(folder).glob("lib*.so*")}
        packages = [PACKAGES["collectd"]] if any(name not in there for name in wanted) else []
    return f"not here (Debian: {' '.join(packages)})" if packages else ""


def program(name: str) -> str:
    """Return the path of a program that is here."""
    found = shutil.which(name, path=_PATH)
    assert found is not None, name
    return found


@contextmanager
def started(folder: Path, *commands: Sequence[str | Path], **environ: str) -> Iterator[Process]:
    """Run programs until the end of the block, and end them by their pids."""
    with ExitStack() as stack:
        processes = []
        for number, command in enumerate(commands):
            log = stack.enter_context((folder / f"peer-{number}.log").open("wb"))
            process = subprocess.Popen(
                [*command], cwd=folder, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            stack.callback(_end, process)
            processes.append(process)
        yield Process(*(process.pid for process in processes))
        gone = [number for number, process in enumerate(processes) if process.poll() is not None]
        assert not gone, (folder / f"peer-{gone[0]}.log").read_text(errors="replace")[-2000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


@contextmanager
def collectd(folder: Path, broker: int, plugins: str, threads: int = 5) -> Iterator[Process]:
    """Run collectd with a plugin's configuration and its MQTT output."""
    folder.mkdir(exist_ok=True)
    types = " ".join(f"s{slot}:GAUGE:U:U," for slot in range(len(OIDS))).rstrip(",")
    (folder / "types.db").write_text(f"bench {types}\n")
    (folder / "collectd.conf").write_text(
        f"""BaseDir "{folder}"
PIDFile "{folder}/pid"
TypesDB "/usr/share/collectd/types.db" "{folder}/types.db"
Interval 1
ReadThreads {threads}
Hostname "bench"
FQDNLookup false
LoadPlugin mqtt
<Plugin mqtt>
  <Publish "bench">
    Host "127.0.0.1"
    Port {broker}
    ClientId "collectd-bench"
    StoreRates false
  </Publish>
</Plugin>
{plugins}
"""
    )
    with started(folder, [program("collectd"), "-f", "-C", folder / "collectd.conf"]) as process:
        yield process


def snmp_bundled(site: SimulatedSite) -> str:
    """Write collectd's best: a custom type of twenty sources, read by one GET and sent in one message."""
    values = " ".join(f'"{oid}"' for oid in OIDS)
    return _snmp(site, f'<Data "all">\nType "bench"\nTable false\nValues {values}\n</Data>', ["all"])


def snmp_documented(site: SimulatedSite) -> str:
    """Write what collectd's manual shows: a Data block a value, so twenty GETs and twenty messages."""
    blocks = "\n".join(
        f'<Data "d{slot}">\nType "gauge"\nTable false\nInstance "d{slot}"\nValues "{oid}"\n</Data>'
        for slot, oid in enumerate(OIDS)
    )
    return _snmp(site, blocks, [f"d{slot}" for slot in range(len(OIDS))])


def _snmp(site: SimulatedSite, blocks: str, collected: Sequence[str]) -> str:
    collect = " ".join(f'"{name}"' for name in collected)
    hosts = "\n".join(
        f'<Host "ups-{number}">\nAddress "{address(number)}:{site.port}"\nVersion 2\nCommunity "public"\n'
        f"Collect {collect}\nInterval 1\n</Host>"
        for number in range(site.devices)
    )
    return f"LoadPlugin snmp\n<Plugin snmp>\n{blocks}\n{hosts}\n</Plugin>"


def modbus(site: SimulatedSite) -> str:
    """Write sixty registers as collectd's manual shows them: a Data block each."""
    blocks = "\n".join(
        f'<Data "r{place}">\nRegisterBase {place}\nRegisterType Int16\nType gauge\nInstance "r{place}"\n</Data>'
        for place in range(REGISTERS)
    )
    collect = "\n".join(f'Collect "r{place}"' for place in range(REGISTERS))
    hosts = "\n".join(
        f'<Host "env-{number}">\nAddress "{address(number)}"\nPort "{site.port}"\nInterval 1\n'
        f'<Slave 1>\nInstance "one"\n{collect}\n</Slave>\n</Host>'
        for number in range(site.devices)
    )
    return f"LoadPlugin modbus\n<Plugin modbus>\n{blocks}\n{hosts}\n</Plugin>"


@contextmanager
def nut(folder: Path, site: SimulatedSite) -> Iterator[Process]:
    """Run Network UPS Tools: a driver process for each UPS, and upsd for all."""
    folder.mkdir(exist_ok=True)
    names = [f"ups{number}" for number in range(site.devices)]
    (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {free_port()}\n")
    (folder / "upsd.conf").chmod(0o640)
    (folder / "upsd.users").write_text("")
    (folder / "ups.conf").write_text(
        "\n".join(
            f"[{name}]\ndriver = snmp-ups\nport = {address(number)}:{site.port}\ncommunity = public\n"
            f"snmp_version = v2c\nmibs = ietf\npollinterval = 1\npollfreq = 1\n"
            for number, name in enumerate(names)
        )
    )
    root = ["-u", "root"] if os.geteuid() == 0 else []
    drivers = [[program("snmp-ups"), "-a", name, "-F", *root] for name in names]
    places = dict.fromkeys(("NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH"), str(folder))
    with started(folder, *drivers, [program("upsd"), "-F", *root], **places) as process:
        yield process


@contextmanager
def exporter(folder: Path, site: SimulatedSite) -> Iterator[Process]:
    """Run prometheus-snmp-exporter, scraped once a second for each UPS over connections that are kept."""
    folder.mkdir(exist_ok=True)
    gets = "\n".join(f"  - {oid}" for oid in OIDS)
    metrics = "\n".join(
        f"  - name: s{slot}\n    oid: {oid.removesuffix('.0')}\n    type: gauge" for slot, oid in enumerate(OIDS)
    )
    (folder / "snmp.yml").write_text(
        f"bench:\n  get:\n{gets}\n  metrics:\n{metrics}\n  version: 2\n  auth:\n    community: public\n"
    )
    port = free_port()
    command = [program("prometheus-snmp-exporter"), f"--config.file={folder}/snmp.yml"]
    over = threading.Event()
    with started(folder, [*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]) as process:
        until(lambda: _answers(port))
        scraper = threading.Thread(target=_scrape, args=(port, site, over), daemon=True)
        scraper.start()
        try:
            yield process
        finally:
            over.set()
            scraper.join(10)


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False


def _scrape(port: int, site: SimulatedSite, over: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    due = time.monotonic()
    number = 0
    while not over.is_set():
        connection.request("GET", f"/snmp?module=bench&target={address(number)}:{site.port}")
        connection.getresponse().read()
        number = (number + 1) % site.devices
        due += 1 / site.devices
        time.sleep(max(0.0, due - time.monotonic()))

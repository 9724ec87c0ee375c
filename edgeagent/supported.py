"""The page of supported devices, SUPPORTED.md, made from the catalogue and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgeagent import driverfiles, resources
from edgeagent.catalog import Catalog, Driver
from edgeagent.mistakes import Mistakes
from edgeagent.phases import PHASES

_EVIDENCE: Final = {
    "capture": ("record of a real device", "真实设备记录"),
    "second-tool": ("another tool reads such devices with it", "其他工具实测使用"),
    "manual": ("maker's manual or MIB", "厂家手册或 MIB"),
    "third-party": ("one source that is not the maker", "单一第三方来源"),
}
_PROTOCOLS: Final = {
    "snmp": "SNMP", "modbus": "Modbus", "serial": "serial / 串口", "host": "this host, a seat's agent / 本机、座席代理",
    "service": "TCP, HTTP, DNS, SIP, ICMP", "ami": "Asterisk AMI",
}  # fmt: skip

_HEAD: Final = """\
# Supported devices / 支持的设备

Made from [drivers/](drivers/README.md) by `make supported`; do not edit. A device that is not here often speaks a
standard that is: `edgeagent probe URL` tells.

本页由 `make supported` 从 drivers/ 生成，请勿手工修改。未列出的设备往往支持其中某个标准，
可用 `edgeagent probe URL` 试读。

"""
_LEGEND: Final = """
**Recognised / 识别**

- **yes / 自动**: `probe` finds the driver by what the device says of itself / 设备自报身份，`probe` 可自动识别
- **by shape / 按特征**: its registers only look like it; name the driver in the site's file
  / 仅寄存器特征相符，请在站点文件中指定驱动
- **no / 需指定**: the site's file must name the driver / 须在站点文件中指定驱动

**Evidence / 依据**: the best that the addresses rest on; a point in brackets is confirmed by no good source
/ 地址所依据的最好来源；括号内的测点尚无可靠来源证实

"""
_COLUMNS: Final = (
    "| device / 设备 | driver / 驱动 | protocol / 协议 | recognised / 识别 | evidence / 依据 |\n|---|---|---|---|---|\n"
)


def page(catalog: Catalog) -> str:
    """Return the page in Markdown, kinds and drivers in the order of their ids."""
    drivers = sorted(catalog.drivers.values(), key=lambda driver: driver.id)
    kinds = {driver.kind.id: driver.kind for driver in drivers}
    grades = "".join(f"- **{word}**: {en} / {zh}\n" for word, (en, zh) in _EVIDENCE.items())
    counted = f"{len(drivers)} drivers of {len(kinds)} kinds / {len(kinds)} 类设备，{len(drivers)} 个驱动\n"
    return _HEAD + counted + _LEGEND + grades + "".join(
        _section(f"{kinds[id].text.en} / {kinds[id].text.zh}", [one for one in drivers if one.kind.id == id])
        for id in sorted(kinds)
    )  # fmt: skip


def _section(title: str, drivers: list[Driver]) -> str:
    rows = "".join(_row(driver) for driver in drivers)
    return f"\n## {title}\n\n{_COLUMNS}{rows}\n" + "".join(_details(driver) for driver in drivers)


def _row(driver: Driver) -> str:
    name = f"{driver.text.en}<br>{driver.text.zh}"
    models = f"<br>{', '.join(driver.models)}" if driver.models else ""
    doubt = "<br>unverified / 未验证" if driver.items and all(item.unverified for item in driver.items) else ""
    cells = (
        name + models, f"`{driver.id}`", _PROTOCOLS.get(driver.protocol, driver.protocol), recognised(driver),
        driver.evidence + doubt,
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def recognised(driver: Driver) -> str:
    """Say whether a device of this driver is found by itself."""
    if driver.named:
        return "yes / 自动"
    return "by shape / 按特征" if driver.identify else "no / 需指定"


def _details(driver: Driver) -> str:
    text = f"- `{driver.id}` gives / 提供: {', '.join(_points(driver))}.\n"
    others = sorted({item.driver for item in driver.items} - {"", driver.id})
    if others:
        text += f"  Falls back on / 其余取自: {', '.join(f'`{id}`' for id in others)}.\n"
    return text + f"  Source / 来源: {driver.source}\n"


def _points(driver: Driver) -> Iterator[str]:
    """List the points, phases behind their point, in brackets what no good source confirms."""
    verified = {item.point for item in driver.items if not item.unverified} | {
        item.point.rpartition(".")[0] for item in driver.items if not item.unverified
    }
    stems: dict[str, list[str]] = {}
    for id in sorted(driver.points):
        stem, _, phase = id.rpartition(".")
        if phase in PHASES and stem in driver.kind.points:
            stems.setdefault(stem, []).append(phase)
        else:
            stems.setdefault(id, [])
    for stem, phases in stems.items():
        name = stem + (" L1–L3" if len(phases) > 1 else "")
        yield name if stem in verified else f"({name})"
    for channel in driver.channels:
        yield f"inputs named by the site / 由现场命名的输入: {channel}"


def main(file: Path) -> None:
    """Write the page of the drivers that come with this package, not of those a site added."""
    try:
        text = page(driverfiles.load([resources.drivers()]))
    except Mistakes as error:
        sys.exit(str(error))
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

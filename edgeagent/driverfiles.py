"""Reads the drivers folders into the catalogue and says all that is wrong with them at once.

`device.toml` holds the points and alarm types of every device, `<kind>/kind.toml` those of a kind (single
keys of an alarm type of device.toml may be overridden there), every other file of the folder one driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeagent.catalog import Catalog, Driver, Kind
from edgeagent.driverentries import DriverFile
from edgeagent.driverreader import DriverReader
from edgeagent.items import among
from edgeagent.kindfiles import DeviceFile, compile_kind
from edgeagent.mistakes import Mistake, Mistakes, nearest
from edgeagent.tomlfile import Document, check, read


def load(folders: Sequence[Path], wanted: frozenset[str] | None = None) -> Catalog:
    """Read all drivers folders, the shipped one first; of the drivers only the `wanted` ones, if these are all there.

    Raises:
        Mistakes: everything that is wrong in any of their files.
    """
    mistakes: list[Mistake] = []
    kinds: dict[str, Kind] = {}
    drivers: dict[str, Driver] = {}
    falling: dict[str, tuple[Document, DriverFile]] = {}
    origin: dict[str, str] = {}
    broken: set[str] = set()
    device = Document("", {}, "")
    for folder in folders:
        if (folder / "device.toml").is_file():
            device = _document(folder / "device.toml", folder, mistakes) or device
            mistakes += check(device, DeviceFile, device.data)[1]
    if mistakes:
        raise Mistakes(mistakes)  # all kinds rest on it
    for folder in folders:
        for path in sorted(folder.glob("*/kind.toml")):
            document = _document(path, folder, mistakes)
            kind = compile_kind(document, device, mistakes) if document else None
            if document is None or kind is None:
                broken.add(path.parent.name)
                continue
            if path.parent.name in kinds:
                where = origin[path.parent.name]
                mistakes.append(document.mistake(("kind",), f'"{kind.id}" stands in {where} already'))
                continue
            kinds[path.parent.name] = kind
            origin[path.parent.name] = document.file
            if kind.id != path.parent.name:
                mistakes.append(document.mistake(("kind",), f"the folder is {path.parent.name}; make both the same"))
    for folder in folders:
        for path in sorted(folder.glob("*/*.toml")):
            if path.name == "kind.toml" or (wanted is not None and f"{path.parent.name}/{path.stem}" not in wanted):
                continue
            if (document := _document(path, folder, mistakes)) is None:
                continue
            if path.parent.name in broken - kinds.keys():
                mistakes += check(document, DriverFile, document.data)[1]
                continue
            driver, file = _driver(document, path, kinds, mistakes)
            if driver is not None and driver.id in origin:
                mistakes.append(document.mistake(("driver",), f'"{driver.id}" stands in {origin[driver.id]} already'))
            elif driver is not None:
                drivers[driver.id] = driver
                origin[driver.id] = document.file
                if file is not None and (file.fallback is not None or file.without):
                    falling[driver.id] = (document, file)
    if wanted is not None and not mistakes:
        if not wanted <= drivers.keys():
            return load(folders)  # whoever names a driver that is not there is told which are
        behind = {file.fallback for _, file in falling.values() if file.fallback is not None}
        if not behind <= drivers.keys():
            return load(folders, wanted | behind)
    for id, (document, file) in falling.items():
        drivers[id] = _fallen_back(drivers[id], document, file, drivers, falling, mistakes)
    if mistakes:
        raise Mistakes(mistakes)
    return Catalog(kinds, drivers)


def _document(path: Path, folder: Path, mistakes: list[Mistake]) -> Document | None:
    try:
        return read(path, f"{folder.name}/{path.relative_to(folder)}")
    except Mistakes as error:
        mistakes += error.found
        return None


def _fallen_back(
    driver: Driver, document: Document, file: DriverFile, drivers: Mapping[str, Driver],
    falling: Mapping[str, object], mistakes: list[Mistake],
) -> Driver:  # fmt: skip
    """Return the driver with the sources of another one behind its own."""
    other = drivers.get(file.fallback or "")
    if other is None or other.kind is not driver.kind or other.protocol != driver.protocol or other.id in falling:
        alike = (one for one in drivers.values() if one.kind is driver.kind and one.protocol == driver.protocol)
        plain = [one.id for one in alike if one.id not in falling]
        close = nearest(file.fallback or "", plain)
        mistakes.append(document.mistake(("fallback",), f"needs a driver of this kind that stands alone{close}"))
        return driver
    for id in file.without:
        if not among({item.point for item in other.items} | other.points, id):
            close = nearest(id, sorted(other.points))
            mistakes.append(document.mistake(("without",), f'{other.id} has no "{id}"{close}'))
    return replace(
        driver,
        items=driver.items + tuple(item for item in other.items if not among(file.without, item.point)),
        identity=driver.identity + other.identity,
        variants=driver.variants + other.variants,
    )


def _driver(
    document: Document, path: Path, kinds: Mapping[str, Kind], mistakes: list[Mistake]
) -> tuple[Driver | None, DriverFile | None]:
    found, wrong = check(document, DriverFile, document.data)
    mistakes += wrong
    if not isinstance(found, DriverFile):
        return None, None
    kind = kinds.get(found.driver.partition("/")[0])
    if kind is None:
        name = found.driver.partition("/")[0]
        mistakes.append(document.mistake(("driver",), f'unknown kind "{name}"{nearest(name, list(kinds))}'))
        return None, None
    if found.driver != f"{path.parent.name}/{path.stem}":
        mistakes.append(
            document.mistake(("driver",), f"the file is {path.parent.name}/{path.stem}.toml; make both the same")
        )
    reader = DriverReader(document, found, kind)
    driver = reader.driver()
    mistakes += reader.mistakes
    return driver, found

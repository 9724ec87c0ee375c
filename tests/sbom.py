"""Writes the bill of materials: what is installed with the agent, as CycloneDX 1.6 JSON.

    python -m tests.sbom build/edgeagent.cdx.json

It lists what the agent needs at run time with the versions that are installed here, each with its licence and what it
needs in turn; nothing that only builds or tests it. The same environment gives the same file.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = "edgeagent"
_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562 §6.6, URL


def needed(root: str = ROOT) -> dict[str, list[str]]:
    """Return all that a distribution needs here, by name, with what each needs in turn."""
    found: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [(root, frozenset[str]())]
    while left:
        name, extras = left.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        wanted = [Requirement(text) for text in metadata.requires(name) or ()]
        known = [each for each in wanted if _applies(each, extras) and _version(each.name) is not None]
        found.setdefault(name, set()).update(_plain(each.name) for each in known)
        left += [(_plain(each.name), frozenset(each.extras)) for each in known]
    return {name: sorted(found[name]) for name in sorted(found)}


def bill() -> dict[str, Any]:
    """Make the document."""
    tree = needed()
    components = {name: _component(name) for name in tree}
    own = components.pop(ROOT)
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**own, "type": "application"}},
        "components": list(components.values()),
        "dependencies": [
            {"ref": _ref(name), "dependsOn": [_ref(each) for each in wanted]} for name, wanted in tree.items()
        ],
    }
    serial = uuid.uuid5(_SPACE, json.dumps(body, sort_keys=True))
    return {**body, "serialNumber": f"urn:uuid:{serial}"}


def _component(name: str) -> dict[str, Any]:
    about = metadata.metadata(name)
    licence = next((about[key] for key in ("License-Expression", "License") if key in about), "")
    classified = [
        each.rpartition(" :: ")[2] for each in about.get_all("Classifier") or () if each.startswith("License")
    ]
    known = licence if licence and "\n" not in licence and len(licence) < 80 else ", ".join(classified)
    component = {"type": "library", "bom-ref": _ref(name), "name": name, "version": _version(name), "purl": _ref(name)}
    return component | ({"licenses": [{"license": {"name": known}}]} if known else {})


def _applies(wanted: Requirement, extras: frozenset[str]) -> bool:
    if wanted.marker is None:
        return True
    return any(wanted.marker.evaluate({"extra": extra}) for extra in (extras or frozenset({""})))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _ref(name: str) -> str:
    return f"pkg:pypi/{name}@{_version(name)}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{target}: {len(needed()) - 1} components\n")

"""The bill of materials names what runs, with what is installed here, and nothing that only tests it."""

from __future__ import annotations

from importlib import metadata

from tests.sbom import bill, needed


def test_it_lists_what_the_agent_needs_and_what_that_needs() -> None:
    names = {component["name"] for component in bill()["components"]}
    assert {"pymodbus", "paho-mqtt", "psutil", "pyserial", "pydantic", "pydantic-core", "cryptography", "cffi"} <= names
    assert not names & {"pytest", "hypothesis", "ruff", "mypy", "edgeagent"}


def test_versions_are_those_that_are_installed_and_every_reference_leads_somewhere() -> None:
    document = bill()
    for component in document["components"]:
        assert component["version"] == metadata.version(component["name"])
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
    refs = {component["bom-ref"] for component in document["components"]} | {
        document["metadata"]["component"]["bom-ref"]
    }
    named = {entry["ref"] for entry in document["dependencies"]}
    assert named == refs
    assert {each for entry in document["dependencies"] for each in entry["dependsOn"]} <= refs


def test_the_same_environment_gives_the_same_document() -> None:
    assert bill() == bill()
    assert list(needed()) == sorted(needed())

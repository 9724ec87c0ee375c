"""Whether the schemas of today keep what version 1 has promised. `python -m tests.compatible` takes additions over.

Readers may rely on each member that was always there and on the types that it may have; senders of commands on what
they have to give. So nothing that is recorded may go or change; what is added must not be asked of old senders.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from edgeagent import contract

EXAMPLES: Final = Path(__file__).parent / "contract"
RECORDED: Final = EXAMPLES / "v1.schemas.json"
_MEANS_NOTHING: Final = frozenset({"title", "description", "examples", "$schema", "properties", "required", "$defs"})
Schema = Mapping[str, Any]


def recorded() -> dict[str, dict[str, Any]]:
    """Return the schemas of version 1 as they were last taken over."""
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def breaks(before: Mapping[str, Schema], now: Mapping[str, Schema]) -> list[str]:
    """Name all by which the schemas of now break those of before."""
    found = [f"{name} is gone" for name in before if name not in now]
    for name, schema in before.items():
        if name in now:
            asked = name.startswith(
                ("request", "seat-")
            )  # others send it, so it is they who must not be asked for more
            was, ours = _flat(schema, schema), _flat(now[name], now[name])
            found += [f"{name}{where}" for where in _compare(was, ours, "", asked=asked)]
    return found


def _compare(before: Schema, now: Schema, at: str, *, asked: bool) -> Iterator[str]:
    members, ours = before.get("properties", {}), now.get("properties", {})
    must, may = set(before.get("required", ())), set(now.get("required", ()))
    yield from (f"{at}.{name} is gone" for name in members if name not in ours)
    yield from (f"{at}.{name} is no longer always there" for name in sorted((must - may) & ours.keys()))
    if asked:
        yield from (f"{at}.{name} is asked for now" for name in sorted(may - must))
    for name in members.keys() & ours.keys():
        yield from _compare(members[name], ours[name], f"{at}.{name}", asked=asked)
    for key in sorted((before.keys() | now.keys()) - _MEANS_NOTHING):
        was, new = before.get(key), now.get(key)
        if key == "enum" and was is not None and new is not None and not asked and set(was) <= set(new):
            continue  # readers pass over words that they do not know
        if isinstance(was, dict) and isinstance(new, dict):
            yield from _compare(was, new, f"{at}.{key}", asked=asked)
        elif isinstance(was, list) and isinstance(new, list) and key == "anyOf" and len(was) == len(new):
            for number, (one, other) in enumerate(zip(was, new, strict=True)):
                yield from _compare(one, other, f"{at}.{key}.{number}", asked=asked)
        elif was != new:
            yield f"{at}: {key} was {was} and is {new}"


def _flat(node: Any, root: Schema) -> Any:  # noqa: ANN401 - JSON
    """Put what a schema refers to in the place of the reference."""
    if isinstance(node, list):
        return [_flat(each, root) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _flat(root["$defs"][node["$ref"].rpartition("/")[2]], root)
    return {key: _flat(value, root) for key, value in node.items() if key != "$defs"}


def main() -> None:
    """Take over what was added; refuse what breaks version 1."""
    now = contract.schemas()
    found = breaks(recorded(), now) if RECORDED.exists() else []
    if found:
        sys.exit("this breaks version 1 of the feed:\n" + "\n".join(found))
    RECORDED.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

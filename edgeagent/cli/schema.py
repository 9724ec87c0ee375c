"""The `schema` command: the contract of the feed, for programs that read it."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeagent.cli.common import USAGE, fail, print_line

app = typer.Typer()


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(help="The payload; without it all are printed as one object.")] = None,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="The whole feed as one AsyncAPI document.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the payloads that there are.")] = False,
) -> None:
    """Print the JSON Schema of what the feed carries, or the feed as an AsyncAPI document."""
    import orjson

    from edgeagent import contract
    from edgeagent.mistakes import nearest

    if (name is not None) + asyncapi + listed > 1:
        fail("a name, --asyncapi or --list, one of them", USAGE)
    if listed:
        for each in contract.names():
            print_line(each)
        return
    if name is not None and name not in contract.names():
        fail(f'no payload "{name}"{nearest(name, contract.names())}', USAGE)
    said = contract.asyncapi() if asyncapi else contract.schemas() if name is None else contract.schema(name)
    print_line(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())

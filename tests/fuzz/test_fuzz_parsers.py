"""Spoilt messages, a few for each parser, and each message that was once too much for one.

The long hunt is `make fuzz`; see docs/fuzzing.md.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import files
from tests.fuzz.mutations import messages, spoilt
from tests.fuzz.targets import NAMES, Run, target

EXAMPLES, FEW = 25, 10
SLOW = frozenset({"commands", "driver", "procedure", "scenario", "site", "state"})
ENDLESS = b"x = " + b"9" * 5000
DEEP = b"x = " + b"[" * 5000
LONG = b"a" * 300


@cache
def built(name: str) -> Run:
    return target(name).build()


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Keep what parsers say of nonsense out of the log: it is said thousands of times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    built.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_no_message_however_spoilt_does_more_than_a_parser_may(name: str) -> None:
    run, one = built(name), target(name)
    seeds = tuple(one.seeds())
    for seed in seeds:
        run(seed)

    @settings(max_examples=FEW if name in SLOW else EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(messages(seeds, one.longest))
    def holds(data: bytes) -> None:
        run(data)

    holds()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("http", b"\xffHTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", id="length"),
        pytest.param(
            "http", b"\xffHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", id="chunk"
        ),
        pytest.param("condition", b"(" * 5000 + b"a" + b")" * 5000, id="parentheses"),
        pytest.param("condition", b"not " * 5000 + b"a", id="negations"),
        *(
            pytest.param(name, data, id=f"{name} {what}")
            for name in ("site", "seat-file", "procedure", "scenario")
            for what, data in (("number", ENDLESS), ("brackets", DEEP))
        ),
        pytest.param("scenario", b"# Ma\rins", id="a carriage return alone"),
        pytest.param("driver", b"ups\n" + ENDLESS, id="driver number"),
        pytest.param("driver", b"kind\n" + DEEP, id="kind brackets"),
        pytest.param("state", b'run/x\n{"run":{"run_id":"x"', id="a row cut short"),
        pytest.param("state", b"alarm/ups-a.on-battery\n[]", id="a row that is no object"),
        pytest.param("state", b'alarm/ups-a.on-battery\n{"state":"up"}', id="an alarm that is none"),
        pytest.param("state", b'run/x\n{"run":null,"definition":{},"clocks":1}', id="a run that is none"),
        pytest.param("state", b'memory/floor\n{"supply":{"said":{}},"groups":[[1]]}', id="a memory of another shape"),
        pytest.param("state", b'memory/forecast\n{"starts":"x"}', id="a forecast of another shape"),
        pytest.param("state", b'seen\n{"at":"noon"}', id="a moment that is none"),
        pytest.param("state", b'answer/live/ack/t1\n{"at":null}', id="an answer that is none"),
        pytest.param("state", b'sent\n{"user":7}', id="a message sent nobody knows how"),
    ],
)  # fmt: skip
def test_what_was_once_too_much_is_taken(name: str, data: bytes) -> None:
    built(name)(data)


def test_a_parser_that_raises_what_it_may_not_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "parse", lambda url: {}[url])
    with pytest.raises(KeyError):
        built("url")(b"host://")


@given(st.randoms(use_true_random=True), st.binary(max_size=40))
def test_a_spoilt_message_is_never_longer_than_it_may_be(chance: random.Random, seed: bytes) -> None:
    assert len(spoilt((seed, b"other"), chance, 50)) <= 50

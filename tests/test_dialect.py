"""What goes into a packet is what paho would write there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeagent import dialect

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=90)


@given(
    st.none() | st.integers(-5, 2**31),
    st.none() | st.dictionaries(TEXT, TEXT, max_size=4),
    st.none() | TEXT.filter(bool),
    st.none() | TEXT,
    st.none() | st.binary(max_size=20_000),
)
def test_properties_are_packed_as_paho_packs_them(
    expiry: int | None, user: dict[str, str] | None, content: str | None, response: str | None, mark: bytes | None
) -> None:
    slow = dialect.built(expiry, user, content, response, mark)
    said = dialect.written(expiry, user, content, response, mark)
    assert said == dialect.of_publish(said).pack() == slow.pack()  # type: ignore[no-untyped-call]

"""Our own SNMPv3 beside pysnmp's: each is understood by the other, and what was changed on the way by neither."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.type import univ
from pysnmp.proto.secmod.rfc3414 import localkey

from edgeagent.endpoint import AUTH, PRIV, Endpoint
from edgeagent.links import ber, snmpv3, usmmessage
from edgeagent.links.ber import OCTETS, SEQUENCE, Malformed, tlv
from edgeagent.links.snmpmessage import Ask, Foreign, Response, Session
from edgeagent.links.usm import AUTHENTICATED, AUTHS, PRIVATE, User, localized, master
from edgeagent.links.usmcipher import Aes, Des
from edgeagent.links.usmsession import WINDOW, Usm
from edgeagent.links.usmshape import Envelope, Shape
from edgeagent.readings import Missing, Raw

ENGINE = bytes.fromhex("80001f8805") + bytes(24) + b"\x07"
"""With zeros as long as a digest's placeholder: they must not be taken for it."""
SECRETS = {"auth": "one two three", "priv": "four five six"}
MATRIX = [(auth, priv) for auth in AUTH for priv in PRIV if auth != "none" or priv == "none"]
OIDS = ("1.3.6.1.2.1.33.1.2.1.0", "1.3.6.1.2.1.33.1.2.2.0", "1.3.6.1.2.1.33.1.2.3.0")
IDENT = 0x12345678
IN_TIME, ENGINES, DIGESTS, USERS = (f"1.3.6.1.6.3.15.1.1.{number}.0" for number in (2, 4, 5, 3))
every_pair = pytest.mark.parametrize(("auth", "priv"), MATRIX, ids=[f"{auth} {priv}" for auth, priv in MATRIX])


def endpoint(auth: str = "SHA-256", priv: str = "AES-128", engine: str = "fast", password: str = "") -> Endpoint:
    options = {"version": "3", "auth": auth, "priv": priv, "engine": engine}
    secrets = SECRETS if not password else {**SECRETS, "auth": password}
    return Endpoint("snmp", "127.0.0.1", 161, user="watch", options=options, secrets=secrets)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """The other side of the conversation, written with our own pieces."""

    def __init__(self, auth: str = "SHA-256", priv: str = "AES-128", id: bytes = ENGINE, boots: int = 3) -> None:
        self.user = User(endpoint(auth, priv))
        self.id, self.boots, self.time = id, boots, 5000
        self.keys = self.user.keys(id)

    def heard(self, data: bytes) -> tuple[usmmessage.Frame, bytes]:
        """Check a request and return its frame and PDU."""
        frame = usmmessage.read(data)
        assert (frame.engine, frame.user, frame.level) == (self.id, self.user.name, self.user.level)
        assert (frame.boots, frame.reportable) == (self.boots, True)
        assert usmmessage.authentic(data, frame, self.keys)
        scoped = usmmessage.opened(data, frame, self.keys)
        at, end = usmmessage.inside(scoped)
        return frame, scoped[at:end]

    def says(
        self, *values: bytes, tag: int = ber.RESPONSE, level: int | None = None, user: bytes | None = None,
        ident: int = IDENT, names: tuple[str, ...] = OIDS,
    ) -> bytes:  # fmt: skip
        """Write an answer of these values."""
        rows = [tlv(SEQUENCE, ber.identifier(oid), value) for oid, value in zip(names, values, strict=False)]
        pdu = tlv(tag, ber.integer(ident), ber.integer(0), ber.integer(0), tlv(SEQUENCE, *rows))
        scoped = tlv(SEQUENCE, tlv(OCTETS, self.id), tlv(OCTETS), pdu)
        return usmmessage.write(
            self.user.level if level is None else level, IDENT, self.id, self.boots, self.time,
            self.user.name if user is None else user, self.keys, scoped,
        )  # fmt: skip

    def reports(self, counter: str, level: int = 0) -> bytes:
        return self.says(tlv(0x41, b"\x01"), tag=0xA8, level=level, names=(counter,))


def taught(session: Session, engine: Engine) -> None:
    """Let a session learn an engine."""
    asked = usmmessage.read(session.wrap(Ask.GET, OIDS, IDENT))
    assert (asked.engine, asked.user, asked.level, asked.reportable) == (b"", b"", 0, True)
    assert session.unwrap(engine.reports(ENGINES), IDENT, OIDS) is None


def met(auth: str = "SHA-256", priv: str = "AES-128") -> tuple[Usm, Engine, Clock]:
    """Return a session that knows the engine."""
    clock, engine = Clock(), Engine(auth, priv)
    session = Usm(endpoint(auth, priv), clock)
    taught(session, engine)
    return session, engine, clock


ONES = (tlv(2, b"\x01"), tlv(0x42, b"\x00\xff\xff\xff\xff"), tlv(OCTETS, b"room 7"))
VALUES: tuple[Raw, ...] = (1, 4294967295, b"room 7")


# Both ways.


@pytest.mark.parametrize("algorithm", sorted({auth.algorithm for auth in AUTHS.values()}))
def test_passwords_make_the_keys_that_pysnmp_makes(algorithm: str) -> None:
    kind = getattr(hashlib, algorithm)
    for password in ("maplesyrup", "a password that is longer than one block of the hash " * 3):
        theirs = localkey.hash_passphrase(password.encode(), kind)
        assert master(password, algorithm) == bytes(theirs)
        assert localized(bytes(theirs), ENGINE, algorithm) == bytes(
            localkey.localize_key(theirs, univ.OctetString(ENGINE), kind)
        )


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        pytest.param("md5", "526f5eed9fcce26f8964c2930787d82b", id="RFC 3414 §A.3.1"),
        pytest.param("sha1", "6695febc9288e36282235fc7151f128497b38f3f", id="RFC 3414 §A.3.2"),
    ],
)
def test_the_password_of_the_standard_makes_the_key_of_the_standard(algorithm: str, key: str) -> None:
    assert localized(master("maplesyrup", algorithm), bytes.fromhex("000000000000000000000002"), algorithm).hex() == key


@every_pair
def test_what_we_ask_is_what_pysnmp_asks(auth: str, priv: str) -> None:
    engine, ours, theirs = Engine(auth, priv), Usm(endpoint(auth, priv)), snmpv3.Usm(endpoint(auth, priv))
    assert ours.wrap(Ask.GET, OIDS, IDENT) == theirs.wrap(Ask.GET, OIDS, IDENT)
    for session in (ours, theirs):
        taught(session, engine)
    for ask in Ask:
        (own, pdu), (other, same) = (engine.heard(session.wrap(ask, OIDS, IDENT)) for session in (ours, theirs))
        assert pdu == same == b"".join((ber.pdu(ask, OIDS)[0], IDENT.to_bytes(4, "big"), ber.pdu(ask, OIDS)[1]))
        assert own.ident == other.ident == IDENT
        assert own.time in (other.time, other.time - 1)


@every_pair
def test_what_pysnmp_answers_is_read_and_what_we_answer_pysnmp_reads(auth: str, priv: str) -> None:
    engine, ours, theirs = Engine(auth, priv), Usm(endpoint(auth, priv)), snmpv3.Usm(endpoint(auth, priv))
    for session in (ours, theirs):
        taught(session, engine)
    for _ in range(2):
        answer = engine.says(*ONES)
        told = ours.unwrap(answer, IDENT, OIDS)
        assert isinstance(told, Response)
        assert told == theirs.unwrap(answer, IDENT, OIDS)
        assert (told.names, told.values) == (OIDS, VALUES)
    keys, scoped = ours._keys, b"\x30" + bytes(range(99))
    if theirs._priv is not None and keys.privacy is not None:
        ciphered, salt = theirs._priv.encrypt_data(theirs._priv_key, (3, 5000, None), scoped)
        assert keys.privacy.decrypt(3, 5000, bytes(salt), bytes(ciphered))[:100] == scoped
        own, salted = keys.privacy.encrypt(3, 5000, scoped)
        given = (3, 5000, univ.OctetString(salted))
        assert theirs._priv.decrypt_data(theirs._priv_key, given, univ.OctetString(own))[:100] == scoped


@pytest.mark.parametrize("cipher", [Aes(bytes(range(16))), Des(bytes(range(16)))], ids=["AES", "DES"])
def test_the_same_words_are_never_twice_the_same_in_cipher(cipher: Aes | Des) -> None:
    written = {cipher.encrypt(1, 2, bytes(32)) for _ in range(100)}
    assert len({data for data, _ in written}) == len({salt for _, salt in written}) == 100


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
@pytest.mark.parametrize("cipher", [Aes(bytes(32)), Des(bytes(range(16)))], ids=["AES", "DES"])
def test_what_was_encrypted_is_decrypted(cipher: Aes | Des, data: bytes, boots: int, now: int) -> None:
    ciphered, salt = cipher.encrypt(boots, now, data)
    clear = cipher.decrypt(boots, now, salt, ciphered)
    assert clear[: len(data)] == data
    assert not any(clear[len(data) :])


# What was changed on the way.


def outcome(session: Session, data: bytes) -> object:
    """Return what a session says of a packet, an exception of the codec as `Malformed`."""
    try:
        return session.unwrap(data, IDENT, OIDS)
    except Foreign:
        return Foreign
    except Exception:  # noqa: BLE001 - as the link takes it
        return Malformed


def mutate(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for at, instead, length in changes:
        place = at % (len(data) + 1)
        data = data[:place] + instead + data[place + length :]
    return data


changes = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=3)


@settings(max_examples=400, deadline=None)
@given(changes, st.booleans())
@pytest.mark.parametrize(
    ("auth", "priv"), [("none", "none"), ("SHA-1", "none"), ("SHA-256", "AES-128"), ("MD5", "DES")]
)
def test_a_mutated_packet_says_what_it_says_to_pysnmp_or_nothing(
    auth: str, priv: str, changes: list[tuple[int, bytes, int]], report: bool
) -> None:
    engine = Engine(auth, priv)
    sessions: list[Session] = [Usm(endpoint(auth, priv), Clock()), snmpv3.Usm(endpoint(auth, priv))]
    for session in sessions:
        taught(session, engine)
    data = mutate(engine.reports(IN_TIME) if report else engine.says(*ONES), changes)
    ours, theirs = (outcome(session, data) for session in sessions)
    # Ours is stricter: bytes that pysnmp takes for a message may be none to us. Of a report we read the name alone.
    name_alone = report and theirs is Malformed and ours in (None, Missing.DENIED)
    assert ours == theirs or ours in (Foreign, Malformed) or name_alone
    if auth != "none" and isinstance(ours, Response):
        assert ours.values == VALUES


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda engine: engine.says(*ONES, level=0), id="no digest, in clear"),
        pytest.param(lambda engine: engine.says(*ONES, level=AUTHENTICATED), id="in clear"),
        pytest.param(lambda engine: engine.says(*ONES, user=b"nobody"), id="another user"),
        pytest.param(lambda engine: engine.says(*ONES, ident=IDENT + 1), id="another request-id"),
        pytest.param(lambda engine: Engine(id=ENGINE[:-1]).says(*ONES), id="another engine"),
        pytest.param(lambda engine: Engine("SHA-1").says(*ONES), id="another digest"),
        pytest.param(lambda engine: engine.says(*ONES)[:-1], id="cut short"),
        pytest.param(lambda engine: b"", id="nothing"),
        pytest.param(lambda engine: bytes(200), id="zeros"),
    ],
)
def test_what_is_not_the_engines_own_answer_is_foreign(spoil: Callable[[Engine], bytes]) -> None:
    session, engine, _ = met()
    with pytest.raises(Foreign):
        session.unwrap(spoil(engine), IDENT, OIDS)
    assert isinstance(session.unwrap(engine.says(*ONES), IDENT, OIDS), Response)


def test_no_answer_of_an_engine_that_is_not_known_counts() -> None:
    session, engine, _ = met("none", "none")
    session.forget()
    with pytest.raises(Foreign):
        session.unwrap(engine.says(*ONES), IDENT, OIDS)
    nobody = Engine("none", "none", id=b"")
    with pytest.raises(Foreign):
        session.unwrap(nobody.says(*ONES), IDENT, OIDS)


def test_a_signed_answer_that_cannot_be_read_is_malformed() -> None:
    session, engine, _ = met()
    for pdu in (b"", b"\xa2", b"\xa0\x00", b"\x02\x01\x05"):
        scoped = tlv(SEQUENCE, tlv(OCTETS, ENGINE), tlv(OCTETS), pdu)
        level = AUTHENTICATED | PRIVATE
        data = usmmessage.write(level, IDENT, ENGINE, 3, 5000, b"watch", engine.keys, scoped)
        with pytest.raises(Malformed):
            session.unwrap(data, IDENT, OIDS)


# Clocks and engines.


def test_the_engines_clock_runs_on_by_ours() -> None:
    session, engine, clock = met()
    clock.now += 3600.9
    frame, _ = engine.heard(session.wrap(Ask.GET, OIDS, IDENT))
    assert frame.time == 5000 + 3600


@pytest.mark.parametrize("level", [0, AUTHENTICATED], ids=["unsigned", "signed"])
@pytest.mark.parametrize(("boots", "now"), [(4, 10), (1, 10), (3, 90_000), (3, 10)])
def test_an_engine_that_says_its_clock_is_another_is_asked_again_by_it(level: int, boots: int, now: int) -> None:
    session, engine, _ = met()
    engine.boots, engine.time = boots, now
    assert session.unwrap(engine.reports(IN_TIME, level), IDENT, OIDS) is None
    frame, _ = engine.heard(session.wrap(Ask.GET, OIDS, IDENT))
    assert (frame.boots, frame.time) == (boots, now)


@pytest.mark.parametrize(
    ("boots", "now", "timely"),
    [
        pytest.param(3, 5000, True, id="now"),
        pytest.param(3, 5000 - WINDOW, True, id="late"),
        pytest.param(3, 5000 - WINDOW - 1, False, id="too late"),
        pytest.param(3, 90_000, True, id="ahead"),
        pytest.param(4, 0, True, id="booted since"),
        pytest.param(2, 90_000, False, id="before the boot"),
    ],
)
def test_an_answer_out_of_its_time_is_dropped(boots: int, now: int, timely: bool) -> None:
    session, engine, _ = met()
    engine.boots, engine.time = boots, now
    answer = engine.says(*ONES)
    assert (outcome(session, answer) is not Foreign) is timely
    if not timely:
        session.forget()  # as the link does after the silence
        taught(session, engine)
        assert isinstance(session.unwrap(answer, IDENT, OIDS), Response)


def test_an_engine_that_has_booted_too_often_is_not_believed() -> None:
    session, engine, _ = met()
    engine.boots = 2**31 - 1
    assert session.unwrap(engine.reports(IN_TIME, AUTHENTICATED), IDENT, OIDS) is None
    assert outcome(session, engine.says(*ONES)) is Foreign


def test_a_clock_at_its_end_stands_still() -> None:
    session, engine, clock = met()
    engine.time = 2**31 - 1
    assert isinstance(session.unwrap(engine.says(*ONES), IDENT, OIDS), Response)
    clock.now += 10
    assert engine.heard(session.wrap(Ask.GET, OIDS, IDENT))[0].time == 2**31 - 1


@pytest.mark.parametrize("counter", [DIGESTS, USERS], ids=["wrong digest", "unknown user"])
def test_a_refusal_is_denied_and_the_engine_is_learnt_anew(counter: str) -> None:
    session, engine, _ = met()
    assert session.unwrap(engine.reports(counter), IDENT, OIDS) is Missing.DENIED
    taught(session, engine)


def test_a_refusal_by_another_engine_is_one_of_a_replaced_device() -> None:
    session, _, _ = met()
    replaced = Engine(id=b"\x80\x00\x00\x00\x05other")
    assert session.unwrap(replaced.reports(USERS), IDENT, OIDS) is None
    replaced.heard(session.wrap(Ask.GET, OIDS, IDENT))


def test_two_engines_of_one_id_have_clocks_and_keys_of_their_own() -> None:
    sessions = [Usm(endpoint(), Clock()), Usm(endpoint(password="another password"), Clock())]
    engines = [Engine(), Engine(boots=77)]
    engines[1].keys = User(endpoint(password="another password")).keys(ENGINE)
    for session, engine in zip(sessions, engines, strict=True):
        taught(session, engine)
    for session, engine in zip(sessions, engines, strict=True):
        engine.heard(session.wrap(Ask.GET, OIDS, IDENT))
        assert isinstance(session.unwrap(engine.says(*ONES), IDENT, OIDS), Response)
    assert outcome(sessions[0], engines[1].says(*ONES)) is Foreign


# By layout.


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=5), min_size=3, max_size=3), st.integers(1 << 24, (1 << 31) - 2))
def test_an_answer_read_by_layout_says_what_it_says_in_full(contents: list[bytes], ident: int) -> None:
    session, engine, _ = met("SHA-1", "none")
    values = [tlv(tag, content) for tag, content in zip((2, 0x42, OCTETS), contents, strict=True)]
    told = [session.unwrap(engine.says(*values, ident=ident), ident, OIDS) for _ in range(2)]
    theirs = snmpv3.Usm(endpoint("SHA-1", "none"))
    taught(theirs, engine)
    assert told == [theirs.unwrap(engine.says(*values, ident=ident), ident, OIDS)] * 2


@every_pair
def test_what_is_written_in_a_known_shape_is_what_is_written_anew(auth: str, priv: str) -> None:
    other = Engine(auth, priv)
    user, keys = other.user, other.keys
    envelope: Envelope | None = None
    for ident, now, size in (
        (IDENT, 5000, 40),
        (0x7FFFFFFE, 32767, 40),
        (0x01000000, 9, 40),
        (IDENT, 7, 40),
        (5, 7, 41),
    ):
        scoped = tlv(SEQUENCE, bytes(size))
        slow = usmmessage.write(user.level | 4, ident, ENGINE, 3, now, user.name, keys, scoped)
        quick = None if envelope is None else envelope.write(ident, 3, now, keys, scoped)
        if quick is not None:
            one, two = usmmessage.read(slow), usmmessage.read(quick)
            assert one._replace(salt=b"") == two._replace(salt=b"")
            assert usmmessage.authentic(quick, two, keys)
            assert usmmessage.opened(quick, two, keys)[: len(scoped)] == scoped
            if not keys.privacy:
                assert quick == slow
        assert envelope is None or envelope.write(ident, 4, now, keys, scoped) is None, "booted anew"
        assert (quick is None) is (envelope is None or now == 9 or (ident, size) == (5, 41))
        envelope = Envelope(slow)


@every_pair
def test_what_is_read_in_a_known_shape_is_what_is_read_anew(auth: str, priv: str) -> None:
    other = Engine(auth, priv)
    values = [tlv(2, b"\x07")] * len(OIDS)
    shape = Shape(other.says(*values))
    other.time = 5001
    second = other.says(*values)
    assert shape.read(second) == usmmessage.read(second)
    other.boots = 4
    assert shape.read(other.says(*values)) is None


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_shape_reads_nothing_else_than_is_there(data: st.DataObject) -> None:
    other = Engine("SHA-1", data.draw(st.sampled_from(["none", "AES-128", "DES"])))
    said = other.says(*[tlv(2, b"\x07")] * len(OIDS))
    shape, spoilt = Shape(said), bytearray(said)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(said) - 1))
        spoilt[at] = data.draw(st.integers(0, 255))
    found = shape.read(bytes(spoilt))
    assert found is None or found == usmmessage.read(bytes(spoilt))


@given(st.binary(max_size=70), st.integers(0, 0x7FFFFFFF), st.integers(0, 0x7FFFFFFF))
def test_what_the_library_encrypts_is_decrypted(data: bytes, boots: int, now: int) -> None:
    key = hashlib.sha256(b"key").digest()[:16]
    ciphered, salt = Aes(key).encrypt(boots, now, data)
    assert Aes(key).decrypt(boots, now, salt, ciphered) == data

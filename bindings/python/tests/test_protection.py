"""Keys, and frames that are protected by one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import PATIENCE, PICTURE

import framewire as fw

ELSEWHERE = "192.0.2.1:9"
"""An address for documentation, which nobody has."""


def test_a_key_is_made_of_its_text_and_of_its_bytes_and_shows_neither():
    key = fw.Key.random()
    assert re.fullmatch(r"[\w-]{43}", key.text) and len(bytes(key)) == 32
    for same in (fw.Key(key.text), fw.Key(f" {key.text}\n"), fw.Key(bytes(key))):
        assert same == key and hash(same) == hash(key) and same.id == key.id
    assert key != fw.Key.random() and key != key.text and key != None  # noqa: E711
    for shown in (repr(key), str(key), f"{key}"):
        assert shown == f"<framewire.Key {key.id}>"


@pytest.mark.parametrize("wrong", ["", "x", "A" * 42, "A" * 44, "+" * 43, "ä" * 43, "\udc80" * 43, b"", b"x" * 31, b"x" * 33, 7, None, ["A"], 0.5])
def test_what_is_no_key_is_told_and_not_repeated(wrong):
    with pytest.raises(fw.ArgumentError) as told:
        fw.Key(wrong)
    assert not wrong or str(wrong) not in str(told.value) or len(str(wrong)) < 4


def test_with_a_key_frames_are_protected_and_both_ends_say_by_what():
    key = fw.Key.random()
    for receiver in ({"key": key}, {"keys": [fw.Key.random(), key]}, {"key": fw.Key.random(), "keys": (key,)}, {"key": key, "protection": "on"}):
        with fw.Receiver("127.0.0.1:0", **receiver) as incoming, fw.Sender(incoming.address, delivery="every", key=key) as out:
            out.send(PICTURE, metadata={"exposure": 7})
            frame = incoming.recv(timeout=PATIENCE)
            assert np.array_equal(frame.array, PICTURE) and frame.metadata == {"exposure": 7}
            assert frame.stream.protection in ("AES-128-GCM", "ChaCha20-Poly1305")
            assert out.stats().protection == frame.stream.protection == out.stats().as_dict()["protection"]


def test_without_one_nothing_is_said_to_be_protected(way):
    incoming, out = way.pair()
    out.send(PICTURE)
    assert incoming.recv(timeout=PATIENCE).stream.protection is None
    assert out.stats().protection is None


@pytest.mark.parametrize(("given", "code"), [({}, "refused-needs-key"), ({"key": fw.Key.random()}, "refused-wrong-key")])
def test_whoever_has_no_key_or_another_is_refused_and_told_how_to_have_it(given, code):
    with fw.Receiver("127.0.0.1:0", key=fw.Key.random()) as incoming, fw.Sender(incoming.address, **given) as out:
        out.send(PICTURE)
        with pytest.raises(fw.Refused) as told:
            out.wait_open(timeout=PATIENCE)
        assert told.value.code == code and "::" not in str(told.value)
        with pytest.raises(fw.Timeout):
            incoming.recv(timeout=0)


def test_a_sender_with_a_key_is_refused_by_a_receiver_without():
    with fw.Receiver("127.0.0.1:0") as incoming, fw.Sender(incoming.address, key=fw.Key.random()) as out:
        out.send(PICTURE)
        with pytest.raises(fw.Refused, match="key=") as told:
            out.wait_open(timeout=PATIENCE)
        assert told.value.code == "refused-no-keys"


def test_off_loopback_no_frame_leaves_by_mistake():
    with fw.Sender(ELSEWHERE) as out, pytest.raises(fw.ArgumentError, match='key=.*protection="off"') as told:
        out.send(PICTURE)
    assert told.value.code == "unprotected" and "::" not in str(told.value)
    with fw.Sender(ELSEWHERE, protection="off") as out:
        out.send(PICTURE)
        out.close(timeout=0.0)


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"protection": "on"}, ["receiver-without-keys", "no-key"]),
        ({"protection": "off", "key": fw.Key.random()}, ["receiver-keys-unused", "key-unused"]),
        ({"protection": "maybe"}, ["unknown-protection", "unknown-protection"]),
        ({"key": fw.Key.random().text}, ["no-key", "no-key"]),
        ({"key": b"x" * 32}, ["no-key", "no-key"]),
    ],
)
def test_what_contradicts_itself_is_told_in_words_of_python(given, codes):
    for end, code in zip((fw.Receiver, fw.Sender), codes, strict=True):
        with pytest.raises(fw.ArgumentError) as told, end("127.0.0.1:0", **given) as made:
            if isinstance(made, fw.Sender):
                made.send(PICTURE)
        assert told.value.code == code
        assert "::" not in str(told.value) and str(given.get("key")) not in str(told.value)


def test_keys_are_an_iterable_of_keys():
    with pytest.raises(TypeError):
        fw.Receiver("127.0.0.1:0", keys=7)
    with pytest.raises(fw.ArgumentError, match=r"framewire\.Key"):
        fw.Receiver("127.0.0.1:0", keys=[fw.Key.random(), "x"])
    fw.Receiver("127.0.0.1:0", keys=(fw.Key.random() for _ in range(3))).close()

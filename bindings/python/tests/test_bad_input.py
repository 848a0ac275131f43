"""What users get wrong, and what they are told: what happened, with the value, and what to do."""

from __future__ import annotations

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((48, 64, 3), np.float64), "float64"),
        (np.zeros((48, 64, 3), np.int16), "int16"),
        (np.zeros((48, 64, 3), np.uint16), "uint16"),
        (np.zeros((48, 64, 5), np.uint8), "48x64x5"),
        (np.zeros((2, 48, 64, 3), np.uint8), "2x48x64x3"),
        (np.zeros((48, 64, 3), ">u2"), "byte order"),
        (np.zeros((48, 64), object), "object"),
        (np.zeros((48, 64), bool), "bool"),
        (np.zeros((48, 64), np.complex64), "complex64"),
        ([[1, 2], [3, 4]], "list"),
        ("a picture", "str"),
        (None, "None"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_would_be_one(array: object, said: str):
    with fw.Sender("127.0.0.1:9") as out:
        with pytest.raises((fw.FormatError, fw.ArgumentError)) as told:
            out.send(array)
        assert said in str(told.value)
        assert isinstance(told.value, ValueError) and told.value.code
        assert out.stats().sent == 0


@pytest.mark.parametrize("shape", [(0, 64, 3), (48, 0, 3), (0,), (48, 64, 0)])
def test_an_array_without_items_is_refused(shape: tuple[int, ...]):
    with fw.Sender("127.0.0.1:9") as out, pytest.raises((fw.FormatError, fw.ArgumentError)):
        out.send(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("format", "array", "expected"),
    [
        ("rgb24", np.zeros((48, 64), np.uint8), "HxWx3"),
        ("gray8", np.zeros((48, 64, 3), np.uint8), "HxW"),
        ("gray16", np.zeros((48, 64), np.uint8), "uint16"),
        ("nv12", np.zeros((47, 64), np.uint8), "(H*3/2)xW"),
        ("yuv444p", np.zeros((48, 64, 3), np.uint8), "3xHxW"),
        ("depth32f", np.zeros((48, 64), np.float64), "float32"),
        ("mono12p", np.zeros((48, 64), np.uint16), "uint8"),
    ],
)
def test_an_array_that_is_no_frame_of_its_format_is_told_what_one_is(format: str, array: np.ndarray, expected: str):
    with fw.Sender("127.0.0.1:9", format=format) as out, pytest.raises(fw.FormatError) as told:
        out.send(array)
    assert expected in str(told.value)


def test_an_array_that_is_not_like_the_first_is_refused_and_the_stream_goes_on(way: Way):
    source, out = way.pair()
    for other in (np.zeros((48, 65, 3), np.uint8), np.zeros((64, 48, 3), np.uint8), np.zeros((48, 64), np.uint8)):
        with pytest.raises(fw.FormatError) as told:
            out.send(other)
        assert "x".join(str(side) for side in (64, 48)) in str(told.value) or "bgr24" in str(told.value)
    out.send(PICTURE)
    assert np.array_equal(source.recv(timeout=PATIENCE).array, PICTURE)


def test_a_shape_that_is_none_is_refused_by_frame():
    with fw.Sender("127.0.0.1:9") as out:
        with pytest.raises((fw.ArgumentError, fw.FormatError), match="format|shape"):
            out.frame()
        for shape in ((48,) * 5, (48, 64, 9), (-1, 64, 3), (1 << 40, 1 << 40, 3)):
            with pytest.raises((fw.Error, OverflowError, ValueError)):
                out.frame(shape)


def test_metadata_that_is_too_long_is_told_with_its_length(way: Way):
    source, out = way.pair(metadata_max=64)
    with pytest.raises((fw.ArgumentError, fw.FormatError), match="65"):
        out.send(PICTURE, metadata=b"x" * 65)
    with pytest.raises((fw.ArgumentError, fw.FormatError)):
        out.send(PICTURE, metadata={"text": "x" * 64})
    out.send(PICTURE, metadata=b"x" * 64)
    frame = source.recv(timeout=PATIENCE)
    assert (frame.number, frame.metadata) == (0, b"x" * 64)


@pytest.mark.parametrize("metadata", [{1, 2}, object(), {"a": object()}])
def test_metadata_that_cannot_be_is_refused(way: Way, metadata: object):
    source, out = way.pair()
    with pytest.raises((fw.Error, TypeError)):
        out.send(PICTURE, metadata=metadata)
    out.send(PICTURE)
    assert source.recv(timeout=PATIENCE).metadata is None


@pytest.mark.parametrize(
    "address", ["", "9000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1", ":9000", "::1:9000", "tcp://a:1", "a\0b:1"]
)
def test_an_address_that_is_none_is_told_how_one_looks(address: str):
    for end in (fw.Receiver, fw.Sender):
        with pytest.raises(fw.ArgumentError, match="HOST:PORT"):
            end(address)


def test_off_loopback_a_receiver_wants_to_be_told_that_this_is_meant():
    with pytest.raises(fw.ArgumentError, match='key=.*protection="off"') as told:
        fw.Receiver("0.0.0.0:0")
    assert told.value.code == "receiver-unprotected"
    fw.Receiver("0.0.0.0:0", protection="off").close()
    fw.Receiver("0.0.0.0:0", key=fw.Key.random()).close()


def test_an_address_that_is_taken_is_refused():
    with fw.Receiver("127.0.0.1:0") as first, pytest.raises(fw.Refused, match=first.address.rpartition(":")[2]):
        fw.Receiver(first.address)


@pytest.mark.parametrize(
    "options",
    [{"slots": 0}, {"slots": -1}, {"slots": 1000}, {"queue": 0}, {"queue": -1}, {"memory": -1}],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, int]):
    with pytest.raises(fw.ArgumentError) as told:
        fw.Receiver("127.0.0.1:0", **options)
    assert str(next(iter(options.values()))) in str(told.value)


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_a_time_that_is_none_is_refused(way: Way, timeout: float):
    source, out = way.pair()
    for call in (source.recv, source.latest):
        with pytest.raises((fw.ArgumentError, ValueError)):
            call(timeout=timeout)
    with pytest.raises((fw.ArgumentError, ValueError)):
        out.send(PICTURE, timeout=timeout)


def test_a_time_without_end_is_none(way: Way):
    source, out = way.pair()
    for timeout in (None, float("inf"), 1e300):
        out.send(PICTURE)
        assert source.recv(timeout=timeout) is not None


@pytest.mark.parametrize(
    "options", [{"format": "bgr25"}, {"delivery": "some"}, {"fps": -1}, {"fps": float("nan")}, {"slots": 0}, {"metadata_max": 1 << 20}]
)
def test_options_of_a_sender_that_cannot_be_are_refused(options: dict[str, object]):
    with pytest.raises(fw.Error) as told, fw.Sender("127.0.0.1:9", **options) as out:
        out.send(PICTURE)
    assert isinstance(told.value, ValueError)


@pytest.mark.parametrize("name", ["", "with space", "a/b", ".hidden", "x" * 300, "new\nline"])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(fw.Error):
        with fw.Publisher(name) as out:
            out.send(PICTURE)


def test_a_name_that_another_program_has_is_refused():
    name = Way.name()
    with fw.Publisher(name) as first:
        first.send(PICTURE)
        with pytest.raises(fw.Error, match=name):
            fw.Publisher(name)


def test_a_stream_that_is_unknown_is_told_which_there_are():
    name = Way.name()
    with fw.Publisher(name) as out:
        out.send(PICTURE)
        with pytest.raises(fw.UnknownStream, match=name) as told:
            fw.open("nobody")
        assert isinstance(told.value, LookupError)


def test_all_errors_are_of_one_class_with_a_code():
    for name in (
        "ArgumentError",
        "FormatError",
        "Timeout",
        "Ended",
        "Closed",
        "SlotsHeld",
        "UnknownStream",
        "Interrupted",
        "Refused",
        "SystemLack",
        "Forked",
    ):
        kind = getattr(fw, name)
        assert issubclass(kind, fw.Error) and kind.__module__ == "framewire" and kind.__doc__


def test_a_slot_is_sent_once(way: Way):
    source, out = way.pair()
    slot = out.frame(timeout=PATIENCE)
    slot.array[...] = 1
    assert slot.send() == 0
    for use in (slot.send, lambda: slot.array, lambda: memoryview(slot)):
        with pytest.raises((fw.Closed, BufferError)):
            use()
    slot.discard()
    assert source.recv(timeout=PATIENCE).number == 0


def test_an_array_of_a_slot_that_was_sent_shows_in_no_other_frame(way: Way):
    source, out = way.pair()
    with out.frame(timeout=PATIENCE) as slot:
        array = slot.array
        kept = array[:]
        kept[...] = 1
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 2
    del slot, array
    assert source.recv(timeout=PATIENCE).number == 0
    # The slot is not used again as long as there is an array of it.
    for number in range(1, 30):
        kept[...] = 77
        out.send(np.full_like(PICTURE, number), timeout=PATIENCE)
        frame = source.recv(timeout=PATIENCE)
        kept[...] = 78
        assert (frame.array == number).all()


def test_arguments_that_are_no_such_thing_are_type_errors():
    with pytest.raises(TypeError):
        fw.Receiver(9000)
    with pytest.raises(TypeError):
        fw.Receiver("127.0.0.1:0", "slots")
    with pytest.raises(TypeError):
        fw.Receiver("127.0.0.1:0", colour="red")
    for abstract in (fw.Source, fw.Output, fw.Frame, fw.Stream, fw.Slot):
        with pytest.raises(TypeError):
            abstract()


def test_colours_that_are_no_bytes_are_told_to_become_bytes():
    with fw.Sender("127.0.0.1:9") as out:
        with pytest.raises(fw.FormatError, match=r"astype\(numpy\.uint8\)"):
            out.send(np.zeros((48, 64, 3), np.float64))
        with pytest.raises(fw.FormatError, match=r"astype\(numpy\.float32\)"):
            out.send(np.zeros((48, 64), np.float64))


def test_a_name_that_is_none_or_taken_is_told_as_a_name():
    with pytest.raises(fw.ArgumentError, match="'a b' cannot be a name"):
        fw.Publisher("a b")
    with fw.Publisher("taken"), pytest.raises(fw.Refused, match="publishes 'taken' already"):
        fw.Publisher("taken")


def test_statistics_are_written_as_python_writes_them(way: Way):
    _, out = way.pair()
    assert f"is_open={out.stats().is_open}" in repr(out.stats())


def test_the_streams_of_a_hub_that_is_not_there_are_not_silently_none(tmp_path):
    with pytest.raises(fw.Refused) as told:
        fw.streams(tmp_path / "nobody.sock")
    assert told.value.code == "no-hub"

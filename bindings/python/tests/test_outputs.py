"""Outputs where programs do not do what is expected: slots held, closed meanwhile, arrays that are none."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import framewire


def publisher(tmp_path, **options):
    return framewire.Publisher("front", hub=str(tmp_path / "front.sock"), **options)


def test_closing_ends_the_wait_for_a_slot_and_frees_the_name(tmp_path):
    out = publisher(tmp_path, slots=1, format="gray8")
    told = []
    held = []
    with pytest.raises(framewire.SlotsHeld):
        while True:
            held.append(out.frame((4, 4), timeout=0))
    kept = held.pop()
    kept.discard()
    # What is sent and read by nobody comes back: a thread waits for what never does.
    waiting = threading.Event()

    def wait():
        waiting.set()
        try:
            while True:
                held.append(out.frame(timeout=None))
        except framewire.Error as error:
            told.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(20)
    out.close()
    thread.join(20)
    assert not thread.is_alive() and told[0] in (framewire.Closed, framewire.SlotsHeld)
    publisher(tmp_path).close()


def test_as_many_slots_as_are_held_are_told(tmp_path):
    with publisher(tmp_path) as out:
        held = []
        with pytest.raises(framewire.SlotsHeld, match=r"all \d+ slots") as told:
            while True:
                held.append(out.frame((4, 4), timeout=5))
        assert f"all {len(held)} slots" in str(told.value)
        # Whoever copies a frame into one is told the same.
        with pytest.raises(framewire.SlotsHeld):
            out.send(np.zeros((4, 4), np.uint8), timeout=5)
        held.pop().send()
        # The newest frame is kept for readers that come.
        with pytest.raises(framewire.SlotsHeld):
            out.send(np.zeros((4, 4), np.uint8), timeout=5)
        held.pop().discard()
        assert out.send(np.zeros((4, 4), np.uint8), timeout=20) == 1


@pytest.mark.parametrize(
    "array",
    [np.array(7, np.uint8), np.array(["2026-01-01"], "datetime64[s]"), np.array([object()])],
    ids=["no dimension", "dates", "objects"],
)
def test_arrays_that_cannot_be_exported_are_a_format_error(tmp_path, array):
    with publisher(tmp_path) as out, pytest.raises(framewire.FormatError, match="uint8"):
        out.send(array)


def test_what_an_array_of_another_device_says_is_kept_as_the_cause(tmp_path):
    class There:
        def __array__(self, *_, **__):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    with publisher(tmp_path) as out, pytest.raises(framewire.FormatError, match="cuda:0") as told:
        out.send(There())
    assert isinstance(told.value.__cause__, TypeError)


def test_ctrl_c_in_a_conversion_is_ctrl_c(tmp_path):
    class Interrupted:
        def __array__(self, *_, **__):
            raise KeyboardInterrupt

    with publisher(tmp_path) as out, pytest.raises(KeyboardInterrupt):
        out.send(Interrupted())


def test_arrays_of_a_slot_are_read_only_once_it_is_sent(tmp_path):
    with publisher(tmp_path) as out:
        slot = out.frame((4, 4))
        array = slot.array
        assert array.flags.writeable
        assert slot.send() == 0
        assert not array.flags.writeable


def test_metadata_that_no_json_can_say_is_an_argument_error(tmp_path):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with publisher(tmp_path) as out:
        for wrong in ["\ud800", deep, {"a": object()}]:
            with pytest.raises(framewire.ArgumentError, match="JSON"):
                out.send(np.zeros((4, 4), np.uint8), metadata=wrong)
        while deep:
            deep = deep.pop()


def test_a_frame_of_bytes_is_as_wide_as_it_is_long(tmp_path):
    with publisher(tmp_path, format="bytes", width=100, delivery="every") as out:
        out.send(np.zeros(100, np.uint8))
        with framewire.open("front", hub=str(tmp_path / "front.sock"), queue=8) as source:
            out.send(np.zeros(7, np.uint8))
            frame = source.recv(timeout=20)
            assert frame.width == frame.nbytes
            del frame
        slot = out.frame()
        slot.set_length(9)
        assert slot.width == 9
        slot.discard()
        with pytest.raises(framewire.FormatError, match="100"):
            out.send(np.zeros(101, np.uint8))


def test_a_second_close_says_what_the_first_did_and_counts_stay():
    # Nobody listens there, and nobody is to.
    out = framewire.Sender("127.0.0.1:9", format="gray8")
    out.send(np.zeros((4, 4), np.uint8), timeout=0)
    before = out.stats().sent
    assert out.close(0.1) is False and out.close(0.1) is False
    assert out.stats().sent == before and out.format == "gray8"


def test_a_name_that_is_a_port_is_refused():
    with pytest.raises(framewire.ArgumentError, match="UDP port 7000"):
        framewire.Publisher("7000")


def test_a_program_with_many_outputs_that_nobody_answers_ends_in_the_time_of_one():
    program = """if True:
        import numpy as np, framewire
        outs = [framewire.Sender(f"127.0.0.1:{port}") for port in range(2, 22)]
        for out in outs:
            out.send(np.zeros((4, 4), np.uint8), timeout=0)
    """
    # One after the other took 40 s.
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)

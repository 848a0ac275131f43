"""Waiting, and what ends it: time, a slot that is missing, signals, the end of either side."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way


def test_nothing_in_time_is_a_timeout(way: Way):
    source, _ = way.pair()
    for call in (source.recv, source.latest):
        for timeout in (0, 0.05):
            with pytest.raises(fw.Timeout) as told:
                call(timeout=timeout)
            assert isinstance(told.value, TimeoutError) and told.value.code


def test_a_program_that_holds_every_slot_is_told_what_to_do(way: Way):
    source, out = way.pair(delivery="latest", source={"slots": 3})
    held = []
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            out.send(PICTURE, timeout=0.05)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with pytest.raises(fw.SlotsHeld) as told:
            while True:
                held.append(source.recv(timeout=PATIENCE))
                assert len(held) < 100
        assert "copy()" in str(told.value) and "slots=" in str(told.value)
        assert source.stats().held == len(held)
        # It is told again, and goes on once one is dropped.
        with pytest.raises(fw.SlotsHeld):
            source.recv(timeout=PATIENCE)
        held.pop()
        assert source.recv(timeout=PATIENCE).number > held[-1].number
    finally:
        stop.set()
        feeder.join(PATIENCE)


def test_closing_ends_the_waiting_of_another_thread(way: Way):
    source, _ = way.pair()
    told: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            source.recv(timeout=PATIENCE)
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait(PATIENCE)
    source.close()
    thread.join(PATIENCE)
    assert [type(error) for error in told] == [fw.Closed]


def test_closing_twice_is_closing_once_and_use_afterwards_says_so(way: Way):
    source, out = way.pair()
    for end in (source, out):
        end.close()
        assert end.closed
        end.close()
    with pytest.raises(fw.Closed, match="closed"):
        source.recv(timeout=PATIENCE)
    with pytest.raises(fw.Closed, match="closed"):
        source.latest()
    with pytest.raises(fw.Closed):
        out.send(PICTURE)
    with pytest.raises(fw.Closed):
        out.frame()
    assert source.stats().taken == 0 and out.stats().sent == 0
    out.skip()


def test_with_closes(way: Way):
    source, out = way.pair()
    with source as same, out:
        assert same is source and not source.closed
    assert source.closed and out.closed


def test_the_descriptor_tells_of_frames(way: Way):
    source, out = way.pair()
    poll = select.poll()
    poll.register(source.fileno(), select.POLLIN)
    # Whatever else it tells of at the start is taken.
    while True:
        try:
            source.recv(timeout=0)
        except fw.Timeout:
            break
    out.send(PICTURE)
    deadline = time.monotonic() + PATIENCE
    frame = None
    while frame is None:
        assert time.monotonic() < deadline and poll.poll(PATIENCE * 1000), "the descriptor tells of the frame"
        try:
            frame = source.recv(timeout=0)
        except fw.Timeout:
            continue
    assert frame.number == 0


def test_a_program_that_has_every_slot_of_its_output_is_told(way: Way):
    source, out = way.pair(delivery="latest")
    slots = []
    with pytest.raises(fw.SlotsHeld, match=r"copy\(\).*ask for more \(slots=\)"):
        while len(slots) < 200:
            slots.append(out.frame(timeout=PATIENCE))
    slots.pop().discard()
    assert out.send(PICTURE, timeout=PATIENCE) == 0
    assert source.recv(timeout=PATIENCE).number == 0


def test_a_latest_output_waits_for_nobody():
    with fw.Receiver("127.0.0.1:0") as gone:
        address = gone.address
    with fw.Sender(address) as out:
        numbers = [out.send(PICTURE, timeout=0) for _ in range(100)]
        stats = out.stats()
        assert stats.sent == len([number for number in numbers if number is not None])
        assert stats.delivered == 0 and not stats.is_open
        out.close(timeout=0)


def test_an_every_output_without_a_free_slot_waits_and_says_so():
    # Nobody is there to take them.
    with fw.Receiver("127.0.0.1:0") as gone:
        address = gone.address
    out = fw.Sender(address, delivery="every")
    with pytest.raises(fw.Timeout):
        for _ in range(500):
            out.send(PICTURE, timeout=0.05)
    out.close(timeout=0)


def test_a_server_that_is_not_there_is_a_timeout_and_frames_flow_once_it_is(way: Way):
    if way.kind == "shm":
        name = way.name()
        with pytest.raises(fw.UnknownStream, match=name):
            fw.open(name)
        with pytest.raises(fw.Error):
            fw.open(name, wait=0.1)
        opened: list[fw.Reader] = []
        thread = threading.Thread(target=lambda: opened.append(way.kept(fw.open(name, wait=PATIENCE))))
        thread.start()
        out = way.kept(fw.Publisher(name))
        out.send(PICTURE)
        thread.join(PATIENCE)
        assert opened[0].name == name
        out.send(PICTURE)
        assert np.array_equal(opened[0].recv(timeout=PATIENCE).array, PICTURE)
        return
    with fw.Receiver("127.0.0.1:0") as gone:
        address = gone.address
    out = way.kept(fw.Sender(address, format="bgr24"))
    out.frame(PICTURE.shape).discard()
    with pytest.raises(fw.Timeout):
        out.wait_open(timeout=0.2)
    source = way.kept(fw.Receiver(address))
    out.wait_open(timeout=PATIENCE)
    out.send(PICTURE)
    assert np.array_equal(source.recv(timeout=PATIENCE).array, PICTURE)


def test_frames_flow_again_from_a_sender_that_is_made_anew():
    way = Way("udp")
    try:
        source, out = way.pair()
        for turn in range(3):
            out.send(PICTURE + turn)
            assert np.array_equal(source.recv(timeout=PATIENCE).array, PICTURE + turn)
            out.close(timeout=PATIENCE)
            assert isinstance(out, fw.Sender)
            out = way.kept(fw.Sender(out.address, delivery="every"))
        assert source.stats().streams == 3
    finally:
        way.close()


def test_a_publisher_that_is_closed_ends_its_stream_and_its_name_is_free():
    way = Way("shm")
    try:
        reader, out = way.pair()
        assert isinstance(out, fw.Publisher)
        out.send(PICTURE)
        assert reader.recv(timeout=PATIENCE).number == 0
        out.close()
        with pytest.raises(fw.Ended):
            reader.recv(timeout=PATIENCE)
        again = way.kept(fw.Publisher(out.name))
        again.send(PICTURE[::-1])
        reader = way.kept(fw.open(out.name, wait=PATIENCE))
        again.send(PICTURE[::-1])
        assert np.array_equal(reader.recv(timeout=PATIENCE).array, PICTURE[::-1])
    finally:
        way.close()


PUBLISHES = """
import sys, numpy as np, framewire as fw
out = fw.Publisher(sys.argv[1])
while True:
    out.send(np.full((48, 64, 3), int(sys.argv[2]), np.uint8), timeout=1)
"""


def test_a_reader_goes_on_once_a_killed_publisher_is_back():
    name = Way.name()
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHES, name, "1"])
    try:
        with fw.open(name, wait=PATIENCE) as reader:
            assert (reader.recv(timeout=PATIENCE).array == 1).all()
            publisher.kill()
            publisher.wait()
            publisher = subprocess.Popen([sys.executable, "-c", PUBLISHES, name, "2"])
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                if (reader.recv(timeout=PATIENCE).array == 2).all():
                    break
            else:
                pytest.fail("it is back")
            assert reader.stats().reconnects >= 1
    finally:
        publisher.kill()
        publisher.wait()


INTERRUPTED = """
import asyncio, signal, sys, threading, time, os
import numpy as np, framewire as fw
from framewire.imagezmq import ImageHub, ImageSender
from framewire.opencv import VideoCapture
picture = np.zeros((48, 64, 3), np.uint8)
receiver = fw.Receiver("127.0.0.1:0")
gone = fw.Receiver("127.0.0.1:0"); address = gone.address; gone.close()
publisher = fw.Publisher("interrupted")
publisher.frame(picture.shape, dtype=picture.dtype).discard()
reader = fw.open("interrupted", wait=60)

def full(out):
    while True:
        try:
            out.send(picture, timeout=0.05)
        except fw.Timeout:
            return out
def unanswered():
    out = fw.Sender(address, delivery="every")
    out.frame(picture.shape, dtype=picture.dtype).discard()
    return out
def unsettled():
    out = unanswered()
    out.send(picture)
    return out

what = sys.argv[1]
out = full(unanswered()) if what in ("frame", "send") else unanswered() if what == "wait_open" else unsettled()
call = {
    "recv": lambda: receiver.recv(),
    "latest": lambda: receiver.latest(),
    "next": lambda: next(iter(receiver)),
    "timeout": lambda: receiver.recv(timeout=1000),
    "reader": lambda: reader.recv(),
    "reader-latest": lambda: reader.latest(),
    "reader-spins": lambda: fw.open("interrupted", busy_poll=1000).recv(),
    "open": lambda: fw.open("nobody", wait=None),
    "frame": lambda: out.frame(timeout=1000),
    "send": lambda: out.send(picture, timeout=1000),
    "wait_open": lambda: out.wait_open(),
    "wait_settled": lambda: out.wait_settled(),
    "close": lambda: out.close(timeout=1000),
    "hub": lambda: ImageHub("tcp://127.0.0.1:0").recv_image(),
    "hub-subscribes": lambda: ImageHub("tcp://" + address, REQ_REP=False).recv_image(),
    "image-sender": lambda: ImageSender("tcp://" + address).send_image("x", picture),
    "capture": lambda: VideoCapture("127.0.0.1:0", timeout=None).read(),
    "recv_async": lambda: asyncio.run(receiver.recv_async()),
}[what]
try:
    # Who reads it may be faster than the call begins.
    print("waits", flush=True)
    call()
except KeyboardInterrupt:
    print("interrupted", time.monotonic_ns(), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(
    "call",
    [
        "recv", "latest", "next", "timeout", "reader", "reader-latest", "reader-spins", "open", "frame", "send", 
        "wait_open", "wait_settled", "close", "recv_async", "hub", "hub-subscribes", "image-sender", "capture",
    ],
)  # fmt: skip
def test_ctrl_c_ends_every_call_that_waits(call: str):
    program = subprocess.Popen([sys.executable, "-c", INTERRUPTED, call], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None and program.stderr is not None
        line = program.stdout.readline()
        assert line == "waits\n", program.stderr.read()
        wait_until_asleep(program.pid, spins="spins" in call)
        asked = time.monotonic_ns()
        os.kill(program.pid, signal.SIGINT)
        said = program.stdout.readline().split()
        assert said[:1] == ["interrupted"], program.stderr.read()
        # It waits for 1,000 s or without end: what ended it was the signal. How fast, depends on the machine; it is at most 50 ms on a quiet one.
        took = (int(said[1]) - asked) / 1e9
        print(f"{call}: interrupted after {took * 1000:.1f} ms")
        assert took < 20
        assert program.wait(PATIENCE) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
        program.stderr.close()


def wait_until_asleep(pid: int, *, spins: bool) -> None:
    """Until the main thread of a process sleeps in the kernel, as one does that waits."""
    deadline = time.monotonic() + PATIENCE
    while not spins and time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "S":
                return
        os.sched_yield()


def test_a_callback_that_raises_ends_the_call_with_what_it_raised(way: Way):
    source, out = way.pair()
    out.send(PICTURE)

    class Wrong:
        def __index__(self) -> int:
            raise LookupError("of the program's own")

        __float__ = __index__

    for call in (
        lambda: source.recv(timeout=Wrong()),
        lambda: out.send(PICTURE, timeout=Wrong()),
        lambda: out.send(PICTURE, captured=Wrong()),
    ):
        with pytest.raises(LookupError, match="own"):
            call()

    class Array:
        def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
            raise LookupError("of the program's own")

        def __buffer__(self, flags: int) -> memoryview:
            raise LookupError("of the program's own")

    with pytest.raises((LookupError, TypeError, fw.FormatError)):
        out.send(Array())
    assert source.recv(timeout=PATIENCE).number == 0


def test_a_signal_handler_that_raises_ends_the_wait(way: Way):
    source, _ = way.pair()

    class Alarm(Exception):
        pass

    def raises(number: int, frame: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, raises)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            source.recv(timeout=PATIENCE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_latest_receiver_that_nobody_reads_stops_nobody(way: Way):
    source, out = way.pair(delivery="latest")
    # More than there are slots: each is taken, or gives way.
    for _ in range(200):
        out.send(PICTURE, timeout=PATIENCE)
    assert out.stats().sent == 200
    if way.kind == "udp":
        # The first may have come before the others left.
        out.wait_settled(timeout=PATIENCE)
    assert source.recv(timeout=PATIENCE).number > 0


def test_other_threads_run_while_one_waits(way: Way):
    source, out = way.pair()
    taken: list[int] = []
    waits = threading.Event()

    def take() -> None:
        waits.set()
        taken.append(source.recv(timeout=PATIENCE).number)

    thread = threading.Thread(target=take)
    thread.start()
    waits.wait(PATIENCE)
    # Were the lock not given back, nothing were sent before the other's time is over.
    out.send(PICTURE)
    thread.join(PATIENCE / 2)
    assert taken == [0]

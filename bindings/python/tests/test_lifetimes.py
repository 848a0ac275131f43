"""Who keeps a slot, and until when: frames, views of them, cycles, exceptions, threads, the interpreter's end, forks."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way


def taken(way: Way) -> tuple[fw.Source, fw.Output, fw.Frame]:
    source, out = way.pair()
    out.send(PICTURE)
    return source, out, source.recv(timeout=PATIENCE)


def test_a_slot_comes_back_when_the_frame_goes(way: Way):
    source, _, frame = taken(way)
    assert source.stats().held == 1
    del frame
    assert source.stats().held == 0


def test_a_view_keeps_the_slot_when_the_frame_goes_first(way: Way):
    source, _, frame = taken(way)
    corner = frame.array[:2, :2]
    del frame
    assert source.stats().held == 1
    assert np.array_equal(corner, PICTURE[:2, :2])
    del corner
    assert source.stats().held == 0


def test_the_frame_keeps_the_slot_when_the_view_goes_first(way: Way):
    source, _, frame = taken(way)
    view = frame.array
    del view
    assert source.stats().held == 1
    assert np.array_equal(frame.array, PICTURE)
    del frame
    assert source.stats().held == 0


def test_a_memoryview_keeps_the_slot(way: Way):
    source, _, frame = taken(way)
    view = memoryview(frame)
    del frame
    assert source.stats().held == 1
    view.release()
    del view
    assert source.stats().held == 0


def test_release_gives_the_slot_back_at_once_and_twice_is_once(way: Way):
    source, _, frame = taken(way)
    frame.release()
    assert frame.released and source.stats().held == 0
    frame.release()


def test_a_frame_with_views_cannot_be_released(way: Way):
    source, _, frame = taken(way)
    view = frame.array
    with pytest.raises(BufferError):
        frame.release()
    assert not frame.released and np.array_equal(view, PICTURE)
    del view
    frame.release()
    assert source.stats().held == 0


def test_what_is_left_of_a_released_frame_says_so(way: Way):
    _, _, frame = taken(way)
    frame.release()
    for use in (lambda: frame.array, lambda: frame.planes, lambda: memoryview(frame), lambda: frame.copy()):
        with pytest.raises((fw.Closed, BufferError), match="released"):
            use()
    assert frame.number == 0, "what it was is known still"


def test_the_block_of_with_gives_the_slot_back(way: Way):
    source, _, frame = taken(way)
    with frame as same:
        assert same is frame
    assert frame.released and source.stats().held == 0


def test_an_exception_in_the_block_of_with_gives_the_slot_back(way: Way):
    source, _, frame = taken(way)
    with pytest.raises(RuntimeError, match="detector"), frame:
        raise RuntimeError("detector")
    assert source.stats().held == 0


def test_an_exception_that_has_seen_the_array_is_not_hidden_by_the_block(way: Way):
    source, _, frame = taken(way)

    def detect(array: np.ndarray) -> None:
        raise RuntimeError("detector")

    # The trace has the array, so that the slot cannot be given back yet.
    with pytest.raises(RuntimeError, match="detector"), frame:
        detect(frame.array)
    del frame
    gc.collect()
    assert source.stats().held == 0


def test_a_cycle_is_collected(way: Way):
    source, _, frame = taken(way)

    class Node:
        pass

    node = Node()
    node.frame, node.view, node.self = frame, frame.array, node
    del node, frame
    gc.collect()
    assert source.stats().held == 0


def test_a_frame_outlives_its_source(way: Way):
    source, out, frame = taken(way)
    view = frame.array
    source.close()
    out.close()
    del source, out
    gc.collect()
    assert np.array_equal(view, PICTURE)
    assert np.array_equal(frame.copy().array, PICTURE)
    del frame, view
    gc.collect()


def test_a_slot_outlives_its_output(way: Way):
    _, out = way.pair()
    slot = out.frame(timeout=PATIENCE)
    out.close()
    slot.array[...] = 1
    with pytest.raises(fw.Closed):
        slot.send()


def test_many_frames_leave_no_slot_behind(way: Way):
    source, out = way.pair()
    for number in range(300):
        out.send(PICTURE)
        frame = source.recv(timeout=PATIENCE)
        assert frame.number == number
        view = frame.array[1:]
        if number % 3 == 0:
            frame = None
        elif number % 3 == 1:
            view = None
    del frame, view
    assert source.stats().held == 0


def test_threads_share_a_source_and_each_frame_goes_to_one_of_them(way: Way):
    source, out = way.pair(source={"slots": 8})
    frames, errors, lock = [], [], threading.Lock()
    # Shared memory has the newest frames alone for a reader that is slow.
    room = threading.Semaphore(4)

    def work() -> None:
        try:
            while True:
                with source.recv(timeout=PATIENCE) as frame:
                    number = frame.number
                    assert (frame.array == number % 251).all()
                with lock:
                    frames.append(number)
                room.release()
                if number >= 96:
                    return
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        assert room.acquire(timeout=PATIENCE)
        out.send(np.full_like(PICTURE, number % 251), timeout=PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    assert sorted(frames) == list(range(100))


def test_other_threads_run_while_one_waits(way: Way):
    source, out = way.pair()
    got: list[fw.Frame] = []
    thread = threading.Thread(target=lambda: got.append(source.recv(timeout=PATIENCE)))
    thread.start()
    # This thread would get no further if that one waited with the interpreter's lock.
    out.send(PICTURE)
    thread.join(PATIENCE)
    assert got[0].number == 0


WITH_LIVE_FRAMES = """
import sys, numpy as np, framewire as fw
picture = np.full((48, 64, 3), 3, np.uint8)
if sys.argv[1] == "udp":
    source = fw.Receiver("127.0.0.1:0")
    out = fw.Sender(source.address)
    out.send(picture)
else:
    out = fw.Publisher("ending")
    out.frame(picture.shape, dtype=picture.dtype).discard()
    source = fw.open("ending", wait=60)
    out.send(picture)
frame = source.recv(timeout=60)
view = frame.array
slot = out.frame(timeout=60)
written = slot.array
iterator = iter(source)
class Last:
    def __del__(self):
        assert int(view[0, 0, 0]) == 3
last = Last()
print("ends", flush=True)
"""


@pytest.mark.parametrize("kind", ["udp", "shm"])
def test_an_interpreter_ends_with_frames_and_slots_alive(kind: str, run: Callable[..., subprocess.CompletedProcess[str]]):
    done = run(WITH_LIVE_FRAMES, kind)
    assert done.stdout == "ends\n" and not done.stderr


WITH_A_WAITING_THREAD = """
import threading, framewire as fw
source = fw.Receiver("127.0.0.1:0")
is_up = threading.Event()
def wait():
    is_up.set()
    source.recv()
threading.Thread(target=wait, daemon=True).start()
is_up.wait()
print("ends", flush=True)
"""


def test_an_interpreter_ends_while_a_thread_of_it_waits(run: Callable[..., subprocess.CompletedProcess[str]]):
    assert run(WITH_A_WAITING_THREAD).stdout == "ends\n"


WITH_A_FORK = """
import os, sys, warnings, numpy as np, framewire as fw
warnings.simplefilter("ignore")
picture = np.full((48, 64, 3), 3, np.uint8)
if sys.argv[1] == "udp":
    source = fw.Receiver("127.0.0.1:0")
    out = fw.Sender(source.address, delivery="every")
    out.send(picture)
else:
    out = fw.Publisher("forking")
    out.frame(picture.shape, dtype=picture.dtype).discard()
    source = fw.open("forking", wait=60)
    out.send(picture)
frame = source.recv(timeout=60)
view = frame.array
child = os.fork()
if child == 0:
    told = 0
    for use in (lambda: source.recv(timeout=60), lambda: out.send(picture), lambda: out.frame(timeout=60), source.fileno, lambda: next(iter(source))):
        try:
            use()
        except fw.Forked as error:
            assert "fork" in str(error), error
            assert isinstance(error, RuntimeError) and error.code
            told += 1
    # What it has is given up without harm.
    source.close(); out.close()
    del frame, view, source, out
    os._exit(0 if told == 5 else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert (view == 3).all()
out.send(picture + 1)
frame = source.recv(timeout=60)
assert (frame.array == 4).all() and frame.number == 1
print("the parent goes on")
"""


@pytest.mark.parametrize("kind", ["udp", "shm"])
def test_a_fork_is_told_and_its_parent_goes_on(kind: str, run: Callable[..., subprocess.CompletedProcess[str]]):
    assert run(WITH_A_FORK, kind).stdout == "the parent goes on\n"


WITH_MULTIPROCESSING = """
import multiprocessing as mp, numpy as np, framewire as fw
def child(source, queue):
    try:
        source.recv(timeout=60)
    except fw.Forked:
        queue.put("told")
if __name__ == "__main__":
    source = fw.Receiver("127.0.0.1:0")
    context = mp.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(source, queue))
    process.start()
    print(queue.get(timeout=60))
    process.join(60)
    assert process.exitcode == 0, process.exitcode
"""


def test_a_child_of_multiprocessing_is_told(run: Callable[..., subprocess.CompletedProcess[str]]):
    assert run(WITH_MULTIPROCESSING).stdout == "told\n"


IN_A_SUBINTERPRETER = """
import framewire
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
inner = interpreters.create()
told = '''
try:
    import framewire
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise SystemExit("it was let in")
'''
failed = interpreters.run_string(inner, told)
assert failed is None, failed
print("refused")
"""


def test_a_subinterpreter_is_refused_aloud(run: Callable[..., subprocess.CompletedProcess[str]]):
    if sys.implementation.name != "cpython":
        pytest.skip("SKIPPED: this Python has no subinterpreters")
    assert run(IN_A_SUBINTERPRETER).stdout == "refused\n"

"""Frames in an asyncio program: by the descriptor, no thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(3 * PATIENCE):
            return await main()

    return asyncio.run(within())


def test_a_frame_is_awaited(way: Way):
    source, out = way.pair()

    async def main() -> None:
        waiting = asyncio.create_task(source.recv_async(timeout=PATIENCE))
        await asyncio.sleep(0)
        assert not waiting.done()
        threads = threading.active_count()
        out.send(PICTURE)
        frame = await waiting
        assert np.array_equal(frame.array, PICTURE)
        assert threading.active_count() == threads

    run(main)


def test_async_for_ends_with_the_stream(way: Way):
    source, out = way.pair(source={"reconnect": False})
    out.send(PICTURE)

    async def main() -> list[int]:
        numbers = []
        async with source as same:
            assert same is source
            async for frame in source:
                numbers.append(frame.number)
                out.close(timeout=PATIENCE)
        return numbers

    assert run(main) == [0]
    assert source.closed


def test_several_tasks_wait_for_one_source_and_each_frame_goes_to_one(way: Way):
    source, out = way.pair(source={"slots": 8})
    taken: list[int] = []

    async def main() -> None:
        async def work() -> None:
            while True:
                frame = await source.recv_async(timeout=PATIENCE)
                taken.append(frame.number)
                frame.release()

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        for number in range(100):
            out.send(PICTURE, timeout=PATIENCE)
            while len(taken) <= number:
                await asyncio.sleep(0)
                for task in tasks:
                    if task.done():
                        task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main)
    assert taken == list(range(100))


def test_several_sources_in_one_loop(way: Way):
    pairs = [way.pair() for _ in range(3)]

    async def main() -> None:
        waiting = [asyncio.create_task(source.recv_async(timeout=PATIENCE)) for source, _ in pairs]
        await asyncio.sleep(0)
        for place, (_, out) in enumerate(pairs):
            out.send(np.full_like(PICTURE, place))
        frames = await asyncio.gather(*waiting)
        assert [int(frame.array[0, 0, 0]) for frame in frames] == [0, 1, 2]

    run(main)


def test_a_cancelled_task_leaves_nothing_behind_and_loses_no_frame(way: Way):
    source, out = way.pair()

    async def main() -> None:
        for _ in range(20):
            waiting = asyncio.create_task(source.recv_async())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        from framewire import _aio

        assert not any(_aio._Waiters._of_loops.get(asyncio.get_running_loop(), {}))
        out.send(PICTURE)
        # It had been woken, or was about to be.
        waiting = asyncio.create_task(source.recv_async())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert (await waiting).number == 0
            return
        assert (await source.recv_async(timeout=PATIENCE)).number == 0

    run(main)


def test_time_runs_out(way: Way):
    source, _ = way.pair()

    async def main() -> None:
        for timeout in (0, 0.01, 0.12):
            with pytest.raises(fw.Timeout):
                await source.recv_async(timeout=timeout)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await source.recv_async()

    run(main)


def test_all_slots_held_is_told_although_no_descriptor_tells_of_it(way: Way):
    source, out = way.pair(delivery="latest", source={"slots": 3})

    async def main() -> None:
        held = []
        with pytest.raises(fw.SlotsHeld) as told:
            while len(held) < 100:
                out.send(PICTURE, timeout=0)
                with contextlib.suppress(fw.Timeout):
                    held.append(await source.recv_async(timeout=0.2))
        assert "copy" in str(told.value)
        held.pop()
        while not held or held[-1] is None or held[-1].number < 1:
            out.send(PICTURE, timeout=0)
            held.append(await source.recv_async(timeout=PATIENCE))

    run(main)


def test_a_task_that_gives_a_slot_back_in_time_lets_another_go_on(way: Way):
    source, out = way.pair(delivery="latest", source={"slots": 3})

    async def main() -> None:
        held = []
        with contextlib.suppress(fw.SlotsHeld):
            while len(held) < 100:
                out.send(PICTURE, timeout=0)
                with contextlib.suppress(fw.Timeout):
                    held.append(await source.recv_async(timeout=0.2))
        out.send(PICTURE, timeout=0)
        waiting = asyncio.create_task(source.recv_async(timeout=PATIENCE))
        await asyncio.sleep(0)
        held.clear()
        out.send(PICTURE, timeout=0)
        with await waiting:
            pass

    run(main)


def test_closing_ends_the_waiting_of_a_task(way: Way):
    source, _ = way.pair()

    async def main() -> None:
        waiting = [asyncio.create_task(source.recv_async()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        source.close()
        for task in waiting:
            with pytest.raises(fw.Closed):
                await task

    run(main)


def test_other_tasks_run_although_frames_never_run_out(way: Way):
    source, out = way.pair(delivery="latest")
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            out.send(PICTURE, timeout=0.05)

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        for _ in range(50):
            before = turns
            (await source.recv_async(timeout=PATIENCE)).release()
            assert turns > before
        beside.cancel()

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        run(main)
    finally:
        stop.set()
        feeder.join(PATIENCE)


def test_loops_one_after_the_other_share_a_source(way: Way):
    source, out = way.pair()
    for number in range(3):

        async def main(number: int = number) -> None:
            waiting = asyncio.create_task(source.recv_async(timeout=PATIENCE))
            await asyncio.sleep(0)
            out.send(PICTURE)
            assert (await waiting).number == number

        run(main)

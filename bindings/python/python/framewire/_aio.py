"""Waiting for frames in an asyncio program: by the source's descriptor, without a thread.

`import asyncio` is in the functions: who uses them has it, and who does not need not wait for it.
"""

from __future__ import annotations

import weakref
from collections import deque

from framewire import _native

# As `typing` has it, which takes longer to load than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

    from framewire import Frame, Source

LOOK_EVERY = 0.05
"""Seconds after which whoever waits looks without having been woken: no descriptor tells that all slots are held."""

HELD_PATIENCE = 0.08
"""Seconds that all slots may be held before it is told: another task may drop a frame meanwhile."""

HELD_LOOK = 0.005
"""Seconds between two looks whether one was dropped."""


async def recv_async(self: Source, timeout: float | None = None) -> Frame:
    """The next frame of a source, as `Source.recv`; other tasks run while it waits."""
    import asyncio

    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    # Others have their turn even where frames never run out. Before a frame is taken: one that is cancelled here loses nothing.
    await asyncio.sleep(0)
    held_since: float | None = None
    while True:
        try:
            return self.recv(timeout=0)
        except _native.Timeout:
            held_since = None
            if deadline is not None and loop.time() >= deadline:
                raise
        except _native.SlotsHeld:
            now = loop.time()
            held_since = now if held_since is None else held_since
            if now - held_since >= HELD_PATIENCE or (deadline is not None and now >= deadline):
                raise
        left = None if deadline is None else max(0.0, deadline - loop.time())
        if held_since is not None:
            # The descriptor may be readable all the time meanwhile.
            await asyncio.sleep(HELD_LOOK if left is None else min(HELD_LOOK, left))
        else:
            await _Waiters.of(loop, self.fileno()).wait(LOOK_EVERY if left is None else min(LOOK_EVERY, left))


async def anext_frame(source: Source) -> Frame:
    """The next frame of `async for`, which ends with the stream."""
    try:
        return await recv_async(source)
    except _native.Ended:
        raise StopAsyncIteration from None


class _Waiters:
    """Tasks of one loop that wait for one descriptor. The loop watches it while there are any; the source outlives them, as each has it."""

    _of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Waiters]] = weakref.WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._loop = weakref.ref(loop)
        self._fd = fd
        self._futures: deque[asyncio.Future[None]] = deque()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop, fd: int) -> _Waiters:
        waiters = cls._of_loops.setdefault(loop, {})
        return waiters.setdefault(fd, cls(loop, fd))

    async def wait(self, seconds: float) -> None:
        """Until the descriptor is readable, which the task that waits longest is told, or for so long."""
        loop = self._loop()
        assert loop is not None, "a task of the loop waits"
        future: asyncio.Future[None] = loop.create_future()
        if not self._futures:
            loop.add_reader(self._fd, self._readable)
        self._futures.append(future)
        alarm = loop.call_later(seconds, _finish, future)
        try:
            await future
        finally:
            alarm.cancel()
            if future in self._futures:
                self._futures.remove(future)
            self._rest(loop)

    def _readable(self) -> None:
        # One frame wakes one task. It stays readable while there is more, so that the next is woken in the loop's next round.
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
                break
        loop = self._loop()
        if loop is not None:
            self._rest(loop)

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has the loop watch no more where nobody waits."""
        known = self._of_loops.get(loop, {})
        if not self._futures and known.get(self._fd) is self:
            del known[self._fd]
            loop.remove_reader(self._fd)


def _finish(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)

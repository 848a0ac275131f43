"""What the classes of the native half have that is written in Python."""

from __future__ import annotations

from framewire import _aio, _native

# As `typing` has it, which takes longer to load than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Any


def complete() -> None:
    """Gives the classes these methods."""
    for method in (_aio.recv_async, __aiter__, __anext__, __aenter__, __aexit__):
        setattr(_native.Source, method.__name__, method)
    for buffered in (_native.Frame, _native.Slot):
        # Before Python 3.12 no method says that a class has a buffer.
        if not hasattr(buffered, "__buffer__"):
            setattr(buffered, "__buffer__", __buffer__)  # noqa: B010
    for shown in (_repr_png_, _repr_mimebundle_):
        setattr(_native.Frame, shown.__name__, shown)
    for stats in (_native.SourceStats, _native.OutputStats):
        setattr(stats, "_repr_html_", _stats_html)  # noqa: B010
    setattr(_native.Stream, "_repr_html_", _stream_html)  # noqa: B010


def __aiter__(self: _native.Source) -> AsyncIterator[_native.Frame]:
    return self


async def __anext__(self: _native.Source) -> _native.Frame:
    return await _aio.anext_frame(self)


async def __aenter__(self: _native.Source) -> _native.Source:
    return self


async def __aexit__(
    self: _native.Source, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> None:
    self.close()


def __buffer__(self: Any, flags: int, /) -> memoryview:
    return memoryview(self)


# What a notebook asks for; loaded no sooner.


def _repr_png_(self: _native.Frame) -> bytes | None:
    from framewire import _notebook

    return _notebook.frame_png(self)


def _repr_mimebundle_(self: _native.Frame, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    from framewire import _notebook

    return _notebook.frame_mimebundle(self)


def _stats_html(self: _native.SourceStats | _native.OutputStats) -> str:
    from framewire import _notebook

    return _notebook.stats_html(self)


def _stream_html(self: _native.Stream) -> str:
    from framewire import _notebook

    return _notebook.stream_html(self)

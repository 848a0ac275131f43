"""Raw video frames between programs, as NumPy arrays in the memory that they arrived in."""

import datetime
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt

__version__: str

Metadata = bytes | Mapping[str, Any] | list[Any]

# Errors: `code` is that of the transport (ERRORS.md), the text says what happened, with the value, and what to do about it.

class Error(Exception):
    """What everything that Framewire raises is."""

    code: str

class ArgumentError(Error, ValueError):
    """A value that cannot be: an address, a number, a name."""

class FormatError(Error, ValueError):
    """An array, or a format, that is not what the stream carries: says what was expected."""

class Timeout(Error, TimeoutError):
    """Nothing came, or nobody answered, in the time given."""

class Ended(Error):
    """The stream has ended. Iteration ends instead."""

class Closed(Error, ValueError):
    """It was closed by this program; a frame: it was released."""

class SlotsHeld(Error):
    """This program has a frame in every slot: drop some, `copy()` what is kept, or ask for more `slots=`."""

class UnknownStream(Error, LookupError):
    """No stream has this name, or several have; says which there are."""

class Interrupted(Error, ConnectionError):
    """The process that shares the stream is gone (only with `reconnect=False`)."""

class Refused(Error, ConnectionError):
    """The other end refuses, or cannot be reached."""

class SystemLack(Error, OSError):
    """The system has no more of something: memory, descriptors, threads."""

class Forked(Error, RuntimeError):
    """This process was forked from the one that made it: make one here."""

@final
class Stream:
    """What a stream is."""

    @property
    def name(self) -> str:
        """What it is called; of one that comes over the network, its number."""
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int:
        """Pixels."""
    @property
    def height(self) -> int:
        """Pixels."""
    @property
    def fps(self) -> float | None:
        """Frames a second, where its source said."""
    @property
    def delivery(self) -> Literal["latest", "every"]: ...
    @property
    def metadata_max(self) -> int:
        """Bytes."""
    @property
    def peer(self) -> str | None:
        """HOST:PORT of its sender; None by shared memory."""
    @property
    def path(self) -> Literal["udp", "shm"] | None: ...
    def _repr_html_(self) -> str:
        """For notebooks: a table of one row."""

@final
class Frame:
    """One picture, in the memory that it arrived in, read-only (a copy is writable). It holds a slot until it, and every array made of it, are gone.
    It has the buffer protocol."""

    @property
    def array(self) -> npt.NDArray[Any]:
        """The pixels in place: H x W, H x W x C, OpenCV's shapes for planar formats; uint8, uint16 or float32. FormatError where the planes make no one
        array: use `planes`."""
    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """The planes in place."""
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def stride(self) -> int:
        """Bytes from row to row of the first plane."""
    @property
    def nbytes(self) -> int: ...
    @property
    def number(self) -> int:
        """From 0 on, without gaps at its source."""
    @property
    def captured(self) -> float:
        """Seconds of this machine's monotonic clock, as `time.monotonic()`."""
    @property
    def captured_ns(self) -> int: ...
    @property
    def captured_utc(self) -> datetime.datetime | None:
        """With time zone UTC; microseconds."""
    @property
    def latency(self) -> float | None:
        """Seconds from its capture until it was whole here; None where the clocks are not compared yet."""
    @property
    def complete(self) -> bool: ...
    @property
    def missing(self) -> list[tuple[int, int]]:
        """Ranges of bytes that did not arrive, [start, stop); empty unless `partial=True` was asked for."""
    @property
    def metadata(self) -> Any:
        """bytes as bytes; JSON as what it says (a str where it is no JSON after all); CBOR as bytes; None without any."""
    @property
    def metadata_kind(self) -> Literal["bytes", "json", "cbor"] | None: ...
    @property
    def metadata_bytes(self) -> bytes:
        """As they came."""
    @property
    def stream(self) -> Stream: ...
    @property
    def slot(self) -> int:
        """Which slot it is in, for diagnosis; -1 for a copy."""
    @property
    def is_copy(self) -> bool: ...
    @property
    def released(self) -> bool: ...
    def copy(self) -> Frame:
        """The same frame in memory of its own, writable; it holds no slot."""
    def release(self) -> None:
        """Gives the slot back now. BufferError while arrays of it live. Twice is once."""
    def torch(self, device: Any = "cpu") -> Any:
        """A tensor of the pixels on this device, always of its own memory: torch has no read-only tensors."""
    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: Any = None, copy: bool | None = None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def _repr_png_(self) -> bytes | None:
        """For notebooks: the frame as a PNG file, at most 1,024 pixels wide. None where it is no picture, or was released."""
    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: the frame as a picture and in words."""

@final
class SourceStats:
    """What became of the frames of a source. A table in a notebook."""

    taken: int
    dropped: int
    lost: int
    skipped: int
    bytes: int
    streams: int
    reconnects: int
    held: int
    def as_dict(self) -> dict[str, int]: ...
    def _repr_html_(self) -> str:
        """For notebooks: a table."""

@final
class OutputStats:
    """What became of the frames of an output. A table in a notebook."""

    sent: int
    delivered: int
    skipped: int
    bytes: int
    reordered: int
    readers: int
    is_open: bool
    def as_dict(self) -> dict[str, int | bool]: ...
    def _repr_html_(self) -> str:
        """For notebooks: a table."""

class Source:
    """What `Receiver` and `Reader` have in common."""

    def recv(self, timeout: float | None = None) -> Frame:
        """The next frame; waits `timeout` seconds, without end by default. Timeout, Ended, SlotsHeld, Closed."""
    def latest(self, timeout: float | None = None) -> Frame:
        """The newest frame of those that wait, the others dropped."""
    def streams(self) -> list[Stream]: ...
    def stats(self) -> SourceStats: ...
    def fileno(self) -> int:
        """A descriptor for select, poll and asyncio: readable while there may be a frame. Then call `recv(timeout=0)` until Timeout."""
    async def recv_async(self, timeout: float | None = None) -> Frame: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...
    def __aiter__(self) -> AsyncIterator[Frame]: ...
    async def __anext__(self) -> Frame: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

class Receiver(Source):
    """Frames that senders bring to a UDP address of this machine. With `http` (HOST:PORT) also those of `framewire-client` and of whoever else opens streams
    by Socket.IO: `framewire-server` is started beside this program, its page shows them, and its frames are read in place. That needs the programs
    (`pip install framewire[server]`); where the server ends before it is closed, its last words are told: Interrupted."""

    def __init__(
        self,
        address: str,
        *,
        slots: int = 8,
        queue: int | None = None,
        reconnect: bool = True,
        partial: bool = False,
        insecure: bool = False,
        memory: int | None = None,
        http: str | None = None,
    ) -> None: ...
    @property
    def address(self) -> str:
        """HOST:PORT listened on, with the real port."""
    @property
    def http(self) -> str | None:
        """The URL of the page and of Socket.IO, with the real port; None without `http=`."""

class Reader(Source):
    """A stream of another process of this machine, read in place. From `open`."""

    @property
    def name(self) -> str: ...

def open(
    stream: str | None = None,
    *,
    hub: str | int | os.PathLike[str] | None = None,
    slots: int = 2,
    queue: int | None = None,
    reconnect: bool = True,
    wait: float | None = 0.0,
    busy_poll: float = 0.0,
    name: str | None = None,
) -> Reader:
    """Reads a stream that another process of this machine shares. Without a name, the only one there is. `wait`: seconds to wait for it, None without end."""

def streams(hub: str | int | os.PathLike[str] | None = None) -> list[Stream]:
    """The streams that processes of this machine share."""

@final
class Slot:
    """A slot to write the next frame into. Sent at the end of the `with` block; given back unsent where that raises, or after `discard()`."""

    @property
    def array(self) -> npt.NDArray[Any]:
        """Writable, in place."""
    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]: ...
    metadata: Any
    captured: float | None
    @property
    def number(self) -> int | None:
        """Once it is sent."""
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def set_length(self, nbytes: int) -> None:
        """Of `bytes` frames alone, which differ in length."""
    def discard(self) -> None: ...
    def send(self) -> int:
        """Now. Twice is Closed."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Output:
    """What `Sender` and `Publisher` have in common."""

    def send(
        self,
        array: Any,
        *,
        metadata: Any = None,
        captured: float | None = None,
        format: str | None = None,
        timeout: float | None = None,
    ) -> int | None:
        """Copies an array (or anything with a buffer) into a slot and sends it; its number. The first array begins the stream. `latest`: None where no slot
        came free in one frame's time (or `timeout`), and it is counted as skipped; `every`: waits, Timeout after `timeout`."""
    def frame(
        self,
        shape: tuple[int, ...] | None = None,
        *,
        dtype: Any = None,
        format: str | None = None,
        timeout: float | None = None,
    ) -> Slot:
        """A slot to write into, no copy. The shape (as NumPy has it) is needed where no frame has been sent yet. Timeout where none came free."""
    def skip(self) -> None: ...
    def wait_open(self, timeout: float | None = None) -> None:
        """Until the receiver has opened the stream. Timeout, Refused. Needs a format."""
    def wait_settled(self, timeout: float | None = None) -> None: ...
    def stats(self) -> OutputStats: ...
    def close(self, timeout: float = 2.0) -> bool:
        """Waits so long for what was sent to arrive; whether it did."""
    @property
    def closed(self) -> bool: ...
    @property
    def format(self) -> str | None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

class Sender(Output):
    """Frames to whoever listens on a UDP address."""

    def __init__(
        self,
        address: str,
        *,
        format: str | None = None,
        fps: float | None = None,
        delivery: Literal["latest", "every"] = "latest",
        slots: int | None = None,
        width: int | None = None,
        metadata_max: int = 4096,
    ) -> None: ...
    @property
    def address(self) -> str: ...

class Publisher(Output):
    """Frames for other processes of this machine, which read them in place. No network."""

    def __init__(
        self,
        name: str,
        *,
        hub: str | int | os.PathLike[str] | None = None,
        format: str | None = None,
        fps: float | None = None,
        delivery: Literal["latest", "every"] = "latest",
        slots: int | None = None,
        width: int | None = None,
        metadata_max: int = 4096,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def readers(self) -> list[dict[str, Any]]: ...

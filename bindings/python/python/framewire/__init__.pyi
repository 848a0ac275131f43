"""Raw video frames between programs, as NumPy arrays in the memory that they arrived in."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, final

import numpy.typing as npt
from typing_extensions import disjoint_base

__all__ = [
    "ArgumentError",
    "Closed",
    "Ended",
    "Error",
    "Forked",
    "FormatError",
    "Frame",
    "Interrupted",
    "Key",
    "Output",
    "OutputStats",
    "Publisher",
    "Reader",
    "Receiver",
    "Refused",
    "Sender",
    "Slot",
    "SlotsHeld",
    "Source",
    "SourceStats",
    "Stream",
    "SystemLack",
    "Timeout",
    "UnknownStream",
    "__version__",
    "open",
    "streams",
]

__version__: str

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
class Key:
    """The secret that both ends of a stream have: whoever has it can send the stream and take it, and nobody else. Frames are encrypted by it, and both ends
    prove that they have it. One for a sender and its receiver, and another for the next.

    Of its text, 43 characters (what a file has around them is left out), or of its 32 bytes, which must be random: a password is none.

        pathlib.Path("key").write_text(framewire.Key.random().text)     # once; then chmod 600 key, and copied to the other end
        key = framewire.Key(pathlib.Path("key").read_text())

    It shows its `id` alone where it is printed.
    """

    def __new__(cls, key: str | bytes) -> Self: ...
    @staticmethod
    def random() -> Key:
        """One that nobody else has."""
    @property
    def text(self) -> str:
        """43 characters, as much of a secret as the key: for a file that nobody else may read, and for no argument, environment or log."""
    @property
    def id(self) -> str:
        """What it is called where it is not to be told: 16 hexadecimal digits, no secret."""
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Stream:
    """What a stream is."""

    @property
    def name(self) -> str:
        """What it is called; of one that comes over the network, its number."""
    @property
    def format(self) -> str:
        """`bgr24`, `gray16`, `nv12`, …: as `framewire formats` lists them."""
    @property
    def width(self) -> int:
        """Pixels; of `bytes` the bytes."""
    @property
    def height(self) -> int:
        """Pixels."""
    @property
    def fps(self) -> float | None:
        """Frames a second, where its source said."""
    @property
    def delivery(self) -> Literal["latest", "every"]:
        """Whether the newest frame wins, or its source loses none."""
    @property
    def metadata_max(self) -> int:
        """Bytes of metadata that each of its frames may have, 0 to 4,096."""
    @property
    def peer(self) -> str | None:
        """HOST:PORT of its sender; None by shared memory."""
    @property
    def path(self) -> Literal["udp", "shm"] | None:
        """How its frames come to whoever hands them out; None where they are made there."""
    @property
    def protection(self) -> str | None:
        """The cipher that its datagrams are protected by, such as `AES-128-GCM`; None where they are plain, and by shared memory."""
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
    def shape(self) -> tuple[int, ...]:
        """Of `array`."""
    @property
    def format(self) -> str:
        """`bgr24`, `gray16`, `nv12`, …: as `framewire formats` lists them."""
    @property
    def width(self) -> int:
        """Pixels; of `bytes` the bytes."""
    @property
    def height(self) -> int:
        """Pixels; of `bytes` 1."""
    @property
    def stride(self) -> int:
        """Bytes from row to row of the first plane."""
    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
    @property
    def number(self) -> int:
        """From 0 on, without gaps at its source."""
    @property
    def captured(self) -> float:
        """Seconds of this machine's monotonic clock, as `time.monotonic()`."""
    @property
    def captured_ns(self) -> int:
        """Nanoseconds of the same clock, as `time.monotonic_ns()`."""
    @property
    def captured_utc(self) -> datetime.datetime | None:
        """With time zone UTC; microseconds."""
    @property
    def latency(self) -> float | None:
        """Seconds from its capture until it was whole here; None where the clocks are not compared yet."""
    @property
    def complete(self) -> bool:
        """Whether all of it arrived; false only with `partial=True`."""
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
    def stream(self) -> Stream:
        """What it is a frame of."""
    @property
    def slot(self) -> int:
        """Which slot it is in, for diagnosis; -1 for a copy."""
    @property
    def is_copy(self) -> bool:
        """Whether it is in memory of its own, and writable."""
    @property
    def released(self) -> bool:
        """Whether its slot was given back: its pixels are gone."""
    def copy(self) -> Frame:
        """The same frame in memory of its own, writable; it holds no slot."""
    def release(self) -> None:
        """Gives the slot back now. BufferError while arrays of it live. Twice is once."""
    def torch(self, device: Any = None) -> Any:
        """A tensor of the pixels on this device (by default the CPU), always of its own memory: torch has no read-only tensors."""
    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: Any = None, copy: bool | None = None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def __len__(self) -> int:
        """Of the first dimension of `shape`."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def _repr_png_(self) -> bytes | None:
        """For notebooks: the frame as a PNG file, at most 1,024 pixels wide. None where it is no picture, or was released."""
    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: the frame as a picture and in words."""

@final
class SourceStats:
    """What became of the frames of a source. A table in a notebook."""

    @property
    def taken(self) -> int:
        """Frames that this program took."""
    @property
    def dropped(self) -> int:
        """Frames that newer ones took the place of before they were taken."""
    @property
    def lost(self) -> int:
        """Frames that did not arrive whole, or for which no slot was free; 0 by shared memory, where the hub counts them."""
    @property
    def skipped(self) -> int:
        """Frames that their source left out, as it says itself; 0 by shared memory."""
    @property
    def bytes(self) -> int:
        """Bytes of pixels taken."""
    @property
    def streams(self) -> int:
        """Streams that have been read, the ended ones too."""
    @property
    def reconnects(self) -> int:
        """How often a stream's hub or sender was gone, and back."""
    @property
    def held(self) -> int:
        """Slots of the streams that are open in which there are frames that were taken and are not gone yet."""
    def as_dict(self) -> dict[str, int]:
        """All of them by name."""
    def _repr_html_(self) -> str:
        """For notebooks: a table."""

@final
class OutputStats:
    """What became of the frames of an output. A table in a notebook."""

    @property
    def sent(self) -> int:
        """Frames that were handed over."""
    @property
    def delivered(self) -> int:
        """Frames that the receiver says it has whole; of those that are published, all."""
    @property
    def skipped(self) -> int:
        """Frames that gave way to newer ones, or that there was no slot for."""
    @property
    def bytes(self) -> int:
        """Bytes handed over."""
    @property
    def reordered(self) -> int:
        """Arrays whose items had to be put in order before they were copied."""
    @property
    def readers(self) -> int:
        """Readers in other processes, of published frames."""
    @property
    def is_open(self) -> bool:
        """Whether the receiver has opened the stream; true once a published one has begun."""
    @property
    def protection(self) -> str | None:
        """The cipher that its datagrams are protected by, such as `AES-128-GCM`; None where they are plain, by shared memory, and while it is not open."""
    def as_dict(self) -> dict[str, int | bool | str | None]:
        """All of them by name."""
    def _repr_html_(self) -> str:
        """For notebooks: a table."""

@disjoint_base
class Source:
    """What `Receiver` and `Reader` have in common."""

    def recv(self, timeout: float | None = None) -> Frame:
        """The next frame; waits `timeout` seconds, without end by default. Timeout, Ended, SlotsHeld, Closed."""
    def latest(self, timeout: float | None = None) -> Frame:
        """The newest frame of those that wait, the others dropped."""
    def streams(self) -> list[Stream]:
        """Those that are open at this moment. One whose sender was killed is so for up to five seconds more."""
    def stats(self) -> SourceStats:
        """What became of the frames so far, over all its streams."""
    def fileno(self) -> int:
        """A descriptor for select, poll and asyncio: readable while there may be a frame. Then call `recv(timeout=0)` until Timeout."""
    async def recv_async(self, timeout: float | None = None) -> Frame:
        """As `recv`; other tasks of asyncio run while it waits, by the descriptor, without a thread. Several tasks may wait: each frame goes to one."""
    def close(self) -> None:
        """Ends it; whoever waits is told (Closed). Frames that were taken stay. Twice is once."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...
    def __aiter__(self) -> AsyncIterator[Frame]: ...
    async def __anext__(self) -> Frame: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

class Receiver(Source):
    """Frames that senders bring to a UDP address of this machine, HOST:PORT (port 0: any that is free).

    * `slots`: of each stream, 1 to 64, for frames that arrive and those that this program holds. It may hold all, and is told so (SlotsHeld); of those that
      come meanwhile none is kept. With `http=` four of them are for frames that arrive alone.
    * `queue`: frames of a `latest` stream that wait for this program at most, from 1 on; by default the newest alone. Of an `every` stream all wait.
    * `reconnect`: whether the next stream is waited for where the last has ended; else the source has ended then.
    * `partial`: whether frames of `latest` streams are handed out that did not arrive whole in time; see `Frame.missing`.
    * `key`, `keys`: those that senders have, too: frames are encrypted, and no sender without one of them is heard.
    * `protection`: `auto`: with a key; without one loopback alone is listened on, and anything else is an ArgumentError. `on`: without a key an
      ArgumentError everywhere. `off`: whoever reaches the port can send, and whoever is on the way can look: for networks that you trust.
    * `memory`: bytes that all streams together may take.
    * `http`: HOST:PORT of a page, and of `framewire-client` and whoever else opens streams by Socket.IO: `framewire-server` is started beside this program,
      and its frames are read in place. That needs the programs (`pip install framewire[server]`); where the server ends before it is closed, its last words
      are told: Interrupted.
    """

    def __new__(
        cls,
        address: str,
        *,
        slots: int = 8,
        queue: int | None = None,
        reconnect: bool = True,
        partial: bool = False,
        key: Key | None = None,
        keys: Iterable[Key] | None = None,
        protection: Literal["auto", "on", "off"] = "auto",
        memory: int | None = None,
        http: str | None = None,
    ) -> Self: ...
    @staticmethod
    def watch(
        name: str,
        *,
        server: str | None = None,
        join: str | os.PathLike[str] | None = None,
        udp: str | None = None,
        delivery: Literal["latest", "every"] = "latest",
        max_fps: float | None = None,
        slots: int = 8,
        queue: int | None = None,
        reconnect: bool = True,
        partial: bool = False,
        protection: Literal["auto", "on", "off"] = "auto",
        memory: int | None = None,
    ) -> Receiver:
        """A stream that a server has, by its name: its frames come here, from this machine or another. Returns at once. A stream that is not there yet is waited
        for, and so are a server that is away and a stream that went and comes back; what is waited for is in the text of Timeout.

        * `server`: the address of one that nothing protects, `http://HOST:PORT`, or whose certificate this machine trusts, `https://HOST:PORT`.
        * `join`: in place of that a protected server: the line that it prints at its start, or the file that it wrote (`--join-file`). Both prove who they are,
          frames are encrypted, and the server gives the key. The line is a secret: no argument, environment or log is for it.
        * `udp`: HOST:PORT where frames come in, or `:PORT` for all addresses of this machine: a port that a firewall lets in. By default one of the system's
          choice, on loopback where the server is there. Where the server sends and nothing comes in, the text of Timeout says so after 3 seconds.
        * `delivery`: `latest`: what does not come in time gives way to the next. `every`: nothing is lost for as long as this program keeps up; the server does
          not wait for it where it does not, and what it leaves out then is counted as skipped.
        * `max_fps`: frames a second at most; those between are left out. By default all.
        * `protection`: `off` takes plain text from another machine, in a network that you trust; by default that is Refused.
        * `reconnect`: whether the stream is waited for where it has ended; else the source has ended then.

        The others are as above. Refused where the server refuses, or is not the one that was joined.
        """
    @property
    def address(self) -> str:
        """HOST:PORT listened on, with the real port."""
    @property
    def http(self) -> str | None:
        """The URL of the page and of Socket.IO, with the real port; None without `http=`."""

class Reader(Source):
    """A stream of another process of this machine, read in place. From `open`."""

    @property
    def name(self) -> str:
        """What the stream is called."""

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
    """Reads a stream that another process of this machine shares. Without a name, the only one there is.

    * `hub`: whose stream it is: a name, the port of a server, or the path of a socket; by default it is looked for at all of this machine.
    * `slots`: frames that this program may hold at once, 1 to 62, beside those that wait. SlotsHeld counts one more: that
      of the frame that waits, which the program may take too.
    * `queue`: frames that wait for this program at most, 1 to 8; by default the newest alone.
    * `reconnect`: whether the stream is waited for where its process is gone. One that its process closed has ended all the same.
    * `wait`: seconds to wait for the stream where it is not there, None without end.
    * `busy_poll`: seconds that a frame is looked for before the thread sleeps: a processor for less delay.
    * `name`: what the hub's operator sees of this program; by default the name of its file.

    UnknownStream, which says which streams there are; Refused; Interrupted.
    """

def streams(hub: str | int | os.PathLike[str] | None = None) -> list[Stream]:
    """The streams that processes of this machine share, at every hub or at the one that is named, whose absence is an error (Refused)."""

@final
class Slot:
    """A slot to write the next frame into. Sent at the end of the `with` block; given back unsent where that raises, or after `discard()`."""

    @property
    def array(self) -> npt.NDArray[Any]:
        """Writable, in place."""
    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """Writable, in place."""
    metadata: Any
    """What is told of the frame: bytes, a dict, a list or a str (as JSON), None."""
    captured: float | None
    """When it was taken, seconds as `time.monotonic()` has them; None (the default): now."""
    @property
    def number(self) -> int | None:
        """Once it is sent."""
    @property
    def format(self) -> str:
        """Of the stream."""
    @property
    def width(self) -> int:
        """Pixels."""
    @property
    def height(self) -> int:
        """Pixels."""
    def set_length(self, nbytes: int) -> None:
        """Of `bytes` frames alone, which differ in length."""
    def discard(self) -> None:
        """Gives it back unsent. Twice is once."""
    def send(self) -> int:
        """Now. Twice is Closed."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@disjoint_base
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
    def skip(self) -> None:
        """Counts a picture that was not sent, so that a gap in the numbers has a cause."""
    def wait_open(self, timeout: float | None = None) -> None:
        """Until the receiver has opened the stream. Timeout, Refused. Needs a format."""
    def wait_settled(self, timeout: float | None = None) -> None:
        """Until every frame sent so far has its fate at the receiver. Timeout, Refused."""
    def stats(self) -> OutputStats:
        """What became of the frames so far."""
    def close(self, timeout: float = 2.0) -> bool:
        """Waits so long for what was sent to arrive; whether it did."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    @property
    def format(self) -> str | None:
        """Of its stream, once that has begun; else what was said."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

class Sender(Output):
    """Frames to whoever listens on a UDP address, HOST:PORT. Between processes of one machine they go by shared memory.

    * `format`: what arrays are, such as `rgb24`; by default H x W is `gray8`, `gray16` or `depth32f` by its items, H x W x 3 `bgr24`, H x W x 4 `bgra32`,
      one dimension of bytes `bytes`.
    * `fps`: frames a second, told to the receiver. It paces nothing: a loop without a camera that waits sleeps itself, such as `time.sleep(1 / 30)`.
    * `delivery`: `latest`: what cannot leave in time gives way to the next, and nobody waits; `every`: nothing is lost, `send` and `frame` wait.
    * `slots`: frames that are written and on their way; by default as many as the transport needs.
    * `width`: pixels, of packed formats whose rows may be those of several widths; of `bytes` the most bytes of a frame.
    * `metadata_max`: bytes of metadata that a frame may have, 0 to 4,096.
    * `key`: the receiver's: frames are encrypted, and nobody without it has them. By shared memory nothing is encrypted.
    * `protection`: `auto`: with a key; without one frames do not leave this machine: off loopback the first is an ArgumentError. `on`: without a key an
      ArgumentError everywhere. `off`: in plain text, for networks that you trust.
    * `join`: in place of the address, a protected server: the line that `framewire-server` prints at its start, or the file that it wrote (`--join-file`). Both
      prove who they are, frames are encrypted, and the server gives the key. Where it is away, or starts anew, it is waited for, and `latest` frames are
      skipped meanwhile. Refused where it refuses, or is not the one that was joined. The line is a secret: no argument, environment or log is for it.
    * `name`: what the stream is called at the server.
    """

    def __new__(
        cls,
        address: str | None = None,
        *,
        format: str | None = None,
        fps: float | None = None,
        delivery: Literal["latest", "every"] = "latest",
        slots: int | None = None,
        width: int | None = None,
        metadata_max: int = 4096,
        key: Key | None = None,
        protection: Literal["auto", "on", "off"] = "auto",
        join: str | os.PathLike[str] | None = None,
        name: str = "",
    ) -> Self: ...
    @property
    def address(self) -> str:
        """HOST:PORT sent to; of a server that is joined, its own."""

@disjoint_base
class Publisher(Output):
    """Frames for other processes of this machine, which read them in place by `framewire.open(name)`. No network.

    `hub`: the name or path of the socket where readers find it; by default one of the stream's name. The others are as with `Sender`.
    """

    def __new__(
        cls,
        name: str,
        *,
        hub: str | int | os.PathLike[str] | None = None,
        format: str | None = None,
        fps: float | None = None,
        delivery: Literal["latest", "every"] = "latest",
        slots: int | None = None,
        width: int | None = None,
        metadata_max: int = 4096,
    ) -> Self: ...
    @property
    def name(self) -> str:
        """What the stream is called."""
    @property
    def readers(self) -> list[dict[str, Any]]:
        """Readers in other processes, and what became of the frames of each."""

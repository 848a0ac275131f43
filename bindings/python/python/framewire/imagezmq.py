"""imageZMQ's calls over Framewire: only the import changes.

    from framewire import imagezmq
    hub = imagezmq.ImageHub()

The images go by UDP (between processes of one machine, by shared memory). At the same port TCP carries what goes the other way: the hub's replies in
REQ/REP, who subscribes in PUB/SUB. ZeroMQ itself is not needed, and is not spoken: both ends must use this module.

As imageZMQ does, `tcp://*:5555` lets in whoever reaches the port, without encryption; use `tcp://127.0.0.1:5555` for one machine, or give both ends one
`key=framewire.Key(…)`: images and their messages are encrypted then, and come from nobody without it. What goes by TCP, the replies, stays as it is.
"""

from __future__ import annotations

import collections
import contextlib
import json
import secrets
import select
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import framewire

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ImageHub", "ImageSender"]

_STEP = 0.1
"""Seconds after which whoever waits looks at the connections too, and after which a connection that did not come about is tried again."""

_GREETING = struct.Struct("!12s16sH")
"""What whoever connects says: which protocol, a token that its frames have too (REQ/REP), a UDP port for frames (PUB/SUB)."""

_GREETED = b"fw-imagezmq1"

_LENGTH = struct.Struct("!I")
"""Bytes of a reply, before it."""

_REPLY_MAX = 16 << 20

_WAITING_MAX = 1024
"""Connections that have not said who they are, at most: the oldest gives way."""

_FILE_BYTES_MIN = 1 << 18
"""The least room of a stream of files such as JPEG, bytes: the next is longer than the first."""

_METADATA_MAX = 4096
"""Bytes that are told of a frame."""

_MESSAGE_MAX = 3072
"""Bytes of them that a message may have, as JSON; a longer one goes before the image."""

_SLOTS = 4
"""Of each stream at a hub. In REQ/REP one frame of a sender is on its way at a time."""

_SLOTS_IN_PLACE = 16
"""Of each stream at a hub whose program has frames in place."""


class ImageSender:
    """Sends images to a hub. `connect_to`: the hub's address (REQ/REP), or the address to wait for hubs at (PUB/SUB, `REQ_REP=False`).

    In REQ/REP a call waits until the hub has replied; no image is lost, one whose hub goes away is sent again once it is back. In PUB/SUB it waits for
    nobody; a hub that is slow has the newest images. `key`, which imageZMQ does not have: the hub's, for images that nobody else sees.
    """

    def __init__(self, connect_to: str = "tcp://127.0.0.1:5555", REQ_REP: bool = True, *, key: framewire.Key | None = None) -> None:
        self.zmq_context = _Context()
        self.zmq_socket = _Socket(self._close)
        self._way: _Requests | _Publication = _Requests(connect_to, self.zmq_socket, key) if REQ_REP else _Publication(connect_to, key)

    def send_image(self, msg: Any, image: npt.NDArray[Any]) -> bytes | None:
        """Sends an image and a message (whatever JSON can say). The hub's reply; None in PUB/SUB."""
        return self._send(*_image_parcel(msg, image))

    def send_jpg(self, msg: Any, jpg_buffer: Any) -> bytes | None:
        """Sends a file such as `cv2.imencode` makes, bytes or an array of them. The hub's reply; None in PUB/SUB."""
        return self._send(*_file_parcel(msg, jpg_buffer))

    def send_image_reqrep(self, msg: Any, image: npt.NDArray[Any]) -> bytes:
        """As `send_image`, in REQ/REP: the reply."""
        return self._requests().ask(*_image_parcel(msg, image))

    def send_jpg_reqrep(self, msg: Any, jpg_buffer: Any) -> bytes:
        """As `send_jpg`, in REQ/REP: the reply."""
        return self._requests().ask(*_file_parcel(msg, jpg_buffer))

    def send_image_pubsub(self, msg: Any, image: npt.NDArray[Any]) -> None:
        """As `send_image`, in PUB/SUB. Where no hub has subscribed, the image is discarded."""
        self._publication().send(*_image_parcel(msg, image))

    def send_jpg_pubsub(self, msg: Any, jpg_buffer: Any) -> None:
        """As `send_jpg`, in PUB/SUB. Where no hub has subscribed, it is discarded."""
        self._publication().send(*_file_parcel(msg, jpg_buffer))

    def close(self) -> None:
        """Ends the streams. Twice is once."""
        self.zmq_socket.close()

    def _close(self) -> None:
        self._way.close()

    def _send(self, *parcel: Any) -> bytes | None:
        if isinstance(self._way, _Requests):
            return self._way.ask(*parcel)
        self._publication().send(*parcel)
        return None

    def _requests(self) -> _Requests:
        if not isinstance(self._way, _Requests):
            raise _error(
                framewire.ArgumentError, "imagezmq-form", "this sender is in PUB/SUB form; make it with REQ_REP=True to have replies"
            )
        return self._way

    def _publication(self) -> _Publication:
        self.zmq_socket.check()
        if not isinstance(self._way, _Publication):
            raise _error(framewire.ArgumentError, "imagezmq-form", "this sender is in REQ/REP form; make it with REQ_REP=False to publish")
        return self._way

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ImageHub:
    """Receives images. `open_port`: the address to listen on (REQ/REP), or of a sender to subscribe to (PUB/SUB, `REQ_REP=False`).

    Images are copies, which can be drawn on and kept. With `in_place=True`, which imageZMQ does not have, they are read-only arrays in the memory that the
    frame arrived in, and at most 16 of a sender can be kept. `key`, which imageZMQ does not have: that of the senders; no image without it is taken.
    """

    def __init__(
        self, open_port: str = "tcp://*:5555", REQ_REP: bool = True, *, in_place: bool = False, key: framewire.Key | None = None
    ) -> None:
        self.REQ_REP = REQ_REP
        self.zmq_context = _Context()
        self.zmq_socket = _Socket(self._close)
        slots = _SLOTS_IN_PLACE if in_place else _SLOTS
        self._in_place = in_place
        self._way: _Replies | _Subscriptions = _Replies(open_port, slots, key) if REQ_REP else _Subscriptions(open_port, slots, key)

    def connect(self, open_port: str) -> None:
        """Subscribes to one more sender. In REQ/REP it does nothing, as in imageZMQ."""
        if isinstance(self._way, _Subscriptions):
            self._way.connect(open_port)

    def recv_image(self, copy: bool = False) -> tuple[Any, npt.NDArray[Any]]:
        """The message and the image. `copy` is imageZMQ's and changes nothing: see the class."""
        message, array, is_file = self._recv()
        if is_file:
            raise _error(framewire.FormatError, "imagezmq-kind", f"'{message}' came by send_jpg: take it by recv_jpg")
        return message, array if self._in_place else array.copy()

    def recv_jpg(self, copy: bool = False) -> tuple[Any, bytes | npt.NDArray[np.uint8]]:
        """The message and the file's bytes. `copy` is imageZMQ's and changes nothing: see the class."""
        message, array, _ = self._recv()
        return message, array.reshape(-1).view("uint8") if self._in_place else array.tobytes()

    def send_reply(self, reply_message: bytes = b"OK") -> None:
        """Answers the sender of the image that was received last. REQ/REP only."""
        if not isinstance(self._way, _Replies):
            raise _error(framewire.ArgumentError, "imagezmq-form", "this hub is in PUB/SUB form, where nobody waits for a reply")
        self._way.reply(bytes(reply_message))

    def close(self) -> None:
        """Ends it. Twice is once."""
        self.zmq_socket.close()

    def _close(self) -> None:
        self._way.close()

    def _recv(self) -> tuple[Any, npt.NDArray[Any], bool]:
        """A message, an array in place, and whether it is a file."""
        deadline = self.zmq_socket.deadline(_Socket.RCVTIMEO)
        while True:
            frame = self._way.recv(deadline)
            # Anyone can send a frame here; those of this module say what they are.
            try:
                message, array, told = _unpacked(frame)
            except (KeyError, TypeError, ValueError):
                continue
            if self._way.is_for(told):
                return message, array, "file" in told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


# What is sent: an array, the format that it is sent as (None: as the array says), and what is told of it: `msg`, or `head`, the bytes before the others
# in which the message is because it is long; `dtype` and `shape` of an array that is sent as its bytes; `file` of what came by `send_jpg`.

_Parcel = tuple[Any, str | None, dict[str, Any]]


def _image_parcel(msg: Any, image: npt.NDArray[Any]) -> _Parcel:
    """An image as a picture where Framewire has a format for its shape; any other array as its bytes."""
    np = _numpy()
    if not isinstance(image, np.ndarray):
        text = f"a value of type {type(image).__name__} is no image; send a NumPy array, such as cv2.imread and numpy.asarray make"
        raise _error(framewire.FormatError, "array-items", text)
    shape, name = image.shape, image.dtype.name
    if image.size == 0 or image.dtype.hasobject:
        text = f"an array of shape {shape} and {image.dtype} cannot be sent; send one with items, of numbers"
        raise _error(framewire.FormatError, "array-shape", text)
    is_plane = len(shape) == 2 and name in ("uint8", "uint16", "float32")
    is_coloured = len(shape) == 3 and shape[2] in (3, 4) and name == "uint8"
    head = _head(msg)
    if (is_plane or is_coloured) and image.dtype.isnative and head is None:
        return image, None, {"msg": msg}
    told = {"dtype": image.dtype.str, "shape": list(shape)}
    return _bytes_parcel(msg, head, np.ascontiguousarray(image).reshape(-1).view(np.uint8), told)


def _file_parcel(msg: Any, file: Any) -> _Parcel:
    np = _numpy()
    try:
        is_array = isinstance(file, np.ndarray)
        array = np.ascontiguousarray(file).reshape(-1).view(np.uint8) if is_array else np.frombuffer(file, np.uint8)
    except (TypeError, ValueError) as error:
        text = f"a value of type {type(file).__name__} is no file ({error}); send bytes, or an array such as cv2.imencode makes"
        raise _error(framewire.FormatError, "array-items", text) from None
    return _bytes_parcel(msg, _head(msg), array, {"file": True})


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("images are arrays of NumPy, which is not installed here; install it with: pip install 'framewire[numpy]'") from error
    return np


def _bytes_parcel(msg: Any, head: bytes | None, array: npt.NDArray[np.uint8], told: dict[str, Any]) -> _Parcel:
    import numpy as np

    if head is None:
        return array, "bytes", told | {"msg": msg}
    return np.concatenate((np.frombuffer(head, np.uint8), array)), "bytes", told | {"head": len(head)}


def _head(msg: Any) -> bytes | None:
    """A message that is too long for a frame's metadata."""
    try:
        said = json.dumps(msg).encode()
    except (TypeError, ValueError, RecursionError) as error:
        text = f"JSON cannot say this message ({error}); send a str, numbers, None, or lists and dicts of them"
        raise _error(framewire.ArgumentError, "no-metadata", text) from None
    # What follows is aligned for items of any kind.
    return None if len(said) <= _MESSAGE_MAX else said + b" " * (-len(said) % 64)


def _unpacked(frame: framewire.Frame) -> tuple[Any, npt.NDArray[Any], dict[str, Any]]:
    """The message, the array, and what was told. KeyError, TypeError or ValueError where it is no frame of an ImageSender."""
    told = frame.metadata
    if not isinstance(told, dict):
        raise ValueError("not told")
    array = frame.array
    if "head" in told:
        message = json.loads(array[: int(told["head"])].tobytes())
        array = array[int(told["head"]) :]
    else:
        message = told["msg"]
    if "dtype" in told:
        array = array.view(told["dtype"]).reshape(told["shape"])
    return message, array, told


class _Stream:
    """Images to one receiver: a stream of Framewire, or the next one where they become others."""

    def __init__(self, address: str, delivery: Any, key: framewire.Key | None) -> None:
        self._address, self._delivery, self._key = address, delivery, key
        self._sender: framewire.Sender | None = None
        self._kind: tuple[Any, ...] = ()
        self._room = 0

    def send(self, array: Any, format: str | None, told: dict[str, Any], timeout: float | None) -> None:
        kind = (format,) if format else (array.shape, array.dtype)
        if kind != self._kind or (format and array.nbytes > self._room):
            self._begin(kind, format, array.nbytes)
        assert self._sender is not None
        self._sender.send(array, metadata=told, format=format, timeout=timeout)

    def _begin(self, kind: tuple[Any, ...], format: str | None, nbytes: int) -> None:
        # What is newest goes on without the last of what was.
        self.close(1.0 if self._delivery == "every" else 0.1)
        # Files differ in length: room for longer ones.
        self._room = max(_FILE_BYTES_MIN, 1 << (nbytes - 1).bit_length()) if format else 0
        self._sender = framewire.Sender(
            self._address,
            format=format,
            width=self._room or None,
            delivery=self._delivery,
            metadata_max=_METADATA_MAX,
            key=self._key,
            protection=_protection(self._key),
        )
        self._kind = kind

    def check(self) -> None:
        """Refused where the receiver refuses the stream: nobody replies then."""
        if self._sender is not None:
            with contextlib.suppress(framewire.Timeout):
                self._sender.wait_open(timeout=0)

    def close(self, timeout: float = 1.0) -> None:
        sender, self._sender, self._kind = self._sender, None, ()
        if sender is not None:
            sender.close(timeout=timeout)


class _Requests:
    """The sender's end of REQ/REP."""

    def __init__(self, address: str, options: _Socket, key: framewire.Key | None) -> None:
        self._host, self._port = _host_and_port(address)
        self._key = key
        self._token = secrets.token_bytes(16)
        self._options = options
        self._line: socket.socket | None = None
        self._stream: _Stream | None = None
        self._asked = 0

    def ask(self, array: Any, format: str | None, told: dict[str, Any]) -> bytes:
        """Sends a frame until it is answered."""
        deadline = self._options.deadline(_Socket.RCVTIMEO, _Socket.SNDTIMEO)
        self._asked += 1
        told = told | {"reply": self._token.hex(), "asked": self._asked}
        while True:
            line = self._connected(deadline)
            try:
                assert self._stream is not None
                self._stream.send(array, format, told, _left(deadline))
                return self._answer(line, deadline)
            except framewire.Refused:
                if not _has_ended(line):
                    raise
                self._hang_up(0.0)
            except (ConnectionError, EOFError):
                # The hub is gone, and the frame with it or not: whoever listens there next has it.
                self._hang_up(0.0)

    def _connected(self, deadline: float | None) -> socket.socket:
        """The line for replies: there is a hub once it is."""
        while self._line is None:
            self._options.check()
            try:
                line = socket.create_connection((self._host, self._port), timeout=_left(deadline, 1.0))
            except OSError as error:
                if _is_over(deadline):
                    text = f"no hub at {self._host}:{self._port} within the time given ({error}); start one there"
                    raise _error(framewire.Timeout, "imagezmq-no-hub", text) from None
                time.sleep(_left(deadline, _STEP) or 0.0)
                continue
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(_GREETING.pack(_GREETED, self._token, 0))
            # The address that answered, of all that the host's name may have.
            host, port = line.getpeername()[:2]
            self._stream = _Stream(_joined(host, port), "every", self._key)
            self._line = line
        return self._line

    def _answer(self, line: socket.socket, deadline: float | None) -> bytes:
        while True:
            (asked,) = _LENGTH.unpack(self._read(line, _LENGTH.size, deadline))
            (length,) = _LENGTH.unpack(self._read(line, _LENGTH.size, deadline))
            if length > _REPLY_MAX:
                raise ConnectionError("no reply is so long")
            reply = self._read(line, length, deadline)
            # A call that ended before its answer came leaves it for the next.
            if asked == self._asked & 0xFFFF_FFFF:
                return reply

    def _read(self, line: socket.socket, length: int, deadline: float | None) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._options.check()
            line.settimeout(_left(deadline, _STEP) or 1e-3)
            try:
                more = line.recv(length - len(data))
            except TimeoutError:
                if _is_over(deadline):
                    # What has come of it would be taken for the beginning of the next.
                    if data:
                        self._hang_up(0.0)
                    text = f"the hub at {self._host}:{self._port} did not reply within the time given; is it busy?"
                    raise _error(framewire.Timeout, "imagezmq-no-reply", text) from None
                if self._stream is not None:
                    self._stream.check()
                continue
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def _hang_up(self, timeout: float) -> None:
        line, stream, self._line, self._stream = self._line, self._stream, None, None
        if stream is not None:
            stream.close(timeout)
        if line is not None:
            line.close()

    def close(self) -> None:
        self._hang_up(1.0)


class _Replies:
    """The hub's end of REQ/REP."""

    def __init__(self, address: str, slots: int, key: framewire.Key | None) -> None:
        host, port = _host_and_port(address)
        self._listener = _listener(host, port)
        try:
            # UDP at the port that TCP has.
            port = self._listener.getsockname()[1]
            self._receiver = framewire.Receiver(_joined(host, port), slots=slots, key=key, protection=_protection(key))
        except BaseException:
            self._listener.close()
            raise
        self._waiting: collections.deque[_Caller] = collections.deque()
        self._callers: dict[str, _Caller] = {}
        self._to_answer: tuple[str, int] | None = None

    def recv(self, deadline: float | None) -> framewire.Frame:
        if self._to_answer is not None:
            text = "the last image was not replied to, and its sender waits; call send_reply() after each image"
            raise _error(framewire.ArgumentError, "imagezmq-no-reply-yet", text)
        while True:
            self._admit()
            try:
                return self._receiver.recv(timeout=_left(deadline, 1.0))
            except framewire.Timeout:
                if _is_over(deadline):
                    raise

    def is_for(self, told: dict[str, Any]) -> bool:
        token, asked = told.get("reply"), told.get("asked")
        if not isinstance(token, str) or not isinstance(asked, int):
            return False
        # One that was sent again, and that came twice, is answered by the answer to the first.
        self._admit()
        caller = self._callers.get(token)
        if caller is not None and asked <= caller.answered:
            return False
        self._to_answer = (token, asked)
        return True

    def reply(self, message: bytes) -> None:
        if self._to_answer is None:
            text = "there is no image to reply to; call recv_image() or recv_jpg() first"
            raise _error(framewire.ArgumentError, "imagezmq-no-request", text)
        if len(message) > _REPLY_MAX:
            raise _error(framewire.ArgumentError, "imagezmq-reply", f"a reply of {len(message)} bytes is too long; at most {_REPLY_MAX}")
        (token, asked), self._to_answer = self._to_answer, None
        caller = self._caller(token)
        if caller is not None and not caller.answer(asked, message):
            del self._callers[token]

    def _caller(self, token: str) -> _Caller | None:
        """Whose token it is. It connected before it sent; what it says on its line may take another way than its frames and be later."""
        deadline = time.monotonic() + 1.0
        while True:
            self._admit()
            caller = self._callers.get(token)
            if caller is not None or time.monotonic() >= deadline:
                return caller
            lines = [self._listener, *(caller.line for caller in self._waiting)]
            _readable(lines, _left(deadline))

    def _admit(self) -> None:
        """Takes who has connected, and lets go who is gone."""
        for caller, token, _ in _greeted(self._listener, self._waiting):
            before = self._callers.pop(token.hex(), None)
            if before is not None:
                before.line.close()
            self._callers[token.hex()] = caller
        for gone in [token for token, caller in self._callers.items() if _has_ended(caller.line)]:
            self._callers.pop(gone).line.close()

    def close(self) -> None:
        self._receiver.close()
        self._listener.close()
        for caller in (*self._waiting, *self._callers.values()):
            caller.line.close()
        self._waiting.clear()
        self._callers.clear()


class _Caller:
    """Who has connected."""

    def __init__(self, line: socket.socket) -> None:
        line.setblocking(False)
        self.line = line
        self.answered = 0
        self._said = b""

    def greeting(self) -> tuple[bytes, int] | None | tuple[()]:
        """Its token and port; None as long as it has not said them, nothing where it never will: then it is closed."""
        try:
            said = self.line.recv(_GREETING.size - len(self._said))
        except BlockingIOError:
            return None
        except OSError:
            said = b""
        self._said += said
        if not said or not self._said.startswith(_GREETED[: len(self._said)]):
            # Most likely a program that speaks ZeroMQ.
            self.line.close()
            return ()
        if len(self._said) < _GREETING.size:
            return None
        _, token, port = _GREETING.unpack(self._said)
        return token, port

    def answer(self, asked: int, message: bytes) -> bool:
        """Whether it could be told."""
        self.answered = asked
        try:
            self.line.settimeout(5.0)
            self.line.sendall(_LENGTH.pack(asked & 0xFFFF_FFFF) + _LENGTH.pack(len(message)) + message)
            self.line.setblocking(False)
        except OSError:
            self.line.close()
            return False
        return True


class _Publication:
    """The sender's end of PUB/SUB."""

    def __init__(self, address: str, key: framewire.Key | None) -> None:
        self._listener = _listener(*_host_and_port(address))
        self._key = key
        self._waiting: collections.deque[_Caller] = collections.deque()
        self._subscribers: list[tuple[_Caller, _Stream]] = []

    def send(self, array: Any, format: str | None, told: dict[str, Any]) -> None:
        self._admit()
        for subscriber in list(self._subscribers):
            caller, stream = subscriber
            try:
                if not _has_ended(caller.line):
                    stream.send(array, format, told, 0.0)
                    continue
            except (framewire.Refused, framewire.Timeout):
                pass
            caller.line.close()
            stream.close(0.0)
            self._subscribers.remove(subscriber)

    def _admit(self) -> None:
        for caller, _, port in _greeted(self._listener, self._waiting):
            try:
                # Frames go to the host that asks for them, and to no other.
                host = caller.line.getpeername()[0]
            except OSError:
                continue
            self._subscribers.append((caller, _Stream(_joined(host, port), "latest", self._key)))

    def close(self) -> None:
        self._listener.close()
        for caller in self._waiting:
            caller.line.close()
        for caller, stream in self._subscribers:
            stream.close()
            caller.line.close()
        self._waiting.clear()
        self._subscribers.clear()


class _Subscriptions:
    """The hub's end of PUB/SUB."""

    def __init__(self, address: str, slots: int, key: framewire.Key | None) -> None:
        self._slots, self._key = slots, key
        self._senders: list[_Subscription] = []
        self._receivers: dict[str, framewire.Receiver] = {}
        self._turn = 0
        self._is_closed = False
        self.connect(address)

    def connect(self, address: str) -> None:
        self._senders.append(_Subscription(*_host_and_port(address)))

    def is_for(self, told: dict[str, Any]) -> bool:
        return True

    def recv(self, deadline: float | None) -> framewire.Frame:
        while True:
            if self._is_closed:
                raise _error(framewire.Closed, "closed", "this hub was closed; make a new one")
            for sender in self._senders:
                sender.look(self._receiver)
            frame = self._newest()
            if frame is not None:
                return frame
            if _is_over(deadline):
                raise _error(framewire.Timeout, "timeout", "no image came within the time given; is a sender there?")
            _readable([*self._receivers.values()], _left(deadline, _STEP))

    def _newest(self) -> framewire.Frame | None:
        """A frame of one of the receivers, each in turn."""
        receivers = [*self._receivers.values()]
        for _ in receivers:
            self._turn += 1
            try:
                return receivers[self._turn % len(receivers)].recv(timeout=0)
            except framewire.Timeout:
                continue
        return None

    def _receiver(self, host: str) -> framewire.Receiver:
        """The receiver at an address of this machine."""
        if host not in self._receivers:
            self._receivers[host] = framewire.Receiver(
                _joined(host, 0), slots=self._slots, key=self._key, protection=_protection(self._key)
            )
        return self._receivers[host]

    def close(self) -> None:
        self._is_closed = True
        for sender in self._senders:
            sender.close()
        for receiver in self._receivers.values():
            receiver.close()


class _Subscription:
    """One sender that is subscribed to: connected, or tried again and again."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._line: socket.socket | None = None
        self._has_greeted = False
        self._next = 0.0

    def look(self, receiver: Any) -> None:
        """Goes on with it, and waits for nothing."""
        try:
            if self._line is None:
                if time.monotonic() < self._next:
                    return
                self._next = time.monotonic() + _STEP
                # A name is asked for anew each time: a host that is back may have another address.
                family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
                self._line, self._has_greeted = socket.socket(family, kind, protocol), False
                self._line.setblocking(False)
                self._line.connect_ex(address)
            if not self._has_greeted:
                if not select.select([], [self._line], [], 0)[1]:
                    return
                if error := self._line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, "not connected")
                port = int(receiver(self._line.getsockname()[0]).address.rpartition(":")[2])
                self._line.sendall(_GREETING.pack(_GREETED, bytes(16), port))
                self._has_greeted = True
            if _has_ended(self._line):
                self.close()
        except OSError:
            self.close()

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class _Socket:
    """What programs do with `zmq_socket`: set times to wait, and close."""

    LINGER, RCVTIMEO, SNDTIMEO = 17, 27, 28

    def __init__(self, close: Any) -> None:
        self._close = close
        self._values: dict[int, Any] = {}
        self.closed = False

    def setsockopt(self, option: int, value: Any) -> None:
        """RCVTIMEO (27) and SNDTIMEO (28) in milliseconds, -1 without end: then `framewire.Timeout`. Others are ZeroMQ's own and change nothing."""
        self._values[int(option)] = value

    def getsockopt(self, option: int) -> Any:
        return self._values.get(int(option), -1)

    setsockopt_string = set = setsockopt
    get = getsockopt

    def close(self, linger: int | None = None) -> None:
        if not self.closed:
            self.closed = True
            self._close()

    def deadline(self, *options: int) -> float | None:
        """When a call that begins now is over; None where it waits without end."""
        self.check()
        times = [value for option in options if (value := self._values.get(option, -1)) >= 0]
        return time.monotonic() + sum(times) / 1000 if times else None

    def check(self) -> None:
        if self.closed:
            raise _error(framewire.Closed, "closed", "this end was closed; make a new one")


class _Context:
    """What programs do with `zmq_context`: end it."""

    def term(self) -> None:
        """Nothing is to be ended."""

    destroy = term


def _host_and_port(address: str) -> tuple[str, int]:
    """Of `tcp://HOST:PORT`; `*` is every address of this machine."""
    scheme, separator, rest = address.partition("://")
    host, colon, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if scheme != "tcp" or not separator or not host or not colon or not port.isdecimal() or int(port) > 65535:
        text = f"'{address[:80]}' is no address of a hub; use tcp://HOST:PORT such as tcp://192.168.1.190:5555, or tcp://*:5555"
        raise _error(framewire.ArgumentError, "invalid-address", text)
    return "0.0.0.0" if host == "*" else host, int(port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _protection(key: framewire.Key | None) -> Literal["auto", "off"]:
    """Without a key images are as those of imageZMQ: plain wherever they go."""
    return "off" if key is None else "auto"


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        text = f"TCP port {port} of {host} cannot be listened on ({error.strerror or error}); end what has it, or use another"
        raise _error(framewire.Refused, "address-in-use", text) from None
    listener.setblocking(False)
    return listener


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        line, _ = listener.accept()
    except OSError:
        return None
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _greeted(listener: socket.socket, waiting: collections.deque[_Caller]) -> Iterator[tuple[_Caller, bytes, int]]:
    """Those of whoever connects and waits that have said who they are: their tokens and ports."""
    while (line := _accepted(listener)) is not None:
        waiting.append(_Caller(line))
        if len(waiting) > _WAITING_MAX:
            waiting.popleft().line.close()
    for _ in range(len(waiting)):
        caller = waiting.popleft()
        greeting = caller.greeting()
        if greeting is None:
            waiting.append(caller)
        elif greeting:
            yield caller, *greeting


def _has_ended(line: socket.socket) -> bool:
    """Whether the other end is gone. It is one that has nothing more to say."""
    try:
        line.recv(64, socket.MSG_DONTWAIT)
    except (BlockingIOError, TimeoutError):
        return False
    except OSError:
        return True
    return True


def _readable(of: list[Any], seconds: float | None) -> None:
    """Until one of them can be read, or for so long."""
    poll = select.poll()
    for one in of:
        poll.register(one.fileno(), select.POLLIN)
    poll.poll(None if seconds is None else seconds * 1000)


def _left(deadline: float | None, at_most: float | None = None) -> float | None:
    """Seconds until then, and not more than that."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    return at_most if left is None else left if at_most is None else min(left, at_most)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _error(kind: type[framewire.Error], code: str, text: str) -> framewire.Error:
    error = kind(text)
    error.code = code
    return error

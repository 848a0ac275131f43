"""A plain TCP socket. Every frame has the same length, so the stream needs no framing."""

import socket

from frame import STAMP


class Sender:
    def __init__(self, host, port, picture):
        self._memory = picture.memory
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self):
        self._socket.sendall(self._memory)

    def close(self):
        self._socket.close()


class Receiver:
    def __init__(self, host, port, size_bytes):
        self._memory = memoryview(bytearray(size_bytes))
        self._listener = socket.create_server((host, port))
        self._socket = None

    def receive(self):
        if self._socket is None:
            self._socket, _ = self._listener.accept()
        filled = 0
        while filled < len(self._memory):
            count = self._socket.recv_into(self._memory[filled:])
            if count == 0:
                raise ConnectionError("the sender closed the connection within a frame")
            filled += count
        return self._memory[: STAMP.size], filled

    def release(self):
        pass

    def close(self):
        self._socket.close()
        self._listener.close()

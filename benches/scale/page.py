"""A page that looks: it asks for a stream's next picture whenever it has shown the last, as a browser does, and shows nothing."""

import base64
import json
import os
import socket
import struct
import threading

from report import Failed
from servers import PORT


class Page(threading.Thread):
    """Looks at one stream, from its start to its closing."""

    def __init__(self, address: str, stream: int):
        super().__init__(daemon=True)
        self._stream = stream
        self._socket = socket.create_connection((address, PORT), timeout=60)
        self._in = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        asks = ["GET /api/pictures HTTP/1.1", f"Host: {address}:{PORT}", "Upgrade: websocket", "Connection: Upgrade",
                f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self._socket.sendall("\r\n".join(asks).encode())
        answer = self._in.readline()
        if b" 101 " not in answer:
            raise Failed(f"the page answers a WebSocket with {answer.decode().strip()}")
        while self._in.readline().strip():
            pass

    def run(self) -> None:
        seen = 0
        try:
            while True:
                self._say(json.dumps({"stream": self._stream, "size": "tile", "seen": seen}).encode())
                seen = struct.unpack(">IB3xQ", self._heard()[:16])[2]
        except (OSError, struct.error, EOFError):
            # It was closed, or the stream has ended.
            return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.join()

    def _say(self, text: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        self._socket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)

    def _heard(self) -> bytes:
        """The next binary message; the server's pings are let be."""
        while True:
            head = self._in.read(2)
            if len(head) < 2:
                raise EOFError
            kind, length = head[0] & 15, head[1] & 127
            if length == 126:
                [length] = struct.unpack(">H", self._in.read(2))
            elif length == 127:
                [length] = struct.unpack(">Q", self._in.read(8))
            body = self._in.read(length)
            if kind == 2:
                return body
            if kind == 8:
                raise EOFError

"""imageZMQ as it comes: REQ/REP, each picture answered before the next is sent."""

import imagezmq

from frame import STAMP


class Sender:
    def __init__(self, host, port, picture):
        self._picture = picture.array
        self._sender = imagezmq.ImageSender(connect_to=f"tcp://{host}:{port}")

    def send(self):
        self._sender.send_image("peer", self._picture)

    def close(self):
        self._sender.close()


class Receiver:
    def __init__(self, host, port, size_bytes):
        self._hub = imagezmq.ImageHub(open_port=f"tcp://{host}:{port}")

    def receive(self):
        _, picture = self._hub.recv_image()
        return picture.reshape(-1)[: STAMP.size], picture.nbytes

    def release(self):
        self._hub.send_reply()

    def close(self):
        self._hub.close()

"""zenoh, publisher to subscriber, through shared memory (its default between processes of one machine), over TCP, TLS or QUIC.

The first 16 bytes of the frame travel a second time as an attachment. A zenoh payload can be read from Python only by
copying it whole; with the attachment the receiver accounts for a frame and leaves its payload where zenoh put it,
which is the best that zenoh can do. `take_bytes` makes that copy, as a program that looks at the pixels must.

Over TLS and QUIC the receiver has a certificate, and the sender believes nobody but the authority that has signed it.
"""

import json
import time

import zenoh

from frame import STAMP
from transports import credentials

KEY = "framewire/peers/frame"


class Sender:
    def __init__(self, host, port, picture, shared_memory=False, take_bytes=False, link="tcp", secrets=None):
        self._memory = picture.memory
        self._session = zenoh.open(_config(shared_memory, secrets, connect=f"{link}/{host}:{port}"))
        # The default drops frames when a queue is full.
        self._publisher = self._session.declare_publisher(KEY, congestion_control=zenoh.CongestionControl.BLOCK)
        # What is published before the subscriber is known goes nowhere.
        while not self._publisher.matching_status:
            time.sleep(0.01)

    def send(self):
        self._publisher.put(self._memory, attachment=bytes(self._memory[: STAMP.size]))

    def close(self):
        self._session.close()


class Receiver:
    def __init__(self, host, port, size_bytes, shared_memory=False, take_bytes=False, link="tcp", secrets=None):
        self._take_bytes = take_bytes
        self._frames = 0
        self._through_shared_memory = 0
        if secrets:
            credentials.make_certificates(secrets, host)
        self._session = zenoh.open(_config(shared_memory, secrets, listen=f"{link}/{host}:{port}"))
        self._subscriber = self._session.declare_subscriber(KEY)
        self._sample = None

    def receive(self):
        # Holding the sample until release() keeps its payload mapped, as a program that uses the frame would.
        self._sample = self._subscriber.recv()
        payload = self._sample.payload
        self._frames += 1
        self._through_shared_memory += payload.as_shm() is not None
        if self._take_bytes:
            taken = payload.to_bytes()
            return taken[: STAMP.size], len(taken)
        return self._sample.attachment.to_bytes(), len(payload)

    def release(self):
        self._sample = None

    def shared_memory_share(self):
        return self._through_shared_memory / self._frames

    def close(self):
        self._session.close()


def _config(shared_memory, secrets, listen=None, connect=None):
    config = zenoh.Config()
    config.insert_json5("transport/shared_memory/enabled", json.dumps(shared_memory))
    # The ends are told of each other; they must not find other zenoh programs on this machine.
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", json.dumps([listen] if listen else []))
    config.insert_json5("connect/endpoints", json.dumps([connect] if connect else []))
    if secrets:
        files = {"root_ca_certificate": "authority.pem"} if connect else {
            "listen_certificate": "receiver.pem", "listen_private_key": "receiver.key",
        }
        for setting, file in files.items():
            config.insert_json5(f"transport/link/tls/{setting}", json.dumps(str(secrets / file)))
    return config

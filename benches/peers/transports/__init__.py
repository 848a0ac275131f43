"""The transports that run in Python. Each module has a `Sender` and a `Receiver`, opened ready for the first frame.

`Sender(host, port, picture)` has `send()`, which sends the picture as it is now, and `close()`.
`Receiver(host, port, size_bytes)` has `receive()`, which waits for a frame and gives its first 16 bytes and its length,
`release()`, called when the frame is done with, and `close()`.

Those of `PROTECTED` are given `secrets` too, a folder: what the receiver needs the sender to know when it is opened is in it.
"""

import importlib

MODULES = {
    "zenoh-shm": ("zenoh_pubsub", {"shared_memory": True}),
    "zenoh-shm-bytes": ("zenoh_pubsub", {"shared_memory": True, "take_bytes": True}),
    "zenoh-tcp": ("zenoh_pubsub", {"shared_memory": False}),
    "zenoh-tls": ("zenoh_pubsub", {"link": "tls"}),
    "zenoh-quic": ("zenoh_pubsub", {"link": "quic"}),
    "imagezmq": ("imagezmq_reqrep", {}),
    "imagezmq-curve": ("imagezmq_curve", {}),
    "tcp": ("tcp_socket", {}),
}

PROTECTED = ("zenoh-tls", "zenoh-quic", "imagezmq-curve")
"""What nobody on the way can read, and whose ends prove themselves."""


def load(name: str):
    """The module of a transport, and the options that make it this contender."""
    module, options = MODULES[name]
    return importlib.import_module(f"transports.{module}"), options

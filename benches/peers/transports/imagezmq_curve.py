"""imageZMQ over CurveZMQ: REQ/REP as it comes, encrypted, and each end shows its key to the other.

imageZMQ has no setting for it. Its classes make their socket in one method, in which a program that wants encryption puts
the keys before it binds or connects, as here.
"""

import imagezmq
import zmq
import zmq.auth.thread

from transports import credentials, imagezmq_reqrep


class CurveSender(imagezmq.ImageSender):
    def __init__(self, connect_to, keys):
        self._keys = keys
        super().__init__(connect_to)

    def init_reqrep(self, address):
        self.zmq_context = imagezmq.SerializingContext()
        self.zmq_socket = self.zmq_context.socket(zmq.REQ)
        self.zmq_socket.curve_serverkey, self.zmq_socket.curve_publickey, self.zmq_socket.curve_secretkey = self._keys
        self.zmq_socket.connect(address)
        self.send_image = self.send_image_reqrep
        self.send_jpg = self.send_jpg_reqrep


class CurveHub(imagezmq.ImageHub):
    def __init__(self, open_port, keys):
        self._keys = keys
        super().__init__(open_port)

    def init_reqrep(self, address):
        public, secret, senders_public = self._keys
        self.zmq_context = imagezmq.SerializingContext()
        # Without it, whoever knows the hub's public key may send.
        self._authenticator = zmq.auth.thread.ThreadAuthenticator(self.zmq_context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(credentials_provider=OnlyThisKey(senders_public))
        self.zmq_socket = self.zmq_context.socket(zmq.REP)
        self.zmq_socket.curve_publickey, self.zmq_socket.curve_secretkey = public, secret
        self.zmq_socket.curve_server = True
        self.zmq_socket.bind(address)

    def close(self):
        self._authenticator.stop()
        super().close()


class OnlyThisKey:
    """Who may send."""

    def __init__(self, key):
        self._key = key

    def callback(self, _domain, key):
        return key == self._key


class Sender(imagezmq_reqrep.Sender):
    def __init__(self, host, port, picture, secrets):
        self._picture = picture.array
        self._sender = CurveSender(f"tcp://{host}:{port}", credentials.curve_keys_of_sender(secrets))


class Receiver(imagezmq_reqrep.Receiver):
    def __init__(self, host, port, size_bytes, secrets):
        self._hub = CurveHub(f"tcp://{host}:{port}", credentials.make_curve_keys(secrets))

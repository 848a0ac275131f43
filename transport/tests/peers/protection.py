"""What protects a stream, written from PROTOCOL.md alone: Noise, the keys, sealed datagrams. Of others' work it takes X25519, ciphers and hashes."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAGIC, VERSION = b"FW", 4
SLICE, FEEDBACK, NACK, PING, OPEN, CHALLENGE, ACCEPT, REFUSE, CLOSE, CLOSED, PARITY = range(1, 12)
TAGGED = 1
AES, CHACHA = 1, 2
TIME_UNKNOWN = 2**64 - 1


class Forged(Exception):
    """A datagram that is not believed."""


def prelude(kind, stream, epoch):
    return MAGIC + struct.pack(">BBII", VERSION, kind, stream, epoch)


def key_id(key):
    return hashlib.sha256(b"framewire key id" + key).digest()[:8]


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


class Noise:
    """Noise_NNpsk0_25519_ChaChaPoly_SHA256, one message each way."""

    NAME = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"

    def __init__(self, psk, context, ephemeral=None):
        self.psk = psk
        self.hash = hashlib.sha256(self.NAME).digest()  # Longer than 32 bytes.
        self.chain = self.hash
        self.key, self.nonce = None, 0
        self._mix_hash(b"framewire 4" + context)
        self.private = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
        self.far = None

    def write_first(self, payload):
        self._psk()
        public = self._own_ephemeral()
        return public + self._encrypt(payload)

    def read_first(self, message):
        self._psk()
        self._far_ephemeral(message[:32])
        return self._decrypt(message[32:])

    def write_second(self, payload):
        public = self._own_ephemeral()
        self._mix_key(self.private.exchange(self.far))
        return public + self._encrypt(payload)

    def read_second(self, message):
        saved = self.hash, self.chain, self.key, self.nonce
        try:
            self._far_ephemeral(message[:32])
            self._mix_key(self.private.exchange(self.far))
            return self._decrypt(message[32:])
        except Forged:
            self.hash, self.chain, self.key, self.nonce = saved
            raise

    def split(self):
        """The sender's half, and the receiver's."""
        return self._hkdf(b"", 2)

    def _hkdf(self, data, count):
        secret, outputs, last = mac(self.chain, data), [], b""
        for number in range(1, count + 1):
            last = mac(secret, last + bytes([number]))
            outputs.append(last)
        return outputs

    def _mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def _mix_key(self, data):
        self.chain, self.key = self._hkdf(data, 2)
        self.nonce = 0

    def _psk(self):
        self.chain, mixed, self.key = self._hkdf(self.psk, 3)
        self._mix_hash(mixed)
        self.nonce = 0

    def _own_ephemeral(self):
        public = self.private.public_key().public_bytes_raw()
        self._mix_hash(public)
        self._mix_key(public)
        return public

    def _far_ephemeral(self, public):
        self.far = X25519PublicKey.from_public_bytes(public)
        self._mix_hash(public)
        self._mix_key(public)

    def _nonce(self):
        self.nonce += 1
        return bytes(4) + struct.pack("<Q", self.nonce - 1)

    def _encrypt(self, plain):
        text = ChaCha20Poly1305(self.key).encrypt(self._nonce(), plain, self.hash)
        self._mix_hash(text)
        return text

    def _decrypt(self, text):
        try:
            plain = ChaCha20Poly1305(self.key).decrypt(self._nonce(), text, self.hash)
        except InvalidTag:
            raise Forged("a message of the handshake") from None
        self._mix_hash(text)
        return plain


def expand(secret, label, suite, generation):
    """The key and IV that HKDF-Expand gives."""
    length = {AES: 16, CHACHA: 32}[suite]
    info = label + bytes([suite]) + struct.pack(">Q", generation)
    first = mac(secret, info + b"\x01")
    output = first + mac(secret, first + info + b"\x02")
    return output[:length], output[length : length + 12]


class SealKey:
    def __init__(self, secret, label, suite, generation=0):
        key, self.iv = expand(secret, label, suite, generation)
        self.cipher = {AES: AESGCM, CHACHA: ChaCha20Poly1305}[suite](key)

    def nonce(self, number):
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + struct.pack(">Q", number)))

    def seal(self, number, aad, plain):
        text = self.cipher.encrypt(self.nonce(number), plain, aad)
        return text[:-16], text[-16:]

    def open(self, number, aad, text, tag):
        try:
            return self.cipher.decrypt(self.nonce(number), text + tag, aad)
        except InvalidTag:
            raise Forged(f"number {number}") from None


class Slices:
    """Seals or opens the slices and parity of an epoch."""

    def __init__(self, secret, suite):
        self.secret, self.suite, self.keys, self.seen = secret, suite, {}, set()

    def _key(self, sequence):
        generation = sequence >> 22
        if generation not in self.keys:
            self.keys[generation] = SealKey(self.secret, b"framewire slices", self.suite, generation)
        return self.keys[generation]

    def seal(self, head, payload):
        sequence = struct.unpack(">Q", head[16:24])[0]
        text, tag = self._key(sequence).seal(sequence, head, payload)
        return head + tag + text

    def open(self, datagram):
        """The head, and the payload."""
        head, tag, text = datagram[:52], datagram[52:68], datagram[68:]
        sequence = struct.unpack(">Q", head[16:24])[0]
        if sequence in self.seen:
            raise Forged("a replay")
        payload = self._key(sequence).open(sequence, head, text, tag)
        self.seen.add(sequence)
        return head, payload


class ControlSealer:
    def __init__(self, secret, label, suite):
        self.key, self.counter = SealKey(secret, label, suite), 0

    def seal(self, fields, padding=b""):
        head = fields[:12] + struct.pack(">H", struct.unpack(">H", fields[12:14])[0] | TAGGED) + fields[14:16]
        counter = struct.pack(">Q", self.counter)
        text, tag = self.key.seal(self.counter, head + counter, fields[16:])
        self.counter += 1
        return head + text + counter + tag + padding


class ControlOpener:
    LENGTHS = {FEEDBACK: 96, NACK: 28, PING: 84, CLOSE: 40, CLOSED: 40}

    def __init__(self, secret, label, suite):
        self.key, self.seen = SealKey(secret, label, suite), set()

    def open(self, datagram):
        """The datagram as if it were a plain one."""
        flags, word = struct.unpack(">HH", datagram[12:16])
        length = self.LENGTHS[datagram[3]] + (word if datagram[3] == NACK else 0)
        if not flags & TAGGED or len(datagram) < length + 24:
            raise Forged("no tag")
        head, text = datagram[:16], datagram[16:length]
        counter, tag = datagram[length : length + 8], datagram[length + 8 : length + 24]
        number = struct.unpack(">Q", counter)[0]
        if number in self.seen:
            raise Forged("a replay")
        plain = self.key.open(number, head + counter, text, tag)
        self.seen.add(number)
        return head[:12] + struct.pack(">H", flags & ~TAGGED) + head[14:] + plain


class Session:
    """The keys of an epoch at one of its ends."""

    def __init__(self, noise, suite, is_sender):
        from_sender, from_receiver = noise.split()
        self.slices = Slices(from_sender, suite)
        control, answers = (from_sender, b"framewire control", suite), (from_receiver, b"framewire answers", suite)
        self.says = ControlSealer(*(control if is_sender else answers))
        self.hears = ControlOpener(*(answers if is_sender else control))


def sealed_open(key, plain, suites, ephemeral=None):
    """A plain Open as a sealed one, and its handshake."""
    context = plain[:12] + struct.pack(">H", TAGGED) + plain[14:24] + key_id(key) + struct.pack(">HH", suites, 0)
    noise = Noise(key, context, ephemeral)
    return context + noise.write_first(plain[24:124]), noise


def open_of(key, sealed, ephemeral=None):
    """The plain Open in a sealed one, the suites that it offers, and its handshake."""
    context = sealed[:36]
    noise = Noise(key, context, ephemeral)
    payload = noise.read_first(sealed[36:184])
    return context[:12] + bytes(2) + context[14:24] + payload, struct.unpack(">H", context[32:34])[0], noise


def sealed_accept(noise, suite, plain):
    """A plain Accept as a sealed one; the session it begins."""
    payload = bytes([suite, 0, 0, 0]) + plain[16:64]
    message = noise.write_second(payload)
    return plain[:12] + struct.pack(">H", TAGGED) + plain[14:16] + message, Session(noise, suite, is_sender=False)


def accept_of(noise, sealed):
    """The plain Accept in a sealed one; the session it begins."""
    payload = noise.read_second(sealed[16:116])
    plain = sealed[:12] + bytes(2) + sealed[14:16] + payload[4:]
    return plain, Session(noise, payload[0], is_sender=True)

"""A peer of protected streams over UDP, from PROTOCOL.md alone: the key as 43 characters on its standard input, what it did on its output.

    peer.py send HOST PORT SUITES    streams frames to a receiver, of which it offers these suites
    peer.py receive SUITES           takes a stream, with one of these; says its port first

Frames are gray8; byte `i` of frame `n` is (31 n + 7 i) mod 251. Both ways somebody without the key is heard in between, who must change nothing."""

import base64
import hashlib
import os
import random
import socket
import struct
import sys
import time

import protection as p

WIDTH, HEIGHT = 320, 240
FRAME_BYTES = WIDTH * HEIGHT
FRAMES = 3
GRAY8, EVERY = 0x0108, 1
HEAD = 68
SLICE_BYTES = 1472
PAYLOAD = SLICE_BYTES - HEAD
PATIENCE = 60


def frame_of(number):
    return bytes((31 * number + 7 * at) % 251 for at in range(FRAME_BYTES))


def now():
    return time.monotonic_ns()


def flipped(datagram):
    """Another bit somewhere behind the prelude."""
    at = random.randrange(14, len(datagram))
    return datagram[:at] + bytes([datagram[at] ^ 1 << random.randrange(8)]) + datagram[at + 1 :]


class Sender:
    def __init__(self, key, address, suites):
        self.key, self.suites = key, suites
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.stream, self.epoch = random.getrandbits(32), random.getrandbits(32)
        self.sequence, self.settled, self.frame_limit, self.sequence_limit = 0, 0, 0, 0
        self.closed = None
        self.end = time.monotonic() + PATIENCE

    def prelude(self, kind):
        return p.prelude(kind, self.stream, self.epoch)

    def hear(self, seconds):
        """The next datagram, or nothing."""
        assert time.monotonic() < self.end, "the receiver does not answer as it should"
        self.socket.settimeout(seconds)
        try:
            datagram = self.socket.recv(65536)
        except TimeoutError:
            return None
        assert datagram[:3] == b"FW\x04" and struct.unpack(">II", datagram[4:12]) == (self.stream, self.epoch)
        return datagram

    def plain_open(self, cookie):
        fields = struct.pack(">HHQQIIII", 0, SLICE_BYTES, cookie, 0, WIDTH, HEIGHT, WIDTH, FRAME_BYTES)
        fields += struct.pack(">IIIIBBBBI", 30, 1, 1, 1, 1, 0, 1, 0, 0)
        fields += struct.pack(">HHHBBQQQQQI", GRAY8, 0, 0, EVERY, 0, 0, now(), 0, 0, p.TIME_UNKNOWN, 2**32 - 1)
        return self.prelude(p.OPEN) + fields

    def open(self):
        cookie = 0
        while True:
            opening, noise = p.sealed_open(self.key, self.plain_open(cookie), self.suites)
            answer = None
            while answer is None or answer[3] == p.CHALLENGE and cookie:
                self.socket.send(opening)
                answer = self.hear(1)
            if answer[3] == p.CHALLENGE:
                cookie = struct.unpack(">Q", answer[16:24])[0]
                continue
            assert answer[3] == p.ACCEPT, f"refused: {answer.hex()}"
            # Before the true answer, and after it, one that is not the receiver's.
            try:
                p.accept_of(noise, flipped(answer[:16]) + answer[16:-1] + bytes([answer[-1] ^ 1]))
                raise AssertionError("a changed answer was taken")
            except p.Forged:
                accept, self.session = p.accept_of(noise, answer)
            self.frame_limit, self.sequence_limit = struct.unpack(">QQ", accept[16:32])
            assert struct.unpack(">Q", accept[40:48])[0] == p.TIME_UNKNOWN
            return

    def ping(self, frame, padding=0):
        fields = self.prelude(p.PING) + struct.pack(
            ">HHQQQQQQQQI", 0, 108 + padding, now(), self.sequence, frame, p.TIME_UNKNOWN, 0, 0, 0, p.TIME_UNKNOWN, 2**32 - 1
        )
        self.socket.send(self.session.says.seal(fields, bytes(padding)))

    def close(self):
        fields = self.prelude(p.CLOSE) + struct.pack(">HHQQQ", 0, 0, FRAMES, 0, 0)
        self.socket.send(self.session.says.seal(fields))

    def handle(self, datagram, frame):
        """What an answer says; sends again what it asks for."""
        plain = self.session.hears.open(datagram)
        if plain[3] == p.FEEDBACK:
            _, settled, frame_limit, _, sequence_limit = struct.unpack(">QQQQQ", plain[16:56])
            self.settled = max(self.settled, settled)
            self.frame_limit = max(self.frame_limit, frame_limit)
            self.sequence_limit = max(self.sequence_limit, sequence_limit)
        elif plain[3] == p.NACK:
            length, number, first = struct.unpack(">HQI", plain[14:28])
            if number == frame[0]:
                bits = range(length * 8) if length else []
                lost = [first + bit for bit in bits if plain[28 + bit // 8] & 0x80 >> bit % 8]
                lost = lost if length else range(-(-FRAME_BYTES // PAYLOAD))
                for index in lost:
                    self.slice(frame, index, is_repair=True)
        elif plain[3] == p.CLOSED:
            self.closed = struct.unpack(">QQQ", plain[16:40])

    def slice(self, frame, index, is_repair=False, is_lost=False):
        if self.sequence >= self.sequence_limit:
            return False
        number, data = frame
        head = self.prelude(p.SLICE) + struct.pack(
            ">HHQQQIII", p.TAGGED | 2 * is_repair, 0, self.sequence, number, self.captured, FRAME_BYTES, index, 0
        )
        datagram = self.session.slices.seal(head, data[index * PAYLOAD : (index + 1) * PAYLOAD])
        self.sequence += 1
        if not is_lost:
            # Each after one that is not true, and followed by itself.
            for each in flipped(datagram), datagram, datagram:
                self.socket.send(each)
        return True

    def stream_frames(self):
        self.ping(0, padding=SLICE_BYTES - 108)
        for number in range(FRAMES):
            self.captured = now()
            frame, index = (number, frame_of(number)), 0
            while self.settled <= number:
                is_credited = number < self.frame_limit
                if is_credited and index * PAYLOAD < FRAME_BYTES and self.slice(frame, index, is_lost=index == 7):
                    index += 1
                    continue
                datagram = self.hear(0.02)
                if datagram is None:
                    self.ping(number + (index * PAYLOAD >= FRAME_BYTES))
                else:
                    self.handle(datagram, frame)
        # Somebody else would end it.
        self.socket.send(self.prelude(p.CLOSE) + struct.pack(">HHQQQ", 0, 0, FRAMES, 0, 0))
        while self.closed is None:
            self.close()
            if datagram := self.hear(0.2):
                self.handle(datagram, frame)
        return self.closed


class Receiver:
    def __init__(self, key, suites):
        self.key, self.suites = key, suites
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.cookie = random.getrandbits(64) | 1
        self.opening = self.session = None
        self.frames, self.settled, self.seen, self.report, self.arrived, self.path_bytes = {}, 0, 0, 0, 0, 0
        self.whole, self.echo, self.was_lost, self.forged, self.is_closed = {}, (p.TIME_UNKNOWN, 0), False, 0, False

    def prelude(self, kind):
        return p.prelude(kind, self.stream, self.epoch)

    def run(self):
        print(self.socket.getsockname()[1], flush=True)
        end = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < end, "the sender does not say what it should"
            self.socket.settimeout(2 if self.is_closed else 1)
            try:
                datagram, self.peer = self.socket.recvfrom(65536)
            except TimeoutError:
                if self.is_closed:
                    return
                continue
            try:
                self.handle(datagram)
            except p.Forged:
                self.forged += 1

    def say(self, datagram):
        self.socket.sendto(datagram, self.peer)

    def handle(self, datagram):
        kind = datagram[3]
        if kind == p.OPEN:
            self.handle_open(datagram)
        elif self.session is None:
            pass
        elif kind in (p.SLICE, p.PARITY):
            self.handle_slice(*self.session.slices.open(datagram))
        else:
            self.handle_control(self.session.hears.open(datagram))

    def handle_open(self, datagram):
        self.stream, self.epoch = struct.unpack(">II", datagram[4:12])
        assert datagram[12:14] == b"\0\1" and datagram[24:32] == p.key_id(self.key)
        self.path_bytes = max(self.path_bytes, len(datagram))
        if struct.unpack(">Q", datagram[16:24])[0] != self.cookie:
            self.say(self.prelude(p.CHALLENGE) + struct.pack(">HHQ", 0, len(datagram), self.cookie))
            return
        if datagram[:184] != self.opening:
            plain, suites, noise = p.open_of(self.key, datagram)
            self.opening, self.open = datagram[:184], plain
            self.slice_bytes = struct.unpack(">H", plain[14:16])[0]
            accept = struct.pack(">HHQQQQQII", 0, 0, 4, 64, now(), p.TIME_UNKNOWN, 0, 4 << 20, 4)
            suite = p.AES if suites & self.suites & 1 else p.CHACHA
            self.accept, self.session = p.sealed_accept(noise, suite, self.prelude(p.ACCEPT) + accept)
            print("suite", suite, flush=True)
        # Somebody else answers first: in clear, and with what is no message of ours.
        self.say(self.prelude(p.ACCEPT) + struct.pack(">HHQQQQQII", 0, 0, 1 << 40, 1 << 40, 0, p.TIME_UNKNOWN, 0, 1 << 30, 64))
        self.say(self.accept[:16] + os.urandom(100))
        self.say(self.accept[:14] + struct.pack(">H", self.path_bytes) + self.accept[16:])

    def handle_slice(self, head, payload):
        _, _, sequence, number, _, frame_bytes, index, _ = struct.unpack(">HHQQQIII", head[12:])
        self.seen, self.arrived = max(self.seen, sequence + 1), self.arrived + 1
        if not self.was_lost and index == 1:
            # As if it had not come: it is asked for.
            self.was_lost = True
            self.say(self.session.says.seal(self.prelude(p.NACK) + struct.pack(">HHQI", 0, 1, number, index) + b"\x80"))
            return
        if number in self.whole:
            return
        parts = self.frames.setdefault(number, {})
        parts[index] = payload
        if sum(map(len, parts.values())) == frame_bytes:
            self.whole[number] = hashlib.sha256(b"".join(parts[index] for index in sorted(parts))).hexdigest()
            del self.frames[number]
            # In order: a later one may be whole before what an earlier one lacked has come.
            while self.settled in self.whole:
                print("frame", self.settled, self.whole[self.settled], flush=True)
                self.settled += 1
        self.feedback()

    def feedback(self):
        sealed = self.session.says.seal(
            self.prelude(p.FEEDBACK)
            + struct.pack(
                ">HHQQQQQQQQQQ", 0, self.path_bytes, self.report, self.settled, self.settled + 4, self.seen,
                self.seen + 64, self.settled, self.arrived, now(), self.echo[0], now() - self.echo[1],
            )
        )  # fmt: skip
        self.path_bytes, self.report = 0, self.report + 1
        # Before it somebody else's: the same in clear, changed, and that all is over.
        self.say(self.prelude(p.FEEDBACK) + struct.pack(">HHQQQQQQQQQQ", 0, 0, 1 << 40, 1 << 40, *[1 << 40] * 8))
        self.say(flipped(sealed))
        self.say(self.prelude(p.CLOSED) + struct.pack(">HHQQQ", 0, 0, 0, 7, 7))
        self.say(sealed)

    def handle_control(self, plain):
        if plain[3] == p.PING:
            length, sender_ns, sequence = struct.unpack(">HQQ", plain[14:32])
            self.echo, self.path_bytes = (sender_ns, now()), max(self.path_bytes, length)
            self.seen = max(self.seen, sequence)
            for number, parts in self.frames.items():
                self.ask(number, parts)
            self.feedback()
        elif plain[3] == p.CLOSE and struct.unpack(">Q", plain[16:24])[0] <= self.settled:
            closed = struct.pack(">HHQQQ", 0, 0, self.settled, 0, 0)
            self.say(self.session.says.seal(self.prelude(p.CLOSED) + closed))
            self.is_closed = True

    def ask(self, number, parts):
        for index in range(max(parts, default=0)):
            if index not in parts:
                self.say(self.session.says.seal(self.prelude(p.NACK) + struct.pack(">HHQI", 0, 1, number, index) + b"\x80"))


def main():
    text = sys.stdin.readline().strip()
    key = base64.urlsafe_b64decode(text + "=")
    if sys.argv[1] == "send":
        sender = Sender(key, (sys.argv[2], int(sys.argv[3])), int(sys.argv[4]))
        sender.open()
        print("closed", *sender.stream_frames(), flush=True)
    else:
        Receiver(key, int(sys.argv[2])).run()


if __name__ == "__main__":
    main()

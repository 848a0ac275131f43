#!/usr/bin/env python3
"""What one open page costs the data path: the same stream with and without a page, in turns, medians.

The stream is 1080p gray over loopback between the real programs: as fast as it goes with nothing lost, the page opened and
closed in turns (rate), and at 60 frames/s, a run with a page and one without in turns (latency). The page is a reader that
asks for pictures and figures as the page does and shows nothing, so that only the server's side is measured, or with --chromium a real browser, which takes a good part of a small machine for
itself. With `pictures`, what a picture costs: the processor time of the thread that
makes them, encoding included, of a 12-bit 4K Bayer stream or of any other --format. With `stuck`, the browser is stopped, and the server's memory and the frames dropped
meanwhile are watched.

    python3 benches/page/cost.py [--rounds 7] [--seconds 8] [--chromium]
    python3 benches/page/cost.py pictures [--format 3840x2160:bayer_rggb12] [--size tile|full] [--rounds 7]
    python3 benches/page/cost.py first [--rounds 7]
    python3 benches/page/cost.py stuck [--seconds 600]

Needs target/release built (cargo build --release --workspace), Python 3.9, and for --chromium, first and stuck: chromium and
chromedriver.
"""
import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.request

SERVER = "target/release/framewire-server"
CLIENT = "target/release/framewire-client"


class Server:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [SERVER, "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        self.address = said.split("http://")[1].split(" ")[0]
        self.url = "http://" + self.address
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def client(self, *arguments):
        return subprocess.Popen([CLIENT, *arguments, "--server", self.url, "--json"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def streams(self):
        with urllib.request.urlopen(self.url + "/api/streams") as answer:
            return json.load(answer)["streams"]

    def dropped(self):
        """Frames of all streams that did not come, by cause."""
        streams = [stream["frames_dropped"] for stream in self.streams()]
        return {cause: sum(stream[cause] for stream in streams) for cause in streams[0]}

    def picture_seconds(self):
        """Processor time of the thread that makes pictures, by the kernel's count in nanoseconds."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/comm") as file:
                if file.read().strip() == "framewire-pictu":
                    with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as times:
                        return int(times.read().split()[0]) / 1e9
        sys.exit("the server has no thread that makes pictures")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        out = self.process.stdout.read()
        self.process.wait()
        return json.loads(out)


class Reader:
    """Asks as the page does, and shows nothing."""

    def __init__(self, server, size="tile"):
        self.pictures = 0
        self.ended = False
        self.size = size
        self.sockets = []
        host, port = server.address.rsplit(":", 1)
        self.server, self.host, self.port = server, host, int(port)
        for work in (self.read_figures, self.read_pictures):
            threading.Thread(target=self.run, args=(work,), daemon=True).start()

    def run(self, work):
        with contextlib.suppress(OSError, ConnectionError):
            work()

    def connect(self, head):
        connection = socket.create_connection((self.host, self.port))
        self.sockets.append(connection)
        connection.sendall((head + f"Host: {self.server.address}\r\n\r\n").encode())
        return connection.makefile("rwb")

    def read_figures(self):
        events = self.connect("GET /api/events HTTP/1.1\r\n")
        while not self.ended and events.readline():
            pass

    def read_pictures(self):
        web_socket = self.connect(
            "GET /api/pictures HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        if b" 101 " not in web_socket.readline():
            raise RuntimeError("the server opened no WebSocket")
        while web_socket.readline().strip():
            pass
        seen = {}
        while not self.ended:
            for stream in self.server.streams():
                if stream["id"] not in seen:
                    seen[stream["id"]] = 0
                    self.ask(web_socket, stream["id"], 0)
            if not seen:
                time.sleep(0.05)
                continue
            message = self.receive(web_socket)
            stream, serial = struct.unpack_from(">I", message)[0], struct.unpack_from(">Q", message, 8)[0]
            if serial == 0:
                seen.pop(stream, None)
                continue
            self.pictures += 1
            while not self.ended:
                self.ask(web_socket, stream, serial)
                message = self.receive(web_socket)
                serial = struct.unpack_from(">Q", message, 8)[0]
                if serial == 0:
                    break
                self.pictures += 1

    def ask(self, web_socket, stream, seen):
        text = json.dumps({"stream": stream, "size": self.size, "seen": seen}).encode()
        web_socket.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        web_socket.flush()

    @staticmethod
    def receive(web_socket):
        while True:
            head = web_socket.read(2)
            if len(head) < 2:
                raise ConnectionError("the server has closed")
            first, second = head
            length = second & 0x7F
            if length == 126:
                length = struct.unpack(">H", web_socket.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", web_socket.read(8))[0]
            message = web_socket.read(length)
            if first & 0xF == 2:
                return message

    def close(self):
        self.ended = True
        for connection in self.sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Chromium:
    """A real browser with the page open, driven over WebDriver."""

    def __init__(self, server):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.port = line.rstrip().rstrip(".").split(" ")[-1]
                break
        threading.Thread(target=self.driver.stdout.read, daemon=True).start()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", # All eight tiles in sight: others are not pictured.
                     "--window-size=1100,2000"]
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}}
        self.session = self.request("POST", "/session", wanted)["sessionId"]
        self.request("POST", f"/session/{self.session}/url", {"url": server.url})
        self.pictures = 0

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def script(self, text):
        return self.request("POST", f"/session/{self.session}/execute/sync", {"script": text, "args": []})

    def processes(self):
        """The driver's descendants: all of the browser."""
        found, parents = [], {self.driver.pid}
        for _ in range(8):
            for name in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{name}/stat") as file:
                        parent = int(file.read().rsplit(")", 1)[1].split()[1])
                    if parent in parents and int(name) not in parents:
                        parents.add(int(name))
                        found.append(int(name))
        return found

    def send(self, what):
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, what)

    def close(self):
        with contextlib.suppress(OSError):
            self.request("DELETE", f"/session/{self.session}")
        self.driver.terminate()
        self.driver.wait()


def latency(seconds, page):
    """One run: latency p50 and p99 at 60 frames/s in ms."""
    server = Server()
    viewer = page(server) if page else None
    client = server.client("pattern:1920x1080", "--fps", "60", "--delivery", "latest")
    time.sleep(seconds)
    client.send_signal(signal.SIGINT)
    client.wait()
    figures = server.stop()
    if viewer:
        close(viewer, page, seconds)
    return figures["latency_ms"]["p50"], figures["latency_ms"]["p99"]


def rates(seconds, page, turns):
    """Frames/s without and with a page, in turns within one stream as fast as it goes: two streams differ by more than a page
    costs."""
    server = Server()
    client = server.client("pattern:1920x1080", "--fps", "max", "--delivery", "every")
    while not server.streams():
        time.sleep(0.05)
    time.sleep(1)
    pairs = []
    for nth in range(turns):
        pair = {}
        for viewer in [None, page] if nth % 2 == 0 else [page, None]:
            opened = viewer(server) if viewer else None
            # What opening a page costs is not what it costs while it is open.
            time.sleep(0.3)
            pair[viewer] = rate(server, seconds)
            if opened:
                close(opened, page, seconds)
        pairs.append((pair[None], pair[page]))
    client.send_signal(signal.SIGINT)
    client.wait()
    server.stop()
    return pairs


def rate(server, seconds):
    """Frames delivered a second."""
    def read():
        return time.monotonic(), server.streams()[0]["frames_delivered"]

    begun, before = read()
    time.sleep(seconds)
    ended, after = read()
    return (after - before) / (ended - begun)


def close(viewer, page, seconds):
    viewer.close()
    if page is Reader and viewer.pictures < seconds:
        sys.exit(f"the page got {viewer.pictures} pictures in {seconds} s, so its cost was not measured")


def cost(arguments):
    page = Chromium if arguments.chromium else Reader
    pairs = rates(arguments.seconds / 4, page, 4 * arguments.rounds)
    for without, with_page in pairs:
        print(f"{without:.0f} frames/s without, {with_page:.0f} with", file=sys.stderr)
    latencies = []
    for nth in range(arguments.rounds):
        order = [None, page] if nth % 2 == 0 else [page, None]
        measured = {viewer: latency(arguments.seconds, viewer) for viewer in order}
        (p50, p99), (page_p50, page_p99) = measured[None], measured[page]
        latencies.append((page_p50 / p50, page_p99 / p99))
        print(f"round {nth + 1}: p50 {p50:.2f} and {page_p50:.2f} ms, p99 {p99:.2f} and {page_p99:.2f} ms", file=sys.stderr)
    ratio = statistics.median(after / before for before, after in pairs)
    p50, p99 = (statistics.median(ratios) for ratios in zip(*latencies))
    print(f"with one page ({page.__name__.lower()}), medians of the ratios of {len(pairs)} turns and {arguments.rounds} rounds: "
          f"rate {ratio:.3f}, p50 {p50:.2f}, p99 {p99:.2f}")


def stuck(arguments):
    server = Server()
    clients = [server.client("pattern:640x480", "--fps", "30", "--delivery", "latest") for _ in range(8)]
    page = Chromium(server)
    deadline = time.monotonic() + 60
    while page.script("return [...document.querySelectorAll('.tile .shot')].filter((shot) => shot.dataset.frame).length") < 8:
        if time.monotonic() > deadline:
            sys.exit("the page does not show all eight streams")
        time.sleep(0.2)
    page.send(signal.SIGSTOP)
    time.sleep(5)
    begun = time.monotonic()
    before, dropped_before = server.resident_bytes(), server.dropped()
    most = before
    while time.monotonic() - begun < arguments.seconds:
        time.sleep(1)
        most = max(most, server.resident_bytes())
    after, dropped_after = server.resident_bytes(), server.dropped()
    page.send(signal.SIGCONT)
    for client in clients:
        client.send_signal(signal.SIGINT)
    ends = [json.loads(client.communicate()[0]) for client in clients]
    figures = server.stop()
    page.close()
    sent = sum(end["frames_sent"] for end in ends)
    # A browser that starts or goes on has a small machine to itself for a moment: that is not what is looked at here.
    dropped = {cause: dropped_after[cause] - dropped_before[cause] for cause in dropped_after}
    print(f"a stopped browser and 8 streams for {arguments.seconds:.0f} s: {before / 1e6:.1f} MB before, {most / 1e6:.1f} at most, "
          f"{after / 1e6:.1f} after; dropped meanwhile {dropped}; {sent} frames sent in all, {figures['frames_delivered']} "
          f"delivered, dropped {figures['frames_dropped']}")
    if most - before > 16e6 or any(dropped.values()):
        sys.exit("memory grew by more than 16 MB, or frames were dropped")


def pictures(arguments):
    """What a picture costs, in processor time."""
    server = Server("--preview-fps", "30")
    client = server.client("pattern:" + arguments.format, "--fps", "15", "--delivery", "latest")
    while not server.streams():
        time.sleep(0.05)
    reader = Reader(server, arguments.size)
    costs = []
    for _ in range(arguments.rounds):
        before, made = server.picture_seconds(), reader.pictures
        time.sleep(arguments.seconds / 4)
        made = reader.pictures - made
        if made == 0:
            sys.exit("the page got no picture, so none was measured")
        costs.append((server.picture_seconds() - before) / made * 1e3)
    reader.close()
    client.send_signal(signal.SIGINT)
    client.wait()
    server.stop()
    print(f"a picture ({arguments.size}) of {arguments.format}: {statistics.median(costs):.1f} ms of processor time, the median of "
          f"{len(costs)} rounds ({min(costs):.1f} to {max(costs):.1f}), encoding included")


def first(arguments):
    """From opening the page to the first picture on it, in a browser that runs already."""
    times = []
    server = Server()
    client = server.client("pattern:1920x1080", "--fps", "60", "--delivery", "latest")
    time.sleep(2)
    page = Chromium(server)
    for _ in range(arguments.rounds + 1):
        page.request("POST", f"/session/{page.session}/url", {"url": server.url})
        while not page.script("return performance.getEntriesByName('picture').length"):
            time.sleep(0.02)
        times.append(page.script("return performance.getEntriesByName('picture')[0].startTime"))
    client.send_signal(signal.SIGINT)
    client.wait()
    server.stop()
    page.close()
    # The first one fills the browser's caches.
    print(f"first picture after {statistics.median(times[1:]):.0f} ms, at most {max(times[1:]):.0f}, of {arguments.rounds} openings")


def main():
    # Whoever is started in the background may have been told to ignore interrupts, as are those whom it starts; the programs end by them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", nargs="?", choices=["cost", "pictures", "stuck", "first"], default="cost")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--format", default="3840x2160:bayer_rggb12", help="of the frames, for pictures")
    parser.add_argument("--size", choices=["tile", "full"], default="tile", help="of the pictures, for pictures")
    parser.add_argument("--chromium", action="store_true")
    arguments = parser.parse_args()
    if arguments.seconds is None:
        arguments.seconds = 600.0 if arguments.what == "stuck" else 8.0
    {"cost": cost, "pictures": pictures, "stuck": stuck, "first": first}[arguments.what](arguments)


if __name__ == "__main__":
    main()

"""One end of a measured stream: `ends.py send|receive CONTENDER PLACE SECONDS`. The receiving one prints one JSON object. See rates.py."""

import asyncio
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import framewire

SHAPE = (1080, 1920, 3)
RATE = 60
PATIENCE = 20.0


def main() -> None:
    role, contender, place, seconds = sys.argv[1:]
    ends = {
        "python-udp": (send_udp, receive_udp),
        "python-shm": (send_shm, receive_shm),
        "imagezmq": (send_imagezmq, receive_imagezmq),
        "zenoh-bytes": (send_zenoh, receive_zenoh),
        "paced-pipe": (send_pipe, receive_pipe),
        "paced-shm": (send_paced, receive_paced),
        "paced-shm-async": (send_paced, receive_async),
        "busy-shm": (send_paced, receive_busy),
    }
    send, receive = ends[contender]
    (send if role == "send" else receive)(place, float(seconds))


# At full rate.


def send_udp(place: str, seconds: float) -> None:
    import framewire

    with framewire.Sender(f"127.0.0.1:{place}", delivery="every") as out:
        fill(out, seconds)


def send_shm(place: str, seconds: float) -> None:
    import framewire

    with framewire.Publisher("pair", hub=place) as out:
        fill(out, seconds)


def fill(out: "framewire.Output", seconds: float) -> None:
    pixels = picture()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with out.frame(SHAPE, timeout=PATIENCE) as slot:
            np.copyto(slot.array, pixels)


def receive_udp(place: str, seconds: float) -> None:
    import framewire

    with framewire.Receiver(f"127.0.0.1:{place}") as source:
        count(source, seconds)


def receive_shm(place: str, seconds: float) -> None:
    import framewire

    with framewire.open("pair", hub=place, wait=PATIENCE) as source:
        count(source, seconds)


def count(source: "framewire.Source", seconds: float) -> None:
    pixels = picture()
    source.recv(PATIENCE).release()
    begun = time.monotonic()
    frames, waited = 0, 0.0
    while (now := time.monotonic()) - begun < seconds:
        frame = source.recv(1.0)
        waited += time.monotonic() - now
        np.copyto(pixels, frame.array)
        del frame
        frames += 1
    say(frames=frames, seconds=time.monotonic() - begun, recv=waited / max(frames, 1))


def send_imagezmq(place: str, seconds: float) -> None:
    import imagezmq

    sender, pixels = imagezmq.ImageSender(f"tcp://127.0.0.1:{place}"), picture()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sender.send_image("pair", pixels)


def receive_imagezmq(place: str, seconds: float) -> None:
    import imagezmq

    hub, pixels = imagezmq.ImageHub(f"tcp://127.0.0.1:{place}"), picture()

    def images() -> Iterator[np.ndarray]:
        while True:
            image = hub.recv_image()[1]
            hub.send_reply()
            yield image

    taken(images(), pixels, seconds)


def send_zenoh(place: str, seconds: float) -> None:
    import zenoh

    config = zenoh.Config()
    config.insert_json5("connect/endpoints", json.dumps([f"tcp/127.0.0.1:{place}"]))
    config.insert_json5("mode", '"peer"')
    config.insert_json5("transport/shared_memory/enabled", "true")
    with zenoh.open(config) as session:
        publisher = session.declare_publisher("pair", congestion_control=zenoh.CongestionControl.BLOCK)
        pixels = picture()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            publisher.put(pixels.tobytes())


def receive_zenoh(place: str, seconds: float) -> None:
    import zenoh

    config = zenoh.Config()
    config.insert_json5("listen/endpoints", json.dumps([f"tcp/127.0.0.1:{place}"]))
    config.insert_json5("mode", '"peer"')
    config.insert_json5("transport/shared_memory/enabled", "true")
    pixels = picture()
    with zenoh.open(config) as session:
        subscriber = session.declare_subscriber("pair", zenoh.handlers.RingChannel(2))

        def images() -> Iterator[np.ndarray]:
            while True:
                yield np.frombuffer(subscriber.recv().payload.to_bytes(), np.uint8).reshape(SHAPE)

        taken(images(), pixels, seconds)


def taken(images: Iterator[np.ndarray], pixels: np.ndarray, seconds: float) -> None:
    next(images)
    begun = time.monotonic()
    frames, waited = 0, 0.0
    while (now := time.monotonic()) - begun < seconds:
        image = next(images)
        waited += time.monotonic() - now
        np.copyto(pixels, image)
        frames += 1
    say(frames=frames, seconds=time.monotonic() - begun, recv=waited / max(frames, 1))
    # Whoever is at the other end is ended; what waits here need not be.
    os._exit(0)


# At 60 frames a second.


def paces(seconds: float) -> Iterator[None]:
    next_at = time.monotonic()
    end = next_at + seconds
    while next_at < end:
        next_at += 1 / RATE
        time.sleep(max(0.0, next_at - time.monotonic()))
        yield


def send_pipe(place: str, seconds: float) -> None:
    writing = int(place)
    for _ in paces(seconds):
        os.write(writing, struct.pack("d", time.monotonic()))


def receive_pipe(place: str, seconds: float) -> None:
    reading, ages = int(place), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        (sent,) = struct.unpack("d", os.read(reading, 8))
        ages.append(time.monotonic() - sent)
    say_ages(ages)


def send_paced(place: str, seconds: float) -> None:
    import framewire

    with framewire.Publisher("pair", hub=place, fps=RATE) as out:
        for _ in paces(seconds):
            slot = out.frame((480, 640, 3))
            slot.captured = time.monotonic()
            slot.send()


def receive_paced(place: str, seconds: float) -> None:
    import framewire

    ages = []
    with framewire.open("pair", hub=place, wait=PATIENCE) as source:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            frame = source.recv(1.0)
            ages.append(time.monotonic() - frame.captured)
            del frame
    say_ages(ages)


def receive_async(place: str, seconds: float) -> None:
    asyncio.run(receive_in_loop(place, seconds))


async def receive_in_loop(place: str, seconds: float) -> None:
    import framewire

    ages = []
    async with framewire.open("pair", hub=place, wait=PATIENCE) as source:
        end = time.monotonic() + seconds
        async for frame in source:
            ages.append(time.monotonic() - frame.captured)
            del frame
            if time.monotonic() > end:
                break
    say_ages(ages)


def receive_busy(place: str, seconds: float) -> None:
    import framewire

    with framewire.open("pair", hub=place, wait=PATIENCE) as source:
        alone = counted(lambda end: time.sleep(max(0.0, end - time.monotonic())), seconds / 2)
        ages: list[float] = []

        def receive(end: float) -> None:
            while time.monotonic() < end:
                frame = source.recv(1.0)
                ages.append(time.monotonic() - frame.captured)
                del frame

        # The first one has waited.
        source.recv(1.0).release()
        beside = counted(receive, seconds / 2)
    ages.sort()
    say(kept=beside / alone, age=ages[len(ages) // 2], age_p90=ages[len(ages) * 9 // 10])


def counted(meanwhile: "Callable[[float], None]", seconds: float) -> float:
    """How often a thread goes round a second while something else goes on in this one."""
    end = time.monotonic() + seconds
    rounds = 0

    def count() -> None:
        nonlocal rounds
        while time.monotonic() < end:
            for _ in range(1000):
                rounds += 1

    thread = threading.Thread(target=count)
    thread.start()
    meanwhile(end)
    thread.join()
    return rounds / seconds


def picture() -> np.ndarray:
    return np.full(SHAPE, 7, np.uint8)


def say_ages(ages: list[float]) -> None:
    ages.sort()
    say(age=ages[len(ages) // 2])


def say(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()

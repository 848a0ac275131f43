"""Frames in an asyncio program: a small HTTP server that answers with the newest frame as a PNG file.

python asyncio_server.py [HOST:PORT [HTTP_PORT]]: without an address it brings frames of its own, asks itself three times, and ends.
"""

import asyncio
import sys
import threading

import framewire as fw
import numpy as np


async def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else None
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8090
    newest: list[fw.Frame] = []
    done = threading.Event()

    async def keep_the_newest(receiver: fw.Receiver) -> None:
        async for frame in receiver:
            # The one before gives its slot back.
            newest[:] = [frame]

    async def answer(asks: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        await asks.readuntil(b"\r\n\r\n")
        file = newest[0]._repr_png_() if newest else None
        if file is None:
            answers.write(b"HTTP/1.1 503 No frame yet\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            answers.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(file) + file
            )
        await answers.drain()
        answers.close()

    async with fw.Receiver(address or "127.0.0.1:0") as receiver:
        keeping = asyncio.create_task(keep_the_newest(receiver))
        server = await asyncio.start_server(answer, "127.0.0.1", port if address else 0)
        host, port = server.sockets[0].getsockname()
        print(f"http://{host}:{port}/ answers with the newest frame")
        if address is None:
            threading.Thread(target=send_noise, args=(receiver.address, done)).start()
            answered = 0
            while answered < 3:
                answered += await ask(host, port)
            done.set()
            print(f"asyncio_server: {answered} pictures answered, {receiver.stats().taken} frames taken")
        else:
            await server.serve_forever()
        keeping.cancel()
        server.close()


async def ask(host: str, port: int) -> bool:
    """Whether there was a picture."""
    answers, asks = await asyncio.open_connection(host, port)
    asks.write(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    answer = await answers.read()
    asks.close()
    return answer.startswith(b"HTTP/1.1 200") and b"\x89PNG" in answer


def send_noise(address: str, done: threading.Event) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    with fw.Sender(address, fps=60) as out:
        while not done.wait(1 / 60):
            picture = np.roll(picture, 1, axis=1)
            out.send(picture)


if __name__ == "__main__":
    asyncio.run(main())

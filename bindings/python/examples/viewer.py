"""Shows the frames of a UDP address with OpenCV: python viewer.py [HOST:PORT]

Without an address it brings a moving square of its own, and ends after 60 frames. Without a screen it writes the last frame into a file instead.
"""

import os
import sys
import tempfile
import threading

import cv2
import framewire as fw

FRAMES_OF_ITS_OWN = 60


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else None
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    shown = 0
    done = threading.Event()
    with fw.Receiver(address or "127.0.0.1:0") as receiver:
        if address is None:
            threading.Thread(target=send_a_moving_square, args=(receiver.address, done)).start()
        for frame in receiver:
            # OpenCV does not draw on what is read-only: a frame's array is, a copy is not.
            image = frame.copy().array
            latency = "" if frame.latency is None else f"{frame.latency * 1000:.1f} ms"
            cv2.putText(image, f"{frame.number}  {latency}", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
            shown += 1
            if has_screen:
                cv2.imshow("Framewire", image)
                if cv2.waitKey(1) == 27:
                    break
            if address is None and shown == FRAMES_OF_ITS_OWN:
                break
        done.set()
        if not has_screen:
            file = os.path.join(tempfile.gettempdir(), "framewire-viewer.png")
            cv2.imwrite(file, image)
            print(f"there is no screen: the last frame is {file}")
    print(f"viewer: {shown} frames shown")


def send_a_moving_square(address: str, done: threading.Event) -> None:
    left = 0
    with fw.Sender(address, fps=60) as out:
        while not done.wait(1 / 60):
            with out.frame((360, 640, 3), timeout=10) as slot:
                slot.array[...] = (60, 40, 30)
                slot.array[140:220, left : left + 80] = (80, 200, 240)
            left = (left + 4) % 560


if __name__ == "__main__":
    main()

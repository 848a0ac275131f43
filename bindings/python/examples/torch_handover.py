"""Frames as tensors of PyTorch, on the GPU where there is one: python torch_handover.py

A tensor is always of its own memory: PyTorch has no read-only tensors, and what is written into one must not be written into the frame that others read.
"""

import framewire as fw
import numpy as np

try:
    import torch  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    raise SystemExit("torch_handover: SKIPPED, PyTorch is not there: pip install torch") from None


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    picture = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    with fw.Receiver("127.0.0.1:0") as receiver, fw.Sender(receiver.address, delivery="every") as out:
        for _ in range(10):
            out.send(picture)
            with receiver.recv(timeout=30) as frame:
                tensor = frame.torch(device)
            # Batch, channels, rows, columns; 0 to 1.
            batch = tensor.permute(2, 0, 1).unsqueeze(0).float() / 255
        assert torch.equal(tensor.cpu(), torch.from_numpy(picture))
    print(f"torch_handover: 10 frames as tensors of {tuple(batch.shape)} on {device}")


if __name__ == "__main__":
    main()

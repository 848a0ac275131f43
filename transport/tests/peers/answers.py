"""The known answers of PROTOCOL.md, computed anew: prints each as the document shows it. Without an argument; with `check`, says whether the
document has the same."""

import pathlib
import re
import struct
import sys

import protection as p

DOCUMENT = pathlib.Path(__file__).parents[2] / "PROTOCOL.md"


def golden(name, text):
    block = re.search(rf"```golden {name}\n(.*?)\n```", text, re.S).group(1)
    parts = (part.split("*") for part in block.split())
    return b"".join(bytes.fromhex(part[0]) * int(part[1] if len(part) > 1 else 1) for part in parts)


def tagged(head):
    return head[:12] + struct.pack(">H", struct.unpack(">H", head[12:14])[0] | p.TAGGED) + head[14:]


def answers(text):
    key, near, far = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
    found = {"key id": p.key_id(key)}
    opening, initiator = p.sealed_open(key, golden("Open", text), 3, near)
    found["SealedOpen"] = opening
    plain, suites, responder = p.open_of(key, opening, far)
    assert (plain, suites) == (golden("Open", text), 3)

    # As the example, but for the length of the opening, and the time that is not echoed.
    accept = golden("Accept", text)
    accept = accept[:14] + struct.pack(">H", 184) + accept[16:40] + struct.pack(">Q", p.TIME_UNKNOWN) + accept[48:]
    found["SealedAccept"], receiver = p.sealed_accept(responder, p.AES, accept)
    plain, sender = p.accept_of(initiator, found["SealedAccept"])
    assert plain == accept
    found["from the sender"], found["from the receiver"] = initiator.split()
    assert responder.split() == [found["from the sender"], found["from the receiver"]]
    halves = {b"framewire slices": 0, b"framewire control": 0, b"framewire answers": 1}
    for suite in p.AES, p.CHACHA:
        for label, half in halves.items():
            name = f"{label.decode()}, suite {suite}"
            found[name] = b"".join(p.expand(initiator.split()[half], label, suite, 0))
        found[f"framewire slices, suite {suite}, generation 1"] = b"".join(
            p.expand(initiator.split()[0], b"framewire slices", suite, 1)
        )

    # Of a frame of 500 bytes that is cut at 480, the second slice has 20.
    head, payload = tagged(golden("Slice", text)[:52]), bytes(16) + bytes.fromhex("feedbeef")
    later = head[:16] + struct.pack(">Q", 1 << 22) + head[24:]
    parity = tagged(golden("Parity", text)[:52]), golden("Parity", text)[52:532]
    chacha = p.Slices(initiator.split()[0], p.CHACHA)
    found["Slice"] = sender.slices.seal(head, payload)
    found["Slice, generation 1"] = sender.slices.seal(later, payload)
    found["Slice, suite 2"] = chacha.seal(head, payload)
    # Under the sequence behind that of the slice: no two have one.
    found["Parity"] = sender.slices.seal(parity[0][:16] + struct.pack(">Q", 3) + parity[0][24:], parity[1])
    for name in "Slice", "Slice, generation 1", "Parity":
        receiver.slices.open(found[name])
    for name in "Ping", "Close", "Feedback", "Nack", "Closed":
        ends = (sender, receiver) if name in ("Ping", "Close") else (receiver, sender)
        plain = golden(name, text)
        if name == "Ping":
            plain = plain[:14] + struct.pack(">H", 108) + plain[16:]
        found[name] = ends[0].says.seal(plain)
        assert ends[1].hears.open(found[name]) == plain
    return found


def block(name, data):
    lines = [data[at : at + 16].hex(" ") for at in range(0, len(data), 16)]
    return f"```answer {name}\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    document = DOCUMENT.read_text()
    blocks = [block(name, data) for name, data in answers(document).items()]
    if sys.argv[1:] == ["check"]:
        missing = [shown for shown in blocks if shown not in document]
        print("\n".join(missing), end="", file=sys.stderr)
        sys.exit(bool(missing) or len(blocks) != document.count("```answer "))
    print("\n".join(blocks), end="")

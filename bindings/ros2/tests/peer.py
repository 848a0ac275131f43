"""What ROS 2 has at the other end of a topic, without ROS: Eclipse Cyclone DDS, a middleware of others, with the types of ROS as ROS calls them.

Says and is told a line of JSON at a time. Large messages are taken and given as the bytes that are on the wire: what is looked at is what others see.
"""

import argparse
import json
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass

from cyclonedds._clayer import ddspy_take, ddspy_write
from cyclonedds.core import InstanceState, Policy, Qos, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import array, float64, int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


@dataclass
class RegionOfInterest(IdlStruct, typename="sensor_msgs::msg::dds_::RegionOfInterest_"):
    x_offset: uint32
    y_offset: uint32
    height: uint32
    width: uint32
    do_rectify: bool


@dataclass
class CameraInfo(IdlStruct, typename="sensor_msgs::msg::dds_::CameraInfo_"):
    header: Header
    height: uint32
    width: uint32
    distortion_model: str
    d: sequence[float64]
    k: array[float64, 9]
    r: array[float64, 9]
    p: array[float64, 12]
    binning_x: uint32
    binning_y: uint32
    roi: RegionOfInterest


@dataclass
class Gid(IdlStruct, typename="rmw_dds_common::msg::dds_::Gid_"):
    data: array[uint8, 16]


@dataclass
class NodeEntitiesInfo(IdlStruct, typename="rmw_dds_common::msg::dds_::NodeEntitiesInfo_"):
    node_namespace: str
    node_name: str
    reader_gid_seq: sequence[Gid]
    writer_gid_seq: sequence[Gid]


@dataclass
class ParticipantEntitiesInfo(IdlStruct, typename="rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_"):
    gid: Gid
    node_entities_info_seq: sequence[NodeEntitiesInfo]


@dataclass
class String(IdlStruct, typename="std_msgs::msg::dds_::String_"):
    data: str


@dataclass
class Blob(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    """An image by its name, and anything by what is in it."""

    data: sequence[uint8]


TYPES = {"image": Image, "info": CameraInfo, "string": String, "blob": Blob}


def say(**what):
    print(json.dumps(what), flush=True)


def quality(args):
    reliability = Policy.Reliability.BestEffort if args.best_effort else Policy.Reliability.Reliable(duration(seconds=5))
    policies = [reliability, Policy.History.KeepLast(args.depth), Policy.Durability.Volatile]
    policies.append(Policy.DataRepresentation(use_cdrv0_representation=True))
    return Qos(*policies)


class Cdr:
    """Reads and writes values as CDR aligns them, behind the four bytes that say in which order."""

    def __init__(self, data=b"", order="<"):
        self.order, self.data, self.at = order, data, 0

    def take(self, kind, size):
        self.at += -self.at % size
        (value,) = struct.unpack_from(self.order + kind, self.data, 4 + self.at)
        self.at += size
        return value

    def text(self):
        size = self.take("I", 4)
        taken = bytes(self.data[4 + self.at : 4 + self.at + size - 1]).decode()
        self.at += size
        return taken


def head_of(data):
    """What an image says before its pixels, and where these begin."""
    order = {b"\0\1": "<", b"\0\0": ">"}[bytes(data[:2])]
    cdr = Cdr(data, order)
    stamp = cdr.take("i", 4) * 10**9 + cdr.take("I", 4)
    frame_id = cdr.text()
    height, width = cdr.take("I", 4), cdr.take("I", 4)
    encoding = cdr.text()
    is_bigendian = cdr.take("B", 1)
    step, size = cdr.take("I", 4), cdr.take("I", 4)
    head = dict(stamp=stamp, frame_id=frame_id, height=height, width=width, encoding=encoding)
    head.update(is_bigendian=is_bigendian, step=step, bytes=size)
    return head, 4 + cdr.at


def image_message(image, pixels):
    """An image as bytes, as it is asked for, which need not be as it should be."""
    order = ">" if image.get("big_endian_message") else "<"
    out = bytearray()

    def word(value):
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(struct.pack(order + "I", value))

    def text(value):
        encoded = value.encode()
        word(len(encoded) + 1)
        out.extend(encoded + b"\0")

    stamp = image.get("stamp", 0)
    word(stamp // 10**9)
    word(stamp % 10**9)
    text(image.get("frame_id", "peer"))
    word(image["height"])
    word(image["width"])
    text(image["encoding"])
    out.append(image.get("is_bigendian", 0))
    word(image["step"])
    word(image.get("claimed_bytes", len(pixels)))
    out.extend(pixels)
    out.extend(b"\0" * (-len(out) % 4))
    # Which CDR it is, in the place where each message says so.
    begins = bytes.fromhex(image.get("encapsulation", "00000000" if order == ">" else "00010000"))
    return begins + bytes(out)


def subscribe(args):
    participant = DomainParticipant(args.domain)
    kind = TYPES[args.type]
    any_state = SampleState.Any | ViewState.Any | InstanceState.Any
    waits, readers = WaitSet(participant), {}
    for topic in args.topic.split(","):
        reader = DataReader(participant, Topic(participant, "rt" + topic, kind), quality(args))
        readers[topic] = (reader, ReadCondition(reader, any_state))
        waits.attach(readers[topic][1])
    say(ready=True)
    matched, taken, latencies, numbers, wrong = 0, 0, [], [], 0
    deadline = time.monotonic() + args.patience
    while taken < args.count and time.monotonic() < deadline:
        now_matched = sum(len(reader.get_matched_publications()) for reader, _ in readers.values())
        if now_matched != matched:
            matched = now_matched
            say(matched=matched)
        waits.wait(duration(milliseconds=100))
        for topic, (reader, _) in readers.items():
            if taken >= args.count:
                break
            for data, info in ddspy_take(reader._ref, any_state, min(16, args.count - taken)):
                now = time.time_ns()
                if not info.valid_data:
                    continue
                taken += 1
                deadline = time.monotonic() + args.patience
                if args.type == "info":
                    info = kind.deserialize(data)
                    stamp = info.header.stamp
                    say(topic=topic, frame_id=info.header.frame_id, stamp=stamp.sec * 10**9 + stamp.nanosec, width=info.width, height=info.height,
                        model=info.distortion_model, d=list(info.d), k=list(info.k), r=list(info.r), p=list(info.p))
                    continue
                head, at = head_of(data)
                pixels = memoryview(data)[at : at + head["bytes"]]
                if args.summary:
                    # The frame's number is in its first eight bytes, and in its last.
                    numbers.append(struct.unpack_from("<Q", pixels)[0])
                    wrong += struct.unpack_from("<Q", pixels, len(pixels) - 8)[0] != numbers[-1]
                    latencies.append(now - head["stamp"])
                else:
                    say(topic=topic, **head, whole=len(pixels) == head["bytes"], sum=zlib.crc32(pixels))
    if args.summary:
        latencies.sort()
        at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1e6 if latencies else None
        missing = (max(numbers) - min(numbers) + 1 - len(set(numbers))) if numbers else 0
        say(images=taken, first=numbers[0] if numbers else None, last=numbers[-1] if numbers else None, missing=missing, wrong=wrong,
            in_order=numbers == sorted(numbers), p50_ms=at(0.5), p99_ms=at(0.99), max_ms=at(1))


def publish(args):
    participant = DomainParticipant(args.domain)
    writer = DataWriter(participant, Topic(participant, "rt" + args.topic, TYPES[args.type]), quality(args))
    say(ready=True)

    def tell_matches():
        matched = 0
        while True:
            now_matched = len(writer.get_matched_subscriptions())
            if now_matched != matched:
                matched = now_matched
                say(matched=matched)
            time.sleep(0.05)

    threading.Thread(target=tell_matches, daemon=True).start()
    for line in sys.stdin:
        image = json.loads(line)
        if args.type == "string":
            message = b"\0\1\0\0" + struct.pack("<I", 6) + b"hello\0\0\0"
        else:
            pixels = bytes.fromhex(image["pixels"]) if "pixels" in image else bytes([image["fill"]]) * image["bytes"]
            message = image_message(image, pixels)
            if args.type == "blob":
                # The seconds of its stamp are how many bytes follow.
                inside = message[8 : len(message) - image["cut"]]
                message = message[:4] + struct.pack("<I", len(inside)) + inside
        for _ in range(image.get("times", 1)):
            if ddspy_write(writer._ref, message) < 0:
                say(failed=True)
            elif image.get("every_ms"):
                time.sleep(image["every_ms"] / 1e3)
        say(sent=True)


def nodes(args):
    participant = DomainParticipant(args.domain)
    qos = Qos(Policy.Reliability.Reliable(duration(seconds=1)), Policy.Durability.TransientLocal, Policy.History.KeepLast(1),
              Policy.DataRepresentation(use_cdrv0_representation=True))
    reader = DataReader(participant, Topic(participant, "ros_discovery_info", ParticipantEntitiesInfo), qos)
    say(ready=True)
    deadline = time.monotonic() + args.patience
    while time.monotonic() < deadline:
        for told in reader.take(16):
            for node in getattr(told, "node_entities_info_seq", []):
                say(namespace=node.node_namespace, name=node.node_name, readers=len(node.reader_gid_seq), writers=len(node.writer_gid_seq))
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["subscribe", "publish", "nodes"])
    parser.add_argument("topic", nargs="?")
    parser.add_argument("--domain", type=int, default=0)
    parser.add_argument("--best-effort", action="store_true")
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--patience", type=float, default=40)
    parser.add_argument("--type", choices=sorted(TYPES), default="image")
    parser.add_argument("--summary", action="store_true")
    args = parser.parse_args()
    {"subscribe": subscribe, "publish": publish, "nodes": nodes}[args.what](args)


main()

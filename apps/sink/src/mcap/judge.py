"""Reads MCAP files with rosbags and with mcap, holds them against each other, and prints a JSON line for each message in the order of
the file; the images' bytes go into a file beside it, one after the other. The last line of each file is its summary."""

import json
import sys
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader


def judge(path):
    pixels = path.with_suffix(".pixels").open("wb")
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary, header = reader.get_summary(), reader.get_header()
        messages = []
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            line = {
                "topic": channel.topic,
                "encoding": channel.message_encoding,
                "schema": schema and [schema.name, schema.encoding],
                "sequence": message.sequence,
                "log_time": message.log_time,
                "publish_time": message.publish_time,
            }
            if schema is None:
                line["data"] = message.data.hex()
            messages.append((line, message.data))
        file.seek(0)
        topics = [c.topic for c in summary.channels.values() if c.schema_id]
        decoded = [m.decoded_message for m in reader.iter_decoded_messages(topics=topics)]

    with Reader(path) as reader:
        theirs = [(c.topic, time, data) for c, time, data in reader.messages(reader.connections)]
    # Of one time, theirs may be in another order.
    ours = [(line["topic"], line["log_time"], data) for line, data in messages]
    assert len(theirs) == len(ours) and sorted(theirs) == sorted(ours), "rosbags and mcap read other messages"

    with AnyReader([path]) as reader:
        images = [c for c in reader.connections if c.msgtype == "sensor_msgs/msg/Image"]
        pictures = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages(images)]

    for line, _ in messages:
        if line["schema"]:
            image, other = pictures.pop(0), decoded.pop(0)
            line |= {
                "stamp": image.header.stamp.sec * 1_000_000_000 + image.header.stamp.nanosec,
                "frame_id": image.header.frame_id,
                "size": [image.width, image.height, image.step, len(image.data)],
                "pixels": image.encoding,
            }
            assert image.is_bigendian == 0 == other.is_bigendian
            data = image.data.tobytes()
            assert data == bytes(other.data) and image.encoding == other.encoding and image.header.frame_id == other.header.frame_id
            pixels.write(data)
        print(json.dumps(line))
    pixels.close()
    statistics = summary.statistics
    print(json.dumps({
        "profile": header.profile,
        "messages": statistics.message_count,
        "chunks": len(summary.chunk_indexes),
        "times": [statistics.message_start_time, statistics.message_end_time],
        "counts": {summary.channels[id].topic: n for id, n in statistics.channel_message_counts.items()},
        "indexed": sum(len(c.message_index_offsets) for c in summary.chunk_indexes),
    }))


for path in sys.argv[1:]:
    judge(Path(path))

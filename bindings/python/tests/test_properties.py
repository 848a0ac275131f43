"""Any shape, any strides, any metadata: what arrives is what was sent."""

from __future__ import annotations

import math

import framewire as fw
import numpy as np
from conftest import PATIENCE, Way
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

_SIDES = st.integers(1, 70)

_ITEMS = st.sampled_from([(np.uint8, ()), (np.uint16, ()), (np.float32, ()), (np.uint8, (3,)), (np.uint8, (4,))])

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@_SETTINGS
@given(height=_SIDES, width=_SIDES, items=_ITEMS, seed=st.integers(0, 2**32 - 1), cut=st.sampled_from([1, 2, -1]))
def test_arrays_of_any_shape_and_strides_arrive(way: Way, height: int, width: int, items, seed: int, cut: int):
    kind, channels = items
    noise = np.random.default_rng(seed).bytes(height * width * math.prod(channels) * np.dtype(kind).itemsize)
    whole = np.frombuffer(noise, kind).reshape(height, width, *channels)
    sent = whole[::cut, ::cut]
    source, out = way.pair(sent)
    try:
        out.send(sent)
        frame = source.recv(timeout=PATIENCE)
        assert frame.shape == sent.shape
        assert frame.array.tobytes() == sent.tobytes()
    finally:
        way.close()
        way._made.clear()


@_SETTINGS
@given(metadata=st.dictionaries(_TEXTS, _JSON, max_size=5) | st.lists(_JSON, max_size=5))
def test_whatever_json_can_say_is_told(metadata):
    _, (source, out) = _one_stream()
    try:
        out.send(_PIXEL, metadata=metadata)
    except fw.Error as error:
        assert "4096" in str(error) or "4,096" in str(error)
        return
    assert source.recv(timeout=PATIENCE).metadata == metadata


@_SETTINGS
@given(metadata=st.binary(max_size=4096))
def test_any_bytes_are_told(metadata: bytes):
    _, (source, out) = _one_stream()
    out.send(_PIXEL, metadata=metadata)
    frame = source.recv(timeout=PATIENCE)
    assert frame.metadata_bytes == metadata
    assert frame.metadata == (metadata if metadata or frame.metadata_kind else None)


@_SETTINGS
@given(length=st.integers(1, 5000))
def test_files_of_any_length_arrive(length: int):
    _, (source, out) = _one_stream("bytes")
    sent = np.random.default_rng(length).bytes(length)
    out.send(sent)
    assert bytes(source.recv(timeout=PATIENCE)) == sent


_PIXEL = np.zeros((1, 1), np.uint8)
_STREAMS: dict[str, tuple[Way, tuple[fw.Source, fw.Output]]] = {}


def _one_stream(format: str = "gray8") -> tuple[Way, tuple[fw.Source, fw.Output]]:
    """Opened once: what a frame carries is asked here, not how a stream is opened."""
    if format not in _STREAMS:
        way = Way("udp")
        _STREAMS[format] = way, way.pair(np.zeros(5000, np.uint8) if format == "bytes" else _PIXEL, format=format)
    return _STREAMS[format]

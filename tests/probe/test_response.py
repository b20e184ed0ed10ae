from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balbook.probe.response import BadResponse, ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: r\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(("data", "status"), [(LENGTH, 200), (CHUNKED, 201), (INTERIM, 204)])
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_a_response_ends_with_its_last_byte_however_it_arrives(data: bytes, status: int, cuts: list[int]) -> None:
    reader = ResponseReader()
    edges = [0, *sorted(min(cut, len(data) - 1) for cut in cuts), len(data) - 1]
    for start, end in pairwise(edges):
        assert not reader.feed(data[start:end])
    assert reader.feed(data[-1:])
    assert reader.status == status
    assert reader.is_reusable


def test_headers_are_lower_case_and_repeated_ones_joined() -> None:
    reader = ResponseReader()
    reader.feed(LENGTH)
    assert reader.headers == {"content-length": "5", "x-a": "1, 2"}


@pytest.mark.parametrize(
    "data",
    [
        b"ICY 200 OK\r\n\r\n",
        b"garbage without an end",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        LENGTH + b"more",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000,
    ],
)
def test_what_a_lenient_client_would_guess_at_is_a_bad_response(data: bytes) -> None:
    with pytest.raises(BadResponse):
        ResponseReader().feed(data)


def test_without_a_length_the_close_ends_the_response() -> None:
    reader = ResponseReader()
    assert not reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not reader.feed(b"lo")
    assert reader.end()
    assert not reader.is_reusable


@pytest.mark.parametrize("data", [LENGTH[:-1], CHUNKED[:-2], b"HTTP/1.1 200"])
def test_a_close_within_the_response_cuts_it_short(data: bytes) -> None:
    reader = ResponseReader()
    reader.feed(data)
    assert reader.is_started
    with pytest.raises(BadResponse):
        reader.end()


@pytest.mark.parametrize(
    ("head", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_kept_only_where_the_server_keeps_it(head: bytes, is_reusable: bool) -> None:
    reader = ResponseReader()
    assert reader.feed(head + b"Content-Length: 0\r\n\r\n")
    assert reader.is_reusable is is_reusable

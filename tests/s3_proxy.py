"""A proxy in front of the juicefs gateway, a process of its own: stricter than the gateway, and faulty on demand.

It adds what the gateway lacks (conditional PUT; Content-MD5 on bulk deletes, which current clients no longer send) and
injects the faults that a real store shows on a bad day. The Host header is passed on, so that signatures stay valid.

Control, on the same port under a name that no bucket may have: PUT /__faults__ with a JSON list of faults replaces the
faults, DELETE heals and forgets, GET answers {"requests": [[method, path], ...], "injected": [count per fault]}.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import random
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import ClientResponse, ClientSession, TCPConnector, web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

CONTROL = "/__faults__"
HOP_BY_HOP = ("connection", "content-length", "expect", "keep-alive", "transfer-encoding")
BEFORE_THE_STORE = {
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "internal_error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "access_denied": (403, "AccessDenied", "Access Denied."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}


@dataclass
class Fault:
    """One kind of trouble and the requests that it befalls.

    Attributes:
        kind: slow_down, internal_error, access_denied, expired, reset (no answer at all), latency (late, but whole),
            truncate (half of the body, then the connection closes), stall (half, then silence for `seconds`),
            unconditional (written, whatever its condition), clock (the answer's times are `seconds` later).
        key: the path (/bucket/key, decoded) contains this.
        method: of the request.
        share: of the matching requests, drawn by a seeded generator.
        times: befalls so many requests and no more.
        seconds: how long latency and stall last; how far the clock is off.
    """

    kind: str
    key: str = ""
    method: str = "GET"
    share: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    injected: int = 0

    def befalls(self, request: web.Request, draw: float) -> bool:
        """Whether this request is hit; counts it."""
        wanted = request.method == self.method and self.key in unquote(request.path)
        hit = wanted and draw < self.share and (self.times is None or self.injected < self.times)
        self.injected += hit
        return hit


@dataclass
class Proxy:
    """One gateway behind one port."""

    upstream: URL
    credentials: Credentials
    session: ClientSession | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    queues: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def connection(self, _: web.Application) -> AsyncIterator[None]:
        """Holds the connection to the gateway while the proxy runs."""
        async with ClientSession(auto_decompress=False, connector=TCPConnector(limit=0)) as self.session:
            yield

    async def control(self, request: web.Request) -> web.Response:
        """Faults in, counts out."""
        if request.method == "GET":
            return web.json_response({"requests": self.requests, "injected": [f.injected for f in self.faults]})
        self.faults = [Fault(**values) for values in await request.json()] if request.method == "PUT" else []
        self.requests.clear()
        self.dice = random.Random(0)
        return web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One S3 request, hit by at most one fault."""
        self.requests.append((request.method, unquote(request.path)))
        # A draw for each fault: with one for all, the first would swallow those with smaller shares.
        fault = next((fault for fault in self.faults if fault.befalls(request, self.dice.random())), None)
        if fault is None:
            return await self.forward(request, None)
        if fault.kind in BEFORE_THE_STORE:
            return s3_error(*BEFORE_THE_STORE[fault.kind])
        if fault.kind == "reset":
            reset(request)
            return web.Response()
        if fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
        return await self.forward(request, fault)

    async def forward(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Pass the request on and give the answer back, whole or torn.

        Requests to one key queue up at the gateway: a condition still holds when its write is done, and a read meets no
        write half-way (alone, the gateway answers it with the new bytes at the old length; S3 never does).
        """
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        if request.method == "POST" and "delete" in request.query:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        async with self.queues[request.path]:
            strict = request.method == "PUT" and (fault is None or fault.kind != "unconditional")
            refusal = await self.broken_condition(request) if strict else None
            if refusal is not None:
                return refusal
            async with self.ask(request.method, URL(request.raw_path, encoded=True), headers, body) as answer:
                content = await answer.read()
        return await self.give_back(request, answer, content, fault)

    async def give_back(
        self, request: web.Request, answer: ClientResponse, content: bytes, fault: Fault | None
    ) -> web.StreamResponse:
        """The gateway's answer, whole or torn."""
        response = web.StreamResponse(status=answer.status)
        response.headers.extend((k, v) for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP)
        response.content_length = int(answer.headers.get("Content-Length", len(content)))
        if fault is not None and fault.kind == "clock":
            shift_times(response, fault.seconds)
        await response.prepare(request)
        torn = fault is not None and fault.kind in ("truncate", "stall")
        await response.write(content[: len(content) // 2] if torn else content)
        if torn and fault is not None:
            await asyncio.sleep(fault.seconds)
            close(request)
        else:
            await response.write_eof()
        return response

    def ask(self, method: str, path: URL, headers: dict[str, str], body: bytes = b"") -> Any:
        """A request to the gateway, as an asynchronous context that yields its answer."""
        assert self.session is not None
        url = self.upstream.join(path)
        return self.session.request(method, url, headers=headers, data=body, allow_redirects=False)

    async def broken_condition(self, request: web.Request) -> web.Response | None:
        """The refusal that S3 would answer to If-None-Match or If-Match, or None when the write may go ahead."""
        absent, known = request.headers.get("If-None-Match"), request.headers.get("If-Match")
        if absent is None and known is None:
            return None
        path = URL(request.raw_path, encoded=True).with_query(None)
        signed = AWSRequest(method="HEAD", url=str(self.upstream.join(path)))
        S3SigV4Auth(self.credentials, "s3", "us-east-1").add_auth(signed)
        answer: ClientResponse
        async with self.ask("HEAD", path, dict(signed.headers)) as answer:
            etag = answer.headers.get("ETag", "").strip('"') if answer.status == 200 else None
        if known is not None and etag is None:
            return s3_error(404, "NoSuchKey", "The specified key does not exist.")
        if (absent == "*" and etag is not None) or (known is not None and known.strip('"') != etag):
            return s3_error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        return None


def s3_error(status: int, code: str, message: str) -> web.Response:
    """An error as S3 words it."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


def shift_times(response: web.StreamResponse, seconds: float) -> None:
    """As a store answers whose clock is off."""
    for name in ("Date", "Last-Modified"):
        if name in response.headers:
            later = parsedate_to_datetime(response.headers[name]).timestamp() + seconds
            response.headers[name] = formatdate(later, usegmt=True)


def close(request: web.Request) -> None:
    """Close the client's connection after what has been written."""
    if request.transport is not None:
        request.transport.close()


def reset(request: web.Request) -> None:
    """Close the client's connection with RST, as a dying host does."""
    if request.transport is not None:
        at_once = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        request.transport.abort()


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--credentials", type=json.loads, required=True)
    options = parser.parse_args()
    proxy = Proxy(URL(options.upstream), Credentials(*options.credentials))
    app = web.Application(client_max_size=2**31)
    app.cleanup_ctx.append(proxy.connection)
    app.router.add_route("*", CONTROL, proxy.control)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    web.run_app(app, host="127.0.0.1", port=options.port, print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()

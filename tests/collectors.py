"""A server on loopback that takes what a run tells of itself, or behaves as such servers do on a bad day."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Collector:
    """What came in, in its order.

    Attributes:
        status: of every answer.
        hangs: take the connection and the request, and never answer.
    """

    status: int = 200
    hangs: bool = False
    posted: list[Posted] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str) -> list[bytes]:
        """Of the requests to one path."""
        return [request.body for request in self.posted if request.path == path]


@contextmanager
def collector(status: int = 200, hangs: bool = False) -> Iterator[Collector]:
    """A running one."""
    kept = Collector(status, hangs)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.posted.append(Posted(self.path, dict(self.headers), body))
            if kept.hangs:
                kept.closing.wait(60)
                return
            self.send_response(kept.status)
            if kept.status in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.closing.set()
        server.shutdown()
        server.server_close()


def nobody() -> str:
    """The URL of a port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"

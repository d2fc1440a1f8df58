"""An HTTP server of this process, which keeps what is posted to it and answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Posted(NamedTuple):
    """One request: its path, its headers and its body."""

    path: str
    headers: dict[str, str]
    body: bytes


class Ear:
    """What came in, oldest first; `answers` are the next statuses, and after them it is 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.posted: list[Posted] = []
        self.answers: list[int] = []
        self.arrived = threading.Semaphore(0)  # one for each
        self.held = threading.Event()  # set: answers at once
        self.held.set()


@contextmanager
def listening() -> Iterator[Ear]:
    """A server on a free port of this machine, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            ear.posted.append(Posted(self.path, dict(self.headers), body))
            ear.arrived.release()
            ear.held.wait()
            status = ear.answers.pop(0) if ear.answers else 200
            self.send_response(status)
            self.send_header("content-length", "0")
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ear = Ear(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield ear
    finally:
        ear.held.set()
        server.shutdown()
        thread.join()
        server.server_close()

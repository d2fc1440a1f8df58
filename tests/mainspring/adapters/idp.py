"""An identity provider for tests: keys, tokens, and a server on this machine that gives out the public keys."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from mainspring.testing.verifier_contract import BINDING, NOW

ISSUER = "https://login.example.com"
KINDS = {
    "EdDSA": lambda: OKPKey.generate_key("Ed25519", auto_kid=True),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519", auto_kid=True),
    "ES256": lambda: ECKey.generate_key("P-256", auto_kid=True),
    "ES384": lambda: ECKey.generate_key("P-384", auto_kid=True),
    "RS256": lambda: RSAKey.generate_key(2048, auto_kid=True),
    "PS256": lambda: RSAKey.generate_key(2048, auto_kid=True),
}


class _Any(jws.JWSRegistry):
    """Signs in every way, also in those that nobody may."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def make(alg: str = "EdDSA", /, **members: Any) -> dict[str, Any]:
    """A private key."""
    return {**KINDS[alg]().as_dict(private=True), **members}


def public(key: dict[str, Any]) -> dict[str, Any]:
    """Its public half."""
    return {name: value for name, value in key.items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; None takes a claim out."""
    said = {
        "iss": ISSUER,
        "aud": "mainspring",
        "sub": "ada@example.com",
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        "jti": "t1",
        "nonce": BINDING,
        "roles": ["finance"],
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def sign(key: dict[str, Any] | bytes, said: dict[str, Any] | bytes, alg: str = "EdDSA", **header: Any) -> str:
    """A token signed with a key; as whatever `alg` says, and with whatever the header is told to hold."""
    opened: Any = None
    kid = None
    if isinstance(key, bytes):
        opened = OctKey.import_key(key)
    elif key:
        opened, kid = {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}[key["kty"]].import_key(key), key.get("kid")
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    named = {"alg": alg, "typ": "JWT", "kid": kid, **header}
    protected = {name: value for name, value in named.items() if value is not None}
    return jws.serialize_compact(protected, payload, opened, registry=_Any(strict_check_header=False))


class KeyServer:
    """What it `gives` is what a client gets; `asked` counts how often one did."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        self.status = 200
        self.gives: Any = {"keys": []}
        self.silent = threading.Event()
        """While it is set the server takes a request and says nothing."""


@contextmanager
def key_server(*keys: dict[str, Any]) -> Iterator[KeyServer]:
    """A server on this machine that gives out the public halves of keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked += 1
            if served.silent.is_set():
                gone.wait(30)
                return
            body = served.gives if isinstance(served.gives, bytes) else json.dumps(served.gives).encode()
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(body)))
            if served.status == 302:
                self.send_header("Location", served.url)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    gone = threading.Event()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = KeyServer(f"http://127.0.0.1:{http.server_address[1]}/keys")
    served.gives = {"keys": [public(key) for key in keys]}
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        gone.set()
        http.shutdown()
        http.server_close()
        thread.join()

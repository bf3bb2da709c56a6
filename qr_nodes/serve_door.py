"""Who may come in to the service, with how much, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10
"""Seconds that a connection may take to say what it wants."""
IDLE = 10
"""Seconds that a client may leave between two pieces of a picture."""
MOST_REQUESTS = 100
"""Requests of all kinds that are answered at a time."""
FAILED = "The service failed. Tell the operator, whose log says why."


@dataclass(frozen=True)
class Limits:
    """What the service takes on.

    Attributes
    ----------
    bytes : of a request's body
    pixels : of a picture, and of what becomes of it
    at_once : pictures that are worked on at a time
    queue : requests that may wait beside those
    seconds : that a request may take, from its first byte to the last of its answer
    """

    bytes: int = 64_000_000
    pixels: float = 50e6
    at_once: int = 2
    queue: int = 8
    seconds: float = 120.0


class Refusal(Exception):
    """An answer that is no picture: a status, one line that says why, and more headers."""

    def __init__(self, status: int, text: str, **headers: str):
        super().__init__(text)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse({"error": str(self)}, self.status, self.headers)


class Door:
    """Lets in what may come in: right host, right origin, not too much, not for too long.

    It stands before the application, so that nothing of a request is read before it is let in.

    Parameters
    ----------
    app : ASGI application
    limits : Limits
    place : callable
        Gives a context that holds a place in the queue, or raises Refusal.
    names : host names the service is called by
    say : callable
        Told what the operator should know, one line each.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits,
        place: Callable[[], AbstractContextManager],
        names: Iterable[str],
        say: Callable[[str], None],
    ):
        self.app, self.limits, self.place, self.say = app, limits, place, say
        self.names = {"localhost", *(name.lower() for name in names)}
        self.requests = 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = ""

        async def answer(message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                extra = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *extra]}
            sent = "part" if message.get("more_body", "headers" in message) else "all"
            await send(message)

        async def refuse(refusal: Refusal) -> None:
            if not sent:
                await refusal.response(scope, receive, answer)
            elif sent == "part":  # nothing else can be said any more
                scope["state"]["connection"].transport.abort()

        self.requests += 1
        try:
            async with asyncio.timeout(self.limits.seconds) as limit:
                await self._answer(scope, _Reader(receive, self.limits.bytes), answer)
        except ClientDisconnect:
            pass
        except Refusal as refusal:
            await refuse(refusal)
        except asyncio.CancelledError:
            await refuse(Refusal(503, "The service is being stopped."))
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                seconds = f"{self.limits.seconds:g} s"
                await refuse(Refusal(504, f"The time a request may take, {seconds}, is over."))
            else:
                self.say(f"{type(error).__name__}: {error}")
                await refuse(Refusal(500, FAILED))
        finally:
            self.requests -= 1

    async def _answer(self, scope, read: _Reader, answer) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        self._check_origin(headers, scope["method"])
        if self.requests > MOST_REQUESTS:
            raise Refusal(503, f"More than {MOST_REQUESTS} requests are open.", Retry_After="1")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > read.limit:
            raise read.too_large()
        place = self.place() if scope["method"] == "POST" else contextlib.nullcontext()
        with place:
            await self.app(scope, read, answer)

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that somebody else may have pointed at this machine (DNS rebinding).

        An address as such cannot be pointed elsewhere.
        """
        host = _host(headers.get("host", ""))
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return
        if host not in self.names:
            text = f"The service is not called {host[:64]!r}."
            raise Refusal(400, f"{text} Use its address, or start it with --name.")

    def _check_origin(self, headers: Headers, method: str) -> None:
        """Refuse what a web page from elsewhere sends through its visitor's browser."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
        if foreign or (method not in ("GET", "HEAD") and site not in ("none", "same-origin")):
            raise Refusal(403, "Pages of other sites cannot use this service.")


def _host(header: str) -> str:
    """Give the host of a Host header, without the port and in small letters."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return header


class _Reader:
    """Hands on what a client sends, and stops at the limit or when nothing comes."""

    def __init__(self, receive, limit: int):
        self.receive, self.limit, self.read, self.complete = receive, limit, 0, False

    async def __call__(self) -> dict[str, Any]:
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout(IDLE):
                message = await self.receive()
        except TimeoutError:
            text = f"Nothing came for {IDLE} s. Send the picture without a pause."
            raise Refusal(408, text) from None
        self.read += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.read > self.limit:
            raise self.too_large()
        return message

    def too_large(self) -> Refusal:
        most = f"{self.limit / 1e6:g} MB"
        return Refusal(413, f"The limit is {most}. Send a smaller file.")


class Connection(H11Protocol):
    """A connection that is cut if it does not say in time what it wants.

    uvicorn waits for ever for the first request's head, and for the rest of one that has begun.
    """

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.app_state = {**self.app_state, "connection": self}

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._hurry()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._hurry()

    def _hurry(self) -> None:
        def cut() -> None:
            if self.cycle is last:
                self.transport.abort()

        last = self.cycle
        self.loop.call_later(HEAD, cut)

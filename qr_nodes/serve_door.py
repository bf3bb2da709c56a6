"""Who may come in to the service, with how much, and for how long.

State, in `Places`: the pictures that are in, and the uploads and answers under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10
"""Seconds that a connection may take to say what it wants."""
IDLE = 10
"""Seconds that a client may leave between two pieces of a picture."""
SLOW = 50_000
"""Bytes per second below which an upload, or the reading of an answer, gives way to others."""
START = 2.0
"""Seconds over which an upload or an answer is watched before it is called slow."""
POLL = 0.05
"""Seconds between two looks at whether there is room."""
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

    @property
    def places(self) -> int:
        """Pictures that may be in at a time, worked on or waiting."""
        return self.at_once + self.queue

    @property
    def uploads(self) -> int:
        """Uploads that may be under way at a time."""
        return 2 * self.places


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


class Transfer:
    """Bytes of a request, or of its answer, under way.

    Parameters
    ----------
    cut : callable
        Ends it.
    """

    def __init__(self, cut: Callable[[], None]):
        self.cut, self.began, self.pieces = cut, time.monotonic(), deque()

    def count(self, bytes: int) -> None:
        """Enter bytes that have come or gone."""
        self._forget()
        self.pieces.append((time.monotonic(), bytes))

    def rate(self) -> float:
        """Return bytes per second of late; infinite while it is too early to tell."""
        self._forget()
        early = time.monotonic() - self.began < START
        return float("inf") if early else sum(bytes for _, bytes in self.pieces) / START

    def _forget(self) -> None:
        while self.pieces and time.monotonic() - self.pieces[0][0] > START:
            self.pieces.popleft()


def _give_way(transfers: set[Transfer]) -> bool:
    """End the slowest of the transfers if it is slow; return whether one was."""
    slowest = min(transfers, key=lambda transfer: transfer.rate(), default=None)
    if slowest is None or slowest.rate() >= SLOW:
        return False
    transfers.discard(slowest)
    slowest.cut()
    return True


class Places:
    """Who is in: uploads under way, pictures that have arrived, answers under way.

    A picture has its place from its arrival to the end of its answer. An upload has none yet, so
    that those that hang or trickle keep nobody from being served. Where too many are under way,
    the slowest is ended if it is slow.

    Attributes
    ----------
    pictures : how many have a place
    typical : seconds for a picture, of late
    """

    def __init__(self, limits: Limits):
        self.limits, self.pictures, self.typical = limits, 0, 1.0
        self.uploads: set[Transfer] = set()
        self.answers: set[Transfer] = set()

    def check(self) -> None:
        """Raise Refusal if no place is free, nor about to be."""
        most = self.limits.places
        if self.pictures >= most and not _give_way(self.answers):
            wait = max(1, round(self.typical * most / self.limits.at_once))
            text = f"{most} pictures are waiting already. Try again in {wait} s."
            raise Refusal(429, text, Retry_After=str(wait))

    @contextlib.asynccontextmanager
    async def picture(self) -> AsyncIterator[None]:
        """Hold a place while the block runs, or raise Refusal."""
        while self.pictures >= self.limits.places:
            self.check()
            await asyncio.sleep(POLL)
        self.pictures += 1
        try:
            yield
        finally:
            self.pictures -= 1

    async def upload(self, cut: Callable[[], None]) -> Transfer:
        """Return an upload that is counted until it is discarded from `uploads`, or raise Refusal.

        Those that are there have until they can be called slow.
        """
        most, waited = self.limits.uploads, 0.0
        while len(self.uploads) >= most and not _give_way(self.uploads):
            if waited > 2 * START:
                text = f"{most} uploads are under way already. Try again in 1 s."
                raise Refusal(429, text, Retry_After="1")
            await asyncio.sleep(POLL)
            waited += POLL
        self.uploads.add(upload := Transfer(cut))
        return upload


class Door:
    """Lets in what may come in: right host, right origin, not too much, not for too long.

    It stands before the application, so that nothing of a request is read before it is let in.

    Parameters
    ----------
    app : ASGI application
    limits : Limits
    places : Places
    names : host names the service is called by
    say : callable
        Told what the operator should know, one line each.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits,
        places: Places,
        names: Iterable[str],
        say: Callable[[str], None],
    ):
        self.app, self.limits, self.places, self.say = app, limits, places, say
        self.names = {"localhost", *(name.lower() for name in names)}
        self.requests = 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent, out = "", None

        async def answer(message) -> None:
            nonlocal sent, out
            if message["type"] == "http.response.start":
                extra = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *extra]}
                if scope["method"] == "POST":
                    out = Transfer(scope["state"]["connection"].transport.abort)
                    self.places.answers.add(out)
            sent = "part" if message.get("more_body", "headers" in message) else "all"
            await send(message)
            if out is not None:
                out.count(len(message.get("body", b"")))

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
            self.places.answers.discard(out)

    async def _answer(self, scope, read: _Reader, answer) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        self._check_origin(headers, scope["method"])
        if self.requests > MOST_REQUESTS:
            raise Refusal(503, f"More than {MOST_REQUESTS} requests are open.", Retry_After="1")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > read.limit:
            raise read.too_large()
        # The application enters the picture's place, which is held until the answer is through.
        async with contextlib.AsyncExitStack() as held:
            scope["state"]["held"] = held
            if scope["method"] == "POST":
                self.places.check()
                await read.counted(self.places)
                held.callback(read.end)
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
            text = f"The service is not called {host[:64]!r}. Use its address in numbers"
            raise Refusal(400, f"{text}, or have its operator give it this name (serve --name).")

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
        self.upload: Transfer | None = None
        self.end: Callable[[], None] = lambda: None
        self.slow, self.waiting = False, asyncio.timeout(IDLE)

    async def counted(self, places: Places) -> None:
        """Be one of the uploads until all has come, or raise Refusal."""
        self.upload = upload = await places.upload(self._cut)
        self.end = lambda: places.uploads.discard(upload)

    def _cut(self) -> None:
        self.slow = True
        with contextlib.suppress(RuntimeError):  # nobody waits for a piece just now
            self.waiting.reschedule(asyncio.get_running_loop().time())

    async def __call__(self) -> dict[str, Any]:
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout(0 if self.slow else IDLE) as self.waiting:
                message = await self.receive()
        except TimeoutError:
            text = f"Nothing came for {IDLE} s. Send the picture without a pause."
            if self.slow:
                text = "Others wait, and this upload is slow. Send less, or try again later."
            raise Refusal(408, text) from None
        self.read += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.upload is not None:
            self.upload.count(len(message.get("body", b"")))
        if self.complete:
            self.end()
        if self.read > self.limit:
            raise self.too_large()
        return message

    def too_large(self) -> Refusal:
        most = f"{self.limit / 1e6:g} MB"
        return Refusal(413, f"The limit is {most}. Send a smaller file.")


class Connection(H11Protocol):
    """A connection that is cut if it does not say in time what it wants, or says it wrongly.

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

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as every fault is answered: in JSON."""
        body = json.dumps({"error": "This is no HTTP request that can be read."}).encode()
        head = [("content-type", "application/json"), ("content-length", str(len(body)))]
        answer = h11.Response(
            status_code=400, reason=b"Bad Request", headers=[*head, ("connection", "close")]
        )
        with contextlib.suppress(h11.LocalProtocolError):  # an answer is under way already
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        self.transport.close()

    def _hurry(self) -> None:
        def cut() -> None:
            if self.cycle is last:
                self.transport.abort()

        last = self.cycle
        self.loop.call_later(HEAD, cut)

"""An HTTP service: a picture and a preset's name in, the cut-out back.

A client names presets, never files: what a picture is called, where it lies and which files a
graph reads are not a client's to say. Nothing of a picture outlasts its request.

State, in `Service`: the presets, the engine, and who is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from qr_nodes import __version__, batch, heap, in_memory, resources
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine
from qr_nodes.errors import (
    Cancelled,
    DeviceError,
    GraphError,
    ModelError,
    ParamError,
    QrNodesError,
    SocketError,
    WriteError,
    suggest,
)
from qr_nodes.graph import NODE_ID
from qr_nodes.in_memory import PictureFault, Prepared
from qr_nodes.qrgraph import load_graph
from qr_nodes.serve_door import FAILED, Connection, Door, Limits, Places, Refusal
from qr_nodes.signals import ENDS, handled, stop

GRACE = 10
"""Seconds that pictures under way have to get done when the service is stopped."""
STEP = 1 << 18
"""Bytes of an answer that are handed on at once, so that a slow reader is waited for."""
FORMATS = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""Formats of answers, the one that is preferred first."""
FIELDS = ("set", "format")
"""What may be asked in the address, or in a form beside the picture."""


def presets(
    graphs: Iterable[str] = (), settings: Sequence[str] = (), **networks: Any
) -> dict[str, Prepared]:
    """Read the presets that came with the program, and graphs by path or name: name → graph.

    Parameters
    ----------
    graphs : paths or names
    settings : texts such as "feather.sigma=4"
        Set in each graph that has such a node.
    **networks
        See `batch.for_networks`; set in each graph that has a Segment node.

    Raises
    ------
    QrNodesError
        A graph cannot be read or run, two have one name, or a setting cannot be used in any.
    """
    files = {file.stem: str(file) for file in resources.folder("graphs").glob("*.qrgraph")}
    for graph in graphs:
        name = Path(graph).stem
        if name in files:
            raise GraphError("another preset has this name.", graph, "Rename the file.")
        if not NODE_ID.fullmatch(name):
            hint = "Rename the file: use up to 64 letters, digits, - and _."
            raise GraphError(f"{name!r} cannot name a preset.", graph, hint)
        files[name] = graph
    found, used = {}, set()
    for name, file in sorted(files.items()):
        graph = load_graph(file)
        fitting = [text for text in settings if batch.setting(graph, text)[0] in graph.nodes]
        used.update(fitting)
        try:
            graph = batch.override(graph, fitting)
            if graph.of_type("segment"):
                graph = batch.for_networks(graph, **networks)
            found[name] = Prepared.of(graph)
        except QrNodesError as error:
            raise error.at(name) from None
    if lost := [text for text in settings if text not in used]:
        what = f"{lost[0].partition('=')[0]}: no preset has this node."
        raise ParamError(what, "--set", "See 'qr-nodes check' for the names of nodes.")
    return found


def fetch_models(presets: Mapping[str, Prepared], say: Callable[[str], None]) -> None:
    """See to it that every network the presets ask is here and whole, before anybody waits."""
    from qr_nodes.inference import registry, store

    graphs = [prepared.graph for prepared in presets.values()]
    asked = [graph.nodes[id].params["model"] for graph in graphs for id in graph.of_type("segment")]
    for name in dict.fromkeys(part.strip() for names in asked for part in names.split("+")):
        model = registry.find(name)
        if not store.is_here(name) and model.commercial == "yes":
            say(f"Fetching the model {name}. {model.licence}")
            store.fetch(name)
        store.find(name)


class Service:
    """The presets and what runs them.

    Parameters
    ----------
    presets : name → Prepared
    limits : Limits
    say : callable
        Told what the operator should know, one line each.
    """

    def __init__(
        self, presets: Mapping[str, Prepared], limits: Limits, say: Callable[[str], None] = print
    ):
        self.presets, self.limits, self.say = presets, limits, say
        self.engine = Engine(Cache(0), lanes=max(2, limits.at_once))
        self.pool = ThreadPoolExecutor(limits.at_once, "qr-nodes request")
        self.ids, self.places = itertools.count(1), Places(limits)
        self.resting: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Stop what is being worked on and end the threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.engine.close()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a picture's place while the block runs, or raise Refusal."""
        try:
            async with self.places.picture():
                yield
        finally:
            if self.resting is not None:
                self.resting.cancel()
            self.resting = asyncio.get_running_loop().call_later(heap.IDLE, self._rest)

    def _rest(self) -> None:
        if not self.places.pictures:
            heap.give_back()

    async def cut_out(
        self, prepared: Prepared, picture: BinaryIO, format: str, gone: asyncio.Future
    ) -> tuple[bytes, list[str]]:
        """Give the cut-out of a picture, and what the nodes had to say; stop once `gone` is done.

        Raises
        ------
        Refusal
            With the status that tells whose fault it was.
        """
        stop = threading.Event()

        def work() -> tuple[bytes, list[str]]:
            began = time.monotonic()
            done = in_memory.run(
                prepared,
                picture,
                format,
                self.engine,
                id=next(self.ids),
                max_pixels=self.limits.pixels,
                unwanted=stop.is_set,
            )
            self.places.typical += (time.monotonic() - began - self.places.typical) / 4
            return done

        done = asyncio.wrap_future(self.pool.submit(work))
        try:
            await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise ClientDisconnect
            return await done
        except QrNodesError as error:
            raise self.refusal(error) from error
        except Cancelled:
            raise Refusal(503, "The service is being stopped.") from None
        finally:
            stop.set()
            done.cancel()

    def refusal(self, error: QrNodesError) -> Refusal:
        """Give the answer to a fault: in full if the client can mend it, else the operator's."""
        if isinstance(error, PictureFault):
            return Refusal({"too large": 413, "unknown": 415}.get(error.kind, 422), str(error))
        if isinstance(error, ParamError | SocketError | GraphError | WriteError):
            return Refusal(422, str(error))
        # These may tell of the machine's own files.
        self.say(str(error))
        if isinstance(error, ModelError | DeviceError):
            return Refusal(503, "The network of this preset cannot be used. Tell the operator.")
        return Refusal(500, FAILED)


# ---- what is asked, and what is answered ---------------------------------------------------


def application(service: Service, names: Iterable[str] = ()) -> Door:
    """Give the service as an ASGI application; `names` are host names it is called by."""
    app = FastAPI(openapi_url=None)

    looking = {"methods": ["GET", "HEAD"]}

    @app.api_route("/", **looking)
    async def about() -> dict[str, Any]:
        """Say what is here."""
        return {
            "name": "qr-nodes",
            "version": __version__,
            "use": "POST a picture to /presets/NAME: as it is, with its Content-Type, or in a form "
            "as 'picture'. 'set' changes a parameter (set=feather.sigma=2), 'format' is png, webp "
            "or jpeg; both go into the address or the form. GET /presets says what can be set.",
            "presets": sorted(service.presets),
            "limits": msgspec.to_builtins(service.limits),
        }

    @app.api_route("/presets", **looking)
    async def listed() -> dict[str, dict[str, dict[str, Any]]]:
        """Return every preset with what may be set in it: as it stands, and what it may be."""
        return {name: prepared.settable() for name, prepared in service.presets.items()}

    @app.api_route("/health", **looking)
    async def health() -> dict[str, Any]:
        """Say that the service is up, and how busy it is."""
        places = service.places
        return {"status": "ok", "pictures": places.pictures, "uploads": len(places.uploads)}

    @app.post("/presets/{name}")
    async def cut_out(request: Request, name: str) -> Response:
        """Run a preset on the picture in the body."""
        if name not in service.presets:
            there = ", ".join(sorted(service.presets))
            raise Refusal(404, f"There is no preset {name[:64]!r}. Presets: {there}.")
        prepared = service.presets[name]
        query = _asked(request.query_params, FIELDS, prepared)
        async with _body(request) as (picture, form):
            inside = _asked(form, (*FIELDS, "picture"), prepared)
            settings, formats = map(list.__add__, query, inside)
            format = _format(formats, request.headers.get("accept", ""))
            try:
                prepared = prepared.with_settings(settings)
            except QrNodesError as error:
                raise Refusal(422, str(error)) from error
            await request.state.held.enter_async_context(service.place())
            gone = asyncio.ensure_future(_left(request))
            try:
                data, notes = await service.cut_out(prepared, picture, format, gone)
            finally:
                gone.cancel()
        return _Picture(data, notes, FORMATS[format])

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return refusal.response

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        text = f"{error.detail.rstrip('.')}."
        text += " GET / says what is here." if error.status_code in (404, 405) else ""
        return JSONResponse({"error": text}, error.status_code, error.headers)

    @app.exception_handler(FormParserError)  # which older Starlettes pass on
    async def garbled(request: Request, error: FormParserError) -> Response:
        return Refusal(400, "The form is garbled.").response

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return Refusal(500, FAILED).response

    return Door(app, service.limits, service.places, names, service.say)


def _asked(
    given: ImmutableMultiDict, known: tuple[str, ...], prepared: Prepared
) -> tuple[list[str], list[str]]:
    """Return the settings and formats among the fields of an address or a form.

    Raises
    ------
    Refusal
        There is a field of another name.
    """
    for name in given:
        if name not in known:
            meant = [where for where in prepared.settable() if name in (where, where.split(".")[1])]
            hint = f"Write set={meant[0]}=VALUE." if meant else suggest(name, known)
            text = f"{name[:64]!r} is no field of this request. {hint}"
            raise Refusal(422, f"{text} GET / says how to ask.")
    return given.getlist("set"), given.getlist("format")


def _format(asked: list[str], accept: str) -> str:
    """Return the format that a request asks for, or else the one that its Accept likes best."""
    if len(names := {name.lower().replace("jpg", "jpeg") for name in asked}) > 1:
        raise Refusal(422, f"format: {len(names)} are asked for. Name one.")
    if names - FORMATS.keys():
        known = "png, webp or jpeg"
        raise Refusal(422, f"format: {asked[0][:64]!r} cannot be used. Use {known}.")
    return names.pop() if names else _accepted(accept)


@contextlib.asynccontextmanager
async def _body(request: Request) -> AsyncIterator[tuple[BinaryIO, ImmutableMultiDict]]:
    """Return the picture as a nameless file, and the form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=100) as form:
            picture = form.get("picture")
            if not isinstance(picture, UploadFile):
                raise Refusal(422, "picture: the form has no such file. Send it as 'picture'.")
            yield picture.file, form
    elif kind in ("", "application/octet-stream") or kind.startswith("image/"):
        with SpooledTemporaryFile(max_size=1 << 20) as file:
            picture = UploadFile(file)
            async for piece in request.stream():
                await picture.write(piece)
            await picture.seek(0)
            yield file, FormData()
    else:
        text = f"{kind[:64]!r} is no picture. Send multipart/form-data, or a picture as image/…"
        raise Refusal(415, f"{text} or application/octet-stream.")


async def _left(request: Request) -> None:
    """Return when the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _accepted(header: str) -> str:
    """Return the format that an Accept header likes best; of those liked alike, the first."""
    liked = {}
    for part in header.lower().split(","):
        kind, *more = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in more if piece.startswith("q=")), "1")
        with contextlib.suppress(ValueError):
            liked[kind] = float(weight)
    any = liked.get("image/*", liked.get("*/*", 0.0))
    return max(FORMATS, key=lambda name: liked.get(FORMATS[name], any))


class _Picture(Response):
    """A picture, sent in pieces."""

    def __init__(self, data: bytes, notes: list[str], kind: str):
        # A note that may tell where something lies on this machine stays here.
        told = [note for note in notes if "/" not in note and "\\" not in note]
        headers = {"Content-Length": str(len(data)), "QR-Nodes-Notes": json.dumps(told)}
        super().__init__(None, headers=headers, media_type=kind)
        self.data = memoryview(data)

    async def __call__(self, scope, receive, send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        for start in range(0, len(self.data), STEP):
            piece = bytes(self.data[start : start + STEP])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


# ---- running it ----------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """Give a socket that listens there; port 0 takes one that is free.

    Raises
    ------
    ParamError
        It cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "Choose another with --host and --port."
        raise ParamError(f"nothing can listen there ({why}).", f"{host}:{port}", hint) from error


def serve(
    presets: Mapping[str, Prepared],
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits = Limits(),
    names: Iterable[str] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Answer requests until Ctrl+C or SIGTERM; pictures under way are finished, within reason."""
    with listen(host, port) as listener:
        address, port = listener.getsockname()[:2]
        service = Service(presets, limits, say)
        app = application(service, [*names, host, socket.gethostname()])
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE,
        )
        shown = f"[{address}]" if ":" in address else address
        say(f"{len(presets)} presets at http://{shown}:{port} — Ctrl+C stops.")
        if not ipaddress.ip_address(address).is_loopback:
            say(
                f"Whoever can reach {shown} can use this service: it asks for no password and "
                "nothing is encrypted."
            )
        # What is odd in a client's form is the client's to hear.
        logging.getLogger("python_multipart").addHandler(logging.NullHandler())
        try:
            with handled(stop, ENDS):
                _Server(config).run([listener])
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            service.close()


class _Server(uvicorn.Server):
    """A server that goes on ignoring Ctrl+C where it was started so."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = signal.getsignal(signal.SIGINT)
        with super().capture_signals():
            if before is signal.SIG_IGN:
                signal.signal(signal.SIGINT, before)
            yield

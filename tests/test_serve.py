"""The service as its clients meet it: a real server in a process of its own, real requests."""

from __future__ import annotations

import asyncio
import io
import json
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from qr_nodes import serve_door
from qr_nodes.cli import main
from qr_nodes.errors import GraphError, ParamError
from qr_nodes.graph import Graph
from qr_nodes.in_memory import Prepared
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.serve import Service, _accepted, presets
from qr_nodes.serve_door import Limits

SCRIPT = """
import sys, time
from dataclasses import replace
from pathlib import Path
from qr_nodes import serve, serve_door
from qr_nodes.cli import main
from qr_nodes.nodes import find

serve_door.HEAD, serve_door.IDLE, serve.GRACE = {head}, {idle}, {grace}
serve_door.START = {start}
folder = Path({folder!r})

def slow(cutout, where=None, *, sigma, shift, job):
    mark = folder / f"{{time.monotonic_ns()}}"
    mark.write_text("started")
    try:
        while not (folder / "go").exists():
            job.checkpoint()
            time.sleep(0.005)
    except BaseException:
        mark.write_text("cancelled")
        raise
    mark.write_text("done")
    return cutout

if {slow}:
    find("feather").fn.node_spec = replace(find("feather"), fn=slow, takes_job=True)
serve.fetch_models = lambda presets, say: None
sys.exit(main(["serve", "--port", "0", *{args!r}]))
"""


class Server:
    """A service that runs, and what a test wants to do with it."""

    def __init__(self, process: subprocess.Popen, folder: Path):
        self.process, self.folder = process, folder
        line = process.stderr.readline()
        self.address = line.split(" at ")[1].split(" ")[0]
        self.port = int(self.address.rpartition(":")[2])

    def get(self, path: str = "/", **more) -> requests.Response:
        return requests.get(self.address + path, timeout=30, **more)

    def post(self, picture, preset="edges", *, timeout=30, **more) -> requests.Response:
        files = {"picture": ("p.png", picture)} if isinstance(picture, bytes) else picture
        return requests.post(
            f"{self.address}/presets/{preset}", files=files, timeout=timeout, **more
        )

    def raw(self, head: str, body: bytes = b"") -> tuple[int, dict]:
        """Send a request byte by byte as it stands; give status and JSON of the answer."""
        with self.socket() as client:
            client.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
            return answer(client)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def marks(self, state: str) -> int:
        return sum(file.read_text() == state for file in self.folder.iterdir() if file.stem != "go")

    def wait_for(self, state: str, number: int) -> None:
        until(lambda: self.marks(state) == number)

    def said(self) -> str:
        """End the service; give what it said since its first line."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=30)[1]


def until(true, seconds: float = 30) -> None:
    """Wait until `true()` is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def answer(client: socket.socket) -> tuple[int, dict]:
    """Read the first answer off a socket; give status and JSON."""
    data, length = b"", None
    while length is None or len(data.partition(b"\r\n\r\n")[2]) < length:
        piece = client.recv(65536)
        assert piece, f"it ends after {data!r}"
        data += piece
        if length is None and b"\r\n\r\n" in data:
            length = int(data.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body[:length])


@contextmanager
def serving(folder: Path, *args: str, slow=False, head=10.0, idle=10.0, grace=10.0, start=1.0):
    folder.mkdir(exist_ok=True)
    script = SCRIPT.format(
        folder=str(folder), args=args, slow=slow, head=head, idle=idle, grace=grace, start=start
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        yield Server(process, folder)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def edges(tmp_path_factory) -> str:
    """A graph that needs no network, beside a picture of the operator's that it also reads."""
    folder = tmp_path_factory.mktemp("graphs")
    Image.new("RGB", (8, 8), "red").save(folder / "secret.png")
    graph = Graph.chain("load", "feather", "resize", "export").set_param("resize", "enlarge", True)
    graph = graph.set_param("resize", "by", "percent").set_param("resize", "percent", 100)
    graph = graph.add("load", "other", path=str(folder / "secret.png"))
    graph = graph.add("export", "second", path=str(folder / "second.png"))
    graph = graph.connect("other", "second")
    save_graph(graph, folder / "edges.qrgraph")
    return str(folder / "edges.qrgraph")


@pytest.fixture(scope="module")
def server(edges, tmp_path_factory):
    """A service with small limits that all tests may use which leave it as it is."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, edges, "--max-mb", "0.5", "--max-mp", "0.2", "--queue", "50") as server:
        yield server


def png(width: int = 53, height: int = 37, **save) -> bytes:
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[height // 4 : height // 2, width // 4 : width // 2] = (200, 40, 90, 255)
    out = io.BytesIO()
    Image.fromarray(rgba).save(out, "PNG", **save)
    return out.getvalue()


def error(response: requests.Response) -> tuple[int, str]:
    """Give status and message of an answer that must be one line of JSON, and no more."""
    assert response.headers["Content-Type"] == "application/json", response.text
    assert "\n" not in response.text and "Traceback" not in response.text
    assert list(response.json()) == ["error"]
    return response.status_code, response.json()["error"]


def opened(response: requests.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


def test_the_answer_is_what_the_command_line_writes(server, edges, tmp_path):
    (tmp_path / "p.png").write_bytes(png())
    out = tmp_path / "o.png"
    asked = ["-s", "feather.sigma=3", "-s", "second.path=" + str(tmp_path / "s.png")]
    assert main(["run", edges, "-i", str(tmp_path / "p.png"), "-o", str(out), *asked]) == 0
    response = server.post(png(), params={"set": "feather.sigma=3"})
    assert response.headers["Content-Type"] == "image/png"
    assert response.content == out.read_bytes()


def test_a_network_runs_and_what_it_had_to_say_is_told(tmp_path, weights, chelsea):
    out = io.BytesIO()
    Image.fromarray(chelsea).save(out, "JPEG")
    flat = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(flat, "PNG")
    with serving(tmp_path / "s") as server:
        alpha = np.asarray(opened(server.post(out.getvalue(), "standard")))[..., 3]
        assert 0.2 < (alpha > 127).mean() < 0.9
        notes = json.loads(server.post(flat.getvalue(), "quick").headers["QR-Nodes-Notes"])
    assert notes == ["segment: Nothing was found in this picture, so all of it is transparent."]


def test_a_body_may_be_the_picture_itself(server):
    address = f"{server.address}/presets/edges"
    for kind in ("image/png", "application/octet-stream", None):
        response = requests.post(address, png(), headers={"Content-Type": kind}, timeout=30)
        assert opened(response).size == (53, 37)
    pieces = requests.post(address, iter([png()[:100], png()[100:]]), timeout=30)  # chunked
    assert opened(pieces).size == (53, 37)


def test_format_and_settings_come_in_the_address_the_form_or_the_header(server):
    assert opened(server.post(png(), params={"format": "webp"})).format == "WEBP"
    assert opened(server.post(png(), data={"format": "webp"})).format == "WEBP"
    assert opened(server.post(png(), headers={"Accept": "image/webp"})).format == "WEBP"
    assert opened(server.post(png(), headers={"Accept": "text/html,*/*;q=0.8"})).format == "PNG"
    twice = {"params": {"format": "webp"}, "data": {"format": "png"}}
    assert error(server.post(png(), **twice)) == (422, "format: 2 are asked for. Name one.")
    both = {"set": ["resize.percent=50", "export.content=mask"]}
    for more in ({"params": both}, {"data": both}):
        image = opened(server.post(png(), **more))
        assert (image.mode, image.size) == ("L", (26, 18))


def test_a_jpeg_has_the_background_that_the_command_line_gives_it(server, edges, tmp_path):
    (tmp_path / "p.png").write_bytes(png())
    red = {"set": "export.background=red"}
    asked = ["-s", "export.background=red", "-s", f"second.path={tmp_path / 's.png'}"]
    out = tmp_path / "o.jpg"
    assert main(["run", edges, "-i", str(tmp_path / "p.png"), "-o", str(out), *asked]) == 0
    for more in (
        {"params": red | {"format": "jpeg"}},
        {"data": red | {"format": "JPG"}},
        {"params": red, "headers": {"Accept": "image/jpeg"}},
    ):
        answer = server.post(png(), **more)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.content == out.read_bytes()
    assert opened(answer).getpixel((0, 0)) == (254, 0, 0)


@pytest.mark.parametrize(
    ("header", "format"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/webp", "webp"),
        ("image/avif,image/webp,image/png,*/*", "png"),
        ("image/png;q=0.5, image/webp", "webp"),
        ("image/webp;q=0.1, image/*", "png"),
        ("image/png;q=0, image/*", "webp"),
        ("image/jpeg, image/png;q=0.9", "jpeg"),
        ("image/webp;q=x", "png"),
        (";;q,=,", "png"),
    ],
)
def test_an_accept_header_is_weighed(header, format):
    assert _accepted(header) == format


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("feather.sigma=900", "feather.sigma: 900 px is out of range. Use a value from 0 to 500."),
        ("feather.size=1", "feather.size: there is no such parameter. Use sigma, shift."),
        ("glow.sigma=1", "glow: there is no such node. Nodes here: load, feather, resize, export."),
        ("second.bits=8", "second: there is no such node. Nodes here: load, feather, resize, "
         "export."),
        ("sigma", "set: 'sigma' sets nothing. Write NODE.PARAMETER=VALUE."),
    ],
)  # fmt: skip
def test_settings_are_checked_as_on_the_command_line(server, setting, said):
    assert error(server.post(png(), params={"set": setting})) == (422, said)


@pytest.mark.parametrize("setting", ["load.path", "other.path", "export.path", "second.path"])
def test_no_file_of_the_servers_can_be_named(server, edges, tmp_path, setting):
    for path in (str(tmp_path / "new.png"), edges, "../x.png", "/etc/passwd"):
        status, said = error(server.post(png(), data={"set": f"{setting}={path}"}))
        own = setting.partition(".")[0] in ("load", "export")
        fault = f"{setting}: this cannot be set from outside" if own else "there is no such node"
        assert status == 422 and fault in said
    assert not list(tmp_path.iterdir())


OPERATORS = (
    "segment.model=u2net",
    "segment.device=cpu",
    "segment.require_gpu=true",
    "export.overwrite=true",
    "load.max_pixels=1",
)


@pytest.mark.parametrize("setting", OPERATORS)
def test_models_devices_and_limits_are_the_operators(server, setting):
    status, said = error(server.post(png(), "quick", params={"set": setting}))
    assert status == 422 and "this cannot be set from outside" in said
    assert setting.partition("=")[0] not in server.get("/presets").json()["quick"]


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("formt", "Perhaps you mean 'format'."),
        ("size", "Use one of set, format"),
        ("feather.sigma", "Write set=feather.sigma=VALUE."),
        ("sigma", "Write set=feather.sigma=VALUE."),
    ],
)
def test_what_is_asked_by_an_unknown_name_is_refused_with_the_one_that_was_meant(
    server, field, hint
):
    for more in ({"params": {field: "100"}}, {"data": {field: "100"}}):
        status, said = error(server.post(png(), **more))
        assert status == 422 and said.startswith(f"{field!r} is no field of this request. {hint}")
    body = {"data": png(), "headers": {"Content-Type": "image/png"}, "timeout": 30}
    address = f"{server.address}/presets/edges"
    assert error(requests.post(address, params={field: "1"}, **body))[0] == 422


def test_only_presets_can_be_named_and_never_a_path(server, edges):
    for name in (edges, "../edges", "edges.qrgraph", "..%2f..%2fetc%2fpasswd", "%2e%2e/edges", "x"):
        assert error(server.post(png(), name))[0] == 404
    said = error(server.post(png(), "nothing"))[1]
    assert said == (
        "There is no preset 'nothing'. Presets: edges, glass, hair, portrait, product, quick, "
        "standard."
    )


def test_the_name_of_an_upload_goes_nowhere(server):
    before = sorted(server.folder.iterdir())
    for name in ("../../x.png", "/etc/passwd", "C:\\x.png", "x" * 1000, "e.dng"):
        assert opened(server.post({"picture": (name, png())})).size == (53, 37)
    assert sorted(server.folder.iterdir()) == before


def test_other_exports_of_a_graph_do_not_run(server, edges):
    assert opened(server.post(png())).size == (53, 37)
    assert not (Path(edges).parent / "second.png").exists()


def test_nothing_of_the_picture_leaks_that_export_would_not_write(server):
    exif = Image.Exif()
    exif[315] = "a private name"
    exif[271] = "a camera"
    answer = server.post({"picture": ("private-name.png", png(exif=exif))}).content
    assert b"a camera" in answer and b"private" not in answer
    assert b"a private name" in server.post(
        png(exif=exif), params={"set": "export.metadata=all"}
    ).content  # fmt: skip


def test_what_is_no_picture_is_refused_with_its_reason(server):
    text = error(server.post(b"hello"))
    assert text[0] == 415 and "this is not a picture of a kind that can be read" in text[1]
    assert error(server.post(b"")) == (
        422, "picture: the file is empty. Copy or export it again."
    )  # fmt: skip
    assert error(server.post(png()[:-40]))[0] == 422
    assert error(server.post(png()[:-40] + b"x" * 40))[0] in (422, 415)
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        address = f"{server.address}/presets/edges"
        response = requests.post(address, png(), headers={"Content-Type": kind}, timeout=30)
        assert error(response)[0] == 415


def test_a_form_must_be_sound(server):
    address = f"{server.address}/presets/edges"
    assert error(server.post({"photo": ("p.png", png())}))[0] == 422
    assert error(server.post({"picture": (None, "text")}))[0] == 422
    assert error(server.post(png(), data={"colour": "red"}))[0] == 422
    assert error(server.post([("picture", ("a", png())), ("picture", ("b", png()))]))[0] == 400
    head = {"Content-Type": "multipart/form-data"}
    assert error(requests.post(address, b"x", headers=head, timeout=30))[0] == 400
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    assert error(requests.post(address, b"nothing", headers=head, timeout=30))[0] in (400, 422)
    assert error(server.post(png(), params={"format": "exe"}))[0] == 422
    assert error(server.post(png(), data={"format": "exe"}))[0] == 422
    assert error(server.post(png(), data={"set": ["a.b=1"] * 200}))[0] == 400


def test_a_bomb_is_refused_before_it_is_decoded(server):
    def chunk(kind: bytes, data: bytes) -> bytes:
        sum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100_000)))
    status, said = error(server.post(bomb + chunk(b"IEND", b"")))
    assert status == 413 and said == (
        "picture: 60000 × 60000 px are 3600 MP, and the limit is 0.2 MP. Send a smaller one."
    )
    assert error(server.post(png(500, 401)))[0] == 413


def test_what_grows_beyond_the_limit_is_stopped(server):
    grown = {"set": "resize.percent=1000"}
    assert opened(server.post(png(), params=grown)).size == (530, 370)
    assert error(server.post(png(100, 100), params=grown)) == (
        413, "resize: 1000 × 1000 px are more than the limit of 0.2 MP. Send a smaller one."
    )  # fmt: skip


def test_too_many_bytes_are_refused_however_they_are_announced(server):
    much = b"x" * 600_000
    expected = (413, "The limit is 0.5 MB. Send a smaller file.")
    assert error(server.post(much)) == expected
    address = f"{server.address}/presets/edges"
    head = {"Content-Type": "image/png"}
    assert error(requests.post(address, much, headers=head, timeout=30)) == expected
    pieces = requests.post(address, iter([much[:1000]] * 600), headers=head, timeout=30)
    assert error(pieces) == expected
    # Announced, and never sent: the answer comes at once.
    line = "POST /presets/edges HTTP/1.1\nHost: localhost\nContent-Type: image/png\n"
    assert server.raw(f"{line}Content-Length: 99999999999")[0] == 413
    # Announced as less than is sent: what is more is no part of the picture.
    assert server.raw(f"{line}Content-Length: 20", much[:1000])[0] == 415
    # Endless.
    with server.socket() as client:
        client.sendall(f"{line}Transfer-Encoding: chunked\n\n".replace("\n", "\r\n").encode())
        for _ in range(20):
            client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert answer(client)[0] == 413


def test_strange_forms_leave_the_operators_log_alone(edges, tmp_path):
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    with serving(tmp_path / "s", edges) as server:
        for body in (b"--x\r\nContent\xc1-Disposition: form-data\r\n\r\n", b"--y", b"\0" * 99):
            answer = requests.post(
                f"{server.address}/presets/edges", body, headers=head, timeout=30
            )
            assert error(answer)[0] in (400, 422)
        assert server.said() == "Stopped.\n"


def test_what_is_said_about_it(server):
    assert {"standard", "edges"} <= set(server.get("/").json()["presets"])
    listed = server.get("/presets").json()
    sigma = listed["portrait"]["feather.sigma"]
    assert (sigma["value"], sigma["default"]) == (0.3, 2.0)
    assert (sigma["limits"], sigma["unit"]) == ([0, 500], "px") and sigma["help"]
    quality = listed["quick"]["segment.quality"]
    assert quality["choices"] == ["fast", "balanced", "best"]
    assert not [name for name in listed["edges"] if name.startswith(("other.", "second."))]
    assert not [name for name in listed["edges"] if name.endswith((".path", ".model"))]
    assert "secret" not in json.dumps(listed)
    assert server.get("/health").json() == {"status": "ok", "pictures": 0, "uploads": 0}
    for path in ("/", "/presets", "/health"):
        head = requests.head(server.address + path, timeout=30)
        assert (head.status_code, head.content) == (200, b"")
    for path in ("/docs", "/openapi.json", "/presets/edges/x"):
        assert error(server.get(path))[0] == 404
    assert error(server.get("/presets/edges"))[0] == 405


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "[::", "localhost.evil.x"])
def test_a_name_that_is_not_its_own_is_refused(server, host):
    status, said = error(server.get(headers={"Host": host}))
    assert status == 400 and "--name" in said
    for host in ("localhost", f"localhost:{server.port}", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert server.get(headers={"Host": host}).status_code == 200


def test_web_pages_of_other_sites_cannot_use_it(server):
    own = server.address
    for origin in ("http://evil.example", "null", "http://localhost:1", f"{own}.evil.x", ""):
        assert error(server.post(png(), headers={"Origin": origin}))[0] == 403
        assert error(server.get(headers={"Origin": origin}))[0] == 403
    for site in ("cross-site", "same-site"):
        assert error(server.post(png(), headers={"Sec-Fetch-Site": site}))[0] == 403
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = requests.options(f"{own}/presets/edges", headers=asked, timeout=30)
    assert error(preflight)[0] == 403
    fine = server.post(png(), headers={"Origin": own, "Sec-Fetch-Site": "same-origin"})
    assert opened(fine).size == (53, 37)
    assert not [name for name in fine.headers if name.lower().startswith("access-control")]
    assert fine.headers["X-Content-Type-Options"] == "nosniff"
    assert fine.headers["Cache-Control"] == "no-store" and "Server" not in fine.headers


def test_many_clients_each_get_their_own(server):
    def ask(number: int):
        wide = 20 + number
        return opened(server.post(png(wide), params={"set": f"feather.sigma={number / 8}"})).size

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(48))) == [(20 + number, 37) for number in range(48)]


def test_a_full_queue_says_when_to_come_back(edges, tmp_path):
    limits = ("--at-once", "1", "--queue", "2")
    with (
        serving(tmp_path / "s", edges, *limits, slow=True) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        first = [pool.submit(server.post, png()) for _ in range(3)]
        until(lambda: server.get("/health").json()["pictures"] == 3)
        assert server.get("/health").json()["uploads"] == 0
        refused = server.post(png())
        status, said = error(refused)
        assert status == 429 and said.startswith("3 pictures are waiting already.")
        assert int(refused.headers["Retry-After"]) >= 1
        server.wait_for("started", 1)
        time.sleep(0.2)
        assert server.marks("started") == 1  # one at a time
        (server.folder / "go").touch()
        assert [opened(answer.result()).size for answer in first] == [(53, 37)] * 3
        assert opened(server.post(png())).size == (53, 37)


def test_a_client_that_goes_away_cancels_its_work(edges, tmp_path):
    with serving(tmp_path / "s", edges, slow=True) as server:
        with pytest.raises(requests.exceptions.ReadTimeout):
            server.post(png(), timeout=1)
        server.wait_for("cancelled", 1)
        until(lambda: server.get("/health").json()["pictures"] == 0)
        (server.folder / "go").touch()
        assert opened(server.post(png())).size == (53, 37)
        assert server.said() == "Stopped.\n"


def test_the_time_that_a_request_may_take_is_limited(edges, tmp_path):
    with serving(tmp_path / "s", edges, "--seconds", "1", slow=True) as server:
        assert error(server.post(png())) == (
            504, "The time a request may take, 1 s, is over."
        )  # fmt: skip
        server.wait_for("cancelled", 1)


def test_what_is_no_http_is_told_in_json(server):
    for request in ("NONSENSE", "GET / HTTP/9.9 x\nHost: localhost", "GET /\x01 HTTP/1.1"):
        assert server.raw(request) == (400, {"error": "This is no HTTP request that can be read."})


def test_who_dawdles_is_cut_off(edges, tmp_path):
    line = "POST /presets/edges HTTP/1.1\nHost: localhost\nContent-Type: image/png\n"
    with serving(tmp_path / "s", edges, head=0.5, idle=0.5) as server:
        status, said = server.raw(f"{line}Content-Length: 1000", b"x")
        assert status == 408 and "Nothing came for 0.5 s" in said["error"]
        for start in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"):
            with server.socket() as client:
                client.sendall(start)
                client.settimeout(10)
                with pytest.raises(ConnectionResetError):
                    assert client.recv(100) == b""
                    raise ConnectionResetError  # closed in the polite way
        assert server.get("/health").json() == {"status": "ok", "pictures": 0, "uploads": 0}


UPLOAD = b"POST /presets/edges HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def test_uploads_that_hang_keep_nobody_waiting(edges, tmp_path):
    with (
        serving(tmp_path / "s", edges, "--at-once", "1", "--queue", "1", start=0.3) as server,
        ExitStack() as stack,
    ):
        hung = [stack.enter_context(server.socket()) for _ in range(4)]
        for number, client in enumerate(hung, 1):  # twice as many as there are places
            client.sendall(UPLOAD + b"Content-Length: 1000\r\n\r\nx")
            until(lambda number=number: server.get("/health").json()["uploads"] == number)
        assert server.get("/health").json()["pictures"] == 0
        assert opened(server.post(png())).size == (53, 37)
        until(lambda: select.select(hung, [], [], 0)[0])
        cut = select.select(hung, [], [], 0)[0]
        ((status, said),) = map(answer, cut)  # the slowest of them, and no more
        assert status == 408 and said["error"].startswith("Others wait, and this upload is slow.")


def test_only_what_is_slow_gives_way_to_others(monkeypatch):
    now, cut = [100.0], []
    monkeypatch.setattr(serve_door, "time", SimpleNamespace(monotonic=lambda: now[0]))
    fast, hung = (serve_door.Transfer(partial(cut.append, name)) for name in ("fast", "hung"))
    for transfer in (fast, hung):
        transfer.count(10_000_000)  # which says nothing of what comes after it
    both = {fast, hung}
    now[0] += serve_door.START / 2
    assert not serve_door._give_way(both) and both == {fast, hung}
    now[0] += serve_door.START
    fast.count(int(serve_door.SLOW * serve_door.START))
    assert serve_door._give_way(both) and (both, cut) == ({fast}, ["hung"])
    assert not serve_door._give_way(both) and cut == ["hung"]


def test_where_all_uploads_go_on_one_more_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(serve_door, "START", 0.05)
    places = serve_door.Places(Limits(at_once=1, queue=0))
    monkeypatch.setattr(serve_door.Transfer, "rate", lambda self: float("inf"))
    there = {serve_door.Transfer(lambda: None) for _ in range(2)}
    places.uploads |= there
    with pytest.raises(serve_door.Refusal, match="2 uploads are under way already") as raised:
        asyncio.run(places.upload(lambda: None))
    assert raised.value.status == 429 and places.uploads == there


@pytest.mark.parametrize("others", [False, True])
def test_a_reader_that_stops_reading_gives_its_place_back(edges, tmp_path, others):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=0)
    limits = ["--seconds", "60" if others else "3", "--at-once", "1", "--queue", "0"]
    with serving(tmp_path / "s", edges, *limits, start=0.3) as server, server.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"Content-Length: {len(out.getvalue())}\r\n\r\n".encode()
        client.sendall(UPLOAD + head + out.getvalue())
        until(lambda: server.get("/health").json()["pictures"] == 1)
        if others:  # who need not wait for the end of its time
            until(lambda: server.post(png()).status_code == 200)
        until(lambda: server.get("/health").json()["pictures"] == 0)


def test_a_fault_of_the_services_own_is_told_to_the_operator_alone(edges, tmp_path, home):
    graph = load_graph("quick").set_param("segment", "model", "u2net")
    save_graph(graph, tmp_path / "broken.qrgraph")
    (home / "models").mkdir()
    (home / "models" / "u2net.onnx").write_bytes(b"no network")
    with serving(tmp_path / "s", str(tmp_path / "broken.qrgraph")) as server:
        status, said = error(server.post(png(), "broken"))
        assert (status, said) == (
            503, "The network of this preset cannot be used. Tell the operator."
        )  # fmt: skip
        assert str(home) in server.said()


def test_ctrl_c_lets_pictures_under_way_be_finished(edges, tmp_path):
    with serving(tmp_path / "s", edges, slow=True) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.post, png())
        server.wait_for("started", 1)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        (server.folder / "go").touch()
        assert opened(waiting.result()).size == (53, 37)
        assert server.process.communicate(timeout=30)[1] == "Stopped.\n"
        assert server.process.returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_does_not_wait_for_ever(edges, tmp_path, sign):
    with (
        serving(tmp_path / "s", edges, slow=True, grace=1) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(server.post, png())
        server.wait_for("started", 1)
        server.process.send_signal(sign)
        assert error(waiting.result()) == (503, "The service is being stopped.")
        assert server.process.communicate(timeout=30)[1] == "Stopped.\n"
        assert server.process.returncode == 0 and server.marks("cancelled") == 1


def test_memory_does_not_grow_with_the_number_of_pictures(edges, tmp_path):
    def resident() -> int:
        return psutil.Process(server.process.pid).memory_info().rss

    picture = png(1500, 1000)
    with serving(tmp_path / "s", edges, "--queue", "20") as server, ThreadPoolExecutor(6) as pool:
        list(pool.map(server.post, [picture] * 12))
        before = resident()
        answers = list(pool.map(server.post, [picture] * 60))
        assert {answer.status_code for answer in answers} == {200}
        assert resident() - before < 30e6  # one picture's arrays alone take 10 MB


def test_memory_is_given_back_when_no_picture_is_in(monkeypatch):
    rests = []
    monkeypatch.setattr("qr_nodes.heap.give_back", lambda: rests.append(service.places.pictures))
    monkeypatch.setattr("qr_nodes.heap.IDLE", 0.05)
    service = Service({}, Limits())

    async def three():
        async with service.place():
            async with service.place():
                pass
            await asyncio.sleep(0.2)
            assert not rests
        async with service.place():
            pass
        await asyncio.sleep(0.2)

    try:
        asyncio.run(three())
    finally:
        service.close()
    assert rests == [0]


def test_beyond_loopback_there_is_a_warning(edges, tmp_path):
    with serving(tmp_path / "s", edges, "--host", "0.0.0.0", "--name", "box.example") as server:
        assert "asks for no password" in server.process.stderr.readline()
        server.address = f"http://127.0.0.1:{server.port}"
        assert server.get(headers={"Host": "box.example"}).status_code == 200
        assert server.get(headers={"Host": "evil.example"}).status_code == 400


def test_what_keeps_it_from_starting_is_one_line(edges, tmp_path, capsys):
    def line(*args: str, code: int = 1) -> str:
        assert main(["serve", *args]) == code
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        return err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("qr_nodes.serve.fetch_models", lambda presets, say: None)
            assert f"127.0.0.1:{port}: nothing can listen there" in line("--port", port)
            assert "nothing can listen there" in line("--host", "no.such.host.invalid")
    assert "there is no such preset" in line(str(tmp_path / "none.qrgraph"), code=2)
    assert "another preset has this name" in line(edges, edges, code=2)
    save_graph(Graph.chain("load", "feather"), tmp_path / "open.qrgraph")
    assert "open: the graph has no Export node." in line(str(tmp_path / "open.qrgraph"), code=2)


def test_without_the_extra_there_is_one_sentence():
    code = (
        "import sys; sys.modules['{0}'] = None; from qr_nodes.cli import main;"
        "sys.exit(main(['serve']))"
    )
    for name in ("fastapi", "uvicorn", "python_multipart"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(name)], capture_output=True, text=True
        )
        said = (
            f"qr-nodes serve: the package {name} is not here. Run: {sys.executable} -m pip install"
        )
        assert done.returncode == 1 and done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1 and name.replace("_", "-") in done.stderr[len(said) :]


def test_a_graph_with_two_loads_must_tell_which_is_meant():
    graph = Graph.chain("load", "feather", "export")
    two = graph.add("load", "a").add("load", "b").remove("load").connect("a", "feather")
    with pytest.raises(GraphError, match="2 Load nodes"):
        Prepared.of(two)
    with pytest.raises(GraphError, match="nothing is linked"):
        Prepared.of(graph.disconnect("export", "cutout"))
    prepared = Prepared.of(graph.change("load", bypass=True))
    with pytest.raises(ParamError, match="cannot be set from outside"):
        prepared.with_settings(["export.path=x.png"])
    with pytest.raises(ParamError, match=r"glow\.size: no preset has this node"):
        presets(settings=["glow.size=1"])
    changed = presets(settings=["feather.sigma=7"], quality="fast")
    assert changed["portrait"].settable()["feather.sigma"]["value"] == 7.0
    assert {each.graph.nodes["segment"].params["quality"] for each in changed.values()} == {"fast"}
    assert set(presets()) == {"glass", "hair", "portrait", "product", "quick", "standard"}

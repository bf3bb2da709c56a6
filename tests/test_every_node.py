"""Laws that hold for every node there is; a new node is covered without a line here."""

import functools
import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image, ImageCms

from qr_nodes.errors import Cancelled, ParamError, QrNodesError, SocketError
from qr_nodes.graph import Node
from qr_nodes.imaging.image_io import read_image
from qr_nodes.imaging.resample import shrink
from qr_nodes.node import Before, Job, Param
from qr_nodes.nodes import all_specs
from qr_nodes.patch import redone
from qr_nodes.preflight import output_size
from qr_nodes.types import Cutout, Mask, Source, Stroke, Written, opaque

PROBES = {
    "brush_edit.strokes": [
        (Stroke(((0.1, 0.2), (0.8, 0.7)), size=0.1, opacity=0.5, mode="erase"),),
        (Stroke(((0.1, 0.2), (0.8, 0.7)), size=0.05), Stroke(((0.5, 0.5),), hidden=True)),
    ],
    "file": ["photo.png", "pages.tif"],
    "save": ["written.png", "written.jpg", "written.webp"],
    "resize.longest": [40, 150],
    "resize.width": [40, 150],
    "resize.height": [40, 150],
}
"""Values to try, by parameter or kind, where the type or the slider's ends are no guide or slow."""

EXIF = Image.Exif()
EXIF[0x010F] = "Maker"  # the camera's maker

SOURCE = Source(
    name="scene.png",
    format="PNG",
    icc=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    dpi=(240.0, 240.0),
    exif=EXIF.tobytes(),
)

SPECS = all_specs()
DTYPES = [np.uint8, np.uint16, np.float32]
every_node = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)


# --- pictures and masks to feed them --------------------------------------------------------


@functools.cache
def scene(height, width, dtype=np.uint8):
    """A subject with a wavy contour, soft here and jagged there, a hole, a pane and specks."""
    rng = np.random.default_rng(11)
    y, x = (np.mgrid[:height, :width] + 0.5) / np.reshape((height, width), (2, 1, 1))
    side = min(height, width)
    distance = np.hypot(y - 0.5, x - 0.5)
    contour = 0.33 + 0.04 * np.sin(7 * np.arctan2(y - 0.5, x - 0.5))
    alpha = np.clip((contour - distance) * side / np.where(x > 0.5, 0.08 * side, 2) + 0.5, 0, 1)
    alpha = np.where(y > 0.5, alpha, np.where(x < 0.5, alpha > 0.5, alpha))
    alpha[(np.abs(y - 0.45) < 0.08) & (np.abs(x - 0.55) < 0.1)] = 0.4
    alpha[np.hypot(y - 0.6, x - 0.45) < 0.025] = 0
    alpha[np.hypot(y - 0.1, x - 0.1) < 0.02] = 0.7
    foreground = np.stack([0.8 + 0 * x, 0.3 + 0.2 * np.sin(25 * x), 0.2 + 0.1 * y], -1)
    background = np.stack([0.2 * y, 0.5 + 0.4 * x, 0.7 + 0.2 * np.cos(9 * y)], -1)
    color = foreground * alpha[..., None] + background * (1 - alpha[..., None])
    alpha[np.hypot(y - 0.35, x - 0.4) < 0.04] = 0  # a hole where the subject shows
    color = np.clip(color + rng.normal(0, 0.01, color.shape), 0, 1)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    return frozen(Cutout((color * top).astype(dtype), alpha.astype(np.float32), SOURCE))


@functools.cache
def pane(height, width):
    """A round pane before a plain background: see-through, with a bright rim."""
    y, x = (np.mgrid[:height, :width] + 0.5) / np.reshape((height, width), (2, 1, 1))
    inside = (0.33 - np.hypot(y - 0.5, x - 0.5)) * min(height, width)
    color = np.stack([0.3 + 0.2 * y, 0.4 + 0.1 * x, 0.5 + 0 * x], -1)
    color[(inside > 0) & (inside < 3)] = 0.95
    alpha = np.where(inside > 0, 0.5, 0.0)
    return frozen(Cutout((color * 255).astype(np.uint8), alpha.astype(np.float32), SOURCE))


def frozen(value):
    for array in arrays(value):
        array.flags.writeable = False
    return value


def arrays(value):
    """Everything in an output or input that can be compared, as arrays."""
    if isinstance(value, Cutout):
        return [*value.arrays]
    if isinstance(value, Written):
        with open(value.path, "rb") as file:
            return [np.frombuffer(file.read(), np.uint8)]
    return [value] if isinstance(value, np.ndarray) else []


def inputs_for(spec, cutout, linked=True):
    """Feed `cutout` to a node; what else it takes is made from it."""
    height, width = cutout.shape
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width)).copy()
    given, spare = {}, iter(range(100))
    for name, kind in spec.inputs.items():
        if name in spec.optional and not linked:
            continue
        first = next(spare) == 0
        if kind is Cutout:
            turned = Cutout(cutout.color.swapaxes(0, 1).copy(), opaque(width, height))
            given[name] = cutout if first else frozen(turned)
        else:
            given[name] = cutout.alpha if first else frozen(ramp)
    return given


@pytest.fixture
def call(tmp_path):
    """Call a node, holding it to its contract."""
    first, second = (Image.fromarray(scene(height, 53).color) for height in (37, 41))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    second.save(tmp_path / "photo.png")

    def call(spec, given, settings=None, job=None):
        settings = dict(settings or {})
        for name, param in spec.params.items():
            if param.kind in ("file", "save"):
                settings[name] = str(tmp_path / settings.get(name, PROBES[param.kind][0]))
        if spec.takes_job:
            settings["job"] = job or Remembering(given)
        before = [array.copy() for value in given.values() for array in arrays(value)]
        output = spec.fn(**given, **settings)
        after = [array for value in given.values() for array in arrays(value)]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(new, old, err_msg="an input was changed")
        several = len(spec.outputs) > 1
        found = {name: getattr(output, name) if several else output for name in spec.outputs}
        for name, kind in spec.outputs.items():
            check_output(found[name], kind, given)
        if "file" not in spec.outputs and (job is None or job.scale == 1):
            size = declared_size(spec, given, settings, tmp_path)
            assert size in (None, *(value.shape for value in found.values()))
            assert size is not None or spec.id == "crop_to_subject" or settings.get("page", 1) > 1
        return found

    return call


def declared_size(spec, given, settings, folder="."):
    """Return the size that is known of what a node gives, before it runs."""
    values = {name: value for name, value in settings.items() if name in spec.params}
    sizes = {name: given[name].shape if name in given else None for name in spec.inputs}
    return output_size(Node(spec, spec.defaults | values), sizes, folder)


def check_output(value, kind, given):
    if kind is Written:
        assert isinstance(value, Written)
        assert value.intact()
        return
    if kind is Cutout:
        assert isinstance(value, Cutout)
        assert value.color.shape == (*value.alpha.shape, 3)
        assert value.color.flags.c_contiguous
        assert value.color.dtype in DTYPES
        main = next((v for v in given.values() if isinstance(v, Cutout)), value)
        assert value.color.dtype == main.color.dtype
        if value.color.dtype == np.float32:
            check_unit(value.color)
        if value.unmixed is not None:
            check_output(value.unmixed, Mask, given)
            assert value.unmixed.shape == value.alpha.shape
        value = value.alpha
    assert isinstance(value, np.ndarray)
    assert value.ndim == 2
    assert min(value.shape) >= 1
    assert value.dtype == np.float32
    assert value.flags.c_contiguous or value.strides == (0, 0)
    check_unit(value)


def check_unit(array):
    """Finite and within 0 … 1: NaN fails both comparisons."""
    assert array.min() >= 0
    assert array.max() <= 1


# --- settings to try ------------------------------------------------------------------------


def probes(param: Param):
    """Give values worth trying, gentle ones first."""
    if param.where in PROBES or param.kind in PROBES:
        return PROBES.get(param.where) or PROBES[param.kind]
    if param.choices:
        values = param.choices
    elif param.type is bool:
        values = (False, True)
    elif param.kind == "color":
        values = ("#ff8000", "#000000")
    elif param.type in (int, float):
        ends = [*(param.ui or ()), param.lo, param.hi]
        ends = [end for end in ends if end is not None]
        middle = [sum(ends[:2]) / 2] if len(ends) >= 2 else []
        values = [param.default / 2, param.default * 2, *middle, *ends]
        values = [param.type(v) for v in values if not outside(param, v)]
    else:
        values = ()
    return [value for value in dict.fromkeys(values) if value != param.default]


def outside(param, value):
    return (param.lo is not None and value < param.lo) or (
        param.hi is not None and value > param.hi
    )


def contexts(spec, name):
    """Give settings of the other parameters under which one may matter: none first."""
    yield {}
    others = [param for param in spec.params.values() if param.name != name]
    for param in sorted(others, key=lambda param: param.type in (int, float)):
        yield from ({param.name: value} for value in probes(param))


def settings_that_matter(call, spec, given, name, refusing=False):
    """Give settings with which the parameter `name` changes the output, or None.

    With `refusing`, a node that says no instead counts as well.
    """
    for context in contexts(spec, name):
        usual = pixels(call, spec, given, context)
        for value in probes(spec.params[name]) if usual else ():
            settings = context | {name: value}
            found = pixels(call, spec, given, settings)
            if refusing if found is None else not same(usual, found):
                return settings
    return None


def pixels(call, spec, given, settings):
    """Give what a call comes to as arrays, files read; None if the node refuses."""
    try:
        outputs = call(spec, given, settings)
    except QrNodesError:
        return None
    return [array for value in outputs.values() for array in arrays(value)]


def same(first, second):
    return all(map(np.array_equal, first, second))


def lively(call, spec, given):
    """Give settings that make the node do something beyond its defaults, as far as it can."""
    for name, param in spec.params.items():
        if judged(param):
            found = settings_that_matter(call, spec, given, name)
            if found:
                return found
    return {}


def judged(param):
    """Say whether a parameter is one whose values must change pixels."""
    return param.keyed and param.kind not in ("model", "device")


# --- pixels ---------------------------------------------------------------------------------


@every_node
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 1), np.uint8), ((7, 1), np.uint16), *(((37, 53), dtype) for dtype in DTYPES)],
    ids=lambda value: getattr(value, "__name__", None) or "{}x{}".format(*value),
)
def test_the_contract_holds_at_every_size_depth_and_alpha(spec, shape, dtype, call):
    picture = scene(*shape, dtype)
    mattes = [
        picture.alpha,
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        opaque(*shape),
    ]
    variants = [
        {param.name: value}
        for param in spec.params.values()
        if judged(param)
        for value in probes(param)[:2]
    ]
    for matte, linked in itertools.product(mattes, (True, False) if spec.optional else (True,)):
        cutout = frozen(picture.with_alpha(matte))
        glass = replace(cutout, unmixed=frozen(cutout.alpha.copy()))
        call(spec, inputs_for(spec, glass, linked))
        given = inputs_for(spec, cutout, linked)
        call(spec, given)
        for settings in variants if matte is mattes[0] and linked else ():
            try:
                call(spec, given, settings)
            except QrNodesError as error:
                assert re.match(r"[^\n]+[.]$", str(error))  # it may refuse, in a sentence


@pytest.mark.parametrize(
    "spec",
    [
        spec
        for spec in SPECS
        if {spec.inputs.get("cutout"), spec.outputs.get("cutout")} == {Cutout}
        and spec.id != "background"  # whose picture is another one
    ],
    ids=lambda spec: spec.id,
)
def test_that_the_scene_behind_was_taken_out_is_known_from_then_on(spec, call):
    glass = replace(scene(61, 83), unmixed=frozen(np.full((61, 83), 0.25, np.float32)))
    given = inputs_for(spec, glass, linked=False)
    found = call(spec, given, lively(call, spec, given))["cutout"]
    assert found.unmixed.shape == found.shape
    assert (found.unmixed >= 0.25).all()


@every_node
def test_the_same_call_gives_the_same_pixels(spec, call):
    given = inputs_for(spec, scene(61, 83))
    settings = lively(call, spec, given)
    first = pixels(call, spec, given, settings)
    Remembering.kept.clear()
    second = pixels(call, spec, given, settings)
    assert first
    assert same(first, second)


def of_depth(dtype):
    """The scene with the very colours of its 8 bits, in another depth."""
    cutout = scene(61, 83)
    exact = {np.uint8: lambda c: c, np.uint16: lambda c: c.astype(np.uint16) * 257}
    color = exact.get(dtype, lambda c: c.astype(np.float32) / np.float32(255))(cutout.color)
    return frozen(replace(cutout, color=color))


def unit(value):
    """Arrays of an output in [0, 1], whatever their depth; a file as it is seen when read again."""
    seen = read_image(value.path) if isinstance(value, Written) else value
    found = [
        array / np.float32(1 if array.dtype == np.float32 else np.iinfo(array.dtype).max)
        for array in arrays(seen)
    ]
    # Of what is all but clear 16 bits keep the colour and 8 bits none.
    return [found[0] * found[1][..., None], *found[1:]] if seen is not value else found


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.inputs], ids=lambda spec: spec.id)
def test_a_picture_gives_the_same_answer_in_8_16_and_32_bits(spec, call):
    given = {dtype: inputs_for(spec, of_depth(dtype)) for dtype in DTYPES}
    more = {} if spec.models or spec.writes else lively(call, spec, given[np.uint8])
    for settings in ({}, more) if more else ({},):
        answers = {}
        for dtype in DTYPES:
            Remembering.kept.clear()
            found = call(spec, given[dtype], settings)
            answers[dtype] = [array for value in found.values() for array in unit(value)]
        for dtype in (np.uint16, np.float32):
            for coarse, fine in zip(answers[np.uint8], answers[dtype], strict=True):
                # A step of 8 bits; what is rounded twice on the way, half a step more.
                assert np.abs(coarse - fine).max() <= 1.5 / 255, settings


@every_node
def test_neither_threads_nor_what_runs_beside_changes_a_bit(spec, call, threads):
    given = inputs_for(spec, scene(191, 257))
    tried = [
        {name: value}
        for name, param in spec.params.items()
        if judged(param)
        for value in probes(param)[:3]
    ]

    def found(settings):
        if not spec.ahead:  # a network is asked once: it has threads of its own
            Remembering.kept.clear()
        return pixels(call, spec, given, settings)

    with ThreadPoolExecutor(3) as pool:
        for settings in ({}, *tried):
            threads(5)
            usual = found(settings)
            # Two that write would write one file.
            beside = [] if spec.writes else pool.map(found, [settings] * 3)
            threads(1)
            for other in (*beside, found(settings)):
                assert (usual is None) == (other is None), settings
                assert usual is None or same(usual, other), settings


@pytest.fixture
def threads():
    """Give what sets the number of OpenCV's threads, for one test."""
    usual = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(usual)


@pytest.mark.parametrize(
    ("spec", "name"),
    [(spec, name) for spec in SPECS for name, param in spec.params.items() if judged(param)],
    ids=lambda value: getattr(value, "id", value),
)
def test_every_parameter_changes_the_picture(spec, name, call):
    assert any(
        settings_that_matter(call, spec, inputs_for(spec, picture, linked), name, refusing=True)
        for picture in (scene(61, 83), pane(121, 163))
        for linked in ((True, False) if spec.optional else (True,))
    )


@every_node
def test_a_preview_is_close_to_the_shrunk_result(spec, call):
    full = scene(240, 320)
    small = Cutout(shrink(full.color, 0.5), shrink(full.alpha, 0.5))
    settings = lively(call, spec, inputs_for(spec, scene(61, 83)))
    for chosen in ({}, settings):
        values = {n: p.default for n, p in spec.params.items() if p.unit == "px"} | chosen
        scaled = {
            name: value * 0.5 if spec.params[name].unit == "px" else value
            for name, value in values.items()
        }
        job = Job()
        job.scale = 0.5
        exact = call(spec, inputs_for(spec, full), chosen)
        given = inputs_for(spec, small)
        draft = call(spec, given, scaled, job)
        for name, kind in spec.outputs.items():
            if kind is not Written and not spec.full_scale:
                assert_close(draft[name], exact[name])


def assert_close(draft, exact):
    if isinstance(draft, Cutout):
        top = 1 if draft.color.dtype == np.float32 else np.iinfo(draft.color.dtype).max
        matte, color = shrink(exact.alpha, 0.5), shrink(exact.color, 0.5)
        rows, columns = common(draft.alpha, matte)
        weight = draft.alpha[rows, columns, None]
        off = np.abs(draft.color[rows, columns] / top - color[rows, columns] / top) * weight
        assert off.mean() < 0.03
        draft, exact = draft.alpha, exact.alpha
    exact = shrink(exact, 0.5)
    rows, columns = common(draft, exact)
    assert np.abs(draft[rows, columns] - exact[rows, columns]).mean() < 0.02


def common(first, second):
    """Rows and columns that both have; sizes may differ by rounding only."""
    assert np.abs(np.subtract(first.shape, second.shape)).max() <= 2
    return tuple(map(slice, np.minimum(first.shape, second.shape)))


class Remembering(Job):
    """Keeps what a node asks to keep: a network runs once per picture, not once per call."""

    kept = {}  # noqa: RUF012

    def __init__(self, given):
        self.given = tuple(array.tobytes() for v in given.values() for array in arrays(v))

    def memo(self, name, parts, compute, *, disk=False, shared=False):
        key = (name, parts, None if shared else self.given)
        if key not in self.kept:
            self.kept[key] = compute()
        return self.kept[key]


class Stopping(Job):
    """Counts checkpoints, and says Cancelled at the one numbered `last`."""

    def __init__(self, last=None):
        self.count, self.last = 0, last

    def checkpoint(self):
        self.count += 1
        if self.count == self.last:
            raise Cancelled

    def progress(self, fraction):
        assert 0 <= fraction <= 1
        self.checkpoint()


# Reading a file is left to libraries that cannot be interrupted.
@pytest.mark.parametrize(
    "spec",
    [spec for spec in SPECS if spec.takes_job and not spec.reads],
    ids=lambda spec: spec.id,
)
def test_a_node_stops_at_whichever_checkpoint_says_so(spec, call):
    given = inputs_for(spec, scene(1800, 2240))
    settings, job = {}, Stopping()
    call(spec, given, settings, job)
    if job.count < 2:
        settings, job = lively(call, spec, inputs_for(spec, scene(61, 83))), Stopping()
        call(spec, given, settings, job)
    # Four megapixels are more than one grain of work.
    assert job.count >= 2
    for last in {1, (job.count + 1) // 2}:
        with pytest.raises(Cancelled):
            call(spec, given, settings, Stopping(last))


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if not spec.takes_job], ids=lambda spec: spec.id
)
def test_a_node_that_cannot_be_stopped_looks_at_each_pixel_alone(spec, call):
    """One pass over a picture is a few ms; what looks around takes a `job` and asks it."""
    rng = np.random.default_rng(6)
    order = rng.permutation(61 * 83)
    picture = scene(61, 83)
    mixed = Cutout(
        picture.color.reshape(-1, 3)[order].reshape(picture.color.shape),
        picture.alpha.ravel()[order].reshape(picture.shape),
    )
    given = inputs_for(spec, picture)
    shuffled = {n: mixed if isinstance(v, Cutout) else _mixed(v, order) for n, v in given.items()}
    for settings in ({}, lively(call, spec, given)):
        plain, other = (call(spec, inputs, settings) for inputs in (given, shuffled))
        for name, value in plain.items():
            for first, second in zip(arrays(value), arrays(other[name]), strict=True):
                np.testing.assert_array_equal(_mixed(first, order), second)


def _mixed(array, order):
    flat = array.reshape(len(order), -1)[order]
    return np.ascontiguousarray(flat.reshape(array.shape))


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if spec.reach is not None], ids=lambda spec: spec.id
)
def test_what_is_redone_after_a_small_change_equals_the_whole_bit_for_bit(spec):
    picture = scene(700, 900)
    rng = np.random.default_rng(9)
    tried = 0
    values = {n: [param.default] * 6 + probes(param) for n, param in spec.params.items()}
    for settings in ({n: rng.choice(v).item() for n, v in values.items()} for _ in range(12)):
        given = inputs_for(spec, picture)
        before = Before(given | settings, {"cutout": spec.fn(**given, **settings)})
        for _ in range(3):
            y, x = rng.integers(0, 640), rng.integers(0, 840)
            box = slice(y, y + int(rng.integers(1, 60))), slice(x, x + int(rng.integers(1, 60)))
            spot = np.full([part.stop - part.start for part in box], rng.random(), np.float32)
            changed = picture.with_alpha(picture.tiles.with_pixels(box, spot))
            arguments = given | settings | {"cutout": changed}
            if (found := redone(spec, arguments, before)) is not None:
                tried += 1
                whole = spec.fn(**arguments)
                np.testing.assert_array_equal(found.alpha, whole.alpha)
                assert found.color is whole.color
    assert tried >= 6


# --- words and values -----------------------------------------------------------------------


@every_node
def test_the_docstring_explains_exactly_the_signature(spec):
    assert list(spec.help) == [*spec.inputs, *spec.params]
    for name, text in spec.help.items():
        assert re.match(r"[A-Z].*[.]$", text), f"{name}: {text}"


@every_node
def test_the_docstring_starts_with_an_order(spec):
    first = spec.doc.splitlines()[0]
    assert re.match(r"[A-Z][a-z]+ .*[.]$", first), first
    verb = first.split()[0]
    assert not verb.endswith("s") or verb.endswith("ss"), f"write 'Soften', not 'Softens': {verb}"


@every_node
def test_the_node_is_named_as_its_module(spec):
    assert spec.fn.__module__ == f"qr_nodes.nodes.{spec.id}"
    assert spec.title
    assert spec.category


@every_node
def test_parameters_survive_json_and_the_command_line(spec):
    for param in spec.params.values():
        for value in [param.default, *probes(param)]:
            written = msgspec.json.encode(value)
            assert param.check(msgspec.json.decode(written)) == value
            text = value if isinstance(value, str) else written.decode()
            assert param.check(text, text=True) == value


@every_node
def test_values_out_of_range_are_refused_by_name(spec):
    for param in spec.params.values():
        for limit, step in ((param.lo, -1), (param.hi, 1)):
            if limit is not None:
                with pytest.raises(ParamError, match=f"^{param.where}: .* is out of range. Use"):
                    param.check(param.type(limit + step))
        if param.choices:
            with pytest.raises(ParamError, match=f"^{param.where}: 'no such' cannot be used."):
                param.check("no such")


def test_titles_differ():
    titles = [spec.title for spec in SPECS]
    assert len(titles) == len(set(titles))


def test_masks_are_one_of_the_sockets():
    kinds = {kind for spec in SPECS for kind in (*spec.inputs.values(), *spec.outputs.values())}
    assert kinds <= {Cutout, Mask, Written}


@pytest.mark.parametrize("spec", [s for s in SPECS if len(s.inputs) > 1], ids=lambda spec: spec.id)
def test_sizes_that_do_not_fit_are_known_before_it_runs(spec):
    for name in list(spec.inputs)[1:]:
        given = inputs_for(spec, scene(37, 53))
        other = scene(41, 53)
        given[name] = other if spec.inputs[name] is Cutout else other.alpha
        said = []
        known = functools.partial(declared_size, spec, given, {})
        for attempt in (known, functools.partial(spec.fn, **given)):
            try:
                attempt()
            except SocketError as fault:
                said.append(fault.where)
        assert said in ([], [f"{spec.id}.{name}"] * 2)
        assert bool(said) == (spec.inputs[name] is Mask)

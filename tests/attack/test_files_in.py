"""Damaged pictures through every loader: a picture or one sentence, in time and in bounds."""

from __future__ import annotations

import os
import subprocess
import sys

import files_in
import pictures
import pytest

CASES = 5000


def test_damaged_files_give_a_picture_or_one_sentence():
    came, faults = {"picture": 0, "sentence": 0}, []

    def told(found: dict) -> None:
        came[found["came"] or "sentence"] += 1
        if found["fault"]:
            faults.append(found)

    files_in.run(0, CASES, min(2, os.cpu_count() or 1), told)
    again = "python tests/attack/files_in.py --cases 1 --keep FOLDER --first"
    assert not faults, "\n".join(f"{again} {found['case']}: {found}" for found in faults[:20])
    # Were nearly all refused at their first bytes, the decoders would not be tried.
    assert sum(came.values()) == CASES and came["picture"] > CASES / 5


@pytest.mark.parametrize("name", list(pictures.seeds()))
def test_every_kind_of_file_is_sound_before_it_is_damaged(name, tmp_path):
    from qr_nodes.imaging.image_io import measure_image, read_image

    file = tmp_path / "picture"
    file.write_bytes(pictures.seeds()[name])
    cutout = read_image(file)
    assert not files_in._check_picture(cutout)
    assert measure_image(file)[:2] == cutout.shape[::-1]


def test_a_process_that_dies_or_hangs_is_reported_and_the_rest_goes_on(tmp_path, monkeypatch):
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, os, sys, time\n"
        "for number in range(*map(int, sys.argv[2:])):\n"
        "    print(number, flush=True)\n"
        "    if number == 2: os.abort()\n"
        "    if number == 4: time.sleep(60)\n"
        "    print(json.dumps({'case': number, 'came': 'picture', 'fault': ''}), flush=True)\n"
    )
    monkeypatch.setattr(files_in, "__file__", str(script))
    monkeypatch.setattr(files_in, "PATIENCE", 2.0)
    found = list(files_in.watched(0, 6))
    assert [one["case"] for one in found] == list(range(6))
    assert [one["case"] for one in found if one["fault"]] == [2, 4]
    assert "ends with -6" in found[2]["fault"] and "hangs" in found[4]["fault"]


DAMAGED = {
    "a.jpg": pictures.seeds()["jpeg"][:900] + pictures.seeds()["jpeg"][1000:],
    "a.png": pictures.seeds()["png 16"].replace(b"IDAT\x78", b"IDAT\x79"),
    "a.tif": pictures.seeds()["tiff cmyk"].replace(b"\x78\x9c", b"\x78\x9d"),
}


@pytest.mark.parametrize("name", list(DAMAGED))
def test_what_libraries_print_of_a_damaged_file_does_not_reach_the_terminal(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(DAMAGED[name])
    out = ["-p", "quick", "--set", "segment.existing_alpha=keep", "-o", tmp_path / "out.png"]
    code = "import sys; from qr_nodes.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "remove", file, *out],
        env={k: v for k, v in os.environ.items() if k != "QR_NODES_DEBUG"},
        capture_output=True,
        text=True,
    )
    said = done.stderr.splitlines()
    assert said and all(line.startswith(f"{name}: ") for line in said), done.stderr

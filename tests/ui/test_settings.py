"""The settings file: remembered, merged between windows, never in the way when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qr_nodes.errors import WriteError
from qr_nodes.ui.settings import RECENT, Settings, Store


def test_what_is_changed_is_there_at_the_next_start(home):
    Store().change(window=(1000, 700), splitters={"viewer": 420}, background="black")
    now = Store().now
    assert now.window == (1000, 700)
    assert now.splitters == {"viewer": 420}
    assert now.background == "black"
    assert (home / "settings.json").is_file()


def test_nothing_is_written_before_something_changes(home):
    assert Store().now == Settings()
    assert not (home / "settings.json").exists()


def test_two_windows_keep_what_each_changed():
    one, other = Store(), Store()
    one.change(memory=4096)
    other.change(minimap=True)
    now = Store().now
    assert (now.memory, now.minimap) == (4096, True)


def test_recent_files_of_two_windows_are_joined(tmp_path):
    one, other = Store(), Store()
    one.remember(tmp_path / "a.png")
    other.remember(tmp_path / "b.png")
    assert Store().now.recent == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]


def test_recent_files_are_newest_first_each_once_and_few(tmp_path):
    store = Store()
    for number in range(RECENT + 3):
        store.remember(tmp_path / f"{number}.png")
    store.remember(tmp_path / "7.png")
    names = [Path(path).name for path in store.now.recent]
    assert names[:3] == ["7.png", "12.png", "11.png"]
    assert len(names) == len(set(names)) == RECENT
    assert store.now.folder == str(tmp_path)


def test_recent_files_that_are_gone_are_not_shown(tmp_path):
    store = Store()
    for name in ("kept.png", "gone.png"):
        (tmp_path / name).touch()
        store.remember(tmp_path / name)
    (tmp_path / "gone.png").unlink()
    assert store.recent() == [str(tmp_path / "kept.png")]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"window": [1'])
def test_a_damaged_file_gives_defaults_and_is_kept_aside(home, damage):
    (home / "settings.json").write_bytes(damage)
    store = Store()
    assert store.now == Settings()
    assert (home / "settings.json.bad").read_bytes() == damage
    store.change(memory=512)
    assert Store().now.memory == 512


def test_a_field_that_is_wrong_spoils_no_other(home):
    raw = {"memory": -5, "color": "red", "minimap": True, "window": ["wide", 3]}
    raw["batch"] = {"folder": 5}
    (home / "settings.json").write_text(json.dumps(raw))
    assert Store().now == Settings(minimap=True)
    assert json.loads((home / "settings.json.bad").read_bytes()) == raw


def test_names_of_another_version_survive(home):
    (home / "settings.json").write_text('{"hologram": {"depth": 3}}')
    Store().change(memory=512)
    assert json.loads((home / "settings.json").read_bytes())["hologram"] == {"depth": 3}


def test_settings_that_cannot_be_saved_say_so_and_hold_in_this_window(tmp_path):
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "settings.json")
    with pytest.raises(WriteError, match="cannot be saved"):
        store.change(memory=512)
    assert store.now.memory == 512


def test_areas_shrink_with_a_window_that_is_smaller_than_it_was_left():
    assert Settings().areas(1440, 900) == Settings().areas(2560, 1440) == {
        "canvas": 900, "viewer": 520,
    }  # fmt: skip
    assert Settings(window=(3000, 2000)).areas(720, 450) == {"canvas": 450, "viewer": 260}
    left = Settings(window=(2000, 1000), splitters={"canvas": 1200, "viewer": 500})
    assert left.areas(2000, 1000) == {"canvas": 1200, "viewer": 500}
    assert left.areas(1000, 750) == {"canvas": 600, "viewer": 375}

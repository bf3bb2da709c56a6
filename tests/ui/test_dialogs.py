"""Questions, progress, help and file dialogs: keys, order, answers."""

from __future__ import annotations

import os
import queue
import stat
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes.errors import WriteError
from qr_nodes.ui import browse, dialogs, system
from qr_nodes.ui.files import Files
from qr_nodes.ui.loop import _called
from qr_nodes.ui.settings import Store

ENTER, ESCAPE, UP, DOWN = dpg.mvKey_Return, dpg.mvKey_Escape, dpg.mvKey_Up, dpg.mvKey_Down


class Loop:
    """Runs what was posted when a test says so."""

    def __init__(self):
        self.hooks, self.inbox = [], queue.SimpleQueue()

    def post(self, call, *arguments):
        self.inbox.put((call, arguments))

    def wake(self):
        pass

    def turn(self, wait=0.0):
        """Run what is posted; wait up to `wait` seconds for the first."""
        while wait or not self.inbox.empty():
            call, arguments = self.inbox.get(timeout=wait or None)
            call(*arguments)
            wait = 0.0


class App:
    """Stands in for the window: what dialogs need of it."""

    def __init__(self):
        self.loop, self.modal, self.settings, self.said = Loop(), False, Store(), []

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except WriteError as error:
            self.said.append(str(error))

    def press(self, key):
        """Press and release a key, and go on to the next frame."""
        modal = self.modal
        modal._press(None, key)
        modal._release(None, key)
        self.loop.turn()

    def click(self, label):
        """Click the button of the open dialog that is called so."""
        self.callback(self.items("mvButton")[label])
        self.loop.turn()

    def callback(self, item, data=None):
        """Call an item's callback as the window's loop does."""
        _called(dpg.get_item_callback(item), [item, data, None])

    def items(self, kind):
        """Give the open dialog's items of a kind, by their label (a text's by its words)."""
        found, todo = {}, [self.modal.window]
        while todo:
            for item in dpg.get_item_children(todo.pop(), 1):
                todo.append(item)
                if dpg.get_item_type(item).endswith(kind):
                    name = dpg.get_value(item) if kind == "mvText" else dpg.get_item_label(item)
                    found[name] = item
        return found


@pytest.fixture
def app(dpg_context):
    return App()


@pytest.fixture
def given():
    return []


# ---- questions -----------------------------------------------------------------------------


def question(app, given):
    buttons = {"Save": lambda: given.append("save"), "Discard": lambda: given.append("discard")}
    return dialogs.ask(app, "Unsaved", "Save it?\n\nIt is lost otherwise.", buttons)


def test_a_question_shows_its_paragraphs_and_buttons(app, given):
    question(app, given)
    assert list(app.items("mvText")) == ["Save it?", "It is lost otherwise."]
    assert list(app.items("mvButton")) == ["Save", "Discard", "Cancel"]


@pytest.mark.parametrize("key", [dpg.mvKey_Return, dpg.mvKey_NumPadEnter])
def test_enter_is_the_first_button(app, given, key):
    question(app, given)
    app.press(key)
    assert given == ["save"]
    assert not app.modal


def test_escape_cancels_and_calls_nothing(app, given):
    question(app, given)
    app.press(ESCAPE)
    assert given == []
    assert not app.modal


def test_escape_is_what_cancel_is_given(app, given):
    dialogs.ask(app, "Q", "?", {"Go": None, "Cancel": lambda: given.append("cancelled")})
    app.press(ESCAPE)
    assert given == ["cancelled"]


def test_closing_the_window_cancels_what_is_asked_and_goes_on(app, given, monkeypatch):
    monkeypatch.setattr(dpg, "stop_dearpygui", lambda: given.append("stopped"))
    files = SimpleNamespace(app=app, _sure=lambda then: then())
    app.batch = SimpleNamespace(sure=lambda then: then())
    files.quit = partial(Files.quit, files)
    question(app, given)
    dialogs.tell(app, "Behind", "Another that waits.")
    files.quit()
    app.loop.turn()
    assert given == ["stopped"]
    assert not app.modal


def test_a_button_answers_and_closes(app, given):
    modal = question(app, given)
    window = modal.window
    app.click("Discard")
    assert given == ["discard"]
    assert not dpg.does_item_exist(window)
    assert not app.loop.hooks


def test_the_key_that_closes_a_dialog_does_not_reach_what_lies_behind(app, given):
    question(app, given)
    app.modal._press(None, ESCAPE)
    assert app.modal  # until the next frame
    app.loop.turn()
    assert not app.modal


def test_a_key_held_since_before_answers_nothing_until_it_is_pressed_anew(app, given, monkeypatch):
    monkeypatch.setattr(dpg, "is_key_down", lambda key: key == ENTER)
    question(app, given)
    app.modal._press(None, ENTER)
    assert given == []
    app.modal._release(None, ENTER)
    app.press(ENTER)
    assert given == ["save"]


def test_a_key_held_down_answers_once(app, given):
    modal = dialogs.prompt(app, "Rename", "Name", "", given.append)
    modal._press(None, ENTER)
    dpg.set_value(modal.focus, "typed")
    modal._press(None, ENTER)
    assert given == []
    modal._release(None, ENTER)
    app.press(ENTER)
    assert given == ["typed"]


def test_dialogs_wait_for_each_other_in_their_order(app, given):
    question(app, given)
    first, *rest = app.modal, *(dialogs.tell(app, name, name) for name in ("one", "two"))
    assert [modal.open for modal in (first, *rest)] == [True, False, False]
    app.press(ENTER)
    assert app.modal is rest[0]
    dialogs.tell(app, "three", "three")
    app.press(ENTER)
    assert app.modal is rest[1]
    app.press(ENTER)
    assert app.modal.title == "three"
    app.press(ESCAPE)
    assert not app.modal


def test_a_dialog_that_waits_can_be_called_off(app, given):
    question(app, given)
    dialogs.tell(app, "later", "later").close()
    app.press(ENTER)
    assert not app.modal


def test_an_answer_may_ask_the_next_question(app, given):
    dialogs.ask(app, "Q", "?", {"Go": lambda: dialogs.tell(app, "next", "next")})
    app.press(ENTER)
    assert app.modal.title == "next"


def test_an_answer_that_fails_is_told_by_the_window(app):
    def fail():
        raise WriteError("the disk is full.", "a.png")

    dialogs.ask(app, "Q", "?", {"Go": fail})
    app.press(ENTER)
    assert app.said == ["a.png: the disk is full."]


def test_a_prompt_gives_what_is_typed_and_nothing_empty(app, given):
    dialogs.prompt(app, "Rename", "Name", "Feather", given.append)
    assert dpg.get_value(app.modal.focus) == "Feather"
    dpg.set_value(app.modal.focus, "  ")
    app.press(ENTER)
    assert app.modal and not given
    dpg.set_value(app.modal.focus, " Soft edge ")
    app.press(ENTER)
    assert given == ["Soft edge"]


def test_progress_is_shown_and_can_be_cancelled(app, given):
    progress = dialogs.Progress(app, "Download", "Fetching", lambda: given.append("stop"))
    progress.set(0.25, "Fetching, 1 of 4 MB")
    app.loop.turn()
    assert list(app.items("mvText")) == ["Fetching, 1 of 4 MB"]
    (bar,) = app.items("mvProgressBar").values()
    assert dpg.get_value(bar) == 0.25
    assert dpg.get_item_configuration(bar)["overlay"] == "25%"
    app.press(ENTER)
    assert not given
    app.press(ESCAPE)
    assert given == ["stop"]
    progress.set(0.5)
    progress.finish()
    app.loop.turn()
    assert not app.modal


def test_progress_that_ends_before_it_is_shown_is_not_shown(app, given):
    question(app, given)
    progress = dialogs.Progress(app, "Download", "Fetching", lambda: None)
    progress.set(1.0)
    progress.finish()
    app.loop.turn()
    app.press(ENTER)
    assert not app.modal


# ---- help ----------------------------------------------------------------------------------


def test_the_help_lists_every_command_with_its_shortcut(app):
    groups = {"File": [("Open…", "Ctrl+O"), ("Save", "Ctrl+S")], "View": [("Fit", "F")]}
    dialogs.shortcuts(app, groups)
    words = list(app.items("mvText"))
    assert {"File", "Open…", "Ctrl+O", "Save", "Ctrl+S", "View", "Fit", "F"} == set(words)
    app.press(ESCAPE)
    assert not app.modal


def test_columns_keep_the_order_and_are_about_equal():
    groups = {name: [("", "")] * size for name, size in zip("abcd", (9, 3, 8, 2), strict=True)}
    assert dialogs._columns(groups) == (["a", "b"], ["c", "d"])
    assert dialogs._columns({"a": [("", "")]}) in ((["a"], []), ([], ["a"]))


def test_about_names_the_version_and_the_folder(app, home):
    from qr_nodes import __version__

    dialogs.about(app)
    assert app.modal.title == f"QR Nodes {__version__}"
    assert any(str(home) in words for words in app.items("mvText"))


# ---- the dialog of our own -----------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder with files and folders of several kinds, and no dialog of the system's."""
    folder = tmp_path / "pictures"
    for name in ("b folder", "A folder", ".hidden"):
        (folder / name).mkdir(parents=True)
    for name in ("cat.PNG", "dog.jpg", "Bear cat.png", "notes.txt", ".secret.png"):
        (folder / name).touch()
    return folder


@pytest.fixture
def no_native(monkeypatch):
    monkeypatch.setattr(dialogs, "native_dialogs", lambda wanted: [])


def test_a_folder_lists_folders_first_then_what_fits(pictures):
    found = browse.entries(pictures, ["*.png"])
    assert found == [
        ("A folder", True),
        ("b folder", True),
        ("Bear cat.png", False),
        ("cat.PNG", False),
    ]


@pytest.mark.parametrize(
    "patterns", [["*.png", "*.txt"], {"Pictures": ["*.png"], "Notes": ["*.txt"]}]
)
def test_patterns_may_have_a_name(app, pictures, given, no_native, patterns):
    app.settings.change(folder=str(pictures))
    dialogs.open_files(app, "Open", patterns, given.append)
    files = [name for name in app.items("mvSelectable") if not name.endswith("/")]
    assert files == ["Bear cat.png", "cat.PNG", "notes.txt"]


def test_typing_narrows_the_list_beginnings_first(pictures):
    assert [name for name, _ in browse.entries(pictures, (), "CAT")] == ["cat.PNG", "Bear cat.png"]
    assert [name for name, _ in browse.entries(pictures, (), ".")][:2] == [".hidden", ".secret.png"]
    assert len(browse.entries(pictures, (), "new name", save=True)) == 6


def open_picture(app, pictures, given):
    app.settings.change(folder=str(pictures))
    dialogs.open_files(app, "Open", ["*.png", "*.jpg"], given.append)


def test_the_first_dialog_starts_in_the_users_folder(app, pictures, given, no_native, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: pictures)
    dialogs.open_files(app, "Open", ["*.jpg"], given.append)
    assert "dog.jpg" in app.items("mvSelectable")


def typed(app, text):
    """Type into the dialog's name field."""
    dpg.set_value(app.modal.focus, text)
    app.callback(app.modal.focus, text)


def test_a_file_is_chosen_by_typing_a_part_of_it(app, pictures, given, no_native):
    open_picture(app, pictures, given)
    typed(app, "bear")
    app.press(ENTER)
    assert given == [[str(pictures / "Bear cat.png")]]
    assert not app.modal


def test_a_file_is_chosen_by_moving_the_mark(app, pictures, given, no_native):
    open_picture(app, pictures, given)
    for _ in range(3):
        app.press(DOWN)
    app.press(UP)
    app.press(ENTER)
    assert given == [[str(pictures / "Bear cat.png")]]


def test_a_file_is_chosen_by_two_clicks(app, pictures, given, no_native):
    open_picture(app, pictures, given)
    for _ in range(2):
        row = app.items("mvSelectable")["dog.jpg"]
        app.callback(row)
    app.loop.turn()
    assert given == [[str(pictures / "dog.jpg")]]


def test_folders_open_up_and_down_and_the_last_is_remembered(app, pictures, given, no_native):
    (pictures / "b folder" / "x.png").touch()
    open_picture(app, pictures, given)
    app.press(DOWN)
    app.press(ENTER)
    assert "x.png" in app.items("mvSelectable")
    app.click("Up")
    assert "dog.jpg" in app.items("mvSelectable")
    app.press(DOWN)
    app.press(ENTER)
    app.press(ENTER)
    assert given == [[str(pictures / "b folder" / "x.png")]]
    assert Store().now.folder == str(pictures / "b folder")


def test_a_path_in_full_is_taken_and_one_that_is_not_there_refused(app, pictures, given, no_native):
    open_picture(app, pictures, given)
    typed(app, str(pictures / "gone.png"))
    app.press(ENTER)
    assert f"{pictures / 'gone.png'} is not there." in app.items("mvText")
    typed(app, str(pictures / "notes.txt"))
    app.press(ENTER)
    assert given == [[str(pictures / "notes.txt")]]


def test_a_folder_that_cannot_be_opened_says_why_and_the_old_one_stays(
    app, pictures, given, no_native
):
    open_picture(app, pictures, given)
    (pictures / "A folder").rmdir()
    app.press(ENTER)
    assert any("is not there" in words for words in app.items("mvText"))
    assert "dog.jpg" in app.items("mvSelectable")


def test_escape_gives_nothing(app, pictures, given, no_native):
    open_picture(app, pictures, given)
    app.press(ESCAPE)
    assert not app.modal and not given


def test_a_name_without_ending_gets_that_of_the_first_pattern(app, pictures, given, no_native):
    app.settings.change(folder=str(pictures))
    dialogs.save_file(app, "Save", "cut", ["*.png", "*.tif"], given.append)
    typed(app, "new")
    app.press(ENTER)
    assert given == [str(pictures / "new.png")]


def test_a_file_that_is_there_is_replaced_only_after_a_question(app, pictures, given, no_native):
    name = str(pictures / "dog.jpg")
    dialogs.save_file(app, "Save", name, ["*.jpg"], given.append)
    app.press(ENTER)
    assert "dog.jpg is there already. Replace it?" in app.items("mvText")
    app.press(ESCAPE)
    assert not app.modal and not given
    dialogs.save_file(app, "Save", name, ["*.jpg"], given.append)
    app.press(ENTER)
    app.press(ENTER)
    assert given == [name]


def test_a_marked_file_lends_its_name_when_saving(app, pictures, given, no_native):
    app.settings.change(folder=str(pictures))
    dialogs.save_file(app, "Save", "cut.png", ["*.png"], given.append)
    for _ in range(3):
        app.press(DOWN)
    assert dpg.get_value(app.modal.focus) == "Bear cat.png"


def test_a_folder_that_goes_while_it_is_shown_is_told(app, pictures, given, no_native):
    app.settings.change(folder=str(pictures / "A folder"))
    dialogs.open_files(app, "Open", [], given.append)
    (pictures / "A folder").rmdir()
    typed(app, "a")
    assert any("it cannot be opened" in words for words in app.items("mvText"))


def test_a_suggested_place_that_is_gone_gives_way_to_the_last(app, pictures, given, no_native):
    app.settings.change(folder=str(pictures))
    dialogs.save_file(app, "Save", "/gone/for good/new.png", ["*.png"], given.append)
    app.press(ENTER)
    assert given == [str(pictures / "new.png")]


def test_a_folder_that_is_gone_is_no_place_to_save_in(app, pictures, given, no_native):
    dialogs.save_file(app, "Save", str(pictures / "cut.png"), ["*.png"], given.append)
    typed(app, "gone/cut.png")
    app.press(ENTER)
    assert f"There is no folder {pictures / 'gone'}." in app.items("mvText")
    assert not given


FORMATS = {"PNG": ["*.png"], "TIFF": ["*.tif", "*.tiff"], "JPEG": ["*.jpg", "*.jpeg"]}


def save_as(app, pictures, given, name="cut.tif", check=lambda path: None):
    dialogs.save_file(app, "Save", str(pictures / name), FORMATS, given.append, check)
    (combo,) = app.items("mvCombo").values()
    return combo


def test_the_choice_of_a_format_changes_the_names_ending(app, pictures, given, no_native):
    combo = save_as(app, pictures, given)
    assert dpg.get_value(combo) == "TIFF"
    app.callback(combo, "JPEG")
    assert dpg.get_value(app.modal.focus) == "cut.jpg"
    typed(app, "cut.psd")
    app.callback(combo, "TIFF")
    assert dpg.get_value(app.modal.focus) == "cut.tif"
    typed(app, "dog 1.5")  # which is no ending
    app.callback(combo, "PNG")
    assert dpg.get_value(app.modal.focus) == "dog 1.5.png"
    app.press(ENTER)
    assert given == [str(pictures / "dog 1.5.png")]


def test_the_choice_of_a_format_follows_the_name(app, pictures, given, no_native):
    combo = save_as(app, pictures, given)
    typed(app, "cut.JPEG")
    assert dpg.get_value(combo) == "JPEG"
    typed(app, "new")  # an ending that is left out is the chosen one
    app.press(ENTER)
    assert given == [str(pictures / "new.jpg")]


def test_one_kind_is_no_choice(app, pictures, given, no_native):
    dialogs.save_file(app, "Save", "cut.png", {"Graphs": ["*.qrgraph"]}, given.append)
    assert not app.items("mvCombo")


def refuse(path):
    if not path.endswith("tif"):
        raise WriteError("it is no TIFF.", path, "Use tif.")


def test_what_is_refused_is_said_and_the_dialog_stays(app, pictures, given, no_native):
    save_as(app, pictures, given, check=refuse)
    typed(app, "a.psd")
    app.press(ENTER)
    assert "a.psd: it is no TIFF. Use tif." in app.items("mvText") and not given
    typed(app, "a.tif")
    app.press(ENTER)
    assert given == [str(pictures / "a.tif")]


def open_folder(app, folder, given):
    dialogs.open_folder(app, "Folder", str(folder), given.append)


def test_a_folder_dialog_lists_folders_only_and_enter_takes_the_one_shown(
    app, pictures, given, no_native
):
    open_folder(app, pictures, given)
    assert list(app.items("mvSelectable")) == ["A folder/", "b folder/"]
    app.press(ENTER)
    assert given == [str(pictures)]


def test_in_a_folder_dialog_enter_opens_what_is_marked_or_typed(app, pictures, given, no_native):
    open_folder(app, pictures, given)
    app.press(DOWN)
    app.press(ENTER)
    assert app.modal and not given
    app.press(ENTER)
    assert given == [str(pictures / "A folder")]
    open_folder(app, pictures, given)
    typed(app, "b f")
    app.press(ENTER)
    app.press(ENTER)
    assert given[-1] == str(pictures / "b folder")
    open_folder(app, pictures, given)
    typed(app, str(pictures / "A folder"))
    app.press(ENTER)
    app.press(ENTER)
    assert given[-1] == str(pictures / "A folder")


def test_the_button_of_a_folder_dialog_takes_what_is_marked(app, pictures, given, no_native):
    open_folder(app, pictures, given)
    app.press(DOWN)
    app.press(DOWN)
    app.click("Choose")
    assert given == [str(pictures / "b folder")]


def test_a_folder_that_goes_before_it_is_chosen_is_refused(app, pictures, given, no_native):
    open_folder(app, pictures, given)
    app.press(DOWN)
    (pictures / "A folder").rmdir()
    app.click("Choose")
    assert f"{pictures / 'A folder'} is no folder." in app.items("mvText")
    assert app.modal and not given


# ---- the system's dialog -------------------------------------------------------------------


@pytest.fixture
def zenity(tmp_path, monkeypatch):
    """A stand-in for zenity on the path: a Python script that a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(code):
        file = folder / "zenity"
        file.write_text(f"#!{sys.executable}\nimport sys, time\n{code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "platform", "linux")
    return install


def test_the_systems_dialog_gives_its_paths_through_the_loop(app, zenity, given):
    zenity("print('/a/Käse.png'); print('/a/b c.png')")
    dialogs.open_files(app, "Open", ["*.png"], given.append, many=True)
    assert app.modal and not given
    app.loop.turn(wait=30)
    assert given == [["/a/Käse.png", "/a/b c.png"]]
    assert not app.modal
    assert Store().now.folder == str(Path("/a").absolute())


def test_what_is_cancelled_there_gives_nothing(app, zenity, given):
    zenity("sys.exit(1)")
    dialogs.save_file(app, "Save", "a", ["*.png"], given.append)
    app.loop.turn(wait=30)
    assert not app.modal and not given


def test_the_systems_dialog_can_be_given_up_from_the_window(app, zenity, given):
    zenity("time.sleep(60)")
    dialogs.open_files(app, "Open", [], given.append)
    app.click("Cancel")
    assert not app.modal and not given


def test_a_systems_dialog_that_fails_gives_way_to_our_own(app, zenity, given, pictures):
    zenity("sys.exit(255)")
    app.settings.change(folder=str(pictures))
    dialogs.open_files(app, "Open", ["*.jpg"], given.append)
    app.loop.turn(wait=30)
    assert "dog.jpg" in app.items("mvSelectable")


def test_an_ending_added_afterwards_replaces_nothing_unasked(app, zenity, given, pictures):
    zenity(f"print({str(pictures / 'Bear cat')!r})")
    dialogs.save_file(app, "Save", "a", ["*.png"], given.append)
    app.loop.turn(wait=30)
    assert "Bear cat.png is there already. Replace it?" in app.items("mvText")
    app.press(ENTER)
    assert given == [str(pictures / "Bear cat.png")]


def test_what_the_systems_dialog_cannot_refuse_is_asked_again(app, zenity, given, pictures):
    zenity(f"print({str(pictures / 'a.psd')!r})")
    dialogs.save_file(app, "Save", "a.tif", FORMATS, given.append, refuse)
    app.loop.turn(wait=30)
    assert "a.psd: it is no TIFF. Use tif." in app.items("mvText") and not given
    zenity(f"print({str(pictures / 'a')!r})")
    app.press(ENTER)
    app.loop.turn(wait=30)
    assert given == [str(pictures / "a.tif")]  # the ending of the name that was suggested


def test_the_desktops_own_dialog_comes_first(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(dialogs.shutil, "which", lambda name: name)
    wanted = dialogs.Wanted("Open", "/a", "", {"Pictures": ["*.png"]}, False, True)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    assert [command[0] for command in dialogs.native_dialogs(wanted)] == ["zenity", "kdialog"]
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
    gnome, kde = reversed(dialogs.native_dialogs(wanted))
    assert kde[0] == "kdialog" and "--multiple" in kde
    assert "Pictures (*.png *.PNG)\nAll files (*)" in kde
    assert "--file-filter=Pictures | *.png *.PNG" in gnome
    assert gnome[0] == "zenity" and f"--filename=/a{os.sep}" in gnome and "--multiple" in gnome


def test_the_desktops_own_dialogs_are_asked_for_a_folder(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(dialogs.shutil, "which", lambda name: name)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    wanted = dialogs.Wanted("Folder", "/a", "", {}, False, False, folders=True)
    gnome, kde = dialogs.native_dialogs(wanted)
    assert "--directory" in gnome and not any("filter" in word for word in gnome)
    assert "--getexistingdirectory" in kde


def test_tk_shows_the_systems_dialog_on_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(dialogs.shutil, "which", lambda name: None)
    monkeypatch.setattr(dialogs, "find_spec", lambda name: name)
    wanted = dialogs.Wanted("Open", "C:/a", "", {"Pictures": ["*.png"]}, False, False)
    (command,) = dialogs.native_dialogs(wanted)
    assert command == system.outside_command("choose", dialogs.asdict(wanted))
    monkeypatch.setattr(dialogs, "find_spec", lambda name: None)
    assert dialogs.native_dialogs(wanted) == []

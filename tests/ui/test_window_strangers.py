"""The real window, given a stranger's graph: nothing outside is read or replaced unasked."""

from __future__ import annotations

import errno
import json
import os
import time

from driver import needs_a_screen, wait
from strangers import stranger

pytestmark = needs_a_screen


def is_read(pipe) -> bool:
    """Say whether somebody has a pipe open to read it."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        assert error.errno == errno.ENXIO
        return False
    return True


def test_nothing_outside_is_opened_before_the_user_agrees(open_window, tmp_path):
    pipe = tmp_path / "cat.png"  # which shows when it is opened
    os.mkfifo(pipe)
    graph = stranger(tmp_path, str(pipe), "out.png")
    window = open_window(graph)
    for _ in range(20):
        assert not is_read(pipe)
        time.sleep(0.1)
    window.key("Escape")
    wait(window.complains, 10, "the node's sentence")
    window.key("ctrl+shift+e")
    for _ in range(10):
        assert not is_read(pipe)
        time.sleep(0.1)
    window.key("ctrl+q")
    assert window.process.wait(20) == 0
    again = open_window(graph)
    wait(lambda: again.key("Return") or is_read(pipe), 60, "reading what was agreed to")


def test_what_was_agreed_to_is_not_asked_again(open_window, picture, home, tmp_path):
    graph = stranger(tmp_path, str(picture), "out.png")
    window, settings = open_window(graph), home / "settings.json"
    window.key("Return")
    wait(lambda: json.loads(settings.read_text()).get("known"), 20, "remembering")
    window.key("ctrl+q")
    assert window.process.wait(20) == 0
    again = open_window(graph)
    time.sleep(1)
    again.key("ctrl+shift+e")  # a question would keep it from the window
    wait((graph.parent / "out.png").exists, 20, "the export")


def test_a_file_of_others_is_replaced_only_after_a_question(open_window, picture, tmp_path):
    graph = stranger(tmp_path, "cat.png", "../wedding.png")
    (graph.parent / "cat.png").write_bytes(picture.read_bytes())
    dear = tmp_path / "wedding.png"
    dear.write_bytes(b"dear")
    window = open_window(graph)
    time.sleep(1)
    window.key("ctrl+shift+e")
    window.key("Escape")
    time.sleep(1)
    assert dear.read_bytes() == b"dear"
    window.key("ctrl+shift+e")
    window.key("Return")
    wait(lambda: dear.read_bytes() != b"dear", 20, "the export")
    time.sleep(0.5)
    dear.write_bytes(b"changed since")
    window.key("ctrl+shift+e")
    time.sleep(1)
    assert dear.read_bytes() == b"changed since"
    window.key("Return")
    wait(lambda: dear.read_bytes() != b"changed since", 20, "another export")

"""Long use leaves nothing behind: a robot at the real window, and tweaks by the thousand.

The scripts are `robot.py` and `tweaks.py`; by hand they run for an hour, here for a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import screen  # noqa: F401
from driver import needs_a_screen

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts in /proc")


@needs_a_screen
@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "not drawn"])
def test_a_robot_at_the_window_meets_no_fault_and_leaves_nothing_behind(
    screen,  # noqa: F811
    weights,
    home,
    drawn,
):
    # Without drawing (Mesa's GALLIUM_NOOP) it does several times as much in the time, but that
    # driver loses memory with every frame, so that only the other run can judge the program's.
    env = {**os.environ, "DISPLAY": screen, **({} if drawn else {"GALLIUM_NOOP": "1"})}
    command = [sys.executable, "-X", "faulthandler", HERE / "robot.py", "--seed", "3"]
    command += ["--seconds", "30", "--every", "15"]
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["faults"] == [] and told["compared"] >= 1
    assert told["actions"] >= (4 if drawn else 12), told  # on a busy machine; else 100 and more
    # The inference's and the viewer's threads come with the first picture, files with the logs.
    assert max(told["threads"]) <= min(told["threads"]) + 3, told["threads"]
    assert max(told["files"]) <= min(told["files"]) + 4, told["files"]
    if drawn:
        assert told["MB"][-1] < told["MB"][0] + 300, told["MB"]


def test_hundreds_of_tweaks_and_cancels_leave_no_thread_no_file_and_no_memory(weights):
    command = [sys.executable, HERE / "tweaks.py", "--tweaks", "300", "--cancels", "30"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (threads, files), tweaked, cancelled = told["threads, files"]
    assert told["threads at the end"] == 1
    # The engine has two lanes, of which the first run may have needed but one.
    for count, opened in (tweaked, cancelled):
        assert count <= threads + 1 and opened <= files, told
    assert told["stopped half-way"] > 10 and told["waited for"] > 3
    early, late = told["MB"][1:4], told["MB"][-3:]
    assert sum(late) < 1.15 * sum(early), told["MB"]

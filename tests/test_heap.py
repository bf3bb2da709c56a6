"""The C library's heap, in processes of their own."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's heap")


@pytest.fixture(autouse=True)
def untuned(monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)


def test_threads_share_one_heap(tmp_path):
    code = """
import ctypes, sys, threading
from qr_nodes import heap
if sys.argv[2] == "shared":
    heap.keep()
meeting = threading.Barrier(4)
def work():
    meeting.wait(20)
    bytes(50_000)  # from malloc, too small for a mapping of its own
    meeting.wait(20)
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""
    heaps = {}
    for way in ("shared", "own"):
        file = tmp_path / way
        subprocess.run([sys.executable, "-c", code, str(file), way], check=True)
        heaps[way] = file.read_text().count("<heap nr=")
    assert heaps["shared"] == 1 < heaps["own"]


def test_what_is_freed_serves_again_until_it_is_given_back():
    code = """
import resource
import psutil
from qr_nodes import heap
def held():
    return psutil.Process().memory_info().rss >> 20
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
heap.keep()
before = held()
block = b"1" * (200 << 20)
block = None
kept, met = held(), faults()
block = b"2" * (200 << 20)
print(kept - before, faults() - met)
block = None
heap.give_back()
print(held() - before)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    kept, faults, left = map(int, told.stdout.split())
    assert kept >= 200 and faults < 100 and left < 10  # MiB, pages, MiB


def test_the_user_s_own_settings_stand(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    code = "from qr_nodes import heap; heap._library = None; heap.keep()"  # would fail if called
    subprocess.run([sys.executable, "-c", code], check=True)

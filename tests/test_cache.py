"""The cache stays within its bytes, counts shared arrays once and never shows damage."""

from __future__ import annotations

import numpy as np

from qr_nodes.cache import OVERHEAD, Cache, Disk, Entry
from qr_nodes.types import Cutout, Written, opaque


def entry(kilobytes=100, seconds=1.0):
    return Entry({"mask": np.zeros((kilobytes, 256), np.float32)}, seconds)


def test_memory_stays_within_the_budget():
    cache = Cache(1 << 20)
    for number in range(100):
        cache.put(b"%d" % number, entry())
        assert cache.used <= 1 << 20
    assert cache.get(b"99") is not None and cache.get(b"0") is None


def test_arrays_that_are_shared_count_once():
    cache = Cache(1 << 30)
    picture = Cutout(np.zeros((100, 100, 3), np.uint8), opaque(100, 100))
    cache.put(b"a", Entry({"cutout": picture}))
    one = cache.used
    cache.put(b"b", Entry({"cutout": picture.with_alpha(np.ones((100, 100), np.float32))}))
    assert cache.used == one + 40_000 + OVERHEAD
    cache.put(b"a", entry(1))
    cache.put(b"b", entry(1))
    assert cache.used == 2 * (1024 + OVERHEAD)


def test_a_view_counts_the_memory_it_holds():
    cache = Cache(1 << 30)
    cache.put(b"a", Entry({"mask": np.zeros((1000, 1000), np.float32)[:2, :2]}))
    assert cache.used == 4_000_000 + OVERHEAD


def test_dear_and_small_outlives_cheap_and_large():
    cache = Cache(1 << 20)
    cache.put(b"inference", entry(100, seconds=30))
    for number in range(50):
        cache.put(b"%d" % number, entry(200, seconds=0.01))
    assert cache.get(b"inference") is not None


def test_pinned_entries_stay():
    cache = Cache(300 << 10)
    cache.put(b"seen", entry(100, seconds=0.001))
    cache.pin([b"seen"])
    for number in range(20):
        cache.put(b"%d" % number, entry(100, seconds=9))
    assert cache.get(b"seen") is not None
    cache.pin([])
    for number in range(20):
        cache.put(b"%d" % number, entry(100, seconds=9))
    assert cache.get(b"seen") is None


def test_nothing_with_pixels_stays_in_a_cache_of_zero_bytes():
    cache = Cache(0)
    cache.put(b"a", entry())
    assert cache.get(b"a") is None and cache.used == 0


def test_what_was_written_is_forgotten_when_the_file_changes(tmp_path):
    file = tmp_path / "out.png"
    file.write_text("picture")
    cache = Cache()
    cache.put(b"a", Entry({"file": Written.of(file)}))
    assert cache.get(b"a") is not None
    file.write_text("another one")
    assert cache.get(b"a") is None


def test_disk_gives_back_what_was_put(tmp_path):
    disk = Disk(tmp_path / "new")
    mask = np.random.default_rng(1).random((37, 53), np.float32)
    disk.put(b"key", (mask, mask[:2]))
    found = disk.get(b"key")
    assert [np.array_equal(*pair) for pair in zip(found, (mask, mask[:2]), strict=True)] == [
        True
    ] * 2
    assert not found[0].flags.writeable and disk.get(b"other") is None


def test_disk_drops_what_is_damaged(tmp_path):
    disk = Disk(tmp_path)
    mask = np.random.default_rng(1).random((37, 53), np.float32)
    for damage in (lambda d: d[:-2000], lambda d: d[:4000] + b"\xff" + d[4001:], lambda d: b""):
        disk.put(b"key", mask)
        (file,) = tmp_path.glob("*.npz")
        file.write_bytes(damage(file.read_bytes()))
        assert disk.get(b"key") is None
        assert not list(tmp_path.iterdir())


def test_disk_stays_within_its_limit_and_drops_the_oldest(tmp_path):
    disk = Disk(tmp_path, limit=100_000)
    for number in range(20):
        disk.put(b"%d" % number, (np.zeros((100, 100), np.float32),))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 100_000
    assert disk.get(b"19") is not None and disk.get(b"0") is None


def test_a_disk_that_cannot_be_written_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    disk = Disk(tmp_path / "file")
    disk.put(b"key", (np.zeros(3, np.float32),))
    assert disk.get(b"key") is None

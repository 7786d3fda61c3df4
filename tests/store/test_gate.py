"""Adding beside garbage collection: nothing that is being added is ever collected."""

import threading
from pathlib import Path

from medward.store.gate import Gate
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import open_directory

from . import vectors


def test_nobody_is_inside_while_someone_is_exclusive_and_both_get_their_turn() -> None:
    gate, inside, seen = Gate(), [0], []
    count = threading.Lock()

    def share() -> None:
        for _ in range(200):
            with gate.shared():
                with count:
                    inside[0] += 1
                with count:
                    inside[0] -= 1

    def exclude() -> None:
        for _ in range(50):
            with gate.exclusive():
                seen.append(inside[0])

    threads = [threading.Thread(target=work) for work in (share, share, exclude, share, exclude)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert seen == [0] * 100


def test_blobs_that_are_added_during_garbage_collections_are_whole(tmp_path: Path) -> None:
    content = vectors.content(1_500_000, "gate")
    added: list[bytes] = []
    with open_directory(tmp_path / "store") as store:

        def add(first: int) -> None:
            for number in range(first, first + 8):
                blob = bytes([number]) + content
                cid = store.add(blob, pin=f"round/{number}")
                added.append(blob)
                assert store.has(cid)

        threads = [threading.Thread(target=add, args=(first,)) for first in (0, 100)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            store.collect_garbage()
        for thread in threads:
            thread.join()
        store.collect_garbage()
        assert sorted(store.read(pin.cid, DEFAULT_LIMITS) for pin in store.pins()) == sorted(added)
        assert len(added) == 16
        assert store.verify().intact

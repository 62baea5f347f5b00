"""What a disk may hold after a power cut, for every moment of some work in a folder.

Works like ALICE (Pillai et al., OSDI 2014) at the level of Python's file functions: between any two
of them the power may fail. Then a file has the bytes of its last fsync, and nothing where it had
none; and a folder has either the names of its own last fsync, or all names given so far, since
journals write names in order but do not wait for contents.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Disk", "State", "recorded", "restore"]

State = dict[str, bytes | None]
"""{path relative to the root: content; None for a folder}."""

_FUNCTIONS = ("replace", "rename", "link", "mkdir", "unlink", "remove", "rmdir", "fsync")


@dataclass(eq=False)
class _Node:
    """A file with its synced bytes, or a folder with its synced names."""

    is_folder: bool
    content: bytes = b""
    names: dict[str, "_Node"] = field(default_factory=dict)


class Disk:
    """Follows a folder; everything in it at the start is synced.

    `states` are those of all moments so far, `now` those of the last one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states: list[State] = []
        self.now: list[State] = []
        self._nodes: dict[int, _Node] = {}
        self._look(root, synced=True)

    def before(self) -> None:
        """The power may fail now."""
        self.now = self._states()
        self.states += [state for state in self.now if state not in self.states]

    def synced(self, handle: int) -> None:
        """A file or folder was synced."""
        node = self._nodes.get(os.fstat(handle).st_ino)
        if node is None:
            return
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if node.is_folder:
            node.names = {each.name: self._node(each) for each in path.iterdir()}
        else:
            node.content = path.read_bytes()

    def _look(self, root: Path, synced: bool = False) -> None:
        """Know what is new, and forget numbers that are free to be given again."""
        seen = {root.stat().st_ino}
        self._nodes.setdefault(root.stat().st_ino, _Node(True))
        for path in root.rglob("*"):
            seen.add(path.stat().st_ino)
            node = self._node(path)
            if synced and not node.is_folder:
                node.content = path.read_bytes()
        self._nodes = {number: node for number, node in self._nodes.items() if number in seen}
        if synced:
            for path in (root, *root.rglob("*")):
                if path.is_dir():
                    self._node(path).names = {
                        each.name: self._node(each) for each in path.iterdir()
                    }

    def _node(self, path: Path) -> _Node:
        return self._nodes.setdefault(path.stat().st_ino, _Node(path.is_dir()))

    def _states(self) -> list[State]:
        self._look(self.root)
        folders = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        current = {
            id(self._node(folder)): {each.name: self._node(each) for each in folder.iterdir()}
            for folder in folders
        }
        ahead = [
            {id(node): current[id(node)]}
            for node in map(self._node, folders)
            if node.names != current[id(node)]
        ]
        return [self._state({}), *map(self._state, ahead), self._state(current)]

    def _state(self, current: dict[int, dict[str, _Node]]) -> State:
        """The folders in `current` have those names, the others the synced ones."""
        state: State = {}

        def walk(node: _Node, place: str) -> None:
            for name, each in current.get(id(node), node.names).items():
                state[place + name] = None if each.is_folder else each.content
                if each.is_folder:
                    walk(each, f"{place}{name}/")

        walk(self._node(self.root), "")
        return state


@contextmanager
def recorded(root: Path) -> Iterator[Disk]:
    """Within it, the file functions of `os` tell the disk before they do their work."""
    disk = Disk(root)
    originals = {name: getattr(os, name) for name in _FUNCTIONS}
    rmtree = shutil.rmtree

    def telling(name: str) -> Any:
        def function(*arguments: Any, **options: Any) -> Any:
            disk.before()
            result = originals[name](*arguments, **options)
            if name == "fsync":
                disk.synced(arguments[0])
            return result

        return function

    def removing(path: Any, *arguments: Any, **options: Any) -> None:
        disk.before()
        for name, original in originals.items():
            setattr(os, name, original)
        try:
            rmtree(path, *arguments, **options)
        finally:
            _patch(telling)

    def _patch(make: Any) -> None:
        for name in _FUNCTIONS:
            setattr(os, name, make(name))

    _patch(telling)
    shutil.rmtree = removing  # type: ignore[assignment]
    try:
        yield disk
        disk.before()
    finally:
        for name, original in originals.items():
            setattr(os, name, original)
        shutil.rmtree = rmtree


def restore(state: State, place: Path) -> Path:
    """Lay a state down as a new folder."""
    place.mkdir(parents=True)
    for name, content in state.items():
        path = place / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return place

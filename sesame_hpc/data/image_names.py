"""Finding files by the names that annotations, box files and predictions give them.

A name that does not exist as it stands may still say clearly which file is meant: written with
Windows's separators, in another case, in another Unicode form, URL-encoded, with the path of
another computer in front, or without the folder that the file lies in.
"""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from sesame_hpc.data.image_files import files_below, is_hidden, is_image_name

__all__ = ["ResolvedNames", "most_names_in", "resolve_images", "resolve_names"]

_HINTS = 20
_CLOSE = 0.75


@dataclass
class ResolvedNames:
    """What names mean.

    `found` maps each name that means one file to that file's name. `respelled` is the part of it
    where the two differ. `missing` says for each other name what is known: an empty text, the
    nearest name, or that several files could be meant.
    """

    found: dict[str, str] = field(default_factory=dict)
    respelled: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def resolve_names(names: Iterable[str], existing: Sequence[str]) -> ResolvedNames:
    """Which of the `existing` names (relative, with "/") each of `names` means.

    An exact name means itself. Else the one whose spelling agrees after separators, "./", case,
    Unicode form and URL encoding are made alike; else the one that is the end of the name, or that
    ends in the name ("C:\\photos\\a\\1.jpg" and "a/1.jpg"). Where several fit, none is taken; nor
    is a file that two different names would mean by their ends.
    """
    index = _Index(existing)
    result = ResolvedNames()
    by_end: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        match, problem, loose = index.find(name)
        if match is None:
            result.missing[name] = problem
            continue
        result.found[name] = match
        if match != name:
            result.respelled[name] = match
        if loose:
            by_end.setdefault(match, []).append(name)
    for match, claims in by_end.items():
        claimants = [name for name, found in result.found.items() if found == match]
        if len({_key(unquote(name)) for name in claimants}) > 1:
            for name in claims:
                others = next(other for other in claimants if other != name)
                result.missing[name] = f"{match} could be meant, but {others} names that one too"
                del result.found[name], result.respelled[name]
    for name in [name for name, hint in result.missing.items() if not hint][:_HINTS]:
        if near := index.nearest(name):
            result.missing[name] = f"the nearest name is {near}"
    return result


def resolve_images(folder: Path, names: Iterable[str]) -> ResolvedNames:
    """The image files below `folder` that `names` (relative to it) mean.

    The folder is listed only if some name does not exist as it stands.
    """
    distinct = list(dict.fromkeys(names))
    result = ResolvedNames(found={name: name for name in distinct if _is_file(folder, name)})
    absent = [name for name in distinct if name not in result.found]
    if not absent:
        return result
    existing = [
        str(path)
        for path in files_below(folder, lambda error: None)
        if is_image_name(str(path)) and not is_hidden(path)
    ]
    others = resolve_names(distinct, existing)
    for name in absent:
        if name in others.found:
            result.found[name] = result.respelled[name] = others.found[name]
        else:
            result.missing[name] = others.missing[name]
    return result


def most_names_in(folders: Sequence[Path], names: Iterable[str]) -> Path:
    """The folder in which most of `names` exist as they stand; the first such, or the first.

    Where none exists anywhere, the one in which most of their bare file names do.
    """
    distinct = list(dict.fromkeys(names))
    places = [folder for folder in dict.fromkeys(folders) if folder.is_dir()] or list(folders)
    for spelling in (str, _bare):
        counts = [_count(folder, distinct, spelling) for folder in places]
        if max(counts):
            return places[counts.index(max(counts))]
    return places[0]


class _Index:
    """Existing names by their own spelling, by what all spellings share, and by their last part."""

    def __init__(self, existing: Sequence[str]) -> None:
        self._exact = set(existing)
        self._by_key: dict[str, list[str]] = {}
        self._by_last: dict[str, list[str]] = {}
        for name in existing:
            key = _key(name)
            self._by_key.setdefault(key, []).append(name)
            self._by_last.setdefault(key.rpartition("/")[2], []).append(name)

    def find(self, name: str) -> tuple[str | None, str, bool]:
        """The file that is meant, else what is known; and whether it was found by its end."""
        if name in self._exact:
            return name, "", False
        keys = list(dict.fromkeys((_key(name), _key(unquote(name)))))
        for key in keys:
            if fitting := self._by_key.get(key):
                return (*_only(fitting), False)
        for key in keys:
            last = key.rpartition("/")[2]
            ends = [each for each in self._by_last.get(last, []) if _is_end(key, _key(each))]
            if ends:
                return (*_only(ends), True)
        return None, "", False

    def nearest(self, name: str) -> str | None:
        key = _key(name)
        if same := self._by_last.get(key.rpartition("/")[2]):
            return same[0]
        near = difflib.get_close_matches(key, list(self._by_key)[:5000], n=1, cutoff=_CLOSE)
        return self._by_key[near[0]][0] if near else None


def _only(fitting: list[str]) -> tuple[str | None, str]:
    if len(fitting) == 1:
        return fitting[0], ""
    return None, f"could be {fitting[0]} or {fitting[1]}"


def _is_end(one: str, other: str) -> bool:
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")


def _key(name: str) -> str:
    """What all spellings of a name share."""
    text = unicodedata.normalize("NFC", _readable(name.strip()))
    plain = unicodedata.normalize("NFC", text.casefold())
    parts = [part for part in plain.replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts.pop(0)
    return "/".join(parts)


def _readable(name: str) -> str:
    """A name whose bytes are not UTF-8, as from a ZIP archive of Windows, in Latin letters."""
    if any("\udc80" <= letter <= "\udcff" for letter in name):
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _bare(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _count(folder: Path, names: list[str], spelling: Callable[[str], str]) -> int:
    return sum(_is_file(folder, spelling(name)) for name in names)


def _is_file(folder: Path, name: str) -> bool:
    try:
        return bool(name) and (folder / name).is_file()
    except (OSError, ValueError):
        return False

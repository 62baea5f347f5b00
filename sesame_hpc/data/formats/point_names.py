"""What files call the points of a face, against the scheme's own names."""

from collections.abc import Sequence

from sesame_hpc.schemes import Scheme

__all__ = ["folded", "point_named", "points_in_order"]


def folded(name: str) -> str:
    """A name without case, blanks and signs: "Eye_L", "eye-l" and "eye l" are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def points_in_order(names: Sequence[str], scheme: Scheme) -> tuple[int, ...] | None:
    """Where each point of the scheme stands among K `names`; None where they are in its order.

    Numbers from 0 or 1 are those of the points. Other names that have nothing in common with the
    scheme's are taken to be in its order.

    Raises:
        ValueError: some are the scheme's at other places, among names that it does not have; says
            so as what a category does.
    """
    theirs, ours = [folded(name) for name in names], [folded(name) for name in scheme.points]
    if theirs == ours:
        return None
    if not set(theirs) & set(ours):
        return _numbered(names)
    if set(theirs) == set(ours) and len(set(ours)) == len(ours):
        return tuple(theirs.index(name) for name in ours)
    moved = [i for i, name in enumerate(theirs) if name in ours and ours[i] != name]
    if not moved:
        return None
    foreign = next(
        name
        for name, fold in zip(names, theirs, strict=True)
        if fold not in ours or theirs.count(fold) > 1
    )
    raise ValueError(
        f"has point {names[moved[0]]!r} at {moved[0]}, where scheme {scheme.name} has "
        f"{scheme.points[moved[0]]!r}, and {foreign!r}, which the scheme does not have (or twice): "
        "name the points as the scheme does"
    )


def _numbered(names: Sequence[str]) -> tuple[int, ...] | None:
    """Where each number stands among names that are the numbers from 0 or 1 in another order."""
    if not all(name.strip().isascii() and name.strip().isdigit() for name in names):
        return None
    numbers = [int(name) for name in names]
    first = min(numbers)
    if first > 1 or sorted(numbers) != list(range(first, first + len(numbers))):
        return None
    order = tuple(numbers.index(first + point) for point in range(len(numbers)))
    return None if order == tuple(range(len(numbers))) else order


def point_named(name: str, scheme: Scheme) -> int | None:
    """The point that a label means: by its name in the scheme, else by its number from 0."""
    fold = folded(name)
    for number, point in enumerate(scheme.points):
        if folded(point) == fold:
            return number
    if name.strip().isascii() and name.strip().isdigit() and len(name.strip()) <= 4:
        number = int(name)
        return number if number < scheme.num_landmarks else None
    return None

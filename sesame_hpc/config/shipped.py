"""Files that come with the package, found by their names."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shipped"]

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Shipped:
    """YAML files that are `what`: in a wheel in a folder of the package, else in a checkout's."""

    what: str
    in_package: str
    in_checkout: str

    @property
    def folder(self) -> Path:
        installed = _PACKAGE / self.in_package
        return installed if installed.is_dir() else _PACKAGE.parent / self.in_checkout

    def names(self) -> list[str]:
        """Names that `find` takes, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def find(self, name: str | Path) -> Path:
        """The file of that path or, without a suffix, of that name.

        FileNotFoundError, with the names that there are, when there is neither.
        """
        path = Path(name).expanduser()
        if path.is_file():
            return path
        if str(name) in self.names():
            return self.folder / f"{name}.yaml"
        known = ", ".join(self.names()) or "none installed"
        raise FileNotFoundError(f"no {self.what} {name}, and none of that name ({known})")

"""Files that are shipped with the package, found by name."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shipped"]

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Shipped:
    """YAML files of the kind `what`, in a folder of the installed package or of a checkout."""

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
        """The file at a path, or the shipped file of a name.

        FileNotFoundError, with the shipped names, if there is neither.
        """
        path = Path(name).expanduser()
        if path.is_file():
            return path
        if str(name) in self.names():
            return self.folder / f"{name}.yaml"
        known = ", ".join(self.names()) or "none installed"
        raise FileNotFoundError(f"no {self.what} {name}, and no shipped one of that name ({known})")

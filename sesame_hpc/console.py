"""The terminal, for text that holds names from other people's files."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from sesame_hpc.printable import printable

__all__ = ["SafeConsole"]


class SafeConsole(Console):
    """A console on which text is text: "[/b]" in a name is not markup, and control characters are
    shown as escapes. Styles come from `rich.text.Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, **options})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """Also what is measured for the columns of tables."""
        return super().render_str(printable(text), **options)

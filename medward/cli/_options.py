"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[Path, typer.Option("--home", help="The home that `medward federation init` or `join` made.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

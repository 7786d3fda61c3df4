"""Pages from templates: everything that comes from others is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def new_environment() -> Environment:
    """Return an environment for the templates of this part: values are escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader("medward.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

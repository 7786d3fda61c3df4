"""Templates escape what comes from others, and a value that is missing is an error and no empty place."""

import pytest
from jinja2 import UndefinedError

from medward.report.templating import new_environment


def test_values_are_escaped_and_text_of_the_template_is_not() -> None:
    page = new_environment().from_string("<p title='{{ name }}'>{{ name }}</p>")
    shown = page.render(name="<script>'\"&")
    assert shown == "<p title='&lt;script&gt;&#39;&#34;&amp;'>&lt;script&gt;&#39;&#34;&amp;</p>"


@pytest.mark.parametrize("text", ["{{ missing }}", "{{ there.missing }}", "{% if missing %}{% endif %}"])
def test_missing_value_is_an_error(text: str) -> None:
    with pytest.raises(UndefinedError):
        new_environment().from_string(text).render(there={})


def test_every_template_of_this_part_can_be_read() -> None:
    environment = new_environment()
    names = environment.list_templates()
    assert names
    for name in names:
        assert environment.loader is not None
        environment.parse(environment.loader.get_source(environment, name)[0])

"""The text that is left of HTML."""

import pytest
from cellwire.frontends.cli.html_text import html_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a <b>b</b>\n  c &lt;&amp;", "a b c <&"),
        ("<h1>Title</h1><p>one<br>two</p>\n<p></p>three", "Title\none\ntwo\nthree"),
        ("<style>p { color: red }</style><script>alert('x')</script>seen", "seen"),
        ("<ul>\n <li>one</li>\n <li>two</li>\n</ul>", "- one\n- two"),
        (
            "<table>\n <tr> <th>n</th> <th>m</th> </tr>\n <tr><td>1</td><td> 2 </td></tr></table>",
            "n  m\n1  2",
        ),
        ("<pre>a\n    b</pre>", "a\n    b"),
        ("</script></pre>kept", "kept"),
        ("<p>never <i>closed", "never closed"),
        ("<img src='x'>", ""),
    ],
)
def test_html_becomes_the_lines_that_a_browser_shows(html: str, text: str) -> None:
    assert html_text(html) == text

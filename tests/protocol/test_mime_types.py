"""What frontends read of progress items."""

import msgspec
import pytest
from cellwire.protocol.mime_types import PROGRESS_MIME, Progress, progress_details, progress_of

BAR = Progress("Fetch", "page 3", 3, 4.0, 1234.5, 9.2)


def test_a_progress_item_is_read_as_it_was_made():
    assert progress_of({"text/plain": "", PROGRESS_MIME: msgspec.to_builtins(BAR)}) == BAR


@pytest.mark.parametrize("data", [{}, {"text/plain": "3/4"}, {PROGRESS_MIME: "3/4"}, {PROGRESS_MIME: None}])
def test_a_bundle_without_progress_holds_none(data):
    assert progress_of(data) is None


@pytest.mark.parametrize(
    ("progress", "line", "without_times"),
    [
        (BAR, "3/4 · 1,234/s · 9 s left · page 3", "3/4 · page 3"),
        (Progress(current=1e6), "1000000", "1000000"),
        (Progress(current=4, total=4, rate=0.5, eta=0.0, done=True), "4/4 · 0.5/s", "4/4"),
        (Progress(subtitle="at work"), "at work", "at work"),
        (Progress(done=True), "done", "done"),
        (Progress(current=1, failed=True), "1 · failed", "1 · failed"),
    ],
)
def test_what_is_known_besides_the_title_is_one_line(progress, line, without_times):
    assert progress_details(progress) == line
    assert progress_details(progress, times=False) == without_times

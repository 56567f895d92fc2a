"""Every request of the protocol is one that the kernel knows what to do with."""

from typing import get_args

from cellwire.protocol import messages as m


def test_every_request_has_a_handler(launch, attach):
    frontend = attach(launch())
    kinds = [kind for kind in get_args(m.Request) if kind not in (m.Hello, m.Acknowledge, m.Shutdown)]
    # The end of the kernel answers what its runner has not: all of them are answered, or some never.
    answers = {kind.__name__: frontend.post(kind) for kind in [*kinds, m.Shutdown]}
    failed = [
        name
        for name, id in answers.items()
        if isinstance(answer := frontend.reply_to(id), m.Error) and answer.code == "internal"
    ]
    assert len(answers) > 10
    assert failed == []

from __future__ import annotations

import pytest

from opsplane.app import default_events_yaml
from opsplane.events.configuration import EventsConfig, EventsFile, EventsRejected, TopicPolicy, parse

GOOD = """
topics:
  - match: catalog.product.*
    retention: 7d
    max_length: 1_000_000
    on_full: evict
  - {match: catalog.product.created, durability: strict}
"""
BROKEN = """\
topics:
  - match: catalog.product.*
    retentoin: 7d
    max_length: many
    on_full: rejct
  - retention: 5 fortnights
  - {match: Orders!, max_length: 0}
  - {match: a.b.c}
  - {match: a.b.c, retention: 10ms}
tpoics: []
"""


def test_the_longest_pattern_counts_and_the_rest_has_defaults():
    config = parse(GOOD, "events.yaml")
    assert config.policy("catalog.product.deleted").on_full == "evict"
    assert config.policy("catalog.product.created").durability == "strict"
    assert config.policy("orders.order.created") == TopicPolicy(match="*")
    assert TopicPolicy(match="*").retention == 7 * 86400


def test_every_error_is_told_at_once_with_its_place_and_what_was_meant():
    with pytest.raises(EventsRejected) as caught:
        parse(BROKEN, "events.yaml")
    found = [(one.line, one.column, one.key, one.nearest) for one in caught.value.reasons]
    assert found == [
        (3, 5, "topics[0].retentoin", "retention"),
        (4, 5, "topics[0].max_length", None),
        (5, 5, "topics[0].on_full", "reject"),
        (6, 5, "topics[1]", None),
        (6, 5, "topics[1].retention", None),
        (7, 6, "topics[2].match", None),
        (7, 22, "topics[2].max_length", None),
        (8, 6, "topics[3].match", None),
        (9, 6, "topics[4].match", None),
        (9, 20, "topics[4].retention", None),
        (10, 1, "tpoics", "topics"),
    ]
    assert caught.value.violations[0]["place"] == "events.yaml:3:5"
    assert "opsplane topic lint" in str(caught.value.remedy)


def test_what_a_new_installation_gets_says_nothing_but_the_defaults():
    text = default_events_yaml()
    assert parse(text, "events.yaml") == EventsConfig()
    uncommented = "\n".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    policy = parse(uncommented[uncommented.index("topics:") :], "events.yaml").policy("any.topic.at_all")
    assert policy == TopicPolicy(match="*"), "what the comments show are the defaults"


def test_a_change_is_taken_up_and_a_bad_one_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("opsplane.events.configuration.file.LOOK", 0.0)
    path = tmp_path / "events.yaml"
    file = EventsFile(path)
    assert file.current == EventsConfig()
    path.write_text(GOOD)
    assert len(file.current.topics) == 2
    path.write_text(BROKEN)
    assert len(file.current.topics) == 2
    assert isinstance(file.error, EventsRejected)
    path.write_text("topics: []\n")
    assert file.current.topics == ()
    assert file.error is None
    path.unlink()
    assert file.current == EventsConfig()

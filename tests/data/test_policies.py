"""The policy catalogue: what is read, and that every fault is said at once."""

import datetime as dt

import pytest

from errdetect.data.policy_catalogue import Policy, read_policies
from errdetect.errors import ConfigError


def _write(tmp_path, text):
    path = tmp_path / "policies.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _faults(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        read_policies(_write(tmp_path, text))
    return caught.value.faults


def test_reads_every_field(tmp_path):
    path = _write(
        tmp_path,
        """
version: 3
policies:
  - policy_id: fraud
    name: Fraud
    severity: 5
  - policy_id: 7
    name: Counterfeit
    severity: 4
    review_minutes: 2.5
    owner: Brand team
    targets: {wrongful_rate: 0.03}
    clause: No fakes.
    parent: fraud
    dsa_category: STATEMENT_CATEGORY_SCAMS_AND_FRAUD
    effective_from: 2026-03-01
    version: 2
    harm_wrongful: 1
    harm_missed: 9.5
""",
    )
    policies = read_policies(path)
    assert list(policies) == ["fraud", "7"]
    assert policies["7"] == Policy(
        policy_id="7",
        name="Counterfeit",
        severity=4,
        review_minutes=2.5,
        owner="Brand team",
        targets={"wrongful_rate": 0.03},
        clause="No fakes.",
        parent="fraud",
        dsa_category="STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
        effective_from=dt.date(2026, 3, 1),
        version="2",
        harm_wrongful=1.0,
        harm_missed=9.5,
    )


def test_harm_defaults_to_severity():
    policy = Policy("spam", "Spam", severity=3, harm_wrongful=0.0)
    assert policy.harm("wrongful_action") == 0.0
    assert policy.harm("missed_violation") == 3.0
    assert policy.harm("wrong_label") == 3.0


def test_all_faults_at_once(tmp_path):
    faults = _faults(
        tmp_path,
        """
policies:
  - {policy_id: a, name: A, severity: 6}
  - {policy_id: b, name: B, severity: 2, review_minutes: -1, sevrity: 3}
  - {policy_id: c, name: C, severity: 2, parent: aa}
  - {policy_id: c, name: C2, severity: 2}
  - {name: D, severity: true}
  - just a word
  - {policy_id: no, name: N, severity: 1, targets: {wrongfull_rate: 0.1}, effective_from: soon}
  - {policy_id: e, name: E, severity: 1, targets: {wrongful_rate: 3}, harm_missed: .inf}
""",
    )
    assert faults == [
        "policies.yaml, policy 1 ('a'): severity must be a whole number from 1 to 5, got 6. "
        "5 is the most severe.",
        "policies.yaml, policy 2 ('b'): a policy's field must be a known one, "
        "got 'sevrity'. Did you mean 'severity'?",
        "policies.yaml, policy 2 ('b'): review_minutes must be a number above 0, got -1. "
        "Correct it, or leave it out.",
        "policies.yaml, policy 4 ('c'): policy_id 'c' must be unique, got it a second time. "
        "Rename one of the two, or delete it.",
        "policies.yaml, policy 5: policy_id must be given for every policy, got nothing. Add it.",
        "policies.yaml, policy 5: severity must be a whole number from 1 to 5, got True. "
        "5 is the most severe.",
        "policies.yaml, policy 6: a policy must be a set of fields, got 'just a word'. "
        "Write its fields as `key: value`.",
        "policies.yaml, policy 7: policy_id must be text, got False. "
        "Put the value in quotes: YAML reads yes, no, on and off as true and false.",
        "policies.yaml, policy 7: targets must name measures (error_rate, wrongful_rate, "
        "missed_rate, precision, recall, accuracy), got 'wrongfull_rate'. "
        "Did you mean 'wrongful_rate'?",
        "policies.yaml, policy 7: effective_from must be a day, got 'soon'. "
        "Write it as 2026-03-01.",
        "policies.yaml, policy 8 ('e'): targets.wrongful_rate must be a share from 0 to 1, got 3. "
        "Correct it, or leave it out.",
        "policies.yaml, policy 8 ('e'): harm_missed must be a number of at least 0, got inf. "
        "Correct it, or leave it out.",
        "policies.yaml: parent of policy 'c' must be a policy_id of this file, got 'aa'. "
        "Did you mean 'a'?",
    ]


def test_a_circle_of_parents_is_told(tmp_path):
    faults = _faults(
        tmp_path,
        "policies: [{policy_id: a, name: A, severity: 1, parent: b}, "
        "{policy_id: b, name: B, severity: 1, parent: a}]",
    )
    assert len(faults) == 2
    assert faults[0] == (
        "policies.yaml: parent of policy 'a' must lead to a policy without parent, got itself. "
        "Break the cycle of parents."
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("policies: [", "policies.yaml, line 1: this is not YAML"),
        ("a: b: c", "policies.yaml, line 1: this is not YAML: mapping values are not allowed here"),
        ("", "policies.yaml must hold a list under `policies:`, got nothing."),
        ("policies:", "policies.yaml must hold a list under `policies:`, got a set of fields."),
        ("policies: []", "policies.yaml must hold a list under `policies:`, got an empty list."),
        ("- a", "policies.yaml must hold a list under `policies:`, got a list."),
        ("policies: {a: b}", "policies.yaml must hold a list under `policies:`, got a set of"),
        (
            "policies: [{policy_id: a, name: A, severity: 1}]\npolcies: []",
            "policies.yaml must have no keys but `policies` and `version`, got 'polcies'.",
        ),
        ("policies: !!python/object/apply:os.getcwd []", "this is not YAML: could not determine"),
        ("\x07", "this is not YAML: a character that YAML does not allow"),
    ],
)
def test_what_is_no_catalogue(tmp_path, text, word):
    assert word in _faults(tmp_path, text)[0]


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_policies(tmp_path / "none.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("policies: [é]".encode("latin-1"))
    with pytest.raises(
        ConfigError, match=r"must be UTF-8 text, got other bytes\. Save it as UTF-8"
    ):
        read_policies(path)

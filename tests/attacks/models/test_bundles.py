"""X1, X2: which code may run at a jurisdiction at all. No byte of an unapproved, altered or badly signed bundle runs.

What code that two operators did approve can and cannot do is test_confined_code.py.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from clients.jurisdiction import bundle_file, sandbox
from clients.jurisdiction.bundle_file import Bundle
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.confined import Confined
from clients.jurisdiction.sandbox import Limits, Sandbox
from clients.jurisdiction.trainer import Trainer
from federation.domain.job import Computation, Job
from federation.errors import FederationError, Misuse, Refused
from federation.jobs import training
from federation.training import bundle, plan
from federation.training.bundle import Manifest
from federation.training.plan import TrainingPlan
from federation.wire import convert
from federation.wire import messages as m
from tests.attacks.models import authors
from tests.attacks.models.authors import CONFIG, HONEST, OWN, House

CANARY = """\
from pathlib import Path

Path({path!r}).write_text("ran")
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return authors.house(tmp_path / "state")


@pytest.fixture
def packed(tmp_path: Path) -> Bundle:
    return bundle_file.packed(authors.written(tmp_path / "one-layer", HONEST))


def refused(act: Callable[[], object], rule: str = "bundle") -> str:
    with pytest.raises(Refused) as refusal:
        act()
    assert refusal.value.rule == rule
    return refusal.value.message


# ----------------------------------------------------------------------------------------- X1: a job carries no code


def test_x1_what_a_job_carries_of_a_bundle_has_no_field_for_code(packed: Bundle) -> None:
    carried = dict(packed.manifest.config)
    assert set(carried) == {field.name for field in fields(Manifest)}
    assert "Linear" not in repr(carried)
    assert "import" not in repr(carried)


@pytest.mark.parametrize("name", ["source", "path", "module", "class_path", "url", "settings"])
def test_x1_a_job_that_brings_code_or_says_where_code_is_is_refused(name: str, packed: Bundle) -> None:
    asked = authors.course(packed)
    asked = replace(asked, config=tuple(sorted((*asked.config, (name, "import os")))))
    with pytest.raises(Misuse, match=f"no parameter '{name}'"):
        plan.chosen(asked, OWN)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"version": 2},
        {"code": "0" * 64},
        {"tensors": (("output.weight", "weight", 4, 0.0, 1, 4),)},
        {"tensors": (("output.weight", "weight", 4, 0.0, 4, 1), ("output.bias", "bias", 4, 0.0, 1))},
        {"tensors": (("output.weight", "weight", 4, 0.0, 1, 4), ("output.bias", "weight", 4, 0.0, 1))},
    ],
    ids=repr,
)
def test_x1_tensors_that_are_not_the_bundles_are_refused_by_every_member_without_the_code(
    changed: dict[str, object], packed: Bundle
) -> None:
    """M7: the same check runs at the coordinator, at the researcher and at every party, from the job alone."""
    honest = authors.course(packed)
    assert plan.chosen(honest, OWN).layout == packed.manifest.layout
    lying = replace(packed.manifest, **changed)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="is not of bundle"):
        plan.chosen(replace(honest, config=lying.config), OWN)


def test_a_job_that_names_a_bundle_goes_over_the_wire_and_comes_back_with_one_hash(packed: Bundle) -> None:
    asked = authors.course(packed)
    job = Job(
        name="train",
        researcher="ana",
        dataset="data",
        computations=(training.computation(asked),),
        parties=("gd", "hk", "macao"),
        publications=tuple((party, bytes(32)) for party in ("gd", "hk", "macao")),
        deadline_ms=1,
        max_rounds=50,
        roster_hash=bytes(32),
        token=bytes(16),
    )
    body = convert.BODIES[m.JOB]
    (back,) = body.decode(body.encode(job)).computations
    assert isinstance(back, Computation)
    assert TrainingPlan.of(back.parameters, OWN) == asked
    assert plan.chosen(asked, OWN).config.digest == packed.manifest.digest


@pytest.mark.parametrize("model", ["bundle:", "bundle:zz", "bundle:../../etc", "bundle:" + "A" * 64, "bundle"])
def test_a_model_that_names_no_hash_is_refused(model: str, packed: Bundle) -> None:
    with pytest.raises(Misuse):
        plan.chosen(replace(authors.course(packed), model=model), OWN)


def test_a_job_over_other_inputs_than_the_bundle_reads_is_refused(packed: Bundle) -> None:
    with pytest.raises(Misuse, match="this job has 1 numbers"):
        plan.chosen(replace(authors.course(packed), features=("age", "sex")), OWN)


def test_the_module_of_a_bundle_is_never_made_in_this_process(packed: Bundle) -> None:
    found = plan.chosen(authors.course(packed), OWN)
    with pytest.raises(Misuse, match="only in the sandbox"):
        found.model.module(found.config, found.inputs)


# ------------------------------------------------------------------------------------------------ X2: not approved here


def test_x2_a_bundle_that_two_signed_and_the_own_operator_did_not_approve_is_refused(
    house: House, packed: Bundle
) -> None:
    found = house.signed(packed, "gd", "macao")
    assert bundle_file.check_reviewed(found, house.roster) == ("gd", "macao")
    assert "has not approved" in refused(lambda: house.bundles.approved(found.manifest.digest))
    assert "has not approved" in refused(lambda: authors.confined(house, found))


def test_a_party_without_a_folder_of_bundles_runs_none(packed: Bundle) -> None:
    asked = authors.course(packed)
    refused(lambda: Confined(None, plan.chosen(asked, OWN), asked, "hk"))


def test_x2_an_approval_that_another_jurisdiction_signed_is_none(house: House, packed: Bundle) -> None:
    found = house.signed(packed)
    Bundles(house.state, house.members["gd"], house.roster).approve(found)
    assert "not what was approved" in refused(lambda: house.bundles.approved(found.manifest.digest))


def test_x2_a_bundle_laid_into_the_folder_without_the_operators_key_is_refused(house: House, packed: Bundle) -> None:
    found = house.signed(packed)
    house.bundles.approve(found)
    path = next((house.state / "bundles").glob("*.approval"))
    path.write_bytes(bytes(64))
    assert "not what was approved" in refused(lambda: house.bundles.approved(found.manifest.digest))


def test_x2_every_byte_that_is_altered_after_approval_is_noticed(house: House, packed: Bundle) -> None:
    found = house.signed(packed)
    house.bundles.approve(found)
    called, folder = found.manifest.digest, house.state / "bundles"
    for path, step in ((next(folder.glob("*.bundle")), 5), (next(folder.glob("*.approval")), 1)):
        original = path.read_bytes()
        for place in range(0, len(original), step):
            path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
            with pytest.raises(Refused) as refusal:
                house.bundles.approved(called)
            assert refusal.value.rule == "bundle", place
        path.write_bytes(original)
    assert house.bundles.approved(called) == found, "the original runs: it was the change that was refused"


@pytest.mark.parametrize("change", ["source", "settings", "tensors", "hash"])
def test_x2_a_bundle_that_is_altered_and_named_anew_has_lost_its_signatures(
    change: str, house: House, packed: Bundle
) -> None:
    """Whoever alters a bundle well, hash and all, has another bundle, which nobody signed."""
    found = house.signed(packed)
    text = json.loads(bundle_file.encoded(found))
    if change == "source":
        text["source"] += "\nimport socket\n"
    elif change == "settings":
        text["settings"]["scale"] = 2.0
    elif change == "tensors":
        text["manifest"]["tensors"][0][2] = 5
    else:
        text["hash"] = "0" * 64
    lying = (json.dumps(text, indent=2, ensure_ascii=False) + "\n").encode()
    with pytest.raises(FederationError):
        bundle_file.decoded(lying, "the bundle")
    settings = tuple(sorted(text["settings"].items()))
    settings = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in settings)
    source = text["source"].encode()
    tensors = tuple(map(tuple, text["manifest"]["tensors"]))
    manifest = replace(packed.manifest, code=bundle.code_hash(source, settings), tensors=tensors)
    anew = Bundle(manifest=manifest, source=source, settings=settings, signatures=found.signatures)
    if change != "hash":
        assert bundle_file.signers(anew, house.roster) == ()
        refused(lambda: house.bundles.approve(anew))


def test_x2_another_bundle_of_the_same_name_is_not_the_approved_one(house: House, tmp_path: Path) -> None:
    mine = house.approved(HONEST, tmp_path / "mine")
    other = house.signed(bundle_file.packed(authors.written(tmp_path / "other", HONEST + "\n# and more\n")))
    assert (other.manifest.name, other.manifest.version) == (mine.manifest.name, mine.manifest.version)
    assert other.manifest.digest != mine.manifest.digest
    assert "has not approved" in refused(lambda: house.bundles.approved(other.manifest.digest))
    assert "of this name and version" in refused(lambda: house.bundles.approve(other))
    later = CONFIG.replace("version = 1", "version = 2")
    house.approved(HONEST, tmp_path / "later", later)
    assert house.bundles.approved(mine.manifest.digest) == mine, "a new version leaves the old one alone"


def test_a_withdrawn_bundle_does_not_run_any_more(house: House, tmp_path: Path) -> None:
    found = house.approved(HONEST, tmp_path / "mine")
    assert house.bundles.withdraw(found.manifest.digest)
    refused(lambda: house.bundles.approved(found.manifest.digest))
    assert not house.bundles.withdraw(found.manifest.digest)


def test_a_link_or_a_file_that_others_may_write_is_no_approval(house: House, tmp_path: Path) -> None:
    found = house.approved(HONEST, tmp_path / "mine")
    path = next((house.state / "bundles").glob("*.bundle"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    Bundles(tmp_path / "new" / "state", house.me, house.roster).approve(found)
    assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700
    path.chmod(0o620)
    refused(lambda: house.bundles.approved(found.manifest.digest))
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused(lambda: house.bundles.approved(found.manifest.digest))


# --------------------------------------------------------------------------------------------------- X2: who has signed


@pytest.mark.parametrize("name", ["gd", "hk"])
def test_one_signature_is_not_enough_not_even_the_own_one(name: str, house: House, packed: Bundle) -> None:
    found = bundle_file.signed(packed, house.members[name], house.roster)
    assert f"signatures of {name}" in refused(lambda: house.bundles.approve(found))
    assert not (house.state / "bundles").exists()


def test_two_signatures_of_one_member_are_one(house: House, packed: Bundle) -> None:
    once = bundle_file.signed(packed, house.members["gd"], house.roster)
    assert bundle_file.signed(once, house.members["gd"], house.roster) == once
    (name, signature), twice = once.signatures[0], json.loads(bundle_file.encoded(once))
    twice["signatures"] *= 2
    refused(lambda: bundle_file.decoded((json.dumps(twice, indent=2, ensure_ascii=False) + "\n").encode(), "it"))
    forged = replace(packed, signatures=((name, signature), (name, signature)))
    assert bundle_file.signers(forged, house.roster) == ("gd",)
    under_two_names = replace(packed, signatures=(("gd", signature), ("macao", signature)))
    assert "not counted: macao" in refused(lambda: house.bundles.approve(under_two_names))


def test_a_signer_outside_the_roster_does_not_count(house: House, packed: Bundle) -> None:
    stranger = authors.house(house.state.parent / "other state")
    found = replace(stranger.signed(packed, "gd"), signatures=stranger.signed(packed, "gd").signatures)
    found = bundle_file.signed(found, house.members["hk"], house.roster)
    assert "not counted: gd" in refused(lambda: house.bundles.approve(found)), "the name is known and the key is not"
    unknown = replace(found, signatures=(*found.signatures, ("nobody", bytes(64))))
    assert "nobody" in refused(lambda: house.bundles.approve(unknown))


@pytest.mark.parametrize("name", ["coordinator", "ana"])
def test_who_has_no_rows_signs_for_nobody(name: str, house: House, packed: Bundle) -> None:
    me = house.members[name]
    with pytest.raises(Misuse, match="not a jurisdiction"):
        bundle_file.signed(packed, me, house.roster)
    once = bundle_file.signed(packed, house.members["hk"], house.roster)
    valid = me.sign(bundle_file.SIGNED, bundle_file._named(house.roster, packed))
    forged = replace(once, signatures=tuple(sorted((*once.signatures, (name, valid)))))
    assert bundle_file.signers(forged, house.roster) == ("hk",)
    refused(lambda: house.bundles.approve(forged))


def test_a_signer_who_left_the_roster_ends_what_was_approved(house: House, tmp_path: Path) -> None:
    found = house.approved(HONEST, tmp_path / "mine")
    later = house.after("gd")
    assert "not counted: gd" in refused(lambda: later.bundles.approved(found.manifest.digest))
    later.bundles.approve(bundle_file.signed(found, house.members["macao"], later.roster))
    later.bundles.approved(found.manifest.digest)


def test_a_signature_means_one_bundle_of_one_federation_and_nothing_else(house: House, packed: Bundle) -> None:
    body = bundle_file._named(house.roster, packed)
    gd = house.members["gd"]
    elsewhere = bundle_file._named(replace(house.roster, federation="other"), packed)
    for domain, signed in (
        (bundle_file.SIGNED, elsewhere),
        ("federation/bundle/approval/v1", body),
        (bundle_file.SIGNED, packed.manifest.digest),
    ):
        forged = replace(packed, signatures=(("gd", gd.sign(domain, signed)),))
        assert bundle_file.signers(forged, house.roster) == ()
    assert bundle_file.signers(bundle_file.signed(packed, gd, house.roster), house.roster) == ("gd",)


# -------------------------------------------------------------------------------------------------------- the documents


def test_a_bundle_is_its_folder_and_reading_what_was_written_gives_it_back(packed: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "one-layer.bundle"
    bundle_file.save(path, packed)
    assert bundle_file.load(path) == packed
    assert packed.manifest.layout.size == authors.ENTRIES
    assert dict(packed.settings) == {"bias": True, "scale": 1.0, "order": (0, 1)}
    again = bundle_file.packed(authors.written(tmp_path / "again", HONEST, CONFIG + "\n# a comment\n"))
    assert again.manifest.digest == packed.manifest.digest, "what is hashed is what is meant"


@pytest.mark.parametrize("name", ["weights.pt", "__init__.py", "model.pyc", ".hidden"])
def test_a_folder_with_anything_else_is_not_packed(name: str, tmp_path: Path) -> None:
    folder = authors.written(tmp_path / "mine", HONEST)
    (folder / name).write_bytes(b"")
    with pytest.raises(Misuse, match="nothing else"):
        bundle_file.packed(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "one-layer"', 'name = "../x"'),
        ("version = 1", "version = 0"),
        ("version = 1", "version = 1\nurl = 'x'"),
        ("numbers = 2", "numbers = -1"),
        ("scale = 1.0", "scale = inf"),
        ("scale = 1.0", "when = 2026-01-01"),
        ("bias = true", "'not a name' = true"),
        ("shape = [1, 4]", "shape = [1, 0]"),
        ("shape = [1, 4]", "shape = [100000, 100000]"),
        ('part = "weight"', 'part = "buffer"'),
        ('part = "weight"', 'part = "code"'),
        ('name = "output.bias"', 'name = "output.weight"'),
        ("fan_in = 4", "fan_in = 4\nfill = 1.0"),
    ],
)
def test_a_configuration_without_a_meaning_is_not_packed(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        bundle_file.packed(authors.written(tmp_path / "mine", HONEST, CONFIG.replace(old, new, 1)))


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200b", "\ufeff", "\r", "\x1b[8m", "\x00", "\x0c", "\x85", "\u2028", "\ue000"]
)
def test_a_source_that_reads_otherwise_than_it_runs_is_refused(hidden: str, tmp_path: Path) -> None:
    """Trojan Source (CVE-2021-42574): what two operators read has to be what runs."""
    source = HONEST + f"# reviewed {hidden} indeed\n"
    folder = authors.written(tmp_path / "mine", HONEST)
    (folder / "model.py").write_bytes(source.encode())
    with pytest.raises(Misuse, match=f"line {HONEST.count(chr(10)) + 1} "):
        bundle_file.packed(folder)
    (folder / "model.py").write_text(HONEST + "# \u8a13\u7df4 \u03bc\n")
    bundle_file.packed(folder)


def test_packing_signing_and_approving_run_no_byte_of_the_source(house: House, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    house.approved(CANARY.format(path=str(canary)), tmp_path / "mine")
    assert not canary.exists()


def test_two_bundles_differ_in_hash_wherever_they_differ(packed: Bundle) -> None:
    manifest = packed.manifest
    others = [
        replace(manifest, name="other"),
        replace(manifest, version=2),
        replace(manifest, code="1" * 64),
        replace(manifest, numbers=1, tensors=manifest.tensors),
        replace(manifest, levels=(1, 1)),
        replace(manifest, task="regression"),
        replace(manifest, tensors=manifest.tensors[::-1]),
    ]
    hashes = [one.digest for one in (manifest, *others)]
    assert len(set(hashes)) == len(hashes)
    one, other = bundle.code_hash(b"ab", (("c", "d"),)), bundle.code_hash(b"a", (("bc", "d"),))
    assert one != other
    assert bundle.code_hash(b"a", (("n", 1),)) != bundle.code_hash(b"a", (("n", 1.0),))


# ----------------------------------------------------------------------------------------------- X3: without a sandbox


class Untouched:
    """An engine whose rows nobody may read."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked of the rows")


def test_x3_without_bubblewrap_an_approved_bundle_is_refused_before_a_row_is_read(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    found = house.approved(HONEST, tmp_path / "mine")
    monkeypatch.setattr(sandbox, "PLACES", str(tmp_path))
    asked, engine = authors.course(found), Untouched()
    message = refused(lambda: Trainer(engine, OWN, OWN, asked, "hk", bundles=house.bundles), "sandbox")  # type: ignore[arg-type]
    assert "not installed" in message


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('while [ "$1" != "--" ]; do shift; done; shift; exec "$@"', "it shows"),
        ("exit 1", "cannot make one"),
        ("echo confine", "confine"),
        ("echo confined; echo and more", "confined"),
    ],
    ids=["confines nothing", "fails", "says something else", "says too much"],
)
def test_x3_a_sandbox_that_confines_nothing_is_found_out(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a `bwrap` that starts what it is told to, and keeps nothing from it."""
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sandbox, "PLACES", str(place))
    assert said in refused(lambda: Sandbox(tmp_path, Limits()), "sandbox")


def test_x3_a_state_folder_that_the_code_would_see_is_refused() -> None:
    inside = Path(os.__file__).parent / "state"
    assert "would see" in refused(lambda: Sandbox(inside, Limits()), "sandbox")


def test_x3_a_machine_whose_system_calls_are_not_known_has_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda: Path("/bin/true"))
    assert "riscv64" in refused(lambda: Sandbox(tmp_path, Limits()), "sandbox")


def test_the_text_of_a_signature_has_one_spelling(house: House, packed: Bundle) -> None:
    content = bundle_file.encoded(house.signed(packed)).decode()
    signature = json.loads(content)["signatures"][0]["signature"]
    last = base64.b64encode(base64.b64decode(signature)).decode()
    assert last == signature
    for other, _ in itertools.islice(((signature[:-3] + c + "==", c) for c in "BCDEFGH"), 3):
        with pytest.raises(FederationError):
            bundle_file.decoded(content.replace(signature, other).encode(), "it")

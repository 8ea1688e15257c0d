"""The table of attacks on Paillier sums: every row that is known, and the tests that play it.

A row names tests and the planted faults that show what the guard is for. A row without a test fails here, as does a
test that is not there any more. What is not promised, or not built yet, has its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

FOLDERS = ("tests/attacks/paillier/", "tests/protocols/paillier_sum/", "tests/crypto/paillier/")
ACROSS, LINE = "attacks/masked_sum/test_across_jobs", "wire/test_flips_and_truncations"
PITFALLS = (
    "a public exponent that leaks magnitude",
    "results that are not blinded again",
    "a ciphertext that is none",
    "a modulus that is none, or has small factors",
    "a base that is no n-th residue",
    "malleability",
    "a slot that overflows",
    "chained multiplication of floats",
    "a number out of its range",
    "randomness that is weak or serves twice",
    "a sum of too few parties, or two sums that differ by one",
    "timing",
)
PROTOCOL_ROWS = tuple(f"P{number}" for number in range(24, 29))
REVIEWED = (
    "a malleated ciphertext of the same job",
    "a malleated ciphertext of an earlier job",
    "a raw share of phi",
    "a changed sign",
    "a shift by a power of 1 + n",
    "a wrong verification key",
    "different lists of ciphertexts for different parties",
    "a development key",
    "a nonce that serves twice",
    "another share than the one behind the key",
    "a party that is left out",
    "what phe gets wrong",
    "what heu gets wrong",
)
NOT_PROMISED = {
    "timing": "Python's integers and tables of powers are not constant-time; docs/THREAT_MODEL.md says so",
}

# row -> "file::test" of what plays it and, planted, of what shows that it could succeed
ATTACKS: Mapping[str, tuple[str, ...]] = {
    "a public exponent that leaks magnitude": (
        "test_malleated::test_a_message_looks_the_same_whatever_the_number_is",
        "test_engine::test_the_wire_says_nothing_of_a_numbers_magnitude",
        "test_interop::test_the_exponent_that_phe_sends_tells_a_numbers_magnitude",  # planted, by phe
    ),
    "results that are not blinded again": (
        "test_engine::test_whatever_a_private_factor_went_into_is_blinded_again",
        "test_engine::test_the_new_blinding_covers_what_the_factors_did_to_the_old_one",
        "test_peers::test_the_planted_fault_of_a_product_that_is_not_blinded_tells_the_factor",
    ),
    "a ciphertext that is none": (
        "test_vectors::test_a_party_names_the_culprit",  # `ciphers/number_*`
        "test_ciphertexts::test_a_ciphertext_is_accepted_or_refused_as_the_vector_says",
        "test_peers::test_the_planted_fault_of_numbers_that_nobody_checks_takes_a_plaintext_in_the_clear",
    ),
    "a modulus that is none, or has small factors": (
        "test_keys::test_a_modulus_is_accepted_or_refused_as_the_vector_says",
        "test_modulus::test_a_modulus_that_passes_every_look_cannot_be_proved",
        "test_interop::test_a_modulus_that_phe_takes_is_refused",  # planted, by phe
    ),
    "a base that is no n-th residue": (
        "test_keys::test_a_base_that_is_no_residue_is_refused_and_would_have_changed_plaintexts",  # and planted
        "test_threshold::test_the_parts_of_a_key_must_fit",
    ),
    "malleability": (
        "test_malleated::test_a_ciphertext_that_the_coordinator_multiplied_is_the_coordinator_s_fault",
        f"{LINE}::test_no_bit_can_be_flipped_and_no_byte_cut_on_the_way_and_the_signer_is_not_blamed",
        "test_malleated::test_the_planted_fault_of_neither_root_nor_proof_multiplies_the_victim",
    ),
    "a slot that overflows": (
        "test_figures::test_a_number_that_does_not_fit_is_refused_before_anything_is_sent",
        "test_figures::test_every_extreme_of_every_width_adds_up",
        "test_packing::test_without_the_check_an_overflow_falls_on_the_neighbour",  # planted
        "test_packing::test_without_the_refusal_a_negative_factor_breaks_every_slot",  # planted
    ),
    "chained multiplication of floats": (
        "test_engine::test_a_float_is_not_encrypted",
        "test_engine::test_weights_that_are_not_one_integer_for_each_are_refused",
        "test_peers::test_the_planted_fault_of_chained_floats_ends_at_nothing",
    ),
    "a number out of its range": (
        "test_orders::test_a_number_beyond_its_slot_ends_the_sum_without_a_total_and_without_a_culprit",
        "test_peers::test_the_planted_fault_of_a_range_that_nobody_proves_moves_the_figure",  # not promised
    ),
    "randomness that is weak or serves twice": (
        "test_figures::test_no_blinding_ever_serves_two_plaintexts_even_where_entropy_serves_twice",
        "test_figures::test_the_planted_fault_of_blindings_that_do_not_know_what_they_blind_is_caught",
        "test_pool::test_after_a_fork_parent_and_child_blind_differently",
        "test_pool::test_no_blinding_is_given_out_twice",
    ),
    "a sum of too few parties, or two sums that differ by one": (
        "test_false_openings::test_nobody_answers_for_fewer_than_all_parties",
        "test_false_openings::test_the_planted_fault_of_any_number_of_parties_opens_one_alone",
        f"{ACROSS}::test_the_name_of_a_query_knows_neither_job_nor_protocol_and_is_made_by_the_party",
        f"{ACROSS}::test_a_query_is_opened_over_one_set_only_within_one_job_and_across_jobs",
    ),
    "P24": (
        "test_vectors::test_a_party_names_the_culprit",
        "test_ciphertexts::test_a_ciphertext_is_accepted_or_refused_as_the_vector_says",
        "test_keys::test_a_modulus_is_accepted_or_refused_as_the_vector_says",
        "test_interop::test_ciphertexts_that_phe_reads_are_refused",  # planted, by phe
    ),
    "P25": (
        "test_malleated::test_a_message_looks_the_same_whatever_the_number_is",
        "test_interop::test_the_exponent_that_phe_sends_tells_a_numbers_magnitude",  # planted, by phe
    ),
    "P26": (
        "test_figures::test_equal_numbers_look_different_in_every_place_party_spec_and_setup",
        "test_peers::test_the_planted_fault_of_a_product_that_is_not_blinded_tells_the_factor",
    ),
    "P27": (
        "test_false_openings::test_nobody_answers_for_fewer_than_all_parties",
        "test_vectors::test_a_party_names_the_culprit",  # `all_but_one_left_out`
        "test_false_openings::test_the_planted_fault_of_any_number_of_parties_opens_one_alone",
    ),
    "P28": (
        "test_malleated::test_a_ciphertext_that_the_coordinator_multiplied_is_the_coordinator_s_fault",
        "test_malleated::test_the_planted_fault_of_chunks_that_nobody_signed_for_names_the_honest_party",
        "test_malleated::test_the_planted_fault_of_neither_root_nor_proof_multiplies_the_victim",
    ),
    "a malleated ciphertext of the same job": (
        "test_malleated::test_a_victim_s_ciphertext_is_refused_in_the_name_of_who_sends_it_by_both_roles",
        "test_malleated::test_the_planted_fault_of_ciphertexts_without_a_proof_reads_the_victim_alone",
        "test_malleated::test_the_planted_fault_of_a_proof_that_does_not_know_party_or_sum_takes_a_copy",
    ),
    "a malleated ciphertext of an earlier job": (
        "test_malleated::test_a_victim_s_ciphertext_is_refused_in_the_name_of_who_sends_it_by_both_roles",
        "test_malleated::test_the_planted_fault_of_ciphertexts_without_a_proof_reads_the_victim_alone",
        "test_malleated::test_the_planted_fault_of_a_proof_that_does_not_know_party_or_sum_takes_a_copy",
    ),
    "a raw share of phi": (
        "test_threshold::test_an_opened_plaintext_does_not_give_the_factors_away",  # and planted
        "test_peers::test_all_that_a_sum_opens_and_says_does_not_factor_the_modulus",
    ),
    "a changed sign": (
        "test_false_openings::test_a_changed_sign_changes_no_figure_whether_its_proof_passes_or_not",
        "test_false_openings::test_the_planted_fault_of_a_sign_that_is_not_squared_away_loses_the_figure",
    ),
    "a shift by a power of 1 + n": (
        "test_false_openings::test_a_shifted_figure_is_refused_in_the_name_of_who_shifted_it",
        "test_false_openings::test_the_planted_fault_of_answers_without_a_look_at_their_proofs_releases_the_shifted_figure",
    ),
    "a wrong verification key": (
        "test_false_openings::test_a_wrong_verification_key_is_no_key_and_one_that_fits_is_not_the_setup_s",
        "test_false_openings::test_the_planted_fault_of_a_key_that_nobody_compares_names_the_honest_holder",
    ),
    "different lists of ciphertexts for different parties": (
        "test_false_openings::test_parties_that_are_shown_different_lists_open_nothing_and_name_the_relay",
        "test_false_openings::test_the_planted_fault_of_answers_that_do_not_say_to_what_names_an_honest_party",
    ),
    "a development key": (
        "test_threshold::test_daemons_refuse_a_dealt_key_and_a_short_one",
        "test_threshold::test_daemons_refuse_a_joint_key_over_a_known_modulus",
        "test_keys::test_without_the_list_a_development_key_passes",  # planted
    ),
    "a nonce that serves twice": (
        "test_false_openings::test_a_memory_that_was_put_back_does_not_give_the_share_away",
        "test_false_openings::test_the_planted_fault_of_a_nonce_that_does_not_know_what_it_proves_gives_the_share_away",
    ),
    "another share than the one behind the key": (
        "test_false_openings::test_answers_with_another_share_are_refused_in_the_holder_s_name",
        "test_false_openings::test_the_planted_fault_of_another_share_without_a_look_ends_the_sum_with_nobody_to_blame",
    ),
    "a party that is left out": (
        "test_orders::test_every_set_of_lost_parties_at_every_step_ends_the_sum_and_is_named",
        "test_orders::test_the_planted_fault_of_a_sum_that_goes_on_without_somebody_is_caught",
        "test_figures::test_the_planted_fault_of_a_party_dropped_or_doubled_is_caught",
    ),
    "what phe gets wrong": (
        "test_interop::test_a_modulus_that_phe_takes_is_refused",
        "test_interop::test_ciphertexts_that_phe_reads_are_refused",
        "test_interop::test_what_phe_computed_comes_blinded",
        "test_interop::test_the_exponent_that_phe_sends_tells_a_numbers_magnitude",  # planted, by phe
    ),
    "what heu gets wrong": (
        "test_engine::test_whatever_a_private_factor_went_into_is_blinded_again",
        "test_peers::test_the_planted_fault_of_a_product_that_is_not_blinded_tells_the_factor",  # HEU: equal bytes
    ),
}
PLANTED_UNDER_ANOTHER_NAME = (
    "that_phe_takes_is_refused",
    "that_phe_reads_are_refused",
    "that_phe_sends_tells",
    "would_have_changed_plaintexts",
    "does_not_give_the_factors_away",
    "::test_without_the_",
)


@cache
def names_of(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def missing(repository: Path, attacks: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Rows without a test, rows without a planted fault, and tests that are not there."""
    found = [row for row in (*PITFALLS, *PROTOCOL_ROWS, *REVIEWED) if row not in {*attacks, *NOT_PROMISED}]
    for row, played in attacks.items():
        for test in played:
            where, _, name = test.partition("::")
            files = [f"tests/{where}.py"] if "/" in where else [f"{folder}{where}.py" for folder in FOLDERS]
            if not any((repository / f).exists() and name in names_of(repository / f) for f in files):
                found.append(test)
        if not any("planted" in test or any(word in test for word in PLANTED_UNDER_ANOTHER_NAME) for test in played):
            found.append(f"no planted fault for {row}")
        if len(played) < 2:
            found.append(f"only a planted fault for {row}")
    return found


def test_every_row_has_its_attack_and_its_planted_fault(repository: Path) -> None:
    assert missing(repository, ATTACKS) == []
    assert set(ATTACKS) | set(NOT_PROMISED) == {*PITFALLS, *PROTOCOL_ROWS, *REVIEWED}
    assert not set(ATTACKS) & set(NOT_PROMISED)


@pytest.mark.parametrize("row", ["P27", "a changed sign"])
def test_a_row_that_is_gone_is_missed(repository: Path, row: str) -> None:
    fewer = {name: played for name, played in ATTACKS.items() if name != row}
    assert missing(repository, fewer) == [row]


def test_a_test_that_is_gone_and_a_row_without_a_planted_fault_are_missed(repository: Path) -> None:
    gone = "test_malleated::test_that_nobody_wrote"
    honest = ATTACKS["P27"][0]
    assert missing(repository, {**ATTACKS, "P27": (honest, gone)}) == [gone, "no planted fault for P27"]

"""The table of attacks on masked sums: every row that the design knows, and the tests that play it.

A row names tests and the planted faults that show what the guard is for. A row without a test fails here, as does a
test that is not there any more. What is not built yet has its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

HERE = "tests/attacks/masked_sum/"
SUMS = "tests/protocols/"
ENCODINGS, FLIPS = "wire/test_domains_and_encodings", "wire/test_flips_and_truncations"
ONE_SET, DEATHS = "attacks/coordinator/test_one_set_per_query", "coordinator/test_deaths_of_jurisdictions"
STEPS_OF_A_SUM = (
    "keys of a man in the middle",
    "unsigned keys",
    "keys of a wrong round",
    "a replayed key of an earlier round",
    "duplicate keys",
    "one's own advert altered",
    "a point of low order",
    "different participants for different parties",
    "a box of shares reflected",
    "a box for another holder or of another dealer",
    "a list of boxes cut short",
    "a share of a wrong index",
    "parties lost at each step",
    "a live party called lost, and its late vector",
    "a split view of the survivors",
    "forged consents",
    "an invented advert for which its party signed nothing else",
    "an invented advert of a party that has dealt shares",
    "an invented head of a party that did not consent",
    "an invented head of a party that consented",
    "an invented message that somebody else is blamed for",
    "a consent counted twice",
    "consents of strangers",
    "fewer consents than t",
    "consents of another round",
    "contributors beyond those who shared",
    "both shares of one peer",
    "asked twice for different lists",
    "asked for one's own key",
    "all but one or two called lost",
    "a lowered threshold",
    "parties that the coordinator invents",
    "a rerun with one party less",
    "a restart between shares and total",
    "a model or spec that differs in one bit",
    "false shares of a dealer",
    "one false share among more than t",
    "one word of a vector altered",
    "a party left out of the sum",
    "two chunks swapped",
    "another list of contributors reported",
    "noise of parties that were lost",
    "noise drawn twice",
)
PROTOCOL_ROWS = tuple(f"P{number}" for number in range(1, 18))
REVIEWED = (
    "a copied or aliased key",
    "a query again without one party, in the same job",
    "a query again without one party, in another job",
    "a query again by another protocol",
    "a false total",
    "other rows on resume",
    "one key for both directions",
    "an old copy of a memory",
    "a cell of one party",
    "seeds that can be tried out",
)
ON_A_CIRCLE = (
    "another graph than the seeded one",
    "those called lost whose loss parts the honest",
    "fewer than t neighbours' shares",
    "both shares of one neighbour",
)
NOT_BUILT = {
    "noise of parties that were lost": "differential privacy inside the sum is not there yet",
    "noise drawn twice": "differential privacy inside the sum is not there yet",
}

# row -> "file::test" of what plays it and, with "planted" in its name, of what shows that it could succeed
ATTACKS: Mapping[str, tuple[str, ...]] = {
    "keys of a man in the middle": (
        "test_false_keys::test_keys_that_their_party_did_not_sign_are_refused",
        "test_false_keys::test_the_planted_fault_of_unchecked_signatures_reads_the_victim",
    ),
    "unsigned keys": (
        "test_false_keys::test_keys_that_their_party_did_not_sign_are_refused",
        "test_false_keys::test_the_planted_fault_of_unchecked_signatures_reads_the_victim",
    ),
    "keys of a wrong round": (
        "test_false_keys::test_signed_keys_of_another_sum_are_refused_by_both_roles",
        "test_boxes::test_the_planted_fault_of_keys_that_do_not_know_their_sum_is_caught",
    ),
    "a replayed key of an earlier round": (
        "test_false_keys::test_signed_keys_of_another_sum_are_refused_by_both_roles",
        "test_false_keys::test_the_planted_fault_of_a_replayed_key_leaves_a_mask_that_others_know",
    ),
    "duplicate keys": (
        "test_copied_keys::test_a_copied_or_aliased_key_is_refused",
        "test_copied_keys::test_the_planted_fault_of_a_kdf_without_names_and_keys_opens_the_victim",
    ),
    "one's own advert altered": (
        "test_false_keys::test_a_relay_that_alters_a_party_s_own_keys_is_named_by_it",
        "test_false_keys::test_behind_it_the_boxes_do_not_open_and_nothing_is_masked",  # planted, and harmless
    ),
    "a point of low order": (
        "test_false_keys::test_a_key_of_low_order_is_refused_in_the_name_of_who_signed_it",
        "test_false_keys::test_the_planted_fault_of_a_key_of_low_order_leaves_a_mask_that_everybody_knows",
    ),
    "different participants for different parties": (
        "test_false_keys::test_parties_that_are_shown_different_participants_refuse_each_other_s_shares",
        "test_false_keys::test_the_planted_fault_of_adverts_that_are_not_bound_lets_a_split_of_keys_pass",
        "test_quorums::test_different_shares_for_different_parties_do_not_help",
    ),
    "a box of shares reflected": (
        "test_boxes::test_a_box_in_another_place_does_not_open_and_its_dealer_is_named",
        "test_boxes::test_the_planted_fault_of_neither_lets_a_reflected_box_open",
    ),
    "a box for another holder or of another dealer": (
        "test_boxes::test_a_box_in_another_place_does_not_open_and_its_dealer_is_named",
        "test_boxes::test_the_planted_fault_of_a_root_that_is_not_looked_at_blames_the_dealer",
    ),
    "a list of boxes cut short": (
        "test_boxes::test_a_list_that_is_cut_short_and_a_box_of_another_place_are_the_relay_s_doing",
        "test_boxes::test_the_planted_fault_of_a_root_that_is_not_looked_at_blames_the_dealer",
    ),
    "a share of a wrong index": (
        "test_masked_sum_shares::test_where_all_are_needed_the_one_who_gave_a_false_share_is_named",
        "test_masked_sum_vectors::test_the_aggregator_names_the_sender",
        "test_masked_sum_shares::test_the_planted_fault_of_shares_that_nobody_vouched_for_names_an_honest_dealer",
    ),
    "parties lost at each step": (
        "test_masked_sum_losses::test_every_set_may_be_lost_before_every_step",
        "test_masked_sum_losses::test_of_ten_parties_any_three_may_be_lost",
        "test_masked_sum_losses::test_the_planted_fault_of_a_lost_party_s_masks_that_stay_on_is_caught",
    ),
    "a live party called lost, and its late vector": (
        "test_survivors::test_a_late_vector_of_a_party_that_was_called_lost_stays_uniform",
        "test_survivors::test_nobody_gives_the_seed_of_a_party_whose_key_it_gave",
        "test_survivors::test_the_planted_fault_of_no_mask_of_its_own_opens_the_late_vector",
    ),
    "a split view of the survivors": (
        "test_survivors::test_a_split_view_of_the_survivors_opens_nothing",
        "test_quorums::test_no_coordinator_gets_both_shares_of_a_peer_nor_two_openings",
        "test_quorums::test_the_best_split_fails_by_one_and_with_one_colluder_more_opens_the_victim",
        "test_survivors::test_the_planted_fault_of_consents_to_any_list_gives_shares_for_two",
    ),
    "forged consents": (
        "test_survivors::test_a_consent_that_its_party_did_not_sign_is_refused_before_any_machine_sees_it",
        "test_survivors::test_the_planted_fault_of_consents_that_nobody_counts_is_caught",
    ),
    "an invented advert for which its party signed nothing else": (
        "test_deferred_signatures::test_an_invented_advert_of_a_party_without_shares_is_refused_before_anything_is_masked",
        "test_deferred_signatures::test_an_invented_advert_of_somebody_far_away_is_refused_too",
        "test_deferred_signatures::test_the_planted_fault_of_adverts_that_nobody_verifies_masks_under_shares_of_the_relay",
    ),
    "an invented advert of a party that has dealt shares": (
        "test_deferred_signatures::test_an_invented_advert_of_a_party_with_shares_has_none_that_fit",
        "test_deferred_signatures::test_what_stands_for_other_messages_is_verified_before_any_machine_sees_it",
        "test_deferred_signatures::test_the_planted_fault_of_forged_shares_masks_under_shares_of_the_relay",
    ),
    "an invented head of a party that did not consent": (
        "test_deferred_signatures::test_an_invented_head_of_a_party_that_did_not_consent_is_refused_before_a_share_leaves",
        "test_deferred_signatures::test_the_planted_fault_of_heads_that_nobody_verifies_gives_shares_for_an_invented_list",
    ),
    "an invented head of a party that consented": (
        "test_deferred_signatures::test_an_invented_head_of_a_party_that_consented_has_no_consent_that_fits",
        "test_survivors::test_the_planted_fault_of_consents_to_any_list_gives_shares_for_two",
    ),
    "an invented message that somebody else is blamed for": (
        "test_deferred_signatures::test_a_false_advert_is_its_partys_doing_only_if_it_signed_it",
        "test_deferred_signatures::test_a_false_head_is_its_partys_doing_only_if_it_signed_it",
        "test_deferred_signatures::test_the_planted_fault_of_believing_the_name_blames_who_never_spoke",
    ),
    "a consent counted twice": (
        "test_survivors::test_consents_that_are_not_t_parties_to_this_list_open_nothing",
        "test_survivors::test_the_planted_fault_of_consents_that_nobody_counts_is_caught",
    ),
    "consents of strangers": (
        "test_survivors::test_consents_that_are_not_t_parties_to_this_list_open_nothing",
        "test_survivors::test_the_planted_fault_of_consents_that_nobody_counts_is_caught",
    ),
    "fewer consents than t": (
        "test_survivors::test_consents_that_are_not_t_parties_to_this_list_open_nothing",
        "test_quorums::test_the_planted_fault_of_a_party_that_does_not_count_consents_is_caught",
    ),
    "consents of another round": (
        "test_survivors::test_consents_that_are_not_t_parties_to_this_list_open_nothing",
        "test_survivors::test_the_planted_fault_of_consents_that_nobody_counts_is_caught",
    ),
    "contributors beyond those who shared": (
        "test_survivors::test_contributors_who_never_shared_are_refused",
        "test_survivors::test_the_planted_fault_of_contributors_beyond_those_who_shared_is_agreed_to",
    ),
    "both shares of one peer": (
        "test_survivors::test_of_every_peer_a_party_gives_one_kind_of_share_whatever_list_it_is_shown",
        "test_survivors::test_the_planted_fault_of_both_shares_opens_everybody",
    ),
    "asked twice for different lists": (
        "test_survivors::test_a_party_that_is_asked_twice_answers_once",
        "test_quorums::test_the_planted_fault_of_a_party_that_agrees_twice_gives_both_shares_away",
    ),
    "asked for one's own key": (
        "test_survivors::test_of_every_peer_a_party_gives_one_kind_of_share_whatever_list_it_is_shown",
        "test_survivors::test_the_planted_fault_of_both_shares_opens_everybody",
    ),
    "all but one or two called lost": (
        "test_survivors::test_a_coordinator_that_leaves_few_over_is_refused_by_every_party",
        "test_survivors::test_the_planted_fault_of_no_least_number_reads_one_party",
    ),
    "a lowered threshold": (
        "test_survivors::test_a_lowered_threshold_is_no_setup",
        "test_survivors::test_a_coordinator_with_another_setup_than_the_parties_gets_no_key_accepted",
        "test_survivors::test_the_planted_fault_of_any_threshold_lets_two_of_four_open_everything",
    ),
    "parties that the coordinator invents": (
        "test_survivors::test_parties_that_a_coordinator_invents_are_refused_at_every_step",
        "test_survivors::test_a_setup_padded_with_sybils_is_another_setup_that_every_honest_party_would_have_to_begin",
        "test_false_keys::test_the_planted_fault_of_unchecked_signatures_reads_the_victim",
    ),
    "a rerun with one party less": (
        "test_across_jobs::test_a_rerun_with_one_party_less_waits_until_nobody_can_open_the_first_attempt",
        "test_masked_sum_withdrawals::test_with_enough_words_nobody_can_open_and_with_one_less_everybody_still_could",
        "test_survivors::test_the_planted_fault_of_keys_kept_for_the_next_attempt_shows_that_the_numbers_are_the_same",
    ),
    "a restart between shares and total": (
        "test_survivors::test_between_shares_and_total_a_restarted_party_is_where_it_was",
        "test_survivors::test_the_planted_fault_of_a_restart_from_before_gives_both_shares",
    ),
    "a model or spec that differs in one bit": (
        "test_false_totals::test_a_victim_that_is_told_something_else_in_one_bit_leaves_noise",
        "test_false_totals::test_both_roles_name_the_one_whose_head_is_of_another_spec",
        "test_false_totals::test_the_planted_fault_of_masks_that_do_not_know_the_spec_reads_the_victim",
    ),
    "false shares of a dealer": (
        "test_masked_sum_shares::test_a_dealer_whose_seed_does_not_open_is_named_and_not_who_gave_its_shares",
        "test_masked_sum_shares::test_a_dealer_whose_key_does_not_open_is_named_when_it_is_lost",
        "test_masked_sum_stories::test_the_planted_fault_of_a_check_that_passes_everything_is_caught",
    ),
    "one false share among more than t": (
        "test_masked_sum_shares::test_one_false_share_among_more_than_enough_is_left_aside",
        "test_masked_sum_shares::test_every_share_of_so_many_may_be_false_that_t_are_left",
        "test_masked_sum_shares::test_the_planted_fault_of_shares_that_nobody_vouched_for_names_an_honest_dealer",
    ),
    "one word of a vector altered": (
        "test_false_totals::test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to",
        "test_masked_sum_samples::test_who_alters_one_chunk_is_caught_exactly_where_it_was_drawn",
        "test_false_totals::test_the_planted_fault_of_vectors_that_are_not_held_against_their_roots",
    ),
    "a party left out of the sum": (
        "test_false_totals::test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to",
        "test_false_totals::test_a_party_that_is_left_out_after_all_agreed_leaves_its_masks_on",
        "test_masked_sum::test_the_planted_fault_of_a_party_dropped_or_doubled_is_caught",
    ),
    "two chunks swapped": (
        "test_false_totals::test_two_chunks_of_one_vector_cannot_be_swapped",
        "test_false_totals::test_the_planted_fault_of_vectors_that_are_not_held_against_their_roots",
    ),
    "another list of contributors reported": (
        "test_false_totals::test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to",
        "test_false_totals::test_the_planted_fault_of_a_total_on_trust_releases_what_the_coordinator_likes",
    ),
    "P1": (
        "test_false_keys::test_signed_keys_of_another_sum_are_refused_by_both_roles",
        "test_false_keys::test_the_planted_fault_of_adverts_that_are_not_bound_lets_a_split_of_keys_pass",
    ),
    "P2": (
        "test_false_totals::test_both_roles_name_the_one_whose_head_is_of_another_spec",
        "test_false_totals::test_the_planted_fault_of_masks_that_do_not_know_the_spec_reads_the_victim",
    ),
    "P3": (
        "test_survivors::test_of_every_peer_a_party_gives_one_kind_of_share_whatever_list_it_is_shown",
        "test_survivors::test_the_planted_fault_of_both_shares_opens_everybody",
    ),
    "P4": (
        "test_survivors::test_a_late_vector_of_a_party_that_was_called_lost_stays_uniform",
        "test_survivors::test_the_planted_fault_of_no_mask_of_its_own_opens_the_late_vector",
    ),
    "P5": (
        "test_masked_sum_losses::test_every_set_may_be_lost_before_every_step",
        "test_masked_sum_losses::test_the_planted_fault_of_members_that_go_on_with_too_few_is_caught",
    ),
    "P6": (
        "test_secure_sum::test_an_unsafe_threshold_is_refused",
        "test_secure_sum::test_fewer_than_three_parties_are_refused",
        "test_survivors::test_the_planted_fault_of_any_threshold_lets_two_of_four_open_everything",
    ),
    "P7": (
        "test_false_keys::test_keys_that_their_party_did_not_sign_are_refused",
        "test_false_keys::test_keys_of_a_member_that_left_the_roster_are_refused",
        "test_false_keys::test_the_planted_fault_of_unchecked_signatures_reads_the_victim",
    ),
    "P8": (
        "test_false_keys::test_a_key_of_low_order_is_refused_in_the_name_of_who_signed_it",
        "test_false_keys::test_the_planted_fault_of_a_key_of_low_order_leaves_a_mask_that_everybody_knows",
    ),
    "P9": (
        "test_false_keys::test_signed_keys_of_another_sum_are_refused_by_both_roles",
        "test_survivors::test_consents_that_are_not_t_parties_to_this_list_open_nothing",
        "test_false_keys::test_the_planted_fault_of_a_replayed_key_leaves_a_mask_that_others_know",
    ),
    "P10": (
        "test_masked_sum_vectors::test_a_party_names_the_culprit",  # `*_in_its_place`
        f"{ENCODINGS}::test_no_signature_of_one_domain_holds_under_another",
        f"{ENCODINGS}::test_without_the_domain_in_the_signature_one_message_would_pass_for_another",  # planted
    ),
    "P11": (
        f"{FLIPS}::test_no_bit_can_be_flipped_and_no_byte_cut_on_the_way_and_the_signer_is_not_blamed",
        f"{FLIPS}::test_without_the_signature_flips_would_pass",  # planted
    ),
    "P12": (
        f"{ENCODINGS}::test_a_signature_covers_the_received_bytes_and_only_one_encoding_is_read",
        f"{ENCODINGS}::test_without_the_canonical_check_fields_that_are_unknown_or_there_twice_would_be_read",
    ),
    "P13": (
        "test_masked_sum::test_a_second_different_vector_of_one_party_is_a_violation",
        "test_masked_sum::test_a_second_different_advert_of_one_party_is_a_violation",
        "test_masked_sum::test_the_planted_fault_of_secrets_made_anew_on_resume_is_caught",
    ),
    "P14": (
        "test_boxes::test_no_key_serves_two_boxes_nor_two_masks_in_a_hundred_thousand",
        "test_boxes::test_no_key_seed_or_mask_of_real_sums_comes_twice",
        "test_boxes::test_the_planted_fault_of_keys_that_do_not_know_their_sum_is_caught",
    ),
    "P15": (
        "test_weak_seeds::test_every_bit_of_a_seed_changes_the_whole_stream",
        "test_weak_seeds::test_seeds_that_fold_alike_give_unrelated_streams",
        "test_uniform_masks::test_every_value_of_a_word_comes_out_the_greatest_too",
        "test_weak_seeds::test_the_planted_fault_of_a_folded_seed_of_ours_is_found_by_the_search",
    ),
    "P16": (
        "test_boxes::test_fewer_than_t_shares_fit_every_secret_equally_well",
        "test_boxes::test_a_wrong_share_gives_another_secret_and_the_same_place_twice_none",
        "test_masked_sum_shares::test_the_planted_fault_of_shares_that_nobody_vouched_for_names_an_honest_dealer",
    ),
    "P17": (
        "test_overflows::test_one_bit_more_is_no_packing",
        "test_overflows::test_no_statistic_of_a_hundred_parties_can_wrap_around",
        "test_overflows::test_the_planted_fault_of_a_lane_that_is_too_narrow_spoils_its_neighbour",
    ),
    "a copied or aliased key": (
        "test_copied_keys::test_if_copies_pass_the_kdf_still_hides_the_victim",
        "test_copied_keys::test_the_planted_fault_of_a_kdf_without_names_leaks_through_a_copied_key",
    ),
    "a query again without one party, in the same job": (
        "test_across_jobs::test_a_query_is_opened_over_one_set_only_within_one_job_and_across_jobs",
        "test_across_jobs::test_the_planted_fault_of_a_memory_that_forgets_at_once_is_caught",
    ),
    "a query again without one party, in another job": (
        f"{ONE_SET}::test_one_party_fewer_is_refused_by_every_one_that_is_left",
        f"{ONE_SET}::test_a_party_that_forgets_the_set_would_give_the_fourth_away",  # planted
    ),
    "a query again by another protocol": (
        "test_across_jobs::test_the_name_of_a_query_knows_neither_job_nor_protocol_and_is_made_by_the_party",
        "test_across_jobs::test_the_planted_fault_of_a_memory_that_forgets_at_once_is_caught",
    ),
    "a false total": (
        "test_false_totals::test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to",
        "test_false_totals::test_the_planted_fault_of_a_total_on_trust_releases_what_the_coordinator_likes",
    ),
    "other rows on resume": (
        "test_across_jobs::test_a_restart_sends_the_sealed_vector_whatever_the_rows_say_now",
        f"{DEATHS}::test_rows_that_change_under_a_job_do_not_change_what_was_sent",
        "test_across_jobs::test_two_vectors_under_one_mask_would_show_how_they_differ",  # planted
    ),
    "one key for both directions": (
        "test_boxes::test_both_directions_of_a_pair_have_different_keys",
        "test_boxes::test_the_planted_fault_of_one_key_for_both_directions_tells_how_shares_differ",
    ),
    "an old copy of a memory": (
        "test_across_jobs::test_a_memory_that_was_put_back_is_refused_by_its_own_last_signature",
        "test_across_jobs::test_the_planted_fault_of_old_copies_that_answer_reads_the_fourth_party",
    ),
    "a cell of one party": (
        "test_across_jobs::test_a_cell_that_one_party_fills_is_not_opened",
        "test_across_jobs::test_the_planted_fault_of_cells_that_nobody_closes_opens_one_party_s_figure",
    ),
    "another graph than the seeded one": (
        "test_graph::test_boxes_along_another_graph_than_the_seeded_one_are_refused",
        "test_graph::test_more_or_fewer_boxes_than_neighbours_are_refused_by_the_aggregator",
        "test_graph::test_the_planted_fault_of_masks_between_strangers_that_are_taken_off_is_caught",
    ),
    "those called lost whose loss parts the honest": (
        "test_graph::test_a_list_that_parts_the_honest_is_refused_by_every_party",
        "test_graph::test_the_aggregator_gives_up_where_those_who_are_left_are_too_thin",
        "test_graph::test_an_audit_refuses_a_list_that_parts_the_honest",
        "test_graph::test_the_planted_fault_of_any_list_of_contributors_opens_a_part_of_the_sum",
    ),
    "fewer than t neighbours' shares": (
        "test_graph::test_fewer_than_t_neighbours_open_nothing_however_many_others_speak",
        "test_graph::test_the_planted_fault_of_a_small_threshold_lets_corrupt_neighbours_open_a_seed",
    ),
    "both shares of one neighbour": (
        "test_graph::test_of_every_neighbour_one_kind_of_share_is_given_and_of_others_none",
        "test_graph::test_both_shares_of_one_neighbour_are_no_unmask",
        "test_survivors::test_the_planted_fault_of_both_shares_opens_everybody",
    ),
    "seeds that can be tried out": (
        "test_weak_seeds::test_the_same_search_against_our_mask_finds_nothing",
        "test_weak_seeds::test_a_vector_under_a_folded_seed_is_found_exactly",
        "test_weak_seeds::test_the_planted_fault_of_a_folded_seed_of_ours_is_found_by_the_search",
    ),
}
PLANTED_UNDER_ANOTHER_NAME = (
    "behind_it_the_boxes_do_not_open",
    "without_the_",
    "would_give_the_fourth_away",
    "under_one_mask_would_show",
)


@cache
def names_of(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def missing(repository: Path, attacks: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Rows without a test, rows without a planted fault, and tests that are not there."""
    found = [
        row for row in (*STEPS_OF_A_SUM, *PROTOCOL_ROWS, *REVIEWED, *ON_A_CIRCLE) if row not in {*attacks, *NOT_BUILT}
    ]
    for row, played in attacks.items():
        for test in played:
            where, _, name = test.partition("::")
            files = [f"tests/{where}.py"] if "/" in where else [f"{HERE}{where}.py", f"{SUMS}{where}.py"]
            if not any((repository / f).exists() and name in names_of(repository / f) for f in files):
                found.append(test)
        if not any("planted" in test or any(word in test for word in PLANTED_UNDER_ANOTHER_NAME) for test in played):
            found.append(f"no planted fault for {row}")
        if len(played) < 2:
            found.append(f"only a planted fault for {row}")
    return found


def test_every_row_has_its_attack_and_its_planted_fault(repository: Path) -> None:
    assert missing(repository, ATTACKS) == []
    assert set(ATTACKS) | set(NOT_BUILT) == {*STEPS_OF_A_SUM, *PROTOCOL_ROWS, *REVIEWED, *ON_A_CIRCLE}
    assert not set(ATTACKS) & set(NOT_BUILT)


@pytest.mark.parametrize("row", ["P3", "a false total"])
def test_a_row_that_is_gone_is_missed(repository: Path, row: str) -> None:
    fewer = {name: played for name, played in ATTACKS.items() if name != row}
    assert missing(repository, fewer) == [row]


def test_a_test_that_is_gone_and_a_row_without_a_planted_fault_are_missed(repository: Path) -> None:
    gone = "test_survivors::test_that_nobody_wrote"
    honest = ATTACKS["P3"][0]
    assert missing(repository, {**ATTACKS, "P3": (honest, gone)}) == [gone, "no planted fault for P3"]

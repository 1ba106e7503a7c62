//! Which test shows which rule of the A6 protocol: what a call means for a request
//! and a response. The tests themselves are where the rule is kept; this
//! table is held to name tests that exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

/// A rule, and where it is shown: file and test.
type Rule = (&'static str, &'static str, &'static str);

const GATEWAY: &str = "outrigger/tests/gateway/";
const PLUGINS: &str = "plugins/src/ext_plugin/";
const HOST: &str = "host/";

const CONF_TOKENS: &[Rule] = &[
    (
        "a configuration is sent once, and its token with each call",
        "plugins.rs",
        "a_configuration_is_prepared_once_and_again_when_it_changes",
    ),
    (
        "each phase of a route has a token of its own",
        "plugin_chains.rs",
        "each_phase_of_a_route_has_a_configuration_and_a_token_of_its_own",
    ),
    (
        "a lost token is replaced and the call repeated",
        "plugins.rs",
        "a_lost_token_is_replaced_and_the_request_does_not_notice",
    ),
    (
        "variables: unknown is no result, empty is an empty one",
        "plugins.rs",
        "variables_are_answered",
    ),
];

const KEYS: &[Rule] = &[
    (
        "the key names resource, id, plugin and version",
        "steps.rs",
        "a_key_names_resource_and_phase",
    ),
    (
        "another version has another key",
        "steps.rs",
        "each_call_and_each_content_has_a_key_of_its_own",
    ),
];

const TOKENS: &[Rule] = &[
    (
        "a token is renewed at 0.9 of its lifetime",
        "src/token.rs",
        "it_is_renewed_at_nine_tenths_of_its_lifetime",
    ),
    (
        "three tries, then the call fails",
        "tests/host/confs.rs",
        "a_runner_that_loses_every_token_fails_the_call_at_the_third_try",
    ),
    (
        "only the lost token is renewed, with one PrepareConf in flight",
        "tests/host/confs.rs",
        "many_calls_that_lose_one_token_prepare_once",
    ),
    (
        "a token belongs to one process",
        "tests/host/restart.rs",
        "after_a_restart_no_call_runs_with_another_routes_conf",
    ),
    (
        "several questions are answered in order",
        "tests/host/calls.rs",
        "questions_that_do_not_wait_are_answered_in_order",
    ),
    (
        "a request call has no response body",
        "tests/host/calls.rs",
        "a_request_call_has_no_response_body",
    ),
    (
        "PrepareConf may be answered twice",
        "tests/host/confs.rs",
        "an_answer_to_prepare_conf_may_come_twice",
    ),
    (
        "a connection with something unread is not used again",
        "tests/host/connections.rs",
        "a_connection_with_something_unread_is_not_used_again",
    ),
];

const REQUEST_CALLS: &[Rule] = &[
    (
        "id is not 0; header names in lower case, one entry a value; host is the upstream's; path decoded and normalised; arguments decoded",
        "plugins.rs",
        "plugins_are_told_the_request_as_it_is",
    ),
    (
        "the path is the rewritten one after proxy-rewrite",
        "plugins.rs",
        "the_later_phase_is_told_what_the_gateways_own_plugins_did",
    ),
    (
        "a method that the schema lacks is a failed call",
        "plugin_failures.rs",
        "a_method_that_the_protocol_lacks_is_a_failed_call",
    ),
    (
        "Stop answers the client, byte for byte",
        "plugins.rs",
        "a_plugin_may_answer_with_any_status_fields_and_bytes",
    ),
    (
        "status 0 is 200, an empty body is empty",
        "plugins.rs",
        "an_answer_without_status_is_200_and_one_without_body_has_none",
    ),
    (
        "Rewrite changes path, arguments, headers, response headers",
        "plugins.rs",
        "a_plugin_may_change_path_arguments_fields_and_the_response",
    ),
    (
        "Rewrite replaces the body",
        "plugins.rs",
        "a_plugin_may_replace_the_body",
    ),
    (
        "what is left alone is forwarded byte for byte",
        "plugins.rs",
        "a_rewrite_that_changes_nothing_leaves_every_byte",
    ),
    (
        "what would break the request's framing fails the call",
        "plugin_failures.rs",
        "a_rewrite_that_would_break_the_message_never_reaches_the_wire",
    ),
    (
        "what would break the answer's framing fails the call",
        "plugin_failures.rs",
        "an_answer_that_would_break_the_message_never_reaches_the_client",
    ),
    (
        "the request's body is told and still forwarded",
        "plugins.rs",
        "a_plugin_may_read_the_body_which_is_still_sent_on",
    ),
    (
        "a body that is sent back as it was told changes nothing",
        "plugin_bodies.rs",
        "a_body_may_be_shown_in_part_and_is_forwarded_whole",
    ),
    (
        "several runners are called in order",
        "plugin_chains.rs",
        "runners_are_called_in_order_and_each_sees_what_those_before_it_changed",
    ),
];

const DECISIONS: &[Rule] = &[
    (
        "src_ip is 4 or 16 bytes",
        "told.rs",
        "an_address_has_4_or_16_bytes",
    ),
    (
        "no action: go on",
        "decision/tests.rs",
        "an_answer_without_action_goes_on",
    ),
    (
        "the first header of a name sets, the next ones add",
        "decision/tests.rs",
        "stop_answers_the_client",
    ),
    (
        "no value deletes, the first replaces, further ones append",
        "decision/tests.rs",
        "no_value_deletes_the_first_replaces_and_further_ones_append",
    ),
    (
        "a path is percent-encoded, the query stays",
        "decision/tests.rs",
        "the_path_is_encoded_and_the_query_stays",
    ),
    (
        "arguments change one by one",
        "decision/tests.rs",
        "arguments_change_one_by_one",
    ),
    (
        "a rewrite equal to the original changes nothing",
        "decision/tests.rs",
        "a_rewrite_equal_to_the_original_changes_nothing",
    ),
    (
        "resp_headers but for those that are not a runner's",
        "decision/tests.rs",
        "response_headers_wait_for_the_response_but_for_those_that_are_not_the_runners",
    ),
    (
        "framing headers may be named only as they are",
        "decision/tests.rs",
        "what_would_break_framing_fails_the_call_and_changes_nothing",
    ),
    (
        "a status that ends no request is bad",
        "decision/tests.rs",
        "a_status_that_ends_no_request_is_bad",
    ),
];

const RESPONSE_CALLS: &[Rule] = &[
    (
        "status and headers as the upstream sent them; RespBody",
        "response_phase.rs",
        "plugins_are_told_the_response_as_it_is",
    ),
    (
        "status, headers and body may change",
        "response_phase.rs",
        "a_plugin_may_change_status_fields_and_body",
    ),
    (
        "headers are a patch, or replace as in the reference",
        "response_phase.rs",
        "fields_of_an_answer_are_a_patch",
    ),
    (
        "every Set-Cookie is told and may change",
        "response_edges.rs",
        "every_field_of_a_name_is_told_and_may_be_replaced_or_removed_together",
    ),
    (
        "coding, etag and digests go with the old body, unless the runner sets them",
        "response_edges.rs",
        "a_coded_body_is_told_and_passed_as_it_is",
    ),
    (
        "trailers go with the old body",
        "response_edges.rs",
        "a_new_body_brings_its_length_and_no_trailers_of_the_old_one",
    ),
    (
        "trailers stay with a body that was only read",
        "response_edges.rs",
        "chunks_and_trailers_pass_whether_the_body_is_asked_for_or_not",
    ),
    (
        "a response that nobody asks for streams",
        "response_phase.rs",
        "a_response_that_no_plugin_asks_for_streams_through",
    ),
    (
        "and without delay",
        "plugin_bodies.rs",
        "a_response_that_no_plugin_asks_for_is_not_held_back",
    ),
    (
        "HEAD, 204 and 304 without asking twice",
        "response_phase.rs",
        "responses_without_a_body_pass_and_the_upstream_is_asked_once",
    ),
    (
        "no body where none may be",
        "response_phase.rs",
        "a_body_for_a_response_that_has_none_does_not_get_out",
    ),
    (
        "204 and 304 to and from other statuses",
        "response_edges.rs",
        "a_204_may_become_a_response_with_a_body_and_the_other_way_round",
    ),
    (
        "a 304's length is not another status's",
        "response_edges.rs",
        "a_304_that_becomes_another_status_has_no_length_that_is_not_there",
    ),
    (
        "variables, headers and body of the request",
        "response_edges.rs",
        "what_was_asked_for_is_told_of_the_request_too",
    ),
    (
        "a request body that streamed",
        "plugin_bodies.rs",
        "a_request_body_that_streamed_can_be_asked_for_in_the_response_phase",
    ),
    (
        "what the gateway answers itself is no upstream's response",
        "response_phase.rs",
        "what_the_gateway_answers_itself_is_no_upstreams_response",
    ),
];

const FAILURES: &[Rule] = &[
    (
        "closed, cut, malformed, wrong type, RPC_ERROR: 503 or without the plugin",
        "plugin_failures.rs",
        "a_call_that_is_answered_badly_fails_and_the_next_one_works",
    ),
    (
        "so in the response phase",
        "response_phase.rs",
        "a_failed_call_is_503_or_the_response_as_it_came",
    ),
    (
        "a timeout",
        "plugin_failures.rs",
        "an_answer_that_does_not_come_is_a_timeout",
    ),
    (
        "a configuration that is not taken",
        "plugin_failures.rs",
        "a_configuration_that_is_not_taken_fails_the_call",
    ),
    (
        "nobody listens",
        "absent_runners.rs",
        "nobody_at_path_for_test_is_unavailable_until_there_is_somebody",
    ),
    (
        "the body survives a call that failed",
        "plugin_failures.rs",
        "a_request_that_goes_on_without_the_runner_keeps_its_body",
    ),
    (
        "the time that a body takes to come is not the runner's",
        "plugin_bodies.rs",
        "a_client_that_takes_its_time_with_its_body_does_not_take_the_runners",
    ),
    (
        "a chain goes on without a failed call",
        "plugin_chains.rs",
        "a_chain_goes_on_without_a_call_that_failed_and_keeps_what_went_before",
    ),
    (
        "a call whose connection died is repeated",
        "failure_policy.rs",
        "a_call_whose_connection_dies_is_repeated_unless_the_route_forbids_it",
    ),
];

#[test]
fn every_rule_names_a_test_that_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tables = [
        (GATEWAY, CONF_TOKENS),
        (PLUGINS, KEYS),
        (HOST, TOKENS),
        (GATEWAY, REQUEST_CALLS),
        (PLUGINS, DECISIONS),
        (GATEWAY, RESPONSE_CALLS),
        (GATEWAY, FAILURES),
    ];
    for (folder, rules) in tables {
        for (rule, file, test) in rules {
            let path = crates.join(format!("{folder}{file}"));
            let text = fs::read_to_string(&path).unwrap_or_else(|error| {
                panic!("{rule}: {}: {error}", path.display());
            });
            let at = text.find(&format!("fn {test}()"));
            let at = at.unwrap_or_else(|| panic!("{rule}: {} has no {test}", path.display()));
            let before = text[..at].trim_end().trim_end_matches("async").trim_end();
            let is_test = before.ends_with("#[test]")
                || before.ends_with(")]")
                || before.ends_with("::test]");
            assert!(is_test, "{rule}: {test} is no test");
        }
    }
}

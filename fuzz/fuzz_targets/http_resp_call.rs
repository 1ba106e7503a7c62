//! The messages of `http_resp_call`, both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger_fuzz::messages;
use outrigger_fuzz::support::model::Kind;

fuzz_target!(|payload: &[u8]| {
    messages(
        &[Kind::HttpRespCallRequest, Kind::HttpRespCallResponse],
        payload,
    );
});

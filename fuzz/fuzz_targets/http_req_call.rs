//! The messages of `http_req_call`, both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger_fuzz::messages;
use outrigger_fuzz::support::model::Kind;

fuzz_target!(|payload: &[u8]| {
    messages(
        &[Kind::HttpReqCallRequest, Kind::HttpReqCallResponse],
        payload,
    );
});

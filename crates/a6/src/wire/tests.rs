//! Real and damaged payloads, read by this module and by the generated code.

use std::path::Path;

use flatbuffers::{Follow, ForwardsUOffset, InvalidFlatbuffer, Vector, Verifiable};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::NOT_THERE;
use crate::generated::a6 as fb;
use crate::limits::HEADER_LEN;
use crate::{
    Decode, DecodeError, Entries, error, extra_info, http_req_call, http_resp_call, prepare_conf,
};

#[test]
fn captured_payloads_read_as_by_the_generated_code() {
    for payload in captured() {
        read_by_both_as_every_message(&payload);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_payloads_read_as_by_the_generated_code(
        which in any::<Index>(),
        bytes in vec((any::<Index>(), any::<u8>()), 0..3),
        words in vec((any::<Index>(), 0..64u32), 0..3),
    ) {
        let mut payload = which.get(&captured()).clone();
        for (at, byte) in bytes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        for (at, word) in words {
            let at = at.index(payload.len() / 4) * 4;
            payload[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        read_by_both_as_every_message(&payload);
    }
}

fn captured() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder).expect("the folder of captured frames");
    let paths = files.map(|file| file.expect("a file in it").path());
    let mut frames: Vec<_> = paths
        .filter(|path| path.extension() == Some("bin".as_ref()))
        .collect();
    // So that a failing case is the same one tomorrow.
    frames.sort();
    let read = |path| std::fs::read(path).expect("a captured frame")[HEADER_LEN..].to_vec();
    frames.into_iter().map(read).collect()
}

fn read_by_both_as_every_message(payload: &[u8]) {
    both::<error::Response, fb::err::Resp<'_>>(payload, |ours, theirs| {
        assert_eq!(ours.code.to_u8(), theirs.code().0);
    });
    both::<prepare_conf::Request<'_>, fb::prepare_conf::Req<'_>>(payload, |ours, theirs| {
        same_entries(ours.conf, theirs.conf());
        same_or_empty(ours.key, theirs.key());
    });
    both::<prepare_conf::Response, fb::prepare_conf::Resp<'_>>(payload, |ours, theirs| {
        assert_eq!(ours.conf_token.0, theirs.conf_token());
    });
    both::<http_req_call::Request<'_>, fb::httpreq_call::Req<'_>>(payload, |ours, theirs| {
        assert_eq!(ours.id, theirs.id());
        same_or_empty(ours.src_ip, theirs.src_ip());
        assert_eq!(ours.method.to_u8(), theirs.method().0);
        same_or_empty(ours.path, theirs.path());
        same_entries(ours.args, theirs.args());
        same_entries(ours.headers, theirs.headers());
        assert_eq!(ours.conf_token.0, theirs.conf_token());
    });
    both::<http_req_call::Response<'_>, fb::httpreq_call::Resp<'_>>(payload, |ours, theirs| {
        assert_eq!(ours.id, theirs.id());
        same_action(ours.action, &theirs);
    });
    both::<extra_info::Request<'_>, fb::extra_info::Req<'_>>(payload, |ours, theirs| {
        let extra_info::Request(info) = ours;
        match info {
            extra_info::Info::Var(name) => {
                let var = theirs.info_as_var().expect("a variable");
                assert_eq!(name, var.name().bytes());
            }
            extra_info::Info::ReqBody => assert!(theirs.info_as_req_body().is_some()),
            extra_info::Info::RespBody => assert!(theirs.info_as_resp_body().is_some()),
        }
    });
    both::<extra_info::Response<'_>, fb::extra_info::Resp<'_>>(payload, |ours, theirs| {
        same(ours.result, theirs.result());
    });
    both::<http_resp_call::Request<'_>, fb::httpresp_call::Req<'_>>(payload, |ours, theirs| {
        assert_eq!((ours.id, ours.status), (theirs.id(), theirs.status()));
        same_entries(ours.headers, theirs.headers());
        assert_eq!(ours.conf_token.0, theirs.conf_token());
    });
    both::<http_resp_call::Response<'_>, fb::httpresp_call::Resp<'_>>(payload, |ours, theirs| {
        assert_eq!((ours.id, ours.status), (theirs.id(), theirs.status()));
        same_entries(ours.headers, theirs.headers());
        same(ours.body, theirs.body());
    });
}

fn same_action(ours: Option<http_req_call::Action<'_>>, theirs: &fb::httpreq_call::Resp<'_>) {
    match ours {
        None => assert_eq!(theirs.action_type(), fb::httpreq_call::Action::NONE),
        Some(http_req_call::Action::Stop(stop)) => {
            let theirs = theirs.action_as_stop().expect("a stop");
            assert_eq!(stop.status, theirs.status());
            same_entries(stop.headers, theirs.headers());
            same_or_empty(stop.body, theirs.body());
        }
        Some(http_req_call::Action::Rewrite(rewrite)) => {
            let theirs = theirs.action_as_rewrite().expect("a rewrite");
            same(rewrite.path, theirs.path());
            same_entries(rewrite.headers, theirs.headers());
            same_entries(rewrite.args, theirs.args());
            same_entries(rewrite.resp_headers, theirs.resp_headers());
            same(rewrite.body, theirs.body());
        }
    }
}

/// Reads `payload` by both; what both accept is the same, and what only one
/// accepts is for a reason that is known.
fn both<'a, M, T>(payload: &'a [u8], same: impl FnOnce(M, T::Inner))
where
    M: Decode<'a>,
    T: Follow<'a> + Verifiable + 'a,
{
    match (M::decode(payload), flatbuffers::root::<T>(payload)) {
        (Ok(ours), Ok(theirs)) => same(ours, theirs),
        (Err(_), Err(_)) => {}
        // We need no alignment, and a union of type NONE needs no value.
        (Ok(_), Err(error)) => assert!(
            matches!(
                error,
                InvalidFlatbuffer::Unaligned { .. } | InvalidFlatbuffer::InconsistentUnion { .. }
            ),
            "{}: only the generated code refuses {payload:?}: {error}",
            M::NAME
        ),
        // Our limits are tighter, our tables have to be long enough for
        // themselves, enums and unions are checked, and a question is required.
        (Err(error), Ok(_)) => assert!(
            !matches!(
                error,
                DecodeError::Malformed {
                    reason: NOT_THERE,
                    ..
                }
            ),
            "only we refuse {payload:?}: {error}"
        ),
    }
}

type Bytes<'a> = Option<Vector<'a, u8>>;
type List<'a> = Option<Vector<'a, ForwardsUOffset<fb::TextEntry<'a>>>>;

fn same(ours: Option<&[u8]>, theirs: Bytes<'_>) {
    assert_eq!(ours, theirs.map(|bytes| bytes.bytes()));
}

fn same_or_empty(ours: &[u8], theirs: Bytes<'_>) {
    assert_eq!(ours, theirs.map(|bytes| bytes.bytes()).unwrap_or_default());
}

fn same_entries(ours: Entries<'_>, theirs: List<'_>) {
    assert_eq!(ours.len(), theirs.map_or(0, |list| list.len()));
    for (ours, theirs) in ours.iter().zip(theirs.into_iter().flatten()) {
        assert_eq!(ours.name, theirs.name().bytes());
        same(ours.value, theirs.value());
    }
}

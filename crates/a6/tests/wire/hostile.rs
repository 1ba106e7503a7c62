//! Payloads that no honest writer makes, put together field by field.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, UnionWIPOffset, WIPOffset};
use outrigger_a6::limits::MAX_PAYLOAD;
use outrigger_a6::{
    ConfToken, Decode as _, DecodeError, extra_info, http_req_call, http_resp_call, prepare_conf,
};

type Builder = FlatBufferBuilder<'static>;
type Written = WIPOffset<TableFinishedWIPOffset>;

/// The place of a slot in a vtable.
fn slot(index: u16) -> u16 {
    4 + 2 * index
}

/// A table whose fields `fill` writes.
fn table(builder: &mut Builder, fill: impl FnOnce(&mut Builder)) -> Written {
    let start = builder.start_table();
    fill(builder);
    builder.end_table(start)
}

fn payload(mut builder: Builder, root: Written) -> Vec<u8> {
    builder.finish_minimal(root);
    builder.finished_data().to_vec()
}

/// `HTTPReqCall.Resp` with any union type, and a value or none.
fn response(ty: Option<u8>, value: impl FnOnce(&mut Builder) -> Option<Written>) -> Vec<u8> {
    let mut builder = Builder::new();
    let value = value(&mut builder);
    let root = table(&mut builder, |builder| {
        builder.push_slot_always(slot(0), 7u32);
        if let Some(ty) = ty {
            builder.push_slot_always(slot(1), ty);
        }
        if let Some(value) = value {
            builder.push_slot_always(slot(2), WIPOffset::<UnionWIPOffset>::new(value.value()));
        }
    });
    payload(builder, root)
}

fn empty_table(builder: &mut Builder) -> Option<Written> {
    Some(table(builder, |_| ()))
}

fn no_value(_: &mut Builder) -> Option<Written> {
    None
}

/// `PrepareConf.Req` whose list names these tables.
fn prepare_conf_of(mut builder: Builder, entries: &[Written]) -> Vec<u8> {
    let list = builder.create_vector(entries);
    let root = table(&mut builder, |builder| {
        builder.push_slot_always(slot(0), list);
    });
    payload(builder, root)
}

fn entry(builder: &mut Builder, name: Option<&[u8]>, value: Option<&[u8]>) -> Written {
    let name = name.map(|name| builder.create_byte_string(name));
    let value = value.map(|value| builder.create_byte_string(value));
    table(builder, |builder| {
        if let Some(name) = name {
            builder.push_slot_always(slot(0), name);
        }
        if let Some(value) = value {
            builder.push_slot_always(slot(1), value);
        }
    })
}

#[track_caller]
fn malformed<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> String {
    match result {
        Err(error @ DecodeError::Malformed { .. }) => error.to_string(),
        other => panic!("not refused as malformed: {other:?}"),
    }
}

#[test]
fn an_entry_without_name_is_named_by_its_place() {
    let mut builder = Builder::new();
    let entries = [
        entry(&mut builder, Some(b"a"), None),
        entry(&mut builder, None, Some(b"value")),
    ];
    let error = prepare_conf::Request::decode(&prepare_conf_of(builder, &entries)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PrepareConf.Req: conf[1].name is missing"
    );
}

#[test]
fn an_entry_without_name_deep_in_a_union_is_named_by_its_place() {
    let bytes = response(Some(2), |builder| {
        let entry = entry(builder, None, None);
        let list = builder.create_vector(&[entry]);
        Some(table(builder, |builder| {
            builder.push_slot_always(slot(3), list);
        }))
    });
    let error = http_req_call::Response::decode(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "HTTPReqCall.Resp: action.resp_headers[0].name is missing"
    );
}

#[test]
fn an_action_type_without_action_is_missing_the_action() {
    for ty in 1..=u8::MAX {
        let error = http_req_call::Response::decode(&response(Some(ty), no_value)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HTTPReqCall.Resp: action is missing",
            "type {ty}"
        );
    }
}

#[test]
fn an_unknown_action_type_is_named() {
    for ty in 3..=u8::MAX {
        let bytes = response(Some(ty), empty_table);
        assert_eq!(
            http_req_call::Response::decode(&bytes),
            Err(DecodeError::UnknownValue {
                message: "HTTPReqCall.Resp",
                field: "action_type",
                value: ty
            })
        );
    }
}

#[test]
fn action_type_none_is_no_action_however_it_is_written() {
    let no_action = Ok(http_req_call::Response {
        id: 7,
        action: None,
    });
    for (ty, with_value) in [
        (None, false),
        (Some(0), false),
        (None, true),
        (Some(0), true),
    ] {
        let value = if with_value { empty_table } else { no_value };
        let bytes = response(ty, value);
        assert_eq!(
            http_req_call::Response::decode(&bytes),
            no_action,
            "{ty:?}, {with_value}"
        );
    }
}

#[test]
fn a_stop_without_fields_is_an_empty_answer() {
    let bytes = response(Some(1), empty_table);
    let stop = http_req_call::Action::Stop(http_req_call::Stop::default());
    let expected = http_req_call::Response {
        id: 7,
        action: Some(stop),
    };
    assert_eq!(http_req_call::Response::decode(&bytes), Ok(expected));
}

/// `ExtraInfo.Req` with this union type and an empty table for a value.
fn extra_info_of(ty: u8) -> Vec<u8> {
    let mut builder = Builder::new();
    let value = table(&mut builder, |_| ());
    let root = table(&mut builder, |builder| {
        builder.push_slot_always(slot(0), ty);
        builder.push_slot_always(slot(1), WIPOffset::<UnionWIPOffset>::new(value.value()));
    });
    payload(builder, root)
}

#[test]
fn a_question_must_ask_for_something() {
    let decode = |ty| {
        extra_info::Request::decode(&extra_info_of(ty))
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(decode(0).to_string(), "ExtraInfo.Req: info is missing");
    assert_eq!(decode(1).to_string(), "ExtraInfo.Req: info.name is missing");
    assert_eq!(
        decode(4).to_string(),
        "ExtraInfo.Req: info_type has the unknown value 4"
    );
    let req_body = extra_info_of(2);
    let asked = extra_info::Request::decode(&req_body);
    assert_eq!(asked, Ok(extra_info::Request(extra_info::Info::ReqBody)));
}

#[test]
fn a_method_that_the_protocol_lacks_is_named() {
    let mut builder = Builder::new();
    let root = table(&mut builder, |builder| {
        builder.push_slot_always(slot(2), 15u8);
    });
    let error = http_req_call::Request::decode(&payload(builder, root))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "HTTPReqCall.Req: method has the unknown value 15"
    );
}

#[test]
fn an_empty_table_is_a_message_of_defaults() {
    let mut builder = Builder::new();
    let root = table(&mut builder, |_| ());
    let bytes = payload(builder, root);
    assert_eq!(
        http_req_call::Request::decode(&bytes),
        Ok(http_req_call::Request::default())
    );
    assert_eq!(
        http_resp_call::Response::decode(&bytes),
        Ok(http_resp_call::Response::default())
    );
}

#[test]
fn what_is_too_short_or_too_long_for_a_payload_is_malformed() {
    for len in 0..100 {
        malformed(prepare_conf::Response::decode(&vec![0; len]));
    }
    let long = vec![0; MAX_PAYLOAD + 1];
    let reason = malformed(prepare_conf::Response::decode(&long));
    assert_eq!(reason, "PrepareConf.Resp: longer than a frame can be");
}

#[test]
fn a_vtable_must_have_room_for_its_own_beginning() {
    let decode = |bytes: &[u8]| prepare_conf::Response::decode(bytes);
    //             root        vtable      table
    let honest = [8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0];
    assert_eq!(decode(&honest), Ok(prepare_conf::Response::default()));
    for (byte, len) in [(4, 0), (4, 2), (6, 0), (6, 3)] {
        let mut bytes = honest;
        bytes[byte] = len;
        malformed(decode(&bytes));
    }
}

#[test]
fn the_root_must_be_a_table_inside_the_payload() {
    for bytes in [
        [8, 0, 0, 0, 0, 0, 0, 0],         // behind the end
        [6, 0, 0, 0, 0, 0, 0, 0],         // half behind the end
        [255, 255, 255, 255, 0, 0, 0, 0], // far behind the end
        [4, 0, 0, 0, 9, 0, 0, 0],         // its vtable before the beginning
        [4, 0, 0, 0, 248, 255, 255, 255], // its vtable behind the end
        [4, 0, 0, 0, 0, 0, 0, 128],       // its vtable as far off as can be
    ] {
        let error = malformed(prepare_conf::Response::decode(&bytes));
        assert_eq!(error, "PrepareConf.Resp: not a table", "{bytes:?}");
    }
}

#[test]
fn an_entry_that_leads_out_of_the_payload_is_named_by_its_place() {
    let mut builder = Builder::new();
    let entries = [
        entry(&mut builder, Some(b"a"), None),
        entry(&mut builder, Some(b"b"), None),
    ];
    let mut bytes = prepare_conf_of(builder, &entries);
    let name = bytes
        .windows(5)
        .position(|w| w == b"\x01\0\0\0b")
        .expect("its name");
    bytes[name] = 200;
    let error = malformed(prepare_conf::Request::decode(&bytes));
    assert_eq!(
        error,
        "PrepareConf.Req: conf[1]: refers to bytes that are not there"
    );
}

#[test]
fn a_list_longer_than_the_payload_is_refused_before_it_is_walked() {
    let mut builder = Builder::new();
    let list = builder.create_vector::<u32>(&[]);
    let root = table(&mut builder, |builder| {
        builder.push_slot_always(slot(0), list);
    });
    let mut bytes = payload(builder, root);
    let count = bytes.len() - 4;
    bytes[count..].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = malformed(prepare_conf::Request::decode(&bytes));
    assert_eq!(
        error,
        "PrepareConf.Req: conf: refers to bytes that are not there"
    );
}

#[test]
fn a_writer_that_does_not_align_is_understood() {
    #[rustfmt::skip]
    let bytes = [
        11, 0, 0, 0,              // the root is at 11
        0,                        // which makes everything after it odd
        6, 0, 8, 0, 4, 0,         // its vtable: two lengths, and slot 0 at 4
        6, 0, 0, 0, 9, 0, 0, 0,   // the vtable 6 bytes back; slot 0
    ];
    let conf_token = ConfToken(9);
    assert_eq!(
        prepare_conf::Response::decode(&bytes),
        Ok(prepare_conf::Response { conf_token })
    );
}

#[test]
fn four_million_references_to_one_table_are_refused() {
    // The list is the bulk of the frame: a table that names the list, the list,
    // and one entry that each of its elements refers to.
    let mut builder = Builder::new();
    let entry = entry(&mut builder, Some(b"n"), None);
    let bytes = prepare_conf_of(builder, &vec![entry; 4_000_000]);
    assert!(bytes.len() <= MAX_PAYLOAD);
    let reason = malformed(prepare_conf::Request::decode(&bytes));
    assert_eq!(reason, "PrepareConf.Req: conf: too many entries");
}

#[test]
fn many_references_to_one_long_value_are_refused() {
    // A reader that copied all values would need a thousand times the frame.
    let mut builder = Builder::new();
    let entry = entry(&mut builder, Some(b"n"), Some(&vec![b'v'; 1 << 20]));
    let bytes = prepare_conf_of(builder, &[entry; 1000]);
    let reason = malformed(prepare_conf::Request::decode(&bytes));
    assert_eq!(
        reason,
        "PrepareConf.Req: conf[4]: the same bytes over and over"
    );
}

#[test]
fn bodies_and_entries_share_one_account() {
    let rewrite = |references: usize| {
        response(Some(2), |builder| {
            let shared = builder.create_byte_string(&vec![b'v'; 1 << 20]);
            let entry = table(builder, |builder| {
                builder.push_slot_always(slot(0), shared);
            });
            let headers = builder.create_vector(&vec![entry; references]);
            Some(table(builder, |builder| {
                builder.push_slot_always(slot(0), shared);
                builder.push_slot_always(slot(1), headers);
                builder.push_slot_always(slot(4), shared);
            }))
        })
    };
    // Four times its length is what a message may add up to.
    assert!(http_req_call::Response::decode(&rewrite(2)).is_ok());
    let error = malformed(http_req_call::Response::decode(&rewrite(3)));
    assert_eq!(
        error,
        "HTTPReqCall.Resp: action.body: the same bytes over and over"
    );
}

#[test]
fn a_small_message_may_share_its_strings() {
    let mut builder = Builder::new();
    let shared = entry(&mut builder, Some(b"name"), Some(b"value"));
    let bytes = prepare_conf_of(builder, &[shared; 500]);
    let request = prepare_conf::Request::decode(&bytes).unwrap();
    assert_eq!(request.conf.len(), 500);
    assert!(
        request
            .conf
            .iter()
            .all(|e| (e.name, e.value) == (b"name", Some(b"value")))
    );
}

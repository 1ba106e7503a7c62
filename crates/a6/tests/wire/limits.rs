//! The edges of what fits into a frame, and the memory left after.

use outrigger_a6::limits::{HEADER_LEN, MAX_PAYLOAD, MAX_TABLES};
use outrigger_a6::{
    ConfToken, Decode as _, EncodeError, Encoder, Entries, Entry, Method, RpcType, U24, error,
    extra_info, http_req_call, http_resp_call,
};

#[test]
fn a_length_has_24_bits() {
    assert_eq!(U24::new(0).map(U24::get), Some(0));
    assert_eq!(U24::new(16_777_215), Some(U24::MAX));
    assert_eq!(U24::new(16_777_216), None);
    assert_eq!(U24::new(usize::MAX), None);
}

#[test]
fn types_have_the_numbers_and_names_of_the_schema() {
    let names = [
        "RPC_ERROR",
        "RPC_PREPARE_CONF",
        "RPC_HTTP_REQ_CALL",
        "RPC_EXTRA_INFO",
        "RPC_HTTP_RESP_CALL",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let ty = RpcType::try_from(number as u8).unwrap();
        assert_eq!((ty as usize, ty.to_string().as_str()), (number, name));
    }
    assert!(RpcType::try_from(5).is_err());
}

#[test]
fn methods_have_the_numbers_of_the_schema_and_their_names_in_http() {
    let names = "GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK \
                 UNLOCK PATCH TRACE";
    for (number, name) in names.split(' ').enumerate() {
        let method = Method::from_u8(number as u8).unwrap();
        assert_eq!(usize::from(method.to_u8()), number);
        assert_eq!(method.to_string(), name);
        assert_eq!(Method::from_bytes(name.as_bytes()), Some(method));
    }
    assert_eq!(Method::from_u8(15), None);
    for unknown in ["CONNECT", "get", "", "GET "] {
        assert_eq!(Method::from_bytes(unknown.as_bytes()), None, "{unknown:?}");
    }
}

#[test]
fn error_codes_keep_their_number_also_when_unknown() {
    for number in 0..=u8::MAX {
        assert_eq!(error::Code::from_u8(number).to_u8(), number);
    }
    assert_eq!(error::Code::from_u8(2), error::Code::ConfTokenNotFound);
    assert_eq!(error::Code::from_u8(3), error::Code::Unknown(3));
}

#[test]
fn a_message_fills_a_frame_to_the_last_word_and_no_further() {
    let mut encoder = Encoder::new();
    let body = vec![b'x'; MAX_PAYLOAD];
    // Lengths are multiples of 4, so the longest payload is 3 bytes below the limit.
    let around = encoder
        .encode(&extra_info::Response { result: Some(&[]) })
        .unwrap()
        .len();
    let room = (MAX_PAYLOAD & !3) - (around - HEADER_LEN);

    let fits = extra_info::Response {
        result: Some(&body[..room]),
    };
    let frame = encoder.encode(&fits).unwrap();
    assert_eq!(frame.len(), HEADER_LEN + (MAX_PAYLOAD & !3));
    assert_eq!(extra_info::Response::decode(&frame[HEADER_LEN..]), Ok(fits));

    for len in [room + 1, room + 4, MAX_PAYLOAD] {
        let too_large = extra_info::Response {
            result: Some(&body[..len]),
        };
        let error = encoder.encode(&too_large).unwrap_err();
        let EncodeError::TooLarge { message, len } = error else {
            panic!("{error}")
        };
        assert_eq!(message, "ExtraInfo.Resp");
        assert!(len > MAX_PAYLOAD, "{len}");
    }
}

#[test]
fn a_message_beyond_all_bounds_is_refused_without_copying_it() {
    // Four gigabytes, were they written out.
    let value = vec![b'x'; MAX_PAYLOAD];
    let entries = vec![
        Entry {
            name: b"n",
            value: Some(&value)
        };
        256
    ];
    let request = http_resp_call::Request {
        headers: (&entries).into(),
        ..Default::default()
    };
    let error = Encoder::new().encode(&request).unwrap_err();
    let len = 256 * (MAX_PAYLOAD + 1);
    assert_eq!(
        error,
        EncodeError::TooLarge {
            message: "HTTPRespCall.Req",
            len
        }
    );
}

#[test]
fn as_many_entries_can_be_sent_as_are_accepted() {
    let mut encoder = Encoder::new();
    let entries = vec![
        Entry {
            name: b"",
            value: None
        };
        MAX_TABLES
    ];
    let with = |n: usize| http_resp_call::Request {
        headers: Entries::from(&entries[..n]),
        ..Default::default()
    };

    let most = with(MAX_TABLES - 1);
    let frame = encoder.encode(&most).unwrap();
    assert_eq!(
        http_resp_call::Request::decode(&frame[HEADER_LEN..]),
        Ok(most)
    );

    let error = encoder.encode(&with(MAX_TABLES)).unwrap_err();
    let tables = MAX_TABLES + 1;
    assert_eq!(
        error,
        EncodeError::TooManyTables {
            message: "HTTPRespCall.Req",
            tables
        }
    );
}

#[test]
fn an_encoder_works_on_after_a_message_it_refused() {
    let mut encoder = Encoder::new();
    let body = vec![b'x'; MAX_PAYLOAD];
    let answer = extra_info::Response {
        result: Some(b"small"),
    };
    let expected = encoder.encode(&answer).unwrap().to_vec();
    encoder
        .encode(&extra_info::Response {
            result: Some(&body),
        })
        .unwrap_err();
    assert_eq!(encoder.encode(&answer).unwrap(), expected);
}

#[test]
fn absent_and_empty_stay_apart_where_the_protocol_tells_them_apart() {
    let mut encoder = Encoder::new();
    for nothing in [None, Some(&b""[..])] {
        let rewrite = http_req_call::Rewrite {
            path: nothing,
            body: nothing,
            ..Default::default()
        };
        let action = Some(http_req_call::Action::Rewrite(rewrite));
        let message = http_req_call::Response { id: 1, action };
        let frame = encoder.encode(&message).unwrap();
        assert_eq!(
            http_req_call::Response::decode(&frame[HEADER_LEN..]),
            Ok(message)
        );

        let message = http_resp_call::Response {
            body: nothing,
            ..Default::default()
        };
        let frame = encoder.encode(&message).unwrap();
        assert_eq!(
            http_resp_call::Response::decode(&frame[HEADER_LEN..]),
            Ok(message)
        );
    }
}

#[test]
fn debug_output_is_text_and_does_not_print_a_body_of_megabytes() {
    let body = vec![b'x'; 1 << 20];
    let headers = [
        Entry {
            name: b"x-bin",
            value: Some(b"a\xffb"),
        },
        Entry {
            name: b"x-gone",
            value: None,
        },
    ];
    let message = http_resp_call::Response {
        id: 3,
        status: 200,
        headers: Entries::from(&headers),
        body: Some(&body),
    };
    let shown = format!("{message:?}");
    assert!(
        shown.contains(r#"headers: ["x-bin": Some("a\xffb"), "x-gone": None]"#),
        "{shown}"
    );
    assert!(shown.contains("… and 1048320 bytes"), "{shown}");
    assert!(shown.len() < 1000, "{} bytes", shown.len());
}

#[test]
fn debug_output_does_not_print_thousands_of_entries() {
    let entries = vec![
        Entry {
            name: b"n",
            value: None
        };
        1064
    ];
    let shown = format!("{:?}", Entries::from(&entries));
    assert!(shown.ends_with(r#""n": None, … and 1000 more]"#), "{shown}");
    assert_eq!(shown.matches("None").count(), 64);
}

#[test]
fn entries_are_the_same_list_from_a_slice_and_from_the_wire() {
    let list = [
        Entry {
            name: b"a",
            value: Some(b"1"),
        },
        Entry {
            name: b"b",
            value: None,
        },
        Entry {
            name: b"a",
            value: Some(b""),
        },
    ];
    let message = http_resp_call::Request {
        id: 1,
        status: 200,
        headers: (&list).into(),
        conf_token: ConfToken(9),
    };
    let mut encoder = Encoder::new();
    let frame = encoder.encode(&message).unwrap();
    let wire = http_resp_call::Request::decode(&frame[HEADER_LEN..])
        .unwrap()
        .headers;

    assert_eq!(wire, message.headers);
    assert_eq!(
        (wire.len(), wire.iter().len(), wire.is_empty()),
        (3, 3, false)
    );
    assert!(wire.iter().rev().eq(list.into_iter().rev()));
    assert_ne!(wire, Entries::from(&list[..2]));
    assert!(Entries::default().is_empty());
}

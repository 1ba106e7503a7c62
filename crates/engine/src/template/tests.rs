use super::*;
use crate::exchange::tests::exchange;
use http::Request;
use proptest::prelude::*;

const LIMIT: usize = 1000;

/// Fills in `a` and `1` and no other name.
fn filled(text: &str) -> String {
    let resolve = |name: &str| match name {
        "a" => Some(Cow::Borrowed(&b"A"[..])),
        "1" => Some(Cow::Owned(b"one".to_vec())),
        _ => None,
    };
    let whole = Template::parse(text)
        .render_with(LIMIT, resolve)
        .unwrap()
        .into_owned();
    String::from_utf8(whole).unwrap()
}

#[test]
fn placeholders_are_filled_in() {
    for (text, whole) in [
        ("", ""),
        ("plain", "plain"),
        ("$a", "A"),
        ("x$a-${a}y", "xA-Ay"),
        ("$a$a", "AA"),
        ("${ a }", "A"),
        ("[$none]", "[]"),
        ("${none??dflt}", "dflt"),
        ("${ none ?? a b }", "a b"),
        ("${none??}", ""),
        ("${none??b??c}", "b"),
        ("${a??dflt}", "A"),
        ("${??b}", "b"),
        ("$a.b $a_b $ab", "  "),
        ("$1st-$12", "onest-"),
        ("${1}", "one"),
    ] {
        assert_eq!(filled(text), whole, "{text}");
    }
}

#[test]
fn what_is_no_placeholder_is_text() {
    for text in [
        "$",
        "5 $ or 6$",
        "$$",
        "$-",
        "${}",
        "${ }",
        "${a",
        r"\$a",
        r"\\${a}",
        "caf\u{e9}$\u{e9}",
    ] {
        assert_eq!(filled(text), text);
        assert_eq!(Template::parse(text).literal(), Some(text));
    }
    assert_eq!(filled(r"\$$a"), r"\$A");
    assert_eq!(filled("$$a"), "$A");
    assert_eq!(Template::parse("x$a").literal(), None);
}

#[test]
fn names_are_told_in_order() {
    let template = Template::parse("$b ${c??x} \\$no $1");
    assert_eq!(template.names().collect::<Vec<_>>(), ["b", "c", "1"]);
}

#[test]
fn a_separator_in_a_placeholder_does_not_split() {
    let split = |text| Template::parse(text).split_once('?');
    let both = |head, tail| Some((Template::parse(head), Template::parse(tail)));
    assert_eq!(split("/p"), None);
    assert_eq!(split("/p$a${none??dflt}"), None);
    assert_eq!(split("/p${a??b}x?q=$a?r"), both("/p${a??b}x", "q=$a?r"));
    assert_eq!(split("?"), both("", ""));
    assert_eq!(split("$a?$a"), both("$a", "$a"));
}

#[test]
fn variables_are_those_of_the_request() {
    let exchange = exchange(
        Request::get("/p?id=7")
            .header("host", "h.test")
            .header("x-in", "\u{fc}"),
    );
    let template = Template::parse("$request_method $uri ${arg_id} $http_x_in ${http_none??-}");
    let whole = template.render(LIMIT, &exchange).unwrap();
    assert_eq!(*whole, *"GET /p 7 \u{fc} -".as_bytes());
    let template = Template::parse("/$arg_id");
    let pieces: Vec<_> = template.pieces(&exchange).collect();
    let value = Piece::Value(Cow::Borrowed(&b"7"[..]));
    assert_eq!(pieces, [Piece::Text("/"), value]);
}

#[test]
fn a_text_that_grows_beyond_the_limit_is_none() {
    let render = |limit| {
        let ten = |_: &str| Some(Cow::Borrowed(&b"0123456789"[..]));
        Template::parse("$a-$a")
            .render_with(limit, ten)
            .map(|whole| whole.len())
    };
    assert_eq!(render(21), Ok(21));
    assert_eq!(render(20), Err(TooLong { limit: 20 }));
    assert_eq!(render(0), Err(TooLong { limit: 0 }));
}

#[test]
fn any_text_is_a_fields_value() {
    for (text, value) in [
        (&b" plain\t"[..], &b"plain"[..]),
        (b"a\tb", b"a\tb"),
        (b"x\r\nEvil: 1", b"x%0D%0AEvil: 1"),
        (b"\r\n", b"%0D%0A"),
        (b"\0\x7f\xfc", b"%00%7F\xfc"),
        (b" \t ", b""),
    ] {
        assert_eq!(header_value(text), HeaderValue::from_bytes(value).unwrap());
    }
}

proptest! {
    #[test]
    fn parsing_loses_no_text(text in "[$a{}? .\\\\é]{0,12}") {
        let template = Template::parse(&text);
        if template.names().next().is_none() {
            prop_assert_eq!(template.literal(), Some(text.as_str()));
        }
        if let Some((head, tail)) = template.split_once('.') {
            let join = |resolved: [&Template; 2]| resolved.map(|t| {
                t.render_with(LIMIT, |_| None).unwrap().into_owned()
            }).join(&b'.');
            let whole = template.render_with(LIMIT, |_| None).unwrap();
            prop_assert_eq!(join([&head, &tail]), whole.into_owned());
        }
    }

    #[test]
    fn a_fields_value_never_breaks_out(text: Vec<u8>) {
        let value = header_value(&text);
        prop_assert!(value.as_bytes().iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()));
    }
}
